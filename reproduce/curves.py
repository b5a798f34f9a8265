"""Curves: what a figure draws, whether the report's or ours."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reproduce.files import csv_bytes, write_atomically
from reproduce.history import History, is_complete

COLUMNS = ("panel", "series", "quantity", "epoch", "seed", "value")
QUANTITIES = {
    "train error (%)": lambda row: 100 - row.train_accuracy,
    "train accuracy (%)": lambda row: row.train_accuracy,
    "test error (%)": lambda row: 100 - row.test_accuracy,
    "test accuracy (%)": lambda row: row.test_accuracy,
}
SYNTHETIC_MARK = ", synthetic data"


class Curve(NamedTuple):
    """One quantity of one series over the epochs."""

    panel: str
    series: str
    quantity: str
    epochs: np.ndarray
    """(E,) int, ascending"""
    values: np.ndarray
    """(S, E) float64, percent, a row a seed; not a number from the epoch in which a run diverged"""

    def mean(self) -> np.ndarray:
        """(E,) mean over the seeds that have not diverged; not a number where all have."""
        present = np.isfinite(self.values)
        total = np.where(present, self.values, 0).sum(axis=0)
        return np.divide(total, present.sum(axis=0), out=np.full(len(self.epochs), np.nan), where=present.any(axis=0))

    def diverged(self) -> int:
        """How many seeds have no number in the last epoch."""
        return int((~np.isfinite(self.values[:, -1])).sum())


def curve_of(panel: str, series: str, quantity: str, histories: Iterable[History], epochs: int) -> Curve:
    """The first `epochs` epochs of runs that differ in their seeds alone."""
    rows = []
    for history in histories:
        values = [QUANTITIES[quantity](row) for row in history[:epochs]]
        rows.append(values + [np.nan] * (epochs - len(values)))
    return Curve(panel, series, quantity, np.arange(epochs), np.array(rows, np.float64))


def begun_curve(panel: str, series: str, quantity: str, histories: Sequence[History]) -> Curve:
    """One curve from the histories of its seeds, as far as all of them go; without any epoch if one has none."""
    epochs = max(len(history) for history in histories)
    while epochs and not all(is_complete(history, epochs) for history in histories):
        epochs -= 1
    return curve_of(panel, series, quantity, histories, epochs)


def write_curves(path: Path, curves: Iterable[Curve], is_synthetic: bool) -> None:
    """Write what a figure draws as CSV, a row for each seed and epoch; synthetic results say so in their quantity."""
    lines: list[Sequence[object]] = [COLUMNS]
    for curve in curves:
        quantity = curve.quantity + (SYNTHETIC_MARK if is_synthetic else "")
        for seed, values in enumerate(curve.values):
            for epoch, value in zip(curve.epochs, values, strict=True):
                lines.append([curve.panel, curve.series, quantity, int(epoch), seed, f"{value:.4f}"])
    write_atomically(path, csv_bytes(lines))
