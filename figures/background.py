"""The background: figure 1, tables 1 and 2, and the memory table. Nothing is trained for them."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures.claims.declare import Claim, Comparison
from figures.vgg import COLUMNS, CONV_NN, layers_of, parameters, weight_layers
from figures.vgg_tables import PRINTED_MILLIONS, grid, is_added, memory_table_as_printed, table_2, tables
from reproduce.cli import add_options, parser_for, run
from reproduce.errors import BadInput
from reproduce.files import csv_bytes, make_folder, write_atomically
from reproduce.pattern import IMAGE_SIZE
from reproduce.profiles import Options
from reproduce.render.csv_files import CURVE_COLUMNS
from reproduce.render.looks import BLUE, GREEN, NAME_SIZE, SOFT_INK, STYLE, TEXT_SIZE, TITLE_SIZE, WIDTH
from reproduce.render.plotting import save_picture
from reproduce.render.tables import as_markdown, write_table

NUMBER = "background"
TITLE = "Background: the architecture"
SAYS = (
    "Introduces VGG networks: 3 x 3 convolutions with ReLU, 2 x 2 pooling, fully connected layers at the end, with "
    "a table of every layer's size and parameters, and the six VGG columns with their parameter counts."
)

# Figure 1 is a table: it has no curves, and nothing is trained for it.
FIGURES: dict[int, None] = {1: None}

TARGETS = ("1", "tables")
# Figure 1 frames the columns that the report goes on with: A in blue, D in green, E in orange.
FRAMES = {"A": BLUE, "D": GREEN, "E": "#E69F00"}
# In units of a cell: a column is 1 wide, a row 1 high.
SIDE_COLUMNS = 1.7
CELL_INCHES = (WIDTH / (len(COLUMNS) + SIDE_COLUMNS), 0.25)
# The blocks of table 1 that are left for 32 x 32 images: Conv_NN's, which are column E's first (a test compares them).
KEPT_BLOCKS = len(CONV_NN.blocks)
KEPT_COLOUR, LEFT_OUT_COLOUR = "#e3ecf3", SOFT_INK


def figure_1() -> Figure:
    """Figure 1: table 1 with columns A, D and E framed, the part kept for 32 x 32 images marked, table 2 below."""
    rows = grid()
    parts = [part for part, _ in rows]
    kept = [row for row, part in enumerate(parts) if part in {f"block {i + 1}" for i in range(KEPT_BLOCKS)}]
    left_out = range(kept[-1] + 1, len(rows))
    heading, columns = 2, len(COLUMNS)
    width, height = columns + SIDE_COLUMNS, len(rows) + heading + 5.7
    figure = Figure(figsize=(width * CELL_INCHES[0], height * CELL_INCHES[1]))
    axes = figure.add_axes((0.01, 0, 0.98, 1))
    axes.set(xlim=(0, width), ylim=(len(rows) + 3.4, -heading - 2.3))
    axes.set_axis_off()
    axes.text(
        0, -heading - 1.4, "Figure 1. Comparison of deep networks", fontsize=TITLE_SIZE, fontweight="bold", va="center"
    )
    axes.add_patch(Rectangle((0, kept[0]), columns, len(kept), color=KEPT_COLOUR, linewidth=0))
    for column, network in enumerate(COLUMNS):
        _write(axes, column + 0.5, -2, network.name, fontweight="bold", fontsize=TITLE_SIZE)
        _write(axes, column + 0.5, -1, f"{weight_layers(network)} weight layers", fontsize=TEXT_SIZE)
        _write(axes, column + 0.5, len(rows), f"{parameters(network):,}", fontsize=TEXT_SIZE)
        _write(axes, column + 0.5, len(rows) + 0.85, f"{PRINTED_MILLIONS[network.name]} million", fontsize=TEXT_SIZE)
    for row, (part, cells) in enumerate(rows):
        for column, cell in enumerate(cells):
            look = {"color": LEFT_OUT_COLOUR if row in left_out else "black"}
            look["fontweight"] = "bold" if is_added(cells, column) else "normal"
            _write(axes, column + 0.5, row, cell, **look)
        if row == 0 or part != parts[row - 1]:
            axes.plot([0, columns], [row, row], color="#999999", linewidth=0.7)
    for column, network in enumerate(COLUMNS):
        if network.name in FRAMES:
            box = (column + 0.03, -heading), 0.94, len(rows) + heading
            axes.add_patch(Rectangle(*box, fill=False, edgecolor=FRAMES[network.name], linewidth=3))
    endings = ", ".join(f"FC-{units}" for units in CONV_NN.units)
    beside = columns + 0.12
    _bracket(
        axes,
        beside,
        (kept[0], kept[-1] + 1),
        f"kept for {IMAGE_SIZE} × {IMAGE_SIZE} images;\ncolumn E's first {KEPT_BLOCKS} blocks\nare those of Conv_NN",
        "black",
    )
    _bracket(
        axes, beside, (left_out[0], len(rows)), f"left out; Conv_NN ends\nin {endings}\nand soft-max", LEFT_OUT_COLOUR
    )
    axes.text(beside, len(rows) + 0.5, "parameters, exact", va="center", fontsize=TEXT_SIZE)
    axes.text(beside, len(rows) + 1.35, "and in the report's table 2", va="center", fontsize=TEXT_SIZE)
    caption = (
        "Framed as in the report: A blue, D green, E orange. In bold: what a column adds to the one left of it. "
        "Parameters: weights and biases, for 1000 classes."
    )
    axes.text(0, len(rows) + 2.65, caption, fontsize=TEXT_SIZE, color=SOFT_INK, va="center")
    return figure


def _write(axes: Axes, x: float, row: float, text: str, **look: object) -> None:
    axes.text(x, row + 0.5, text, ha="center", va="center", **{"fontsize": NAME_SIZE, **look})


def _bracket(axes: Axes, x: float, rows: tuple[float, float], text: str, colour: str) -> None:
    """A bracket to the right of some rows, and what it says."""
    top, bottom = rows[0] + 0.1, rows[1] - 0.1
    axes.plot([x, x + 0.08, x + 0.08, x], [top, top, bottom, bottom], color=colour, linewidth=1.2)
    axes.text(x + 0.18, (top + bottom) / 2, text, va="center", fontsize=NAME_SIZE, color=colour, linespacing=1.4)


def figure_1_csv() -> str:
    """What figure 1 shows, in the columns of every figure's CSV: one row for each layer that has parameters or is LRN.

    The panel is the block, the series the column of table 1, the value its parameters; nothing is trained, so epoch and
    seed are empty.
    """
    lines: list[tuple[object, ...]] = [CURVE_COLUMNS]
    for network in COLUMNS:
        for layer in layers_of(network):
            if layer.fan_in or layer.name == "LRN":
                part = f"block {layer.block}" if layer.block <= len(network.blocks) else "fully connected"
                lines.append((part, network.name, f"parameters of {layer.name}", "", "", layer.parameters))
    return csv_bytes(lines).decode()


def folder_of(options: Options) -> Path:
    """Where figure 1 and the tables go: the profile's folder, whatever the data and the sizes, of which they use none.

    Raises:
        BadInput: it cannot be made.
    """
    folder = Path(options.results) / options.profile
    make_folder(folder)
    return folder


def make_figure_1(options: Options) -> Path:
    """Write figure 1 as PNG, SVG, PDF and CSV, say where, and return the path of its PNG."""
    path = folder_of(options) / "figure-1"
    with matplotlib.rc_context(STYLE):
        files = save_picture(figure_1(), path)
    write_atomically(path.with_suffix(".csv"), figure_1_csv().encode())
    print(f"figure-1: {', '.join(map(str, [*files, path.with_suffix('.csv')]))}", flush=True)
    return path.with_suffix(".png")


def write_tables(folder: Path, has_pictures: bool = True) -> dict[str, list[Path]]:
    """Write every table as CSV, Markdown, LaTeX and perhaps PNG into a folder `tables`; the files, by its name."""
    folder = folder / "tables"
    folder.mkdir(exist_ok=True)
    return {table.name: write_table(table, folder, has_pictures) for table in tables()}


def make_tables(folder: Path) -> None:
    """Write every table, print table 2, and say where they are."""
    print(as_markdown(table_2()))
    for name, files in write_tables(folder).items():
        print(f"{name}: {', '.join(map(str, files))}", flush=True)


def main(arguments: list[str]) -> None:
    """The command line: `python -m figures.background [1] [tables] [options]`."""
    parser = parser_for("python -m figures.background", "Regenerate figure 1 and the tables of the report.")
    parser.add_argument("targets", nargs="*", metavar="1|tables", help="what to make (default: both)")
    add_options(parser, Options)
    given = vars(parser.parse_args(arguments))
    targets = given.pop("targets") or list(TARGETS)
    for target in targets:
        if target not in TARGETS:
            raise BadInput(f"{target}: expected {' or '.join(TARGETS)}")
    options = Options(**given)
    if "1" in targets:
        make_figure_1(options)
    if "tables" in targets:
        make_tables(folder_of(options))


def _wrong_memory_table_cells() -> float:
    return float(len(memory_table_as_printed().marked))


CLAIMS = (
    Claim(
        "memory-table",
        NUMBER,
        "The table gives the size, memory and parameter count of each layer of the baseline VGG, for one input size.",
        "True if every cell is right for one and the same input size, false if one is not; counted, so nothing "
        "is left open.",
        (
            Comparison(
                "cells of the table that differ from those computed for a 224 x 224 input, which fits it best",
                unit="wrong cells",
                claimed=(0, 0),
                computed=_wrong_memory_table_cells,
            ),
        ),
    ),
)

if __name__ == "__main__":
    run("python -m figures.background", main)
