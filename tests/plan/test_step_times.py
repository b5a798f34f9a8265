import json

import numpy as np
import pytest

from figures.sections import CLAIMS, networks_timed
from reproduce import training
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.plan import step_times
from reproduce.store.provenance import checksum_of
from reproduce.study import Study
from tests.figures.test_claims import seconds_as_claimed
from tests.helpers import made_up
from tests.helpers.made_up import DATASET


def test_times_measured_with_other_data_are_not_used(tmp_path):
    chosen = made_up.options(tmp_path)
    path = tmp_path / "times.json"
    assert step_times.read_times(path, DATASET.fingerprint).seconds == {}
    step_times.write_times(path, made_up.times(chosen, seconds_as_claimed), DATASET, -1, "chainer")
    # Training steps of nine networks, and whole epochs of two.
    assert len(step_times.read_times(path, DATASET.fingerprint).seconds) == 11
    assert step_times.read_times(path, "another").seconds == {}
    assert json.loads(path.read_text())["provenance"]["engine"] == "chainer"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: next(iter(content["seconds"].values())).__setitem__(0, 1e-6),
        lambda content: content["seconds"].update(new=[1.0]),
        lambda content: content["seconds"].clear(),
        lambda content: content["provenance"].update(cpu="another"),
        lambda content: content.pop("checksum"),
        lambda content: content.update(checksum=None),
    ],
)
def test_times_that_were_changed_by_hand_are_refused(tmp_path, change):
    path = tmp_path / "times.json"
    step_times.write_times(path, made_up.times(made_up.options(tmp_path), seconds_as_claimed), DATASET, -1, "chainer")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=r"times\.json: expected times as this version wrote them.*remove it"):
        step_times.read_times(path, DATASET.fingerprint)


@pytest.mark.parametrize("seconds", [[], [[1.0]], [0.0], [-1.0], [float("nan")], ["x"], 1.0, None])
def test_times_whose_checksum_holds_and_that_cannot_be_are_refused(tmp_path, seconds):
    path = tmp_path / "times.json"
    content = {"provenance": {"data": {"fingerprint": "x"}}, "seconds": {"a": seconds}}
    path.write_text(json.dumps({**content, "checksum": checksum_of(content)}))
    with pytest.raises(BadInput, match=r"times\.json: expected times as this version wrote them"):
        step_times.read_times(path, "x")


def test_a_damaged_file_of_times_is_named(tmp_path):
    path = tmp_path / "times.json"
    no_times = '{"provenance": {"data": {"fingerprint": "x"}}, "seconds": {"a": "b"}}'
    for content in ("", "[]", '{"provenance": {}}', no_times):
        path.write_text(content)
        with pytest.raises(BadInput, match=r"times\.json: expected times"):
            step_times.read_times(path, "x")


def test_networks_are_timed_in_an_order_that_turns_round(monkeypatch):
    monkeypatch.setattr(step_times, "ROUNDS", 3)
    monkeypatch.setattr(step_times, "MOST_STEPS", 3)
    calls = []

    def step_of(experiment, dataset, device):
        return lambda: calls.append(experiment.seed)

    monkeypatch.setattr(step_times, "_step", step_of)
    found = step_times.measure([Experiment(seed=seed) for seed in (1, 2, 2)], DATASET, engine_name="chainer")
    # Two steps each to warm up; then three a measurement.
    assert calls == [1, 1, 2, 2, *[1] * 3, *[2] * 3, *[2] * 3, *[1] * 3, *[1] * 3, *[2] * 3]
    assert {len(values) for values in found.seconds.values()} == {3}


def test_a_step_trains_the_network_once_for_each_copy_of_its_images(monkeypatch):
    experiment = Experiment(width=0.0625, batch_size=10, augmentation="report", optimizer="MomentumSGD")
    updates = []
    build = training.build_optimizer

    def counted(experiment):
        optimizer = build(experiment)
        update = optimizer.update
        optimizer.update = lambda: (updates.append(1), update())
        return optimizer

    monkeypatch.setattr(training, "build_optimizer", counted)
    step_times._step(experiment, DATASET, -1)()
    assert len(updates) == 4


def test_every_network_that_a_claim_times_can_be_timed(monkeypatch):
    monkeypatch.setattr(step_times, "ROUNDS", 1)
    monkeypatch.setattr(step_times, "MOST_STEPS", 1)
    monkeypatch.setattr(step_times, "FEWEST_STEPS", 1)
    needed = networks_timed(CLAIMS, Study(made_up.options("unused"), DATASET))
    epochs = networks_timed(CLAIMS, Study(made_up.options("unused"), DATASET), step_times.EPOCH)
    assert {experiment.augmentation for experiment in epochs} == {"none", "report"}
    found = step_times.measure(needed, DATASET, epochs_of=epochs)
    assert set(found.seconds) == {e.key for e in needed} | {f"{e.key} epoch" for e in epochs}
    assert all(np.all(values > 0) for values in found.seconds.values())
