"""Section 6: data augmentation. Figure 9: the baseline on the training set, and on one four times its size."""

import math

from figures.baseline import BASELINE
from figures.claims import measures
from figures.claims.declare import Claim, Comparison, difference
from figures.figure import Figure, section_main
from reproduce.analysis.curves import Series
from reproduce.plan.step_times import EPOCH

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
        "True if it is more than 5 points higher at the end, false if less; an epoch then has four times as "
        "many updates: at equal updates, also shown, does not decide.",
        (
            # 'By much' is read as by more than 5 points.
            difference(
                "train accuracy with minus without 4x augmentation",
                FIGURE_9.curve("", "4x augmentation"),
                FIGURE_9.curve("", "baseline"),
                claimed=(5.0, math.inf),
                name="equal epochs",
            ),
            Comparison(
                "train accuracy with minus without 4x augmentation over the same updates: its last epoch that has a "
                "counterpart, against the mean of four epochs without",
                "equal updates",
                claimed=(5.0, math.inf),
                curves={
                    "more": FIGURE_9.curve("", "4x augmentation"),
                    "less": FIGURE_9.curve("", "baseline"),
                },
                effect=measures.difference_at_equal_updates,
                decides=False,
            ),
        ),
    ),
    Claim(
        "augmentation-time",
        NUMBER,
        "Augmentation raises the training time.",
        "True if a run's first epoch takes longer with it, the making of the images included, false if shorter; "
        "it cannot tell the time on the report's GPU.",
        (
            Comparison(
                "time of a run's first epoch with over without 4x augmentation, the making of the images included",
                unit="times",
                claimed=(1.0, math.inf),
                effect=measures.time_ratio,
                times={"more": {**BASELINE, "augmentation": "report"}, "less": BASELINE},
                timed=EPOCH,
            ),
        ),
    ),
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.augmentation")
