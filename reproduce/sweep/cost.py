"""What a run costs, told from its settings alone: operations, memory, disk. Nothing is built or trained for it."""

from typing import NamedTuple

from reproduce.augmentation import COPIES
from reproduce.experiment import Experiment
from reproduce.optimizers import OPTIMIZERS
from reproduce.pattern import CLASSES, HIDDEN_UNITS, IMAGE_CHANNELS, IMAGE_SIZE, scaled

FLOAT, INDEX = 4, 8
IMAGE_BYTES = IMAGE_CHANNELS * IMAGE_SIZE**2 * FLOAT
# Python, Chainer, Numba and Dask, before the first array; measured on Linux, in both supported NumPys.
PROCESS_BYTES = 300 * 2**20
# experiment.json, history.csv, and provenance.json with the versions of about a hundred packages.
SIDE_FILES_BYTES = 16 * 2**10


class Layer(NamedTuple):
    """A convolution, pooling or fully connected layer.

    Attributes:
        name: `conv1_1`, `pool1`, `fc4`, ...; Conv_NN's own names for its links.
        operations: of one image's forward pass: a multiplication and an addition for each weight at each place, as in
            a direct convolution, those with the padding's zeros included. Other layers have so few that they are not
            counted.
        values: numbers in its output for one image.
        parameters: weights, biases, and the scales and shifts of batch normalization.
        window: numbers that the filter sees at all places together; what a convolution by matrix product unfolds.
    """

    name: str
    operations: int
    values: int
    parameters: int
    window: int = 0


def layers_of(experiment: Experiment) -> list[Layer]:
    """The network of an experiment, from its first convolution to its last fully connected layer."""
    layers, channels, size = [], IMAGE_CHANNELS, IMAGE_SIZE
    for i, (convolutions, block_channels) in enumerate(experiment.blocks, start=1):
        for j in range(1, convolutions + 1):
            window = channels * experiment.filter_size**2
            channels = scaled(block_channels, experiment.width)
            places = size * size
            parameters = window * channels + channels * (3 if experiment.batch_normalization else 1)
            layer = Layer(
                f"conv{i}_{j}", 2 * window * channels * places, channels * places, parameters, window * places
            )
            layers.append(layer)
        if experiment.pooling != "none":
            size //= 2
            layers.append(Layer(f"pool{i}", 0, channels * size * size, 0))
    units_in = channels * size * size
    hidden = [scaled(HIDDEN_UNITS, experiment.width)] * (experiment.fully_connected_layers - 1)
    for k, units in enumerate([*hidden, CLASSES], start=len(experiment.blocks) + 1):
        layers.append(Layer(f"fc{k}", 2 * units_in * units, units, (units_in + 1) * units))
        units_in = units
    return layers


def parameters(experiment: Experiment) -> int:
    """How many numbers training changes."""
    return sum(layer.parameters for layer in layers_of(experiment))


def forward_operations(experiment: Experiment) -> int:
    """Floating point operations of one image's forward pass."""
    return sum(layer.operations for layer in layers_of(experiment))


def step_operations(experiment: Experiment) -> int:
    """Floating point operations for one image of a training step: forward, and backward to weights and to inputs.

    Each direction takes as many as the forward pass; the first layer's input is the image, which has no gradient.
    """
    with_weights = [layer.operations for layer in layers_of(experiment) if layer.operations]
    return 3 * sum(with_weights) - with_weights[0]


def training_images(experiment: Experiment, train_size: int) -> int:
    """Images in an epoch, augmentation included."""
    return train_size * COPIES[experiment.augmentation]


def training_operations(experiment: Experiment, train_size: int, test_size: int) -> int:
    """Floating point operations of one epoch: its training steps and its test."""
    steps = training_images(experiment, train_size) * step_operations(experiment)
    return steps + test_size * forward_operations(experiment)


def disk_bytes(experiment: Experiment, train_size: int) -> int:
    """What a finished run takes up in the results store: two checkpoints and the files beside them."""
    state = parameters(experiment) * (1 + OPTIMIZERS[experiment.optimizer].slots) * FLOAT
    order = training_images(experiment, train_size) * INDEX
    return 2 * (state + order + 2 * SIDE_FILES_BYTES) + SIDE_FILES_BYTES


def memory_bytes(experiment: Experiment, train_size: int, test_size: int, is_unfolding: bool) -> int:
    """What a process that trains the run holds at its peak, about.

    Args:
        is_unfolding: whether convolutions are matrix products of unfolded images, as in stock Chainer on a CPU.
    """
    copies = COPIES[experiment.augmentation]
    images = (train_size + test_size + (train_size * copies if copies > 1 else 0)) * IMAGE_BYTES
    weights = parameters(experiment) * (2 + OPTIMIZERS[experiment.optimizer].slots) * FLOAT
    layers = layers_of(experiment)
    # What a backward pass needs of the forward one: a convolution's output before and after normalization and after
    # ReLU; a pooling's output, where its maxima were, and the same after dropout, with its mask.
    kept = sum(layer.values * ((3 if experiment.batch_normalization else 2) if layer.window else 4) for layer in layers)
    largest = max((layer.values for layer in layers), default=0)
    unfolded = max((layer.window for layer in layers), default=0) if is_unfolding else 0
    return PROCESS_BYTES + images + weights + (kept + 2 * largest + unfolded) * FLOAT * experiment.batch_size
