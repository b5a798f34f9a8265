"""What pictures look like: sizes, fonts, and one colour and marker for each thing that the report varies."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

import matplotlib
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

# Inches. README and page show pictures 838 CSS pixels wide, of which an inch has 96: there, a point is a point.
WIDTH = 838 / 96
PNG_DOTS_PER_INCH = 144

INK, SOFT_INK, GRID_COLOUR = "#1c1e21", "#4d5258", "#e4e4e4"
# After Okabe and Ito's palette, which colour-blind readers can tell apart; its light colours are darker here, so that
# each stands out from white.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#B2538F"
AMBER, SKY, SLATE = "#B98300", "#3A9CDB", "#4A4F55"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# In points.
TITLE_SIZE, HEADING_SIZE, PANEL_SIZE, NAME_SIZE, TEXT_SIZE = 11.0, 9.5, 9.0, 8.5, 8.0
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT_SIZE,
    "axes.labelsize": TEXT_SIZE,
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT_INK,
    "xtick.color": SOFT_INK,
    "ytick.color": SOFT_INK,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.0,
    # Names come from files and users: a dollar sign is a dollar sign.
    "text.parse_math": False,
    "text.usetex": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "conv-nn-report",
    "svg.fonttype": "none",
}
# Text in a PNG is fitted to its pixels, which makes it up to so much wider than its outline.
HINTING = 1.02


class Look(NamedTuple):
    """How a curve is drawn, and the marker before its name."""

    colour: str
    marker: str

    @property
    def text_colour(self) -> str:
        """The same colour, dark enough to be read as small text on white."""
        return to_hex([0.72 * part for part in to_rgb(self.colour)])


REPORT_LOOK, OWN_LOOK = Look(INK, ""), Look(INK, "o")
# The baseline is one run wherever it is drawn, under whatever name, and nothing else is blue.
BASELINE_LOOK = Look(BLUE, "o")
LOOKS = MappingProxyType(
    {
        **dict.fromkeys(("baseline", "before tuning", "MomentumSGD", "dropout 0.25"), BASELINE_LOOK),
        # As candidates for what the report does not state have it.
        **dict.fromkeys(("momentum 0.99", "momentum 0.99, dropout 0.25"), BASELINE_LOOK),
        "Adam": Look(VERMILION, "s"),
        **dict.fromkeys(("RMSprop", "rate 0.01"), Look(GREEN, "^")),
        "no dropout": Look(SLATE, "D"),
        "dropout 0.3": Look(PURPLE, "v"),
        "dropout 0.4": Look(AMBER, "P"),
        "dropout 0.5": Look(SKY, "X"),
        "x1": Look(SKY, "o"),
        "x2": Look(GREEN, "s"),
        "x3": Look(SLATE, "^"),
        "batch norm": Look(PURPLE, "o"),
        "no batch norm": Look(AMBER, "D"),
        "3x3": Look(GREEN, "o"),
        "5x5": Look(AMBER, "s"),
        "7x7": Look(PURPLE, "^"),
        "4x augmentation": Look(AMBER, "^"),
        "after tuning": Look(VERMILION, "P"),
    }
)
FREE_COLOURS = (VERMILION, GREEN, PURPLE, AMBER, SKY, SLATE)


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each series of one picture: the one of `LOOKS`, or one that no other series of the picture has.

    Colours that the picture does not use yet come first.
    """
    names = list(dict.fromkeys(names))
    looks = {name: LOOKS[name] for name in names if name in LOOKS}
    pairs = [Look(FREE_COLOURS[i % len(FREE_COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(len(FREE_COLOURS))]
    pairs += [Look(colour, marker) for marker, colour in product(MARKERS, FREE_COLOURS)]
    for name in names:
        if name not in looks:
            colours = {look.colour for look in looks.values()}
            free = [pair for pair in pairs if pair not in looks.values()] or pairs
            looks[name] = next((pair for pair in free if pair.colour not in colours), free[0])
    return looks


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """How wide a line of text is set, in inches."""
    if not text.strip():
        return 0.0
    properties = FontProperties(family=STYLE["font.family"], weight=weight)
    with matplotlib.rc_context(STYLE):
        outline = TextPath((0, 0), text, size=size, prop=properties)
    return outline.vertices[:, 0].max(initial=0.0) * HINTING / 72


def fold(text: str, inches: float, size: float, weight: str = "normal", most: int | None = None) -> list[str]:
    """Text in lines that are at most so wide; a word that is wider is broken, where it can be in front of a capital.

    What does not fit into `most` lines is left out, and the last one ends in an ellipsis.
    """
    space = text_width("n n", size, weight) - text_width("nn", size, weight)
    lines: list[str] = []
    room = 0.0
    for word in text.split():
        width = text_width(word, size, weight)
        if lines and width + space <= room:
            lines[-1] += f" {word}"
            room -= width + space
            continue
        while width > inches and len(word) > 1:
            part = next(
                n for n in range(len(word) - 1, 0, -1) if n == 1 or text_width(word[:n], size, weight) <= inches
            )
            capitals = [n for n in range(2, part + 1) if word[n].isupper() and word[n - 1].islower()]
            part = capitals[-1] if capitals else part
            lines.append(word[:part])
            word = word[part:]
            width = text_width(word, size, weight)
        lines.append(word)
        room = inches - width
    if most is not None and len(lines) > most:
        lines = lines[:most]
        while lines[-1] and text_width(f"{lines[-1]}…", size, weight) > inches:
            lines[-1] = lines[-1][:-1]
        lines[-1] += "…"
    return lines
