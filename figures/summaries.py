"""What compare, claims and plan find, for other programs; docs/json.md explains every name.

A name ends in its unit where it has one. What is not finite is None: JSON has no NaN, and a range without a bound has
None in its place.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from figures.claims.decide import Decision, Outcome
from figures.figure import Figure
from reproduce.analysis.comparison import PanelOrder, Row, orders
from reproduce.plan.plan import Plan, totals_of
from reproduce.study import Study
from reproduce.sweep.jobs import operations_of
from reproduce.version import VERSION

FORMAT = 1


def write_summary(out: TextIO, summary: Mapping[str, Any]) -> None:
    """Write one JSON document, and close the stream."""
    with out:
        out.write(json.dumps(_finite(summary), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _about(command: str, study: Study) -> dict[str, Any]:
    """What each document begins with."""
    dataset, scale = study.dataset, study.scale
    return {
        "format": FORMAT,
        "command": command,
        "version": VERSION,
        "profile": study.options.profile,
        "is_report_scale": study.is_report_scale,
        "width": scale.width,
        "batch_size": scale.batch_size,
        "seeds": scale.seeds,
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "is_synthetic": dataset.is_synthetic,
            "train_images": len(dataset.y_train),
            "test_images": len(dataset.y_test),
        },
    }


def comparison_summary(
    rows: Mapping[int, Sequence[Row]], figures: Mapping[int, Figure], study: Study
) -> dict[str, Any]:
    """The figures that are there, compared with the report's.

    Args:
        rows: of each figure that is there, by its number.
        figures: all there can be.
    """
    return {
        **_about("compare", study),
        "figures": [
            {
                "figure": number,
                "title": figures[number].title,
                "series": [_series(row, study.is_report_scale) for row in of_figure],
                "orders": [_order(order) for order in orders(of_figure)],
            }
            for number, of_figure in rows.items()
        ],
        "figures_not_trained": [number for number in figures if number not in rows],
    }


def _series(row: Row, is_report_scale: bool) -> dict[str, Any]:
    # Elsewhere gaps would compare networks of different sizes.
    gaps = (row.gap, row.mean_absolute_gap) if is_report_scale else (None, None)
    return {
        "panel": row.panel,
        "series": row.series,
        "quantity": row.quantity,
        "epoch": row.epoch,
        "ours_percent": row.ours,
        "spread_points": row.spread if row.seeds - row.diverged > 1 else None,
        "report_percent": row.report,
        "gap_points": gaps[0],
        "mean_absolute_gap_points": gaps[1],
        "our_rank": row.our_rank,
        "report_rank": row.report_rank,
        "kendall_tau": row.tau,
        "seeds": row.seeds,
        "seeds_diverged": row.diverged,
    }


def _order(order: PanelOrder) -> dict[str, Any]:
    return {
        "panel": order.panel,
        "quantity": order.quantity,
        "epoch": order.epoch,
        "ours": order.ours,
        "report": order.report,
        "report_is_tied": order.report_is_tied,
        "agrees": order.agrees,
    }


def claims_summary(decisions: Sequence[Decision], study: Study) -> dict[str, Any]:
    """Every claim's verdict, with all of its comparisons."""
    return {**_about("claims", study), "claims": [_claim(decision) for decision in decisions]}


def _claim(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.claim.id,
        "section": decision.claim.section,
        "statement": decision.claim.statement,
        "decides": decision.claim.decides,
        "verdict": decision.verdict,
        "report_decision": decision.report_decision,
        "p_for_this_claim": decision.p,
        "p_corrected": decision.p_corrected,
        "corrected_for": decision.corrected_for,
        "stable": decision.stable,
        "left_out": decision.left_out,
        "note": decision.note,
        "comparisons": [
            {
                **_outcome(one),
                "is_weakest": one is decision.decisive,
                "is_weakest_in_report": one is decision.report_decisive,
            }
            for one in decision.outcomes
        ],
    }


def _outcome(one: Outcome) -> dict[str, Any]:
    comparison, found = one.comparison, one.estimate
    return {
        "name": comparison.name,
        "measure": comparison.measure,
        "unit": comparison.unit,
        "decides": comparison.decides,
        "claimed_low": comparison.claimed[0],
        "claimed_high": comparison.claimed[1],
        "effect": found.effect,
        "low": found.low,
        "high": found.high,
        "over": one.repeats,
        "runs_diverged": one.diverged,
        "in_regime": one.is_in_regime if one.arms else None,
        "report_effect": one.report,
        "report_noise": one.report_noise,
        "report_decision": one.report_decision,
        "note": one.note,
    }


def plan_summary(plan: Plan, target: str, study: Study) -> dict[str, Any]:
    """What would be trained, and what it takes."""
    totals = totals_of(plan, study)
    return {
        **_about("plan", study),
        "target": target,
        "runs_wanted": len(plan.wanted),
        "runs_trained": len(plan.wanted) - len(plan.missing),
        "runs": [
            {
                "key": job.key,
                "label": job.label,
                "epochs": job.epochs,
                "epochs_done": plan.done[job.key],
                "flop_per_epoch": operations_of(job, study.dataset) / job.epochs,
                "figures": sorted(job.needed_by) if target != "claims" else [],
                "claims": sorted(job.needed_by) if target == "claims" else [],
                "seconds": plan.seconds[job.key],
            }
            for job in plan.missing
        ],
        "train_images": totals.images,
        "flop": totals.operations,
        "disk_bytes": totals.disk,
        "memory_bytes_of_largest_run": totals.memory,
        "runs_at_a_time": plan.places,
        "seconds_one_at_a_time": totals.seconds,
        "seconds": plan.total,
        "batches_timed": plan.batches,
        "networks_timed": plan.networks,
    }
