"""Claims about the networks themselves: background and sections 1 and 5."""

import math
from dataclasses import replace

from figures.architectures import COLUMNS, CONV_NN, parameters
from figures.background_tables import PRINTED_MILLIONS, memory_table_as_printed
from figures.baseline import BASELINE, BLOCKS
from figures.claims import measures
from figures.claims.declaration import Claim, Comparison, difference, drawn, gap


def _wrong_table_2_entries() -> float:
    return float(sum(round(parameters(column) / 1e6) != PRINTED_MILLIONS[column.name] for column in COLUMNS))


def _wrong_memory_table_cells() -> float:
    return float(len(memory_table_as_printed().marked))


def _fewer_stacked(channels: int = 256) -> float:
    """Parameters of one 7x7 layer minus those of three stacked 3x3 layers, C channels in and out, biases included."""
    return float((49 * channels + 1) * channels - 3 * (9 * channels + 1) * channels)


def _fewer_than(filter_size: int) -> float:
    """Parameters of the report's network with larger filters minus those with its 3x3."""
    larger = tuple(tuple(layer.replace("conv3", f"conv{filter_size}") for layer in block) for block in CONV_NN.blocks)
    return float(parameters(replace(CONV_NN, blocks=larger)) - parameters(CONV_NN))


_FILTER_PAIRS = (("5x5", "3x3"), ("7x7", "5x5"), ("7x7", "3x3"))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "memory-table",
        "background",
        "The table gives the size, memory and parameter count of each layer of the baseline VGG, for one input size.",
        (
            Comparison(
                "cells of the table that differ from those computed for a 224 x 224 input, which fits it best",
                unit="wrong cells",
                claimed=(0, 0),
                computed=_wrong_memory_table_cells,
            ),
        ),
    ),
    Claim(
        "table-2",
        "1",
        "The VGG columns A and A-LRN, B, C, D and E have 133, 133, 134, 138 and 144 million parameters.",
        (
            Comparison(
                "entries of table 2 that differ from the exact count rounded to millions",
                unit="wrong entries",
                claimed=(0, 0),
                computed=_wrong_table_2_entries,
            ),
        ),
    ),
    Claim(
        "depth-train-error",
        "1",
        "More convolutional layers give a lower training error.",
        tuple(
            difference(
                f"train error of {less} minus {more} blocks",
                drawn(2, "", less),
                drawn(2, "", more),
                f"{less} to {more}",
            )
            for less, more in (("x1", "x2"), ("x2", "x3"))
        ),
    ),
    Claim(
        "pool-time",
        "1",
        "Each further POOL layer's downsampling counters the growth of training time with depth.",
        tuple(
            Comparison(
                f"growth of the time of a training step from {less} to {more} without pooling, over that with pooling",
                f"{less} to {more}",
                unit="times",
                claimed=(1.0, math.inf),
                effect=measures.growth_ratio,
                times={
                    f"{role} {side}": {**BASELINE, "dropout": 0.0, "blocks": BLOCKS[name], "pooling": pooling}
                    for role, name in (("shallower", less), ("deeper", more))
                    for side, pooling in (("with", "max"), ("without", "none"))
                },
            )
            for less, more in (("x1", "x2"), ("x2", "x3"))
        ),
    ),
    Claim(
        "filter-train",
        "5",
        "3x3, 5x5 and 7x7 filters train about equally well.",
        tuple(
            # 'About equally' is read as within 5 points: half of what the report calls a visible increase of the train
            # error (10 points in figure 4, from no dropout to 0.3).
            difference(
                f"train error of {larger} minus {smaller} filters",
                drawn(8, "training error", larger),
                drawn(8, "training error", smaller),
                f"{larger} and {smaller}",
                claimed=(-5.0, 5.0),
            )
            for larger, smaller in _FILTER_PAIRS
        ),
    ),
    Claim(
        "filter-overfit",
        "5",
        "Larger filters overfit more.",
        tuple(
            gap(
                f"{larger} minus {smaller} filters",
                (drawn(8, "training error", larger), drawn(8, "test accuracy", larger)),
                (drawn(8, "training error", smaller), drawn(8, "test accuracy", smaller)),
                f"{larger} against {smaller}",
            )
            for larger, smaller in _FILTER_PAIRS[:2]
        ),
    ),
    Claim(
        "filter-parameters",
        "5",
        "Three stacked 3x3 layers have fewer parameters than one 7x7 layer, and 3x3 filters fewer than larger ones.",
        (
            Comparison(
                "parameters of one 7x7 layer minus those of three 3x3 layers, 256 channels",
                "three layers",
                "parameters",
                (1, math.inf),
                computed=_fewer_stacked,
            ),
            *(
                Comparison(
                    f"parameters of the report's network with {size}x{size} filters minus those with 3x3",
                    f"{size}x{size}",
                    "parameters",
                    (1, math.inf),
                    computed=lambda size=size: _fewer_than(size),
                )
                for size in (5, 7)
            ),
        ),
    ),
)
