import math

import numpy as np
import pytest
from scipy import stats

from reproduce.analysis.significance import (
    CONTRADICTED,
    INCONCLUSIVE,
    REPRODUCED,
    Estimate,
    combine,
    estimate,
    holm,
    verdict,
)

ABOUT_EQUAL = (-1.0, 1.0)


def decided(*effects, claimed=(0.0, math.inf)):
    """The verdict on a claim alone, each of its comparisons given by its effects."""
    estimates = [estimate(values, claimed) for values in effects]
    evidence = combine(estimates)
    return verdict(evidence, evidence.p, min(one.seeds for one in estimates))


def test_the_interval_is_student_s():
    values = [4.1, 5.2, 4.4, 6.0]
    found = estimate(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.effect, found.low, found.high) == pytest.approx((np.mean(values), expected.low, expected.high))
    assert found.p_for == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)
    assert found.p_against == pytest.approx(stats.ttest_1samp(values, 0, alternative="less").pvalue)


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_the_interval_covers_the_truth_in_95_of_100_cases(seeds):
    random = np.random.default_rng(seeds)
    trials, truth = 1500, 3.0
    found = [estimate(values) for values in random.normal(truth, 2.0, (trials, seeds))]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    # Three standard errors of the simulation itself.
    assert covered == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / trials))


def test_the_interval_is_not_far_off_where_differences_are_not_normal():
    random = np.random.default_rng(5)
    covered = {}
    for name, draws in {
        "uniform": random.uniform(-1, 1, (1000, 3)),
        "heavy tails": random.standard_t(3, (1000, 3)),
        "skewed": random.exponential(1, (1000, 3)) - 1,
    }.items():
        found = [estimate(values) for values in draws]
        covered[name] = np.mean([one.low <= 0 <= one.high for one in found])
    assert covered["heavy tails"] >= 0.94
    assert covered["uniform"] >= 0.91
    assert covered["skewed"] >= 0.85


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ([5.0, 5.5, 4.8], REPRODUCED),
        ([-5.0, -5.5, -4.8], CONTRADICTED),
        ([0.4, -0.5, 0.2], INCONCLUSIVE),
        ([30.0, 1.0, 2.0], INCONCLUSIVE),
    ],
)
def test_an_order_is_decided(effects, expected):
    assert decided(effects) == expected


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ([0.1, -0.1, 0.05], REPRODUCED),
        ([8.0, 8.2, 7.9], CONTRADICTED),
        ([-8.0, -8.2, -7.9], CONTRADICTED),
        ([0.9, 1.2, 0.8], INCONCLUSIVE),
        ([5.0, -5.0, 1.0], INCONCLUSIVE),
    ],
)
def test_equality_needs_an_effect_that_is_surely_small_and_not_one_that_is_not_surely_large(effects, expected):
    assert decided(effects, claimed=ABOUT_EQUAL) == expected


def test_a_number_is_decided_by_its_range():
    assert decided([1.31, 1.29, 1.30], claimed=(1.2, 1.4)) == REPRODUCED
    assert decided([1.71, 1.69, 1.70], claimed=(1.2, 1.4)) == CONTRADICTED


def test_by_much_needs_more_than_a_little():
    assert decided([2.0, 2.1, 1.9], claimed=(5.0, math.inf)) == CONTRADICTED
    assert decided([9.0, 9.1, 8.9], claimed=(5.0, math.inf)) == REPRODUCED


@pytest.mark.parametrize("effects", [[], [50.0]])
def test_one_seed_or_none_decides_nothing(effects):
    found = estimate(effects)
    assert math.isnan(found.low)
    assert decided(effects) == INCONCLUSIVE


def test_one_seed_stays_inconclusive_whatever_the_p_value():
    found = Estimate(5.0, 4.0, 6.0, 1, 1e-9, 1.0)
    assert verdict(combine([found]), 1e-9, 1) == INCONCLUSIVE


def test_seeds_that_agree_exactly_are_a_coincidence_and_no_certainty():
    assert decided([3.0, 3.0]) == INCONCLUSIVE
    assert decided([0.1 + 0.2, 0.3]) == INCONCLUSIVE
    assert decided([0.0, 0.0, 0.0]) == INCONCLUSIVE
    assert "do not differ" in estimate([3.0, 3.0]).note


def test_a_pair_that_cannot_be_measured_is_not_dropped():
    found = estimate([5.0, 5.1, math.nan, 5.05])
    assert math.isnan(found.low)
    assert (found.seeds, found.p_for) == (3, 1.0)
    assert "1 of 4 pairs" in found.note


def test_a_claim_of_several_comparisons_holds_if_all_hold():
    surely, hardly, surely_not = [5.0, 5.1, 4.9], [0.5, -0.4, 0.3], [-5.0, -5.1, -4.9]
    assert decided(surely, surely) == REPRODUCED
    assert decided(surely, hardly) == INCONCLUSIVE
    assert decided(surely, surely_not) == CONTRADICTED
    assert combine([estimate(surely), estimate(hardly)]).weakest == 1


def test_refuting_one_of_many_comparisons_is_corrected_for_their_number():
    one = estimate([-5.0, -4.4, -5.7])
    alone, among_five = combine([one]), combine([one, *[estimate([5.0, 5.1, 4.9])] * 4])
    assert among_five.p == pytest.approx(5 * alone.p)


def test_being_outside_of_a_range_has_two_ways_and_so_two_chances():
    values = [5.0, 5.3, 4.6]
    assert estimate(values, (-1.0, 1.0)).p_against == pytest.approx(2 * estimate(values, (-math.inf, 1.0)).p_against)


def test_holm_s_correction():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_among_claims_without_any_effect_a_wrong_verdict_is_rare():
    random = np.random.default_rng(11)
    families, claims, seeds, wrong = 200, 20, 3, 0
    for effects in random.normal(0, 1, (families, claims, seeds)):
        evidence = [combine([estimate(values)]) for values in effects]
        corrected = holm([one.p for one in evidence])
        wrong += any(verdict(one, p, seeds) != INCONCLUSIVE for one, p in zip(evidence, corrected, strict=True))
    assert wrong / families <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)
