"""What any target would train and what that takes, without training: python -m figures plan [--target figure-6]"""

import re
from dataclasses import dataclass

from figures import walk
from figures.claims.decisions import runs_needed
from figures.sections import FIGURES
from reproduce import schedule
from reproduce.data import Dataset
from reproduce.jobs import Job
from reproduce.options import option, suggestion
from reproduce.planning import make_plan, print_plan
from reproduce.profiles import Options, Profile

ALL = ("all-figures", "claims")


def parse_target(text: str) -> str:
    """A target that trains something.

    Raises:
        ValueError: there is no such target.
    """
    names = [*ALL, *(figure.name for figure in FIGURES.values())]
    if text not in names:
        figures = sorted(FIGURES)
        expected = f"expected {', '.join(ALL)} or figure-{figures[0]} to figure-{figures[-1]}"
        raise ValueError(f"{expected}{suggestion(text, names)}")
    return text


@dataclass(frozen=True)
class PlanOptions(Options):
    """The options of every command that trains, and which of them is meant."""

    target: str = option("all-figures", parse_target, "what would be made: all-figures, claims or figure-N")


def jobs_of(target: str, scale: Profile, dataset: Dataset) -> list[Job]:
    """The runs that a target needs."""
    if target == "claims":
        return runs_needed(scale, dataset)
    numbers = list(FIGURES) if target == "all-figures" else [int(re.sub(r"\D", "", target))]
    return [job for number in numbers for job in walk.jobs_of(FIGURES[number], scale, dataset)]


def plan_command(options: PlanOptions) -> None:
    """Print what a target would train and what that takes; nothing is trained."""
    schedule.check(options)
    dataset = options.load_data()
    plan = make_plan(jobs_of(options.target, options.scale(), dataset), dataset, options)
    print(f"{options.target}, {options.profile} profile, {dataset.name}: ", end="")
    print_plan(plan, dataset, options)
