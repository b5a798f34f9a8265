"""Data for the tests: a real CIFAR-10 subset where one lies beside the checkout, the synthetic stand-in elsewhere."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from reproduce.data.dataset import Dataset, read, synthetic
from tests.helpers.processes import REAL_DATA

# What `make test LATEST=1` was told is not meant for the makes that tests begin.
for name in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """120 training and 60 test images."""
    return read(REAL_DATA).first(120, 60) if REAL_DATA.exists() else synthetic(120, 60)


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """A good HDF5 file of 12 + 6 uint8 images, for tests to spoil."""
    small = synthetic(12, 6)
    path = tmp_path / "small.hdf5"
    with h5py.File(path, "w") as file:
        for part, x, y in (("train", small.x_train, small.y_train), ("test", small.x_test, small.y_test)):
            file[f"X_{part}"] = np.round(x * 255).astype(np.uint8)
            file[f"Y_{part}"] = y
    return path


@pytest.fixture(scope="session")
def in_one_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of figure 2's runs, trained in one process with one thread."""
    from tests.helpers.clusters import figure_2

    folder = tmp_path_factory.mktemp("one")
    done = figure_2(folder)
    assert done.returncode == 0, done.stderr
    return folder
