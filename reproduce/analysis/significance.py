"""From one effect a seed to an interval, p-values and a verdict.

A claim says that an effect lies in a range: above 0 ('A beats B'), above another bound ('by much'), or between two
('about equal', '30 % more'). For each comparison that a claim makes there are two one-sided p-values: for an effect in
the claimed range (`p_for`), and for one outside (`p_against`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
SIGNIFICANCE = 1 - CONFIDENCE
REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED = "reproduced", "contradicted", "inconclusive", "not tested"
VERDICTS = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED)


@dataclass(frozen=True)
class Estimate:
    """The mean effect of paired seeds, and how sure it is.

    Attributes:
        effect: the mean, not a number without seeds.
        low, high: the 95 % confidence interval; not numbers where none can be told.
        seeds: pairs that have an effect.
        p_for: one-sided p-value for 'the effect lies in the claimed range'; 1 where none can be told.
        p_against: the same for 'it lies outside'.
        note: why there is no interval, if there is none.
    """

    effect: float
    low: float
    high: float
    seeds: int
    p_for: float
    p_against: float
    note: str = ""


def estimate(effects: Sequence[float] | np.ndarray, claimed: tuple[float, float] = (0.0, math.inf)) -> Estimate:
    """The interval and p-values of an effect from its value for each seed.

    Student's t on the paired differences: one number a seed, n - 1 degrees of freedom. Both sides of a difference share
    their seed, so what a seed does to both cancels, and only the differences' own spread counts. Networks of equal
    shapes share weights, shuffles and masks; others, or other ratios, share less, down to nothing but the images. That
    the differences are normal from seed to seed is assumed, and with few seeds can be neither checked nor done without:
    a sign or permutation test of three seeds cannot go below p = 0.25, and a bootstrap of three numbers is far too
    narrow. The price is paid openly: the interval is mean ± 12.7 standard errors with two seeds, ± 4.3 with three,
    ± 2.8 with five. How often it covers the truth with three or five seeds, simulated: 95 % for normal differences,
    96 % for heavy tails (t with 3 degrees of freedom), 92 or 93 % for uniform ones, 88 % for exponential ones, which
    are as skewed as differences can hardly be.

    Seeds that agree to the last digit have no spread to reckon with. That is a coincidence (accuracies are multiples of
    one image), not certainty, and no interval is made of it.

    Args:
        effects: (S,) float, an effect a seed; a value that is not finite is a pair that cannot be measured.
        claimed: the range in which the claim says that the effect lies. With both ends finite (a claim of equality) the
            tests for it are two one-sided tests, TOST (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657).
    """
    effects = np.asarray(effects, np.float64)
    finite = effects[np.isfinite(effects)]
    seeds, mean = len(finite), float(finite.mean()) if len(finite) else math.nan
    if len(finite) < len(effects):
        note = f"{len(effects) - len(finite)} of {len(effects)} pairs cannot be measured, since a run diverged"
        return Estimate(mean, math.nan, math.nan, seeds, 1.0, 1.0, note)
    if seeds < 2:
        return Estimate(mean, math.nan, math.nan, seeds, 1.0, 1.0, "one seed has no interval" if seeds else "no runs")
    # Far below what one image in a million would be, and above what rounding makes of equal differences.
    if np.ptp(finite) < 1e-9 * max(1.0, abs(mean)):
        return Estimate(
            mean, math.nan, math.nan, seeds, 1.0, 1.0, "the seeds do not differ, so no interval can be told"
        )
    error = float(finite.std(ddof=1)) / math.sqrt(seeds)
    # Student's t: its quantile, and below its distribution function, with as many degrees of freedom.
    half = error * float(stdtrit(seeds - 1, 0.5 + CONFIDENCE / 2))
    bounds = [bound for bound in claimed if math.isfinite(bound)]
    # How many standard errors the effect is inside of each bound.
    inwards = [(mean - bound if bound == claimed[0] else bound - mean) / error for bound in bounds]
    inside = max(float(stdtr(seeds - 1, -distance)) for distance in inwards)
    outside = min(float(stdtr(seeds - 1, distance)) for distance in inwards)
    # To be outside of a range there are two ways, and so two chances of being wrong (Bonferroni).
    return Estimate(mean, mean - half, mean + half, seeds, inside, min(1.0, outside * len(bounds)))


@dataclass(frozen=True)
class Evidence:
    """What all comparisons of one claim say together.

    Attributes:
        weakest: which of them decides, by its place.
        p: two-sided; small if the claim holds or if it fails, as `supports` says.
    """

    weakest: int
    p: float
    supports: bool


def combine(estimates: Sequence[Estimate]) -> Evidence:
    """The evidence for a claim that makes one or several comparisons.

    A claim holds only if all of its comparisons do: intersection-union test (Berger 1982, Technometrics 24, 295), the
    largest p-value counts and needs no correction. One comparison that fails refutes it: there the smallest p-value
    counts, times the number of comparisons (Bonferroni), since each had its chance to fail by accident. Both directions
    are asked, hence the factor two.
    """
    p_for = max(one.p_for for one in estimates)
    p_against = min(1.0, len(estimates) * min(one.p_against for one in estimates))
    # Where p-values tie at 1 (no interval) the smallest effect is the one to show.
    weakest = max(range(len(estimates)), key=lambda i: (estimates[i].p_for, -_or_infinity(estimates[i].effect)))
    return Evidence(weakest, min(1.0, 2 * min(p_for, p_against)), p_for <= p_against)


def _or_infinity(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being many (Holm 1979, Scand. J. Statist. 6, 65), in the order given.

    Holm's keeps the chance of even one wrong verdict among all claims below 5 %, whatever the dependence between them:
    claims here share runs and so are dependent in unknown ways, which Hochberg's and Benjamini and Hochberg's methods
    do not allow for; and it never rejects less than Bonferroni's.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def verdict(evidence: Evidence, p_corrected: float, seeds: int) -> str:
    """`reproduced`, `contradicted` or `inconclusive`. One seed proves nothing.

    Args:
        seeds: the fewest that any comparison of the claim has.
    """
    if seeds < 2 or not p_corrected < SIGNIFICANCE:
        return INCONCLUSIVE
    return REPRODUCED if evidence.supports else CONTRADICTED
