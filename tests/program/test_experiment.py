import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce.devices import get_device
from reproduce.errors import BadInput
from reproduce.experiment import Experiment, parse_blocks
from reproduce.optimizers import OPTIMIZERS, SETTINGS, users_of
from reproduce.pattern import REPORT_BLOCKS
from reproduce.profiles import PROFILES, Options
from reproduce.study import Study
from reproduce.training import build
from tests.helpers import made_up


def test_the_default_is_the_experiment_of_section_8():
    default = Experiment()
    assert default.blocks == REPORT_BLOCKS == ((2, 64), (2, 128), (4, 256))
    assert (default.optimizer, default.learning_rate, default.dropout) == ("Adam", 0.001, 0.4)
    assert (default.batch_size, default.pooling, default.width) == (500, "max", 1.0)


OTHER_VALUES = {
    "data_fingerprint": "other",
    "seed": 1,
    "blocks": ((1, 64),),
    "filter_size": 5,
    "pooling": "average",
    "batch_normalization": False,
    "dropout": 0.3,
    "fully_connected_layers": 2,
    "width": 0.5,
    "initial_scale": 2.0,
    "augmentation": "report",
    "learning_rate": 0.002,
    "momentum": 0.8,
    "beta1": 0.8,
    "beta2": 0.99,
    "alpha": 0.9,
    "epsilon": 1e-6,
    "batch_size": 100,
}


def test_every_setting_that_has_an_effect_changes_the_key():
    fields = {field.name for field in dataclasses.fields(Experiment)} - {"optimizer"}
    all_keys = set()
    for optimizer, described in OPTIMIZERS.items():
        names = fields - set(SETTINGS) | set(described.settings)
        keys = {Experiment(optimizer=optimizer, **{name: OTHER_VALUES[name]}).key for name in names}
        keys.add(Experiment(optimizer=optimizer).key)
        assert len(keys) == len(names) + 1
        assert not keys & all_keys
        all_keys |= keys


@pytest.mark.parametrize(
    ("optimizer", "without_effect"),
    [
        ("Adam", ["momentum", "alpha"]),
        ("MomentumSGD", ["beta1", "beta2", "alpha", "epsilon"]),
        ("RMSprop", ["momentum"]),
    ],
)
def test_a_setting_without_effect_leaves_the_key(optimizer, without_effect):
    for name in without_effect:
        assert Experiment(optimizer=optimizer, **{name: 0.5}).key == Experiment(optimizer=optimizer).key


@given(
    st.builds(
        Experiment,
        seed=st.integers(0, 9),
        blocks=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 99)), max_size=5).map(tuple),
        dropout=st.floats(0, 0.9),
        optimizer=st.sampled_from(tuple(OPTIMIZERS)),
    )
)
def test_settings_survive_json(experiment):
    again = Experiment.from_settings(json.loads(json.dumps(experiment.settings())))
    assert again.key == experiment.key
    assert again == experiment


@pytest.mark.parametrize("name", SETTINGS)
def test_what_an_optimizer_cannot_divide_by_is_refused_and_what_is_next_to_it_is_not(name):
    """Of each setting that only some optimizers have: a step with the values at the ends of its range."""
    refused, ends = ((1.0, -0.1), (0.0, math.nextafter(1.0, 0.0))) if name != "epsilon" else ((0.0, 1e-46), (1e-38, 1))
    for value in refused:
        with pytest.raises(BadInput, match=f"{name}: expected a number from .*; found "):
            Experiment(**{name: value})
    images, labels = np.zeros((2, 3, 32, 32), np.float32), np.zeros(2, np.int32)
    for optimizer in users_of(name):
        for value in ends:
            experiment = Experiment(optimizer=optimizer, blocks=((1, 4),), width=0.1, **{name: value})
            model, update = build(experiment, get_device(-1))
            loss, _ = model(images, labels)
            loss.backward()
            update.update()


def test_equal_experiments_have_one_key():
    assert Experiment(dropout=0, width=1).key == Experiment(dropout=0.0, width=1.0).key


@pytest.mark.parametrize("name", ["blocks", "width", "seed", "optimizer", "batch_normalization"])
def test_a_setting_that_is_none_is_refused(name):
    with pytest.raises(BadInput, match=f"{name}: expected .*; found None"):
        Experiment(**{name: None})


def test_unknown_settings_are_refused():
    with pytest.raises(BadInput, match="no such setting of an experiment: colour"):
        Experiment.from_settings({"colour": 1})
    with pytest.raises(BadInput, match=r"optimizer: expected Adam, .* \(did you mean Adam\?\); found 'adam'"):
        Experiment(optimizer="adam")


def test_blocks_are_written_as_convolutions_x_channels():
    assert parse_blocks("2x64,2x128,4x256") == REPORT_BLOCKS
    assert parse_blocks("") == ()
    for wrong in ("2", "2x", "x64", "2x64,", "2x64 2x128", "2x-64", "ax64"):
        with pytest.raises(ValueError, match="expected blocks"):
            parse_blocks(wrong)


def test_a_profile_has_a_momentum_and_a_rate_of_its_own_for_sgd():
    at_full, at_quick = PROFILES["full"], PROFILES["quick"]
    assert at_full.completed({"optimizer": "SGD"})["learning_rate"] == 0.01
    assert at_quick.completed({"optimizer": "SGD"})["learning_rate"] == 0.001
    assert (at_full.completed({})["momentum"], at_quick.completed({})["momentum"]) == (0.99, 0.9)
    assert "learning_rate" not in at_quick.completed({"optimizer": "MomentumSGD"})
    assert at_quick.completed({"optimizer": "SGD", "learning_rate": 0.5})["learning_rate"] == 0.5


def test_sizes_that_differ_have_folders_that_differ():
    named = [
        Options(**size).sizes_asked_for()
        for size in ({"width": 1.0}, {"width": 0.1234567}, {"width": 0.12345671}, {"train_size": 1234567}, {"width": 1})
    ]
    assert named == [["width-1"], ["width-0.1234567"], ["width-0.12345671"], ["train-size-1234567"], ["width-1"]]


def test_the_reports_scale_is_its_sizes_and_its_momentum():
    images = dataclasses.replace(made_up.MANY_IMAGES, is_synthetic=False)
    assert Study(Options("full"), images).is_report_scale
    assert not Study(Options("overnight", width=1.0, batch_size=500), images).is_report_scale
