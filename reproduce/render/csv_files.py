"""Curves as CSV, and what all CSV files of results have in common."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from reproduce.analysis.curves import Curve
from reproduce.files import csv_bytes, write_atomically

CURVE_COLUMNS = ("panel", "series", "quantity", "epoch", "seed", "value")
SYNTHETIC_MARK = ", synthetic data"


def number(value: float) -> str:
    """A number with four decimals; empty where there is none."""
    return f"{value:.4f}" if math.isfinite(value) else ""


def marked(quantity: str, is_synthetic: bool) -> str:
    """A quantity; of synthetic results, it says so."""
    return quantity + (SYNTHETIC_MARK if is_synthetic else "")


def write_curves(
    path: Path, curves: Iterable[Curve], is_synthetic: bool, seeds: Sequence[object] | None = None
) -> None:
    """Write what a figure draws as CSV, a row for each seed and epoch; synthetic results say so in their quantity.

    Args:
        seeds: what the curves' rows are called; by default 0, 1, ...
    """
    lines: list[Sequence[object]] = [CURVE_COLUMNS]
    for curve in curves:
        quantity = marked(curve.quantity, is_synthetic)
        for seed, values in zip(seeds or range(len(curve.values)), curve.values, strict=True):
            for epoch, value in zip(curve.epochs, values, strict=True):
                lines.append([curve.panel, curve.series, quantity, int(epoch), seed, f"{value:.4f}"])
    write_atomically(path, csv_bytes(lines))
