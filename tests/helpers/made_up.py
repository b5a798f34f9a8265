"""Results stores full of made-up runs, whose effects are known."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chainer
import numpy as np

from figures.sections import CLAIMS, networks_timed, runs_for
from reproduce.data.dataset import Dataset, synthetic
from reproduce.experiment import Experiment
from reproduce.plan.step_times import EPOCH, STEP, Times, name_of
from reproduce.profiles import Options
from reproduce.store import checkpoint, runs
from reproduce.store.checkpoint import Progress
from reproduce.store.history import EpochRecord, History
from reproduce.store.provenance import provenance
from reproduce.study import Study
from reproduce.sweep.jobs import Job
from reproduce.training import EPOCH_START

# From an experiment to its final train and test error in percent, and perhaps by how much its test error lies higher in
# epoch 1; None is a run that diverges.
World = Callable[[Experiment], tuple[float, ...] | None]
DATASET = synthetic(20, 10)
# The same, but for labels of so many images that counting them adds next to no noise. There is nothing to train on.
MANY_IMAGES = replace(DATASET, y_train=np.zeros(50_000, np.int32), y_test=np.zeros(10_000, np.int32))


def of_fingerprint(fingerprint: str) -> Dataset:
    """Data of which nothing counts but the fingerprint, by which runs' keys are found."""
    images = np.zeros((1, 3, 32, 32), np.float32)
    dataset = Dataset(images, np.zeros(1, np.int32), images, np.zeros(1, np.int32), "no images")
    vars(dataset)["fingerprint"] = fingerprint
    return dataset


def options(folder: Path, seeds: int = 4, **settings: Any) -> Options:
    """Options whose results store is a folder of the test."""
    return Options(
        profile="smoke",
        data="synthetic",
        train_size=20,
        test_size=10,
        batch_size=10,
        seeds=seeds,
        epochs=4,
        results=str(folder),
        **settings,
    )


def jobs(chosen: Options, dataset: Dataset = DATASET) -> list[Job]:
    """Every run that figures and claims need."""
    study = Study(chosen, dataset)
    return [*runs_for("claims", study), *runs_for("all-figures", study)]


def keep(
    folder: Path,
    experiment: Experiment,
    errors: tuple[float, ...] | None,
    dataset: Dataset = DATASET,
    **other_origin: Any,
) -> None:
    """Put one run of four epochs into a results store, its errors falling to those given."""
    history = []
    for epoch in range(4):
        if errors is None and epoch == 2:
            history.append(EpochRecord(epoch, np.nan, np.nan, np.nan, np.nan, 0.5))
            break
        train, test = (end + (90 - end) * 0.5**epoch for end in (errors or (50.0, 50.0))[:2])
        test = min(99.0, test + sum((errors or ())[2:]) * (epoch == 1))
        history.append(EpochRecord(epoch, train / 30, 100 - train, test / 30, 100 - test, 0.5))
    keep_history(folder, experiment, history, dataset, **other_origin)


def history(train_errors: Iterable[float]) -> History:
    """A history with these train errors in percent, test errors 5 points above them; it ends where one is NaN."""
    records: History = []
    for epoch, error in enumerate(train_errors):
        records.append(EpochRecord(epoch, error / 30, 100 - error, error / 25, max(95 - error, 0.0), 0.5))
        if not np.isfinite(error):
            break
    return records


def keep_history(
    folder: Path, experiment: Experiment, history: History, dataset: Dataset = DATASET, **other_origin: Any
) -> None:
    """Put one run into a results store."""
    made = {**_provenance(dataset.fingerprint, dataset.name, dataset.is_synthetic), **other_origin}
    run = runs.run_folder(folder, experiment)
    run.mkdir(parents=True, exist_ok=True)
    network = chainer.Chain()
    optimizer = chainer.optimizers.SGD().setup(network)
    progress = Progress(np.arange(20), history, EPOCH_START)
    checkpoint.save(run, experiment.settings(), made, network, optimizer, progress)


def lose(folder: Path, experiment: Experiment) -> None:
    """Remove one run from a results store."""
    shutil.rmtree(runs.run_folder(folder, experiment))


@lru_cache
def _provenance(fingerprint: str, name: str, is_synthetic: bool) -> dict[str, Any]:
    """What a run on such data would say of itself."""
    dataset = SimpleNamespace(
        fingerprint=fingerprint, name=name, is_synthetic=is_synthetic, y_train=[0] * 20, y_test=[0] * 10
    )
    return provenance(dataset, "chainer", -1, None, 0)


def fill(chosen: Options, world: World, dataset: Dataset = DATASET) -> None:
    """Put every run into the results store."""
    for experiment in {job.experiment.key: job.experiment for job in jobs(chosen, dataset)}.values():
        keep(Path(chosen.results), experiment, world(experiment), dataset)


def noisy(experiment: Experiment, errors: tuple[float, float], size: float = 0.05) -> tuple[float, float]:
    """Train and test error with normal noise of the run's own, the same whenever it is asked for."""
    train, test = np.random.default_rng(int(experiment.key, 16)).normal(errors, size)
    return float(train), float(test)


def times(
    chosen: Options, seconds: Callable[[Experiment], float], spread: float = 0.01, dataset: Dataset = DATASET
) -> Times:
    """Five rounds of made-up times of training steps and epochs."""
    random = np.random.default_rng(0)
    study = Study(chosen, dataset)
    needed = {name_of(one, timed): one for timed in (STEP, EPOCH) for one in networks_timed(CLAIMS, study, timed)}
    return Times({name: seconds(one) * random.lognormal(0, spread, 5) for name, one in needed.items()})
