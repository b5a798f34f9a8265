"""In which order the curves of each panel come, the report's and ours, from the published CSVs."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from figures.claims.regime import REGIME_POINTS
from figures.nearness import is_mostly_there
from figures.sections import FIGURES
from reproduce.analysis.curves import Curve, as_error, is_accuracy, part_of, without_unit
from reproduce.analysis.report_curves import report_curves
from reproduce.analysis.report_spread import are_tied, two_runs_apart
from reproduce.files import csv_rows
from reproduce.render.tables import markdown_rows
from reproduce.text import counted, counted_from, shown

# Profiles on all images, the longer the later. A demonstration decides nothing.
ON_ALL_IMAGES = ("evening", "overnight", "full")

# A panel's curves: figure, panel, quantity.
PanelKey = tuple[str, str, str]
Rows = list[dict[str, str]]


class Order(NamedTuple):
    """The series of one panel at one epoch, percent by name, the best one first."""

    quantity: str
    theirs: dict[str, float]
    ours: dict[str, float]
    cut: str = ""
    """`epoch 10 of 19`, where the report's curves go on."""

    @property
    def agrees(self) -> bool:
        """Whether ours come in the report's order."""
        return [*self.ours] == [*self.theirs]

    @property
    def is_tied(self) -> bool:
        """Whether two of our curves are nearer to each other than that pair of the report's."""
        return are_tied(self.ours.values(), self.quantity)

    @property
    def is_report_tied(self) -> bool:
        """Whether two of the report's curves are, so that there is no order to come in."""
        return are_tied(self.theirs.values(), self.quantity)

    @property
    def is_far(self) -> bool:
        """Whether one of our curves is far from the report's."""
        return any(abs(value - self.theirs[name]) > REGIME_POINTS for name, value in self.ours.items())

    @property
    def agrees_clearly(self) -> bool:
        """Whether ours come in the report's order, near its curves and apart from each other."""
        return self.agrees and not self.is_tied and not self.is_far


def table_of_orders(published: Path) -> list[str]:
    """For each panel the report's order, ours at its own scale and ours where most panels are trained, as Markdown."""
    rows_at_full = csv_rows(published / "full" / "nearness.csv")
    near, of_report = _by_panel(filter(_is_mostly_there, rows_at_full)), _by_panel(rows_at_full)
    histories = csv_rows(published / "full" / "histories.csv")
    full = {key: _at_its_own_scale(rows, histories) for key, rows in near.items() if len(rows) == len(of_report[key])}
    by_profile = {
        profile: _by_panel(row for row in csv_rows(published / profile / "comparison.csv") if row["report_rank"])
        for profile in ON_ALL_IMAGES
    }
    profile = max(reversed(ON_ALL_IMAGES), key=lambda one: len(by_profile[one]))
    compared = by_profile[profile]
    small = {key: _by_ranks(rows) for key, rows in compared.items()} if profile != "full" else {}
    panels = [key for key in dict.fromkeys((*small, *full)) if len((small.get(key) or full[key]).theirs) > 1]
    full, small = ({key: orders[key] for key in panels if key in orders} for orders in (full, small))
    if not panels:
        return []
    cells = []
    for key in panels:
        order = full.get(key) or small[key]
        at_the_end = [name for name in _at_the_report_s_end(*key) if name in order.theirs]
        reports = [
            ", ".join([_with_values(order.theirs), *["*tied*"] * order.is_report_tied]),
            *[f"at its end {', '.join(at_the_end)}"] * (at_the_end not in ([], [*order.theirs])),
        ]
        first = _in_words(full[key]) if key in full else ""
        # Networks of another width are compared by their order alone.
        second = _in_words(small[key], [*order.theirs]) if key in small else ""
        gaps = _gaps_in_words(near.get(key, []), len(order.theirs))
        cells.append((_what_it_shows(*key), "; ".join(reports), first, gaps, second))
    columns = (
        *("%", "the report at the epoch compared, best first", "ours, at the report's scale", "mean gap, points"),
        f"ours, `{profile}`",
    )
    kept = [0, 1, *(2, 3) * bool(near), *(4,) * bool(small)]
    return [
        *_summary(published, full, small, profile, near, compared),
        "x1, x2 and x3 are networks of one, two and three blocks of two convolutions.",
        "",
        *markdown_rows([columns[n] for n in kept], [[row[n] for n in kept] for row in cells], ()),
        "",
    ]


def seeds_in_words(numbers: Iterable[int]) -> str:
    """`3 seeds`, or `1 to 3 seeds`, of what has any."""
    found = [number for number in numbers if number] or [0]
    return counted_from(min(found), max(found), "seed")


def _by_panel(rows: Iterable[dict[str, str]]) -> dict[PanelKey, Rows]:
    found: dict[PanelKey, Rows] = {}
    for row in rows:
        found.setdefault((row["figure"], row["panel"], row["quantity"]), []).append(row)
    return found


def _is_mostly_there(row: dict[str, str]) -> bool:
    return is_mostly_there(int(row["epochs_compared"]), int(row["epochs_in_report"]))


def _by_ranks(rows: Rows) -> Order:
    """As a profile's comparison ranks them."""
    # A curve that diverged has no end.
    theirs, ours = (
        {row["series"]: float(row[value] or "inf") for row in sorted(rows, key=lambda row: float(row[rank]))}
        for value, rank in (("report", "report_rank"), ("ours", "our_rank"))
    )
    return Order(rows[0]["quantity"], theirs, ours)


def _at_its_own_scale(rows: Rows, histories: Rows) -> Order:
    """At the last epoch that all of a panel's curves have, the report's and ours."""
    last = min(int(row["last_epoch_compared"]) for row in rows)
    epochs = {row["key"]: row for row in histories if int(row["epoch"]) == last}
    reports = {curve[:3]: curve for curve in report_curves(int(rows[0]["figure"]))}
    quantity = rows[0]["quantity"]
    theirs, ours = {}, {}
    for row in rows:
        name, column = row["series"], f"{part_of(quantity)}_accuracy"
        report = reports[row["panel"], name, quantity]
        theirs[name] = _at_epoch(report, last)
        accuracies = [float(epochs[key][column]) for key in row["runs"].split() if key in epochs]
        # A run that diverged has no such epoch, or NaN in it.
        errors = [100 - accuracy for accuracy in accuracies if math.isfinite(accuracy)]
        ours[name] = as_error(statistics.mean(errors) if errors else math.inf, quantity)
    end = min(int(reports[row["panel"], row["series"], quantity].epochs[-1]) for row in rows)
    cut = f"epoch {last} of {end}" if last < end else ""
    return Order(quantity, _best_first(theirs, quantity), _best_first(ours, quantity), cut)


def _at_the_report_s_end(number: str, panel: str, quantity: str) -> list[str]:
    """The report's series at the last epoch that all curves of the panel have, the best one first."""
    curves = {one.series: one for one in report_curves(int(number)) if (one.panel, one.quantity) == (panel, quantity)}
    end = min(int(curve.epochs[-1]) for curve in curves.values())
    return [*_best_first({name: _at_epoch(curve, end) for name, curve in curves.items()}, quantity)]


def _at_epoch(curve: Curve, epoch: int) -> float:
    """A curve's mean over seeds in one of its epochs."""
    return float(curve.mean()[list(curve.epochs).index(epoch)])


def _best_first(ends: dict[str, float], quantity: str) -> dict[str, float]:
    return {name: ends[name] for name in sorted(ends, key=ends.__getitem__, reverse=is_accuracy(quantity))}


def _in_words(order: Order, theirs: Sequence[str] = ()) -> str:
    """`the same: 1.8, 21.7, *tied*; epoch 10 of 19`, or our series with their values, the best one first.

    Args:
        theirs: the report's order where values cannot be compared: then `the same`, or our series.
    """
    if theirs:
        said = "the same" if order.agrees and [*order.ours] == theirs else ", ".join(order.ours)
    elif order.agrees:
        said = f"the same: {', '.join(map(shown, order.ours.values()))}"
    else:
        said = _with_values(order.ours)
    said = ", ".join([said, *["*far*"] * order.is_far, *["*tied*"] * order.is_tied])
    return "; ".join(filter(None, (said, order.cut)))


def _with_values(ends: dict[str, float]) -> str:
    """`x3 1.9, x2 19.5`."""
    return ", ".join(f"{name} {shown(value)}" for name, value in ends.items())


def _gaps_in_words(rows: Rows, series: int) -> str:
    """`1.0 to 2.3` points, and of which curve alone where the others of the panel are not there."""
    finite = sorted(gap for row in rows if math.isfinite(gap := float(row["mean_absolute_gap"])))
    if not finite:
        return ""
    found = " to ".join(dict.fromkeys(f"{gap:.1f}" for gap in (finite[0], finite[-1])))
    return found if len(rows) == series else f"{found} ({', '.join(row['series'] for row in rows)} only)"


def _what_it_shows(number: str, panel: str, quantity: str) -> str:
    """A panel for somebody who does not have the report at hand: `3 batch normalization, x1: train error`."""
    about = FIGURES[int(number)].title.partition(":")[0]
    quantity = without_unit(quantity)
    is_named_so = panel.replace("training", "train") == quantity
    where = ", ".join(filter(None, (about[0].lower() + about[1:], "" if is_named_so else panel)))
    return f"{number} {where}: {quantity}"


def _summary(
    published: Path,
    full: dict[PanelKey, Order],
    small: dict[PanelKey, Order],
    profile: str,
    near: dict[PanelKey, Rows],
    compared: dict[PanelKey, Rows],
) -> list[str]:
    """In how many panels the orders agree, at which scale, and what the marks mean: paragraphs."""
    paragraphs = []
    if full:
        summary = json.loads((published / "full" / "summary.json").read_text(encoding="utf-8"))
        seeds = seeds_in_words(int(row["seeds"]) for key in full for row in near[key])
        alone = [
            order
            for key, order in full.items()
            if not order.is_report_tied and all(row["chosen_on"] == "no" for row in near[key])
        ]
        agreement = _agreement("At the report's own scale,", full)
        paragraphs += [
            f"{agreement} That is {seeds}, on the {summary['data']}, at the last epoch that all curves of a panel "
            "have; epochs count from 0. Some settings of ours are not in the report and were chosen by its curves, or "
            "will be ([which](docs/settings.md)); of the panels with an order and without such a setting, "
            f"{sum(order.agrees for order in alone)} of {len(alone)} agree (by chance: about {_by_chance(alone):.0f}).",
            "",
        ]
    if small:
        summary = json.loads((published / profile / "summary.json").read_text(encoding="utf-8"))
        of_compared = [row for key in small for row in compared[key]]
        seeds = seeds_in_words(int(row["seeds"]) for row in of_compared)
        last = " or ".join(sorted({row["epoch"] for row in of_compared}, key=int))
        paragraphs += [
            f"{_agreement(f'In the smaller profile [{profile}](docs/results/{profile}),', small)} That is "
            f"{summary['train_images']:,} images, {summary['width']:g} of the width, batches of "
            f"{summary['batch_size']}, {seeds}, at epoch {last}.",
            "",
        ]
    train, test = (f"{two_runs_apart(quantity):.1f}" for quantity in ("train", "test"))
    return [
        *paragraphs,
        "*Tied*: two curves end nearer to each other than two curves of the report that may be of one setting "
        f"({train} points of train error, {test} of test error). Runs of some networks lie further "
        "apart. Where the report's are tied, a panel has no order. "
        "*Clearly*: ours are not tied, and none is *far*, which is more than "
        f"{REGIME_POINTS:.0f} points from the report's.",
        "",
    ]


def _agreement(where: str, orders: dict[PanelKey, Order]) -> str:
    """In how many panels ours come in the report's order, how many that would be by chance, in how many clearly."""
    with_one = [order for order in orders.values() if not order.is_report_tied]
    without = [order for order in orders.values() if order.is_report_tied]
    agreeing, total = sum(order.agrees for order in with_one), len(with_one)
    clearly = sum(order.agrees_clearly for order in with_one)
    others = f" In {len(without)} more its own curves are tied; ours agree in {sum(order.agrees for order in without)}."
    if not with_one:
        return f"**{where} all of the report's curves are tied in {counted(len(without), 'panel')}**."
    return (
        f"**{where} our curves come in the report's order in {'all' if agreeing == total else f'{agreeing} of the'} "
        f"{counted(total, 'panel')} where it has one** (by chance: about {_by_chance(with_one):.0f}), in {clearly} of "
        f"them clearly.{others if without else ''}"
    )


def _by_chance(orders: Iterable[Order]) -> float:
    """In how many panels curves in any order at all would come in the report's, on average."""
    return sum(1 / math.factorial(len(order.theirs)) for order in orders)
