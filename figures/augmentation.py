"""Section 6: data augmentation. Figure 9: the baseline on the training set, and on one four times its size."""

import math

from figures.baseline import BASELINE
from figures.claims import measures
from figures.claims.declare import Claim, Comparison, difference
from figures.figure import Figure, section_main
from reproduce.analysis.curves import Series

NUMBER = "6"
TITLE = "Section 6: data augmentation"
SAYS = "Makes the training set four times as large: mirrored, contrast-normalized and median-filtered copies."

EPOCHS = 13
SIDES = {"baseline": "none", "4x augmentation": "report"}

FIGURE_9 = Figure(
    9,
    "Data augmentation: train accuracy",
    tuple(
        Series(9, "", name, "train accuracy (%)", {**BASELINE, "augmentation": augmentation}, EPOCHS)
        for name, augmentation in SIDES.items()
    ),
)
FIGURES = {9: FIGURE_9}

CLAIMS = (
    Claim(
        "augmentation-train",
        NUMBER,
        "4x augmentation raises the training accuracy by much at equal epochs.",
        (
            # 'By much' is read as by more than 5 points.
            difference(
                "train accuracy with minus without 4x augmentation",
                FIGURE_9.curve("", "4x augmentation"),
                FIGURE_9.curve("", "baseline"),
                claimed=(5.0, math.inf),
            ),
        ),
    ),
    Claim(
        "augmentation-time",
        NUMBER,
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
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.augmentation")
