"""All sections of the report, each a script of its own, and what any target needs: the only answer to 'which runs'."""

from collections.abc import Iterable

from figures import (
    augmentation,
    background,
    batch_normalization,
    best_model,
    depth,
    dropout,
    filter_size,
    pooling_and_optimizers,
)
from figures.claims.declare import Claim
from figures.figure import Figure, jobs_of, runs_of
from reproduce.analysis.curves import Series
from reproduce.cli import suggestion
from reproduce.experiment import Experiment
from reproduce.plan.step_times import STEP
from reproduce.study import Study
from reproduce.sweep.jobs import Job

# In the report's order. Each has NUMBER, TITLE, SAYS (what the section does, in our words), FIGURES and CLAIMS.
SECTIONS = (
    background,
    depth,
    batch_normalization,
    dropout,
    pooling_and_optimizers,
    filter_size,
    augmentation,
    best_model,
)
FIGURE_NUMBERS = tuple(number for section in SECTIONS for number in section.FIGURES)
# Those that have curves: all but figure 1, a table.
FIGURES: dict[int, Figure] = {
    number: figure for section in SECTIONS for number, figure in section.FIGURES.items() if figure
}
CLAIMS: tuple[Claim, ...] = tuple(claim for section in SECTIONS for claim in section.CLAIMS)
SERIES: tuple[Series, ...] = tuple(series for figure in FIGURES.values() for series in figure.series)
TARGETS = ("all-figures", "claims", *(figure.name for figure in FIGURES.values()))


def parse_target(text: str) -> str:
    """A target that trains something.

    Raises:
        ValueError: there is no such target.
    """
    if text not in TARGETS:
        figures = sorted(FIGURES)
        expected = f"expected all-figures, claims or figure-{figures[0]} to figure-{figures[-1]}"
        raise ValueError(f"{expected}{suggestion(text, TARGETS)}")
    return text


def runs_for(target: str, study: Study) -> list[Job]:
    """The runs that a target needs."""
    if target == "claims":
        return runs_for_claims(CLAIMS, study)
    wanted = [figure for figure in FIGURES.values() if target in ("all-figures", figure.name)]
    return [job for figure in wanted for job in jobs_of(figure, study)]


def runs_for_claims(claims: Iterable[Claim], study: Study) -> list[Job]:
    """Every run that some claims need, all of a seed before those of the next."""
    by_series = [
        [job._replace(label=f"{claim.id}, {series.label}, seed {job.experiment.seed}") for job in jobs]
        for claim in claims
        for comparison in claim.comparisons
        for series in comparison.series
        for jobs in [runs_of(series, study, [claim.id])]
    ]
    return [job for of_seed in zip(*by_series, strict=True) for job in of_seed]


def networks_timed(claims: Iterable[Claim], study: Study, timed: str = STEP) -> list[Experiment]:
    """Every network whose training step, or whole epoch, a claim times."""
    return [
        study.experiment(settings, 0)
        for claim in claims
        for comparison in claim.comparisons
        for settings in comparison.times.values()
        if comparison.timed == timed
    ]
