"""What spans the sections: python -m figures all | plan | claims | compare | report"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from figures import background, page, walk
from figures.claims.decisions import decide_all, runs_needed, timings_needed
from figures.claims.tables import claims_table, write_claims
from figures.headline import update
from figures.page_content import gather
from figures.plan import PlanOptions, plan_command
from figures.publication import PUBLISHED, PublishOptions, publish
from figures.sections import FIGURES
from reproduce import schedule, timing
from reproduce.comparison import Row, order_sentences, write_comparison
from reproduce.data import Dataset
from reproduce.errors import BadInput, Failure, first_line
from reproduce.options import add_options, parser_for, run, suggestion
from reproduce.profiles import Options
from reproduce.schedule import Job, train_missing
from reproduce.statistics import VERDICTS


def _folder(options: Options) -> Path:
    """Where a profile's figures and tables go; made if it is not there."""
    folder = Path(options.results) / options.profile
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: expected a folder that can be written to: {error.strerror}") from None
    return folder


def _train(jobs: Sequence[Job], options: Options, dataset: Dataset) -> str:
    """Train what is missing; what went wrong, so that the caller can go on with the runs that are there."""
    try:
        train_missing(jobs, dataset, options)
    except Failure as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return str(error)
    return ""


def all_command(options: Options) -> None:
    """Make figures 1 to 10: the missing runs of all of them first, each once, then the pictures.

    Raises:
        Failure: at the end, if a figure could not be made; the others are.
    """
    folder = _folder(options)
    schedule.check(options)
    dataset = options.load_data()
    jobs = [job for figure in FIGURES.values() for job in walk.jobs_of(figure, options.scale(), dataset)]
    _train(jobs, options, dataset)
    failed = []
    steps: list[tuple[str, Callable[[], object]]] = [("figure 1", lambda: background.make_figure_1(folder))]
    steps += [
        (f"figure {number}", lambda figure=figure: _finish(figure, options, dataset))
        for number, figure in FIGURES.items()
    ]
    for name, step in steps:
        try:
            step()
        except Exception as error:  # whatever one figure dies of, the others are made
            reason = first_line(error)
            failed.append(name)
            print(f"\n{name} could not be made: {reason}", file=sys.stderr, flush=True)
    if failed:
        raise Failure(f"{len(failed)} of {len(steps)} figures could not be made, the others are: {', '.join(failed)}")


def _finish(figure: walk.Figure, options: Options, dataset: Dataset) -> None:
    if missing := walk.missing_runs(walk.jobs_of(figure, options.scale(), dataset), Path(options.results)):
        raise Failure(f"{missing} of its runs are missing")
    walk.finish(figure, options, dataset)


def claims_command(options: Options) -> None:
    """Train what the claims lack, measure times, decide every claim, print the verdicts and write claims.csv.

    Raises:
        Failure: at the end, if runs failed; the claims that need them are `not tested`.
    """
    folder = _folder(options)
    schedule.check(options)
    dataset = options.load_data()
    problem = _train(runs_needed(options.scale(), dataset), options, dataset)
    timed = timings_needed(options.scale(), dataset)
    print(f"timing the training steps of {len({e.key for e in timed})} networks", flush=True)
    try:
        times = timing.measure(timed, dataset, options.device, options.engine)
        timing.write_times(folder / "times.json", times, dataset, options.device, options.engine)
    except BadInput as error:
        # The runs were made on a cluster, and this machine has no such device.
        print(f"run times are not measured: {error}", file=sys.stderr, flush=True)
        times = timing.read_times(folder / "times.json", dataset.fingerprint)
    decisions, origins = decide_all(options, dataset, times)
    path = folder / "claims.csv"
    write_claims(path, decisions, options.profile, dataset)
    print(f"\nThe report's claims, {options.profile} profile, {dataset.name}")
    print(claims_table(decisions, dataset))
    verdicts = [decision.verdict for decision in decisions]
    print(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS))
    for sentence in [*origins.warnings(), walk.scale_sentence(options, dataset)]:
        if sentence:
            print(sentence)
    print(f"\nclaims: {path}", flush=True)
    if problem:
        raise Failure(problem)


def compare_command(options: Options) -> None:
    """Print how every figure that has been trained compares with the report's, and write comparison.csv.

    Raises:
        Failure: there is no figure to compare.
    """
    folder = _folder(options)
    dataset = options.load_data()
    scale, store = options.scale(), Path(options.results)
    is_full_scale = walk.is_report_scale(options, dataset)
    rows: dict[int, list[Row]] = {}
    jobs, missing = [], []
    for number, figure in FIGURES.items():
        needed = walk.jobs_of(figure, scale, dataset)
        if walk.missing_runs(needed, store):
            missing.append(number)
            continue
        jobs += needed
        rows[number] = walk.compare(figure, walk.curves_of(figure, scale, dataset, store))
    if not jobs:
        raise Failure(
            "no figure has been trained with these settings; 'make all-figures' with the same settings does it"
        )
    origins = walk.origins(jobs, dataset, store)
    for number, of_figure in rows.items():
        walk.print_comparison(FIGURES[number], of_figure, options, dataset)
    for number in missing:
        print(f"\nFigure {number} has not been trained with these settings: make figure-{number}")
    print()
    of_all = [sentence for of_figure in rows.values() for sentence in order_sentences(of_figure)]
    same = sum("same order" in sentence for sentence in of_all)
    print(f"The series come in the report's order in {same} of {len(of_all)} panels.")
    for sentence in [*origins.warnings(), walk.scale_sentence(options, dataset)]:
        if sentence:
            print(sentence)
    path = folder / "comparison.csv"
    numbered = [(number, row) for number, of_figure in rows.items() for row in of_figure]
    write_comparison(path, numbered, options.profile, dataset.name, dataset.is_synthetic, is_full_scale)
    print(f"\ncomparison: {path}", flush=True)


def report_command(options: Options) -> None:
    """Write report.html from what is there; nothing is trained for it."""
    folder = _folder(options)
    path = folder / "report.html"
    page.write(path, gather(options, options.load_data()))
    print(f"report: {path}", flush=True)


def publish_command(options: PublishOptions) -> None:
    """Put what has been made into docs/results and its headline into README.md, or into --out alone; train nothing."""
    dataset = options.load_data()
    if options.out:
        publish(Path(options.out), options, dataset)
        return
    publish(PUBLISHED / options.profile, options, dataset, PUBLISHED.parent / "settings.md")
    update(Path("README.md"), PUBLISHED)
    print("published: the headline in README.md", flush=True)


COMMANDS: dict[str, tuple[Callable[[Options], None], str]] = {
    "all": (all_command, "Make figures 1 to 10."),
    "plan": (plan_command, "What a target would train, and what that takes; nothing is trained."),
    "claims": (
        claims_command,
        "Decide every claim of the report; trains what is missing and measures times.",
    ),
    "compare": (compare_command, "Compare all figures that have been made with the report's."),
    "publish": (publish_command, "Put what has been made into docs/results, and the headline into README.md."),
    "report": (report_command, "Write the report page, results/<profile>/report.html, from what has been made."),
}


def main(arguments: list[str]) -> None:
    """The command line: `python -m figures COMMAND [options]`."""
    if not arguments or arguments[0] not in COMMANDS:
        usage = f"usage: python -m figures {' | '.join(COMMANDS)} [options]"
        if arguments and arguments[0] in ("-h", "--help"):
            print("\n".join([usage, "", *(f"  {name:9}{text}" for name, (_, text) in COMMANDS.items())]))
            return
        found = arguments[0] if arguments else "nothing"
        raise BadInput(f"expected one of {', '.join(COMMANDS)}{suggestion(found, COMMANDS)}; found {found!r}")
    command, description = COMMANDS[arguments[0]]
    parser = parser_for(f"python -m figures {arguments[0]}", description)
    kind = {"plan": PlanOptions, "publish": PublishOptions}.get(arguments[0], Options)
    add_options(parser, kind)
    command(kind(**vars(parser.parse_args(arguments[1:]))))


if __name__ == "__main__":
    run("python -m figures", main)
