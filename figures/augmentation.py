"""Section 6, figure 9: the baseline on the training set and on one augmented to four times its size."""

from figures.baseline import BASELINE
from figures.walk import Figure, Series, section_main

EPOCHS = 13
SIDES = {"baseline": "none", "4x augmentation": "report"}

FIGURES = {
    9: Figure(
        9,
        "Data augmentation: train accuracy",
        tuple(
            Series("", name, "train accuracy (%)", {**BASELINE, "augmentation": augmentation}, EPOCHS)
            for name, augmentation in SIDES.items()
        ),
    )
}

if __name__ == "__main__":
    section_main(FIGURES, "figures.augmentation")
