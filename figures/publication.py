"""Puts what has been made at one scale into a folder that can be committed: docs/results/<profile>."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from figures import background, page, walk
from figures.claims.decisions import runs_needed
from figures.claims.tables import write_claims
from figures.nearness import draw_nearness, pairs_of, write_nearness
from figures.page_content import Content, gather
from figures.published_runs import restore_runs, write_runs
from figures.sections import FIGURES
from reproduce import results
from reproduce.answers import infer_command, write_answers
from reproduce.candidates import QUESTIONS
from reproduce.comparison import order_sentences, write_comparison
from reproduce.data import Dataset
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.files import csv_bytes, write_atomically, write_json
from reproduce.history import is_complete
from reproduce.inference import Answer, last_epoch, read_answers, runs_of
from reproduce.jobs import Job
from reproduce.options import option
from reproduce.origins import Origins, origins_of
from reproduce.planning import make_plan
from reproduce.profiles import Options

PUBLISHED = Path("docs") / "results"
MISSING_COLUMNS = ("target", "runs_wanted", "runs_missing", "seconds_predicted", "command")


@dataclass(frozen=True)
class PublishOptions(Options):
    """The options of every command that trains, and where to publish."""

    out: str | None = option(None, str, "another folder; README.md then stays as it is", unset="docs/results/PROFILE")


def publish(out: Path, options: Options, dataset: Dataset, settings_page: Path | None = None) -> None:
    """Write figures, tables, verdicts, comparison, report page, candidates, runs, and what is missing; train nothing.

    Runs that an earlier publication in `out` has and the store has not, or not as long, are published again from it: a
    publication gathers what several machines have made.

    Args:
        out: the folder to write to.
        settings_page: where the page of candidates goes in place of it.

    Raises:
        BadInput: the data is synthetic, `out` cannot be written to, runs in the store used other data, or the earlier
            publication is damaged.
    """
    if dataset.is_synthetic:
        raise BadInput("only results on CIFAR-10 are published; DATA=FILE names it")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: expected a folder that can be written to: {error.strerror}") from None
    store = Path(options.results)
    restore_runs(out, store, dataset.fingerprint)
    content = replace(gather(options, dataset), options=options.portable())
    # What an earlier publication had and this one has not would be taken for its.
    for pattern in ("figure-*.*", "settings.*", "nearness.*"):
        for stale in out.glob(pattern):
            stale.unlink()
    for picture in content.pictures.values():
        for suffix in (".png", ".csv"):
            shutil.copyfile(picture.with_suffix(suffix), out / picture.with_suffix(suffix).name)
    background.make_tables(out)
    write_claims(out / "claims.csv", content.decisions, options.profile, dataset)
    is_full_scale = walk.is_report_scale(options, dataset)
    rows = [(number, row) for number, of_figure in content.rows.items() for row in of_figure]
    write_comparison(out / "comparison.csv", rows, options.profile, dataset.name, False, is_full_scale)
    page.write(out / "report.html", content)
    answers = read_answers(QUESTIONS, dataset, options) if is_full_scale else []
    wanted = targets(options, dataset, answers)
    present = _present(wanted, store)
    if answers:
        write_answers(out, answers, options, dataset, settings_page)
        pairs = pairs_of(options, dataset)
        write_nearness(out / "nearness.csv", pairs, options, dataset)
        draw_nearness(out / "nearness", pairs, options, dataset, _origins(present, store, dataset))
    write_runs(out, present, store)
    missing = _write_missing(out / "missing.csv", wanted, options, dataset)
    write_json(out / "summary.json", _summary(content, present, missing, store))
    print(f"published: {out}", flush=True)


def targets(options: Options, dataset: Dataset, answers: Sequence[Answer]) -> dict[str, list[Job]]:
    """The runs of each figure, of the claims, and of each question, whose stopped candidates want no more epochs."""
    scale = options.scale()
    wanted = {figure.name: walk.jobs_of(figure, scale, dataset) for figure in FIGURES.values()}
    wanted["claims"] = runs_needed(scale, dataset)
    for answer in answers:
        end = last_epoch(answer.question) + 1
        epochs = {
            one.candidate: one.compared if one.has_retired and one.gaps else min(scale.epochs or end, end)
            for one in answer.standings
        }
        of_all = (runs_of(name, answer.question, scale, dataset, count) for name, count in epochs.items())
        wanted[f"infer {answer.question.name}"] = [job for jobs in of_all for job in jobs]
    return wanted


def _present(wanted: dict[str, list[Job]], store: Path) -> dict[str, tuple[Experiment, list[str]]]:
    """The runs that are wanted and at least begun, by key, with what needs them."""
    found: dict[str, tuple[Experiment, list[str]]] = {}
    for target, jobs in wanted.items():
        for job in jobs:
            if job.key in found or results.history_of(store, job.experiment):
                users = found.setdefault(job.key, (job.experiment, []))[1]
                if target not in users:
                    users.append(target)
    return found


def _origins(present: dict[str, tuple[Experiment, list[str]]], store: Path, dataset: Dataset) -> Origins:
    return origins_of(
        (results.run_folder(store, experiment) for experiment, _ in present.values()), dataset.fingerprint
    )


def _write_missing(path: Path, wanted: dict[str, list[Job]], options: Options, dataset: Dataset) -> int:
    """What has not been trained, with its command and its time from a few timed batches; how many runs that is."""
    store = Path(options.results)
    plan = make_plan([job for jobs in wanted.values() for job in jobs], dataset, options)
    longest = {job.key: job.epochs for job in plan.missing}
    begun = {job.key: results.history_of(store, job.experiment) for job in plan.missing}
    rows = []
    for target, jobs in wanted.items():
        # A run may be long enough for one target and not for another; the plan's time is to its longest use.
        lacking = {
            job.key: job.epochs for job in jobs if job.key in begun and not is_complete(begun[job.key], job.epochs)
        }
        if lacking:
            left = {key: (epochs - plan.done[key]) / (longest[key] - plan.done[key]) for key, epochs in lacking.items()}
            seconds = round(sum(share * plan.seconds[key] for key, share in left.items()))
            if target.startswith("infer "):
                command = infer_command(target.removeprefix("infer "), options)
            else:
                command = page.command(target, options.portable())
            rows.append([target, len({job.key for job in jobs}), len(lacking), seconds, command])
    if rows:
        write_atomically(path, csv_bytes([MISSING_COLUMNS, *rows]))
    else:
        path.unlink(missing_ok=True)
    return len(plan.missing)


def _summary(
    content: Content, present: dict[str, tuple[Experiment, list[str]]], missing: int, store: Path
) -> dict[str, Any]:
    """What the headline needs beside the CSVs."""
    options, dataset = content.options, content.dataset
    found = _origins(present, store, dataset)
    scale = options.scale()
    orders = [sentence for rows in content.rows.values() for sentence in order_sentences(rows)]
    return {
        "profile": options.profile,
        "is_report_scale": walk.is_report_scale(options, dataset),
        "data": dataset.name,
        "data_fingerprint": dataset.fingerprint,
        "train_images": len(dataset.y_train),
        "test_images": len(dataset.y_test),
        "width": scale.width,
        "batch_size": scale.batch_size,
        "epochs": scale.epochs,
        "seeds": scale.seeds,
        "runs": len(present),
        "runs_missing": missing,
        "figures": sorted(content.pictures),
        "panels": len(orders),
        "panels_in_report_order": sum("same order" in sentence for sentence in orders),
        "engines": list(found.engines),
        "machines": list(found.machines),
        "command": page.command("publish", options),
        "figure_command": page.command("figure-N", options),
    }
