"""A table as CSV, Markdown, LaTeX and picture."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproduce.files import csv_bytes, write_atomically
from reproduce.render.looks import SOFT_INK, STYLE, VERMILION, text_width
from reproduce.render.plotting import save_picture

Cell = str | int | float
# Not a star: the tables multiply with stars.
MARK = " †"
FONT_SIZE = 10
# A character that means something else in LaTeX, or that not every font of it has, and how it is written there.
LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "{}$&#_%"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
        **{"×": r"$\times$", "†": r"$\dagger$", "±": r"$\pm$", "–": "--", "…": r"\ldots{}"},
    }
)
# The same for Markdown, where a dollar sign may begin mathematics.
MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\*|_`$~<"})
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
    numeric = [column for column in columns if is_numeric(table, column)]
    lines = [f"# {_escaped(table.title)}", "", *markdown_rows([_escaped(name) for name in table.header], rows, numeric)]
    return "\n".join([*lines, "", *(f"{_escaped(note)}\n" for note in table.notes)])


def as_latex(table: Table) -> str:
    """The table as LaTeX for `\\input`, its title as caption, the notes below it; it needs the package booktabs."""
    columns = range(len(table.header))

    def line(cells: Sequence[str]) -> str:
        # After a line's end, LaTeX takes a bracket or a star for an argument of it.
        guard = "{}" if cells[0][:1] in ("[", "*") else ""
        return f"    {guard}{' & '.join(cells)} \\\\"

    body = []
    for row in range(len(table.rows)):
        cells = [table.shown(row, column).translate(LATEX) for column in columns]
        cells = [rf"\textbf{{{cell}}}" if (row, column) in table.bold else cell for column, cell in enumerate(cells)]
        body += [*([r"    \midrule"] if row in table.ruled else []), line(cells)]
    notes = [rf"  \par\smallskip{{\footnotesize {note.translate(LATEX)}}}" for note in table.notes]
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{table.title.translate(LATEX)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if is_numeric(table, column) else 'l' for column in columns)}}}",
        r"    \toprule",
        line([name.translate(LATEX) for name in table.header]),
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        *notes,
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


def markdown_rows(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[int]) -> list[str]:
    """Lines of a Markdown table of cells that are Markdown already; the columns `numeric` are set flush right."""
    rule = ["---:" if column in numeric else "---" for column in range(len(header))]
    return [_markdown_row(cells) for cells in (header, rule, *rows)]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    return text.translate(MARKDOWN)


def is_numeric(table: Table, column: int) -> bool:
    """Whether a column has numbers only, and empty cells: it is set to the right."""
    return all(isinstance(row[column], int | float) or not row[column] for row in table.rows)


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
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        _fill(figure.add_axes((0, 0, 1, 1)), table, widths, body)
    return figure


def _fill(axes: Axes, table: Table, widths: Sequence[float], body: float) -> None:
    """Write a table's texts and rules into axes whose unit is an inch.

    Args:
        widths, body: of the columns, and of all of them with the white between.
    """
    columns = range(len(table.header))
    width, height = axes.figure.get_size_inches()
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
        right_aligned = is_numeric(table, column)
        x, side = (left + widths[column], "right") if right_aligned else (left, "left")
        write(x, 1.5, table.header[column], ha=side, fontweight="bold")
        for row in range(len(table.rows)):
            look = {"color": VERMILION} if (row, column) in table.marked else {}
            weight = "bold" if (row, column) in table.bold else "normal"
            write(x, 2.5 + row, table.shown(row, column), ha=side, fontweight=weight, **look)
        left += widths[column] + GAP
    rule(1.5, thickness=1.4)
    rule(2.5)
    for row in table.ruled:
        rule(2.5 + row, "#bbbbbb", 0.7)
    rule(2.5 + len(table.rows), thickness=1.4)
    for i, note in enumerate(table.notes):
        write(MARGIN, 2.8 + len(table.rows) + i, note, fontsize=FONT_SIZE - 1, color=SOFT_INK)


def write_table(table: Table, folder: Path, has_picture: bool = True) -> list[Path]:
    """Write a table as CSV, Markdown, LaTeX and perhaps PNG into a folder that exists; the files written."""
    path = folder / table.name
    texts = {".csv": as_csv(table), ".md": as_markdown(table), ".tex": as_latex(table)}
    for suffix, text in texts.items():
        write_atomically(path.with_suffix(suffix), text.encode())
    pictures = save_picture(picture(table), path, (".png",)) if has_picture else []
    return [*map(path.with_suffix, texts), *pictures]
