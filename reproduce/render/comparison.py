"""A comparison with the report as text, as cells of a table, and as comparison.csv."""

from collections.abc import Sequence
from pathlib import Path

from reproduce.analysis.comparison import PanelOrder, Row
from reproduce.files import csv_bytes, write_atomically
from reproduce.render.csv_files import marked, number
from reproduce.text import NO_VALUE, counted, format_table, shown

NOT_IN_THE_REPORT = "not in the report"
AS_CLOSE = "too close for an order"


def header(is_report_scale: bool) -> tuple[str, ...]:
    """The heading of `cells_of`."""
    gaps = ("gap", "mean |gap|") if is_report_scale else ()
    return ("panel", "series", "epoch", "ours", "", "report", *gaps, "our rank", "report's", "tau", "data")


def cells_of(row: Row, data_name: str, is_report_scale: bool) -> tuple[str, ...]:
    """A row as readers see it; the data's name is one of its columns. Gaps only where the scale is the report's."""
    spread = f"±{row.spread:.1f}" if row.seeds - row.diverged > 1 else ""
    note = f" ({row.diverged} of {row.seeds} seeds diverged)" if row.diverged else ""
    gaps = (shown(row.gap, "+.1f"), shown(row.mean_absolute_gap)) if is_report_scale else ()
    ranks = [NO_VALUE if rank is None else str(rank) for rank in (row.our_rank, row.report_rank)]
    report = NOT_IN_THE_REPORT if row.report_rank is None else shown(row.report)
    values = (str(row.epoch), shown(row.ours), spread, report)
    return (row.panel, row.series, *values, *gaps, *ranks, shown(row.tau, "+.2f"), data_name + note)


def table(rows: Sequence[Row], is_report_scale: bool) -> str:
    """The comparison as text, for a terminal; its data is named above it."""
    *names, _ = header(is_report_scale)
    cells = [(*names, ""), *(cells_of(row, "", is_report_scale) for row in rows)]
    return format_table(cells, left=(0, 1, len(names)))


def key_of(rows: Sequence[Row], is_report_scale: bool) -> str:
    """What the columns of `table` mean, in a line."""
    spread = ["±: half the distance from the lowest to the highest seed"]
    gaps = ["mean |gap|: mean distance from the report over the common epochs, in points"]
    return "; ".join(
        [
            *(spread if any(row.seeds - row.diverged > 1 for row in rows) else []),
            *(gaps if is_report_scale else []),
            "rank 1 is the best",
            "tau: Kendall's, between our order and the report's, from +1 (the same) to -1 (reversed)",
        ]
    )


def order_sentence(order: PanelOrder) -> str:
    """Whether our series come in the report's order, best first, and whether the report has one."""
    name = f"{order.panel}: " if order.panel else ""
    close = f"; its curves are {AS_CLOSE} there" if order.report_is_tied else ""
    reports = ", ".join(order.report)
    if not order.agrees and order.ours == order.report:
        return f"{name}ours tie at epoch {order.epoch}; the report's order, best first: {reports}{close}"
    verdict = "same order as in the report" if order.agrees else "another order than in the report"
    sentence = f"{name}{verdict} at epoch {order.epoch}, best first: {', '.join(order.ours)}"
    return f"{sentence}{close}" if order.agrees else f"{sentence}; the report: {reports}{close}"


def orders_sentence(panels: Sequence[PanelOrder], whose: str = "The series") -> str:
    """In how many panels the series come in the report's order, those apart in which it has none."""
    with_one, tied = ([o for o in panels if o.report_is_tied == is_tied] for is_tied in (False, True))
    agreeing = f"{sum(o.agrees for o in with_one)} of the {counted(len(with_one), 'panel')}"
    sentence = f"{whose} come in the report's order in {agreeing} where it has one."
    where = f"In {counted(len(tied), 'panel')} the report's curves are {AS_CLOSE}"
    others = f"{where}; ours agree in {sum(o.agrees for o in tied)}."
    return " ".join([*([sentence] if with_one else []), *([others] if tied else [])])


COLUMNS = (
    *("figure", "panel", "series", "quantity", "epoch", "ours", "spread", "report", "gap", "mean_absolute_gap"),
    *("our_rank", "report_rank", "kendall_tau", "diverged", "seeds", "profile", "data"),
)


def write_comparison(
    path: Path, rows: Sequence[tuple[int, Row]], profile: str, data_name: str, is_synthetic: bool, is_report_scale: bool
) -> None:
    """Write the comparison of all figures as CSV; numbers in percent and points, empty where there is none.

    Gaps are left empty where the scale is not the report's: they would compare networks of different sizes. Synthetic
    results say so in their quantity.
    """
    lines: list[Sequence[object]] = [COLUMNS]
    for figure, row in rows:
        gaps = [number(row.gap), number(row.mean_absolute_gap)] if is_report_scale else ["", ""]
        quantity = marked(row.quantity, is_synthetic)
        values = [number(row.ours), number(row.spread), number(row.report), *gaps]
        ranks = ["" if rank is None else rank for rank in (row.our_rank, row.report_rank)]
        counts = [*ranks, number(row.tau), row.diverged, row.seeds]
        lines.append([figure, row.panel, row.series, quantity, row.epoch, *values, *counts, profile, data_name])
    write_atomically(path, csv_bytes(lines))
