"""What claims measure: plain functions from curves, or times, to one effect a seed, or a round.

Each takes its curves by the role they play. Positive effects speak for an order that is claimed.
"""

from collections.abc import Mapping

import numpy as np

from reproduce.analysis.curves import Curve
from reproduce.pattern import CLASSES

LAST_EPOCHS = 3
# A run that diverged gives no answers any more: it counts as one that guesses among ten classes.
GUESSING = {"error": 100 - 100 / CLASSES, "accuracy": 100 / CLASSES}

Curves = Mapping[str, Curve]


def _kind(curve: Curve) -> str:
    return "accuracy" if "accuracy" in curve.quantity else "error"


def common_values(curves: Curves) -> dict[str, np.ndarray]:
    """(S, E) each curve at the epochs that all of them have; not a number once a run has diverged.

    Raises:
        ValueError: there is no such epoch.
    """
    common = sorted(set.intersection(*(set(curve.epochs.tolist()) for curve in curves.values())))
    if not common:
        raise ValueError("the curves share no epoch")
    return {role: curve.values[:, np.isin(curve.epochs, common)] for role, curve in curves.items()}


def settled(curves: Curves) -> dict[str, np.ndarray]:
    """As `common_values`, where a diverged run is the worst and not missing: from then on it guesses.

    If another of the compared runs does even worse than guessing, the diverged one counts as that.
    """
    values = common_values(curves)
    worst = {}
    for kind, pick in (("error", max), ("accuracy", min)):
        finite = [v[np.isfinite(v)] for role, v in values.items() if _kind(curves[role]) == kind]
        worst[kind] = pick([GUESSING[kind], *(float(pick(v)) for v in finite if v.size)])
    return {role: np.where(np.isfinite(v), v, worst[_kind(curves[role])]) for role, v in values.items()}


def _at_end(values: np.ndarray) -> np.ndarray:
    """(S, E) to (S,): the mean of the last three epochs."""
    return values[:, -LAST_EPOCHS:].mean(axis=1)


def difference(curves: Curves) -> np.ndarray:
    """(S,) `more` minus `less`, mean of the last three common epochs, points."""
    values = settled(curves)
    return _at_end(values["more"]) - _at_end(values["less"])


def _gap(curves: Curves, side: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """(S,) train accuracy minus test accuracy at the end, points."""
    accuracies = []
    for part in ("train", "test"):
        curve, value = curves[f"{side} {part}"], _at_end(values[f"{side} {part}"])
        accuracies.append(value if _kind(curve) == "accuracy" else 100 - value)
    return accuracies[0] - accuracies[1]


def gap_difference(curves: Curves) -> np.ndarray:
    """(S,) train accuracy minus test accuracy, of `more` minus of `less`, mean of the last three common epochs, points.

    A run that diverged has no gap, and there is none that could be put in its place: guessing on both sets would make
    it the best. Its pair is not a number.
    """
    values = common_values(curves)
    return _gap(curves, "more", values) - _gap(curves, "less", values)


def first_crossing(values: np.ndarray, level: float) -> float:
    """The first epoch, by linear interpolation, at which a falling curve reaches a level; one past the last if never.

    Args:
        values: (E,) float.
    """
    below = np.flatnonzero(values <= level)
    if not below.size:
        return float(len(values))
    i = int(below[0])
    return float(i) if i == 0 else i - 1 + float((values[i - 1] - level) / (values[i - 1] - values[i]))


def epochs_gained(curves: Curves) -> np.ndarray:
    """(S,) epochs that `slower` needs, minus those that `faster` needs, to the lowest train error that both reach."""
    values = settled(curves)
    gained = []
    for slower, faster in zip(values["slower"], values["faster"], strict=True):
        level = max(slower.min(), faster.min())
        gained.append(first_crossing(slower, level) - first_crossing(faster, level))
    return np.array(gained)


def harm_difference(curves: Curves) -> np.ndarray:
    """(S,) what the change from `usual` to `changed` costs `without`, minus what it costs `with`, points of error."""
    end = {role: _at_end(values) for role, values in settled(curves).items()}
    return (end["without changed"] - end["without usual"]) - (end["with changed"] - end["with usual"])


def range_difference(curves: Curves) -> np.ndarray:
    """(S,) the range (highest minus lowest) over all curves `without ...`, minus that over all `with ...`, points."""
    end = {role: _at_end(values) for role, values in settled(curves).items()}
    ranges = [
        np.ptp(np.stack([values for role, values in end.items() if role.startswith(side)]), axis=0)
        for side in ("without", "with ")
    ]
    return ranges[0] - ranges[1]


Seconds = Mapping[str, np.ndarray]


def time_ratio(seconds: Seconds) -> np.ndarray:
    """(R,) time of `more` over that of `less` in each round; of several pairs (`more 1`, ...) the geometric mean."""
    logarithms = [
        np.log(seconds[role]) - np.log(seconds[role.replace("more", "less")])
        for role in seconds
        if role.startswith("more")
    ]
    return np.exp(np.mean(logarithms, axis=0))


def growth_ratio(seconds: Seconds) -> np.ndarray:
    """(R,) how many times longer `deeper` takes than `shallower` without pooling, over the same with pooling."""
    without = seconds["deeper without"] / seconds["shallower without"]
    return without / (seconds["deeper with"] / seconds["shallower with"])
