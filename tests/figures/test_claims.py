import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from figures.claims import decide, measures, regime
from figures.claims.decide import (
    ARITHMETIC,
    DOES_NOT_HOLD,
    HOLDS,
    NO_CURVE,
    RIGHT,
    WITHIN_NOISE,
    WRONG,
    decide_all,
    decide_on_report,
)
from figures.claims.spread import spread_of
from figures.claims.tables import claims_table, write_claims
from figures.sections import CLAIMS, FIGURES, SERIES, runs_for
from reproduce.analysis.curves import Curve
from reproduce.analysis.report_spread import report_spread
from reproduce.analysis.significance import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    OUT_OF_REGIME,
    REPRODUCED,
    TOO_FEW_SEEDS,
    VERDICTS,
)
from reproduce.data.dataset import synthetic
from reproduce.errors import BadInput
from reproduce.network import Conv_NN
from reproduce.plan.step_times import Times
from reproduce.study import Study
from tests.helpers import made_up
from tests.helpers.made_up import DATASET, MANY_IMAGES, noisy

IDS = (
    *("table-2", "memory-table", "depth-train-error", "pool-time", "bn-accuracy", "bn-runtime", "bn-learning-rate"),
    *("bn-initialization", "bn-replaces-dropout", "dropout-train-error", "dropout-speed", "dropout-test-error"),
    *("adam-best", "adam-average", "others-max", "adam-average-vs-momentum-max", "best-combination", "filter-train"),
    *("filter-overfit", "filter-parameters", "augmentation-train", "augmentation-time", "tuning", "regularizers"),
)
EXACT = {"table-2": RIGHT, "memory-table": WRONG, "filter-parameters": RIGHT}
NO_TIMES = Times({})
REAL_RULE = decide.is_too_early


def errors_as_claimed(experiment):
    """Final train and test error in a world in the report's regime, in which it is right but for two sentences."""
    train = 30.0 - 4 * len(experiment.blocks)
    overfitting = 8.0 + 2 * (experiment.filter_size - 3)
    # With dropout the test error falls late, and far; at a ratio of 0.25 late alone.
    late = 30.0 * (experiment.dropout > 0) - 10 * (experiment.dropout > 0.25)
    if experiment.dropout:
        train += 35 * experiment.dropout
        overfitting -= 75 * experiment.dropout
    if experiment.filter_size > 3:
        # Figure 8's have no batch normalization, and train about as well as those of 3 x 3 pixels.
        train += 6
    elif not experiment.batch_normalization:
        train += 25
        overfitting += 3
        train += 20 * (experiment.learning_rate == 0.1) - 10 * math.log2(experiment.initial_scale)
    if experiment.augmentation == "report":
        train -= 15
    if experiment.optimizer == "RMSprop":
        train += 45
    if experiment.optimizer == "Adam":
        train -= 3
    if experiment.pooling == "average":
        # As the report says for Adam, and against it for the two others.
        train -= 3
    return *noisy(experiment, (train, max(2.0, train + overfitting))), late


def seconds_as_claimed(experiment):
    seconds = 1.0 * len(experiment.blocks) ** (0.5 if experiment.pooling != "none" else 1.5)
    return seconds * (1.3 if experiment.batch_normalization else 1) * (4 if experiment.augmentation == "report" else 1)


def verdicts(chosen, times=NO_TIMES):
    return {one.claim.id: one for one in decide_all(CLAIMS, Study(chosen, MANY_IMAGES), times, SERIES)}


def fill(chosen, world):
    made_up.fill(chosen, world, MANY_IMAGES)


@pytest.fixture(scope="module", autouse=True)
def four_epochs_are_enough():
    """The made-up worlds are over after four epochs; the report's own curves are not, and would rule them out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "is_too_early", lambda *_: False)
        yield


@pytest.fixture(scope="module")
def as_claimed(four_epochs_are_enough, tmp_path_factory):
    chosen = made_up.options(tmp_path_factory.mktemp("as claimed"))
    fill(chosen, errors_as_claimed)
    return verdicts(chosen, made_up.times(chosen, seconds_as_claimed, dataset=MANY_IMAGES))


def test_every_row_of_the_table_of_claims_is_declared():
    assert sorted(claim.id for claim in CLAIMS) == sorted(IDS)
    for claim in CLAIMS:
        assert claim.statement.endswith(".")
        assert claim.decides.startswith("True if")
        assert ", false if " in claim.decides
        assert claim.comparisons


@pytest.mark.parametrize("claim", [claim for claim in IDS if claim not in ("others-max", "regularizers", *EXACT)])
def test_known_effects_are_found(as_claimed, claim):
    assert as_claimed[claim].verdict == REPRODUCED, as_claimed[claim]


def test_an_effect_the_other_way_round_contradicts(as_claimed):
    decision = as_claimed["others-max"]
    assert decision.verdict == CONTRADICTED
    # The interval and the corrected p-value say the same.
    assert decision.decisive.estimate.high < 0
    assert decision.p_corrected < 0.05


def test_a_measure_that_leans_towards_a_claim_can_only_speak_against_it(as_claimed, tmp_path):
    leaning = as_claimed["regularizers"]
    assert all(outcome.estimate.low > 0 for outcome in leaning.outcomes)
    assert leaning.verdict == INCONCLUSIVE
    assert "dropout's own gap is too small" in leaning.note
    chosen = made_up.options(tmp_path)

    def wider_with_dropout(experiment):
        train, test, late = errors_as_claimed(experiment)
        return train, test + 90 * experiment.dropout, late

    fill(chosen, wider_with_dropout)
    assert verdicts(chosen)["regularizers"].verdict == CONTRADICTED


def test_exact_claims_are_computed_and_a_wrong_one_is_called_wrong(as_claimed):
    assert {claim: as_claimed[claim].verdict for claim in EXACT} == EXACT
    assert as_claimed["memory-table"].decisive.estimate.effect == 6
    assert as_claimed["memory-table"].report_decision == ARITHMETIC
    # 49 C C + C against 3 (9 C C + C) for 256 channels.
    effects = [outcome.estimate.effect for outcome in as_claimed["filter-parameters"].outcomes]
    assert effects[0] == 22 * 256 * 256 - 2 * 256
    sizes = {size: Conv_NN(filter_size=size).count_params() for size in (3, 5, 7)}
    assert effects[1:] == [sizes[5] - sizes[3], sizes[7] - sizes[3]]


def test_effects_are_in_the_units_that_are_claimed(as_claimed):
    assert as_claimed["dropout-train-error"].outcomes[0].estimate.effect == pytest.approx(
        35 * 0.3 * np.mean([1 - 0.5**epoch for epoch in (1, 2, 3)]), abs=0.2
    )
    assert as_claimed["bn-runtime"].decisive.estimate.effect == pytest.approx(1.3, rel=0.02)
    assert as_claimed["augmentation-time"].decisive.estimate.effect == pytest.approx(4, rel=0.02)
    assert as_claimed["pool-time"].outcomes[0].estimate.effect == pytest.approx(2, rel=0.03)
    assert len(as_claimed["adam-best"].outcomes) == 4
    assert len(as_claimed["best-combination"].outcomes) == 5


def test_without_any_effect_nothing_is_decided(tmp_path, monkeypatch):
    monkeypatch.setattr(regime, "REGIME_POINTS", 100)
    chosen = made_up.options(tmp_path, seeds=3)
    fill(chosen, lambda experiment: noisy(experiment, (30, 40), size=2))
    found = verdicts(chosen, made_up.times(chosen, lambda experiment: 1.0, dataset=MANY_IMAGES))
    # No difference is what it takes to refute '30 % more' and 'by much'.
    margins = {claim: found[claim].verdict for claim in ("bn-runtime", "augmentation-train")}
    orders = {claim: found[claim] for claim in IDS if claim not in (*EXACT, "filter-train", *margins)}
    assert {one.verdict for one in orders.values()} == {INCONCLUSIVE}
    assert all(
        one.decisive.estimate.low < 0.0 < one.decisive.estimate.high or one.decisive.comparison.claimed[0] != 0
        for one in orders.values()
    )
    assert margins["bn-runtime"] == CONTRADICTED
    assert margins["augmentation-train"] != REPRODUCED


def test_filters_that_surely_train_alike_or_surely_do_not(tmp_path):
    for name, slope, expected in (("alike", 0.3, REPRODUCED), ("unlike", 5.0, CONTRADICTED)):
        chosen = made_up.options(tmp_path / name)
        fill(chosen, lambda e, slope=slope: noisy(e, (22 + slope * (e.filter_size - 3), 40)))
        assert verdicts(chosen)["filter-train"].verdict == expected


def test_one_seed_decides_nothing_but_what_is_exact(tmp_path):
    chosen = made_up.options(tmp_path, seeds=1)
    fill(chosen, errors_as_claimed)
    found = verdicts(chosen)
    for claim in IDS:
        if claim not in EXACT and not any(comparison.times for comparison in found[claim].claim.comparisons):
            assert found[claim].verdict == TOO_FEW_SEEDS
            assert math.isfinite(found[claim].decisive.estimate.effect)
            assert math.isnan(found[claim].decisive.estimate.low)
            assert "fewer than 3 decide nothing" in found[claim].note


def test_two_seeds_decide_nothing_however_much_they_agree(tmp_path):
    chosen = made_up.options(tmp_path, seeds=2)
    fill(chosen, lambda e: errors_as_claimed(replace(e, seed=0)))
    found = verdicts(chosen)
    assert found["tuning"].verdict == TOO_FEW_SEEDS
    assert math.isnan(found["tuning"].p_corrected)


def test_missing_runs_are_not_tested_and_too_few_seeds_decide_nothing(tmp_path):
    chosen = made_up.options(tmp_path, seeds=3)
    assert {one.verdict for one in verdicts(chosen).values() if one.claim.id not in EXACT} == {NOT_TESTED}
    fill(chosen, errors_as_claimed)
    for e in {job.experiment.key: job.experiment for job in runs_for("claims", Study(chosen, MANY_IMAGES))}.values():
        first_lost = {"Adam": 0, "RMSprop": 2}.get(e.optimizer, 3)
        if e.seed >= first_lost and e.augmentation == "none":
            made_up.lose(tmp_path, e)
    found = verdicts(chosen)
    assert found["adam-average"].verdict == NOT_TESTED
    assert "0 of 3 seeds are complete" in found["adam-average"].note
    assert math.isnan(found["adam-average"].p_corrected)
    assert math.isnan(found["others-max"].outcomes[0].estimate.low)
    assert found["others-max"].outcomes[0].repeats == "2 seeds"
    assert found["others-max"].verdict == TOO_FEW_SEEDS
    assert "1 of 3 seeds are missing" in found["others-max"].outcomes[0].note
    assert found["dropout-train-error"].verdict == REPRODUCED
    assert found["pool-time"].verdict == NOT_TESTED


def test_more_tested_claims_make_each_harder_to_prove(as_claimed):
    decision = as_claimed["others-max"]
    distinct = {(one.comparison.effect, tuple(one.keys.items())) for d in as_claimed.values() for one in d.outcomes}
    # Those of table 2, the memory table and the filters' parameters are counted; several claims share comparisons.
    assert decision.corrected_for == len(distinct) - 1 == 36
    assert decision.p_corrected == pytest.approx(36 * decision.p)


def test_a_run_that_diverged_is_the_worst_and_not_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(regime, "REGIME_POINTS", 30)
    chosen = made_up.options(tmp_path)
    fill(chosen, lambda e: None if e.optimizer == "RMSprop" else errors_as_claimed(e))
    found = verdicts(chosen)["adam-best"]
    against_rmsprop = found.outcomes[1]
    assert against_rmsprop.comparison.name == "against RMSprop with average pooling"
    # It guesses from the third of the four epochs on: of the last three epochs, in two.
    assert against_rmsprop.estimate.effect > 35
    assert against_rmsprop.diverged == 4
    assert against_rmsprop.estimate.low > 0
    assert "4 of 8 runs diverged" in against_rmsprop.note


def test_one_seed_that_diverges_widens_the_interval(tmp_path):
    chosen = made_up.options(tmp_path)
    fill(chosen, errors_as_claimed)
    calm = verdicts(chosen)["adam-best"].outcomes[1]
    experiment = Study(chosen, MANY_IMAGES).experiment(calm.comparison.curves["less"].settings, 0)
    made_up.lose(tmp_path, experiment)
    made_up.keep(tmp_path, experiment, None, MANY_IMAGES)
    outcome = verdicts(chosen)["adam-best"].outcomes[1]
    assert outcome.diverged == 1
    assert outcome.estimate.error > 5 * calm.estimate.error


def test_overfitting_of_a_run_that_diverged_cannot_be_told(tmp_path):
    chosen = made_up.options(tmp_path)
    fill(chosen, lambda e: None if e.filter_size == 7 and e.seed == 1 else errors_as_claimed(e))
    found = verdicts(chosen)["filter-overfit"]
    assert found.verdict == INCONCLUSIVE
    assert "1 of 4 effects cannot be measured" in found.note


def test_runs_that_tie_exactly_are_inconclusive(tmp_path, monkeypatch):
    monkeypatch.setattr(regime, "REGIME_POINTS", 100)
    chosen = made_up.options(tmp_path)
    fill(chosen, lambda experiment: (30.0, 40.0))
    tuning = verdicts(chosen)["tuning"]
    assert tuning.verdict == INCONCLUSIVE
    assert tuning.decisive.estimate.effect == 0
    # They are counts of 10,000 images, and no nearer to certainty than such counts.
    assert tuning.decisive.estimate.error >= 100 * math.sqrt(2 * 0.4 * 0.5 / 10_000 / 4)


def test_equal_differences_are_as_uncertain_as_counts_of_so_few_images(tmp_path):
    """With 10 test images, one image is 10 points: that all seeds agree is no certainty."""
    chosen = made_up.options(tmp_path)
    made_up.fill(chosen, lambda e: errors_as_claimed(replace(e, seed=0)), DATASET)
    found = {one.claim.id: one for one in decide_all(CLAIMS, Study(chosen, DATASET), NO_TIMES, SERIES)}
    # Three points, exactly the same for each seed.
    assert found["adam-average"].decisive.estimate.effect == pytest.approx(2.1, abs=0.3)
    assert found["adam-average"].verdict == INCONCLUSIVE
    assert found["adam-average"].decisive.estimate.low < -20


def test_out_of_regime_is_said_whatever_the_effect_is(tmp_path):
    """RMSprop that learns nothing with average pooling, where the report's has: Adam is ahead, and it says nothing."""
    chosen = made_up.options(tmp_path)
    fill(chosen, lambda e: (85.0, 85.0) if (e.optimizer, e.pooling) == ("RMSprop", "average") else errors_as_claimed(e))
    found = verdicts(chosen)
    assert found["adam-best"].verdict == REPRODUCED
    fill(chosen, lambda e: (89.9, 89.9) if (e.optimizer, e.pooling) == ("RMSprop", "average") else errors_as_claimed(e))
    found = verdicts(chosen)
    assert found["adam-best"].verdict == OUT_OF_REGIME
    assert "average pooling, RMSprop: 89.9 % train error in epoch 3, the report's nearest curve 74.6 %" in (
        found["adam-best"].note
    )
    # Without it, others-max would be reproduced; no verdict is drawn from it either.
    assert found["others-max"].verdict == OUT_OF_REGIME
    assert found["adam-average"].verdict == REPRODUCED


def test_a_claim_about_a_rate_is_in_the_regime_by_the_networks_at_the_usual_rate(tmp_path):
    """That a network fails to learn at the higher rate is what the claim says."""
    chosen = made_up.options(tmp_path)
    fails = lambda e: e.learning_rate == 0.1 and not e.batch_normalization  # noqa: E731
    fill(chosen, lambda e: noisy(e, (89.0, 89.0)) if fails(e) else errors_as_claimed(e))
    assert verdicts(chosen)["bn-learning-rate"].verdict == REPRODUCED
    standing = lambda e: e.learning_rate == 0.01 and not e.batch_normalization  # noqa: E731
    fill(chosen, lambda e: noisy(e, (89.0, 89.0)) if standing(e) else errors_as_claimed(e))
    assert verdicts(chosen)["bn-learning-rate"].verdict == OUT_OF_REGIME


def test_a_curve_that_the_report_has_not_is_judged_by_the_nearest_in_settings():
    curves = regime.train_curves(SERIES)
    series = next(one for one in SERIES if (one.figure, one.name) == (5, "dropout 0.5"))
    history = made_up.history([60.0] * 8)
    # No train error of a ratio of 0.5 is shown: the other ratios' are the nearest, and of these 0.4's in value.
    arm = regime.arm_of(series, [history], 8, curves)
    assert (arm.figure, arm.series, arm.epoch, arm.ours, arm.report) == (4, "dropout 0.4", 7, 60.0, 37.4)
    assert not arm.is_in_regime
    baseline = next(one for one in SERIES if (one.figure, one.name) == (10, "before tuning"))
    assert regime.arm_of(baseline, [history], 8, curves).report == 26.7


def test_a_verdict_says_how_it_stands_without_one_seed(tmp_path):
    chosen = made_up.options(tmp_path)
    fill(chosen, errors_as_claimed)
    experiment = Study(chosen, MANY_IMAGES).experiment(FIGURES[10].curve("", "after tuning").settings, 0)
    # One seed alone is against what the others say.
    made_up.lose(tmp_path, experiment)
    made_up.keep(tmp_path, experiment, (40.0, 80.0), MANY_IMAGES)
    found = verdicts(chosen)
    assert found["tuning"].verdict == INCONCLUSIVE
    assert (found["tuning"].stable, found["tuning"].left_out) == (3, 4)
    assert found["dropout-train-error"].stable == 4


def test_a_seed_is_left_out_by_its_number(tmp_path):
    """Comparisons of one claim may lack different seeds: without seed 2, each of them is without the same one."""
    chosen = made_up.options(tmp_path)
    fill(chosen, errors_as_claimed)
    study = Study(chosen, MANY_IMAGES)
    (comparison,) = next(claim for claim in CLAIMS if claim.id == "tuning").comparisons
    made_up.lose(tmp_path, study.experiment(FIGURES[10].curve("", "after tuning").settings, 1))
    shown = regime.train_curves(SERIES)
    found = decide.measure(comparison, study, NO_TIMES, shown, spread_of(study, SERIES))
    assert found.seeds == (0, 2, 3)
    effects = found.sample().effects
    for number, kept in ((0, [1, 2]), (1, [0, 1, 2]), (2, [0, 2]), (3, [0, 1])):
        np.testing.assert_array_equal(found.sample(number).effects, effects[kept])


def test_without_a_seed_all_comparisons_of_a_claim_are_without_the_same_one(tmp_path):
    chosen = made_up.options(tmp_path)
    study = Study(chosen, MANY_IMAGES)
    less, more = (FIGURES[4].curve("", name).settings for name in ("dropout 0.3", "dropout 0.4"))
    # Seed 3 alone is against the claim, in both of its comparisons, one of which lacks seed 1.
    odd = {study.experiment(less, 3).key: (20.0, 30.0), study.experiment(more, 3).key: (27.0, 30.0)}
    fill(chosen, lambda e: odd.get(e.key) or errors_as_claimed(e))
    made_up.lose(tmp_path, study.experiment(more, 1))
    found = verdicts(chosen)["dropout-train-error"]
    assert found.verdict == INCONCLUSIVE, found.note
    assert (found.stable, found.left_out) == (2, 3)


def test_the_report_s_own_curves_decide_as_they_show(as_claimed):
    decided = {claim: as_claimed[claim].report_decision for claim in IDS}
    assert {claim for claim in IDS if decided[claim] == DOES_NOT_HOLD} == {"others-max"}
    assert {claim for claim in IDS if decided[claim] == ARITHMETIC} == set(EXACT)
    # Two runs of one setting are half a point apart, by the seeds published: a smaller difference tells nothing.
    for claim in ("bn-accuracy", "dropout-train-error", "dropout-speed", "filter-train", "augmentation-train"):
        assert decided[claim] == HOLDS
    for claim in ("dropout-test-error", "depth-train-error", "adam-average"):
        assert decided[claim] == WITHIN_NOISE
    for claim in ("bn-runtime", "bn-initialization", "pool-time", "augmentation-time", "regularizers"):
        assert decided[claim] == NO_CURVE
    # (21.4 + 20.5 + 19.8) / 3 - (21.0 + 20.3 + 19.5) / 3
    assert as_claimed["depth-train-error"].report_decisive.report == pytest.approx(0.3, abs=0.01)


def test_a_single_run_near_the_bound_is_within_noise():
    assert decide_on_report(0.7, (0, math.inf), 0.3) == HOLDS
    assert decide_on_report(0.5, (0, math.inf), 0.3) == WITHIN_NOISE
    assert decide_on_report(-0.7, (0, math.inf), 0.3) == DOES_NOT_HOLD
    assert decide_on_report(3.5, (-3, 3), 0.3) == WITHIN_NOISE
    assert decide_on_report(math.nan, (0, math.inf), 0.3) == NO_CURVE


def test_run_to_run_noise_is_the_report_s_own_pairs_until_there_are_seeds_of_ours(tmp_path, monkeypatch):
    """Figure 5's dropout 0.25 against figure 10's 'before tuning', epochs 1 to 20; figure 4's no dropout against x3."""
    pairs = report_spread()
    assert pairs.test * math.sqrt(2) == pytest.approx(3.23, abs=0.01)
    assert pairs.train * math.sqrt(2) == pytest.approx(0.435, abs=0.01)
    study = Study(made_up.options(tmp_path), MANY_IMAGES)
    assert spread_of(study, SERIES, tmp_path / "nothing published") == pairs
    published = tmp_path / "full"
    published.mkdir()
    # Three settings, whose seeds are 0.1, 1 and 3 points of train accuracy apart, and twice that of test accuracy. Two
    # more are of the claims alone: the report has no such networks.
    runs = [(width, apart, seed) for width, apart in ((1, 0.1), (2, 1), (3, 3), (4, 9), (5, 9)) for seed in range(3)]
    (published / "runs.csv").write_text(
        "key,used_by,seed,data_fingerprint,settings\n"
        + "".join(
            f"k{width}{seed},{'claims' if width > 3 else 'figure-2 claims'},{seed},f,--seed={seed} --width={width}\n"
            for width, _, seed in runs
        )
    )
    (published / "histories.csv").write_text(
        "key,epoch,train_accuracy,test_accuracy\n"
        + "".join(
            f"k{width}{seed},{epoch},{80 + apart * seed},{70 + 2 * apart * seed}\n"
            for width, apart, seed in runs
            for epoch in range(8)
        )
    )
    ours = spread_of(study, SERIES, published)
    assert (ours.train, ours.test) == pytest.approx((1, 2))
    # At the report's scale, where the store has none, too: a new machine's verdicts on the report are those published.
    chosen = replace(study.options, profile="full", seeds=3)
    monkeypatch.setattr("reproduce.study.PROFILES", {"full": replace(chosen.scale(), train_size=20, test_size=10)})
    at_full = Study(chosen, replace(DATASET, is_synthetic=False))
    assert at_full.is_report_scale
    assert spread_of(at_full, SERIES, published) == ours
    for name, apart in (("3x3", 4), ("5x5", 5), ("7x7", 6)):
        for experiment in at_full.experiments(FIGURES[8].curve("test accuracy", name).settings):
            made_up.keep_history(tmp_path, experiment, made_up.history([30.0 + apart * experiment.seed] * 8))
    at_full.forget()
    assert spread_of(at_full, SERIES, published).train == pytest.approx(5)
    # Two seeds are too few, and so are two settings.
    (published / "runs.csv").write_text(
        (published / "runs.csv").read_text().replace("k32,figure-2 claims,2,f,", "k32,figure-2 claims,2,other,")
    )
    assert spread_of(study, SERIES, published) == pairs


def origins(chosen):
    study = Study(chosen, MANY_IMAGES)
    return study.origins(job.experiment for job in runs_for("claims", study))


def test_runs_on_other_data_are_not_mixed_in(tmp_path):
    chosen = made_up.options(tmp_path)
    fill(chosen, errors_as_claimed)
    other = synthetic(21, 10)
    experiment = runs_for("claims", Study(chosen, MANY_IMAGES))[0].experiment
    made_up.keep(tmp_path, experiment, (30.0, 40.0), other)
    with pytest.raises(BadInput, match=f"{other.fingerprint}.*not mixed"):
        origins(chosen)


def test_engines_and_versions_that_differ_are_named(tmp_path):
    chosen = made_up.options(tmp_path)
    fill(chosen, errors_as_claimed)
    assert origins(chosen).warnings() == []
    experiment = runs_for("claims", Study(chosen, MANY_IMAGES))[0].experiment
    packages = {**Study(chosen, MANY_IMAGES).state(experiment).provenance["packages"], "numpy": "1.0.0"}
    made_up.keep(tmp_path, experiment, (30.0, 40.0), MANY_IMAGES, engine="fast", packages=packages)
    engines, versions = origins(chosen).warnings()
    assert "chainer engine on CPU" in engines
    assert "fast engine on CPU" in engines
    assert "numpy" in versions
    assert "1.0.0" in versions


def test_the_csv_has_a_row_a_claim_and_marks_synthetic_data(as_claimed, tmp_path):
    write_claims(tmp_path / "claims.csv", list(as_claimed.values()), "smoke", DATASET)
    with (tmp_path / "claims.csv").open(newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert sorted(rows) == sorted(IDS)
    assert {row["synthetic"] for row in rows.values()} == {"yes"}
    assert {row["verdict"] for row in rows.values()} <= {*VERDICTS, RIGHT, WRONG}
    row = rows["tuning"]
    assert float(row["low"]) < float(row["effect"]) < float(row["high"])
    assert (row["repeats"], row["profile"]) == ("4 seeds", "smoke")
    assert float(row["p_corrected"]) < 0.05
    lines = claims_table(list(as_claimed.values())).splitlines()
    assert len(lines) == len(IDS) + 1


def curve(values, quantity="train error (%)"):
    values = np.atleast_2d(np.array(values, float))
    return Curve("", "", quantity, np.arange(values.shape[1]), values)


def test_epochs_to_a_level_are_interpolated():
    assert measures.first_crossing(np.array([80.0, 60.0, 40.0]), 50) == 1.5
    assert measures.first_crossing(np.array([80.0, 60.0, 40.0]), 80) == 0
    assert measures.first_crossing(np.array([80.0, 60.0, 40.0]), 39) == 3
    gained = measures.epochs_gained({"slower": curve([80, 70, 60, 50]), "faster": curve([80, 50, 20, 10])})
    # The slower one ends at 60 on average: the level is 80 - 0.75 * 20.
    assert gained == pytest.approx([1.5 - 15 / 30])


def test_no_last_digit_decides_an_effect():
    """As published, with six digits, the same to five."""
    random = np.random.default_rng(4)
    falling = [np.sort(random.uniform(20, 80, (3, 8)))[:, ::-1] for _ in range(2)]
    exact = {"slower": curve(falling[0] + 5), "faster": curve(falling[1])}
    rounded = {
        role: one._replace(values=np.vectorize(lambda v: float(f"{v:.6g}"))(one.values)) for role, one in exact.items()
    }
    assert measures.epochs_gained(rounded) == pytest.approx(measures.epochs_gained(exact), abs=1e-4)
    # Equal curves tie everywhere.
    tied = {"slower": exact["faster"], "faster": rounded["faster"]}
    assert measures.epochs_gained(tied) == pytest.approx(0, abs=1e-4)


def test_gaps_are_taken_at_equal_train_accuracy():
    """One network learns on where the other stops: at their ends gaps differ, at equal train accuracy they do not."""
    both = np.array([20.0, 30, 40, 50, 60, 70, 80, 90])
    stops = np.minimum(both, 50)
    test = lambda train: train - train**2 / 200  # noqa: E731
    found = measures.gap_difference(
        {
            "more train": curve(both, "train accuracy (%)"),
            "more test": curve(test(both), "test accuracy (%)"),
            "less train": curve(100 - stops),
            "less test": curve(100 - test(stops), "test error (%)"),
        }
    )
    assert found == pytest.approx([0], abs=0.4)
    # At the end the gaps would be 32 and 12.5.
    wider = measures.gap_difference(
        {
            "more train": curve(both, "train accuracy (%)"),
            "more test": curve(test(both) - 3, "test accuracy (%)"),
            "less train": curve(100 - stops),
            "less test": curve(100 - test(stops), "test error (%)"),
        }
    )
    assert wider - found == pytest.approx([3])
    # A run that is above the level from its first epochs on was never there.
    cannot_be_told = measures.gap_difference(
        {
            "more train": curve(both + 45, "train accuracy (%)"),
            "more test": curve(both, "test accuracy (%)"),
            "less train": curve(100 - stops),
            "less test": curve(100 - test(stops), "test error (%)"),
        }
    )
    assert np.isnan(cannot_be_told).all()


def test_a_change_has_the_direction_of_its_mean_so_that_noise_is_none():
    def over_seeds(*ends):
        return curve([40])._replace(values=np.array(ends, float)[:, None])

    still = over_seeds(20, 20, 20, 20)
    noisy = {"without smaller": over_seeds(25, 15, 25, 15), "without larger": over_seeds(15, 25, 15, 25)}
    found = measures.change_difference({**noisy, "with smaller": still, "with larger": still})
    assert found.mean() == 0
    assert set(abs(found)) == {10}
    # The one without falls by 8 points on average as weights grow, and the one with rises by 3.
    without = {"without smaller": over_seeds(30, 30, 30, 30), "without larger": over_seeds(20, 20, 24, 24)}
    found = measures.change_difference({**without, "with smaller": still, "with larger": over_seeds(23, 23, 23, 23)})
    assert found.tolist() == [7, 7, 3, 3]


def test_equal_updates_are_four_epochs_for_one():
    more = curve([50, 70, 80, 90, 95, 96, 97, 98, 99], "train accuracy (%)")
    less = curve([10, 20, 30, 40, 52, 54, 56, 58, 90], "train accuracy (%)")
    # Epoch 1 of the augmented set makes the updates of epochs 4 to 7 of the plain one.
    assert measures.difference_at_equal_updates({"more": more, "less": less}) == [70 - 55]
    assert np.isnan(measures.difference_at_equal_updates({"more": curve([50, 70, 80]), "less": curve([1, 2, 3])}))


def test_counting_noise_is_binomial():
    """A difference of two accuracies of 1,000 images, of 50 and 80 %, is known to the root of 2.5 + 1.6 points."""
    curves = {"more": curve([[50.0] * 3] * 2), "less": curve([[80.0] * 3] * 2)}
    found = measures.noise_variance(
        measures.difference, curves, lambda role, values: measures.counting_noise(values, 1000)
    )
    assert found == pytest.approx(2.5 + 1.6)


def test_counting_noise_of_epochs_to_an_error_does_not_move_that_error():
    """Both curves fall by 10 points an epoch: a point of noise is a tenth of an epoch, in each of the two."""
    falling = np.arange(90.0, 0, -10)
    curves = {"slower": curve([falling] * 2, "test error (%)"), "faster": curve([falling] * 2, "test error (%)")}
    found = measures.noise_variance(measures.epochs_gained, curves, lambda role, values: np.ones(values.shape))
    assert found == pytest.approx(2 * 0.1**2)


def test_a_diverged_run_counts_as_guessing_or_as_the_worst_beside_it():
    values = measures.settled({"more": curve([50, np.nan, np.nan]), "less": curve([95, 40, 20])})
    assert values["more"].tolist() == [[50, 95, 95]]
    values = measures.settled(
        {"more": curve([50, np.nan], "test accuracy (%)"), "less": curve([30, 40], "test accuracy (%)")}
    )
    assert values["more"].tolist() == [[50, 10]]


def test_only_common_epochs_are_compared():
    more = Curve("", "", "train error (%)", np.array([1, 2, 3]), np.array([[50.0, 40.0, 30.0]]))
    assert measures.difference({"more": more, "less": curve([0, 10, 20, 20, 99])}) == pytest.approx(
        np.mean([40, 20, 10])
    )


def test_the_decisions_of_a_claim_count_all_of_its_comparisons(as_claimed):
    for decision in as_claimed.values():
        assert len(decision.outcomes) == len(decision.claim.comparisons)
        assert decision.decisive in decision.outcomes
    assert runs_for("claims", Study(made_up.options("unused", seeds=1), DATASET))


@pytest.mark.parametrize(
    ("claim", "epochs", "expected"),
    [
        # At epoch 7 the report's own network without dropout is 17 points ahead, at its end within noise.
        ("dropout-test-error", 8, True),
        ("dropout-test-error", 21, False),
        # With batch normalization it is ahead all the time.
        ("bn-accuracy", 8, False),
        # No epoch of the report's: its curves of figure 5 begin at epoch 1.
        ("dropout-test-error", 1, True),
        ("bn-initialization", 8, False),
    ],
)
def test_runs_are_too_short_where_the_report_s_own_curves_decide_otherwise(claim, epochs, expected, monkeypatch):
    monkeypatch.undo()
    (found,) = (one for one in CLAIMS if one.id == claim)
    comparison = found.comparisons[-1]
    lengths = dict.fromkeys((*comparison.curves, *comparison.times), epochs)
    assert REAL_RULE(comparison, report_spread(), lengths) == expected


def test_a_claim_whose_runs_are_too_short_is_out_of_regime(tmp_path, monkeypatch):
    monkeypatch.setattr(decide, "is_too_early", REAL_RULE)
    chosen = made_up.options(tmp_path)
    fill(chosen, errors_as_claimed)
    found = verdicts(chosen)
    assert found["dropout-test-error"].verdict == OUT_OF_REGIME
    assert "too early: over these epochs the report's own curves decide otherwise" in found["dropout-test-error"].note
    assert found["dropout-train-error"].verdict == REPRODUCED
