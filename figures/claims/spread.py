"""How far two runs of one setting lie apart, at the report's scale: what a difference of two single runs is worth."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figures.claims.measures import LAST_EPOCHS
from reproduce.analysis.curves import Series, as_error, part_of
from reproduce.analysis.report_curves import report_curves
from reproduce.files import csv_rows
from reproduce.study import Study

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "results" / "full"
# Shorter runs are still in the steep part of their curves, where seeds are farther apart.
FEWEST_EPOCHS, FEWEST_SEEDS = 8, 3
# Two runs each, drawn from two files in the author's scripts, and probably of one setting (docs/settings.md). Figure
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


def report_spread() -> Spread:
    """From two pairs of runs that are probably of one setting each: root mean square distance, over the root of two."""
    return Spread(*(math.sqrt((_distances(pair) ** 2).mean() / 2) for pair in (TRAIN_PAIR, TEST_PAIR)))


def report_test_distance() -> float:
    """Points of test error between the report's own two runs of the baseline, on average over their epochs.

    No reproduction can be asked to lie nearer than two runs of the author's own.
    """
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


def _of_runs(groups: Iterable[list[np.ndarray]]) -> Spread | None:
    """The median over settings of the standard deviation over seeds at the end; None if no setting has enough seeds.

    Args:
        groups: for each setting its runs, each (E, 2): train and test accuracy, percent.
    """
    deviations = []
    for runs in groups:
        long_enough = [run for run in runs if len(run) >= FEWEST_EPOCHS and np.isfinite(run).all()]
        if len(long_enough) >= FEWEST_SEEDS:
            end = min(map(len, long_enough))
            ends = np.array([run[end - LAST_EPOCHS : end].mean(axis=0) for run in long_enough])
            deviations.append(ends.std(axis=0, ddof=1))
    if not deviations:
        return None
    train, test = (statistics.median(float(one[i]) for one in deviations) for i in (0, 1))
    return Spread(train, test)


def spread_of(study: Study, shown: Iterable[Series], published: Path = PUBLISHED) -> Spread:
    """From our own seeds at the report's scale: the study's, or those published; else from the report's own pairs."""
    if study.is_report_scale:
        # Several curves, and settings that say more or less of what is the default, are of one run.
        by_run = {study.experiment(series.settings, 0).key: series.settings for series in shown}
        found = _of_runs(
            [np.array([(r.train_accuracy, r.test_accuracy) for r in h]).reshape(-1, 2) for h in study.histories(one)]
            for one in by_run.values()
        )
    else:
        found = _of_runs(_published_groups(published))
    return found or report_spread()


def _published_groups(folder: Path) -> list[list[np.ndarray]]:
    epochs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    groups: dict[tuple[str, str], dict[str, np.ndarray]] = defaultdict(dict)
    for row in csv_rows(folder / "histories.csv"):
        epochs[row["key"]].append((float(row["train_accuracy"]), float(row["test_accuracy"])))
    for row in csv_rows(folder / "runs.csv"):
        setting = row["data_fingerprint"], row["settings"].replace(f"--seed={row['seed']} ", "")
        groups[setting][row["key"]] = np.array(epochs[row["key"]])
    return [list(group.values()) for group in groups.values()]
