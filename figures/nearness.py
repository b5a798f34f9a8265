"""How near our curves are to the report's own, at its scale and with the full profile's settings, as far as runs go."""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.special import stdtrit

from figures.figure import made_from
from figures.sections import FIGURES
from reproduce.analysis.curves import Curve, Series, begun_curve
from reproduce.analysis.report_curves import report_curve
from reproduce.analysis.significance import FEWEST_SEEDS, SIGNIFICANCE
from reproduce.files import csv_bytes, write_atomically
from reproduce.render.plotting import curves_picture, stamp_of
from reproduce.store.history import History, is_complete
from reproduce.study import Study
from reproduce.unstated.candidates import QUESTIONS
from reproduce.unstated.race import gap_to

COLUMNS = (
    *("figure", "panel", "series", "quantity", "epochs_trained", "epochs_compared", "epochs_in_report"),
    *("mean_absolute_gap", "mean_gap", "last_epoch_compared", "ours", "report"),
    *("in_prediction_interval", "runs", "chosen_on", "seeds", "profile", "data"),
)


def is_mostly_there(compared: int, in_report: int) -> bool:
    """Whether ours has at least half of the epochs of the report's curve."""
    return 2 * compared >= in_report


def trained_in_words(lengths: Sequence[tuple[int, int]]) -> str:
    """`37 of the report's 39 curves are trained at its own scale, to at least half of their epochs`.

    Args:
        lengths: of each curve the epochs that ours has as well, and the report's.
    """
    if all(compared == in_report for compared, in_report in lengths):
        return f"All {len(lengths)} of the report's curves are trained at its own scale, to their ends"
    near = sum(is_mostly_there(*length) for length in lengths)
    return (
        f"{near} of the report's {len(lengths)} curves are trained at its own scale, to at least half of their epochs"
    )


class Pair(NamedTuple):
    """One of the report's curves and ours, which has no epoch where one of its runs has not begun."""

    series: Series
    report: Curve
    ours: Curve

    @property
    def common(self) -> np.ndarray:
        """(C,) int: the epochs of the report's curve that ours has as well."""
        return self.report.epochs[self.report.epochs < len(self.ours.epochs)]

    @property
    def is_mostly_there(self) -> bool:
        """Whether ours has at least half of the epochs of the report's curve."""
        return is_mostly_there(len(self.common), len(self.report.epochs))

    @property
    def gap(self) -> float:
        """Mean |ours - the report's| over them, points; infinite if a seed diverged, NaN if there are none."""
        return gap_to(self.report, self.ours, len(self.ours.epochs))

    @property
    def signed_gap(self) -> float:
        """Mean of ours minus the report's over the common epochs, points."""
        return float((self.ours.mean()[self.common] - self.report_mean).mean())

    @property
    def report_mean(self) -> np.ndarray:
        """(C,) float: the report's curve at the common epochs, percent."""
        return self.report.mean()[np.isin(self.report.epochs, self.common)]

    @property
    def in_prediction_interval(self) -> int | None:
        """How many of the report's points lie where a further run of ours would with 95 %; None for fewer than 3 seeds.

        Epoch by epoch, with S seeds of mean m and standard deviation s: m +- t s sqrt(1 + 1 / S), where t is Student's
        with S - 1 degrees of freedom. None as well if a seed diverged.
        """
        values = self.ours.values[:, self.common]
        seeds = len(values)
        if seeds < FEWEST_SEEDS or not values.size or not np.isfinite(values).all():
            return None
        half = stdtrit(seeds - 1, 1 - SIGNIFICANCE / 2) * values.std(axis=0, ddof=1) * np.sqrt(1 + 1 / seeds)
        return int((abs(self.report_mean - values.mean(axis=0)) <= half).sum())

    @property
    def is_chosen_on(self) -> bool:
        """Whether a setting of this curve's run was chosen by this very curve."""
        deciding = [question for question in QUESTIONS if not question.is_a_test]
        return any(_name(self.series) == _name(one) for question in deciding for one in question.curves)


def _name(series: Series) -> tuple[object, ...]:
    return series.figure, series.panel, series.name, series.quantity


def pairs_of(study: Study) -> list[Pair]:
    """All curves of the report's figures, each with what the results store has of it.

    Of the seeds that are as far as the first one, or as the report's curve: another that has just begun must not cut
    the curve.
    """
    return [
        Pair(series, report, begun_curve(series, _long_enough(study.histories(series.settings), report)))
        for figure in FIGURES.values()
        for series in figure.series
        if (report := report_curve(series)) is not None
    ]


def _long_enough(histories: Sequence[History], report: Curve) -> list[History]:
    epochs = min(len(histories[0]), int(report.epochs[-1]) + 1)
    return list(takewhile(lambda history: history and is_complete(history, epochs), histories)) or [[]]


def write_nearness(path: Path, pairs: Iterable[Pair], study: Study) -> None:
    """A row for each of the report's curves; percent and points, empty where no epoch of it can be compared."""
    pairs = list(pairs)
    made, chosen = (study.options.profile, study.dataset.name), _chosen_networks(pairs, study)
    rows = []
    for pair in pairs:
        keys = [one.key for one in study.experiments(pair.series.settings)[: len(pair.ours.values)]]
        seeds = len(keys) if len(pair.ours.epochs) else 0
        rows.append((*_row(pair), " ".join(keys), "yes" if keys[0] in chosen else "no", seeds, *made))
    write_atomically(path, csv_bytes([COLUMNS, *rows]))


def _chosen_networks(pairs: Iterable[Pair], study: Study) -> set[str]:
    """The first runs of those of which one curve decides a setting: they are near it in all of their curves."""
    return {_first_run(pair, study) for pair in pairs if pair.is_chosen_on}


def _first_run(pair: Pair, study: Study) -> str:
    """What a network is known by: its curves may have unlike numbers of seeds, and all of them have the first."""
    return study.experiment(pair.series.settings, 0).key


def _row(pair: Pair) -> Sequence[object]:
    common, ours = pair.common, pair.ours.mean()
    counts = len(ours), len(common), len(pair.report.epochs)
    compared: Sequence[object] = ("", "", "", "", "", "")
    if len(common):
        values = (pair.gap, pair.signed_gap, ours[common[-1]], pair.report_mean[-1])
        written = [f"{number:.4f}" for number in values]
        inside = pair.in_prediction_interval
        compared = (*written[:2], common[-1], *written[2:], "" if inside is None else inside)
    return (pair.series.figure, *pair.report[:3], *counts, *compared)


def overlay_picture(pairs: Sequence[Pair], study: Study) -> Figure | None:
    """The curves of one figure (`overlay_figure`) that are mostly there over the report's; None if none is."""
    chosen = _chosen_networks(pairs, study)
    number = overlay_figure(
        (_number(pair), len(pair.common), len(pair.report.epochs), _first_run(pair, study) in chosen) for pair in pairs
    )
    if number is None:
        return None
    title = f"Figure {number}. {FIGURES[number].title}, at the report's own scale"
    return nearness_picture([pair for pair in pairs if _number(pair) == number], study, title)


def overlay_figure(curves: Iterable[tuple[int, int, int, bool]]) -> int | None:
    """The figure that shows best how near our curves are; None if no curve is mostly there.

    It is the one with the most such curves; of those with as many the most complete one, and then the one with the
    fewest curves by which a setting was chosen.

    Args:
        curves: of each the number of its figure, how many epochs are compared, how many the report's has, and whether a
            setting of its run was chosen by the report's curves.
    """
    found: dict[int, list[tuple[float, bool]]] = {}
    for number, compared, in_report, is_chosen in curves:
        if is_mostly_there(compared, in_report):
            found.setdefault(number, []).append((compared / in_report, is_chosen))

    def rank(number: int) -> tuple[float, ...]:
        shares, chosen = zip(*found[number], strict=True)
        return -len(shares), -sum(shares), sum(chosen), number

    return min(found, key=rank, default=None)


def _number(pair: Pair) -> int:
    return pair.series.figure or 0


def nearness_picture(pairs: Iterable[Pair], study: Study, of_one_figure: str = "") -> Figure | None:
    """Every curve that is mostly there over the report's, by panels; None if there is none.

    Args:
        of_one_figure: the title where all are of one figure, whose number the panels then need not say.
    """
    report, ours, notes = [], [], {}
    for pair in pairs:
        if not pair.is_mostly_there:
            continue
        figure, panel = FIGURES[_number(pair)], pair.report.panel
        number = "" if of_one_figure else f"Figure {figure.number}"
        name = ", ".join(filter(None, (number, figure.explained.get(panel, panel))))
        report.append(pair.report._replace(panel=name))
        # Some of our runs are longer, for another figure.
        shown = int(pair.report.epochs[-1]) + 1
        cut = pair.ours._replace(panel=name, epochs=pair.ours.epochs[:shown], values=pair.ours.values[:, :shown])
        ours.append(cut)
        until = f" to epoch {pair.common[-1]}" if pair.common[-1] < pair.report.epochs[-1] else ""
        notes[ours[-1][:3]] = f"gap {pair.gap:.1f}{until}" if np.isfinite(pair.gap) else ""
    if not ours:
        return None
    return curves_picture(
        of_one_figure or "Curves trained at the report's own scale",
        report,
        ours,
        [made_from(study, (len(curve.epochs) for curve in ours), (len(curve.values) for curve in ours))],
        is_overlaid=True,
        stamp=stamp_of(study.options.profile, study.dataset.is_synthetic),
        notes=notes,
    )
