"""How far two runs of one setting of the report lie apart, and so which of its curves have an order at all."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from reproduce.analysis.curves import as_error, part_of
from reproduce.analysis.report_curves import report_curves

# Two runs each, drawn from two files in the author's scripts, and perhaps of one setting (docs/settings.md). Figure
# 4's network is not known: here it is Conv_NN, which has two convolutions more than x3. If they differ, the train
# pair's distance is of settings and noise together, and an upper bound on the noise. One pair tells a deviation to a
# factor of several only: the epochs of a pair are not independent.
TRAIN_PAIR = ((2, "x3", "train error (%)"), (4, "no dropout", "train error (%)"))
TEST_PAIR = ((5, "dropout 0.25", "test error (%)"), (10, "before tuning", "test accuracy (%)"))


@dataclass(frozen=True)
class Spread:
    """The standard deviation of one run's end from seed to seed, points."""

    train: float
    test: float

    def of(self, quantity: str) -> float:
        """That of a curve of this quantity."""
        return self.train if part_of(quantity) == "train" else self.test


@lru_cache
def report_spread() -> Spread:
    """From two pairs of runs that may be of one setting each: root mean square distance, over the root of two."""
    return Spread(*(math.sqrt((_distances(pair) ** 2).mean() / 2) for pair in (TRAIN_PAIR, TEST_PAIR)))


def two_runs_apart(quantity: str) -> float:
    """Points between two runs of one setting of the report, root mean square."""
    return report_spread().of(quantity) * math.sqrt(2)


def are_tied(values: Iterable[float], quantity: str) -> bool:
    """Whether two of these values, percent, are nearer to each other than two of the report that may be of one."""
    return any(after - before < two_runs_apart(quantity) for before, after in pairwise(sorted(values)))


def report_test_distance() -> float:
    """Points of test error between two runs of the report that may both be the baseline's, on average over epochs."""
    return float(abs(_distances(TEST_PAIR)).mean())


def _distances(pair: Iterable[tuple[int, str, str]]) -> np.ndarray:
    """(E,) float: one of two of the report's curves minus the other one, as error, at the epochs of both, points."""
    first, second = (
        next(one for one in report_curves(number) if (one.series, one.quantity) == (name, quantity))
        for number, name, quantity in pair
    )
    _, of_first, of_second = np.intersect1d(first.epochs, second.epochs, return_indices=True)
    errors = (as_error(curve.values[0], curve.quantity) for curve in (first, second))
    return np.subtract(*(one[at] for one, at in zip(errors, (of_first, of_second), strict=True)))
