"""Claims about batch normalization and dropout: sections 2, 3 and 7."""

import math
from typing import Any

from figures.baseline import BASELINE, BLOCKS
from figures.claims import measures
from figures.claims.declaration import AT_THE_END, Claim, Comparison, Line, difference, drawn, gap, run

X3 = {"dropout": 0.0, "blocks": BLOCKS["x3"]}
SIDES = {"with": True, "without": False}


def _x3(with_it: bool, quantity: str = "train error (%)", **settings: Any) -> Line:
    """The three-block network of figure 3 in another setting, with or without batch normalization."""
    name = " ".join(f"{key} {value}" for key, value in settings.items())
    return run(name, quantity, {**X3, "batch_normalization": with_it, **settings})


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "bn-accuracy",
        "2",
        "Batch normalization lowers the training error at each depth.",
        tuple(
            difference(
                f"train error without minus with batch normalization, {panel}",
                drawn(3, panel, "no batch norm"),
                drawn(3, panel, "batch norm"),
                panel,
            )
            for panel in BLOCKS
        ),
    ),
    Claim(
        "bn-runtime",
        "2",
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
        "2",
        "Batch normalization allows higher learning rates.",
        (
            Comparison(
                "rise of x3's train error from a learning rate of 0.01 to one of 0.1, without minus with batch "
                f"normalization, {AT_THE_END}",
                curves={
                    f"{side} {role}": _x3(has_it, learning_rate=rate)
                    for side, has_it in SIDES.items()
                    for role, rate in (("usual", 0.01), ("changed", 0.1))
                },
                effect=measures.harm_difference,
            ),
        ),
    ),
    Claim(
        "bn-initialization",
        "2",
        "Batch normalization makes training depend less on the initialization.",
        (
            Comparison(
                "range of x3's train error over initial weights of half, once and twice the usual scale, without minus "
                f"with batch normalization, {AT_THE_END}",
                curves={
                    f"{side} {scale:g}": _x3(has_it, initial_scale=scale)
                    for side, has_it in SIDES.items()
                    for scale in (0.5, 1.0, 2.0)
                },
                effect=measures.range_difference,
            ),
        ),
    ),
    Claim(
        "bn-replaces-dropout",
        "2",
        "Batch normalization regularizes well enough to stand in for dropout.",
        (
            # 'Well enough' is read as: not more than a point worse on the test set than dropout in its place.
            difference(
                "test error with dropout 0.25 alone minus with batch normalization alone",
                run("dropout alone", "test error (%)", {"dropout": 0.25, "batch_normalization": False}),
                drawn(5, "", "no dropout"),
                claimed=(-1.0, math.inf),
            ),
        ),
    ),
    Claim(
        "dropout-train-error",
        "3",
        "Dropout raises the training error.",
        tuple(
            difference(f"train error with {name} minus without", drawn(4, "", name), drawn(4, "", "no dropout"), name)
            for name in ("dropout 0.3", "dropout 0.4")
        ),
    ),
    Claim(
        "dropout-speed",
        "3",
        "Training without dropout converges faster.",
        tuple(
            Comparison(
                f"epochs with {name} minus without, to the lowest train error that both reach",
                name,
                unit="epochs",
                curves={"slower": drawn(4, "", name), "faster": drawn(4, "", "no dropout")},
                effect=measures.epochs_gained,
                reading=0.5,
            )
            for name in ("dropout 0.3", "dropout 0.4")
        ),
    ),
    Claim(
        "dropout-test-error",
        "3",
        "With p = 0.4 the model does better on the test set than without dropout.",
        (
            difference(
                "test error without dropout minus with dropout 0.4",
                drawn(5, "", "no dropout"),
                drawn(5, "", "dropout 0.4"),
            ),
        ),
    ),
    Claim(
        "regularizers",
        "7",
        "Dropout and batch normalization reduce overfitting, the gap between train and test accuracy.",
        (
            gap(
                "without minus with dropout 0.4",
                (drawn(4, "", "no dropout"), drawn(5, "", "no dropout")),
                (drawn(4, "", "dropout 0.4"), drawn(5, "", "dropout 0.4")),
                "dropout",
            ),
            gap(
                "x3 without minus with batch normalization",
                (drawn(3, "x3", "no batch norm"), _x3(False, "test error (%)")),
                (drawn(3, "x3", "batch norm"), _x3(True, "test error (%)")),
                "batch normalization",
            ),
        ),
    ),
)
