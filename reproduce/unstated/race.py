"""Which candidate for an unstated setting lies nearest to the report's own curves: a race with early retirement."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from reproduce.analysis.curves import Curve, Series, begun_curve
from reproduce.analysis.report_curves import READING_ACCURACY, shown_curve
from reproduce.errors import Failure
from reproduce.store.history import History, is_complete
from reproduce.study import Study
from reproduce.sweep.jobs import Job
from reproduce.sweep.train_missing import train_missing
from reproduce.unstated.candidates import Question, Settings

# A candidate retires when its gap is above HOPELESS_RATIO times the smallest one, and HOPELESS_POINTS above it; not on
# a single epoch, for a slow start says little.
HOPELESS_RATIO, HOPELESS_POINTS, FEWEST_EPOCHS = 2.0, 2.0, 2


class Standing(NamedTuple):
    """A candidate at the end of the race, or where it retired."""

    candidate: str
    settings: Settings
    trained: int
    """epochs that all of its runs have"""
    compared: int
    """its gap is taken over this number of epochs, as far as the report's curves have them; 0 if it is not compared"""
    gaps: tuple[float, ...]
    """mean over these epochs of |mean over seeds - the report|, points, by the question's curves"""
    has_retired: bool
    all_gaps: tuple[float, ...]
    """the same over all epochs that it has been trained; not comparable with another candidate's over others"""
    begun: bool
    """whether one of its runs has an epoch"""

    @property
    def gap(self) -> float:
        """Mean of the gaps, points; infinite if a seed diverged, NaN where nothing is compared."""
        return float(np.mean(self.gaps)) if self.gaps else math.nan


class Answer(NamedTuple):
    """What the race says to a question."""

    question: Question
    standings: tuple[Standing, ...]
    """nearest first; those not compared last"""
    seeds: int
    """how many of each candidate's runs are compared, one a seed"""

    @property
    def leaders(self) -> tuple[Standing, ...]:
        """The nearest candidate, and those whose gap differs by less than the reading accuracy; perhaps none."""
        compared = [one for one in self.standings if not one.has_retired and math.isfinite(one.gap)]
        return tuple(one for one in compared if one.gap < compared[0].gap + READING_ACCURACY)


def last_epoch(question: Question) -> int:
    """The last one of the report's curves."""
    return max(int(shown_curve(series).epochs[-1]) for series in question.curves)


def settings_of(name: str, question: Question, series: Series) -> Settings:
    """Of the runs of a candidate that one of the report's curves is compared with."""
    return {**question.candidates[name], **series.settings}


def runs_of(name: str, question: Question, study: Study, epochs: int) -> list[Job]:
    """All runs of one candidate, each once."""
    jobs: dict[str, Job] = {}
    for seed in range(study.scale.seeds):
        for series in question.curves:
            experiment = study.experiment(settings_of(name, question, series), seed)
            label = f"{question.name}: {name}, seed {seed}"
            jobs.setdefault(experiment.key, Job(experiment, epochs, label, frozenset([f"figure-{series.figure}"])))
    return list(jobs.values())


def candidate_curve(name: str, series: Series, histories: Sequence[History]) -> Curve:
    """What a candidate has of one of the report's curves, as far as all of its runs go."""
    return begun_curve(replace(series, name=name), histories)


def gap_to(report: Curve, ours: Curve, epochs: int) -> float:
    """Mean |ours - the report's| over those of the first `epochs` epochs that the report has, points.

    Infinite if one of our seeds diverged before their end; NaN if the report has none of them.
    """
    wanted = report.epochs[report.epochs < epochs]
    if not len(wanted):
        return math.nan
    if wanted[-1] >= len(ours.epochs) or not np.isfinite(ours.values[:, : wanted[-1] + 1]).all():
        return math.inf
    return float(abs(ours.mean()[wanted] - report.mean()[np.isin(report.epochs, wanted)]).mean())


def rungs(last: int) -> list[int]:
    """Numbers of epochs after which candidates are compared: 1, 2, 4, ... and the last."""
    return [*(2**power for power in range(32) if 2**power < last), last]


def race(
    questions: Sequence[Question], study: Study, train: Callable[[list[Job]], None] = lambda jobs: None
) -> list[Answer]:
    """Compare the candidates after 1, 2, 4, ... epochs, and go on with those that are not ruled out.

    One that lacks a run takes no part. When but one is left, it is compared over all that it has. What the race
    decides depends on the runs' histories alone, so that it can be held again over a store to read it.

    Args:
        study: its scale's `epochs`, if any, end the race; otherwise the report's curves do.
        train: brings each job's run to its number of epochs; by default the race is over what the store has.
    """
    lasts = {q.name: min(last_epoch(q) + 1, study.scale.epochs or last_epoch(q) + 1) for q in questions}
    running = {q.name: list(q.candidates) for q in questions}
    compared: dict[tuple[str, str], tuple[int, tuple[float, ...]]] = {}
    halted: set[str] = set()
    for rung in sorted({rung for last in lasts.values() for rung in rungs(last)}):
        taking_part = [q for q in questions if q.name not in halted and rung in rungs(lasts[q.name])]
        train([job for q in taking_part for name in running[q.name] for job in runs_of(name, q, study, rung)])
        for question in taking_part:
            histories = {name: histories_of(name, question, study) for name in running[question.name]}
            # Of all curves and seeds: the shortest run says how far a candidate has come.
            flat = {name: [h for of_curve in of_all for h in of_curve] for name, of_all in histories.items()}
            running[question.name] = [name for name, of_name in flat.items() if all(of_name)]
            lacking = [n for n in running[question.name] if not all(is_complete(h, rung) for h in flat[n])]
            if lacking or not running[question.name]:
                halted.add(question.name)
                if len(running[question.name]) > 1 or not lacking:
                    continue
            until = min(map(len, flat[lacking[0]])) if lacking else rung
            gaps = {name: _gaps(question, histories[name], until) for name in running[question.name]}
            if any(math.isnan(gap) for of_candidate in gaps.values() for gap in of_candidate):
                continue  # the report's own first epochs are lost
            compared |= {(question.name, name): (until, found) for name, found in gaps.items()}
            means = {name: float(np.mean(found)) for name, found in gaps.items()}
            least = min(means.values())
            epochs = min(int((shown_curve(curve).epochs < until).sum()) for curve in question.curves)
            limit = max(HOPELESS_RATIO * least, least + HOPELESS_POINTS) if epochs >= FEWEST_EPOCHS else math.inf
            running[question.name] = [n for n, mean in means.items() if math.isfinite(mean) and mean <= limit]
    return [_answer(question, running[question.name], compared, study) for question in questions]


def answers_of(questions: Sequence[Question], study: Study) -> list[Answer]:
    """What the store says to each question; nothing is trained.

    Further seeds count only where they are trained as far as the race needs them. So runs that were made for another
    reason, of some candidates' further seeds, take none of the other candidates out.
    """
    return [_answer_of(one, study) for one in questions]


def _answer_of(question: Question, study: Study) -> Answer:
    """Over the most seeds with which the same candidates are compared as with the first one, and as far."""
    (first,) = race([question], study.with_seeds(1))
    for seeds in range(study.scale.seeds, 1, -1):
        (answer,) = race([question], study.with_seeds(seeds))
        if _compared(answer) == _compared(first) and answer.standings[0].compared >= first.standings[0].compared:
            return answer
    return first


def _compared(answer: Answer) -> set[str]:
    return {one.candidate for one in answer.standings if one.gaps}


def histories_of(name: str, question: Question, study: Study) -> list[list[History]]:
    """What the store has of a candidate's runs: for each of the question's curves, by seed."""
    return [study.histories(settings_of(name, question, series)) for series in question.curves]


def _gaps(question: Question, histories: Sequence[Sequence[History]], epochs: int) -> tuple[float, ...]:
    return tuple(
        gap_to(shown_curve(curve), candidate_curve("", curve, of_curve), epochs)
        for curve, of_curve in zip(question.curves, histories, strict=True)
    )


def _answer(
    question: Question,
    running: Sequence[str],
    compared: dict[tuple[str, str], tuple[int, tuple[float, ...]]],
    study: Study,
) -> Answer:
    standings = []
    for name, settings in question.candidates.items():
        epochs, gaps = compared.get((question.name, name), (0, ()))
        histories = histories_of(name, question, study)
        trained = min(len(history) for of_curve in histories for history in of_curve)
        all_gaps = _gaps(question, histories, trained) if trained else ()
        begun = any(history for of_curve in histories for history in of_curve)
        standings.append(Standing(name, settings, trained, epochs, gaps, name not in running, all_gaps, begun))
    standings.sort(key=lambda one: (not one.gaps, one.has_retired, -one.compared, one.gap if one.gaps else 0.0))
    return Answer(question, tuple(standings), study.scale.seeds)


def infer(questions: Sequence[Question], study: Study) -> list[str]:
    """Train the candidates, those that are ruled out for their first epochs only.

    A question waits for a candidate whose run failed on the way; it stops no other question.

    Returns:
        What failed, a line for each time.
    """
    failures: list[str] = []

    def train(jobs: list[Job]) -> None:
        try:
            train_missing(jobs, study)
        except Failure as error:
            failures.append(str(error))

    race(questions, study, train)
    return failures
