"""Which candidate for an unstated setting lies nearest to the report's own curves: a race with early retirement."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reproduce import results
from reproduce.candidates import Question, ReportCurve, Settings
from reproduce.curves import Curve, begun_curve
from reproduce.data import Dataset
from reproduce.errors import Failure
from reproduce.experiment import Experiment
from reproduce.history import History, is_complete
from reproduce.jobs import Job
from reproduce.original import report_curves
from reproduce.profiles import Options, Profile
from reproduce.schedule import train_missing

# A candidate retires when its gap is above so many times the smallest one, and by at least so many points more; not on
# a single epoch, for a slow start says little.
HOPELESS_RATIO, HOPELESS_POINTS, FEWEST_EPOCHS = 2.0, 2.0, 2
# The report's curves were read off its pictures to so many points: smaller differences between gaps tell nothing.
READING_ACCURACY = 0.3


class Standing(NamedTuple):
    """A candidate at the end of the race, or where it retired."""

    candidate: str
    settings: Settings
    trained: int
    """epochs that all of its runs have"""
    compared: int
    """its gap is taken over so many epochs, as far as the report's curves have them; 0 if it is not compared"""
    gaps: tuple[float, ...]
    """mean over these epochs of |mean over seeds - the report|, points, by the question's curves"""
    has_retired: bool
    all_gaps: tuple[float, ...]
    """the same over all epochs that it has been trained; not comparable with another candidate's over others"""

    @property
    def gap(self) -> float:
        """Mean of the gaps, points; infinite if a seed diverged, not a number where nothing is compared."""
        return float(np.mean(self.gaps)) if self.gaps else math.nan


class Answer(NamedTuple):
    """What the race says to a question."""

    question: Question
    standings: tuple[Standing, ...]
    """nearest first; those not compared last"""

    @property
    def leaders(self) -> tuple[Standing, ...]:
        """The nearest candidate, and those whose gap differs by less than the reading accuracy; perhaps none."""
        compared = [one for one in self.standings if not one.has_retired and math.isfinite(one.gap)]
        return tuple(one for one in compared if one.gap < compared[0].gap + READING_ACCURACY)


def report_curve(wanted: ReportCurve) -> Curve:
    """The report's own curve."""
    names = wanted.panel, wanted.series, wanted.quantity
    return next(curve for curve in report_curves(wanted.figure) if curve[:3] == names)


def last_epoch(question: Question) -> int:
    """The last one of the report's curves."""
    return max(int(report_curve(curve).epochs[-1]) for curve in question.curves)


def experiment_of(settings: Settings, curve: ReportCurve, scale: Profile, dataset: Dataset, seed: int) -> Experiment:
    """The run of a candidate that one of the report's curves is set beside."""
    both = {**settings, **curve.settings}
    return Experiment(data_fingerprint=dataset.fingerprint, seed=seed, **{**scale.settings, **both})


def runs_of(name: str, question: Question, scale: Profile, dataset: Dataset, epochs: int) -> list[Job]:
    """All runs of one candidate, each once."""
    jobs = {}
    for seed in range(scale.seeds):
        for curve in question.curves:
            experiment = experiment_of(question.candidates[name], curve, scale, dataset, seed)
            label = f"{question.name}: {name}, seed {seed}"
            jobs.setdefault(experiment.key, Job(experiment, epochs, label, frozenset([f"figure-{curve.figure}"])))
    return list(jobs.values())


def candidate_curve(name: str, curve: ReportCurve, histories: Sequence[History]) -> Curve:
    """What a candidate has of one of the report's curves, as far as all of its runs go."""
    return begun_curve(curve.panel, name, curve.quantity, histories)


def gap_to(report: Curve, ours: Curve, epochs: int) -> float:
    """Mean |ours - the report's| over those of the first so many epochs that the report has, points.

    Infinite if one of our seeds diverged before their end; not a number if the report has none of them.
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
    questions: Sequence[Question], scale: Profile, dataset: Dataset, store: Path, train: Callable[[list[Job]], None]
) -> list[Answer]:
    """Compare the candidates after 1, 2, 4, ... epochs, and go on with those that are not hopeless.

    One that has no epoch takes no part. When but one is left, it is compared over all that it has. What the race
    decides depends on the runs' histories alone, so that it can be held again over a store to read it.

    Args:
        scale: its `epochs`, if any, end the race; otherwise the report's curves do.
        train: brings runs to so many epochs; one that does nothing leaves the race to what the store has.
    """
    lasts = {q.name: min(last_epoch(q) + 1, scale.epochs or last_epoch(q) + 1) for q in questions}
    running = {q.name: list(q.candidates) for q in questions}
    compared: dict[tuple[str, str], tuple[int, tuple[float, ...]]] = {}
    halted: set[str] = set()
    for rung in sorted({rung for last in lasts.values() for rung in rungs(last)}):
        taking_part = [q for q in questions if q.name not in halted and rung in rungs(lasts[q.name])]
        train([job for q in taking_part for name in running[q.name] for job in runs_of(name, q, scale, dataset, rung)])
        for question in taking_part:
            histories = {name: histories_of(name, question, scale, dataset, store) for name in running[question.name]}
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
            epochs = min(int((report_curve(curve).epochs < until).sum()) for curve in question.curves)
            limit = max(HOPELESS_RATIO * least, least + HOPELESS_POINTS) if epochs >= FEWEST_EPOCHS else math.inf
            running[question.name] = [n for n, mean in means.items() if math.isfinite(mean) and mean <= limit]
    return [_answer(question, running[question.name], compared, scale, dataset, store) for question in questions]


def histories_of(name: str, question: Question, scale: Profile, dataset: Dataset, store: Path) -> list[list[History]]:
    """What the store has of a candidate's runs, each read once: for each of the question's curves, by seed."""
    read: dict[str, History] = {}

    def history(curve: ReportCurve, seed: int) -> History:
        experiment = experiment_of(question.candidates[name], curve, scale, dataset, seed)
        if experiment.key not in read:
            read[experiment.key] = results.history_of(store, experiment)
        return read[experiment.key]

    return [[history(curve, seed) for seed in range(scale.seeds)] for curve in question.curves]


def _gaps(question: Question, histories: Sequence[Sequence[History]], epochs: int) -> tuple[float, ...]:
    return tuple(
        gap_to(report_curve(curve), candidate_curve("", curve, of_curve), epochs)
        for curve, of_curve in zip(question.curves, histories, strict=True)
    )


def _answer(
    question: Question,
    running: Sequence[str],
    compared: dict[tuple[str, str], tuple[int, tuple[float, ...]]],
    scale: Profile,
    dataset: Dataset,
    store: Path,
) -> Answer:
    standings = []
    for name, settings in question.candidates.items():
        epochs, gaps = compared.get((question.name, name), (0, ()))
        histories = histories_of(name, question, scale, dataset, store)
        trained = min(len(history) for of_curve in histories for history in of_curve)
        all_gaps = _gaps(question, histories, trained) if trained else ()
        standings.append(Standing(name, settings, trained, epochs, gaps, name not in running, all_gaps))
    standings.sort(key=lambda one: (not one.gaps, one.has_retired, -one.compared, one.gap if one.gaps else 0.0))
    return Answer(question, tuple(standings))


def infer(questions: Sequence[Question], dataset: Dataset, options: Options) -> list[str]:
    """Train the candidates, the hopeless ones for their first epochs only; runs that fail do not stop the others.

    Returns:
        What failed, a line for each time.
    """
    failures: list[str] = []

    def train(jobs: list[Job]) -> None:
        try:
            train_missing(jobs, dataset, options)
        except Failure as error:
            failures.append(str(error))

    race(questions, options.scale(), dataset, Path(options.results), train)
    return failures


def read_answers(questions: Sequence[Question], dataset: Dataset, options: Options) -> list[Answer]:
    """What the race says over what the results store has; nothing is trained."""
    return race(questions, options.scale(), dataset, Path(options.results), lambda jobs: None)
