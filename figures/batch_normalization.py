"""Section 2: batch normalization. Figure 3: the networks of figure 2 with and without it."""

import math
from typing import Any

from figures.baseline import BASELINE, BLOCKS, BLOCKS_EXPLAINED, X3
from figures.claims import measures
from figures.claims.declare import AT_THE_END, Claim, Comparison, difference, undrawn
from figures.dropout import FIGURE_5
from figures.figure import Figure, section_main
from reproduce.analysis.curves import Series

NUMBER = "2"
TITLE = "Section 2: batch normalization"
SAYS = "Trains each of these with and without batch normalization, and names its benefits and its cost."

EPOCHS = 20
SIDES = {"batch norm": True, "no batch norm": False}

FIGURE_3 = Figure(
    3,
    "Batch normalization: train error at three depths",
    tuple(
        Series(
            3,
            panel,
            name,
            "train error (%)",
            {**BASELINE, "dropout": 0.0, "blocks": blocks, "batch_normalization": normalized},
            EPOCHS,
        )
        for panel, blocks in BLOCKS.items()
        for name, normalized in SIDES.items()
    ),
    timed=dict.fromkeys(BLOCKS, tuple(SIDES)),
    explained=BLOCKS_EXPLAINED,
)
FIGURES = {3: FIGURE_3}


def x3(with_it: bool, quantity: str = "train error (%)", **settings: Any) -> Series:
    """The three-block network of figure 3 in another setting, with or without batch normalization."""
    name = " ".join(f"{key} {value}" for key, value in settings.items())
    return undrawn(name, quantity, {**X3, "batch_normalization": with_it, **settings})


CLAIMS = (
    Claim(
        "bn-accuracy",
        NUMBER,
        "Batch normalization lowers the training error at each depth.",
        tuple(
            difference(
                f"train error without minus with batch normalization, {panel}",
                FIGURE_3.curve(panel, "no batch norm"),
                FIGURE_3.curve(panel, "batch norm"),
                panel,
            )
            for panel in BLOCKS
        ),
    ),
    Claim(
        "bn-runtime",
        NUMBER,
        "Batch normalization costs 30 % more run time.",
        (
            Comparison(
                "time of a training step with over without batch normalization, geometric mean of x1, x2 and x3",
                unit="times",
                claimed=(1.2, 1.4),
                effect=measures.time_ratio,
                times={
                    f"{role} {name}": {**BASELINE, "dropout": 0.0, "blocks": blocks, "batch_normalization": has_it}
                    for name, blocks in BLOCKS.items()
                    for role, has_it in (("more", True), ("less", False))
                },
            ),
        ),
    ),
    Claim(
        "bn-learning-rate",
        NUMBER,
        "Batch normalization allows higher learning rates.",
        (
            Comparison(
                "rise of x3's train error from a learning rate of 0.01 to one of 0.1, without minus with batch "
                f"normalization, {AT_THE_END}",
                curves={
                    f"{side} {role}": x3(has_it, learning_rate=rate)
                    for side, has_it in (("with", True), ("without", False))
                    for role, rate in (("usual", 0.01), ("changed", 0.1))
                },
                effect=measures.harm_difference,
            ),
        ),
    ),
    Claim(
        "bn-initialization",
        NUMBER,
        "Batch normalization makes training depend less on the initialization.",
        (
            Comparison(
                "range of x3's train error over initial weights of half, once and twice the usual scale, without minus "
                f"with batch normalization, {AT_THE_END}",
                curves={
                    f"{side} {scale:g}": x3(has_it, initial_scale=scale)
                    for side, has_it in (("with", True), ("without", False))
                    for scale in (0.5, 1.0, 2.0)
                },
                effect=measures.range_difference,
            ),
        ),
    ),
    Claim(
        "bn-replaces-dropout",
        NUMBER,
        "Batch normalization regularizes well enough to stand in for dropout.",
        (
            # 'Well enough' is read as: not more than a point worse on the test set than dropout in its place.
            difference(
                "test error with dropout 0.25 alone minus with batch normalization alone",
                undrawn("dropout alone", "test error (%)", {"dropout": 0.25, "batch_normalization": False}),
                FIGURE_5.curve("", "no dropout"),
                claimed=(-1.0, math.inf),
            ),
        ),
    ),
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.batch_normalization")
