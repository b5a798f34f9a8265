import numpy as np
import pytest

from reproduce.analysis.curves import QUANTITIES, as_error, is_accuracy, part_of
from reproduce.store.history import EpochRecord


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_what_a_quantity_is_can_be_told_from_its_name(quantity):
    epochs = EpochRecord(0, 2.0, 30.0, 2.0, 20.0, 1.0), EpochRecord(1, 1.0, 60.0, 1.0, 50.0, 1.0)
    values = np.array([QUANTITIES[quantity](epoch) for epoch in epochs])
    accuracies = np.array([getattr(epoch, f"{part_of(quantity)}_accuracy") for epoch in epochs])
    np.testing.assert_array_equal(as_error(values, quantity), 100 - accuracies)
    assert (values[1] > values[0]) == is_accuracy(quantity)
