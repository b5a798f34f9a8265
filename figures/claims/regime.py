"""Whether our runs are in the report's regime: as far with the training set as its own, at the same epoch.

A network that has learnt next to nothing says nothing about a report whose networks had learnt much, and one that has
learnt much further says as little. So a comparison counts only where each of its settings ends near the report's own
train error, on either side.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from reproduce.analysis.curves import GUESSING_ERROR, Curve, Series, as_error, curve_of, part_of
from reproduce.analysis.report_curves import report_curve
from reproduce.experiment import Experiment
from reproduce.store.history import History

# Between our mean train error and the report's.
REGIME_POINTS = 15.0
TRAIN_ERROR = "train error (%)"


class Arm(NamedTuple):
    """One of the compared settings, and the nearest of the report's train error curves.

    `epoch` is the last one that both have; ours is the mean over the seeds, percent.
    """

    name: str
    figure: int
    panel: str
    series: str
    epoch: int
    ours: float
    report: float

    @property
    def is_in_regime(self) -> bool:
        return abs(self.ours - self.report) <= REGIME_POINTS

    @property
    def text(self) -> str:
        """`x2: 70.1 % train error in epoch 7, the report's nearest curve 32.0 %`."""
        return (
            f"{self.name}: {self.ours:.1f} % train error in epoch {self.epoch}, the report's nearest curve "
            f"{self.report:.1f} %"
        )


def train_curves(shown: Iterable[Series]) -> list[tuple[Series, Curve]]:
    """Those of the report's curves that tell a train error, as error."""
    found = []
    for series in shown:
        curve = report_curve(series)
        if curve is not None and part_of(series.quantity) == "train":
            found.append((series, curve._replace(values=as_error(curve.values, series.quantity))))
    return found


def arm_of(series: Series, histories: Iterable[History], epochs: int, report: Iterable[tuple[Series, Curve]]) -> Arm:
    """How far a series' runs are, compared with the report's.

    Its curve is the one whose settings differ in the fewest places from the series'; of several, the one whose value is
    nearest to ours.
    """
    values = curve_of(replace(series, quantity=TRAIN_ERROR), histories, epochs).values
    ours = np.where(np.isfinite(values), values, GUESSING_ERROR).mean(axis=0)
    candidates = []
    for other, curve in report:
        common = curve.epochs[curve.epochs < epochs]
        if len(common):
            epoch = int(common[-1])
            value = float(curve.values[0, curve.epochs == epoch][0])
            arm = Arm(series.label, *names_of(other), epoch, float(ours[epoch]), value)
            candidates.append((differences(series.settings, other.settings), abs(arm.ours - arm.report), arm))
    return min(candidates, key=lambda one: one[:2])[2]


def names_of(series: Series) -> tuple[int, str, str]:
    """Under which figure, panel and name the report shows a series."""
    return series.figure or 0, series.panel, series.name


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> int:
    """In how many settings two runs differ; the optimizer with all of its own settings counts as one."""
    one, other = (Experiment(**settings).settings() for settings in (first, second))
    if one["optimizer"] != other["optimizer"]:
        return 1 + sum(one[name] != other[name] for name in set(one) & set(other) - {"optimizer", "learning_rate"})
    return sum(one[name] != other[name] for name in one)
