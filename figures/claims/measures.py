"""What claims measure: plain functions from curves, or times, to one effect per seed, or per round.

Each takes its curves by the role they play. Positive effects speak for an order that is claimed.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from reproduce.analysis.curves import GUESSING_ERROR, Curve, as_error
from reproduce.augmentation import COPIES

LAST_EPOCHS = 3

Curves = Mapping[str, Curve]


def common_values(curves: Curves) -> dict[str, np.ndarray]:
    """(S, E) each curve at the epochs that all of them have; NaN once a run has diverged.

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
    errors = {role: as_error(values, curves[role].quantity) for role, values in common_values(curves).items()}
    worst = max(float(one.max(initial=GUESSING_ERROR, where=np.isfinite(one))) for one in errors.values())
    settled_errors = {role: np.where(np.isfinite(one), one, worst) for role, one in errors.items()}
    return {role: as_error(one, curves[role].quantity) for role, one in settled_errors.items()}


def _at_end(values: np.ndarray) -> np.ndarray:
    """(S, E) to (S,): the mean of the last three epochs."""
    return values[:, -LAST_EPOCHS:].mean(axis=1)


def difference(curves: Curves) -> np.ndarray:
    """(S,) `more` minus `less`, mean of the last three common epochs, points."""
    values = settled(curves)
    return _at_end(values["more"]) - _at_end(values["less"])


def smoothed(values: np.ndarray) -> np.ndarray:
    """(S, E) to (S, E - 2): running means of three epochs, as the end is one; of all epochs where there are fewer."""
    window = min(LAST_EPOCHS, values.shape[1])
    return np.lib.stride_tricks.sliding_window_view(values, window, axis=1).mean(axis=-1)


def _accuracies(curves: Curves, role: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """(S, E) one curve as smoothed accuracy, percent."""
    return smoothed(100 - as_error(values[role], curves[role].quantity))


def gap_difference(curves: Curves) -> np.ndarray:
    """(S,) train accuracy minus test accuracy, of `more` minus of `less`, at one and the same train accuracy, points.

    A network that has learnt nothing has no gap, so that gaps at the last epoch say which network has learnt more. Here
    both are compared where they fit the training set equally well: at the lower of the two mean train accuracies at the
    end, the same for all seeds. Test accuracies are interpolated along the run. A seed that ends below the level is
    taken at its end. One that begins above it was never there: its effect is NaN.

    A run that diverged has no gap, and there is none that could be put in its place: guessing on both sets would make
    it the best. Its effect is NaN.
    """
    values = common_values(curves)
    train = {side: _accuracies(curves, f"{side} train", values) for side in ("more", "less")}
    test = {side: _accuracies(curves, f"{side} test", values) for side in ("more", "less")}
    level = min(float(np.nanmean(one[:, -1])) if np.isfinite(one[:, -1]).any() else np.nan for one in train.values())
    gaps = {
        side: np.array([_gap_at(level, *pair) for pair in zip(train[side], test[side], strict=True)]) for side in train
    }
    return gaps["more"] - gaps["less"]


def _gap_at(level: float, train: np.ndarray, test: np.ndarray) -> float:
    """Train minus test accuracy of one run, interpolated to where its train accuracy first reaches a level."""
    if not np.isfinite(train).all() or train[0] > level:
        return np.nan
    place = min(first_crossing(-train, -level), len(train) - 1.0)
    epochs = np.arange(len(train))
    return float(np.interp(place, epochs, train) - np.interp(place, epochs, test))


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


# Of the way down. Farther on, curves are flat: there the epoch at which one crosses a level is chance.
PART_OF_THE_WAY = 0.75


def epochs_gained(curves: Curves) -> np.ndarray:
    """(S,) epochs that `slower` needs, minus those that `faster` needs, to one and the same error (`_error_level`)."""
    return _epochs_gained_to(curves, _error_level(curves))


def _error_level(curves: Curves) -> float:
    """Three quarters of the way from the higher of two mean errors in the first epoch to the higher at the end.

    It is the same for all seeds, and a mean, so that no last digit of one run decides where it lies; both curves pass
    it well before their end.
    """
    means = [one.mean(axis=0) for one in settled(curves).values()]
    start, end = max(float(one[0]) for one in means), max(float(one[-LAST_EPOCHS:].mean()) for one in means)
    return start + PART_OF_THE_WAY * (end - start)


def _epochs_gained_to(curves: Curves, level: float) -> np.ndarray:
    values = settled(curves)
    return np.array(
        [
            first_crossing(slower, level) - first_crossing(faster, level)
            for slower, faster in zip(values["slower"], values["faster"], strict=True)
        ]
    )


def difference_at_equal_updates(curves: Curves) -> np.ndarray:
    """(S,) `more` minus `less` over the same updates, where an epoch of `more` is of four copies of each image, points.

    The last epoch of `more` for which `less` has all four epochs: epoch e against 4e to 4e + 3. NaN if there is none.
    """
    more, less, copies = curves["more"], curves["less"], COPIES["report"]
    found = np.full(len(more.values), np.nan)
    values = {role: dict(zip(c.epochs.tolist(), settled({role: c})[role].T, strict=True)) for role, c in curves.items()}
    for epoch in more.epochs.tolist():
        counterparts = [copies * epoch + i for i in range(copies)]
        if all(one in less.epochs for one in counterparts):
            found = values["more"][epoch] - np.mean([values["less"][one] for one in counterparts], axis=0)
    return found


def change_difference(curves: Curves) -> np.ndarray:
    """(S,) how far `without larger` lies from `without smaller` at the end, minus the same of `with`, points.

    Both changes have a sign: each counts as positive in the direction of its own mean over the seeds. Taken seed by
    seed, a range or an absolute value, noise alone would be a change.
    """
    end = {role: _at_end(values) for role, values in settled(curves).items()}
    changes = [end[f"{side} larger"] - end[f"{side} smaller"] for side in ("without", "with")]
    without, with_it = (change * (1 if change.mean() >= 0 else -1) for change in changes)
    return without - with_it


def noise_variance(
    measure: Callable[[Curves], np.ndarray], curves: Curves, deviation: Callable[[str, np.ndarray], np.ndarray]
) -> float:
    """The variance that independent noise of every curve gives to one effect, to first order (delta method).

    Each curve in turn is moved up and down by its standard deviation; half of each change is squared and added.

    Args:
        deviation: from a curve's role and values to a standard deviation that can be added to them.
    """
    if measure is epochs_gained:
        # A level that moved with the curve would cross it at the same epoch, however large the noise.
        measure = partial(_epochs_gained_to, level=_error_level(curves))
    total = 0.0
    for role, curve in curves.items():
        by = deviation(role, curve.values)
        up, down = (measure({**curves, role: curve._replace(values=curve.values + one)}) for one in (by, -by))
        change = ((up - down) / 2)[np.isfinite(up - down)]
        total += float((change**2).mean()) if change.size else 0.0
    return total


def counting_noise(values: np.ndarray, images: int) -> np.ndarray:
    """The binomial standard deviation of percentages of `images` images, points."""
    return np.sqrt(np.clip(values, 0, 100) * (100 - np.clip(values, 0, 100)) / images)


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
