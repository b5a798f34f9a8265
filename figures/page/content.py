"""What there is to say of each section of the report now: pictures, comparisons, verdicts."""

from dataclasses import dataclass
from pathlib import Path

from figures import background
from figures.claims.decide import Decision, decide_all
from figures.figure import caption_of, compare, curves_of, draw_figure, jobs_of, missing_runs
from figures.sections import CLAIMS, FIGURES, SERIES, runs_for
from reproduce.analysis.comparison import PanelOrder, Row, orders
from reproduce.plan import step_times
from reproduce.store.provenance import Origins
from reproduce.study import Study


@dataclass(frozen=True)
class Content:
    """All that the page is made of.

    Attributes:
        pictures: the PNG file of each figure that has been made.
        captions: what the numbers of each of them are from, in sentences; figure 1 has none.
        rows: the comparison of each of them with the report's; figure 1 has none.
        origins: of all runs that the page is made of.
        seconds: the time that all of them took.
    """

    study: Study
    pictures: dict[int, Path]
    captions: dict[int, list[str]]
    rows: dict[int, list[Row]]
    decisions: list[Decision]
    origins: Origins
    runs: int
    seconds: float

    @property
    def orders(self) -> list[PanelOrder]:
        """The order of the series in each panel."""
        return [order for rows in self.rows.values() for order in orders(rows)]


def gather(study: Study) -> Content:
    """Draw every figure whose runs are there, decide every claim; nothing is trained or timed.

    Raises:
        BadInput: runs on other data lie in the store under these settings, or a file there is damaged.
    """
    folder = study.folder
    folder.mkdir(parents=True, exist_ok=True)
    background.make_figure_1(folder)
    pictures, rows, captions = {1: folder / "figure-1.png"}, {}, {}
    for number, figure in FIGURES.items():
        if not missing_runs(jobs_of(figure, study), study):
            ours = curves_of(figure, study)
            draw_figure(figure, ours, study)
            pictures[number] = folder / f"{figure.name}.png"
            rows[number] = compare(figure, ours)
            captions[number] = [*filter(None, caption_of(figure, study))]
    times = step_times.read_times(folder / "times.json", study.dataset.fingerprint)
    decisions = decide_all(CLAIMS, study, times, SERIES)
    wanted = [job.experiment for target in ("claims", "all-figures") for job in runs_for(target, study)]
    present = {one.key: one for one in wanted if study.history(one)}.values()
    seconds = sum(row.seconds for one in present for row in study.history(one))
    return Content(study, pictures, captions, rows, decisions, study.origins(present), len(present), seconds)
