"""The verdicts as tables: a CSV, text for a terminal, and the cells that the report page shows."""

import math
from collections.abc import Sequence
from pathlib import Path

from figures.claims.decide import Decision, Outcome
from figures.claims.declare import Comparison
from reproduce.analysis.significance import Estimate
from reproduce.data.dataset import Dataset
from reproduce.files import csv_bytes, write_atomically
from reproduce.text import NO_VALUE, format_table

COLUMNS = (
    *("id", "section", "statement", "decides", "comparison", "measure", "unit", "claimed", "effect", "low", "high"),
    *("repeats", "diverged", "p_for_this_claim", "p_corrected", "corrected_for", "verdict", "stable", "left_out"),
    *("note", "report_effect", "report_noise", "report_decision", "all_effects", "profile", "data", "synthetic"),
)
EFFECT_COLUMNS = (
    *("claim", "comparison", "measure", "function", "unit", "claimed_low", "claimed_high", "decides", "effect", "low"),
    *("high", "standard_error", "degrees_of_freedom", "repeats", "report_effect", "report_noise", "report_decision"),
    *("in_regime", "leans", "arms", "regime", "report_curves"),
)


def effect_text(value: float, comparison: Comparison) -> str:
    """An effect with its sign where it is a difference."""
    if not math.isfinite(value):
        return NO_VALUE
    return f"{value:,.0f}" if comparison.computed else f"{value:+.2f}".lstrip("+" * (comparison.unit == "times"))


def interval_text(found: Estimate, comparison: Comparison) -> str:
    """The simultaneous 95 % interval; a dash where there is none, and a word where none is needed."""
    if comparison.computed:
        return "exact"
    if not math.isfinite(found.low):
        return NO_VALUE
    return f"[{effect_text(found.low, comparison)}, {effect_text(found.high, comparison)}]"


def p_text(p: float) -> str:
    """A p-value; a dash where there is none."""
    return NO_VALUE if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def outcome_text(outcome: Outcome) -> str:
    """One of several comparisons, in a line."""
    found, comparison = outcome.estimate, outcome.comparison
    name = comparison.name or comparison.measure
    return f"{name}: {effect_text(found.effect, comparison)} {comparison.unit} {interval_text(found, comparison)}"


def number(value: float) -> str:
    """As a CSV has it: six digits; empty for what is not finite."""
    return f"{value:.6g}" if math.isfinite(value) else ""


def write_effects(path: Path, decisions: Sequence[Decision]) -> None:
    """Write every comparison as CSV, with the runs or times that it is measured on, so that anyone can recompute it.

    `arms` is `role=quantity=epochs=key key ...; ...`, keys by seed; for times, `role=step==name; ...`.
    `regime` is `key key ...|figure|panel|series|epoch|ours|report; ...`.
    `report_curves` is `role=figure|panel|series|quantity; ...`.
    """
    lines: list[Sequence[object]] = [EFFECT_COLUMNS]
    for decision in decisions:
        for one in decision.outcomes:
            comparison, found = one.comparison, one.estimate
            quantities = {role: series.quantity for role, series in comparison.curves.items()}
            arms = [
                f"{role}={quantities.get(role, comparison.timed)}={one.epochs.get(role, '')}={' '.join(keys)}"
                for role, keys in one.keys.items()
                if role in comparison.curves or comparison.times
            ]
            regime = [
                f"{' '.join(keys)}|{arm.figure}|{arm.panel}|{arm.series}|{arm.epoch}|{arm.ours:.4f}|{arm.report:.4f}"
                for keys, arm in one.arms.items()
            ]
            report = [
                f"{role}={series.figure}|{series.panel}|{series.name}|{series.quantity}"
                for role, series in comparison.curves.items()
                if series.figure is not None
            ]
            lines.append(
                [
                    *(decision.claim.id, comparison.name, comparison.measure, comparison.effect.__name__),
                    *(comparison.unit, *map(number, comparison.claimed), "yes" if comparison.decides else "no"),
                    *map(number, (found.effect, found.low, found.high, found.error, found.degrees)),
                    *(one.repeats, number(one.report), number(one.report_noise), one.report_decision),
                    *(("yes" if one.is_in_regime else "no") if one.arms else "", "yes" if comparison.leans else "no"),
                    *("; ".join(arms), "; ".join(regime), "; ".join(report)),
                ]
            )
    write_atomically(path, csv_bytes(lines))


def write_claims(path: Path, decisions: Sequence[Decision], profile: str, dataset: Dataset) -> None:
    """Write the verdicts as CSV, a row a claim; numbers are empty where there are none."""
    lines: list[Sequence[object]] = [COLUMNS]
    for one in decisions:
        found, comparison = one.decisive.estimate, one.decisive.comparison
        lines.append(
            [
                *(one.claim.id, one.claim.section, one.claim.statement, one.claim.decides, comparison.name),
                *(comparison.measure, comparison.unit, comparison.claimed_in_words()),
                *map(number, (found.effect, found.low, found.high)),
                *(one.decisive.repeats, sum(outcome.diverged for outcome in one.outcomes)),
                *(number(one.p), number(one.p_corrected), one.corrected_for, one.verdict, one.stable, one.left_out),
                *(one.note, number(one.report_decisive.report), number(one.report_decisive.report_noise)),
                one.report_decision,
                *("; ".join(map(outcome_text, one.outcomes)), profile, dataset.name),
                "yes" if dataset.is_synthetic else "no",
            ]
        )
    write_atomically(path, csv_bytes(lines))


def claims_table(decisions: Sequence[Decision]) -> str:
    """The verdicts as text, for a terminal; the data is named above it."""
    cells = [("claim", "effect", "unit", "95 % interval, all at once", "over", "p", "verdict", "report's own curves")]
    for one in decisions:
        found, comparison = one.decisive.estimate, one.decisive.comparison
        effect, interval = effect_text(found.effect, comparison), interval_text(found, comparison)
        verdicts = (p_text(one.p_corrected), one.verdict, one.report_decision)
        cells.append((one.claim.id, effect, comparison.unit, interval, one.decisive.repeats, *verdicts))
    return format_table(cells, left=(0, 2, 4, 6, 7))
