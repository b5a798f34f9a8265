"""The networks of the report's table 1 and Conv_NN, described once: their layers, and what each layer counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reproduce.pattern import CLASSES, HIDDEN_UNITS, IMAGE_CHANNELS, IMAGE_SIZE, REPORT_BLOCKS


@dataclass(frozen=True)
class Architecture:
    """A network, as the columns of table 1 describe it.

    Attributes:
        name: the column's heading.
        image_size: side of the input in pixels.
        blocks: the layers of each block, as table 1 writes them: `conv3-64` (filter size, channels) or `LRN`. A 2 x 2
            maximum pooling with stride 2 ends each block; padding keeps the size until then.
        units: of each fully connected layer.
        batch_normalization: whether each convolution is followed by it.
    """

    name: str
    image_size: int
    blocks: tuple[tuple[str, ...], ...]
    units: tuple[int, ...]
    batch_normalization: bool = False


@dataclass(frozen=True)
class Layer:
    """One layer of a network and its counts.

    Attributes:
        name: as table 1 writes it: `conv3-64`, `LRN`, `maxpool`, `FC-4096`; or `input`.
        block: 1, 2, ... for the blocks; 0 for the input, and one more than there are blocks for the fully connected.
        dimensions: height, width and channels of its output.
        fan_in: the factors of the number of inputs to one of its units, (3, 3, 64) say; empty if it has no weights.
        batch_normalization: whether batch normalization follows it.
    """

    name: str
    block: int
    dimensions: tuple[int, int, int]
    fan_in: tuple[int, ...] = ()
    batch_normalization: bool = False

    @property
    def values(self) -> int:
        """Numbers in its output for one image: what the report's table calls memory."""
        return math.prod(self.dimensions)

    @property
    def weights(self) -> int:
        return math.prod(self.fan_in) * self.dimensions[2] if self.fan_in else 0

    @property
    def biases(self) -> int:
        return self.dimensions[2] if self.fan_in else 0

    @property
    def scales_and_shifts(self) -> int:
        """The gamma and beta of the batch normalization behind it."""
        return 2 * self.dimensions[2] if self.batch_normalization else 0

    @property
    def parameters(self) -> int:
        """All that training changes."""
        return self.weights + self.biases + self.scales_and_shifts


def layers_of(network: Architecture) -> tuple[Layer, ...]:
    """A network's layers from its input to its last fully connected layer, with their sizes."""
    size, channels = network.image_size, IMAGE_CHANNELS
    layers = [Layer("input", 0, (size, size, channels))]
    for block, names in enumerate(network.blocks, start=1):
        for name in names:
            if name == "LRN":
                layers.append(Layer(name, block, (size, size, channels)))
                continue
            filter_size, after = map(int, name.removeprefix("conv").split("-"))
            fan_in = (filter_size, filter_size, channels)
            layers.append(Layer(name, block, (size, size, after), fan_in, network.batch_normalization))
            channels = after
        size //= 2
        layers.append(Layer("maxpool", block, (size, size, channels)))
    fan_in = (size, size, channels)
    for units in network.units:
        layers.append(Layer(f"FC-{units}", len(network.blocks) + 1, (1, 1, units), fan_in))
        fan_in = (units,)
    return tuple(layers)


def weight_layers(network: Architecture) -> int:
    """How many layers have weights: the depth by which the columns of table 1 are known."""
    return sum(bool(layer.fan_in) for layer in layers_of(network))


def parameters(network: Architecture) -> int:
    """All parameters of a network: weights, biases, and the scales and shifts of batch normalization."""
    return sum(layer.parameters for layer in layers_of(network))


def _column(name: str, *blocks: str) -> Architecture:
    return Architecture(name, 224, tuple(tuple(block.split()) for block in blocks), (4096, 4096, 1000))


def _conv3(times: int, channels: int, then: str = "") -> str:
    return " ".join([*[f"conv3-{channels}"] * times, *([then] if then else [])])


# Table 1 of the report, which is table 1 of Simonyan and Zisserman, arXiv:1409.1556.
COLUMNS: Sequence[Architecture] = (
    _column("A", _conv3(1, 64), _conv3(1, 128), _conv3(2, 256), _conv3(2, 512), _conv3(2, 512)),
    _column("A-LRN", _conv3(1, 64, "LRN"), _conv3(1, 128), _conv3(2, 256), _conv3(2, 512), _conv3(2, 512)),
    _column("B", _conv3(2, 64), _conv3(2, 128), _conv3(2, 256), _conv3(2, 512), _conv3(2, 512)),
    _column(
        "C",
        _conv3(2, 64),
        _conv3(2, 128),
        _conv3(2, 256, "conv1-256"),
        _conv3(2, 512, "conv1-512"),
        _conv3(2, 512, "conv1-512"),
    ),
    _column("D", _conv3(2, 64), _conv3(2, 128), _conv3(3, 256), _conv3(3, 512), _conv3(3, 512)),
    _column("E", _conv3(2, 64), _conv3(2, 128), _conv3(4, 256), _conv3(4, 512), _conv3(4, 512)),
)
COLUMN = {network.name: network for network in COLUMNS}

# The network that the report trains on 32 x 32 images: column E's first three blocks, and smaller layers behind them.
CONV_NN = Architecture(
    "Conv_NN",
    IMAGE_SIZE,
    tuple((f"conv3-{channels}",) * convolutions for convolutions, channels in REPORT_BLOCKS),
    (HIDDEN_UNITS, HIDDEN_UNITS, CLASSES),
    batch_normalization=True,
)
