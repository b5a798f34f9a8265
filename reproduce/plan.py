"""What a set of runs would cost, without training them: counted from their settings, timed on a few batches."""

import heapq
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from chainer import cuda

from reproduce import checkpoint, cost, engine, results
from reproduce.augmentation import COPIES, augment
from reproduce.checkpoint import NOTHING_DONE, Progress
from reproduce.data import Dataset
from reproduce.devices import uploaded
from reproduce.experiment import Experiment
from reproduce.jobs import Job
from reproduce.training import Calculate_Test_Accuracy, build_model, build_optimizer, train_epoch

# A network's timing takes about so long after its first step, and at least so many batches.
SECONDS_A_NETWORK, FEWEST_BATCHES = 1.5, 3
# Where even one batch of the experiment's size would take longer than that several times over, fewer images are timed.
LARGEST_SHARE, SMALLEST_BATCH = 4, 25
# How the same network is told from another one: these settings change its numbers, but not what it computes.
WITHOUT_EFFECT_ON_TIME = (
    *("data_fingerprint", "seed", "initial_scale", "augmentation"),
    *("learning_rate", "momentum", "beta1", "beta2", "alpha", "epsilon"),
)


class Speed(NamedTuple):
    """Seconds that a network takes on some device."""

    training: float
    """for an image of a training step: forward, backward and update"""
    testing: float
    """for an image of the test"""
    saving: float
    """for the checkpoint after an epoch and the files beside it"""
    augmenting: float
    """for an image of the training set as it is, before the first epoch"""
    batches: int
    """how many training steps were timed"""


@dataclass(frozen=True)
class Plan:
    """What is to be trained, and what it takes.

    Attributes:
        wanted, missing: the runs, in the order in which they are begun.
        done: epochs that the results store already holds of each missing run, by key.
        seconds: of each missing run, by key.
        networks: how many different networks were timed.
        batches: how many training steps were timed in all.
        places: runs that go on at the same time.
        start: seconds until the first run begins.
    """

    wanted: Sequence[Job]
    missing: Sequence[Job]
    done: Mapping[str, int]
    seconds: Mapping[str, float]
    networks: int
    batches: int
    places: int
    start: float

    @property
    def total(self) -> float:
        """Seconds until the last run ends."""
        return self.start + simulate([self.seconds[job.key] for job in self.missing], self.places)


def network_key(experiment: Experiment) -> str:
    """The same text for experiments whose steps take the same time."""
    settings = {name: v for name, v in experiment.settings().items() if name not in WITHOUT_EFFECT_ON_TIME}
    settings["dropout"] = experiment.dropout > 0
    return repr(sorted(settings.items()))


def networks_of(jobs: Iterable[Job]) -> dict[str, Experiment]:
    """Each distinct network once, one that is augmented where there is a choice, so that this is timed, too."""
    found: dict[str, Experiment] = {}
    for job in jobs:
        key = network_key(job.experiment)
        if key not in found or COPIES[job.experiment.augmentation] > COPIES[found[key].augmentation]:
            found[key] = job.experiment
    return found


def measure(experiment: Experiment, dataset: Dataset, device: int, engine_name: str, store: Path) -> Speed:
    """Time a few batches of a network, a test, and a checkpoint into the results store's file system.

    Args:
        store: an existing folder.

    Raises:
        BadInput, ValueError: no such device or engine.
    """
    GPU_on = device >= 0
    with engine.using(engine.resolve(engine_name, device)):
        np.random.seed(experiment.seed)
        model, optimizer = build_model(experiment), build_optimizer(experiment)
        if GPU_on:
            cuda.get_device_from_id(device).use()
            model.to_gpu()
        optimizer.setup(model)
        x_train, y_train, x_test, y_test = uploaded(
            *(dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test), GPU_on=GPU_on
        )
        full = min(experiment.batch_size, len(dataset.y_train))

        def steps(count: int, batch: int) -> float:
            order = np.arange(count * batch) % len(dataset.y_train)
            return _seconds(lambda: train_epoch(model, optimizer, x_train, y_train, order, GPU_on, batch))

        batch = min(SMALLEST_BATCH, full)
        # The first step allocates memory and compiles.
        steps(1, batch)
        small = steps(1, batch)
        if small * full / batch < LARGEST_SHARE * SECONDS_A_NETWORK:
            batch = full
            steps(1, batch)
        count = max(FEWEST_BATCHES, math.ceil(SECONDS_A_NETWORK / max(steps(1, batch), 1e-3)))
        training = steps(count, batch) / (count * batch)
        test = min(len(dataset.y_test), max(batch, int(SECONDS_A_NETWORK / training)))
        x_test, y_test = x_test[:test], y_test[:test]
        testing = _seconds(lambda: Calculate_Test_Accuracy(x_test, y_test, model, GPU_on, batch)) / test
        saving = _saving(experiment, dataset, model, optimizer, store)
        augmenting = 0.0
        if experiment.augmentation != "none":
            few = min(200, len(dataset.y_train))
            x, y = dataset.x_train[:few], dataset.y_train[:few]
            augmenting = _seconds(lambda: augment(x, y, experiment.augmentation)) / few
    return Speed(training, testing, saving, augmenting, count)


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _saving(experiment: Experiment, dataset: Dataset, model: Any, optimizer: Any, store: Path) -> float:
    """Seconds for a checkpoint and the files beside it."""
    folder = Path(tempfile.mkdtemp(prefix=".plan-", dir=store))
    order = np.arange(cost.training_images(experiment, len(dataset.y_train)))
    progress = Progress(order, [], NOTHING_DONE)

    def save() -> None:
        checkpoint.save(folder, experiment.settings(), {}, model, optimizer, progress)
        results.write_side_files(folder, experiment, [], {"versions": "x" * cost.SIDE_FILES_BYTES})

    try:
        return _seconds(save)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seconds_of(job: Job, done: int, dataset: Dataset, speed: Speed) -> float:
    """How long a run takes, from the epochs that are done to its last."""
    images = cost.training_images(job.experiment, len(dataset.y_train))
    epoch = images * speed.training + len(dataset.y_test) * speed.testing + speed.saving
    left = max(0, job.epochs - done)
    return (len(dataset.y_train) * speed.augmenting + left * epoch) if left else 0.0


def simulate(seconds: Sequence[float], places: int) -> float:
    """When the last run ends, if each is begun in this order as soon as one of so many places is free."""
    free = [0.0] * max(1, places)
    for duration in seconds:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)
