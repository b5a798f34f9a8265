"""Tables 1 and 2 and the memory table, from the networks' descriptions in `vgg.py`."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from figures.vgg import COLUMN, COLUMNS, CONV_NN, Architecture, Layer, layers_of, parameters, weight_layers
from reproduce.layers import convolution_name
from reproduce.pattern import IMAGE_SIZE
from reproduce.render.tables import MARK, Table

# Table 2 as printed, in millions; A and A-LRN share an entry.
PRINTED_MILLIONS = {"A": 133, "A-LRN": 133, "B": 133, "C": 134, "D": 138, "E": 144}
# The memory table says 32 pixels in its first three rows, and goes on as if the image had 224.
PRINTED_SIZE = 32


def grid() -> list[tuple[str, list[str]]]:
    """Table 1's rows under its headings: what part of the network it is, and each column's cell ('' if it has none)."""
    rows = [("input", [f"{network.image_size} × {network.image_size} RGB" for network in COLUMNS])]
    for block in range(len(COLUMNS[0].blocks)):
        names = [[convolution_name(layer) for layer in network.blocks[block]] for network in COLUMNS]
        for cells in zip_longest(*names, fillvalue=""):
            rows.append((f"block {block + 1}", list(cells)))
        rows.append((f"block {block + 1}", ["maxpool"] * len(COLUMNS)))
    for cells in zip(*(network.units for network in COLUMNS), strict=True):
        rows.append(("fully connected", [f"FC-{units}" for units in cells]))
    return [*rows, ("output", ["soft-max"] * len(COLUMNS))]


def is_added(cells: Sequence[str | int], column: int) -> bool:
    """Whether a cell is new against the column left of it: table 1 has these in bold."""
    return column > 0 and cells[column] not in ("", cells[column - 1])


def table_1() -> Table:
    """Table 1: the six VGG networks side by side."""
    rows: list[list[Any]] = [
        ["weight layers", *map(weight_layers, COLUMNS)],
        *([part, *cells] for part, cells in grid()),
    ]
    bold = {(r, c) for r, (_, *cells) in enumerate(rows) if r for c in range(2, 7) if is_added(cells, c - 1)}
    return Table(
        "table-1",
        "Table 1. ConvNet configurations",
        ["part", *(network.name for network in COLUMNS)],
        rows,
        [
            "conv3-64: 3 × 3 filters, 64 channels. In bold: what a column adds to the one left of it. "
            "ReLU is not shown, as in the report."
        ],
        bold=bold,
        ruled=[r for r in range(1, len(rows)) if rows[r][0] != rows[r - 1][0]],
    )


def table_2() -> Table:
    """Table 2: parameters of the six networks for ImageNet, counted, beside the report's millions."""
    rows: list[list[str | float]] = []
    wrong = set()
    for network in COLUMNS:
        layers = layers_of(network)
        printed = PRINTED_MILLIONS[network.name]
        agrees = round(parameters(network) / 1e6) == printed
        if not agrees:
            wrong.add((len(rows), 5))
        weights, biases = sum(layer.weights for layer in layers), sum(layer.biases for layer in layers)
        counts = [weights, biases, parameters(network), parameters(network) / 1e6]
        rows.append([network.name, *counts, printed, "yes" if agrees else "no"])
    return Table(
        "table-2",
        "Table 2. Number of parameters",
        ["network", "weights", "biases", "parameters", "millions", "the report, millions", "agrees"],
        rows,
        [
            "Counted from the layers of table 1, for a 224 × 224 image and 1000 classes.",
            "The report prints one number for A and A-LRN: LRN has no parameters.",
        ],
        marked=wrong,
    )


def printed_label(layer: Layer) -> str:
    """A layer as the memory table names it: CONV3-64, POOL2, FC."""
    if layer.name == "maxpool":
        return "POOL2"
    return "FC" if layer.name.startswith("FC") else layer.name.upper()


def _shape(layer: Layer, size: int | None = None) -> str:
    height, width, channels = layer.dimensions if size is None else (size, size, layer.dimensions[2])
    return f"[{height}x{width}x{channels}]"


def _memory(layer: Layer, size: int | None = None) -> str:
    if layer.name.startswith("FC"):
        return str(layer.values)
    return _shape(layer, size).strip("[]").replace("x", "*")


def _weights(layer: Layer) -> str:
    if not layer.fan_in:
        return "0"
    factors = "*".join(map(str, layer.fan_in))
    return f"{factors}*{layer.biases}" if layer.name.startswith("FC") else f"({factors})*{layer.biases}"


def memory_table_as_printed() -> Table:
    """The memory table as the report has it, and the cells that it should have had."""
    layers = layers_of(COLUMN["D"])
    first_pooling = [layer.name for layer in layers].index("maxpool")
    rows: list[list[str | float]] = []
    wrong = set()
    for row, layer in enumerate(layers):
        size = PRINTED_SIZE if row < first_pooling else None
        printed, correct = [_shape(layer, size), _memory(layer, size)], [_shape(layer), _memory(layer)]
        wrong |= {(row, 1 + i) for i in range(2) if printed[i] != correct[i]}
        differs = printed != correct
        rows.append([printed_label(layer), *printed, _weights(layer), *(correct if differs else ["", ""])])
    biases = sum(layer.biases for layer in layers)
    return Table(
        "memory-table-as-printed",
        "Memory table as the report prints it",
        ["LAYER", "DIM", "MEMORY", "PARAMETER COUNT", "DIM for 224 × 224", "MEMORY for 224 × 224"],
        rows,
        [
            f"{MARK.strip()} The first rows are for a 32 × 32 image, all others for one of 224 × 224: "
            "pooling 32 pixels gives 16, not 112.",
            f"The parameter counts are weights alone, and right; the biases, {biases:,} in all, are left out.",
            "The layers are column D's of table 1, for ImageNet, and not those of the network that the report trains.",
        ],
        marked=wrong,
    )


def memory_table(network: Architecture, name: str, title: str, notes: Sequence[str]) -> Table:
    """Size, memory and parameters of each layer of a network, with their sums."""
    layers = layers_of(network)
    normalized = network.batch_normalization
    rows: list[list[Any]] = [
        [
            printed_label(layer),
            _shape(layer),
            _memory(layer),
            layer.values,
            _weights(layer),
            layer.weights,
            layer.biases,
            *([layer.scales_and_shifts] if normalized else []),
            layer.parameters,
        ]
        for layer in layers
    ]
    last = len(rows)
    counted = [sum(row[column] for row in rows) for column in range(5, len(rows[0]))]
    values = sum(layer.values for layer in layers)
    rows.append(["TOTAL", "", "", values, "", *counted])
    header = ["LAYER", "DIM", "MEMORY", "values", "PARAMETER COUNT", "weights", "biases"]
    return Table(
        name,
        title,
        [*header, *(["scales, shifts"] if normalized else []), "parameters"],
        rows,
        [
            f"One image's values take {values * 4 / 2**20:.2f} MiB as float32, "
            f"the parameters {counted[-1] * 4 / 2**20:.2f} MiB.",
            *notes,
        ],
        bold={(last, column) for column in range(len(rows[0]))},
        ruled=[last],
    )


def tables() -> list[Table]:
    """Every table of the report, and the memory table as it should have been."""
    outputs = "As in the report, each layer's output is counted once, and ReLU as part of the layer before it."
    return [
        table_1(),
        table_2(),
        memory_table_as_printed(),
        memory_table(
            COLUMN["D"],
            "memory-table-224",
            "Memory table corrected: column D, 224 × 224 image",
            [outputs],
        ),
        memory_table(
            CONV_NN,
            "memory-table-32",
            f"Memory table of Conv_NN, the network of section 8: {IMAGE_SIZE} × {IMAGE_SIZE} image",
            [
                outputs + " So is batch normalization.",
                "Scales and shifts are batch normalization's gamma and beta, one of each a channel.",
            ],
        ),
    ]
