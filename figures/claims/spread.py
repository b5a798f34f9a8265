"""How far two runs of one setting lie apart, at the report's scale: what a difference of two single runs is worth."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from figures.claims.measures import LAST_EPOCHS
from reproduce.analysis.curves import Series
from reproduce.analysis.report_spread import Spread, report_spread
from reproduce.analysis.significance import FEWEST_SEEDS
from reproduce.files import csv_rows
from reproduce.study import Study

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "results" / "full"
# Shorter runs are still in the steep part of their curves, where seeds are farther apart.
FEWEST_EPOCHS = 8
# One network does not speak for the others: at 2 % train error there is little room to spread, at 30 % there is much.
FEWEST_SETTINGS = 3


def _of_runs(groups: Iterable[list[np.ndarray]]) -> Spread | None:
    """The median over settings of the standard deviation over seeds at the end; None if too few have enough seeds.

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
    if len(deviations) < FEWEST_SETTINGS:
        return None
    train, test = (statistics.median(float(one[i]) for one in deviations) for i in (0, 1))
    return Spread(train, test)


def spread_of(study: Study, shown: Iterable[Series], published: Path = PUBLISHED) -> Spread:
    """From our own seeds at the report's scale: the study's, else those published; else from the report's own pairs."""
    found = None
    if study.is_report_scale:
        # Several curves, and settings that say more or less of what is the default, are of one run.
        by_run = {study.experiment(series.settings, 0).key: series.settings for series in shown}
        found = _of_runs(
            [np.array([(r.train_accuracy, r.test_accuracy) for r in h]).reshape(-1, 2) for h in study.histories(one)]
            for one in by_run.values()
        )
    return found or _of_runs(_published_groups(published)) or report_spread()


def _published_groups(folder: Path) -> list[list[np.ndarray]]:
    epochs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    groups: dict[tuple[str, str], dict[str, np.ndarray]] = defaultdict(dict)
    for row in csv_rows(folder / "histories.csv"):
        epochs[row["key"]].append((float(row["train_accuracy"]), float(row["test_accuracy"])))
    for row in csv_rows(folder / "runs.csv"):
        # Runs of the claims alone, such as those at ten times the usual rate, have settings that the report has not.
        if "figure-" not in row["used_by"]:
            continue
        setting = row["data_fingerprint"], row["settings"].replace(f"--seed={row['seed']} ", "")
        groups[setting][row["key"]] = np.array(epochs[row["key"]])
    return [list(group.values()) for group in groups.values()]
