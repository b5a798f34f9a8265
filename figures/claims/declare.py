"""How a claim is declared: what it says, what it needs, what is measured, and what range is claimed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from figures.baseline import BASELINE
from figures.claims import measures
from reproduce.analysis.curves import Series, part_of
from reproduce.plan.step_times import STEP

ABOVE_0 = (0.0, math.inf)
AT_THE_END = "mean of the last three common epochs"
# Epochs at the full profile of runs that no figure shows: as many as figures 2 and 3 have.
EPOCHS = 20


@dataclass(frozen=True)
class Comparison:
    """One effect that a claim is about.

    Attributes:
        measure: the effect in words.
        name: which of the claim's comparisons, if it makes several.
        unit: of the effect.
        claimed: the range in which the claim says that the effect lies.
        curves: what it needs, by role: runs of the same seeds.
        effect: from those curves to (S,), one effect per seed; or from times to (R,), one ratio per round.
        times: in place of curves, settings of the networks that are timed, by role.
        timed: what is timed: a training `step`, or a whole `epoch` with the making of its images.
        computed: in place of both, the number itself.
        judged: the curves that must be in the report's regime for the effect to say something about the report; all
            of `curves` if none are named.
        leans: why the measure is biased towards the claim, if it is. It can speak against the claim then, not for it.
        decides: whether the claim needs it; otherwise it is measured and also shown.
    """

    measure: str
    name: str = ""
    unit: str = "points"
    claimed: tuple[float, float] = ABOVE_0
    curves: Mapping[str, Series] = field(default_factory=dict)
    effect: Callable[[Any], np.ndarray] = measures.difference
    times: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timed: str = STEP
    computed: Callable[[], float] | None = None
    judged: tuple[Series, ...] = ()
    leans: str = ""
    decides: bool = True

    @property
    def series(self) -> tuple[Series, ...]:
        """All curves that it needs, those that are judged included."""
        return (*self.curves.values(), *self.judged)

    @property
    def variance_group(self) -> str:
        """Comparisons that count the same images tell together how far seeds lie apart; others each for themselves.

        Not those in which a network may fail to learn: it spreads far less, or far more.
        """
        if self.unit != "points" or self.judged or not self.curves:
            return ""
        return "test" if any(part_of(series.quantity) == "test" for series in self.curves.values()) else "train"

    def claimed_in_words(self) -> str:
        """`above 0`, `at least 1`, `-5 to 5`."""
        low, high = self.claimed
        if low == high:
            return f"{low:g}"
        if math.isinf(high):
            return f"{'at least' if self.computed else 'above'} {low:g}"
        return f"{low:g} to {high:g}"


@dataclass(frozen=True)
class Claim:
    """One sentence of the report. It holds if all of its comparisons do that decide.

    Attributes:
        section: its number, or `background`.
        decides: in one line, what would make it true or false, and what this design cannot tell.
    """

    id: str
    section: str
    statement: str
    decides: str
    comparisons: tuple[Comparison, ...]


def undrawn(name: str, quantity: str, settings: Mapping[str, Any]) -> Series:
    """A curve that no figure of the report has."""
    return Series(None, "", name, quantity, {**BASELINE, **settings}, EPOCHS)


def difference(measure: str, more: Series, less: Series, name: str = "", **more_settings: Any) -> Comparison:
    """Of two curves at their end."""
    return Comparison(f"{measure}, {AT_THE_END}", name, curves={"more": more, "less": less}, **more_settings)


def gap(
    measure: str, more: tuple[Series, Series], less: tuple[Series, Series], name: str, leans: str = ""
) -> Comparison:
    """Of two overfitting gaps at equal train accuracy, each of a train and a test curve."""
    roles = ("more train", "more test", "less train", "less test")
    return Comparison(
        f"train minus test accuracy at equal train accuracy, {measure}",
        name,
        curves=dict(zip(roles, [*more, *less], strict=True)),
        effect=measures.gap_difference,
        leans=leans,
    )
