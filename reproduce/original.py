"""The report's own curves, read off its published figures to about 0.3 points (`original/figure-NN.csv`)."""

import csv
from pathlib import Path

import numpy as np

from reproduce.curves import Curve

FOLDER = Path(__file__).with_name("original")


def report_curves(number: int) -> list[Curve]:
    """The curves of the report's figure `number`, 2 to 10, in the file's order; one 'seed' each."""
    points: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    with (FOLDER / f"figure-{number:02d}.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            curve = points.setdefault((row["panel"], row["series"], row["quantity"]), [])
            curve.append((int(row["epoch"]), float(row["value"])))
    curves = []
    for names, pairs in points.items():
        epochs, values = zip(*sorted(pairs), strict=True)
        curves.append(Curve(*names, np.array(epochs), np.array([values])))
    return curves
