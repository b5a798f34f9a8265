"""Section 3, figures 4 and 5: the baseline at several dropout ratios."""

from figures.baseline import BASELINE
from figures.walk import Figure, Series, section_main

EPOCHS = 21


def _series(quantity: str, ratios: tuple[float, ...]) -> tuple[Series, ...]:
    return tuple(
        Series("", f"dropout {ratio}" if ratio else "no dropout", quantity, {**BASELINE, "dropout": ratio}, EPOCHS)
        for ratio in ratios
    )


FIGURES = {
    4: Figure(4, "Dropout: train error", _series("train error (%)", (0.0, 0.3, 0.4))),
    5: Figure(5, "Dropout: test error", _series("test error (%)", (0.0, 0.25, 0.3, 0.4, 0.5))),
}

if __name__ == "__main__":
    section_main(FIGURES, "figures.dropout")
