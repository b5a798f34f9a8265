"""What there is to say of each section of the report now: pictures, comparisons, verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from figures import background
from figures.claims.decide import Decision, decide_all
from figures.figure import caption_of, compare, curves_of, draw_figure, drawn_runs, jobs_of, missing_runs
from figures.nearness import Pair, nearness_picture, overlay_picture, pairs_of
from figures.sections import CLAIMS, FIGURES, SERIES, runs_for
from reproduce.analysis.comparison import PanelOrder, Row, orders
from reproduce.plan import step_times
from reproduce.render.plotting import save_picture
from reproduce.store.provenance import Origins
from reproduce.study import Study
from reproduce.sweep.jobs import Job
from reproduce.unstated.answers import picture_of
from reproduce.unstated.candidates import QUESTIONS
from reproduce.unstated.race import Answer, answers_of, runs_of


@dataclass(frozen=True)
class Content:
    """All that the page is made of.

    Attributes:
        pictures: the PNG file of each figure that has been made.
        captions: what the numbers of each of them are from, in sentences; figure 1 has none.
        rows: the comparison of each of them with the report's; figure 1 has none.
        seeds: how many seeds each of them is drawn from: the fewest and the most of its curves.
        missing: of each figure that has not been made with all seeds, how many of how many runs are missing or
            unfinished.
        pairs: at the report's scale, all of its curves, each with what there is of ours.
        answers: at the report's scale, which candidates for unstated settings are nearest.
        nearness, overlay, settings: the PNG files of the curves at the report's scale, of those of one figure (for
            README), and of the candidates, where there is anything to show.
        origins: of all runs that the page is made of.
        seconds: the time that all of them took.
    """

    study: Study
    pictures: Mapping[int, Path]
    captions: Mapping[int, list[str]]
    rows: Mapping[int, list[Row]]
    seeds: Mapping[int, tuple[int, int]]
    missing: Mapping[int, tuple[int, int]]
    decisions: list[Decision]
    pairs: list[Pair]
    answers: list[Answer]
    nearness: Path | None
    overlay: Path | None
    settings: Path | None
    origins: Origins
    runs: int
    seconds: float

    @property
    def orders(self) -> list[PanelOrder]:
        """The order of the series in each panel."""
        return [order for rows in self.rows.values() for order in orders(rows)]


def gather(study: Study) -> Content:
    """Draw every figure whose curves all have a complete seed, decide every claim; nothing is trained or timed.

    Raises:
        BadInput: runs on other data lie in the store under these settings, or a file there is damaged.
    """
    folder = study.folder
    folder.mkdir(parents=True, exist_ok=True)
    pictures, rows, captions, seeds, missing = {1: background.make_figure_1(study.options)}, {}, {}, {}, {}
    for number, figure in FIGURES.items():
        needed = jobs_of(figure, study)
        if lacking := missing_runs(needed, study):
            missing[number] = lacking, len({job.key for job in needed})
        if min(counts := [len(of_curve) for of_curve in drawn_runs(figure, study)]):
            ours = curves_of(figure, study)
            draw_figure(figure, ours, study)
            pictures[number] = folder / f"{figure.name}.png"
            rows[number], seeds[number] = compare(figure, ours), (min(counts), max(counts))
            captions[number] = [*filter(None, caption_of(figure, study))]
    times = step_times.read_times(folder / "times.json", study.dataset.fingerprint)
    decisions = decide_all(CLAIMS, study, times, SERIES)
    pairs = pairs_of(study) if study.is_report_scale else []
    answers = answers_of(QUESTIONS, study) if study.is_report_scale else []
    nearness, overlay = nearness_picture(pairs, study), overlay_picture(pairs, study)
    settings = picture_of(answers, study)
    wanted = [*runs_for("claims", study), *runs_for("all-figures", study), *_runs_of_candidates(answers, study)]
    present = {job.key: job.experiment for job in wanted if study.history(job.experiment)}.values()
    return Content(
        study=study,
        pictures=pictures,
        captions=captions,
        rows=rows,
        seeds=seeds,
        missing=missing,
        decisions=decisions,
        pairs=pairs,
        answers=answers,
        nearness=save_picture(nearness, folder / "nearness")[0] if nearness else None,
        overlay=save_picture(overlay, folder / "overlay")[0] if overlay else None,
        settings=save_picture(settings, folder / "settings")[0] if settings else None,
        origins=study.origins(present),
        runs=len(present),
        seconds=sum(row.seconds for one in present for row in study.history(one)),
    )


def _runs_of_candidates(answers: list[Answer], study: Study) -> list[Job]:
    return [
        job
        for answer in answers
        for one in answer.standings
        for job in runs_of(one.candidate, answer.question, study, one.trained)
    ]
