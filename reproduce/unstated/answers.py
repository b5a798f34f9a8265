"""What `infer` found, for readers: a table on the terminal, settings.csv, settings.md and a picture."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from reproduce.analysis.report_curves import READING_ACCURACY, shown_curve
from reproduce.files import csv_bytes, write_atomically
from reproduce.profiles import Options
from reproduce.render.csv_files import marked, number
from reproduce.render.plotting import SUFFIXES, candidates_panel, candidates_picture, save_picture, stamp_of
from reproduce.render.tables import markdown_rows
from reproduce.study import Study
from reproduce.text import counted_from, format_table, listed, shown
from reproduce.unstated.candidates import name_of
from reproduce.unstated.known import KNOWN, REPOSITORY
from reproduce.unstated.race import (
    HOPELESS_POINTS,
    HOPELESS_RATIO,
    Answer,
    Standing,
    candidate_curve,
    histories_of,
    last_epoch,
    runs_of,
)

COLUMNS = (
    *("question", "candidate", "settings", "figure", "panel", "series", "quantity", "gap", "mean_gap"),
    *("compared_up_to_epoch", "standing", "epochs_trained", "gap_over_all_trained", "seeds", "profile", "data"),
)
OVER_ALL = ("epochs trained in all", "mean gap over all of them")
NEAREST, AMONG_NEAREST, ALONE = "nearest", "among the nearest", "the only one with all runs"


def standing_text(one: Standing, answer: Answer) -> str:
    """What became of a candidate."""
    if not one.gaps:
        return "not compared" if one.trained else "lacks a run" if one.begun else "not trained"
    if math.isinf(one.gap):
        return "diverged"
    if one.has_retired:
        return f"ruled out at epoch {one.compared - 1}"
    if one in answer.leaders:
        if sum(bool(other.gaps) for other in answer.standings) == 1:
            return ALONE
        return NEAREST if len(answer.leaders) == 1 else AMONG_NEAREST
    return "not nearest"


def verdict(answer: Answer) -> str:
    """The answer in a sentence."""
    leaders = answer.leaders
    if not leaders:
        if compared := [one for one in answer.standings if one.gaps]:
            others = "" if all(math.isinf(one.gap) for one in compared) else " or was ruled out before"
            return f"Not answered: every candidate diverged{others}."
        begun = [one for one in answer.standings if one.trained]
        reason = "not all candidates have been trained far enough" if begun else "no candidate has all of its runs"
        return f"Not answered: {reason} at this scale."
    until = leaders[0].compared - 1
    over = f"up to epoch {until}" + (" (the report's curves go on)" if until < last_epoch(answer.question) else "")
    names = listed([one.candidate for one in leaders])
    if len(leaders) > 1:
        near = f"less than {READING_ACCURACY} points, as exact as the curves are known"
        return f"Not decided: {names} differ {over} by {near}."
    unknown = " One seed: another may say otherwise." if answer.seeds == 1 else ""
    away = f"{leaders[0].gap:.1f} points away on average {over}.{unknown}"
    if standing_text(leaders[0], answer) == ALONE:
        return f"Not decided: only {names} has all of its runs, {away}"
    untrained = sum(not one.trained for one in answer.standings)
    among = f", of the {len(answer.standings) - untrained} candidates trained" if untrained else ""
    return f"Nearest to the report{among}: {names}, {away}"


def _header(answer: Answer) -> tuple[str, ...]:
    gaps = (f"gap to {name_of(curve)}" for curve in answer.question.curves)
    return ("candidate", *gaps, "mean gap", "up to epoch", "standing", *OVER_ALL)


def _cells(one: Standing, answer: Answer) -> tuple[str, ...]:
    gaps = [shown(gap) for gap in one.gaps] or [shown(math.nan)] * len(answer.question.curves)
    until = str(one.compared - 1) if one.gaps else shown(math.nan)
    over_all = shown(float(np.mean(one.all_gaps)) if one.all_gaps else math.nan)
    return (one.candidate, *gaps, shown(one.gap), until, standing_text(one, answer), str(one.trained), over_all)


def answers_text(answers: Sequence[Answer], study: Study) -> str:
    """For a terminal."""
    parts = []
    for answer in answers:
        header = _header(answer)
        letters = [f"({chr(ord('a') + i)})" for i in range(len(answer.question.curves))]
        keys = [f"  {letter} {name}" for letter, name in zip(letters, header[1:], strict=False)]
        rows = [(header[0], *letters, *header[1 + len(letters) :]), *(_cells(one, answer) for one in answer.standings)]
        table = format_table(rows, left=(0, len(rows[0]) - 3))
        heading = f"{answer.question.name}. {answer.question.asks}"
        parts.append("\n".join([heading, *keys, table, f"{verdict(answer)} Data: {study.dataset.name}."]))
    return "\n\n".join(parts)


def infer_command(question: str, options: Options, seeds: int, epochs: int | None = None) -> str:
    """The command that answers a question with these settings, on another machine, too.

    Args:
        seeds: of each candidate.
        epochs: how many the candidates are compared over; by default all that the report's curves have.
    """
    if seeds != options.scale().seeds:
        options = replace(options, seeds=seeds)
    given = options.portable().differing_from(Options(profile="full")) | ({"epochs": epochs} if epochs else {})
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return " ".join([".venv/bin/python -m reproduce infer --question", question, *settings])


def write_csv(path: Path, answers: Sequence[Answer], study: Study) -> None:
    """A row for each candidate and curve; numbers in points, empty where there are none."""
    lines: list[Sequence[object]] = [COLUMNS]
    for answer in answers:
        for one in answer.standings:
            for place, curve in enumerate(answer.question.curves):
                gap = one.gaps[place] if one.gaps else math.nan
                quantity = marked(curve.quantity, study.dataset.is_synthetic)
                settings = json.dumps({**one.settings, **curve.settings}, sort_keys=True)
                where = (curve.figure, curve.panel, curve.name, quantity)
                until = one.compared - 1 if one.gaps else ""
                over_all = number(one.all_gaps[place]) if one.all_gaps else ""
                counts = (until, standing_text(one, answer), one.trained, over_all, answer.seeds)
                names = (answer.question.name, one.candidate, settings)
                lines.append(
                    [*names, *where, number(gap), number(one.gap), *counts, study.options.profile, study.dataset.name]
                )
    write_atomically(path, csv_bytes(lines))


def write_answers(
    folder: Path,
    answers: Sequence[Answer],
    study: Study,
    picture_at: str = "",
    suffixes: Sequence[str] = SUFFIXES,
) -> list[Path]:
    """Write settings.csv, settings.md and the picture; the files written.

    Args:
        folder: where they go.
        picture_at: the folder in which settings.md, if it is moved away, finds its picture.
        suffixes: of the picture, .png first.

    Raises:
        BadInput: a run in the store used other data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings"
    experiments = [
        job.experiment
        for answer in answers
        for one in answer.standings
        if one.trained
        for job in runs_of(one.candidate, answer.question, study.with_seeds(answer.seeds), one.trained)
    ]
    made_with = study.origins(experiments).engines_text or "nothing trained yet"
    write_csv(path.with_suffix(".csv"), answers, study)
    picture = picture_of(answers, study)
    pictures = save_picture(picture, path, suffixes) if picture else []
    page = path.with_suffix(".md")
    link = (Path(picture_at) / pictures[0].name).as_posix() if pictures else ""
    write_atomically(page, markdown(answers, study, made_with, link).encode())
    return [path.with_suffix(".csv"), page, *pictures]


def markdown(answers: Sequence[Answer], study: Study, made_with: str, picture: str) -> str:
    """The page of all candidates with their gaps."""
    scale, dataset, options = study.scale, study.dataset, study.options
    warning = (
        "**These are results on SYNTHETIC DATA: they say nothing about the report.** " if dataset.is_synthetic else ""
    )
    sizes = f"{len(dataset.y_train):,} training{study.draws} and {len(dataset.y_test):,} test images"
    lines = [
        "# Settings that the report does not state",
        "",
        f"{warning}We train each candidate setting and measure its gap: the mean distance, in points, from the "
        "report's curve. After 1, 2, 4, … epochs, a candidate is ruled out if its gap is more than "
        f"{HOPELESS_RATIO:g} times the smallest gap and more than {HOPELESS_POINTS:g} points larger (never after a "
        "single epoch). Its gap is then that of the epochs until then. Some were trained on for other reasons; the "
        "last column has their gap over all epochs. *Inferred* below: the nearest candidate so far, or one as near, is "
        "the default of `full`. It is settled only when every other candidate is ruled out or compared to "
        "the end. Settings are chosen on train errors where the report shows any.",
        "",
        f"{options.profile} profile, {dataset.name}, {sizes}, width {scale.width:g}, batch size {scale.batch_size}, "
        f"{_seeds(answers, study)}; {made_with}. Written by `python -m reproduce infer` or `make publish`.",
        "",
    ]
    if study.unpublished_file:
        remark = (
            f"`{study.unpublished_file}` is not published. Leave `DATA=…` (`--data=…`) out to run the same on the real "
            "CIFAR-10; the numbers will differ a little."
        )
        lines += [remark, ""]
    lines += _known()
    if picture:
        lines += [f"![Each candidate and the report's curve]({picture})", ""]
    for answer in answers:
        lines += [f"## {answer.question.asks}", ""]
        if any(one.trained for one in answer.standings):
            header = _header(answer)
            numeric = {*range(1, len(header))} - {len(header) - 3}
            lines += markdown_rows(header, [_cells(one, answer) for one in answer.standings], numeric)
            lines += ["", verdict(answer), ""]
        else:
            names = "; ".join(answer.question.candidates)
            lines += [f"Candidates: {names}. {verdict(answer)}", ""]
        compared = answer.standings[0].compared
        epochs = compared if compared <= last_epoch(answer.question) else None
        lines += [f"    {infer_command(answer.question.name, options, answer.seeds, epochs)}", ""]
    return "\n".join(lines)


def _seeds(answers: Sequence[Answer], study: Study) -> str:
    """How many seeds the questions are answered with."""
    counts = [one.seeds for one in answers] or [study.scale.seeds]
    return counted_from(min(counts), max(counts), "seed")


def _known() -> list[str]:
    """Where each setting is from, as a table."""
    rows = [(known.setting, known.value, known.kind, known.source) for known in KNOWN]
    return [
        "## What is known, and how",
        "",
        f"The author's scripts are public ({REPOSITORY}); their facts are cited here. Momentum 0.99, rate 0.01 and "
        "ratio 0.25 had been inferred from the curves before the scripts were found: the questions `baseline` and "
        "`rmsprop` below stay as a test of the method on values that are known. *Inferred* is what a comparison below "
        "chose, *assumed* what was taken for the reason given, without a comparison that decides it.",
        "",
        *markdown_rows(("setting", "value", "how it is known", "where"), rows, ()),
        "",
    ]


def picture_of(answers: Sequence[Answer], study: Study) -> Figure | None:
    """A panel for each of the report's curves for which a candidate was trained; None if there is no such one."""
    dataset, options = study.dataset, study.options
    stamp = stamp_of(options.profile, dataset.is_synthetic)
    panels = []
    for answer in answers:
        standings = {one.candidate: one for one in answer.standings if one.trained}
        compared = study.with_seeds(answer.seeds)
        histories = {name: histories_of(name, answer.question, compared) for name in standings}
        chosen = [one.candidate for one in answer.leaders]
        for place, curve in enumerate(answer.question.curves):
            ours = [candidate_curve(name, curve, of_all[place]) for name, of_all in histories.items()]
            if ours := [one for one in ours if len(one.epochs)]:
                notes = {name: _note(one, place, answer) for name, one in standings.items()}
                title = name_of(curve).replace("figure", "Figure", 1)
                panels.append(candidates_panel(title, shown_curve(curve), ours, chosen, notes, stamp))
    if not panels:
        return None
    caption = [
        "✓: nearest in the mean of a question's curves; several where they differ by less than the accuracy of "
        "the curves. "
        "Gap: mean distance from the report's curve, in points, over the epochs that candidates are compared on.",
        f"Ours: {options.profile} profile, {dataset.name}, {len(dataset.y_train):,} training images{study.draws}, "
        f"{_seeds(answers, study)}.",
    ]
    return candidates_picture("Which setting comes nearest to the report's curves?", panels, caption)


def _note(one: Standing, place: int, answer: Answer) -> str:
    """Beneath a candidate's name in the picture: its gap to one of the question's curves, or why it has none."""
    if not one.gaps or math.isinf(one.gaps[place]):
        return standing_text(one, answer)
    until = f" to epoch {one.compared - 1}" if one.compared <= last_epoch(answer.question) else ""
    return f"gap {one.gaps[place]:.1f}{until}"
