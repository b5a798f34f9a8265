import math

import numpy as np
import pytest
from scipy import special, stats

from reproduce.analysis.significance import (
    CONTRADICTED,
    INCONCLUSIVE,
    MOST_PRIOR_DEGREES,
    REPRODUCED,
    Sample,
    combine,
    estimates,
    prior_of,
    trigamma_inverse,
)

ABOUT_EQUAL = (-1.0, 1.0)


def alone(effects, claimed=(0.0, math.inf), comparisons=1, **settings):
    """The estimate of one comparison that shares its variance with no other."""
    return estimates([Sample(np.array(effects, float), claimed, **settings)], comparisons)[0]


def decided(*effects, claimed=(0.0, math.inf)):
    """The verdict on a claim alone, each of its comparisons given by its effects."""
    return combine([alone(values, claimed, len(effects)) for values in effects], len(effects)).verdict


def test_the_interval_is_student_s_where_a_variance_is_not_shared():
    values = [4.1, 5.2, 4.4, 6.0]
    found = alone(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.effect, found.low, found.high) == pytest.approx((np.mean(values), expected.low, expected.high))
    assert found.p_for == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)
    assert found.p_against == pytest.approx(stats.ttest_1samp(values, 0, alternative="less").pvalue)


def test_intervals_hold_at_once_and_say_what_corrected_p_values_say():
    values = [1.0, 2.2, 1.4, 3.0]
    by_itself, among_ten = alone(values), alone(values, comparisons=10)
    expected = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 10)
    assert (among_ten.low, among_ten.high) == pytest.approx((expected.low, expected.high))
    random = np.random.default_rng(3)
    for effect in random.uniform(0, 3, 200):
        found = alone(effect + np.array([0.3, -0.4, 0.2, 0.5]), comparisons=10)
        evidence = combine([found], 10)
        assert (found.low > 0) == (evidence.verdict == REPRODUCED) == (evidence.p_corrected < 0.05)
    assert by_itself.p_for == among_ten.p_for


def test_a_prior_is_found_again():
    """Variances drawn from a scaled inverse chi-square that is known, each seen with four degrees of freedom."""
    random = np.random.default_rng(8)
    true = 3.0 * 10 / random.chisquare(10, 4000)
    found = prior_of(true * random.chisquare(4, 4000) / 4, [4] * 4000)
    assert found.variance == pytest.approx(3.0, rel=0.1)
    assert found.degrees == pytest.approx(10, rel=0.25)
    # Where all are equal, the prior is worth more than any number of seeds.
    assert prior_of(2.0 * random.chisquare(4, 4000) / 4, [4] * 4000).degrees > 100
    for y in (0.01, 0.7, 30.0, 4000.0):
        assert trigamma_inverse(float(special.polygamma(1, y))) == pytest.approx(y, rel=1e-6)


def samples_of(draws, **settings):
    return [Sample(values, **{"group": "all", "count_variance": 1e-6, **settings}) for values in draws]


def test_three_seeds_decide_where_many_comparisons_tell_the_variance():
    random = np.random.default_rng(1)
    draws = random.normal(6.0, 1.0, (30, 3))
    shared = estimates(samples_of(draws), 30)
    assert sum(combine([one], 30).verdict == REPRODUCED for one in shared) == 30
    assert sum(combine([alone(values, comparisons=30)], 30).verdict == REPRODUCED for values in draws) < 10
    assert max(one.degrees for one in shared) <= 60


def test_other_groups_and_those_in_none_tell_nothing_of_a_variance():
    random = np.random.default_rng(5)
    calm, wild = random.normal(6.0, 1.0, (20, 3)), random.normal(6.0, 50.0, (20, 3))
    by_itself = estimates(samples_of(calm), 20)
    together = estimates([*samples_of(calm), *samples_of(wild, group="other"), *samples_of(wild, group="")], 20)
    assert together[:20] == by_itself
    assert together[40:] == [alone(values, comparisons=20, count_variance=1e-6) for values in wild]
    # The others are worth no more than so many degrees of freedom, however much they agree.
    assert {one.degrees for one in by_itself} == {2 + MOST_PRIOR_DEGREES}


@pytest.mark.parametrize("seeds", [3, 5])
def test_shared_variances_keep_95_of_100_intervals_right(seeds):
    random = np.random.default_rng(seeds)
    covered = []
    for _ in range(60):
        spread = np.sqrt(10 / random.chisquare(10, 30))[:, None]
        found = estimates(samples_of(3.0 + spread * random.normal(0, 1, (30, seeds))), 1)
        covered += [one.low <= 3.0 <= one.high for one in found]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_no_effect_is_known_better_than_its_images_can_be_counted():
    found = alone([0.5, 0.5, 0.5], count_variance=4.0)
    assert found.error == pytest.approx(2 / math.sqrt(3))
    assert found.low < 0 < found.high
    # A larger spread counts as it is.
    assert alone([0.0, 10.0, 20.0], count_variance=4.0).error == pytest.approx(10 / math.sqrt(3))


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


@pytest.mark.parametrize("effects", [[], [50.0], [50.0, 50.1]])
def test_fewer_than_three_seeds_decide_nothing(effects):
    assert math.isnan(alone(effects).low)
    assert decided(effects) == INCONCLUSIVE


def test_times_that_agree_exactly_are_a_coincidence_and_no_certainty():
    assert decided([3.0, 3.0, 3.0]) == INCONCLUSIVE
    assert decided([0.1 + 0.2, 0.3, 0.3]) == INCONCLUSIVE
    assert "do not differ" in alone([3.0, 3.0, 3.0]).note


def test_an_effect_that_cannot_be_measured_is_not_dropped():
    found = alone([5.0, 5.1, math.nan, 5.05])
    assert math.isnan(found.low)
    assert (found.seeds, found.p_for) == (3, 1.0)
    assert "1 of 4 effects" in found.note


def test_a_claim_of_several_comparisons_holds_if_all_hold():
    surely, hardly, surely_not = [5.0, 5.1, 4.9], [0.5, -0.4, 0.3], [-5.0, -5.1, -4.9]
    assert decided(surely, surely) == REPRODUCED
    assert decided(surely, hardly) == INCONCLUSIVE
    assert decided(surely, surely_not) == CONTRADICTED
    assert combine([alone(surely), alone(hardly)], 2).weakest == 1
    # What decides is shown, not what only fails to hold.
    assert combine([alone(hardly), alone(surely_not), alone(surely)], 3).weakest == 1
    assert combine([alone(surely), alone([5.0, math.nan, 5.0])], 2).weakest == 1


def test_among_claims_without_any_effect_a_wrong_verdict_is_rare():
    random = np.random.default_rng(11)
    families, claims, seeds, wrong = 200, 20, 3, 0
    for effects in random.normal(0, 1, (families, claims, seeds)):
        found = estimates(samples_of(effects), claims)
        wrong += any(combine([one], claims).verdict != INCONCLUSIVE for one in found)
    assert wrong / families <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)
