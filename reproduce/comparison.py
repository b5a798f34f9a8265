"""Our curves against the report's: gaps at the report's scale, and whether the series come in the same order."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reproduce.curves import SYNTHETIC_MARK, Curve
from reproduce.files import csv_bytes, write_atomically

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
    mean_absolute_gap: float
    """mean over the common epochs of |our mean - the report|, points"""
    our_rank: int
    """1 for the best of the panel: the lowest error or the highest accuracy; series that tie share the better rank"""
    report_rank: int
    tau: float
    """Kendall's tau-b between the report's order of the panel's series and ours; not a number if all of ours tie"""
    diverged: int
    """seeds that diverged"""
    seeds: int

    @property
    def gap(self) -> float:
        """Ours minus the report's, points."""
        return self.ours - self.report


def last_values(report: Sequence[Curve], ours: Sequence[Curve]) -> list[Row]:
    """Each series at its panel's last common epoch: the last one that every curve of both sides has.

    A series of which every seed has diverged comes last; the others are ranked by the mean of their living seeds.
    """
    rows = []
    for panel in dict.fromkeys((curve.panel, curve.quantity) for curve in ours):
        our_curves = {curve.series: curve for curve in ours if (curve.panel, curve.quantity) == panel}
        report_curves = {curve.series: curve for curve in report if (curve.panel, curve.quantity) == panel}
        our_curves = {name: curve for name, curve in our_curves.items() if name in report_curves}
        if not our_curves:
            continue
        alike = [*our_curves.values(), *(report_curves[name] for name in our_curves)]
        common = sorted(set.intersection(*(set(curve.epochs.tolist()) for curve in alike)))
        if not common:
            continue
        epoch = common[-1]
        our_means = {name: _at(curve, common) for name, curve in our_curves.items()}
        report_means = {name: _at(report_curves[name], common) for name in our_curves}
        our_badness = {name: _badness(values[-1], panel[1]) for name, values in our_means.items()}
        report_badness = {name: _badness(values[-1], panel[1]) for name, values in report_means.items()}
        tau = kendall_tau(list(report_badness.values()), list(our_badness.values()))
        for name, curve in our_curves.items():
            column = curve.values[:, curve.epochs == epoch]
            column = column[np.isfinite(column)]
            gaps = abs(our_means[name] - report_means[name])
            gaps = gaps[np.isfinite(gaps)]
            rows.append(
                Row(
                    panel[0],
                    name,
                    panel[1],
                    epoch,
                    float(our_means[name][-1]),
                    float(np.ptp(column)) / 2 if column.size else np.nan,
                    float(report_means[name][-1]),
                    float(gaps.mean()) if gaps.size else np.nan,
                    _rank(our_badness, name),
                    _rank(report_badness, name),
                    tau,
                    len(curve.values) - column.size,
                    len(curve.values),
                )
            )
    return rows


def _at(curve: Curve, epochs: Sequence[int]) -> np.ndarray:
    """(E,) the mean over seeds at some of the curve's epochs."""
    return curve.mean()[np.isin(curve.epochs, epochs)]


def _badness(value: float, quantity: str) -> float:
    """A number that is lower for the better of two series."""
    if not np.isfinite(value):
        return LAST
    return -float(value) if "accuracy" in quantity else float(value)


def _rank(badness: dict[str, float], name: str) -> int:
    return 1 + sum(other < badness[name] for other in badness.values())


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b between two orders of the same things; not a number if one is one tie.

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


def format_table(cells: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    """Rows of cells as text for a terminal.

    Args:
        cells: the first row is the heading.
        left: the columns that are set flush left.
    """
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = []
    for line in cells:
        padded = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def shown(value: float, form: str = ".1f") -> str:
    """A number as tables have it; a dash where there is none."""
    return format(value, form) if np.isfinite(value) else "–"


def header(is_full_scale: bool) -> tuple[str, ...]:
    """The heading of `cells_of`."""
    gaps = ("gap", "mean |gap|") if is_full_scale else ()
    return ("panel", "series", "epoch", "ours", "", "report", *gaps, "our rank", "report's", "tau", "data")


def cells_of(row: Row, data_name: str, is_full_scale: bool) -> tuple[str, ...]:
    """A row as readers see it; the data's name is one of its columns. Gaps only where the scale is the report's."""
    spread = f"±{row.spread:.1f}" if row.seeds - row.diverged > 1 else ""
    note = f" ({row.diverged} of {row.seeds} seeds diverged)" if row.diverged else ""
    gaps = (shown(row.gap, "+.1f"), shown(row.mean_absolute_gap)) if is_full_scale else ()
    ranks = (str(row.our_rank), str(row.report_rank), shown(row.tau, "+.2f"))
    values = (str(row.epoch), shown(row.ours), spread, shown(row.report))
    return (row.panel, row.series, *values, *gaps, *ranks, data_name + note)


def table(rows: Sequence[Row], data_name: str, is_full_scale: bool) -> str:
    """The comparison as text, for a terminal."""
    cells = [header(is_full_scale), *(cells_of(row, data_name, is_full_scale) for row in rows)]
    return format_table(cells, left=(0, 1, len(cells[0]) - 1))


def order_sentences(rows: Sequence[Row]) -> list[str]:
    """For each panel, whether our series come in the report's order, best first."""
    sentences = []
    for panel in dict.fromkeys((row.panel, row.quantity) for row in rows):
        of_panel = [row for row in rows if (row.panel, row.quantity) == panel]
        ours = [row.series for row in sorted(of_panel, key=lambda row: (row.our_rank, row.report_rank))]
        reports = [row.series for row in sorted(of_panel, key=lambda row: row.report_rank)]
        is_same = all(row.our_rank == row.report_rank for row in of_panel)
        name = f"{panel[0]}: " if panel[0] else ""
        verdict = "same order as in the report" if is_same else "another order than in the report"
        sentence = f"{name}{verdict} at epoch {of_panel[0].epoch}, best first: {', '.join(ours)}"
        sentences.append(sentence if is_same else f"{sentence}; the report: {', '.join(reports)}")
    return sentences


COLUMNS = (
    *("figure", "panel", "series", "quantity", "epoch", "ours", "spread", "report", "gap", "mean_absolute_gap"),
    *("our_rank", "report_rank", "kendall_tau", "diverged", "seeds", "profile", "data"),
)


def write_comparison(
    path: Path, rows: Sequence[tuple[int, Row]], profile: str, data_name: str, is_synthetic: bool, is_full_scale: bool
) -> None:
    """Write the comparison of all figures as CSV; numbers in percent and points, empty where there is none.

    Gaps are left empty where the scale is not the report's: they would compare networks of different sizes. Synthetic
    results say so in their quantity.
    """

    def number(value: float) -> str:
        return f"{value:.4f}" if np.isfinite(value) else ""

    lines: list[Sequence[object]] = [COLUMNS]
    for figure, row in rows:
        gaps = [number(row.gap), number(row.mean_absolute_gap)] if is_full_scale else ["", ""]
        quantity = row.quantity + (SYNTHETIC_MARK if is_synthetic else "")
        values = [number(row.ours), number(row.spread), number(row.report), *gaps]
        ranks = [row.our_rank, row.report_rank, number(row.tau), row.diverged, row.seeds]
        lines.append([figure, row.panel, row.series, quantity, row.epoch, *values, *ranks, profile, data_name])
    write_atomically(path, csv_bytes(lines))
