"""What spans the sections: python -m figures all | plan | claims | compare | own-run | report | publish, or figure-N"""

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from figures import background, own_run
from figures.claims.decide import decide_all
from figures.claims.tables import claims_table, write_claims, write_effects
from figures.figure import (
    Figure,
    compare,
    curves_of,
    drawn_runs,
    finish,
    jobs_of,
    make,
    missing_runs,
    print_comparison,
    scale_sentence,
)
from figures.page import layout
from figures.page.content import gather
from figures.page.place import Place
from figures.publish.folder import PUBLISHED, PublishOptions, publish
from figures.publish.headline import update
from figures.sections import CLAIMS, FIGURE_NUMBERS, FIGURES, SERIES, networks_timed, parse_target, runs_for
from figures.summaries import claims_summary, comparison_summary, plan_summary, write_summary
from reproduce.analysis.comparison import Row, orders
from reproduce.analysis.significance import VERDICTS
from reproduce.cli import add_options, explained, flag, option, parser_for, run, suggestion, take_stdout
from reproduce.errors import BadInput, Failure, first_line
from reproduce.files import make_folder
from reproduce.plan import step_times
from reproduce.plan.plan import make_plan, print_plan
from reproduce.profiles import Options
from reproduce.render.comparison import key_of, orders_sentence, write_comparison
from reproduce.study import Study
from reproduce.sweep.jobs import Job
from reproduce.sweep.train_missing import check, train_missing
from reproduce.text import counted_from


@dataclass(frozen=True)
class SummaryOptions(Options):
    """The options of a command that can also say what it finds to other programs."""

    json: bool = flag("write one JSON document to standard output, and all else to standard error")

    def stdout(self) -> TextIO | None:
        """Standard output, for that document alone, if it is asked for."""
        return take_stdout() if self.json else None


@dataclass(frozen=True)
class PlanOptions(SummaryOptions):
    """The same, and which of the commands that train is meant."""

    target: str = option("all-figures", parse_target, "what would be made: all-figures, claims or figure-N")


def _train(jobs: Sequence[Job], study: Study) -> str:
    """Train what is missing; what went wrong, so that the caller can go on with the runs that are there."""
    try:
        train_missing(jobs, study)
    except Failure as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return str(error)
    return ""


def all_command(options: Options) -> None:
    """Make figures 1 to 10: the missing runs of all of them first, each once, then the pictures.

    Raises:
        Failure: at the end, if a figure could not be made; the others are.
    """
    check(options)
    study = Study.of(options)
    make_folder(study.folder)
    _train(runs_for("all-figures", study), study)
    failed = []
    steps: list[tuple[str, Callable[[], object]]] = [("figure 1", lambda: background.make_figure_1(options))]
    steps += [(f"figure {number}", partial(_finish, figure, study)) for number, figure in FIGURES.items()]
    for name, step in steps:
        try:
            step()
        except Exception as error:  # whatever one figure dies of, the others are made
            reason = first_line(error)
            if explained(error) is None:  # a fault of this package, which its first line does not find
                traceback.print_exc()
            failed.append(name)
            print(f"\n{name} could not be made: {reason}", file=sys.stderr, flush=True)
    if failed:
        raise Failure(f"{len(failed)} of {len(steps)} figures could not be made, the others are: {', '.join(failed)}")


def _finish(figure: Figure, study: Study) -> None:
    if missing := missing_runs(jobs_of(figure, study), study):
        raise Failure(f"{missing} of its runs are missing")
    finish(figure, study)


def plan_command(options: PlanOptions) -> None:
    """Print what a target would train and what that takes; nothing is trained."""
    out = options.stdout()
    check(options)
    study = Study.of(options)
    plan = make_plan(runs_for(options.target, study), study)
    print(f"{options.target}, {options.profile} profile, {study.dataset.name}: ", end="")
    print_plan(plan, study)
    if out:
        write_summary(out, plan_summary(plan, options.target, study))


def claims_command(options: SummaryOptions) -> None:
    """Train what the claims lack, measure times, decide every claim, print the verdicts and write claims.csv.

    Raises:
        Failure: at the end, if runs failed; the claims that need them are `not tested`.
    """
    out = options.stdout()
    check(options)
    study = Study.of(options)
    dataset, folder = study.dataset, study.folder
    make_folder(folder)
    wanted = runs_for("claims", study)
    problem = _train(wanted, study)
    timed, epochs = networks_timed(CLAIMS, study), networks_timed(CLAIMS, study, step_times.EPOCH)
    print(
        f"timing the training steps of {len({e.key for e in timed})} networks and whole epochs of "
        f"{len({e.key for e in epochs})}",
        flush=True,
    )
    try:
        times = step_times.measure(timed, dataset, options.device, options.engine, epochs)
        step_times.write_times(folder / "times.json", times, dataset, options.device, options.engine)
    except BadInput as error:
        # The runs were made on a cluster, and this machine has no such device.
        print(f"run times are not measured: {error}", file=sys.stderr, flush=True)
        times = step_times.read_times(folder / "times.json", dataset.fingerprint)
    origins = study.origins(job.experiment for job in wanted)
    decisions = decide_all(CLAIMS, study, times, SERIES)
    path = folder / "claims.csv"
    write_claims(path, decisions, options.profile, dataset)
    write_effects(folder / "effects.csv", decisions)
    print(f"\nThe report's claims, {options.profile} profile, {dataset.name}")
    print(claims_table(decisions))
    verdicts = [decision.verdict for decision in decisions]
    print(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS))
    for sentence in filter(None, [*origins.warnings(), scale_sentence(study)]):
        print(sentence)
    print(f"\nclaims: {path}", flush=True)
    if out:
        write_summary(out, claims_summary(decisions, study))
    if problem:
        raise Failure(problem)


def compare_command(options: SummaryOptions) -> None:
    """Print how every figure that has been trained compares with the report's, and write comparison.csv.

    Each curve takes as many seeds, from 0 on, as are there to their last epoch; a figure without one is left out.

    Raises:
        Failure: there is no figure to compare.
    """
    out = options.stdout()
    study = Study.of(options)
    make_folder(study.folder)
    rows: dict[int, list[Row]] = {}
    seeds: dict[int, list[int]] = {}
    made: list[Job] = []
    for number, figure in FIGURES.items():
        by_curve = drawn_runs(figure, study)
        if all(by_curve):
            seeds[number] = [len(of_curve) for of_curve in by_curve]
            made += [job for of_curve in by_curve for job in of_curve]
            rows[number] = compare(figure, curves_of(figure, study))
    if not rows:
        raise Failure(f"no figure has been trained with these settings: {options.make_command('all-figures')}")
    origins = study.origins(job.experiment for job in made)
    for number, of_figure in rows.items():
        print_comparison(FIGURES[number], of_figure, study)
    print(f"\n{key_of([row for of_figure in rows.values() for row in of_figure], study.is_report_scale)}")
    for number, figure in FIGURES.items():
        command = options.make_command(figure.name)
        if number not in rows:
            print(f"\nFigure {number} has not been trained with these settings: {command}")
        elif min(seeds[number]) < study.scale.seeds:
            has = counted_from(min(seeds[number]), max(seeds[number]), "seed")
            print(f"\nFigure {number} has {has} a curve instead of {study.scale.seeds}; for all: {command}")
    if sentence := orders_sentence([order for of_figure in rows.values() for order in orders(of_figure)]):
        print(f"\n{sentence}")
    for sentence in filter(None, [*origins.warnings(), scale_sentence(study)]):
        print(sentence)
    path = study.folder / "comparison.csv"
    numbered = [(number, row) for number, of_figure in rows.items() for row in of_figure]
    dataset = study.dataset
    write_comparison(path, numbered, options.profile, dataset.name, dataset.is_synthetic, study.is_report_scale)
    print(f"\ncomparison: {path}", flush=True)
    if out:
        write_summary(out, comparison_summary(rows, FIGURES, study))


def report_command(options: Options) -> None:
    """Write report.html from what is there; nothing is trained for it."""
    study = Study.of(options)
    path = study.folder / "report.html"
    layout.write(path, gather(study), Place())
    print(f"report: {path}", flush=True)


def publish_command(options: PublishOptions) -> None:
    """Put what has been made into docs/results and its headline into README.md, or into --out alone; train nothing."""
    study = Study.of(options)
    if options.out:
        publish(Path(options.out), study)
        return
    publish(PUBLISHED / options.profile, study, PUBLISHED.parent / "settings.md")
    update(PUBLISHED.parent)
    print("published: the results in README.md and docs/claims.md", flush=True)


# What make alone has, for whoever mistypes it there.
MAKE_TARGETS = (
    *("all-figures", "tables", "data", "test", "test-slow", "check-platforms", "bench", "lint", "lock", "clean"),
    *("distclean", "help"),
)
COMMANDS: dict[str, tuple[Callable[[Any], None], str]] = {
    "all": (all_command, "Make figures 1 to 10."),
    "plan": (plan_command, "What a target would train, and what that takes; nothing is trained."),
    "claims": (
        claims_command,
        "Decide every claim of the report; trains what is missing and measures times.",
    ),
    "compare": (compare_command, "Compare all figures that have been made with the report's."),
    "own-run": (own_run.draw, "Draw a run of your own over the report's curves: --run=DIR --figure=N."),
    "publish": (publish_command, "Put what has been made into docs/results, and the headline into README.md."),
    "report": (report_command, "Write the report page, results/<profile>/report.html, from what has been made."),
}


def _figure_command(number: int) -> Callable[[Options], None]:
    """The command that makes one figure, as its section's script does."""

    def command(options: Options) -> None:
        if number not in FIGURES:
            background.make_figure_1(options)
            return
        check(options)
        make(FIGURES[number], Study.of(options))

    return command


def main(arguments: list[str]) -> None:
    """The command line: `python -m figures COMMAND [options]`."""
    by_name = {f"figure-{number}": (_figure_command(number), f"Make figure {number}.") for number in FIGURE_NUMBERS}
    if not arguments or arguments[0] not in {**COMMANDS, **by_name}:
        usage = f"usage: python -m figures {' | '.join(COMMANDS)} | figure-N [options]"
        if arguments and arguments[0] in ("-h", "--help"):
            print("\n".join([usage, "", *(f"  {name:9}{text}" for name, (_, text) in COMMANDS.items())]))
            return
        found = arguments[0] if arguments else "nothing"
        names = f"{', '.join(COMMANDS)} or figure-{min(FIGURE_NUMBERS)} to figure-{max(FIGURE_NUMBERS)}"
        raise BadInput(f"expected {names}{suggestion(found, [*COMMANDS, *MAKE_TARGETS, *by_name])}; found {found!r}")
    command, description = {**COMMANDS, **by_name}[arguments[0]]
    parser = parser_for(f"python -m figures {arguments[0]}", description)
    kinds = {
        "plan": PlanOptions,
        "claims": SummaryOptions,
        "compare": SummaryOptions,
        "own-run": own_run.OwnRunOptions,
        "publish": PublishOptions,
    }
    kind = kinds.get(arguments[0], Options)
    add_options(parser, kind)
    command(kind(**vars(parser.parse_args(arguments[1:]))))


if __name__ == "__main__":
    run("python -m figures", main)
