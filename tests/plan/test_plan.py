"""What a plan counts is what a run does, and what it predicts is about what comes."""

import time
from dataclasses import replace
from itertools import pairwise

import chainer
import numpy as np
import pytest

from reproduce.data.dataset import synthetic
from reproduce.experiment import Experiment
from reproduce.plan.plan import make_plan, networks_of, print_plan, simulate
from reproduce.profiles import PROFILES, Options
from reproduce.store import runs
from reproduce.study import Study
from reproduce.sweep import cost
from reproduce.sweep.train_missing import train_missing
from reproduce.training import build_model
from tests.helpers import clusters
from tests.helpers.clusters import job
from tests.helpers.processes import run_python

SHAPES = [
    {},
    {"blocks": ((2, 64), (2, 128)), "batch_normalization": False, "pooling": "none", "fully_connected_layers": 1},
    {"blocks": (), "fully_connected_layers": 2},
    {"filter_size": 7, "pooling": "average", "optimizer": "RMSprop", "blocks": ((1, 32), (0, 8), (3, 16))},
    {"optimizer": "MomentumSGD", "width": 0.3},
]


@pytest.fixture(scope="module")
def images():
    return synthetic(*clusters.SIZES)


class Counting(chainer.FunctionHook):
    """Counts the operations of the convolutions and matrix products that Chainer really does."""

    name = "counting"

    def __init__(self):
        self.operations = 0

    def forward_postprocess(self, function, in_data):
        if function.label in ("Convolution2DFunction", "LinearFunction"):
            images, weights = in_data[0], in_data[1]
            size = images.shape[2] * images.shape[3] if images.ndim == 4 else 1
            self.operations += 2 * weights.size * size * len(images)


@pytest.mark.parametrize("settings", SHAPES)
def test_operations_and_parameters_are_those_of_the_network(settings):
    experiment = Experiment(**{"width": 0.125, **settings})
    model = build_model(experiment)
    assert cost.parameters(experiment) == sum(parameter.size for parameter in model.params())
    with Counting() as counted, chainer.using_config("train", False):
        model(np.zeros((3, 3, 32, 32), np.float32), np.zeros(3, np.int32))
    assert cost.forward_operations(experiment) * 3 == counted.operations > 0


def test_the_report_s_network_has_the_operations_that_its_layers_say():
    # conv1_1: 3 x 3 filters of 3 channels at 32 x 32 places, 64 of them; a multiplication and an addition each.
    experiment = Experiment()
    assert cost.layers_of_experiment(experiment)[1].operations == 2 * 27 * 64 * 1024
    assert cost.forward_operations(experiment) == pytest.approx(0.4e9, rel=0.2)
    assert cost.step_operations(experiment) == 3 * cost.forward_operations(experiment) - 2 * 27 * 64 * 1024
    augmented = replace(experiment, augmentation="report")
    assert cost.training_images(augmented, 50_000) == 200_000


@pytest.mark.parametrize("settings", SHAPES)
def test_a_run_takes_as_much_disk_as_was_said(settings, images, tmp_path):
    wanted = job(images, epochs=2, **{"blocks": ((1, 64),), "width": 0.25, **settings})
    train_missing([wanted], Study(Options(data="synthetic", engine="chainer", results=str(tmp_path)), images))
    folder = runs.run_folder(tmp_path, wanted.experiment)
    found = sum(path.stat().st_size for path in folder.iterdir())
    assert found == pytest.approx(cost.disk_bytes(wanted.experiment, len(images.y_train)), rel=0.2)


def test_a_network_is_timed_once_however_many_runs_have_it(images):
    jobs = [
        job(images, 0),
        job(images, 1, learning_rate=0.5),
        job(images, 2, augmentation="report"),
        job(images, 0, dropout=0.3),
        job(images, 0, dropout=0.0),
        job(images, 0, filter_size=5),
        job(images, 0, optimizer="RMSprop"),
    ]
    assert [e.augmentation for e in networks_of(jobs).values()] == ["report", "none", "none", "none"]


@pytest.mark.parametrize(
    ("seconds", "places", "total"),
    [([5, 4, 3, 3, 3], 2, 10), ([5, 4, 3, 3, 3], 3, 7), ([3], 8, 3), ([], 4, 0), ([1] * 10, 1, 10)],
)
def test_the_schedule_is_simulated(seconds, places, total):
    assert simulate(seconds, places) == total


def test_a_plan_trains_nothing_and_knows_what_is_there(images, tmp_path, capsys):
    options = Options(data="synthetic", engine="chainer", results=str(tmp_path))
    jobs = [job(images, 0, epochs=2), job(images, 1, epochs=2)]
    train_missing([jobs[0]._replace(epochs=1), jobs[1]], Study(options, images))
    before = sorted(tmp_path.rglob("*"))
    plan = make_plan(jobs, Study(options, images))
    assert sorted(tmp_path.rglob("*")) == before
    assert [j.key for j in plan.missing] == [jobs[0].key]
    assert plan.done == {jobs[0].key: 1}
    capsys.readouterr()
    print_plan(plan, Study(options, images))
    printed = capsys.readouterr().out
    assert "2 runs wanted, 1 already trained" in printed
    assert "images            40 to train on" in printed
    assert "1 of 2 done" in printed


def test_make_plan_on_two_workers_of_this_machine(tmp_path):
    done = run_python(
        *("-m", "figures", "plan", "--target=figure-6", "--profile=smoke", "--data=synthetic", "--engine=chainer"),
        *("--seeds=1", "--jobs=2"),
        cwd=tmp_path,
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr
    assert "figure-6, smoke profile, synthetic images (not CIFAR-10): 6 runs wanted, 0 already" in done.stdout
    assert "batches of 6 different networks" in done.stdout
    assert "time, 2 places" in done.stdout
    assert not (tmp_path / "results/runs").exists()
    wrong = run_python("-m", "figures", "plan", "--target=figure-12", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--target: expected all-figures, claims or figure-2 to figure-10 (did you mean" in wrong.stderr


@pytest.mark.slow
def test_memory_is_about_what_a_run_takes(tmp_path):
    """The peak of a process that trains the report's network on batches of 100, within a factor of 1.5."""
    code = (
        "import resource, sys; from reproduce.experiment import Experiment;"
        "from reproduce.data.dataset import synthetic;"
        "from reproduce.store.training_run import train; from pathlib import Path; d = synthetic(200, 50);"
        "e = Experiment(data_fingerprint=d.fingerprint, batch_size=100);"
        "train(e, d, Path('run'), 1, engine_name='chainer');"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    done = run_python("-c", code, cwd=tmp_path)
    expected = cost.memory_bytes(Experiment(batch_size=100), synthetic(200, 50), is_unfolding=True)
    assert expected / 1.5 < int(done.stdout.split()[-1]) < expected * 1.5


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [None, 2])
def test_the_time_of_a_quick_sweep_is_predicted_within_a_quarter(tmp_path, monkeypatch, jobs):
    """Tried up to three times, since other programs may begin or end between the plan and the sweep."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    quick = PROFILES["quick"]
    images = synthetic(quick.train_size, quick.test_size)
    sizes = {"blocks": ((2, 64),), "width": quick.width, "batch_size": quick.batch_size, "fully_connected_layers": 3}
    ratios = []
    for attempt in range(3):
        options = Options(data="synthetic", engine="chainer", results=str(tmp_path / str(attempt)), jobs=jobs)
        wanted = [job(images, seed, epochs=2, **{**sizes, "filter_size": size}) for seed in (0, 1) for size in (3, 5)]
        plan = make_plan(wanted, Study(options, images))
        began = time.monotonic()
        train_missing(wanted, Study(options, images))
        ratios.append(plan.total / (time.monotonic() - began))
        if 0.75 < ratios[-1] < 1.25:
            break
    assert 0.75 < ratios[-1] < 1.25, ratios


def test_every_layer_hands_its_values_on():
    layers = cost.layers_of_experiment(Experiment())
    assert [layer.name for layer in layers][:3] == ["input", "conv3-64", "conv3-64"]
    for before, after in pairwise(layers):
        if after.name.startswith("FC"):
            assert after.operations == 2 * before.values * after.values
