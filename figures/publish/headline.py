"""The results in README and docs/claims.md, written from the published CSVs (docs/results) and from nothing else."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from figures.claims.decide import ARITHMETIC, DOES_NOT_HOLD, HOLDS, NO_CURVE, REPORT_DECISIONS, WITHIN_NOISE
from figures.nearness import is_mostly_there, spread_of_the_report
from figures.publish.runs import rows_of
from figures.sections import CLAIMS, FIGURES, SECTIONS
from reproduce.analysis.significance import NOT_TESTED, REPRODUCED, VERDICTS
from reproduce.errors import BadInput
from reproduce.files import write_atomically
from reproduce.render.tables import markdown_rows
from reproduce.text import counted

BEGIN = "<!-- results: written by `make publish` from docs/results; edit nothing here -->"
END = "<!-- end of results -->"


# Of one claim, and of several.
IN_WORDS = {
    HOLDS: ("holds", "hold"),
    DOES_NOT_HOLD: ("does not hold", "do not hold"),
    WITHIN_NOISE: ("rests on what two runs of one network differ by", "rest on what two runs of one network differ by"),
    NO_CURVE: ("has no curve", "have no curve"),
    ARITHMETIC: ("is arithmetic", "are arithmetic"),
}
# Points from which on a gap is named.
FAR = 10
# A demonstration decides nothing: its claims are not told.
DECIDING = ("overnight", "full")
# Of those on all images, the longer the later.
ON_ALL_IMAGES = ("evening", *DECIDING)


def headline(published: Path) -> str:
    """What the published results say, in a picture, a table and three sentences, as Markdown.

    Args:
        published: a folder with one folder a profile, as `publish` writes them.
    """
    full = published / "full"
    parts = []
    if (full / "overlay.png").exists():
        parts += [
            "![Curves at the report's own scale: dashed the report, solid ours, with the gap in points]"
            "(docs/results/full/overlay.png)",
            "",
            "*Dashed: the report. Solid: this package, at the report's own scale. [All curves](docs/nearness.md).*",
            "",
        ]
    parts += _table_of_orders(published)
    if (full / "nearness.csv").exists():
        parts.append(f"- **How near?** {_near_in_words(full)} [Every curve](docs/nearness.md).")
    figures, claims = len(FIGURES) + 1, len(CLAIMS)
    parts += [
        f"- **Which claims hold?** {_claims_in_words(published)} [Each claim](docs/claims.md).",
        f"- **How do I get it?** {figures} figures, 3 tables and {claims} claims are made by one command each, and go "
        "on where they were stopped.",
        "",
    ]
    return "\n".join(parts)


# A panel's curves: figure, panel, quantity.
PanelKey = tuple[str, str, str]


def _panels_of(path: Path) -> dict[PanelKey, list[dict[str, str]]]:
    """The rows of a comparison.csv by panel, of panels in which there is an order to compare."""
    found: dict[PanelKey, list[dict[str, str]]] = {}
    for row in rows_of(path):
        if row["kendall_tau"]:
            found.setdefault((row["figure"], row["panel"], row["quantity"]), []).append(row)
    return found


def _table_of_orders(published: Path) -> list[str]:
    """For each panel the report's order, ours where most are trained, and order and gaps at the report's own scale."""
    by_profile = {profile: _panels_of(published / profile / "comparison.csv") for profile in ON_ALL_IMAGES}
    profile = max(reversed(ON_ALL_IMAGES), key=lambda one: len(by_profile[one]))
    panels = by_profile[profile]
    if not panels:
        return []
    near: dict[PanelKey, list[dict[str, str]]] = {}
    for row in rows_of(published / "full" / "nearness.csv"):
        if is_mostly_there(int(row["epochs_compared"]), int(row["epochs_in_report"])):
            near.setdefault((row["figure"], row["panel"], row["quantity"]), []).append(row)
    cells, close, agree = [], 0, 0
    for key, rows in panels.items():
        theirs, ours = _best_first(rows, "report_rank"), _best_first(rows, "our_rank")
        agrees = all(float(row["kendall_tau"]) == 1 for row in rows)
        agree += agrees
        close += agrees and _closest(rows) < spread_of_the_report()
        gaps = ", ".join(map(_gap_in_words, near.get(key, [])))
        order = _order_at_its_own_scale(near.get(key, []), published / "full") if len(near.get(key, [])) > 1 else []
        if order and len(order) == len(theirs):
            gaps = f"{'the same' if order == theirs else ', '.join(order)}; gaps: {gaps}"
        cells.append((_what_it_shows(*key), ", ".join(theirs), "the same" if agrees else ", ".join(ours), gaps))
    summary = json.loads((published / profile / "summary.json").read_text(encoding="utf-8"))
    made_from = (
        f"{summary['train_images']:,} images, {summary['data']}, {summary['width']:g} of the width, "
        f"{counted(summary['seeds'], 'seed')}, compared at the same epoch"
    )
    columns = ("", "the report, best first", f"ours, `{profile}`", "ours at its own scale, gaps in points")
    told = (
        f" In {close} of these, neighbours are less than {spread_of_the_report():.1f} points apart, as two runs of one "
    )
    told += "setting are in the report."
    return [
        f"**In {agree} of {len(cells)} panels our curves end in the report's order.** "
        f"The profile is [{profile}](docs/results/{profile}/report.html): {made_from}.{told if close else ''}",
        "",
        *markdown_rows(columns, cells, ()),
        "",
    ]


def _best_first(rows: list[dict[str, str]], rank: str) -> list[str]:
    """Series as they end, the best one first."""
    return [row["series"] for row in sorted(rows, key=lambda row: float(row[rank]))]


def _closest(rows: list[dict[str, str]]) -> float:
    """The smallest distance between two of a panel's curves as ours end, points."""
    ends = sorted(float(row["ours"]) for row in rows)
    return min((after - before for before, after in pairwise(ends)), default=math.inf)


def _order_at_its_own_scale(rows: list[dict[str, str]], full: Path) -> list[str]:
    """Our series at the last epoch that all of a panel's have, the best one first."""
    last = min(int(row["last_epoch_compared"]) for row in rows)
    epochs = {row["key"]: row for row in rows_of(full / "histories.csv") if int(row["epoch"]) == last}

    def accuracy(row: dict[str, str]) -> float:
        return float(epochs[row["run"]][f"{row['quantity'].split()[0]}_accuracy"])

    return [row["series"] for row in sorted(rows, key=accuracy, reverse=True)]


def _what_it_shows(number: str, panel: str, quantity: str) -> str:
    """A panel for somebody who does not have the report at hand: `3 batch normalization, x1: train error`."""
    about = FIGURES[int(number)].title.partition(":")[0]
    quantity = quantity.removesuffix(" (%)")
    is_named_so = panel.replace("training", "train") == quantity
    where = ", ".join(filter(None, (about[0].lower() + about[1:], "" if is_named_so else panel)))
    return f"{number} {where}: {quantity}"


def _gap_in_words(row: dict[str, str]) -> str:
    """`x1 18.9 lower`; on which side only where the report's own noise does not explain it."""
    signed = float(row["mean_gap"])
    side = (" lower" if signed < 0 else " higher") if abs(signed) > spread_of_the_report() else ""
    return f"{row['series']} {float(row['mean_absolute_gap']):.1f}{side}"


def _claims_in_words(published: Path) -> str:
    """The verdicts of the largest scale at which any claim has been tried by runs."""
    for profile in reversed(DECIDING):
        path = published / profile / "claims.csv"
        claims = rows_of(path)
        tried = [c for c in claims if c["report_decision"] != ARITHMETIC and c["verdict"] != NOT_TESTED]
        if tried:
            return f"{counts_in_words(claims)} ({profile} profile)"
    # What the report's own curves say is the same at every scale.
    claims = next(filter(None, (rows_of(published / profile / "claims.csv") for profile in ON_ALL_IMAGES)), [])
    counts = Counter(claim["report_decision"] for claim in claims)
    said = ", ".join(
        f"{counts[decision]} {words[counts[decision] > 1]}" for decision, words in IN_WORDS.items() if counts[decision]
    )
    alone = f" By the report's own curves alone, of its {len(claims)} claims {said}." if counts else ""
    return f"That takes more runs: three of each network, that learn as far as the report's.{alone}"


def _near_in_words(full: Path) -> str:
    """How near our runs come, by run and signed, and how near the report comes to itself."""
    rows = rows_of(full / "nearness.csv")
    near = [row for row in rows if is_mostly_there(int(row["epochs_compared"]), int(row["epochs_in_report"]))]
    by_run: dict[str, list[dict[str, str]]] = {}
    for row in near:
        by_run.setdefault(row["run"], []).append(row)
    # A run whose setting was chosen by one of its curves is near in all of them.
    kept = [of_run for of_run in by_run.values() if all(row["chosen_on"] == "no" for row in of_run)]
    gaps = [statistics.mean(float(row["mean_absolute_gap"]) for row in of_run) for of_run in kept]
    finite = [gap for gap in gaps if math.isfinite(gap)]
    if not finite:
        return "No run has half of the epochs of a curve of the report yet."
    worse = sum(not statistics.mean(map(_shortfall, of_run)) <= 0 for of_run in kept)
    diverged = f", {len(gaps) - len(finite)} more diverged" if len(finite) < len(gaps) else ""
    far = dict.fromkeys(
        row["panel"] or row["series"] for of_run in kept for row in of_run if float(row["mean_absolute_gap"]) > FAR
    )
    where = f" Above {FAR} points: {', '.join(far)}." if far else ""
    return (
        f"{len(near)} of the report's {len(rows)} curves are trained at its own scale, to at least half of their "
        f"epochs. Some of them served to choose settings. The {counted(len(finite), 'run')} with none of these: a "
        f"median gap of **{statistics.median(finite):.1f} points** of error or accuracy, from {min(finite):.1f} to "
        f"{max(finite):.1f}{diverged}; {worse} of them do worse than the report. The report's own two runs of one "
        f"setting are {spread_of_the_report():.1f} points apart.{where}"
    )


def _shortfall(row: dict[str, str]) -> float:
    """Points by which ours is worse than the report's: a higher error, or a lower accuracy."""
    return float(row["mean_gap"]) * (-1 if "accuracy" in row["quantity"] else 1)


def _scale(summary: dict[str, Any]) -> str:
    """`quick profile, 3 seeds, 2,000 training images of ...`."""
    seeds = f"{summary['seeds']} seeds" if summary["seeds"] > 1 else "1 seed"
    engines = f", {' and '.join(summary['engines'])}" if summary["engines"] else ""
    return (
        f"{summary['profile']} profile, {summary['data']}, {summary['train_images']:,} training and "
        f"{summary['test_images']:,} test images, width {summary['width']:g}, batch size {summary['batch_size']}, "
        f"{seeds}{engines}"
    )


def _enumerated(found: Counter[str], words: Iterable[str], form: str) -> str:
    """How often each word was found, in this form, without those that were not."""
    return ", ".join(form.format(found[word], word) for word in words if found[word])


def counts_in_words(claims: list[dict[str, str]]) -> str:
    """How many claims there are of each verdict, those that are counted without a run apart."""
    counting = [c["verdict"] for c in claims if c["report_decision"] == ARITHMETIC]
    ours = Counter(c["verdict"] for c in claims if c["report_decision"] != ARITHMETIC)
    reports = Counter(c["report_decision"] for c in claims)
    counted = _enumerated(ours, VERDICTS, "**{} {}**")
    decisions = _enumerated(reports, [one for one in REPORT_DECISIONS if one != ARITHMETIC], "{} {}")
    return (
        f"Of the report's {len(claims)} claims {len(counting)} are arithmetic ({counting.count(REPRODUCED)} of them "
        f"right); of the other {sum(ours.values())} our runs find {counted}. The report's own curves say of these: "
        f"{decisions}."
    )


def claims_tables(published: Path) -> str:
    """Every published profile's verdicts on all claims, the largest scale first, as Markdown."""
    summaries = {folder.parent: json.loads(folder.read_text("utf-8")) for folder in published.glob("*/summary.json")}
    parts = []
    for folder, summary in sorted(summaries.items(), key=lambda one: -one[1]["train_images"] * one[1]["width"]):
        if summary["profile"] not in DECIDING:
            continue
        claims = rows_of(folder / "claims.csv")
        sections = [section.NUMBER for section in SECTIONS]
        claims.sort(key=lambda claim: sections.index(claim["section"]))
        parts += [f"### The {summary['profile']} profile", "", counts_in_words(claims), ""]
        tested = [c for c in claims if c["verdict"] != NOT_TESTED]
        cells = [
            (
                c["section"],
                _cell(c["statement"]),
                c["report_decision"],
                f"**{c['verdict']}**",
                _measured(c),
                f"{c['stable']} of {c['left_out']}" if c["left_out"] != "0" else "",
            )
            for c in tested
        ]
        columns = ("section", "the report claims", "its own curves", "our runs", "measured (claimed)", "stable")
        parts += [*markdown_rows(columns, cells, ()), ""]
        if len(tested) < len(claims):
            parts += [f"Not tested: {', '.join(c['id'] for c in claims if c['verdict'] == NOT_TESTED)}.", ""]
        parts += [f"*{_scale(summary)}. All comparisons: [effects.csv](results/{folder.name}/effects.csv).*", ""]
    return "\n".join(parts)


def _measured(claim: dict[str, str]) -> str:
    """The comparison that decides a claim, on our runs: `x2: +21.4 points [+12.0, +30.8] (above 0)`."""
    if not claim["effect"]:
        return ""
    exact = claim["repeats"] == "exact"
    form = ",.0f" if exact else ".2f" if claim["unit"] == "times" else "+.1f"
    effect, low, high = (format(float(claim[name]), form) if claim[name] else "" for name in ("effect", "low", "high"))
    interval = "" if exact or not low else f" [{low}, {high}]"
    name = f"{claim['comparison']}: " if claim["comparison"] else ""
    return _cell(f"{name}{effect} {claim['unit']}{interval} ({claim['claimed']})")


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def nearness_table(published: Path) -> str:
    """Every curve that is mostly there at the report's scale, as Markdown."""
    folder = published / "full"
    if not (folder / "nearness.csv").exists():
        return ""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rows = rows_of(folder / "nearness.csv")
    cells = [
        (
            ", ".join(filter(None, (f"figure {row['figure']}", row["panel"], row["series"]))),
            row["quantity"].removesuffix(" (%)"),
            f"{row['epochs_compared']} of {row['epochs_in_report']}",
            f"{float(row['mean_absolute_gap']):.1f}",
            f"{float(row['mean_gap']):+.1f}",
            f"{float(row['report']):.1f}",
            f"{float(row['ours']):.1f}",
            row["chosen_on"],
        )
        for row in rows
        if row["mean_absolute_gap"]
    ]
    header = ("curve", "quantity, %", "epochs", "mean gap", "signed", "report at the last", "ours", "chosen on it")
    missing = (
        f" {summary['runs_missing']} runs of the full profile are missing or unfinished: "
        "[missing.csv](results/full/missing.csv) has the commands and how long they take."
    )
    return "\n".join(
        [
            *markdown_rows(header, cells, (2, 3, 4, 5, 6)),
            "",
            f"*{_scale(summary)}. All curves: [nearness.csv](results/full/nearness.csv). Again: "
            f"`{summary['figure_command']}`, with the figure's number."
            f"{missing if summary['runs_missing'] else ''}*",
            "",
        ]
    )


def with_results(page: str, results: str, name: str) -> str:
    """A page with what stands between its two marks written anew.

    Raises:
        BadInput: it has no place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise BadInput(f"{name}: expected the lines {BEGIN!r} and {END!r} around the results; found no such place")
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"


def update(docs: Path) -> None:
    """Write the results in README, docs/claims.md and docs/nearness.md anew.

    Args:
        docs: the folder that has the published results in `results`; README is beside it.
    """
    published = docs / "results"
    for page, results in (
        (docs.parent / "README.md", headline(published)),
        (docs / "claims.md", claims_tables(published)),
        (docs / "nearness.md", nearness_table(published)),
    ):
        write_atomically(page, with_results(page.read_text(encoding="utf-8"), results, page.name).encode())
