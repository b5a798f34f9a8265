"""A run of one's own over the report's curves: python -m figures own-run --run DIR --figure N"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from figures.figure import Figure
from figures.sections import FIGURES
from reproduce.analysis.comparison import mean_absolute_gap
from reproduce.analysis.curves import Curve, Series, curve_of
from reproduce.analysis.report_curves import report_curve, report_curves
from reproduce.cli import option, path, whole_number
from reproduce.errors import BadInput, first_line
from reproduce.experiment import Experiment
from reproduce.profiles import PROFILES
from reproduce.render.csv_files import write_curves
from reproduce.render.plotting import own_run_picture, save_picture, stamp_of
from reproduce.store.history import History, parse_history
from reproduce.store.runs import EXPERIMENT, HISTORY, PROVENANCE, side_file
from reproduce.text import counted, format_table, shown

NAME = "own run"


@dataclass(frozen=True)
class OwnRunOptions:
    """Which run is drawn over which figure's curves."""

    run: str | None = option(
        None, path, "a run's folder, as `python -m reproduce train --out DIR` or results/runs has it", unset="none"
    )
    figure: int | None = option(None, whole_number(2, max(FIGURES)), "the figure of the report", unset="none")


@dataclass(frozen=True)
class OwnRun:
    """What a run's folder says.

    Attributes:
        experiment: its settings; None if the folder has no experiment.json.
        data: of its provenance, `name` and `is_synthetic` among others; empty if the folder has no provenance.json.
    """

    history: History
    experiment: Experiment | None
    data: dict[str, Any]


def read_run(folder: Path) -> OwnRun:
    """Read history.csv and, where they are, experiment.json and provenance.json.

    Raises:
        BadInput: there is no history, or one of the files is damaged.
    """
    content = _read(folder / HISTORY)
    if content is None:
        raise BadInput(
            f"{folder / HISTORY}: no such file; expected one, as `python -m reproduce train --out DIR` writes"
        )
    try:
        history = parse_history(content)
    except ValueError as error:
        raise BadInput(f"{folder / HISTORY}: {error}") from None
    if not history:
        raise BadInput(f"{folder / HISTORY}: expected at least one epoch; found none")
    try:
        settings, origin = _read_json(folder / EXPERIMENT), _read_json(folder / PROVENANCE)
        experiment = None if settings is None else Experiment.from_settings(settings)
        return OwnRun(history, experiment, dict((origin or {}).get("data", {})))
    except (BadInput, TypeError, ValueError) as error:
        raise BadInput(f"{folder}: {first_line(error)}") from None


def _read(file: Path) -> bytes | None:
    try:
        return side_file(file)
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def _read_json(file: Path) -> dict[str, Any] | None:
    content = _read(file)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name}: expected JSON: {first_line(error)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file.name}: expected names and values; found {content[:20]!r}")
    return found


def counterparts(figure: Figure, experiment: Experiment | None) -> list[Series]:
    """The figure's curves whose runs have what the figure varies as this one has it: one in each panel, or none."""
    if experiment is None:
        return []
    names = sorted({name for series in figure.series for name in series.settings})
    settings = [[getattr(Experiment(**series.settings), name) for name in names] for series in figure.series]
    varied = [name for name, values in zip(names, zip(*settings, strict=True), strict=True) if len({*values}) > 1]
    own = {name: getattr(experiment, name) for name in varied}
    return [
        series
        for series in figure.series
        if own == {name: getattr(Experiment(**series.settings), name) for name in varied}
    ]


def differences(experiment: Experiment, series: Series) -> list[str]:
    """Where a run's settings are not those of a curve at the report's scale: `dropout 0.4 (there 0.25)`."""
    there = Experiment(**PROFILES["full"].completed(series.settings)).settings()
    return [
        f"{name.replace('_', ' ')} {value} (there {there[name]})"
        for name, value in experiment.settings().items()
        if name not in ("data_fingerprint", "seed") and name in there and value != there[name]
    ]


def own_curves(figure: Figure, run: OwnRun) -> list[Curve]:
    """The run in the panels where it has a counterpart; in all of them if it has none."""
    among = counterparts(figure, run.experiment) or figure.series
    panels = {(series.panel, series.quantity): series for series in among}
    epochs = len(run.history)
    return [curve_of(series, [run.history], epochs)._replace(series=NAME) for series in panels.values()]


def gap_of(own: Curve, report: Curve) -> tuple[int, float]:
    """How many epochs both have, as numbers, and the mean |own - the report's| over them, points; NaN without any."""
    _, ours, theirs = np.intersect1d(own.epochs, report.epochs, return_indices=True)
    own_values, report_values = own.mean()[ours], report.mean()[theirs]
    return int(np.isfinite(own_values - report_values).sum()), mean_absolute_gap(own_values, report_values)


def draw(options: OwnRunOptions) -> None:
    """Draw a run over the report's curves of a figure, into the run's folder; print how far it lies from each.

    Raises:
        BadInput: no run or figure is named, or the run's files cannot be used.
    """
    if options.run is None or options.figure is None:
        missing = "run" if options.run is None else "figure"
        raise BadInput(f"--{missing}: expected a run's folder and a figure: --run=DIR --figure=6")
    figure, folder = FIGURES[options.figure], Path(options.run)
    run = read_run(folder)
    same = counterparts(figure, run.experiment)
    own = own_curves(figure, run)
    nearest = [curve for series in same if (curve := report_curve(series)) is not None]
    is_synthetic = bool(run.data.get("is_synthetic"))
    caption = [
        f"Own run: {folder.resolve().name}, {counted(len(run.history), 'epoch')}"
        f"{', ' + str(run.data['name']) if run.data.get('name') else ''}.",
        *(
            f"Settings that differ from the marked curve's: {', '.join(differences(run.experiment, one)) or 'none'}."
            for one in same[:1]
            if run.experiment
        ),
    ]
    picture = own_run_picture(
        f"Figure {figure.number}. {figure.title}: the report, and your own run",
        report_curves(figure.number),
        own,
        nearest,
        caption,
        stamp_of("", is_synthetic),
        _notes(own, nearest),
        figure.explained,
    )
    target = folder / f"{figure.name}-own-run"
    seed = run.experiment.seed if run.experiment else ""
    write_curves(target.with_suffix(".csv"), own, is_synthetic, [seed])
    files = [*save_picture(picture, target), target.with_suffix(".csv")]
    print("\n".join([caption[0], gap_table(own, report_curves(figure.number), nearest), *caption[1:]]))
    print(f"\nown-run: {', '.join(map(str, files))}", flush=True)


def _notes(own: Sequence[Curve], nearest: Sequence[Curve]) -> dict[str, str]:
    """By panel, how far the run lies from its counterpart there."""
    notes = {}
    for curve in own:
        for other in nearest:
            if (other.panel, other.quantity) == (curve.panel, curve.quantity):
                epochs, gap = gap_of(curve, other)
                notes[curve.panel] = f"gap {gap:.1f} to {other.series}" if epochs else ""
    return notes


def gap_table(own: Sequence[Curve], report: Sequence[Curve], nearest: Sequence[Curve]) -> str:
    """The run compared with each of the curves in its panels, as text; percent and points."""
    cells = [("panel", "report's curve", "epochs of both", "mean |gap|", "")]
    for curve in own:
        for other in report:
            if (other.panel, other.quantity) == (curve.panel, curve.quantity):
                epochs, gap = gap_of(curve, other)
                mark = "nearest settings" if any(other is one for one in nearest) else ""
                cells.append((other.panel or other.quantity, other.series, str(epochs), shown(gap), mark))
    return format_table(cells, left=(0, 1, 4))
