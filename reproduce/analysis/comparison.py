"""Our curves compared with the report's: gaps, and whether the series come in the same order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reproduce.analysis.curves import Curve, is_accuracy
from reproduce.analysis.report_spread import are_tied

# The worst that a series can have, for one that diverged: only ranks are made of it.
LAST = np.inf


class Row(NamedTuple):
    """One series at the last epoch that both the report and we have."""

    panel: str
    series: str
    quantity: str
    epoch: int
    ours: float
    """mean over the seeds that have not diverged, percent"""
    spread: float
    """half the distance between the highest and the lowest seed, points"""
    report: float
    """percent; NaN if the report has no such curve"""
    mean_absolute_gap: float
    """mean of |our mean - the report| over all epochs that both curves have, also after `epoch`, points"""
    our_rank: int | None
    """1 for the best of the panel: the lowest error or the highest accuracy; series that tie share the better rank"""
    report_rank: int | None
    """both ranks are among the series that the report has, and None for one that it has not"""
    tau: float
    """Kendall's tau-b between the report's order of the panel's series and ours; NaN if all of ours tie"""
    diverged: int
    """seeds that diverged"""
    seeds: int

    @property
    def gap(self) -> float:
        """Ours minus the report's, points."""
        return self.ours - self.report

    @property
    def label(self) -> str:
        """Panel and series, as far as there are any: `max pooling, Adam`."""
        return ", ".join(filter(None, (self.panel, self.series)))


class PanelOrder(NamedTuple):
    """The order of a panel's series at the last common epoch, the report's and ours."""

    panel: str
    quantity: str
    epoch: int
    ours: tuple[str, ...]
    report: tuple[str, ...]
    """names of series, best first"""
    agrees: bool
    """whether every series has the same rank in both"""
    report_is_tied: bool
    """whether two of the report's curves are nearer to each other there than two of its runs: it has no order then"""


def mean_absolute_gap(ours: np.ndarray, report: np.ndarray) -> float:
    """Mean |ours - the report's| over the same epochs, points, without those where one is NaN; NaN if none is left."""
    gaps = abs(ours - report)
    gaps = gaps[np.isfinite(gaps)]
    return float(gaps.mean()) if gaps.size else np.nan


def last_values(report: Sequence[Curve], ours: Sequence[Curve]) -> list[Row]:
    """Each of our series at its panel's last common epoch: the last one that all of its curves have, the report's too.

    A series of which every seed has diverged comes last; the others are ranked by the mean of their living seeds. A
    series that the report has no curve of gets neither gap nor rank.
    """
    rows = []
    for panel in dict.fromkeys((curve.panel, curve.quantity) for curve in ours):
        our_curves = {curve.series: curve for curve in ours if (curve.panel, curve.quantity) == panel}
        theirs = {curve.series: curve for curve in report if (curve.panel, curve.quantity) == panel}
        theirs = {name: curve for name, curve in theirs.items() if name in our_curves}
        epochs = [set(curve.epochs.tolist()) for curve in (*our_curves.values(), *theirs.values())]
        common = sorted(set.intersection(*epochs))
        if not common:
            continue
        epoch = common[-1]
        our_means = {name: _at(curve, common) for name, curve in our_curves.items()}
        report_means = {name: _at(curve, common) for name, curve in theirs.items()}
        our_badness = {name: _badness(our_means[name][-1], panel[1]) for name in theirs}
        report_badness = {name: _badness(values[-1], panel[1]) for name, values in report_means.items()}
        tau = kendall_tau([report_badness[name] for name in theirs], [our_badness[name] for name in theirs])
        for name, curve in our_curves.items():
            column = curve.values[:, curve.epochs == epoch]
            column = column[np.isfinite(column)]
            expected = report_means.get(name, np.array([np.nan]))
            rows.append(
                Row(
                    panel=panel[0],
                    series=name,
                    quantity=panel[1],
                    epoch=epoch,
                    ours=float(our_means[name][-1]),
                    spread=float(np.ptp(column)) / 2 if column.size else np.nan,
                    report=float(expected[-1]),
                    mean_absolute_gap=_gap_to(theirs[name], curve) if name in theirs else np.nan,
                    our_rank=_rank(our_badness, name),
                    report_rank=_rank(report_badness, name),
                    tau=tau if name in theirs else np.nan,
                    diverged=len(curve.values) - column.size,
                    seeds=len(curve.values),
                )
            )
    return rows


def orders(rows: Sequence[Row]) -> list[PanelOrder]:
    """The order of each panel of which the report has at least two of our series."""
    found = []
    for panel, quantity in dict.fromkeys((row.panel, row.quantity) for row in rows):
        ranked = [r for r in rows if (r.panel, r.quantity) == (panel, quantity) and r.report_rank is not None]
        if len(ranked) < 2:
            continue
        ours = tuple(row.series for row in sorted(ranked, key=lambda row: (row.our_rank, row.report_rank)))
        reports = tuple(row.series for row in sorted(ranked, key=lambda row: row.report_rank or 0))
        agrees = all(row.our_rank == row.report_rank for row in ranked)
        is_tied = are_tied([row.report for row in ranked], quantity)
        found.append(PanelOrder(panel, quantity, ranked[0].epoch, ours, reports, agrees, is_tied))
    return found


def _gap_to(report: Curve, ours: Curve) -> float:
    common = np.intersect1d(report.epochs, ours.epochs).tolist()
    return mean_absolute_gap(_at(ours, common), _at(report, common))


def _at(curve: Curve, epochs: Sequence[int]) -> np.ndarray:
    """(E,) the mean over seeds at some of the curve's epochs."""
    return curve.mean()[np.isin(curve.epochs, epochs)]


def _badness(value: float, quantity: str) -> float:
    """A number that is lower for the better of two series."""
    if not np.isfinite(value):
        return LAST
    return -float(value) if is_accuracy(quantity) else float(value)


def _rank(badness: dict[str, float], name: str) -> int | None:
    return 1 + sum(other < badness[name] for other in badness.values()) if name in badness else None


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b between two orders of the same things; NaN if all are tied in one of them.

    Over all pairs, (those in the same order - those in the opposite one) / the geometric mean of how many pairs each
    order tells apart (Kendall 1945, Biometrika 33, 239).
    """
    a, b = _pairwise_order(first), _pairwise_order(second)
    told_apart = np.sqrt(float((a != 0).sum()) * float((b != 0).sum()))
    # `scipy.stats.kendalltau`, which the tests hold this to, takes a fifth of a second to import.
    return float((a * b).sum() / told_apart) if told_apart else np.nan


def _pairwise_order(values: Sequence[float]) -> np.ndarray:
    """(N, N): 1, 0 or -1, as one of two values is larger than, equal to or smaller than the other."""
    _, ranks = np.unique(values, return_inverse=True)
    return np.sign(np.subtract.outer(ranks, ranks))
