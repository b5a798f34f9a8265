"""Decides every claim twice: on the report's own curves, and on ours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from figures.claims import CLAIMS
from figures.claims.declaration import Claim, Comparison
from figures.walk import experiment_of
from reproduce import results, statistics
from reproduce.curves import Curve, curve_of
from reproduce.data import Dataset
from reproduce.experiment import Experiment
from reproduce.history import is_complete
from reproduce.original import report_curves
from reproduce.origins import Origins, origins_of
from reproduce.profiles import Options, Profile
from reproduce.schedule import Job
from reproduce.statistics import NOT_TESTED, Estimate, Evidence
from reproduce.timing import Times

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


def runs_needed(scale: Profile, dataset: Dataset) -> list[Job]:
    """Every run that a claim needs."""
    jobs = []
    for seed in range(scale.seeds):
        for claim in CLAIMS:
            for comparison in claim.comparisons:
                for role, line in comparison.curves.items():
                    experiment = experiment_of(line.series, scale, dataset, seed)
                    label = f"{claim.id}, {line.series.name or role}, seed {seed}"
                    jobs.append(Job(experiment, scale.epochs or line.series.epochs, label))
    return jobs


def timings_needed(scale: Profile, dataset: Dataset) -> list[Experiment]:
    """Every network whose training step a claim times."""
    return [
        _timed(settings, scale, dataset)
        for claim in CLAIMS
        for comparison in claim.comparisons
        for settings in comparison.times.values()
    ]


def _timed(settings, scale: Profile, dataset: Dataset) -> Experiment:
    return Experiment(data_fingerprint=dataset.fingerprint, **{**scale.settings, **settings})


def measure_claim(claim: Claim, scale: Profile, dataset: Dataset, store: Path, times: Times) -> tuple[Outcome, ...]:
    """All comparisons of a claim, from what the results store and the measured times hold."""
    return tuple(_outcome(comparison, scale, dataset, store, times) for comparison in claim.comparisons)


def _outcome(comparison: Comparison, scale: Profile, dataset: Dataset, store: Path, times: Times) -> Outcome:
    if comparison.computed:
        value = comparison.computed()
        holds = comparison.claimed[0] <= value <= comparison.claimed[1]
        exact = Estimate(value, value, value, 0, float(not holds), float(holds))
        return Outcome(comparison, exact, "exact", 0, value, HOLDS if holds else DOES_NOT_HOLD)
    if comparison.times:
        return _timed_outcome(comparison, scale, dataset, times)
    needed = {
        role: [experiment_of(line.series, scale, dataset, seed) for seed in range(scale.seeds)]
        for role, line in comparison.curves.items()
    }
    histories = {
        role: [results.history_of(store, experiment) for experiment in experiments]
        for role, experiments in needed.items()
    }
    lengths = {role: scale.epochs or line.series.epochs for role, line in comparison.curves.items()}
    complete = [
        seed for seed in range(scale.seeds) if all(is_complete(histories[role][seed], lengths[role]) for role in needed)
    ]
    report = _report_effect(comparison)
    decision = decide_on_report(report, comparison.claimed, comparison.reading)
    if not complete or (len(complete) < 2 and scale.seeds > 1):
        nothing = Estimate(math.nan, math.nan, math.nan, len(complete), 1.0, 1.0)
        note = f"runs are missing: {len(complete)} of {scale.seeds} seeds are complete"
        return Outcome(comparison, nothing, f"{len(complete)} seeds", 0, report, decision, note)
    curves = {
        role: curve_of(
            *(line.series.panel, line.series.name, line.series.quantity),
            [histories[role][seed] for seed in complete],
            lengths[role],
        )
        for role, line in comparison.curves.items()
    }
    diverged = sum(curve.diverged() for curve in curves.values())
    found = statistics.estimate(comparison.effect(curves), comparison.claimed)
    notes = [found.note] if found.note else []
    if len(complete) < scale.seeds:
        notes.append(f"{scale.seeds - len(complete)} of {scale.seeds} seeds are missing")
    if diverged:
        notes.append(f"{diverged} of {sum(len(curve.values) for curve in curves.values())} runs diverged")
    repeats = f"{len(complete)} seed{'s' * (len(complete) != 1)}"
    return Outcome(comparison, found, repeats, diverged, report, decision, "; ".join(notes))


def _timed_outcome(comparison: Comparison, scale: Profile, dataset: Dataset, times: Times) -> Outcome:
    """Ratios are estimated as logarithms: half and double are equally far from 1, and so is their noise."""
    keys = {role: _timed(settings, scale, dataset).key for role, settings in comparison.times.items()}
    if any(key not in times.seconds for key in keys.values()):
        nothing = Estimate(math.nan, math.nan, math.nan, 0, 1.0, 1.0)
        return Outcome(comparison, nothing, "0 rounds", 0, math.nan, CANNOT_BE_TOLD, "times have not been measured")
    ratios = comparison.effect({role: times.seconds[key] for role, key in keys.items()})
    low, high = (math.log(bound) for bound in comparison.claimed)
    found = statistics.estimate(np.log(ratios), (low, high))
    found = replace(found, **{name: math.exp(getattr(found, name)) for name in ("effect", "low", "high")})
    if scale.seeds < 2:
        # With one seed nothing is more than inconclusive, and rounds of one network's steps are one seed.
        found = replace(found, seeds=1)
    note = "; ".join(filter(None, [found.note, "rounds in place of seeds: holds for this machine and engine"]))
    return Outcome(comparison, found, f"{len(ratios)} rounds", 0, math.nan, CANNOT_BE_TOLD, note)


def _report_effect(comparison: Comparison) -> float:
    """The effect on the report's own curves; not a number where it has not all of them."""
    if any(line.figure is None for line in comparison.curves.values()):
        return math.nan
    curves: dict[str, Curve] = {}
    for role, line in comparison.curves.items():
        wanted = line.series.panel, line.series.name, line.series.quantity
        curves[role] = next(c for c in report_curves(line.figure) if (c.panel, c.series, c.quantity) == wanted)
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
    evidence = [statistics.combine([outcome.estimate for outcome in outcomes]) for _, outcomes in measured]
    tested = [i for i, (_, outcomes) in enumerate(measured) if not _is_exact(outcomes) and not _is_missing(outcomes)]
    corrected = dict(zip(tested, statistics.holm([evidence[i].p for i in tested]), strict=True))
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
        verdict = statistics.REPRODUCED if evidence.supports else statistics.CONTRADICTED
    elif _is_missing(outcomes):
        verdict = NOT_TESTED
        notes = list(dict.fromkeys(outcome.note for outcome in outcomes if math.isnan(outcome.estimate.effect)))
    else:
        verdict = statistics.verdict(evidence, p_corrected, min(outcome.estimate.seeds for outcome in outcomes))
        if verdict == statistics.INCONCLUSIVE and evidence.p < statistics.SIGNIFICANCE:
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


def decide_all(options: Options, dataset: Dataset, times: Times) -> tuple[list[Decision], Origins]:
    """Every claim's decision from what is there, and where the runs in them are from.

    Raises:
        BadInput: a run used other data, or a file of it is damaged.
    """
    scale, store = options.scale(), Path(options.results)
    needed = {job.experiment.key: job.experiment for job in runs_needed(scale, dataset)}
    present = [results.run_folder(store, e) for e in needed.values() if results.history_of(store, e)]
    found = origins_of(sorted(present), dataset.fingerprint)
    return decide([(claim, measure_claim(claim, scale, dataset, store, times)) for claim in CLAIMS]), found
