"""The networks of the report's table 1 and Conv_NN, described once: their layers, and what each layer counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from reproduce.experiment import Experiment
from reproduce.layers import LRN, Convolution, Layer, layers_in_pattern
from reproduce.pattern import CLASSES, HIDDEN_UNITS, IMAGE_SIZE


@dataclass(frozen=True)
class Architecture:
    """A network, as the columns of table 1 describe it.

    Attributes:
        name: the column's heading.
        image_size: side of the input in pixels.
        blocks: the convolutions (filter size, channels) of each block, or `LRN`. A 2 x 2 maximum pooling with stride 2
            ends each block; padding keeps the size until then.
        units: of each fully connected layer.
        batch_normalization: whether each convolution is followed by it.
    """

    name: str
    image_size: int
    blocks: tuple[tuple[Convolution | str, ...], ...]
    units: tuple[int, ...]
    batch_normalization: bool = False


def layers_of(network: Architecture) -> tuple[Layer, ...]:
    """A network's layers from its input to its last fully connected layer, with their sizes."""
    return layers_in_pattern(
        network.image_size, network.blocks, network.units, batch_normalization=network.batch_normalization
    )


def weight_layers(network: Architecture) -> int:
    """How many layers have weights: the depth by which the columns of table 1 are known."""
    return sum(bool(layer.fan_in) for layer in layers_of(network))


def parameters(network: Architecture) -> int:
    """All parameters of a network: weights, biases, and the scales and shifts of batch normalization."""
    return sum(layer.parameters for layer in layers_of(network))


def _column(name: str, *blocks: tuple[Convolution | str, ...]) -> Architecture:
    return Architecture(name, 224, blocks, (4096, 4096, 1000))


def _conv3(times: int, channels: int, *then: Convolution | str) -> tuple[Convolution | str, ...]:
    return (*[(3, channels)] * times, *then)


# Table 1 of the report, which is table 1 of Simonyan and Zisserman, arXiv:1409.1556.
COLUMNS: Sequence[Architecture] = (
    _column("A", _conv3(1, 64), _conv3(1, 128), _conv3(2, 256), _conv3(2, 512), _conv3(2, 512)),
    _column("A-LRN", _conv3(1, 64, LRN), _conv3(1, 128), _conv3(2, 256), _conv3(2, 512), _conv3(2, 512)),
    _column("B", _conv3(2, 64), _conv3(2, 128), _conv3(2, 256), _conv3(2, 512), _conv3(2, 512)),
    _column(
        "C",
        _conv3(2, 64),
        _conv3(2, 128),
        _conv3(2, 256, (1, 256)),
        _conv3(2, 512, (1, 512)),
        _conv3(2, 512, (1, 512)),
    ),
    _column("D", _conv3(2, 64), _conv3(2, 128), _conv3(3, 256), _conv3(3, 512), _conv3(3, 512)),
    _column("E", _conv3(2, 64), _conv3(2, 128), _conv3(4, 256), _conv3(4, 512), _conv3(4, 512)),
)
COLUMN = {network.name: network for network in COLUMNS}

# The network that the report trains on 32 x 32 images: column E's first three blocks, and smaller layers behind them.
REPORT_EXPERIMENT = Experiment()
CONV_NN = Architecture(
    "Conv_NN",
    IMAGE_SIZE,
    tuple(
        ((REPORT_EXPERIMENT.filter_size, channels),) * convolutions
        for convolutions, channels in REPORT_EXPERIMENT.blocks
    ),
    (*[HIDDEN_UNITS] * (REPORT_EXPERIMENT.fully_connected_layers - 1), CLASSES),
    REPORT_EXPERIMENT.batch_normalization,
)
