"""Decides every claim twice: on the report's own curves, and on ours."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from figures.claims.declare import Claim, Comparison
from reproduce.analysis import significance
from reproduce.analysis.curves import curve_of
from reproduce.analysis.report_curves import report_curve
from reproduce.analysis.significance import NOT_TESTED, Estimate, Evidence
from reproduce.plan.step_times import Times
from reproduce.store.history import is_complete
from reproduce.study import Study
from reproduce.text import counted

HOLDS, DOES_NOT_HOLD, CANNOT_BE_TOLD = "holds", "does not hold", "cannot be told"


@dataclass(frozen=True)
class Outcome:
    """One comparison of a claim, measured.

    Attributes:
        estimate: of our runs.
        repeats: what the estimate is over: '3 seeds', '5 rounds', 'exact'.
        diverged: how many of the runs in it diverged.
        report: the effect on the report's own curves, a single run each; not a number if it has none.
        report_decision: holds, does not hold or cannot be told.
    """

    comparison: Comparison
    estimate: Estimate
    repeats: str
    diverged: int
    report: float
    report_decision: str
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """A claim's verdict, and the comparisons that decide it: the weakest.

    Attributes:
        decisive, verdict, p_corrected: on our runs. There is no p-value for what is exact or not tested.
        report_decisive, report_decision: on the report's own curves.
    """

    claim: Claim
    outcomes: tuple[Outcome, ...]
    decisive: Outcome
    verdict: str
    p: float
    p_corrected: float
    report_decisive: Outcome
    report_decision: str
    note: str


def _outcome(comparison: Comparison, study: Study, times: Times) -> Outcome:
    """A comparison, from what the results store and the measured times hold."""
    if comparison.computed:
        value = comparison.computed()
        holds = comparison.claimed[0] <= value <= comparison.claimed[1]
        exact = Estimate(value, value, value, 0, float(not holds), float(holds))
        return Outcome(comparison, exact, "exact", 0, value, HOLDS if holds else DOES_NOT_HOLD)
    if comparison.times:
        return _timed_outcome(comparison, study, times)
    seeds = study.scale.seeds
    histories = {role: study.histories(series.settings) for role, series in comparison.curves.items()}
    lengths = {role: study.scale.epochs or series.epochs for role, series in comparison.curves.items()}
    complete = [
        seed for seed in range(seeds) if all(is_complete(histories[role][seed], lengths[role]) for role in histories)
    ]
    report = _report_effect(comparison)
    decision = decide_on_report(report, comparison.claimed, comparison.reading)
    if not complete or (len(complete) < 2 and seeds > 1):
        nothing = Estimate(math.nan, math.nan, math.nan, len(complete), 1.0, 1.0)
        note = f"runs are missing: {len(complete)} of {seeds} seeds are complete"
        return Outcome(comparison, nothing, f"{len(complete)} seeds", 0, report, decision, note)
    curves = {
        role: curve_of(series, [histories[role][seed] for seed in complete], lengths[role])
        for role, series in comparison.curves.items()
    }
    diverged = sum(curve.diverged() for curve in curves.values())
    found = significance.estimate(comparison.effect(curves), comparison.claimed)
    notes = [found.note] if found.note else []
    if len(complete) < seeds:
        notes.append(f"{seeds - len(complete)} of {seeds} seeds are missing")
    if diverged:
        notes.append(f"{diverged} of {sum(len(curve.values) for curve in curves.values())} runs diverged")
    return Outcome(comparison, found, counted(len(complete), "seed"), diverged, report, decision, "; ".join(notes))


def _timed_outcome(comparison: Comparison, study: Study, times: Times) -> Outcome:
    """Ratios are estimated as logarithms: half and double are equally far from 1, and so is their noise."""
    keys = {role: study.experiment(settings, 0).key for role, settings in comparison.times.items()}
    if any(key not in times.seconds for key in keys.values()):
        nothing = Estimate(math.nan, math.nan, math.nan, 0, 1.0, 1.0)
        return Outcome(comparison, nothing, "0 rounds", 0, math.nan, CANNOT_BE_TOLD, "times have not been measured")
    ratios = comparison.effect({role: times.seconds[key] for role, key in keys.items()})
    low, high = (math.log(bound) for bound in comparison.claimed)
    found = significance.estimate(np.log(ratios), (low, high))
    found = replace(found, **{name: math.exp(getattr(found, name)) for name in ("effect", "low", "high")})
    if study.scale.seeds < 2:
        # With one seed nothing is more than inconclusive, and rounds of one network's steps are one seed.
        found = replace(found, seeds=1)
    note = "; ".join(filter(None, [found.note, "rounds in place of seeds: holds for this machine and engine"]))
    return Outcome(comparison, found, f"{len(ratios)} rounds", 0, math.nan, CANNOT_BE_TOLD, note)


def _report_effect(comparison: Comparison) -> float:
    """The effect on the report's own curves; not a number where it does not have all of them."""
    curves = {role: report_curve(series) for role, series in comparison.curves.items()}
    if any(curve is None for curve in curves.values()):
        return math.nan
    return float(comparison.effect(curves)[0])


def decide_on_report(effect: float, claimed: tuple[float, float], reading: float) -> str:
    """Whether a single run's effect lies in the claimed range, by more than the accuracy with which it was read off.

    There are no seeds: what holds for these curves may be chance, and is called `holds`, never `reproduced`.
    """
    if claimed[0] + reading < effect < claimed[1] - reading:
        return HOLDS
    return DOES_NOT_HOLD if effect < claimed[0] - reading or effect > claimed[1] + reading else CANNOT_BE_TOLD


def decide(measured: Sequence[tuple[Claim, tuple[Outcome, ...]]]) -> list[Decision]:
    """The verdicts on measured claims; p-values corrected over all that were tested and are not exact."""
    evidence = [significance.combine([outcome.estimate for outcome in outcomes]) for _, outcomes in measured]
    tested = [i for i, (_, outcomes) in enumerate(measured) if not _is_exact(outcomes) and not _is_missing(outcomes)]
    corrected = dict(zip(tested, significance.holm([evidence[i].p for i in tested]), strict=True))
    return [
        _decision(claim, outcomes, evidence[i], corrected.get(i, math.nan))
        for i, (claim, outcomes) in enumerate(measured)
    ]


def _is_exact(outcomes: Sequence[Outcome]) -> bool:
    return all(outcome.repeats == "exact" for outcome in outcomes)


def _is_missing(outcomes: Sequence[Outcome]) -> bool:
    return any(math.isnan(outcome.estimate.effect) and not outcome.diverged for outcome in outcomes)


def _decision(claim: Claim, outcomes: tuple[Outcome, ...], evidence: Evidence, p_corrected: float) -> Decision:
    decisive = outcomes[evidence.weakest]
    notes = [decisive.note] if decisive.note else []
    if _is_exact(outcomes):
        verdict = significance.REPRODUCED if evidence.supports else significance.CONTRADICTED
    elif _is_missing(outcomes):
        verdict = NOT_TESTED
        notes = list(dict.fromkeys(outcome.note for outcome in outcomes if math.isnan(outcome.estimate.effect)))
    else:
        verdict = significance.verdict(evidence, p_corrected, min(outcome.estimate.seeds for outcome in outcomes))
        if verdict == significance.INCONCLUSIVE and evidence.p < significance.SIGNIFICANCE:
            notes.append("significant alone, but not beside all other claims (Holm)")
    for on_report in (DOES_NOT_HOLD, CANNOT_BE_TOLD, HOLDS):
        deciding = [outcome for outcome in outcomes if outcome.report_decision == on_report]
        if deciding:
            break
    p = math.nan if math.isnan(p_corrected) else evidence.p
    weakest = min(deciding, key=lambda outcome: _room(outcome.report, outcome.comparison.claimed))
    return Decision(claim, outcomes, decisive, verdict, p, p_corrected, weakest, on_report, "; ".join(notes))


def _room(effect: float, claimed: tuple[float, float]) -> float:
    """How far inside of the claimed range an effect lies; negative outside."""
    return min(effect - claimed[0], claimed[1] - effect) if math.isfinite(effect) else math.inf


def decide_all(claims: Iterable[Claim], study: Study, times: Times) -> list[Decision]:
    """Every claim's decision from what is there.

    Raises:
        BadInput: a file of a run is damaged.
    """
    return decide(
        [(claim, tuple(_outcome(comparison, study, times) for comparison in claim.comparisons)) for claim in claims]
    )
