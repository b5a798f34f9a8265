"""Curves: what a figure draws, whether the report's or ours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from reproduce.pattern import CLASSES
from reproduce.store.history import History, is_complete

QUANTITIES = {
    "train error (%)": lambda row: 100 - row.train_accuracy,
    "train accuracy (%)": lambda row: row.train_accuracy,
    "test error (%)": lambda row: 100 - row.test_accuracy,
    "test accuracy (%)": lambda row: row.test_accuracy,
}
# Percent, of a network that guesses. A run that diverged gives no answers any more, and counts as one.
GUESSING_ERROR = 100 - 100 / CLASSES


def part_of(quantity: str) -> str:
    """Which images a quantity is of: `train` or `test`."""
    return quantity.split()[0]


def is_accuracy(quantity: str) -> bool:
    """Whether more of it is better: it is an accuracy, and no error."""
    return "accuracy" in quantity


def without_unit(quantity: str) -> str:
    """`train error` of `train error (%)`."""
    return quantity.removesuffix(" (%)")


def as_error(values: Any, quantity: str) -> Any:
    """A quantity's values, numbers or arrays, as error; and an error's as that quantity. Percent."""
    return 100 - values if is_accuracy(quantity) else values


@dataclass(frozen=True)
class Series:
    """A curve as it is declared: what it is called, and the runs that give it.

    Attributes:
        figure: the figure of the report that shows it; None if none does.
        panel, name, quantity: as in the report's own CSV (`reproduce/analysis/report/`); the quantity is one of
            `QUANTITIES`.
        settings: of Experiment; what makes its runs differ from the report's `Conv_NN`.
        epochs: how many the full profile trains: the length of the report's axis; 0 if only candidates for unstated
            settings, which are trained as far as the report's curve goes, are compared with it.
    """

    figure: int | None
    panel: str
    name: str
    quantity: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 0

    @property
    def label(self) -> str:
        """Panel and name, as far as there are any: `max pooling, Adam`."""
        return ", ".join(filter(None, (self.panel, self.name)))


class Curve(NamedTuple):
    """One quantity of one series over the epochs."""

    panel: str
    series: str
    quantity: str
    epochs: np.ndarray
    """(E,) int, ascending"""
    values: np.ndarray
    """(S, E) float64, percent, one row per seed; NaN from the epoch in which a run diverged"""

    def mean(self) -> np.ndarray:
        """(E,) mean over the seeds that have not diverged; NaN where all have."""
        present = np.isfinite(self.values)
        total = np.where(present, self.values, 0).sum(axis=0)
        return np.divide(total, present.sum(axis=0), out=np.full(len(self.epochs), np.nan), where=present.any(axis=0))

    def diverged(self) -> int:
        """How many seeds are NaN in the last epoch."""
        return int((~np.isfinite(self.values[:, -1])).sum())


def curve_of(series: Series, histories: Iterable[History], epochs: int) -> Curve:
    """The first `epochs` epochs of a series' runs, which differ in their seeds alone."""
    rows = []
    for history in histories:
        values = [QUANTITIES[series.quantity](row) for row in history[:epochs]]
        rows.append(values + [np.nan] * (epochs - len(values)))
    return Curve(series.panel, series.name, series.quantity, np.arange(epochs), np.array(rows, np.float64))


def begun_curve(series: Series, histories: Sequence[History]) -> Curve:
    """A series' curve as far as all of its runs go; without any epoch if one has none."""
    epochs = max(len(history) for history in histories)
    while epochs and not all(is_complete(history, epochs) for history in histories):
        epochs -= 1
    return curve_of(series, histories, epochs)
