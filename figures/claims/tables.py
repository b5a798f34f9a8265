"""The verdicts as tables: a CSV, text for a terminal, and the cells that the report page shows."""

import math
from collections.abc import Sequence
from pathlib import Path

from figures.claims.decide import Decision, Outcome
from reproduce.analysis.significance import Estimate
from reproduce.data.dataset import Dataset
from reproduce.files import csv_bytes, write_atomically
from reproduce.text import format_table

COUNTED = ("wrong cells", "wrong entries", "parameters")
COLUMNS = (
    *("id", "section", "statement", "comparison", "measure", "unit", "claimed", "effect", "low", "high", "repeats"),
    *("diverged", "p_for_this_claim", "p_corrected", "verdict", "note", "report_effect", "report_decision"),
    *("all_effects", "profile", "data", "synthetic"),
)


def effect_text(value: float, unit: str) -> str:
    """An effect with its sign where it is a difference."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if unit in COUNTED else f"{value:+.2f}".lstrip("+" * (unit == "times"))


def interval_text(found: Estimate, unit: str) -> str:
    """The 95 % interval; a dash where there is none, and a word where none is needed."""
    if unit in COUNTED:
        return "exact"
    if not math.isfinite(found.low):
        return "–"
    return f"[{effect_text(found.low, unit)}, {effect_text(found.high, unit)}]"


def p_text(p: float) -> str:
    """A p-value; a dash where there is none."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def outcome_text(outcome: Outcome) -> str:
    """One of several comparisons, in a line."""
    unit = outcome.comparison.unit
    name = outcome.comparison.name or outcome.comparison.measure
    return f"{name}: {effect_text(outcome.estimate.effect, unit)} {unit} {interval_text(outcome.estimate, unit)}"


def write_claims(path: Path, decisions: Sequence[Decision], profile: str, dataset: Dataset) -> None:
    """Write the verdicts as CSV, a row a claim; numbers are empty where there are none."""

    def number(value: float) -> str:
        return f"{value:.6g}" if math.isfinite(value) else ""

    lines: list[Sequence[object]] = [COLUMNS]
    for one in decisions:
        found, comparison = one.decisive.estimate, one.decisive.comparison
        lines.append(
            [
                *(one.claim.id, one.claim.section, one.claim.statement, comparison.name, comparison.measure),
                *(comparison.unit, comparison.claimed_in_words()),
                *map(number, (found.effect, found.low, found.high)),
                *(one.decisive.repeats, sum(outcome.diverged for outcome in one.outcomes)),
                *(number(one.p), number(one.p_corrected), one.verdict, one.note),
                *(number(one.report_decisive.report), one.report_decision),
                *("; ".join(map(outcome_text, one.outcomes)), profile, dataset.name),
                "yes" if dataset.is_synthetic else "no",
            ]
        )
    write_atomically(path, csv_bytes(lines))


def claims_table(decisions: Sequence[Decision], dataset: Dataset) -> str:
    """The verdicts as text, for a terminal."""
    cells = [("claim", "effect", "unit", "95 % interval", "over", "p (Holm)", "verdict", "report's own curves", "data")]
    for one in decisions:
        found, unit = one.decisive.estimate, one.decisive.comparison.unit
        effect = effect_text(found.effect, unit)
        p = p_text(one.p_corrected)
        verdicts = (one.verdict, one.report_decision, dataset.name)
        cells.append((one.claim.id, effect, unit, interval_text(found, unit), one.decisive.repeats, p, *verdicts))
    return format_table(cells, left=(0, 2, 4, 6, 7, 8))
