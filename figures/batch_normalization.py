"""Section 2: batch normalization. Figure 3: the networks of figure 2 with and without it."""

import math
from typing import Any

from figures.baseline import DEPTHS, DEPTHS_EXPLAINED
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
# Ten times the usual one.
HIGHER_RATE = 0.1
# Weights drawn with half and with twice the usual variance. Without batch normalization the factor comes back at each
# of x3's nine layers: at half and twice the scale activations are 512 times smaller or larger, and such networks were
# found to stand at chance; 0.7 and 1.4 make it about 20 times.
SCALES = {"smaller": 0.7, "larger": 1.4}

FIGURE_3 = Figure(
    3,
    "Batch normalization: train error at three depths",
    tuple(
        Series(
            3,
            panel,
            name,
            "train error (%)",
            {**settings, "batch_normalization": normalized},
            EPOCHS,
        )
        for panel, settings in DEPTHS.items()
        for name, normalized in SIDES.items()
    ),
    timed=dict.fromkeys(DEPTHS, tuple(SIDES)),  # type: ignore[arg-type]  # there are two sides
    explained=DEPTHS_EXPLAINED,
)
FIGURES = {3: FIGURE_3}


def x3(with_it: bool, quantity: str = "train error (%)", **settings: Any) -> Series:
    """The three-block network of figure 3 in another setting, with or without batch normalization."""
    which = f"x3 {'with' if with_it else 'without'} batch normalization"
    name = ", ".join([which, *(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())])
    return undrawn(name, quantity, {**DEPTHS["x3"], "batch_normalization": with_it, **settings})


CLAIMS = (
    Claim(
        "bn-accuracy",
        NUMBER,
        "Batch normalization lowers the training error at each depth.",
        "True if it lowers it in x1, x2 and x3, false if it raises it in one; the gradient flow that the report "
        "speaks of is not measured.",
        tuple(
            difference(
                f"train error without minus with batch normalization, {panel}",
                FIGURE_3.curve(panel, "no batch norm"),
                FIGURE_3.curve(panel, "batch norm"),
                panel,
            )
            for panel in DEPTHS
        ),
    ),
    Claim(
        "bn-runtime",
        NUMBER,
        "Batch normalization costs 30 % more run time.",
        "True if a training step takes 1.2 to 1.4 times as long on average over x1, x2 and x3, false if less or "
        "more; it cannot tell the time on the report's GPU.",
        (
            Comparison(
                "time of a training step with over without batch normalization, geometric mean of x1, x2 and x3",
                unit="times",
                claimed=(1.2, 1.4),
                effect=measures.time_ratio,
                times={
                    f"{role} {name}": {**settings, "batch_normalization": has_it}
                    for name, settings in DEPTHS.items()
                    for role, has_it in (("more", True), ("less", False))
                },
            ),
        ),
    ),
    Claim(
        "bn-learning-rate",
        NUMBER,
        "Batch normalization allows higher learning rates.",
        "True if at ten times the usual rate x3 ends lower with it than without, false if higher; if both or "
        "neither learn there, a rate between may still tell them apart.",
        (
            Comparison(
                f"x3's train error at a learning rate of 0.1, without minus with batch normalization, {AT_THE_END}",
                curves={
                    "more": x3(False, learning_rate=HIGHER_RATE),
                    "less": x3(True, learning_rate=HIGHER_RATE),
                },
                # At the higher rate a network may fail to learn: that is what is asked.
                judged=tuple(FIGURE_3.curve("x3", name) for name in SIDES),
            ),
        ),
    ),
    Claim(
        "bn-initialization",
        NUMBER,
        "Batch normalization makes training depend less on the initialization.",
        "True if x3's train error at initial weights of 0.7 and of 1.4 times the usual scale differs less with it, "
        "false if more; larger changes, at which networks without it stop learning, are not asked.",
        (
            Comparison(
                "how far x3's train errors at initial weights of 0.7 and 1.4 times the usual scale lie apart, without "
                f"minus with batch normalization, {AT_THE_END}",
                curves={
                    f"{side} {name}": x3(has_it, initial_scale=scale)
                    for side, has_it in (("with", True), ("without", False))
                    for name, scale in SCALES.items()
                },
                effect=measures.change_difference,
            ),
        ),
    ),
    Claim(
        "bn-replaces-dropout",
        NUMBER,
        "Batch normalization regularizes well enough to stand in for dropout.",
        "True if, with batch normalization, leaving out dropout costs less than a point on the test set, false "
        "if it costs more; other ratios than 0.25, and dropout without batch normalization, are not asked.",
        (
            # 'Well enough' is read as: leaving out dropout costs not more than a point on the test set.
            difference(
                "test error of batch normalization with dropout 0.25 minus without",
                FIGURE_5.curve("", "dropout 0.25"),
                FIGURE_5.curve("", "no dropout"),
                claimed=(-1.0, math.inf),
            ),
        ),
    ),
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.batch_normalization")
