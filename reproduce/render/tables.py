"""A table as CSV, Markdown and picture."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from reproduce.files import csv_bytes, write_atomically
from reproduce.render.plotting import COLOURS, STYLE, save_picture

Cell = str | int | float
# Not a star: the tables multiply with stars.
MARK = " †"
FONT_SIZE = 10
# Text in a PNG is fitted to its pixels, which makes it up to so much wider than its outline.
HINTING = 1.02
# In inches: the height of a row, the white between columns, and around the whole.
ROW_HEIGHT, GAP, MARGIN = 0.26, 0.28, 0.2


@dataclass(frozen=True)
class Table:
    """A table of the report, or what it should have been.

    Attributes:
        name: of its files.
        header, rows: the cells. Numbers are grouped by thousands, floats rounded, and set flush right; the CSV has
            them plain.
        notes: sentences below it.
        bold: (row, column) of the cells to set in bold.
        marked: (row, column) of the cells that are wrong in the report; they get a dagger and a colour.
        ruled: rows above which a line is drawn.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str]
    bold: Collection[tuple[int, int]] = ()
    marked: Collection[tuple[int, int]] = ()
    ruled: Collection[int] = ()

    def shown(self, row: int, column: int) -> str:
        """A cell as readers see it."""
        cell = self.rows[row][column]
        form = {int: ",", float: ",.3f"}.get(type(cell), "")
        return format(cell, form) + (MARK if (row, column) in self.marked else "")


def as_csv(table: Table) -> str:
    return csv_bytes([table.header, *table.rows]).decode()


def as_markdown(table: Table) -> str:
    """The table under its title, the notes below it."""
    columns = range(len(table.header))
    cells = [[_escaped(table.shown(row, column)) for column in columns] for row in range(len(table.rows))]
    rows = [
        [f"**{cell}**" if (row, column) in table.bold and cell else cell for column, cell in enumerate(line)]
        for row, line in enumerate(cells)
    ]
    numeric = [column for column in columns if _is_numeric(table, column)]
    lines = [f"# {_escaped(table.title)}", "", *markdown_rows([_escaped(name) for name in table.header], rows, numeric)]
    return "\n".join([*lines, "", *(f"{_escaped(note)}\n" for note in table.notes)])


def markdown_rows(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[int]) -> list[str]:
    """Lines of a Markdown table of cells that are Markdown already; the columns `numeric` are set flush right."""
    rule = ["---:" if column in numeric else "---" for column in range(len(header))]
    return [_markdown_row(cells) for cells in (header, rule, *rows)]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    return text.replace("*", r"\*").replace("|", r"\|").replace("_", r"\_")


def _is_numeric(table: Table, column: int) -> bool:
    return all(isinstance(row[column], int | float) or not row[column] for row in table.rows)


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """How wide a line of text is set, in inches."""
    if not text.strip():
        return 0.0
    properties = FontProperties(family=STYLE["font.family"], weight=weight)
    return TextPath((0, 0), text, size=size, prop=properties).vertices[:, 0].max() * HINTING / 72


def picture(table: Table) -> Figure:
    """The table as a picture, as large as its cells need."""
    columns = range(len(table.header))
    widths = [
        max(
            text_width(table.header[column], FONT_SIZE, "bold"),
            *(
                text_width(table.shown(row, column), FONT_SIZE, "bold" if (row, column) in table.bold else "normal")
                for row in range(len(table.rows))
            ),
        )
        for column in columns
    ]
    body = sum(widths) + GAP * (len(widths) - 1)
    below = [text_width(note, FONT_SIZE - 1) for note in table.notes]
    width = max(body, text_width(table.title, FONT_SIZE + 3, "bold"), *below, 0) + 2 * MARGIN
    height = (len(table.rows) + len(table.notes) + 3) * ROW_HEIGHT + 2 * MARGIN
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()

    def write(x: float, line: float, text: str, **look: object) -> None:
        axes.text(x, MARGIN + (line + 0.5) * ROW_HEIGHT, text, va="center", **{"fontsize": FONT_SIZE, **look})

    def rule(line: float, colour: str = "#222222", thickness: float = 1.0) -> None:
        y = MARGIN + line * ROW_HEIGHT
        axes.plot([MARGIN, MARGIN + body], [y, y], color=colour, linewidth=thickness, solid_capstyle="butt")

    write(MARGIN, 0, table.title, fontsize=FONT_SIZE + 3, fontweight="bold")
    left = MARGIN
    for column in columns:
        right_aligned = _is_numeric(table, column)
        x, side = (left + widths[column], "right") if right_aligned else (left, "left")
        write(x, 1.5, table.header[column], ha=side, fontweight="bold")
        for row in range(len(table.rows)):
            look = {"color": COLOURS[1]} if (row, column) in table.marked else {}
            weight = "bold" if (row, column) in table.bold else "normal"
            write(x, 2.5 + row, table.shown(row, column), ha=side, fontweight=weight, **look)
        left += widths[column] + GAP
    rule(1.5, thickness=1.4)
    rule(2.5)
    for row in table.ruled:
        rule(2.5 + row, "#bbbbbb", 0.7)
    rule(2.5 + len(table.rows), thickness=1.4)
    for i, note in enumerate(table.notes):
        write(MARGIN, 2.8 + len(table.rows) + i, note, fontsize=FONT_SIZE - 1, color="#444444")
    return figure


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write a table as CSV, Markdown and PNG into a folder that exists; the files written."""
    path = folder / table.name
    write_atomically(path.with_suffix(".csv"), as_csv(table).encode())
    write_atomically(path.with_suffix(".md"), as_markdown(table).encode())
    with matplotlib.rc_context(STYLE):
        return [path.with_suffix(".csv"), path.with_suffix(".md"), *save_picture(picture(table), path, (".png",))]
