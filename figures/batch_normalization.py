"""Section 2, figure 3: the networks of figure 2 with and without batch normalization."""

from figures.baseline import BASELINE, BLOCKS
from figures.walk import Figure, Series, section_main

EPOCHS = 20
SIDES = {"batch norm": True, "no batch norm": False}

FIGURES = {
    3: Figure(
        3,
        "Batch normalization: train error at three depths",
        tuple(
            Series(
                panel,
                name,
                "train error (%)",
                {**BASELINE, "dropout": 0.0, "blocks": blocks, "batch_normalization": normalized},
                EPOCHS,
            )
            for panel, blocks in BLOCKS.items()
            for name, normalized in SIDES.items()
        ),
        timed=dict.fromkeys(BLOCKS, tuple(SIDES)),
    )
}

if __name__ == "__main__":
    section_main(FIGURES, "figures.batch_normalization")
