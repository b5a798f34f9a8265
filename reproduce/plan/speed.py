"""How fast a device trains a network, told from a few batches."""

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from reproduce import engine
from reproduce.augmentation import augment
from reproduce.data.dataset import Dataset
from reproduce.devices import get_device, resolve_engine, send
from reproduce.experiment import Experiment
from reproduce.plan.plan import Speed
from reproduce.plan.step_times import seconds_of
from reproduce.store import checkpoint, runs
from reproduce.store.checkpoint import Progress
from reproduce.sweep import cost
from reproduce.sweep.task import Source
from reproduce.training import EPOCH_START, Calculate_Test_Accuracy, build, train_epoch

# How long a network is timed after its first step, and the fewest batches of a timing.
SECONDS_A_NETWORK, FEWEST_BATCHES = 1.5, 3
# Where even one batch of the experiment's size would take longer than that several times over, fewer images are timed.
LARGEST_SHARE, SMALLEST_BATCH = 4, 25


def measure(experiment: Experiment, dataset: Dataset, device: int, engine_name: str, store: Path) -> Speed:
    """Time a few batches of a network, a test, and a checkpoint into the results store's file system.

    Args:
        store: an existing folder.

    Raises:
        BadInput: no such device or engine.
    """
    place = get_device(device)
    with engine.using(resolve_engine(engine_name, device), device):
        model, optimizer = build(experiment, place)
        arrays = (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
        x_train, y_train, x_test, y_test = (send(place, array) for array in arrays)
        full = min(experiment.batch_size, len(dataset.y_train))

        def steps(count: int, batch: int) -> float:
            order = np.arange(count * batch) % len(dataset.y_train)
            return seconds_of(lambda: train_epoch(model, optimizer, x_train, y_train, order, batch))

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
        testing = seconds_of(lambda: Calculate_Test_Accuracy(x_test, y_test, model, batch)) / test
        saving = _saving(experiment, dataset, model, optimizer, store)
        augmenting = 0.0
        if experiment.augmentation != "none":
            few = min(200, len(dataset.y_train))
            x, y = dataset.x_train[:few], dataset.y_train[:few]
            augmenting = seconds_of(lambda: augment(x, y, experiment.augmentation)) / few
    return Speed(training, testing, saving, augmenting, count)


def _saving(experiment: Experiment, dataset: Dataset, model: Any, optimizer: Any, store: Path) -> float:
    """Seconds for a checkpoint and its other files."""
    folder = Path(tempfile.mkdtemp(prefix=".plan-", dir=store))
    order = np.arange(cost.training_images(experiment, len(dataset.y_train)))
    progress = Progress(order, [], EPOCH_START)

    def save() -> None:
        checkpoint.save(folder, experiment.settings(), {}, model, optimizer, progress)
        runs.write_side_files(folder, experiment, [], {"versions": "x" * cost.SIDE_FILES_BYTES})

    try:
        return seconds_of(save)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_on_worker(experiment: Experiment, source: Source, device: int, engine_name: str, store: Path) -> Speed:
    """Time a network in a worker of a Dask cluster, as a run of it would go there."""
    from reproduce.sweep import dask_worker

    with dask_worker.one_at_a_time:
        return measure(experiment, dask_worker.load_once(source), device, engine_name, store)
