"""What a command asks for: runs of a certain length, each once, in the order in which they are best begun."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from reproduce.data.dataset import Dataset
from reproduce.experiment import Experiment
from reproduce.sweep.cost import training_operations


class Job(NamedTuple):
    """A run that is wanted, and how long."""

    experiment: Experiment
    epochs: int
    label: str
    needed_by: frozenset[str] = frozenset()
    """names of the figures, or of the claims, that need the run"""

    @property
    def key(self) -> str:
        return self.experiment.key


def without_repeats(jobs: Iterable[Job]) -> list[Job]:
    """Each run once, as long as its longest use, in the order of first use."""
    wanted: dict[str, Job] = {}
    for job in jobs:
        known = wanted.setdefault(job.key, job)
        wanted[job.key] = known._replace(
            epochs=max(known.epochs, job.epochs), needed_by=known.needed_by | job.needed_by
        )
    return list(wanted.values())


def operations_of(job: Job, dataset: Dataset) -> float:
    """Floating point operations of a whole run, from its first epoch to its last."""
    return job.epochs * training_operations(job.experiment, len(dataset.y_train), len(dataset.y_test))


def in_order(jobs: Iterable[Job], dataset: Dataset) -> list[Job]:
    """Longest first, so that no long run is left over when all others are done, and shared runs before single ones.

    Lengths are told apart by powers of two only: among runs of about the same length, those come first that the most
    figures or claims need, then the longer ones, then lower seeds. So the workers are done at about the same time, as
    in strict order of length, and the first figures are complete long before the last.
    """

    def place(job: Job) -> tuple[float, ...]:
        operations = operations_of(job, dataset)
        return -math.floor(math.log2(operations)), -len(job.needed_by), -operations, job.experiment.seed

    return sorted(jobs, key=place)
