"""The results in README and docs/claims.md, written from the published CSVs (docs/results) and from nothing else."""

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from figures.claims.decide import ARITHMETIC, REPORT_DECISIONS
from figures.publish.nearness import is_mostly_there
from figures.publish.runs import rows_of
from figures.sections import SECTIONS
from reproduce.analysis.significance import NOT_TESTED, REPRODUCED, VERDICTS
from reproduce.errors import BadInput
from reproduce.files import write_atomically
from reproduce.render.tables import markdown_rows

BEGIN = "<!-- results: written by `make publish` from docs/results; edit nothing here -->"
END = "<!-- end of results -->"


def headline(published: Path) -> str:
    """What the published results say, in a minute, as Markdown.

    Args:
        published: a folder with one folder a profile, as `publish` writes them.
    """
    parts = []
    for name, part in (("quick", _of_quick), ("full", _of_full)):
        if (published / name / "summary.json").exists():
            summary = json.loads((published / name / "summary.json").read_text(encoding="utf-8"))
            parts += part(published / name, summary)
    return "\n".join(parts)


def _scale(summary: dict[str, Any]) -> str:
    """`quick profile, 3 seeds, 2,000 training images of ...`."""
    seeds = f"{summary['seeds']} seeds" if summary["seeds"] > 1 else "1 seed"
    engines = f", {' and '.join(summary['engines'])}" if summary["engines"] else ""
    return (
        f"{summary['profile']} profile, {summary['data']}, {summary['train_images']:,} training and "
        f"{summary['test_images']:,} test images, width {summary['width']:g}, batch size {summary['batch_size']}, "
        f"{seeds}{engines}"
    )


def counts_in_words(claims: list[dict[str, str]]) -> str:
    """How many claims there are of each verdict, those that are counted without a run apart."""
    counting = [c["verdict"] for c in claims if c["report_decision"] == ARITHMETIC]
    ours = Counter(c["verdict"] for c in claims if c["report_decision"] != ARITHMETIC)
    reports = Counter(c["report_decision"] for c in claims)
    counted = ", ".join(f"**{ours[verdict]} {verdict}**" for verdict in VERDICTS if ours[verdict])
    decisions = ", ".join(f"{reports[one]} {one}" for one in REPORT_DECISIONS if reports[one] and one != ARITHMETIC)
    return (
        f"Of the report's {len(claims)} claims {len(counting)} are arithmetic ({counting.count(REPRODUCED)} of them "
        f"right); of the other {sum(ours.values())} our runs find {counted}. The report's own curves say of these: "
        f"{decisions}."
    )


def _of_quick(folder: Path, summary: dict[str, Any]) -> list[str]:
    return [
        f"{counts_in_words(rows_of(folder / 'claims.csv'))} [docs/claims.md](docs/claims.md) has each claim and how it "
        f"is decided. The series come in the report's order in {summary['panels_in_report_order']} of "
        f"{summary['panels']} panels ([comparison.csv](docs/results/quick/comparison.csv)).",
        "",
        f"*{_scale(summary)}. Again: `{summary['command']}`.*",
        "",
    ]


def claims_tables(published: Path) -> str:
    """Every published profile's verdicts on all claims, the largest scale first, as Markdown."""
    summaries = {folder.parent: json.loads(folder.read_text("utf-8")) for folder in published.glob("*/summary.json")}
    parts = []
    for folder, summary in sorted(summaries.items(), key=lambda one: -one[1]["train_images"] * one[1]["width"]):
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


def _of_full(folder: Path, summary: dict[str, Any]) -> list[str]:
    if not (summary["is_report_scale"] and (folder / "nearness.csv").exists()):
        return []
    rows = rows_of(folder / "nearness.csv")
    near = [row for row in rows if is_mostly_there(int(row["epochs_compared"]), int(row["epochs_in_report"]))]
    begun = [row for row in rows if row["mean_absolute_gap"] and row not in near]
    if not near:
        return []
    cells = [
        (
            ", ".join(filter(None, (f"figure {row['figure']}", row["panel"], row["series"]))),
            row["quantity"].removesuffix(" (%)"),
            f"{row['epochs_compared']} of {row['epochs_in_report']}",
            f"{float(row['mean_absolute_gap']):.1f}",
            f"{float(row['report']):.1f}",
            f"{float(row['ours']):.1f}",
            row["epochs_trained"],
        )
        for row in near
    ]
    header = ("curve", "quantity, %", "epochs compared", "mean gap, points", "report at the last", "ours", "E")
    more = f" Of {len(begun)} more curves we have the first epochs, at a median {_median_gap(begun)}." if begun else ""
    missing = (
        f" {summary['runs_missing']} runs of the full profile are missing or unfinished: "
        "[missing.csv](docs/results/full/missing.csv) has the commands and how long they take."
    )
    picture = "![The panels trained at the report's scale: the report's curves above, ours below]"
    return [
        f"At the report's own scale our curves lie a median **{_median_gap(near)}** from the report's, over the "
        f"{len(near)} of its {len(rows)} curves of which we have at least half of the epochs.{more} What the report "
        "does not state, such as momentum, was chosen on these curves among several candidates: "
        "[docs/settings.md](docs/settings.md).",
        "",
        *([f"{picture}(docs/results/full/nearness.png)", ""] if (folder / "nearness.png").exists() else []),
        *markdown_rows(header, cells, (2, 3, 4, 5, 6)),
        "",
        f"*{_scale(summary)}. Curves of the same network are of one run. All curves: "
        f"[nearness.csv](docs/results/full/nearness.csv). Again: `{summary['figure_command']} EPOCHS=E`, with the "
        f"figure's number and the row's E.{missing if summary['runs_missing'] else ''}*",
        "",
    ]


def _median_gap(rows: list[dict[str, str]]) -> str:
    return f"{statistics.median(float(row['mean_absolute_gap']) for row in rows):.1f} points"


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


def update(readme: Path, published: Path, claims_page: Path) -> None:
    """Write the results in README and in docs/claims.md anew."""
    for page, results in ((readme, headline(published)), (claims_page, claims_tables(published))):
        write_atomically(page, with_results(page.read_text(encoding="utf-8"), results, page.name).encode())
