"""Section 5, figure 8: filters of 3 x 3, 5 x 5 and 7 x 7 pixels, all else equal."""

from figures.baseline import BASELINE
from figures.walk import Figure, Series, section_main

EPOCHS = 25
PANELS = {"training error": "train error (%)", "test accuracy": "test accuracy (%)"}

FIGURES = {
    8: Figure(
        8,
        "Filter size: train error and test accuracy",
        tuple(
            Series(panel, f"{size}x{size}", quantity, {**BASELINE, "dropout": 0.0, "filter_size": size}, EPOCHS)
            for panel, quantity in PANELS.items()
            for size in (3, 5, 7)
        ),
    )
}

if __name__ == "__main__":
    section_main(FIGURES, "figures.filter_size")
