"""Claims about optimizers, pooling, augmentation and tuning: sections 4, 6 and 7."""

import math

from figures.baseline import BASELINE
from figures.claims import measures
from figures.claims.declaration import Claim, Comparison, difference, drawn

ADAM, MOMENTUM, RMSPROP = "Adam", "MomentumSGD", "RMSprop"


def _test_accuracy(better: tuple[str, str], worse: tuple[str, str]) -> Comparison:
    """Of two of section 4's six runs, named by pooling and optimizer: figure 7 says how good each network is."""
    names = [f"{optimizer} with {pooling} pooling" for pooling, optimizer in (better, worse)]
    lines = [drawn(7, f"{pooling} pooling", optimizer) for pooling, optimizer in (better, worse)]
    return difference(f"test accuracy of {names[0]} minus {names[1]}", *lines, name=f"against {names[1]}")


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "adam-best",
        "4",
        "Adam beats MomentumSGD and RMSprop, under average and under max pooling.",
        tuple(
            _test_accuracy((pooling, ADAM), (pooling, other))
            for pooling in ("average", "max")
            for other in (MOMENTUM, RMSPROP)
        ),
    ),
    Claim(
        "adam-average",
        "4",
        "Average pooling beats max pooling under Adam.",
        (_test_accuracy(("average", ADAM), ("max", ADAM)),),
    ),
    Claim(
        "others-max",
        "4",
        "Max pooling beats average pooling under RMSprop and under MomentumSGD.",
        tuple(_test_accuracy(("max", optimizer), ("average", optimizer)) for optimizer in (RMSPROP, MOMENTUM)),
    ),
    Claim(
        "adam-average-vs-momentum-max",
        "4",
        "Adam with average pooling beats MomentumSGD with max pooling.",
        (_test_accuracy(("average", ADAM), ("max", MOMENTUM)),),
    ),
    Claim(
        "best-combination",
        "4",
        "Adam with average pooling is the best of the six.",
        tuple(
            _test_accuracy(("average", ADAM), (pooling, optimizer))
            for pooling in ("average", "max")
            for optimizer in (ADAM, MOMENTUM, RMSPROP)
            if (pooling, optimizer) != ("average", ADAM)
        ),
    ),
    Claim(
        "augmentation-train",
        "6",
        "4x augmentation raises the training accuracy by much at equal epochs.",
        (
            # 'By much' is read as by more than 5 points.
            difference(
                "train accuracy with minus without 4x augmentation",
                drawn(9, "", "4x augmentation"),
                drawn(9, "", "baseline"),
                claimed=(5.0, math.inf),
            ),
        ),
    ),
    Claim(
        "augmentation-time",
        "6",
        "Augmentation raises the training time.",
        (
            Comparison(
                "time of an epoch's training steps on the augmented set (four times as many) over the plain one",
                unit="times",
                claimed=(1.0, math.inf),
                effect=measures.time_ratio,
                times={"more": {**BASELINE, "augmentation": "report"}, "less": BASELINE},
            ),
        ),
    ),
    Claim(
        "tuning",
        "7",
        "The tuned model beats the baseline on the test set.",
        (
            difference(
                "test accuracy after minus before tuning",
                drawn(10, "", "after tuning"),
                drawn(10, "", "before tuning"),
            ),
        ),
    ),
)
