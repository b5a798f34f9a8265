"""The look of every figure: the report's own curves above, ours below, in the same axes and colours."""

import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproduce.analysis.curves import Curve
from reproduce.files import write_atomically

# Okabe and Ito's palette, which colour-blind readers can tell apart; yellow is left out, since it is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 1.7,
    "lines.markersize": 3.5,
    "svg.hashsalt": "conv-nn-report",
    "svg.fonttype": "none",
}
TITLE_LOOK = {"fontsize": 13, "fontweight": "bold"}
CAPTION_LOOK = {"fontsize": 9, "color": "#444444"}
# Lines from a curve's end to its name; in the curve's colour and unbroken they would look like more of it.
LEADER_COLOUR = "#777777"
REPORT_NAME, REPORT_LOOK = "the report", ("#1c1e21", ".")
PNG_DOTS_PER_INCH = 144
# What an inch of a title and of a caption holds, in characters of these fonts.
TITLE_CHARACTERS, CAPTION_CHARACTERS = 9.3, 15
# The names of candidates are longer than those of series.
LONG_NAMES = 1.95
# The labels beside the curves stand at least this part of the axis apart.
LABEL_DISTANCE = 0.055


def draw(
    path: Path, title: str, report: Sequence[Curve], ours: Sequence[Curve], caption: str, is_synthetic: bool
) -> list[Path]:
    """Draw one figure as PNG and SVG.

    Args:
        path: without suffix.
        report, ours: their curves; a column for each (panel, quantity) of ours.
        caption: under the figure: profile, data, seeds, epochs, engine.
        is_synthetic: mark our panels as not CIFAR-10.

    Returns:
        The files written.
    """
    panels = list(dict.fromkeys((curve.panel, curve.quantity) for curve in ours))
    looks = _looks(curve.series for curve in ours)
    with matplotlib.rc_context(STYLE):
        width = max(5.6 * len(panels), 7.6)
        figure = Figure(figsize=(width, 8.4), layout="constrained")
        title = textwrap.fill(title, int(TITLE_CHARACTERS * width))
        figure.suptitle(title, x=0.01, ha="left", **TITLE_LOOK)
        rows = figure.subplots(2, len(panels), sharex="col", sharey="col", squeeze=False)
        for row, (side, curves) in enumerate((("The report", report), ("This reproduction", ours))):
            for axes, panel in zip(rows[row], panels, strict=True):
                shown = [curve for curve in curves if (curve.panel, curve.quantity) == panel]
                _draw_panel(axes, shown, looks)
                axes.set_title(f"{side}: {panel[0]}" if panel[0] else side)
                axes.set_ylabel(panel[1])
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("epoch, counted from 0")
        for axes, panel in zip(rows[0], panels, strict=True):
            alike = [curve for curve in [*report, *ours] if curve.quantity == panel[1]]
            _set_limits(axes, alike, last=max(c.epochs[-1] for c in alike if c.panel == panel[0]))
        for row, curves in enumerate((report, ours)):
            for axes, panel in zip(rows[row], panels, strict=True):
                _label_curves(axes, [curve for curve in curves if (curve.panel, curve.quantity) == panel], looks)
        if is_synthetic:
            for axes in rows[1]:
                _mark_as_synthetic(axes)
        caption = textwrap.fill(caption, int(CAPTION_CHARACTERS * width))
        figure.supxlabel(caption, x=0.01, ha="left", **CAPTION_LOOK)
        return save_picture(figure, path, (".png", ".svg"))


def draw_beside(
    path: Path, title: str, panels: Mapping[str, tuple[Curve, Sequence[Curve]]], caption: str, is_synthetic: bool
) -> list[Path]:
    """Draw single curves of the report, in black, among several of ours that may be it; as PNG and SVG.

    Args:
        path: without suffix.
        panels: by their titles, the report's curve and at least one of ours of the same quantity; colours are a
            panel's own.
        caption, is_synthetic: as for `draw`.

    Returns:
        The files written.
    """
    columns = min(2, len(panels))
    lines = math.ceil(len(panels) / columns)
    with matplotlib.rc_context(STYLE):
        width = max(5.6 * columns, 7.6)
        figure = Figure(figsize=(width, 3.7 * lines + 1), layout="constrained")
        figure.suptitle(textwrap.fill(title, int(TITLE_CHARACTERS * width)), x=0.01, ha="left", **TITLE_LOOK)
        all_axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in all_axes[len(panels) :]:
            axes.set_axis_off()
        for axes, (name, (report, ours)) in zip(all_axes, panels.items(), strict=False):
            curves = [*ours, report._replace(series=REPORT_NAME)]
            looks = {**_looks(curve.series for curve in ours), REPORT_NAME: REPORT_LOOK}
            _draw_panel(axes, curves, looks)
            axes.set_title(textwrap.fill(name, int(TITLE_CHARACTERS * width / columns), break_on_hyphens=False))
            axes.set_ylabel(report.quantity)
            axes.set_xlabel("epoch, counted from 0")
            _set_limits(axes, curves, max(curve.epochs[-1] for curve in curves), room=LONG_NAMES)
            _label_curves(axes, curves, looks)
            if is_synthetic:
                _mark_as_synthetic(axes)
        figure.supxlabel(textwrap.fill(caption, int(CAPTION_CHARACTERS * width)), x=0.01, ha="left", **CAPTION_LOOK)
        return save_picture(figure, path, (".png", ".svg"))


def save_picture(figure: Figure, path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Write a picture under `path` with each suffix, .png or .svg, without dates, so that equal pictures are equal."""
    metadata = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    if layout := figure.get_layout_engine():
        # Laid out once, and not anew for each suffix, which would take as long as drawing.
        layout.execute(figure)
        figure.set_layout_engine(None)
    written = []
    for suffix in suffixes:
        image = io.BytesIO()
        figure.savefig(image, format=suffix[1:], dpi=PNG_DOTS_PER_INCH, metadata=metadata[suffix])
        write_atomically(path.with_suffix(suffix), image.getvalue())
        written.append(path.with_suffix(suffix))
    return written


def _looks(series: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each series."""
    names = dict.fromkeys(series)
    return {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}


def _mark_as_synthetic(axes: Axes) -> None:
    axes.text(
        0.5,
        0.5,
        "SYNTHETIC DATA\nnot CIFAR-10",
        transform=axes.transAxes,
        ha="center",
        va="center",
        rotation=20,
        fontsize=30,
        fontweight="bold",
        color="#b00000",
        alpha=0.25,
    )


def _draw_panel(axes: Axes, curves: Sequence[Curve], looks: dict[str, tuple[str, str]]) -> None:
    for curve in curves:
        colour, marker = looks[curve.series]
        mean = curve.mean()
        present = np.isfinite(mean)
        axes.plot(curve.epochs[present], mean[present], color=colour, marker=marker)
        if len(curve.values) > 1 and present.any():
            values = curve.values[:, present]
            low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
            axes.fill_between(curve.epochs[present], low, high, color=colour, alpha=0.18, linewidth=0)
        if curve.diverged() and present.any():
            axes.plot(curve.epochs[present][-1], mean[present][-1], color=colour, marker="x", markersize=9, mew=2)


def _set_limits(axes: Axes, curves: Sequence[Curve], last: int, room: float = 1.3) -> None:
    """The height of all panels of one quantity, and room for names: the axis is so many times as long as the curves."""
    values = np.concatenate([curve.values.ravel() for curve in curves])
    values = values[np.isfinite(values)]
    margin = 0.06 * max(np.ptp(values), 1.0)
    axes.set_ylim(max(values.min() - margin, 0), min(values.max() + margin, 101))
    axes.set_xlim(-0.4, max(last, 1) * room + 0.4)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= last and tick == int(tick)])


def _label_curves(axes: Axes, curves: Sequence[Curve], looks: dict[str, tuple[str, str]]) -> None:
    """Name each curve at its right end, names that would overlap moved apart."""
    low, high = axes.get_ylim()
    ends = []
    for curve in curves:
        mean = curve.mean()
        present = np.flatnonzero(np.isfinite(mean))
        note = f" ({curve.diverged()} of {len(curve.values)} diverged)" if curve.diverged() else ""
        end = (curve.epochs[present[-1]], mean[present[-1]]) if present.size else (curve.epochs[0], (low + high) / 2)
        ends.append((end, curve.series + note, looks[curve.series][0]))
    ends.sort(key=lambda end: end[0][1])
    distance = LABEL_DISTANCE * (high - low)
    heights = _spread([value for (_, value), _, _ in ends], distance, low + distance / 2, high - distance / 2)
    right = max((epoch for (epoch, _), _, _ in ends), default=0)
    for ((epoch, value), name, colour), height in zip(ends, heights, strict=True):
        axes.annotate(
            name,
            (epoch, value),
            (right + 0.025 * np.ptp(axes.get_xlim()), height),
            color=colour,
            va="center",
            fontsize=9.5,
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": LEADER_COLOUR, "linewidth": 0.8, "linestyle": ":", "shrinkB": 2},
        )


def _spread(heights: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Ascending heights moved at least `distance` apart, upwards first, then down from `high`; all from `low` up."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + distance if placed else low))
    limit = high
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - distance
    return placed
