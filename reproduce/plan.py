"""What a set of runs would cost, without training them: counted from their settings, at a speed that was measured."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reproduce import cost
from reproduce.augmentation import COPIES
from reproduce.data import Dataset
from reproduce.experiment import Experiment
from reproduce.jobs import Job

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
