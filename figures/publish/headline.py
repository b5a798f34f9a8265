"""README's results, written from the published CSVs (docs/results), and from nothing else."""

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from figures.claims.decide import CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS
from figures.publish.nearness import is_mostly_there
from figures.publish.runs import rows_of
from figures.sections import SECTIONS
from reproduce.analysis.significance import VERDICTS
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


def _of_quick(folder: Path, summary: dict[str, Any]) -> list[str]:
    claims = rows_of(folder / "claims.csv")
    ours, reports = Counter(c["verdict"] for c in claims), Counter(c["report_decision"] for c in claims)
    counted = ", ".join(f"**{ours[verdict]} {verdict}**" for verdict in VERDICTS if ours[verdict])
    on_report = f"{reports[HOLDS]} hold, {reports[DOES_NOT_HOLD]} do not, {reports[CANNOT_BE_TOLD]} cannot be told"
    sections = [section.NUMBER for section in SECTIONS]
    claims.sort(key=lambda claim: sections.index(claim["section"]))
    cells = [
        (c["section"], _cell(c["statement"]), c["report_decision"], f"**{c['verdict']}**", _measured(c)) for c in claims
    ]
    counting = sum(c["repeats"] == "exact" for c in claims)
    return [
        f"Of the report's {len(claims)} claims our runs find {counted} ({counting} of them by counting alone, "
        f"without a run); on the report's own curves, {on_report}. The series come in the report's order in "
        f"{summary['panels_in_report_order']} of {summary['panels']} panels "
        "([comparison.csv](docs/results/quick/comparison.csv)).",
        "",
        "- **its own curves**: whether the report's figures bear the claim out. `cannot be told`: no figure shows it, "
        "or by less than the curves are known.",
        "- **our runs**: at a scale for a laptop. So small a network on so few images need not behave as the report's; "
        "`contradicted` is said of this scale. `inconclusive`: so few seeds cannot tell, after correction for the "
        "number of claims.",
        "- **measured**: the weakest of the comparisons that a claim needs, with its 95 % interval over the seeds, and "
        "in brackets what makes it reproduced; margins that the report does not give are this package's. Times are of "
        "training steps, on one machine. All comparisons: [claims.csv](docs/results/quick/claims.csv).",
        "",
        *markdown_rows(
            ("section", "the report claims", "its own curves", "our runs", "measured (reproduced if)"), cells, ()
        ),
        "",
        f"*{_scale(summary)}. Again: `{summary['command']}`.*",
        "",
    ]


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
