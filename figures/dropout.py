"""Section 3: dropout. Figures 4 and 5: the baseline at several dropout ratios."""

from figures.baseline import BASELINE
from figures.claims import measures
from figures.claims.declare import Claim, Comparison, difference
from figures.figure import Figure, section_main
from reproduce.analysis.curves import Series

NUMBER = "3"
TITLE = "Section 3: dropout"
SAYS = "Varies the dropout ratio, which the text calls a retention probability, and compares train and test errors."

EPOCHS = 21


def _curves(figure: int, quantity: str, ratios: tuple[float, ...]) -> tuple[Series, ...]:
    return tuple(
        Series(
            figure,
            "",
            f"dropout {ratio}" if ratio else "no dropout",
            quantity,
            {**BASELINE, "dropout": ratio},
            EPOCHS,
        )
        for ratio in ratios
    )


FIGURE_4 = Figure(4, "Dropout: train error", _curves(4, "train error (%)", (0.0, 0.3, 0.4)))
FIGURE_5 = Figure(5, "Dropout: test error", _curves(5, "test error (%)", (0.0, 0.25, 0.3, 0.4, 0.5)))
FIGURES = {4: FIGURE_4, 5: FIGURE_5}

CLAIMS = (
    Claim(
        "dropout-train-error",
        NUMBER,
        "Dropout raises the training error.",
        "True if ratios 0.3 and 0.4 both raise it, false if one lowers it; the error is taken with dropout at "
        "work, so it cannot tell what of it is learnt less and what is dropped.",
        tuple(
            difference(
                f"train error with {name} minus without",
                FIGURE_4.curve("", name),
                FIGURE_4.curve("", "no dropout"),
                name,
            )
            for name in ("dropout 0.3", "dropout 0.4")
        ),
    ),
    Claim(
        "dropout-speed",
        NUMBER,
        "Training without dropout converges faster.",
        "True if both ratios need more epochs to one and the same test error, three quarters of the way down, "
        "false if one needs fewer; it cannot tell where either ends.",
        tuple(
            Comparison(
                f"epochs with {name} minus without, to one and the same test error, three quarters of the way down",
                name,
                unit="epochs",
                curves={"slower": FIGURE_5.curve("", name), "faster": FIGURE_5.curve("", "no dropout")},
                effect=measures.epochs_gained,
            )
            for name in ("dropout 0.3", "dropout 0.4")
        ),
    ),
    Claim(
        "dropout-test-error",
        NUMBER,
        "With p = 0.4 the model does better on the test set than without dropout.",
        "True if its test error is lower at the end, false if it is higher; the report's sentence names no "
        "epoch, and the order may turn later than its curves go.",
        (
            difference(
                "test error without dropout minus with dropout 0.4",
                FIGURE_5.curve("", "no dropout"),
                FIGURE_5.curve("", "dropout 0.4"),
            ),
        ),
    ),
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.dropout")
