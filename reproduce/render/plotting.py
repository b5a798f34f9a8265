"""Figures of curves: the report's dashed, ours solid, over each other or the one above the other."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from reproduce.analysis.comparison import last_values
from reproduce.analysis.curves import Curve
from reproduce.files import write_atomically
from reproduce.render.looks import (
    GRID_COLOUR,
    HEADING_SIZE,
    INK,
    NAME_SIZE,
    OWN_LOOK,
    PANEL_SIZE,
    PNG_DOTS_PER_INCH,
    REPORT_LOOK,
    SOFT_INK,
    STYLE,
    TEXT_SIZE,
    TITLE_SIZE,
    WIDTH,
    Look,
    fold,
    looks_of,
    text_width,
)

SUFFIXES = (".png", ".svg", ".pdf")
REPORT, REPORT_NAME = "The report", "the report"
OURS = "This reproduction, at a smaller scale: compare the order, not the values"
COMPARED = "compared here"
DASHES = (0, (3.2, 1.6))
CAPTION_LINES = 2
# Between the numbers of an axis.
STEPS = (1, 2, 5, 10)
NOTHING: Mapping[str, str] = MappingProxyType({})

# All in inches. Around the whole picture; left of the axes for their numbers, and for what they measure.
EDGE, NUMBERS, QUANTITY = 0.08, 0.33, 0.2
BETWEEN_COLUMNS, BELOW_AXES, BETWEEN_ROWS = 0.14, 0.37, 0.1
LINE_HEIGHT = 1.27 / 72
# Of the axes: one row of at most three panels; the report above ours; a grid of more panels.
HEIGHT_OF_ONE_ROW, HEIGHT_OF_TWO, HEIGHT_IN_GRID = (3.4, 2.9, 2.6), (2.1, 2.1, 2.0), 1.55
# Axes are at least so high for each of their curves: ten dashed and solid ones cannot be told apart in a low picture.
HEIGHT_OF_CURVE = 0.22
# Between the curves' last epoch, the marker of a name, and the name; above and below a name.
TO_MARKER, TO_NAME, AROUND_NAME = 0.13, 0.1, 0.025
# A name is folded where it would take more inches, or more than this part of its axes.
WIDEST_NAME, WIDEST_PART = 1.45, 0.36
# Ours have the report's vertical axis where they reach over at least this part of it; a lower picture would hide them.
LEAST_PART_OF_AXIS = 0.6
# Markers of one curve stand at least so far apart.
BETWEEN_MARKERS = 0.11


class Line(NamedTuple):
    """A curve of a panel."""

    curve: Curve
    look: Look
    name: str = ""
    """at its right end; none if empty"""
    note: str = ""
    """beneath its name"""
    is_dashed: bool = False
    has_markers: bool = True
    thickness: float = 1.7


@dataclass(frozen=True)
class Panel:
    """Axes with their curves.

    Attributes:
        quantity: what the vertical axis measures.
        stamp: across the curves, if any.
        compared: the epoch to mark, at which these curves are compared with others that end there; None for no mark.
    """

    title: str
    quantity: str
    lines: Sequence[Line]
    stamp: str = ""
    compared: int | None = None

    @property
    def last_epoch(self) -> int:
        return max(int(line.curve.epochs[-1]) for line in self.lines if len(line.curve.epochs))


@dataclass(frozen=True)
class Row:
    """Panels side by side, under a heading if there is one.

    Attributes:
        shares_limits: whether panels of one quantity have one vertical axis.
        limits: of the vertical axis, by quantity, in place of those that its own panels need.
    """

    panels: Sequence[Panel | None]
    heading: str = ""
    shares_limits: bool = True
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def stamp_of(profile: str, is_synthetic: bool) -> str:
    """What is printed across our curves where they are no result; empty where they are one."""
    lines = ["SYNTHETIC DATA", "not CIFAR-10"] if is_synthetic else []
    return "\n".join([*lines, *(["smoke test: no result"] if profile == "smoke" else [])])


def curves_picture(
    title: str,
    report: Sequence[Curve],
    ours: Sequence[Curve],
    caption: Sequence[str],
    *,
    is_overlaid: bool,
    stamp: str = "",
    notes: Mapping[tuple[str, str, str], str] = MappingProxyType({}),
    explained: Mapping[str, str] = NOTHING,
) -> Figure:
    """One figure.

    Args:
        report, ours: their curves; a panel for each (panel, quantity) of ours. What ours lacks is left out.
        caption: sentences; those that fit under the figure in two lines are printed, the first one in any case.
        is_overlaid: the report's curves dashed under ours, and not above them in axes of their own.
        stamp: across our curves: `stamp_of`.
        notes: beneath the names of our curves, by panel, series and quantity.
        explained: what to print in place of a panel's or a series' name.
    """
    looks = looks_of(curve.series for curve in ours)
    kinds = list(dict.fromkeys((curve.panel, curve.quantity) for curve in ours))
    # Names stand beside the curves: three columns leave those too little room.
    columns = len(kinds) if len(kinds) <= len(HEIGHT_OF_ONE_ROW) else 2

    def name_of(curve: Curve) -> str:
        return explained.get(curve.series, curve.series)

    def panel(kind: tuple[str, str], lines: list[Line], panel_stamp: str = "") -> Panel:
        return Panel(explained.get(kind[0], kind[0]), kind[1], lines, panel_stamp)

    def of(curves: Sequence[Curve], kind: tuple[str, str]) -> list[Curve]:
        return [curve for curve in curves if (curve.panel, curve.quantity) == kind and curve.series in looks]

    def over_each_other(kind: tuple[str, str]) -> Panel:
        theirs = {curve.series: curve for curve in of(report, kind) if curve.series in _names(of(ours, kind))}
        lines = [Line(c, looks[c.series], is_dashed=True, has_markers=False, thickness=1.4) for c in theirs.values()]
        for curve in of(ours, kind):
            lines.append(Line(curve, looks[curve.series], name_of(curve), notes.get(curve[:3], "")))
        return panel(kind, lines, stamp)

    def of_the_report(kind: tuple[str, str]) -> Panel | None:
        wanted = _names(of(ours, kind))
        lines = [
            Line(curve, looks[curve.series], name_of(curve)) for curve in of(report, kind) if curve.series in wanted
        ]
        return panel(kind, lines) if lines else None

    def of_ours(kind: tuple[str, str]) -> Panel:
        lines = [Line(c, looks[c.series], name_of(c), notes.get(c[:3], "")) for c in of(ours, kind)]
        return panel(kind, lines, stamp)

    has_report = any(of_the_report(kind) for kind in kinds)
    rows = []
    for of_row in _in_rows(kinds, columns):
        if is_overlaid or not has_report:
            rows.append(Row([over_each_other(kind) for kind in of_row], shares_limits=len(kinds) == columns))
        else:
            rows += _above_each_other([*map(of_the_report, of_row)], [*map(of_ours, of_row)])
    if len(kinds) > columns:
        height = HEIGHT_IN_GRID
    else:
        height = (HEIGHT_OF_ONE_ROW if len(rows) == 1 else HEIGHT_OF_TWO)[columns - 1]
    key = _overlay_key(ours, notes) if is_overlaid and has_report else []
    return _compose(title, rows, columns, height, caption, key)


def _above_each_other(report: Sequence[Panel | None], ours: Sequence[Panel]) -> list[Row]:
    """The report's panels above ours: with one vertical axis, and the epoch marked at which their orders are compared.

    The mark is where curves go on after that epoch; where they end with it, their ends are compared.
    """
    marked: list[list[Panel | None]] = [[], []]
    for theirs, mine in zip(report, ours, strict=True):
        if theirs is None:
            marked[0].append(None)
            marked[1].append(mine)
            continue
        of_both = [[line.curve for line in panel.lines] for panel in (theirs, mine)]
        epoch = next((row.epoch for row in last_values(*of_both)), None)
        for panels, panel in ((marked[0], theirs), (marked[1], mine)):
            goes_on = epoch is not None and panel.last_epoch > epoch
            panels.append(replace(panel, compared=epoch if goes_on else None))
    limits = {}
    for quantity in {panel.quantity for panel in ours}:
        own = _limits([panel for panel in ours if panel.quantity == quantity])
        both = _limits([panel for panel in (*report, *ours) if panel and panel.quantity == quantity])
        if np.ptp(own) >= LEAST_PART_OF_AXIS * np.ptp(both):
            limits[quantity] = both
    return [Row(marked[0], REPORT, limits=limits), Row(marked[1], OURS, limits=limits)]


def candidates_picture(title: str, panels: Sequence[Panel], caption: Sequence[str]) -> Figure:
    """Panels in two columns, each with the report's curve dashed in black among those that may be it.

    Args:
        panels: of `candidates_panel`.
        caption: as for `curves_picture`.
    """
    rows = [Row(row, shares_limits=False) for row in _in_rows(panels, 2)]
    key = [(REPORT_LOOK, True, REPORT_NAME)]
    return _compose(title, rows, min(2, len(panels)), HEIGHT_IN_GRID + 0.2, caption, key)


def candidates_panel(
    title: str,
    report: Curve,
    ours: Sequence[Curve],
    chosen: Sequence[str],
    notes: Mapping[str, str],
    stamp: str,
) -> Panel:
    """A panel of `candidates_picture`.

    Args:
        report: the report's curve.
        ours: at least one curve of the same quantity; the series is the candidate's name.
        chosen: the candidates to mark.
        notes: beneath a candidate's name.
    """
    looks = looks_of(curve.series for curve in ours)
    lines = [Line(report, REPORT_LOOK, is_dashed=True, has_markers=False, thickness=1.6)]
    for curve in ours:
        is_chosen = curve.series in chosen
        name = f"✓ {curve.series}" if is_chosen else curve.series
        thickness = 2.4 if is_chosen else 1.1
        lines.append(Line(curve, looks[curve.series], name, notes.get(curve.series, ""), thickness=thickness))
    return Panel(title, report.quantity, lines, stamp)


def own_run_picture(
    title: str,
    report: Sequence[Curve],
    own: Sequence[Curve],
    marked: Sequence[Curve],
    caption: Sequence[str],
    stamp: str = "",
    notes: Mapping[str, str] = NOTHING,
    explained: Mapping[str, str] = NOTHING,
) -> Figure:
    """All of the report's curves of some panels dashed, and one run in black over them.

    Args:
        report: of the figure; those whose panel is none of the run's are left out.
        own: the run, once for each panel.
        marked: of the report's curves, those to draw thicker.
        caption: as for `curves_picture`.
        stamp: across the curves: `stamp_of`.
        notes: beneath the run's name, by panel.
        explained: what to print in place of a panel's or a series' name.
    """
    looks = looks_of(curve.series for curve in report)
    panels = []
    for one in own:
        theirs = [curve for curve in report if (curve.panel, curve.quantity) == (one.panel, one.quantity)]
        lines = []
        for curve in theirs:
            is_marked = any(curve is other for other in marked)
            name, note = explained.get(curve.series, curve.series), "nearest settings" if is_marked else ""
            look, thickness = looks[curve.series], 2.4 if is_marked else 1.1
            lines.append(Line(curve, look, name, note, is_dashed=True, has_markers=False, thickness=thickness))
        lines.append(Line(one, OWN_LOOK, one.series, notes.get(one.panel, "")))
        panels.append(Panel(explained.get(one.panel, one.panel), one.quantity, lines, stamp))
    columns = len(panels) if len(panels) <= len(HEIGHT_OF_ONE_ROW) else 2
    rows = [Row(row) for row in _in_rows(panels, columns)]
    height = HEIGHT_OF_ONE_ROW[columns - 1] if len(rows) == 1 else HEIGHT_IN_GRID
    key = [(OWN_LOOK, False, own[0].series), (Look(SOFT_INK, ""), True, REPORT_NAME)]
    return _compose(title, rows, columns, height, caption, key)


def save_picture(figure: Figure, path: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Write a picture under `path` with each suffix, without dates, so that equal pictures are equal; the files."""
    metadata = {
        ".png": {"Software": None},
        ".svg": {"Date": None, "Creator": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    written = []
    with matplotlib.rc_context(STYLE):
        for suffix in suffixes:
            image = io.BytesIO()
            figure.savefig(image, format=suffix[1:], dpi=PNG_DOTS_PER_INCH, metadata=metadata[suffix])
            content = _in_a_palette(image) if suffix == ".png" else image.getvalue()
            write_atomically(path.with_suffix(suffix), content)
            written.append(path.with_suffix(suffix))
    return written


def _in_a_palette(png: io.BytesIO) -> bytes:
    """The same picture in 256 colours: a third as large, and no pixel differs by more than an eye can see."""
    smaller = io.BytesIO()
    with Image.open(png) as picture:
        few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(smaller, "png", optimize=True, dpi=(PNG_DOTS_PER_INCH, PNG_DOTS_PER_INCH))
    return smaller.getvalue()


def _in_rows(items: Sequence[Any], columns: int) -> list[Sequence[Any]]:
    return [items[start : start + columns] for start in range(0, len(items), columns)]


def _names(curves: Iterable[Curve]) -> set[str]:
    return {curve.series for curve in curves}


def _last(curve: Curve) -> tuple[float, float] | None:
    """Epoch and mean at the last epoch that has a number."""
    mean = curve.mean()
    present = np.flatnonzero(np.isfinite(mean))
    return (float(curve.epochs[present[-1]]), float(mean[present[-1]])) if present.size else None


def _overlay_key(ours: Sequence[Curve], notes: Mapping[tuple[str, str, str], str]) -> list[tuple[Look, bool, str]]:
    band = ", band: lowest to highest seed" if any(len(curve.values) > 1 for curve in ours) else ""
    has_gaps = any(note.startswith("gap ") for note in notes.values())
    gap = "; gap: mean distance of the two, in points" if has_gaps else ""
    return [(Look(SOFT_INK, "o"), False, f"this reproduction{band}"), (Look(SOFT_INK, ""), True, f"{REPORT_NAME}{gap}")]


def _compose(
    title: str,
    rows: Sequence[Row],
    columns: int,
    height: float,
    caption: Sequence[str],
    key: Sequence[tuple[Look, bool, str]],
) -> Figure:
    """The whole picture. All places are reckoned in inches from its upper left corner, and then drawn.

    Args:
        columns: the most panels in a row.
        height: of the axes, at least: they grow where more names stand beside them.
        key: what kinds of lines mean: look, whether dashed, text.
    """
    titles = fold(title, WIDTH - 2 * EDGE, TITLE_SIZE, "bold", most=3)
    printed = _caption_lines(caption)
    column_width = (WIDTH - 2 * EDGE - (columns - 1) * BETWEEN_COLUMNS) / columns
    # Of each row's axes, and above them.
    heights, panel_titles = [], []
    for row in rows:
        drawn = [panel for panel in row.panels if panel]
        needed = [_names_height(panel, column_width - NUMBERS - QUANTITY) for panel in drawn]
        needed += [HEIGHT_OF_CURVE * len(panel.lines) for panel in drawn]
        heights.append(max(height, *needed))
        folded = [fold(panel.title, column_width, PANEL_SIZE, most=2) if panel else [] for panel in row.panels]
        panel_titles.append(folded)
    above = EDGE + len(titles) * TITLE_SIZE * LINE_HEIGHT + 0.06 + (NAME_SIZE * LINE_HEIGHT + 0.06 if key else 0.0)
    total = above + EDGE + len(printed) * TEXT_SIZE * LINE_HEIGHT
    tops = []
    for row, axes_height, folded in zip(rows, heights, panel_titles, strict=True):
        total += (HEADING_SIZE * LINE_HEIGHT + 0.04 if row.heading else 0.0) + 0.06
        total += max(map(len, folded)) * PANEL_SIZE * LINE_HEIGHT
        tops.append(total - EDGE - len(printed) * TEXT_SIZE * LINE_HEIGHT)
        total += axes_height + BELOW_AXES + BETWEEN_ROWS

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, total))

        def write(x: float, y: float, lines: Sequence[str], size: float, **look: object) -> None:
            text = "\n".join(lines)
            figure.text(x / WIDTH, 1 - y / total, text, fontsize=size, va="top", linespacing=1.2, **look)

        write(EDGE, EDGE, titles, TITLE_SIZE, fontweight="bold", color=INK)
        _draw_key(figure, total, above - NAME_SIZE * LINE_HEIGHT, key)
        for row, top, axes_height, folded in zip(rows, tops, heights, panel_titles, strict=True):
            title_height = max(map(len, folded)) * PANEL_SIZE * LINE_HEIGHT
            if row.heading:
                y = top - title_height - HEADING_SIZE * LINE_HEIGHT - 0.04
                write(EDGE, y, [row.heading], HEADING_SIZE, fontweight="bold", color=INK)
            for column, panel in enumerate(row.panels):
                if panel is None:
                    continue
                left = EDGE + column * (column_width + BETWEEN_COLUMNS)
                write(left, top - title_height - 0.02, folded[column], PANEL_SIZE, color=INK)
                neighbour = row.panels[column - 1] if column else None
                says_quantity = neighbour is None or neighbour.quantity != panel.quantity
                margin = NUMBERS + (QUANTITY if says_quantity else 0.0)
                width = column_width - margin
                place = (left + margin) / WIDTH, 1 - (top + axes_height) / total, width / WIDTH, axes_height / total
                axes = figure.add_axes(place)
                alike = [other for other in row.panels if other and other.quantity == panel.quantity]
                axes.set_ylim(row.limits.get(panel.quantity) or _limits(alike if row.shares_limits else [panel]))
                _draw_panel(axes, panel, width, axes_height)
                if says_quantity:
                    x = (left + 0.09) / WIDTH
                    y = 1 - (top + axes_height / 2) / total
                    figure.text(x, y, panel.quantity, rotation=90, ha="center", va="center", color=INK)
        below = total - EDGE - len(printed) * TEXT_SIZE * LINE_HEIGHT
        write(EDGE, below, printed, TEXT_SIZE, color=SOFT_INK)
        return figure


def _caption_lines(sentences: Sequence[str]) -> list[str]:
    """As many of the sentences as fit, in their order; the first one in any case, cut if it must be."""
    width = WIDTH - 2 * EDGE
    text, *others = [*filter(None, sentences)] or [""]
    for sentence in others:
        if len(fold(f"{text} {sentence}", width, TEXT_SIZE)) <= CAPTION_LINES:
            text = f"{text} {sentence}"
    return fold(text, width, TEXT_SIZE, most=CAPTION_LINES)


def _draw_key(figure: Figure, total: float, y: float, key: Sequence[tuple[Look, bool, str]]) -> None:
    x = EDGE
    for look, is_dashed, text in key:
        ends = [x / WIDTH, (x + 0.34) / WIDTH]
        style = {"linestyle": DASHES if is_dashed else "-", "marker": look.marker, "color": look.colour}
        line = Line2D(ends, [1 - y / total] * 2, transform=figure.transFigure, markevery=[], **style)
        figure.add_artist(line)
        if look.marker:
            middle = Line2D([sum(ends) / 2], [1 - y / total], transform=figure.transFigure, **style)
            figure.add_artist(middle)
        figure.text((x + 0.42) / WIDTH, 1 - y / total, text, va="center_baseline", color=INK)
        x += 0.42 + text_width(text, TEXT_SIZE) + 0.3


def _limits(panels: Sequence[Panel]) -> tuple[float, float]:
    """Of the vertical axis, for percentages."""
    values = np.concatenate([line.curve.values.ravel() for panel in panels for line in panel.lines])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 100.0
    margin = max(0.06 * np.ptp(values), 1.0)
    return max(values.min() - margin, 0.0), min(values.max() + margin, 101.0)


class _Name(NamedTuple):
    """The text beside a curve's end, in lines."""

    line: Line
    name: list[str]
    note: list[str]

    @property
    def width(self) -> float:
        widths = [text_width(text, NAME_SIZE, "bold") for text in self.name]
        return max(*widths, *(text_width(text, TEXT_SIZE) for text in self.note), 0.0)

    @property
    def height(self) -> float:
        lines = len(self.name) * NAME_SIZE + len(self.note) * TEXT_SIZE
        return lines * LINE_HEIGHT + 2 * AROUND_NAME


def _names_of(panel: Panel, width: float) -> list[_Name]:
    """The names of a panel, whose axes are `width` inches wide."""
    most = min(WIDEST_NAME, WIDEST_PART * width)
    names = []
    for line in panel.lines:
        if line.name:
            values = line.curve.values
            diverged = f"{line.curve.diverged()} of {len(values)} diverged" if line.curve.diverged() else ""
            notes = [part for note in (line.note, diverged) for part in fold(note, most, TEXT_SIZE, most=3)]
            names.append(_Name(line, fold(line.name, most, NAME_SIZE, "bold", most=3), notes))
    return names


def _names_height(panel: Panel, width: float) -> float:
    return sum(name.height for name in _names_of(panel, width))


def _draw_panel(axes: Axes, panel: Panel, width: float, height: float) -> None:
    """Draw curves and names into axes of `width` by `height` inches, whose vertical limits are set."""
    names = _names_of(panel, width)
    first = min(line.curve.epochs[0] for line in panel.lines if len(line.curve.epochs))
    last = panel.last_epoch
    beside = TO_MARKER + TO_NAME + max((name.width for name in names), default=0.0) + 0.03
    before = 0.08
    an_inch = max(last - first, 1) / (width - before - beside)
    axes.set_xlim(first - before * an_inch, first + (width - before) * an_inch)
    end = max(last, first + 1)
    ticks = MaxNLocator(nbins=max(int((width - beside) / 0.4), 1), integer=True, steps=STEPS).tick_values(first, end)
    axes.set_xticks([tick for tick in ticks if first <= tick <= last])
    axes.set_xlabel("epoch", color=INK, labelpad=1)
    axes.xaxis.label.set_x((before + (end - first) / an_inch / 2) / width)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=max(int(height / 0.28), 2), integer=True, steps=STEPS))
    # The lines of the axes end where the curves do: the names stand on white.
    axes.spines["bottom"].set_bounds(axes.get_xlim()[0], end)
    low, high = axes.get_ylim()
    for tick in axes.get_yticks():
        if low <= tick <= high:
            axes.plot([axes.get_xlim()[0], end], [tick, tick], color=GRID_COLOUR, linewidth=0.8, zorder=0.5)
    for line in panel.lines:
        _draw_line(axes, line, an_inch)
    taken = _write_names(axes, names, last, an_inch, height)
    if panel.compared is not None:
        _mark(axes, panel, panel.compared, taken, an_inch, height)
    if panel.stamp:
        _stamp(axes, panel.stamp, width - beside, height, an_inch)


def _draw_line(axes: Axes, line: Line, an_inch: float) -> None:
    curve, colour = line.curve, line.look.colour
    mean = curve.mean()
    present = np.isfinite(mean)
    if not present.any():
        return
    epochs, zorder = curve.epochs[present], 2.0 if line.is_dashed else 3.0
    style = {"color": colour, "linewidth": line.thickness, "linestyle": DASHES if line.is_dashed else "-"}
    if line.has_markers:
        every = max(int(np.ceil(BETWEEN_MARKERS * an_inch)), 1)
        style |= {"marker": line.look.marker, "markevery": every, "markeredgewidth": 0}
    axes.plot(epochs, mean[present], zorder=zorder, **style)
    if len(curve.values) > 1:
        values = curve.values[:, present]
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        # Where bands overlap, their edges tell them apart.
        axes.fill_between(epochs, low, high, color=colour, alpha=0.10, linewidth=0, zorder=1.0)
        for edge in (low, high):
            axes.plot(epochs, edge, color=colour, alpha=0.55, linewidth=0.6, zorder=1.5)
    if curve.diverged():
        axes.plot(epochs[-1], mean[present][-1], color=colour, marker="x", markersize=9, markeredgewidth=2)


def _write_names(
    axes: Axes, names: Sequence[_Name], last: float, an_inch: float, height: float
) -> list[tuple[float, float]]:
    """Write names beside the curves' ends, in the order of the ends, none over another; from where to where each is."""
    low, high = axes.get_ylim()
    per_inch = (high - low) / height
    ends = [_last(name.line.curve) or (last, (low + high) / 2) for name in names]
    ordered = sorted(zip(ends, names, strict=True), key=lambda pair: pair[0][1])
    wanted = [(value - low) / per_inch for (_, value), _ in ordered]
    middles = spread(wanted, [name.height for _, name in ordered], height)
    for ((epoch, value), name), middle in zip(ordered, middles, strict=True):
        look = name.line.look
        x, y = last + TO_MARKER * an_inch, low + middle * per_inch
        # A curve that ends early is told by its marker: a line to its name would look like more of it.
        if abs(value - y) > 0.06 * per_inch and epoch >= last - 0.35 * an_inch:
            xs = [epoch + 0.03 * an_inch, last + 0.03 * an_inch, x - 0.05 * an_inch]
            axes.plot(xs, [value, value, y], color="#8a8f96", linewidth=0.7, zorder=1.8, clip_on=False)
        axes.plot([x], [y], color=look.colour, marker=look.marker, markersize=5, markeredgewidth=0, clip_on=False)
        left, top = last + (TO_MARKER + TO_NAME) * an_inch, y + (name.height / 2 - AROUND_NAME) * per_inch
        style = {"va": "top", "linespacing": 1.2, "color": look.text_colour}
        axes.text(left, top, "\n".join(name.name), fontsize=NAME_SIZE, fontweight="bold", **style)
        if name.note:
            beneath = top - len(name.name) * NAME_SIZE * LINE_HEIGHT * per_inch
            axes.text(left, beneath, "\n".join(name.note), fontsize=TEXT_SIZE, **{**style, "color": INK})
    halves = [
        (low + middle * per_inch, name.height / 2 * per_inch)
        for (_, name), middle in zip(ordered, middles, strict=True)
    ]
    return [(y - half, y + half) for y, half in halves]


def _mark(
    axes: Axes, panel: Panel, epoch: int, taken: Sequence[tuple[float, float]], an_inch: float, height: float
) -> None:
    """A thin upright line at an epoch, and what it means beside it, where curves and names leave the most room.

    Args:
        taken: from where to where the names right of the curves are.
    """
    low, high = axes.get_ylim()
    first, edge = axes.get_xlim()
    axes.plot([epoch, epoch], [low, high], color=INK, linewidth=0.8, zorder=1.9)
    a_line = TEXT_SIZE * LINE_HEIGHT * (high - low) / height
    best, enough = (-np.inf, 0.0, 0.0, ""), 0.4 * a_line
    for text in (COMPARED, COMPARED.replace(" ", "\n")):
        lines = text.splitlines()
        wide, half = max(text_width(line, TEXT_SIZE) for line in lines) * an_inch, len(lines) * a_line / 2
        for left in (epoch + 0.06 * an_inch, epoch - 0.06 * an_inch - wide):
            if left < first or left + wide > edge:
                continue
            under = np.linspace(left, left + wide, 20)
            curves = [(line.curve.epochs, line.curve.mean()) for line in panel.lines]
            curves = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in curves if np.isfinite(y).any()]
            heights = [np.interp(under, x, y) for x, y in curves]
            ends = taken if left + wide > panel.last_epoch else ()
            for middle in np.linspace(high - half, low + half, 40):
                room = [*(abs(y - middle).min() for y in heights), *(max(a - middle, middle - b) for a, b in ends)]
                # Of places with enough room, the first: in one line, right of the mark, far up.
                if (score := min([enough, *(space - half for space in room)])) > best[0]:
                    best = score, left, middle, text
    _, left, middle, text = best
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    axes.text(left, middle, text, va="center", linespacing=1.2, color=INK, bbox=box, zorder=1.8)


def spread(wanted: Sequence[float], heights: Sequence[float], space: float) -> list[float]:
    """Where the middles of boxes go that shall lie near `wanted`, none over another, all between 0 and `space`.

    Args:
        wanted: ascending.
        heights: of the boxes, together at most `space`.

    Returns:
        The nearest such middles, in the sum of squared distances: with what lies below each box taken off, they only
        have to ascend, and isotonic regression (pooling adjacent violators) finds them.
    """
    bottoms = np.concatenate([[0.0], np.cumsum(heights)])
    below = (bottoms[:-1] + bottoms[1:]) / 2
    pools: list[tuple[float, int]] = []
    for value in np.subtract(wanted, below):
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, n), (first, m) = pools.pop(), pools.pop()
            pools.append(((first * m + second * n) / (m + n), m + n))
    free = [value for value, count in pools for _ in range(count)]
    return [
        float(np.clip(value, 0.0, max(space - bottoms[-1], 0.0)) + base)
        for value, base in zip(free, below, strict=True)
    ]


def _stamp(axes: Axes, text: str, width: float, height: float, an_inch: float) -> None:
    """Print words across the curves, as large as fits."""
    lines = text.splitlines()
    longest = max(text_width(line, 10, "bold") for line in lines)
    turned = np.radians(18)
    reach = longest * np.cos(turned) + len(lines) * 0.18 * np.sin(turned)
    rise = longest * np.sin(turned) + len(lines) * 0.18 * np.cos(turned)
    size = 10 * min(0.95 * width / reach, 0.95 * height / rise, 3.2)
    middle = axes.get_xlim()[0] + width / 2 * an_inch
    axes.text(
        middle,
        sum(axes.get_ylim()) / 2,
        text,
        ha="center",
        va="center",
        rotation=18,
        fontsize=size,
        fontweight="bold",
        color="#b00000",
        alpha=0.28,
        zorder=5,
        clip_on=True,
    )
