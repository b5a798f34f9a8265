"""README's results, written from the published CSVs (docs/results), and from nothing else."""

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from figures.claims import SECTION_NUMBERS
from figures.claims.decisions import CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS
from figures.published_runs import rows_of
from reproduce.errors import BadInput
from reproduce.files import write_atomically
from reproduce.statistics import VERDICTS
from reproduce.tables import markdown_rows

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


def _of_quick(folder: Path, summary: dict[str, Any]) -> list[str]:
    claims = rows_of(folder / "claims.csv")
    ours, reports = Counter(c["verdict"] for c in claims), Counter(c["report_decision"] for c in claims)
    counted = ", ".join(f"**{ours[verdict]} {verdict}**" for verdict in VERDICTS if ours[verdict])
    on_report = f"{reports[HOLDS]} hold, {reports[DOES_NOT_HOLD]} do not, {reports[CANNOT_BE_TOLD]} cannot be told"
    again = summary["command"].replace("make publish", "make all-figures claims compare")
    claims.sort(key=lambda claim: SECTION_NUMBERS.index(claim["section"]))
    cells = [
        (c["section"], _cell(c["statement"]), c["report_decision"], f"**{c['verdict']}**", _measured(c)) for c in claims
    ]
    return [
        f"Of the report's {len(claims)} claims our runs find {counted}; on the report's own curves: {on_report}. The "
        f"series come in the report's order in {summary['panels_in_report_order']} of {summary['panels']} panels.",
        "",
        f"*{_scale(summary)}. So small a network on so few images need not behave as the report's: `contradicted` is "
        "said of this scale. `inconclusive`: so few seeds cannot tell, after correction for the number of claims. "
        "Measured: the weakest of the comparisons that a claim needs, and what the claim asks of it; what each number "
        f"is of: [claims.csv](docs/results/quick/claims.csv). Again: `{again}`.*",
        "",
        *markdown_rows(
            ("section", "the report claims", "its own curves", "our runs", "measured, 95 % (claimed)"), cells, ()
        ),
        "",
    ]


def _measured(claim: dict[str, str]) -> str:
    """The comparison that decides a claim, on our runs: `+21.4 points [+12.0, +30.8] (above 0)`."""
    if not claim["effect"]:
        return ""
    exact = claim["repeats"] == "exact"
    form = ",.0f" if exact else ".2f" if claim["unit"] == "times" else "+.1f"
    effect, low, high = (format(float(claim[name]), form) if claim[name] else "" for name in ("effect", "low", "high"))
    interval = "" if exact or not low else f" [{low}, {high}]"
    return _cell(f"{effect} {claim['unit']}{interval} ({claim['claimed']})")


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _of_full(folder: Path, summary: dict[str, Any]) -> list[str]:
    if not (summary["is_report_scale"] and (rows := longest_runs(folder))):
        return []
    cells = [
        (
            ", ".join(filter(None, (f"figure {row['figure']}", row["panel"], row["series"]))),
            row["quantity"].removesuffix(" (%)"),
            row["candidate"],
            row["epochs_trained"],
            f"{float(row['gap_over_all_trained']):.1f}",
            row["question"],
        )
        for row in rows
    ]
    header = ("the report's curve", "quantity", "our longest run", "epochs", "mean gap, points", "QUESTION")
    median = statistics.median(float(row["gap_over_all_trained"]) for row in rows)
    missing = (
        f" {summary['runs_missing']} runs of the full profile have not been made: "
        "[missing.csv](docs/results/full/missing.csv) has the commands and how long they take."
    )
    return [
        f"At the report's own scale the median gap between its curves and ours is **{median:.1f} points**, over the "
        f"{len(rows)} curves for which a run has been begun. The report does not state all settings; "
        "of equally long runs the nearest is shown:",
        "",
        *markdown_rows(header, cells, (3, 4)),
        "",
        f"*{_scale(summary)}. Again: `{summary['infer_command']}`. "
        "All candidates: [docs/settings.md](docs/settings.md)."
        f"{missing if summary['runs_missing'] else ''}*",
        "",
        "![Candidates beside the report's curves](docs/results/full/settings.png)",
        "",
    ]


def longest_runs(folder: Path) -> list[dict[str, str]]:
    """Of settings.csv the row of the longest run for each of the report's curves; of equally long ones the nearest."""
    longest: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows_of(folder / "settings.csv"):
        curve = tuple(row[name] for name in ("figure", "panel", "series", "quantity"))
        if row["gap_over_all_trained"] and (curve not in longest or _length(row) > _length(longest[curve])):
            longest[curve] = row
    return list(longest.values())


def _length(row: dict[str, str]) -> tuple[int, float]:
    return int(row["epochs_trained"]), -float(row["gap_over_all_trained"])


def with_headline(readme: str, published: Path) -> str:
    """The README with its results written anew.

    Raises:
        BadInput: it has no place for them.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise BadInput(f"README.md: expected the lines {BEGIN!r} and {END!r} around the results; found no such place")
    return f"{before}{BEGIN}\n\n{headline(published)}\n{END}{after}"


def update(readme: Path, published: Path) -> None:
    """Write the README's results anew."""
    write_atomically(readme, with_headline(readme.read_text(encoding="utf-8"), published).encode())
