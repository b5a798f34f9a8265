"""All sections of the report and the figures they make: what spans the sections finds them here."""

from figures import (
    augmentation,
    batch_normalization,
    best_model,
    depth,
    dropout,
    filter_size,
    pooling_and_optimizers,
)
from figures.walk import Figure, Series

SECTIONS = (
    depth,
    batch_normalization,
    dropout,
    pooling_and_optimizers,
    filter_size,
    augmentation,
    best_model,
)
FIGURES: dict[int, Figure] = {number: figure for section in SECTIONS for number, figure in section.FIGURES.items()}


def series(number: int, panel: str, name: str) -> Series:
    """One curve of a figure.

    Raises:
        KeyError: the figure has no such curve.
    """
    for one in FIGURES[number].series:
        if (one.panel, one.name) == (panel, name):
            return one
    raise KeyError(f"figure {number} has no curve {panel!r}, {name!r}")
