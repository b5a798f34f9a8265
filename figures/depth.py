"""Section 1: deeper networks. Figure 2: one, two and three blocks of two convolutions and a pooling."""

import math

from figures.baseline import DEPTHS, DEPTHS_EXPLAINED
from figures.claims import measures
from figures.claims.declare import Claim, Comparison, difference
from figures.figure import Figure, section_main
from figures.vgg import COLUMNS, parameters
from figures.vgg_tables import PRINTED_MILLIONS
from reproduce.analysis.curves import Series

NUMBER = "1"
TITLE = "Section 1: deeper networks"
SAYS = "Trains networks of one, two and three blocks of two convolutions and a pooling, and compares training errors."

EPOCHS = 20
DEEPER = (("x1", "x2"), ("x2", "x3"))

FIGURE_2 = Figure(
    2,
    "Depth: train error of one, two and three blocks",
    tuple(Series(2, "", name, "train error (%)", settings, EPOCHS) for name, settings in DEPTHS.items()),
    explained=DEPTHS_EXPLAINED,
)
FIGURES = {2: FIGURE_2}


def _wrong_table_2_entries() -> float:
    return float(sum(round(parameters(column) / 1e6) != PRINTED_MILLIONS[column.name] for column in COLUMNS))


CLAIMS = (
    Claim(
        "table-2",
        NUMBER,
        "The VGG columns A and A-LRN, B, C, D and E have 133, 133, 134, 138 and 144 million parameters.",
        "True if every entry is the exact count rounded to millions, false if one is not; counted, so nothing "
        "is left open.",
        (
            Comparison(
                "entries of table 2 that differ from the exact count rounded to millions",
                unit="wrong entries",
                claimed=(0, 0),
                computed=_wrong_table_2_entries,
            ),
        ),
    ),
    Claim(
        "depth-train-error",
        NUMBER,
        "More convolutional layers give a lower training error.",
        "True if x1 to x2 and x2 to x3 both lower it, false if one raises it; x1, x2 and x3 also differ in "
        "poolings and channels, and x3 probably in its optimizer, so it cannot say that the convolutions do it.",
        tuple(
            difference(
                f"train error of {less} minus {more} blocks",
                FIGURE_2.curve("", less),
                FIGURE_2.curve("", more),
                f"{less} to {more}",
            )
            for less, more in DEEPER
        ),
    ),
    Claim(
        "pool-time",
        NUMBER,
        "Each further POOL layer's downsampling counters the growth of training time with depth.",
        "True if a training step grows more from x1 to x2 and from x2 to x3 where the poolings are left out, "
        "false if it grows less; it cannot say by how much on another machine.",
        tuple(
            Comparison(
                f"growth of the time of a training step from {less} to {more} without pooling, over that with pooling",
                f"{less} to {more}",
                unit="times",
                claimed=(1.0, math.inf),
                effect=measures.growth_ratio,
                times={
                    f"{role} {side}": {**DEPTHS[name], "pooling": pooling}
                    for role, name in (("shallower", less), ("deeper", more))
                    for side, pooling in (("with", "max"), ("without", "none"))
                },
            )
            for less, more in DEEPER
        ),
    ),
)

if __name__ == "__main__":
    section_main(FIGURES, "figures.depth")
