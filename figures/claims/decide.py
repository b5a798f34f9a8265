"""Decides every claim twice: on the report's own curves, and on ours. docs/claims.md says how."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from figures.claims.declare import Claim, Comparison
from figures.claims.measures import counting_noise, noise_variance
from figures.claims.regime import Arm, arm_of, train_curves
from figures.claims.spread import spread_of
from reproduce.analysis import significance
from reproduce.analysis.curves import Curve, Series, curve_of, part_of
from reproduce.analysis.report_curves import READING_ACCURACY, report_curve
from reproduce.analysis.report_spread import Spread
from reproduce.analysis.significance import (
    FEWEST_SEEDS,
    INCONCLUSIVE,
    NOT_TESTED,
    OUT_OF_REGIME,
    REPRODUCED,
    TOO_FEW_SEEDS,
    Estimate,
    Evidence,
    Sample,
)
from reproduce.plan.step_times import Times, name_of
from reproduce.store.history import is_complete
from reproduce.study import Study
from reproduce.text import counted

HOLDS, DOES_NOT_HOLD, WITHIN_NOISE = "holds", "does not hold", "within run-to-run noise"
NO_CURVE, ARITHMETIC = "no curve", "arithmetic"
REPORT_DECISIONS = (HOLDS, DOES_NOT_HOLD, WITHIN_NOISE, NO_CURVE, ARITHMETIC)
# The verdicts on what is arithmetic: no run says anything about it.
RIGHT, WRONG = "right", "wrong"
# By how many standard deviations a single run's effect must lie inside or outside of the claimed range.
DEVIATIONS = 2.0
# Before the roles of curves that are judged and not compared.
JUDGED = "judged "


@dataclass(frozen=True)
class Measured:
    """What there is of one comparison: the number itself, or curves of all complete seeds, or rounds of times.

    Attributes:
        keys: by role, the runs or times that it needs.
        seeds: those that are complete, and in `curves`.
        images, epochs: by role, how many images each value counts, and how many epochs are compared.
        arms: by the runs of each setting, how far it is compared with the report's.
        is_too_early: whether the report's own curves decide otherwise over our epochs than at their end.
        note: what is missing, if anything is.
    """

    comparison: Comparison
    keys: Mapping[str, tuple[str, ...]]
    value: float | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    rounds: Mapping[str, np.ndarray] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    images: Mapping[str, int] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    arms: Mapping[tuple[str, ...], Arm] = field(default_factory=dict)
    is_too_early: bool = False
    note: str = ""

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two comparisons that ask the same, in whatever claim."""
        quantities = {role: series.quantity for role, series in self.comparison.curves.items()}
        kept = {role: keys for role, keys in self.keys.items() if not role.startswith(JUDGED)}
        arms = sorted((role, keys, quantities.get(role)) for role, keys in kept.items())
        return (self.comparison.effect.__name__, self.comparison.claimed, *arms)

    @property
    def is_missing(self) -> bool:
        return self.value is None and not self.curves and not self.rounds

    @property
    def repeats(self) -> str:
        """What the effect is a mean over: `3 seeds`, `5 rounds`, `exact`."""
        if self.value is not None:
            return "exact"
        if self.comparison.times:
            return counted(len(next(iter(self.rounds.values()))) if self.rounds else 0, "round")
        return counted(len(self.seeds), "seed")

    @property
    def is_in_regime(self) -> bool:
        """Whether each of its settings is as far with the training set as the report's, and long enough trained."""
        return not self.is_too_early and all(arm.is_in_regime for arm in self.arms.values())

    def diverged(self) -> int:
        """How many of its runs diverged."""
        return sum(curve.diverged() for curve in self.curves.values())

    def sample(self, left_out: int | None = None) -> Sample:
        """The effects, perhaps without one seed, or one round, by its number."""
        comparison = self.comparison
        if self.rounds:
            # As logarithms: half and double are equally far from 1, and so is their noise.
            ratios = np.log(comparison.effect({role: _without(v, left_out) for role, v in self.rounds.items()}))
            low, high = (math.log(bound) for bound in comparison.claimed)
            return Sample(ratios, (low, high))
        place = self.seeds.index(left_out) if left_out in self.seeds else None
        curves = {role: one._replace(values=_without(one.values, place)) for role, one in self.curves.items()}
        if not len(next(iter(curves.values())).values):
            return Sample(np.zeros(0), comparison.claimed)
        variance = noise_variance(
            comparison.effect, curves, lambda role, values: counting_noise(values, self.images[role])
        )
        # Runs that have not learnt spread far less or far more than others, and tell nothing of their spread.
        group = comparison.variance_group if variance > 0 and self.is_in_regime else ""
        return Sample(comparison.effect(curves), comparison.claimed, variance, group)


def _without(values: np.ndarray, place: int | None) -> np.ndarray:
    return values if place is None or place >= len(values) else np.delete(values, place, axis=0)


@dataclass(frozen=True)
class Outcome:
    """One comparison of a claim, measured and estimated.

    Attributes:
        estimate: of our runs.
        repeats: what the estimate is over: '3 seeds', '5 rounds', 'exact'.
        diverged: how many of the runs in it diverged.
        arms: by the runs of each setting, how far it is compared with the report's; none for what has no curves.
        report: the effect on the report's own curves, a single run each; NaN if it has none.
        report_noise: the standard deviation of that effect from run to run.
        report_decision: one of `REPORT_DECISIONS`.
        is_in_regime: whether each of its settings is as far with the training set as the report's.
        keys, epochs: by role, the runs or times that it is measured on, and how many epochs of them.
    """

    comparison: Comparison
    estimate: Estimate
    repeats: str
    diverged: int
    arms: Mapping[tuple[str, ...], Arm]
    report: float
    report_noise: float
    report_decision: str
    is_in_regime: bool
    keys: Mapping[str, tuple[str, ...]]
    epochs: Mapping[str, int]
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """A claim's verdict, and the comparison that decides it: the weakest.

    Attributes:
        outcomes: of all comparisons, those included that are only shown.
        decisive, verdict, p, p_corrected: on our runs. There is no p-value for what is exact or not tested, or where
            there is no interval: fewer than three seeds, or seeds that do not differ.
        corrected_for: the number of comparisons of all claims.
        stable, left_out: in `stable` of `left_out` cases the verdict stays when one seed, or round, is left out.
        report_decisive, report_decision: on the report's own curves.
    """

    claim: Claim
    outcomes: tuple[Outcome, ...]
    decisive: Outcome
    verdict: str
    p: float
    p_corrected: float
    corrected_for: int
    stable: int
    left_out: int
    report_decisive: Outcome
    report_decision: str
    note: str


def measure(
    comparison: Comparison, study: Study, times: Times, shown: Sequence[tuple[Series, Curve]], spread: Spread
) -> Measured:
    """A comparison, from what the results store and the measured times hold.

    Args:
        shown: the report's train error curves.
        spread: how far runs of one setting lie apart.
    """
    if comparison.computed:
        return Measured(comparison, {}, value=comparison.computed())
    if comparison.times:
        names = {
            role: (name_of(study.experiment(settings, 0), comparison.timed),)
            for role, settings in comparison.times.items()
        }
        if any(name not in times.seconds for (name,) in names.values()):
            return Measured(comparison, names, note="times have not been measured")
        rounds = {role: times.seconds[name] for role, (name,) in names.items()}
        return Measured(comparison, names, rounds=rounds, note="holds for this machine and engine")
    needed = {**comparison.curves, **{f"{JUDGED}{i}": series for i, series in enumerate(comparison.judged)}}
    keys = {role: tuple(one.key for one in study.experiments(series.settings)) for role, series in needed.items()}
    histories = {role: study.histories(series.settings) for role, series in needed.items()}
    lengths = {role: study.scale.epochs or series.epochs for role, series in needed.items()}
    wanted = study.scale.seeds
    complete = [
        seed for seed in range(wanted) if all(is_complete(histories[role][seed], lengths[role]) for role in needed)
    ]
    if not complete:
        return Measured(comparison, keys, note=f"runs are missing: 0 of {wanted} seeds are complete")
    of_seeds = {role: [histories[role][seed] for seed in complete] for role in needed}
    judged = comparison.judged or comparison.curves.values()
    # Of several curves of one network (train and test error) one is enough.
    arms = {
        tuple(keys[role][seed] for seed in complete): arm_of(series, of_seeds[role], lengths[role], shown)
        for role, series in needed.items()
        if series in judged
    }
    sizes = {"train": len(study.dataset.y_train), "test": len(study.dataset.y_test)}
    return Measured(
        comparison,
        {role: tuple(of_role[seed] for seed in complete) for role, of_role in keys.items()},
        curves={role: curve_of(series, of_seeds[role], lengths[role]) for role, series in comparison.curves.items()},
        seeds=tuple(complete),
        images={role: sizes[part_of(series.quantity)] for role, series in comparison.curves.items()},
        epochs={role: lengths[role] for role in comparison.curves},
        arms=arms,
        is_too_early=is_too_early(comparison, spread, lengths),
        note=f"{wanted - len(complete)} of {wanted} seeds are missing" if len(complete) < wanted else "",
    )


def estimate_all(found: Sequence[Measured], comparisons: int, left_out: int | None = None) -> dict[object, Estimate]:
    """By identity, every comparison that has been measured; each once, whichever claims make it."""
    measured = {one.identity: one for one in found if one.value is None and not one.is_missing}
    samples = [one.sample(left_out) for one in measured.values()]
    fewest = FEWEST_SEEDS if left_out is None else FEWEST_SEEDS - 1
    return dict(zip(measured, significance.estimates(samples, comparisons, fewest), strict=True))


def decide_on_report(effect: float, claimed: tuple[float, float], noise: float) -> str:
    """Whether a single run's effect lies in the claimed range by more than two standard deviations of such runs.

    What holds for single runs is called `holds`, never `reproduced`.
    """
    if math.isnan(effect):
        return NO_CURVE
    margin = DEVIATIONS * noise
    if claimed[0] + margin < effect < claimed[1] - margin:
        return HOLDS
    return DOES_NOT_HOLD if effect < claimed[0] - margin or effect > claimed[1] + margin else WITHIN_NOISE


def _on_report(
    comparison: Comparison, spread: Spread, epochs: Mapping[str, int] | None = None
) -> tuple[float, float, str]:
    """The effect on the report's own curves, its standard deviation from run to run, and what that decides.

    Args:
        epochs: by role, how many epochs of them to take; by default all.
    """
    if comparison.computed:
        return comparison.computed(), 0.0, ARITHMETIC
    found = {role: report_curve(series) for role, series in comparison.curves.items()}
    curves = {
        role: curve if epochs is None else _first(curve, epochs[role])
        for role, curve in found.items()
        if curve is not None
    }
    if not curves or len(curves) < len(found) or not all(len(curve.epochs) for curve in curves.values()):
        return math.nan, math.nan, NO_CURVE

    def deviation(role: str, values: np.ndarray) -> np.ndarray:
        return np.full(values.shape, math.hypot(spread.of(curves[role].quantity), READING_ACCURACY / 3))

    effect = float(comparison.effect(curves)[0])
    noise = math.sqrt(noise_variance(comparison.effect, curves, deviation))
    return effect, noise, decide_on_report(effect, comparison.claimed, noise)


def is_too_early(comparison: Comparison, spread: Spread, epochs: Mapping[str, int]) -> bool:
    """Whether the report's own curves, cut after so many epochs, decide otherwise than at their end.

    Runs that are as short cannot tell then whether the report is right: its sentences are about the end.
    """
    return _on_report(comparison, spread, epochs)[2] != _on_report(comparison, spread)[2]


def _first(curve: Curve, epochs: int) -> Curve:
    """What a curve has of the first epochs."""
    is_early = curve.epochs < epochs
    return curve._replace(epochs=curve.epochs[is_early], values=curve.values[:, is_early])


def _outcome(one: Measured, estimate: Estimate, spread: Spread) -> Outcome:
    diverged = one.diverged()
    notes = [one.note, estimate.note if not one.is_missing else ""]
    if diverged:
        notes.append(f"{diverged} of {sum(len(curve.values) for curve in one.curves.values())} runs diverged")
    if one.rounds and math.isfinite(estimate.effect):
        effect, low, high = (math.exp(value) for value in (estimate.effect, estimate.low, estimate.high))
        estimate = replace(estimate, effect=effect, low=low, high=high)
    on_report, noise, decision = _on_report(one.comparison, spread)
    return Outcome(
        comparison=one.comparison,
        estimate=estimate,
        repeats=one.repeats,
        diverged=diverged,
        arms=one.arms,
        report=on_report,
        report_noise=noise,
        report_decision=decision,
        is_in_regime=one.is_in_regime,
        keys=one.keys,
        epochs=one.epochs,
        note="; ".join(filter(None, notes)),
    )


def decide_all(claims: Iterable[Claim], study: Study, times: Times, shown: Sequence[Series]) -> list[Decision]:
    """Every claim's decision from what is there.

    Args:
        shown: all curves of the report's figures, which say what its regime is.

    Raises:
        BadInput: a file of a run is damaged.
    """
    claims = list(claims)
    report, spread = train_curves(shown), spread_of(study, shown)
    by_claim = [[measure(one, study, times, report, spread) for one in claim.comparisons] for claim in claims]
    everything = [one for of_claim in by_claim for one in of_claim]
    comparisons = len({one.identity for one in everything if one.value is None})
    estimates = estimate_all(everything, comparisons)
    numbers = set().union(*map(_numbers, everything))
    without = {number: estimate_all(everything, comparisons, number) for number in numbers}
    return [
        _decision(claim, found, estimates, without, comparisons, spread)
        for claim, found in zip(claims, by_claim, strict=True)
    ]


def _numbers(one: Measured) -> set[int]:
    """The numbers of its seeds, or of its rounds."""
    return {*one.seeds, *(number for of_role in one.rounds.values() for number in range(len(of_role)))}


def _estimate_of(one: Measured, estimates: Mapping[object, Estimate]) -> Estimate:
    """A number that was computed is certain, either way."""
    if one.value is None:
        return estimates.get(one.identity, Estimate(math.nan))
    holds = one.comparison.claimed[0] <= one.value <= one.comparison.claimed[1]
    return Estimate(one.value, one.value, one.value, 0, float(not holds), float(holds))


def verdict_of(
    deciding: Sequence[Measured], estimates: Mapping[object, Estimate], comparisons: int
) -> tuple[str, Evidence]:
    """A claim's verdict, from those of its comparisons that decide it."""
    of_each = [_estimate_of(one, estimates) for one in deciding]
    evidence = significance.combine(of_each, comparisons)
    if all(one.value is not None for one in deciding):
        return (RIGHT if evidence.supports else WRONG), evidence
    if any(one.is_missing for one in deciding):
        return NOT_TESTED, evidence
    if not all(one.is_in_regime for one in deciding):
        return OUT_OF_REGIME, evidence
    if any(one.curves and len(one.seeds) < FEWEST_SEEDS for one in deciding):
        return TOO_FEW_SEEDS, evidence
    if evidence.verdict == REPRODUCED and any(one.comparison.leans for one in deciding):
        return INCONCLUSIVE, evidence
    return evidence.verdict, evidence


def _decision(
    claim: Claim,
    found: Sequence[Measured],
    estimates: Mapping[object, Estimate],
    without: Mapping[int, Mapping[object, Estimate]],
    comparisons: int,
    spread: Spread,
) -> Decision:
    outcomes = tuple(_outcome(one, _estimate_of(one, estimates), spread) for one in found)
    deciding = [one for one in found if one.comparison.decides]
    outcomes_deciding = [outcome for outcome in outcomes if outcome.comparison.decides]
    verdict, evidence = verdict_of(deciding, estimates, comparisons)
    decisive = outcomes_deciding[evidence.weakest]
    common = set.intersection(*map(_numbers, deciding))
    stable = [verdict_of(deciding, without[number], comparisons)[0] == verdict for number in common]
    if verdict == NOT_TESTED:
        notes = dict.fromkeys(o.note for one, o in zip(found, outcomes, strict=True) if one.is_missing)
    else:
        notes = dict.fromkeys([decisive.note, *_reasons(verdict, deciding, evidence, comparisons)])
    report_decisive = _weakest_on_report(outcomes_deciding)
    has_interval = decisive.repeats != "exact" and math.isfinite(decisive.estimate.low)
    tested = evidence if verdict != NOT_TESTED and has_interval else None
    return Decision(
        claim=claim,
        outcomes=outcomes,
        decisive=decisive,
        verdict=verdict,
        p=tested.p if tested else math.nan,
        p_corrected=tested.p_corrected if tested else math.nan,
        corrected_for=comparisons,
        stable=sum(stable),
        left_out=len(stable),
        report_decisive=report_decisive,
        report_decision=report_decisive.report_decision,
        note="; ".join(filter(None, notes)),
    )


def _reasons(verdict: str, deciding: Sequence[Measured], evidence: Evidence, comparisons: int) -> list[str]:
    """Why a verdict is weaker than its effects alone would have it."""
    if verdict == OUT_OF_REGIME:
        arms = dict.fromkeys(arm for one in deciding for arm in one.arms.values() if not arm.is_in_regime)
        far = f"too far from the report: {', '.join(arm.text for arm in arms)}" if arms else ""
        is_early = any(one.is_too_early for one in deciding)
        early = "too early: over these epochs the report's own curves decide otherwise than at their end"
        return [far, early if is_early else ""]
    if verdict != INCONCLUSIVE:
        return []
    if verdict != evidence.verdict:
        return [one.comparison.leans for one in deciding if one.comparison.leans]
    is_significant_alone = evidence.p < significance.SIGNIFICANCE
    return [f"significant alone, but not among {comparisons} comparisons"] if is_significant_alone else []


def _weakest_on_report(outcomes: Sequence[Outcome]) -> Outcome:
    """The comparison that speaks least for a claim on the report's own curves."""
    order = (DOES_NOT_HOLD, NO_CURVE, WITHIN_NOISE, HOLDS, ARITHMETIC)
    return min(outcomes, key=lambda one: (order.index(one.report_decision), _room(one.report, one.comparison.claimed)))


def _room(effect: float, claimed: tuple[float, float]) -> float:
    """How far inside of the claimed range an effect lies; negative outside."""
    return min(effect - claimed[0], claimed[1] - effect) if math.isfinite(effect) else math.inf
