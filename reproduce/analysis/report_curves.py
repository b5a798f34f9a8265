"""The report's own curves, read off its published figures (`report/figure-NN.csv`)."""

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np

from reproduce.analysis.curves import Curve, Series

FOLDER = Path(__file__).with_name("report")
# In points: how exactly the curves could be read off the pictures. A difference of two curves is known to twice that.
READING_ACCURACY = 0.3


@lru_cache
def report_curves(number: int) -> tuple[Curve, ...]:
    """The curves of the report's figure `number`, in the file's order, one 'seed' each; none if there are none."""
    path = FOLDER / f"figure-{number:02d}.csv"
    if not path.exists():
        return ()
    points: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            curve = points.setdefault((row["panel"], row["series"], row["quantity"]), [])
            curve.append((int(row["epoch"]), float(row["value"])))
    curves = []
    for names, pairs in points.items():
        epochs, values = zip(*sorted(pairs), strict=True)
        curves.append(Curve(*names, np.array(epochs), np.array([values])))
    return tuple(curves)


def report_curve(series: Series) -> Curve | None:
    """The report's own curve of a series; None if the report does not show it."""
    if series.figure is None:
        return None
    names = series.panel, series.name, series.quantity
    return next((curve for curve in report_curves(series.figure) if curve[:3] == names), None)


def shown_curve(series: Series) -> Curve:
    """The report's own curve of a series that the report shows.

    Raises:
        KeyError: it does not.
    """
    found = report_curve(series)
    if found is None:
        raise KeyError(f"the report shows no curve of {series}")
    return found
