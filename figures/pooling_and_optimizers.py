"""Section 4: pooling and optimizers. Figures 6 and 7: average and max pooling under three optimizers."""

from figures.baseline import BASELINE
from figures.claims.declare import Claim, Comparison, difference
from figures.figure import Figure, section_main
from reproduce.analysis.curves import Series

NUMBER = "4"
TITLE = "Section 4: pooling and optimizers"
SAYS = "Trains under Adam, MomentumSGD and RMSprop with average and with max pooling, and ranks the six combinations."

# The length of the report's axes: its average-pooling panel ends at epoch 22, its max-pooling panel at 15.
PANELS = {"average": 23, "max": 16}
# Any of `OPTIMIZERS` in reproduce/optimizers.py; one more name here is one more curve in each panel.
OPTIMIZERS = ("Adam", "MomentumSGD", "RMSprop")


def _curves(figure: int, quantity: str) -> tuple[Series, ...]:
    return tuple(
        Series(
            figure,
            f"{pooling} pooling",
            name,
            quantity,
            {**BASELINE, "pooling": pooling, "optimizer": name},
            epochs,
        )
        for pooling, epochs in PANELS.items()
        for name in OPTIMIZERS
    )


FIGURE_6 = Figure(6, "Pooling and optimizers: train error", _curves(6, "train error (%)"))
FIGURE_7 = Figure(7, "Pooling and optimizers: test accuracy", _curves(7, "test accuracy (%)"))
FIGURES = {6: FIGURE_6, 7: FIGURE_7}


def _test_accuracy(better: tuple[str, str], worse: tuple[str, str]) -> Comparison:
    """Of two of the six runs, named by pooling and optimizer: figure 7 says how good each network is."""
    names = [f"{optimizer} with {pooling} pooling" for pooling, optimizer in (better, worse)]
    more, less = [FIGURE_7.curve(f"{pooling} pooling", optimizer) for pooling, optimizer in (better, worse)]
    return difference(f"test accuracy of {names[0]} minus {names[1]}", more, less, name=f"against {names[1]}")


CLAIMS = (
    Claim(
        "adam-best",
        NUMBER,
        "Adam beats MomentumSGD and RMSprop, under average and under max pooling.",
        "True if Adam's test accuracy is higher in all four comparisons, false if it is lower in one; each "
        "optimizer has one rate, and in smaller profiles than full MomentumSGD a momentum of 0.9 in place of 0.99, "
        "so it cannot say which is best when tuned.",
        tuple(
            _test_accuracy((pooling, "Adam"), (pooling, other))
            for pooling in ("average", "max")
            for other in ("MomentumSGD", "RMSprop")
        ),
    ),
    Claim(
        "adam-average",
        NUMBER,
        "Average pooling beats max pooling under Adam.",
        "True if its test accuracy is higher at the end, false if it is lower; differences smaller than those "
        "between seeds stay open.",
        (_test_accuracy(("average", "Adam"), ("max", "Adam")),),
    ),
    Claim(
        "others-max",
        NUMBER,
        "Max pooling beats average pooling under RMSprop and under MomentumSGD.",
        "True if its test accuracy is higher under both, false if it is lower under one; differences smaller "
        "than those between seeds stay open.",
        tuple(_test_accuracy(("max", name), ("average", name)) for name in ("RMSprop", "MomentumSGD")),
    ),
    Claim(
        "adam-average-vs-momentum-max",
        NUMBER,
        "Adam with average pooling beats MomentumSGD with max pooling.",
        "True if its test accuracy is higher at the end, false if it is lower; it cannot say which of the two "
        "changes does it.",
        (_test_accuracy(("average", "Adam"), ("max", "MomentumSGD")),),
    ),
    Claim(
        "best-combination",
        NUMBER,
        "Adam with average pooling is the best of the six.",
        "True if its test accuracy is higher than that of each other one, false if it is lower than one; two "
        "that are equally good leave it open.",
        tuple(
            _test_accuracy(("average", "Adam"), (pooling, name))
            for pooling in ("average", "max")
            for name in ("Adam", "MomentumSGD", "RMSprop")
            if (pooling, name) != ("average", "Adam")
        ),
    ),
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.pooling_and_optimizers")
