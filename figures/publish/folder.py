"""Puts what has been made at one scale into a folder that can be committed: docs/results/<profile>."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from figures import background
from figures.claims.tables import write_claims, write_effects
from figures.nearness import write_nearness
from figures.page import layout
from figures.page.content import Content, gather
from figures.page.place import Place
from figures.publish import exchange
from figures.publish.runs import restore_runs, write_runs
from figures.publish.times import publish_times, restore_times
from figures.sections import FIGURES, runs_for
from reproduce.cli import option, path
from reproduce.errors import BadInput, Failure
from reproduce.experiment import Experiment
from reproduce.files import csv_bytes, read_at_most, write_atomically, write_json
from reproduce.plan.plan import Plan, make_plan
from reproduce.profiles import Options
from reproduce.render.comparison import write_comparison
from reproduce.store.provenance import Origins
from reproduce.study import Study
from reproduce.sweep.jobs import Job
from reproduce.text import counted, say_once
from reproduce.unstated.answers import infer_command, write_answers
from reproduce.unstated.race import Answer, last_epoch, runs_of

PUBLISHED = Path("docs") / "results"
SUMMARY, SETTINGS = "summary.json", "settings.md"
MISSING_COLUMNS = ("target", "runs_wanted", "runs_missing", "seconds_predicted", "command")


@dataclass(frozen=True)
class PublishOptions(Options):
    """The options of every command that trains, and where to publish."""

    out: str | None = option(None, path, "another folder; README.md then stays as it is", unset="docs/results/PROFILE")


def publish(out: Path, study: Study, settings_page: Path | None = None) -> None:
    """Write figures, tables, verdicts, comparison, report page, candidates, runs, and what is missing; train nothing.

    Runs that an earlier publication in `out` has and the store has not, or not as long, are published again from it: a
    publication gathers what several machines have made. It is built beside the old one and takes its place whole.

    Args:
        out: the folder to write to.
        settings_page: where the page of candidates goes in place of it.

    Raises:
        BadInput: the data is synthetic, `out` cannot be written to, runs in the store used other data, or the earlier
            publication is damaged, of another scale or data, of more seeds, or not one that this package wrote.
    """
    options, dataset = study.options, study.dataset
    if dataset.is_synthetic:
        raise BadInput("only results on CIFAR-10 are published; DATA=FILE names it")
    with exchange.replacing(out) as new:
        _refuse_other_results(out, study)
        restore_runs(out, study.store, dataset.fingerprint_of_seed)
        restore_times(out, study)
        study.forget()
        content = gather(study)
        # Its commands are for other machines.
        content = replace(content, study=replace(study, options=options.portable()))
        _write(new, out, content, study, settings_page.parent if settings_page else None)
        settings = new / SETTINGS
        page = settings.read_bytes() if settings_page and settings.exists() else None
        if page is not None:
            settings.unlink()
    if settings_page and page is not None:
        write_atomically(settings_page, page)
    print(f"published: {out}", flush=True)


def _refuse_other_results(out: Path, study: Study) -> None:
    """See that the earlier publication is of this scale and data, and of no more seeds: its other runs would be lost.

    Raises:
        BadInput: it is not.
    """
    path = out / SUMMARY
    if not path.exists():
        return
    try:
        before = json.loads(read_at_most(path, 2**20))
        found = {name: before[name] for name in _identity(study)}
        seeds = int(before["seeds"])
    except (ValueError, TypeError, KeyError):
        raise BadInput(f"{path}: expected a summary that `publish` wrote; found something else") from None
    for name, expected in _identity(study).items():
        if found[name] != expected:
            raise BadInput(
                f"{out}: published there is {name.replace('_', ' ')} {found[name]}; expected {expected}: results of "
                "other data or sizes are not published over it; --out=DIR names another folder"
            )
    if seeds > study.scale.seeds:
        raise BadInput(
            f"{out}: published there are the runs of {counted(seeds, 'seed')}; found SEEDS={study.scale.seeds}, which "
            f"would drop some of them; SEEDS={seeds} keeps them all, and --out=DIR names another folder"
        )


def _identity(study: Study) -> dict[str, Any]:
    """What two publications must share for one to go on from the other."""
    scale, dataset = study.scale, study.dataset
    return {
        "profile": study.options.profile,
        "data_fingerprint": dataset.fingerprint,
        "train_images": len(dataset.y_train),
        "test_images": len(dataset.y_test),
        "width": scale.width,
        "batch_size": scale.batch_size,
        "epochs": scale.epochs,
    }


def _write(new: Path, out: Path, content: Content, study: Study, docs: Path | None) -> None:
    """Write a publication into an empty folder that will be `out`; its pages and the project's in `docs` are linked."""
    options, dataset = study.options, study.dataset
    for picture in content.pictures.values():
        for suffix in (".png", ".csv"):
            shutil.copyfile(picture.with_suffix(suffix), new / picture.with_suffix(suffix).name)
    # The page has them as HTML: pictures of them would be the largest files here.
    background.write_tables(new, has_pictures=False)
    write_claims(new / "claims.csv", content.decisions, options.profile, dataset)
    write_effects(new / "effects.csv", content.decisions)
    publish_times(new, study)
    rows = [(number, row) for number, of_figure in content.rows.items() for row in of_figure]
    write_comparison(new / "comparison.csv", rows, options.profile, dataset.name, False, study.is_report_scale)
    place = Place(has_pictures_inside=False, docs=Path(os.path.relpath(docs, out)).as_posix() if docs else "")
    layout.write(new / "report.html", content, place)
    # Seeds that no answer is made with yet are published all the same, so that they are not lost.
    of_all_seeds = [answer._replace(seeds=study.scale.seeds) for answer in content.answers]
    present = _present(targets(study, of_all_seeds), study)
    origins = study.origins(one for one, _ in present.values())
    if study.is_report_scale:
        write_answers(new, content.answers, study, os.path.relpath(out, docs) if docs else "", (".png",))
        write_nearness(new / "nearness.csv", content.pairs, study)
    for drawn in filter(None, (content.nearness, content.overlay)):
        shutil.copyfile(drawn, new / drawn.name)
    write_runs(new, present, study)
    missing = _write_missing(new / "missing.csv", targets(study, content.answers), study)
    write_json(new / SUMMARY, _summary(content, origins, len(present), missing))


def targets(study: Study, answers: Sequence[Answer]) -> dict[str, list[Job]]:
    """The runs of each figure, of the claims, and of each question, whose stopped candidates want no more epochs.

    A question wants as many seeds as it is answered with.
    """
    wanted = {target: runs_for(target, study) for target in (*(f.name for f in FIGURES.values()), "claims")}
    for answer in answers:
        end = last_epoch(answer.question) + 1
        epochs = {
            one.candidate: one.compared if one.has_retired and one.gaps else min(study.scale.epochs or end, end)
            for one in answer.standings
        }
        compared = study.with_seeds(answer.seeds)
        of_all = (runs_of(name, answer.question, compared, count) for name, count in epochs.items())
        wanted[f"infer {answer.question.name}"] = [job for jobs in of_all for job in jobs]
    return wanted


def _present(wanted: dict[str, list[Job]], study: Study) -> dict[str, tuple[Experiment, list[str]]]:
    """The runs that are wanted and at least begun, by key, with what needs them."""
    found: dict[str, tuple[Experiment, list[str]]] = {}
    for target, jobs in wanted.items():
        for job in jobs:
            if job.key in found or study.history(job.experiment):
                users = found.setdefault(job.key, (job.experiment, []))[1]
                if target not in users:
                    users.append(target)
    return found


def _write_missing(path: Path, wanted: dict[str, list[Job]], study: Study) -> int:
    """What has not been trained, with its command and its time from a few timed batches; how many runs that is."""
    options = study.options
    plan = _plan(path.name, wanted, study)
    longest = {job.key: job.epochs for job in plan.missing} if plan else {}
    rows = []
    missing: set[str] = set()
    for target, jobs in wanted.items():
        # A run may be long enough for one target and not for another.
        lacking = {job.key: job.epochs for job in jobs if not study.state(job.experiment).has(job.epochs)}
        if lacking:
            missing |= lacking.keys()
            seconds: object = ""
            if plan:
                # The plan's time is to a run's longest use.
                share = {key: (end - plan.done[key]) / (longest[key] - plan.done[key]) for key, end in lacking.items()}
                seconds = round(sum(share[key] * plan.seconds[key] for key in lacking))
            if target.startswith("infer "):
                command = infer_command(
                    target.removeprefix("infer "), options, 1 + max(job.experiment.seed for job in jobs)
                )
            else:
                command = options.portable().make_command(target)
            rows.append([target, len({job.key for job in jobs}), len(lacking), seconds, command])
    if rows:
        write_atomically(path, csv_bytes([MISSING_COLUMNS, *rows]))
    return len(missing)


def _plan(name: str, wanted: dict[str, list[Job]], study: Study) -> Plan | None:
    """What the missing runs take; none where they cannot be timed, which costs the publication nothing else."""
    try:
        return make_plan([job for jobs in wanted.values() for job in jobs], study)
    except (BadInput, Failure) as error:
        say_once(f"{name}: says no seconds, since the missing runs cannot be timed: {error}")
        return None


def _summary(content: Content, found: Origins, runs: int, missing: int) -> dict[str, Any]:
    """What the headline needs besides the CSVs."""
    options = content.study.options
    return {
        **_identity(content.study),
        "is_report_scale": content.study.is_report_scale,
        "data": content.study.dataset.name,
        "seeds": content.study.scale.seeds,
        "runs": runs,
        "runs_missing": missing,
        "figures": sorted(content.pictures),
        "panels": len(content.orders),
        "panels_in_report_order": sum(order.agrees for order in content.orders),
        "engines": list(found.engines),
        "machines": list(found.machines),
        "command": options.make_command("all-figures", "claims", "compare"),
        "figure_command": options.make_command("figure-N"),
    }
