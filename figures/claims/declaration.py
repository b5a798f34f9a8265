"""How a claim is declared: what it says, what it needs, what is measured, and what range is claimed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from figures import depth
from figures.baseline import BASELINE
from figures.claims import measures
from figures.sections import series
from figures.walk import Series

ABOVE_0 = (0.0, math.inf)
AT_THE_END = "mean of the last three common epochs"
# Curves were read off the report's pictures to about 0.3 points, so a difference of two to 0.6.
READING = 0.3


@dataclass(frozen=True)
class Line:
    """A curve that a comparison needs.

    Attributes:
        series: our runs.
        figure: the report's figure that has the same curve, if one has.
    """

    series: Series
    figure: int | None = None


@dataclass(frozen=True)
class Comparison:
    """One effect that a claim is about.

    Attributes:
        measure: the effect in words.
        name: which of the claim's comparisons, if it makes several.
        unit: of the effect.
        claimed: the range in which the claim says that the effect lies.
        curves: what it needs, by role: runs of the same seeds.
        effect: from those curves to (S,), an effect a seed; or from times to (R,), a ratio a round.
        reading: what reading the report's curves off its pictures may do to the effect.
        times: in place of curves, settings of the networks whose training steps are timed.
        computed: in place of both, the number itself.
    """

    measure: str
    name: str = ""
    unit: str = "points"
    claimed: tuple[float, float] = ABOVE_0
    curves: Mapping[str, Line] = field(default_factory=dict)
    effect: Callable[[Any], np.ndarray] = measures.difference
    reading: float = 2 * READING
    times: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    computed: Callable[[], float] | None = None

    def claimed_in_words(self) -> str:
        low, high = self.claimed
        if low == high:
            return f"{low:g}"
        if math.isinf(high):
            return f"{'at least' if self.computed else 'above'} {low:g}"
        return f"{low:g} to {high:g}"


@dataclass(frozen=True)
class Claim:
    """One sentence of the report. It holds if all of its comparisons do."""

    id: str
    section: str
    statement: str
    comparisons: tuple[Comparison, ...]


def drawn(figure: int, panel: str, name: str) -> Line:
    """A curve of one of the report's figures."""
    return Line(series(figure, panel, name), figure)


def run(name: str, quantity: str, settings: Mapping[str, Any]) -> Line:
    """A curve that no figure of the report has."""
    return Line(Series("", name, quantity, {**BASELINE, **settings}, depth.EPOCHS))


def difference(measure: str, more: Line, less: Line, name: str = "", **more_settings: Any) -> Comparison:
    return Comparison(f"{measure}, {AT_THE_END}", name, curves={"more": more, "less": less}, **more_settings)


def gap(measure: str, more: tuple[Line, Line], less: tuple[Line, Line], name: str) -> Comparison:
    """Of two overfitting gaps, each of a train and a test curve."""
    roles = ("more train", "more test", "less train", "less test")
    return Comparison(
        f"train minus test accuracy, {measure}, {AT_THE_END}",
        name,
        curves=dict(zip(roles, [*more, *less], strict=True)),
        effect=measures.gap_difference,
        reading=4 * READING,
    )
