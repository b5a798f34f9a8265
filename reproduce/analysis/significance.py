"""From one effect per seed to intervals, p-values and verdicts, over all comparisons together.

A claim says that an effect lies in a range: above 0 ('A beats B'), above another bound ('by much'), or between two
('about equal', '30 % more'). Every comparison gets an interval, and all intervals hold together: the chance that even
one of them misses its true effect is 5 %. A verdict is what the intervals say, so that the two cannot disagree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, polygamma, stdtr, stdtrit

CONFIDENCE = 0.95
SIGNIFICANCE = 1 - CONFIDENCE
FEWEST_SEEDS = 3
REPRODUCED, CONTRADICTED, INCONCLUSIVE = "reproduced", "contradicted", "inconclusive"
TOO_FEW_SEEDS, OUT_OF_REGIME, NOT_TESTED = "too few seeds", "out of regime", "not tested"
VERDICTS = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, TOO_FEW_SEEDS, OUT_OF_REGIME, NOT_TESTED)
# Degrees of freedom that the variances of other comparisons are worth at most. Without a limit intervals are too narrow
# where one comparison spreads much more than the others (`benchmarks.claims_error_rates`).
MOST_PRIOR_DEGREES = 4.0
# Relative to the median variance: what a variance of 0 counts as where its logarithm is taken (as limma does).
SMALLEST_VARIANCE = 1e-5
# Relative to the effect: what rounding makes of equal numbers, and far below what any measurement resolves.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Sample:
    """What one comparison has measured.

    Attributes:
        effects: (S,) float, one effect per seed, or per round; one that is not finite cannot be measured.
        claimed: the range in which the claim says that the effect lies.
        count_variance: the variance of one effect if its images were drawn anew; 0 for what counts no images.
        group: comparisons of one group tell together how large the variance of each is; in none, "", each its own.
    """

    effects: np.ndarray
    claimed: tuple[float, float] = (0.0, math.inf)
    count_variance: float = 0.0
    group: str = ""


@dataclass(frozen=True)
class Estimate:
    """A comparison's mean effect, and how sure it is.

    Attributes:
        effect: the mean; NaN without seeds.
        low, high: its interval, simultaneous with those of all other comparisons; NaN where none can be told.
        seeds: how many have an effect.
        p_for: one-sided p-value for 'the effect lies in the claimed range', alone; 1 where none can be told.
        p_against: the same for 'it lies outside'.
        error: standard error of the mean.
        degrees: degrees of freedom of its t distribution.
        note: why there is no interval, if there is none.
    """

    effect: float
    low: float = math.nan
    high: float = math.nan
    seeds: int = 0
    p_for: float = 1.0
    p_against: float = 1.0
    error: float = math.nan
    degrees: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Prior:
    """What a group of comparisons says about the variance of one: a value, and the degrees of freedom it is worth."""

    variance: float = 1.0
    degrees: float = 0.0


def trigamma_inverse(x: float) -> float:
    """The y with trigamma(y) = x > 0, by Newton's method (Smyth 2004, appendix)."""
    if x > 1e7:
        return 1 / math.sqrt(x)
    y = 0.5 + 1 / x
    for _ in range(50):
        step = polygamma(1, y) * (1 - polygamma(1, y) / x) / polygamma(2, y)
        y += float(step)
        if -step / y < 1e-10:
            break
    return y


def prior_of(variances: Sequence[float], degrees: Sequence[float]) -> Prior:
    """The distribution that many variances are drawn from, estimated from their logarithms.

    True variances are taken to be scaled inverse chi-square (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), art. 3,
    section 6.2: 'moderated t'). Where they hardly differ, the prior is worth many degrees of freedom and each
    comparison is judged by the common variance; where they differ much, it is worth few and each keeps its own.
    """
    found, freedom = np.asarray(variances, float), np.asarray(degrees, float)
    if len(found) < 2:
        return Prior()
    found = np.maximum(found, SMALLEST_VARIANCE * (np.median(found) or 1.0))
    centred = np.log(found) - digamma(freedom / 2) + np.log(freedom / 2)
    mean, excess = float(centred.mean()), float(centred.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if excess <= 0:
        return Prior(math.exp(mean), math.inf)
    worth = 2 * trigamma_inverse(excess)
    return Prior(math.exp(mean + float(digamma(worth / 2)) - math.log(worth / 2)), worth)


def estimates(samples: Sequence[Sample], comparisons: int, fewest: int = FEWEST_SEEDS) -> list[Estimate]:
    """Interval and p-values of every comparison, from the variance of all of them together.

    Both sides of an effect share their seed. Where networks share weights and shuffles, what a seed does to both
    cancels; often they share little, and nothing is lost by it.

    - **Variance.** Three or five seeds tell little about the spread of one comparison, and more about that of many.
      In a group each comparison's variance is divided by what counting images alone gives (`count_variance`), and drawn
      towards the group's common value (`prior_of`, of which at most `MOST_PRIOR_DEGREES` count). Its degrees of freedom
      are its own and the prior's, at most those of all the group. Others, as times, keep their own: Student's t.
    - **Floor.** Inference is to new seeds on this test set, whose images all seeds share. A few seeds can agree by
      chance to the last digit. So that this is no certainty, an effect's variance is never below `count_variance`.
    - **Intervals.** Bonferroni: each is at 1 - 0.05 / `comparisons`, so that all cover at once in 95 % of cases,
      whatever the dependence between them. The comparisons share runs.

    Args:
        comparisons: how many there are to correct for, those included that have not been measured.
        fewest: with fewer seeds there is no interval, and nothing is decided.
    """
    variances = [float(one.effects.var(ddof=1)) if _is_measured(one, 2) else math.nan for one in samples]
    priors, most = {"": Prior()}, {"": 0.0}
    for group in {one.group for one in samples} - {""}:
        members = [i for i, one in enumerate(samples) if one.group == group and math.isfinite(variances[i])]
        degrees = [len(samples[i].effects) - 1 for i in members]
        prior = prior_of([variances[i] / samples[i].count_variance for i in members], degrees)
        priors[group] = replace(prior, degrees=min(prior.degrees, MOST_PRIOR_DEGREES))
        most[group] = float(sum(degrees))
    return [
        _estimate(one, variance, priors[one.group], most[one.group], comparisons, fewest)
        for one, variance in zip(samples, variances, strict=True)
    ]


def _is_measured(sample: Sample, fewest: int) -> bool:
    return len(sample.effects) >= fewest and bool(np.isfinite(sample.effects).all())


def _estimate(sample: Sample, variance: float, prior: Prior, most: float, comparisons: int, fewest: int) -> Estimate:
    finite = sample.effects[np.isfinite(sample.effects)]
    seeds, mean = len(finite), float(finite.mean()) if len(finite) else math.nan
    if not _is_measured(sample, fewest):
        unmeasured = len(sample.effects) - seeds
        note = f"{unmeasured} of {len(sample.effects)} effects cannot be measured"
        return Estimate(mean, seeds=seeds, note=note if unmeasured else f"fewer than {fewest} decide nothing")
    own = seeds - 1.0
    degrees = own + prior.degrees
    if prior.degrees:
        variance = (own * variance + prior.degrees * prior.variance * sample.count_variance) / degrees
    degrees = min(degrees, most) if prior.degrees else degrees
    error = math.sqrt(max(variance, sample.count_variance) / seeds)
    if error < ROUNDING * max(1.0, abs(mean)):
        return Estimate(mean, seeds=seeds, note="they do not differ, so no interval can be told")
    half = error * float(stdtrit(degrees, 1 - SIGNIFICANCE / comparisons / 2))
    # How many standard errors the effect is inside of each bound of the claimed range.
    inwards = [
        (mean - bound if side == 0 else bound - mean) / error
        for side, bound in enumerate(sample.claimed)
        if math.isfinite(bound)
    ]
    p_for = max(float(stdtr(degrees, -distance)) for distance in inwards)
    p_against = min(float(stdtr(degrees, distance)) for distance in inwards)
    return Estimate(mean, mean - half, mean + half, seeds, p_for, p_against, error, degrees)


@dataclass(frozen=True)
class Evidence:
    """What all comparisons of one claim say together.

    Attributes:
        weakest: which of them decides, by its place.
        p: two-sided, alone; small if the claim holds or if it fails, as `supports` says.
        p_corrected: the same, corrected for the number of all comparisons.
    """

    weakest: int
    p: float
    p_corrected: float
    supports: bool

    @property
    def verdict(self) -> str:
        """`reproduced`, `contradicted` or `inconclusive`."""
        if not self.p_corrected < SIGNIFICANCE:
            return INCONCLUSIVE
        return REPRODUCED if self.supports else CONTRADICTED


def combine(found: Sequence[Estimate], comparisons: int) -> Evidence:
    """The evidence for a claim that makes one or several comparisons.

    A claim holds if all of its comparisons do: if all of their intervals lie in what is claimed. It fails if one does:
    if one interval lies wholly outside. The corrected p-value is below 5 % in exactly these two cases: it is the
    one-sided p-value of the comparison that decides, times two for the two directions, times the number of all
    comparisons (Bonferroni). One-step, and not Holm's: that decides a little more, but no intervals belong to it that
    cover all at once and are of use.
    """
    places = range(len(found))
    p_for, p_against = max(one.p_for for one in found), min(one.p_against for one in found)
    supports, p = p_for <= p_against, min(1.0, 2 * min(p_for, p_against))
    has_failed = not supports and comparisons * p < SIGNIFICANCE

    # Where p-values tie at 1 (no interval) the smallest effect is the one to show.
    def weakness(i: int) -> tuple[float, float]:
        by = -found[i].p_against if has_failed else found[i].p_for
        return by, -found[i].effect if math.isfinite(found[i].effect) else -math.inf

    return Evidence(max(places, key=weakness), p, min(1.0, comparisons * p), supports)
