"""Section 7: the best model after tuning. Figure 10: the baseline and the tuned model."""

from figures.baseline import BASELINE
from figures.batch_normalization import FIGURE_3, x3
from figures.claims.declare import Claim, difference, gap
from figures.dropout import FIGURE_4, FIGURE_5
from figures.figure import Figure, section_main
from reproduce.analysis.curves import Series

NUMBER = "7"
TITLE = "Section 7: the best model"
SAYS = "Puts together what the sections before found best, and compares it with the baseline."

EPOCHS = 21
# Section 7 names Adam, average pooling, dropout, batch normalization and augmentation. It leaves the ratio open, and
# section 8's code has 0.4.
TUNED = {"optimizer": "Adam", "pooling": "average", "dropout": 0.4, "augmentation": "report"}

FIGURE_10 = Figure(
    10,
    "Before and after tuning: test accuracy",
    (
        Series(10, "", "before tuning", "test accuracy (%)", BASELINE, EPOCHS),
        Series(10, "", "after tuning", "test accuracy (%)", TUNED, EPOCHS),
    ),
)
FIGURES = {10: FIGURE_10}


def _dropout(name: str) -> tuple[Series, Series]:
    """Train and test error."""
    return FIGURE_4.curve("", name), FIGURE_5.curve("", name)


CLAIMS = (
    Claim(
        "regularizers",
        NUMBER,
        "Dropout and batch normalization reduce overfitting, the gap between train and test accuracy.",
        "True if each makes the gap smaller at equal train accuracy, false if one makes it larger; that it is true "
        "cannot be told: with dropout the train accuracy is taken while values are dropped, and so is too low.",
        (
            gap(
                "without minus with dropout 0.4",
                _dropout("no dropout"),
                _dropout("dropout 0.4"),
                "dropout",
                leans="dropout's own gap is too small, since its train accuracy is taken while values are dropped",
            ),
            gap(
                "x3 without minus with batch normalization",
                (FIGURE_3.curve("x3", "no batch norm"), x3(False, "test error (%)")),
                (FIGURE_3.curve("x3", "batch norm"), x3(True, "test error (%)")),
                "batch normalization",
            ),
        ),
    ),
    Claim(
        "tuning",
        NUMBER,
        "The tuned model beats the baseline on the test set.",
        "True if its test accuracy is higher at the end, false if it is lower; optimizer, pooling, dropout ratio and "
        "augmentation change at once, so it cannot say which of them does it.",
        (
            difference(
                "test accuracy after minus before tuning",
                FIGURE_10.curve("", "after tuning"),
                FIGURE_10.curve("", "before tuning"),
            ),
        ),
    ),
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.best_model")
