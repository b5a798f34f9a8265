"""Section 1, figure 2: one, two and three blocks of two convolutions and a pooling."""

from figures.baseline import BASELINE, BLOCKS
from figures.walk import Figure, Series, section_main

EPOCHS = 20

FIGURES = {
    2: Figure(
        2,
        "Depth: train error of one, two and three blocks",
        tuple(
            Series("", name, "train error (%)", {**BASELINE, "dropout": 0.0, "blocks": blocks}, EPOCHS)
            for name, blocks in BLOCKS.items()
        ),
    )
}

if __name__ == "__main__":
    section_main(FIGURES, "figures.depth")
