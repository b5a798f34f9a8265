"""Section 7, figure 10: the baseline and the tuned model."""

from figures.baseline import BASELINE
from figures.walk import Figure, Series, section_main

EPOCHS = 21

# Section 7 names Adam, average pooling, dropout, batch normalization and augmentation. It leaves the ratio open, and
# section 8's code has 0.4.
TUNED = {"optimizer": "Adam", "pooling": "average", "dropout": 0.4, "augmentation": "report"}

FIGURES = {
    10: Figure(
        10,
        "Before and after tuning: test accuracy",
        (
            Series("", "before tuning", "test accuracy (%)", BASELINE, EPOCHS),
            Series("", "after tuning", "test accuracy (%)", TUNED, EPOCHS),
        ),
    )
}

if __name__ == "__main__":
    section_main(FIGURES, "figures.best_model")
