"""Section 4, figures 6 and 7: average and max pooling under Adam, MomentumSGD and RMSprop."""

from figures.baseline import BASELINE
from figures.walk import Figure, Series, section_main

# The length of the report's axes: its average-pooling panel ends at epoch 22, its max-pooling panel at 15.
PANELS = {"average": 23, "max": 16}
OPTIMIZERS = ("Adam", "MomentumSGD", "RMSprop")


def _series(quantity: str) -> tuple[Series, ...]:
    return tuple(
        Series(f"{pooling} pooling", name, quantity, {**BASELINE, "pooling": pooling, "optimizer": name}, epochs)
        for pooling, epochs in PANELS.items()
        for name in OPTIMIZERS
    )


FIGURES = {
    6: Figure(6, "Pooling and optimizers: train error", _series("train error (%)")),
    7: Figure(7, "Pooling and optimizers: test accuracy", _series("test accuracy (%)")),
}

if __name__ == "__main__":
    section_main(FIGURES, "figures.pooling_and_optimizers")
