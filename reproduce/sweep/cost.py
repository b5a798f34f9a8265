"""What a run costs, told from its settings alone: operations, memory, disk. Nothing is built or trained for it."""

from reproduce.augmentation import COPIES
from reproduce.data.dataset import Dataset
from reproduce.experiment import Experiment
from reproduce.layers import Layer, layers_in_pattern
from reproduce.optimizers import OPTIMIZERS
from reproduce.pattern import CLASSES, HIDDEN_UNITS, IMAGE_SIZE, scaled

FLOAT, INDEX = 4, 8
# Python, Chainer, Numba and Dask, before the first array; measured on Linux, in both supported NumPys.
PROCESS_BYTES = 300 * 2**20
# experiment.json, history.csv, and provenance.json with the versions of about a hundred packages.
SIDE_FILES_BYTES = 16 * 2**10


def layers_of_experiment(experiment: Experiment) -> tuple[Layer, ...]:
    """The network of an experiment, from its input to its last fully connected layer."""
    blocks = [
        [(experiment.filter_size, scaled(channels, experiment.width))] * convolutions
        for convolutions, channels in experiment.blocks
    ]
    hidden = [scaled(HIDDEN_UNITS, experiment.width)] * (experiment.fully_connected_layers - 1)
    return layers_in_pattern(
        IMAGE_SIZE, blocks, [*hidden, CLASSES], experiment.pooling != "none", experiment.batch_normalization
    )


def parameters(experiment: Experiment) -> int:
    """How many numbers training changes."""
    return sum(layer.parameters for layer in layers_of_experiment(experiment))


def forward_operations(experiment: Experiment) -> int:
    """Floating point operations of one image's forward pass."""
    return sum(layer.operations for layer in layers_of_experiment(experiment))


def step_operations(experiment: Experiment) -> int:
    """Floating point operations for one image of a training step: forward, and backward to weights and to inputs.

    Each direction takes as many as the forward pass; the first layer's input is the image, which has no gradient.
    """
    with_weights = [layer.operations for layer in layers_of_experiment(experiment) if layer.operations]
    return 3 * sum(with_weights) - with_weights[0]


def training_images(experiment: Experiment, train_size: int) -> int:
    """Images in an epoch, augmentation included."""
    return train_size * COPIES[experiment.augmentation]


def training_operations(experiment: Experiment, train_size: int, test_size: int) -> int:
    """Floating point operations of one epoch: its training steps and its test."""
    steps = training_images(experiment, train_size) * step_operations(experiment)
    return steps + test_size * forward_operations(experiment)


def disk_bytes(experiment: Experiment, train_size: int) -> int:
    """What a finished run takes up in the results store: two checkpoints and its other files."""
    state = parameters(experiment) * (1 + OPTIMIZERS[experiment.optimizer].slots) * FLOAT
    order = training_images(experiment, train_size) * INDEX
    return 2 * (state + order + 2 * SIDE_FILES_BYTES) + SIDE_FILES_BYTES


def memory_bytes(experiment: Experiment, dataset: Dataset, is_unfolding: bool) -> int:
    """What a process that trains the run holds at its peak, about.

    Args:
        dataset: the images that it is trained on.
        is_unfolding: whether convolutions are matrix products of unfolded images, as in stock Chainer on a CPU.
    """
    copies = COPIES[experiment.augmentation]
    # Those that a seed draws lie beside the first ones, as copies do.
    made = dataset.x_train.nbytes * ((copies if copies > 1 else 0) + (dataset.whole is not None))
    images = dataset.nbytes + made
    weights = parameters(experiment) * (2 + OPTIMIZERS[experiment.optimizer].slots) * FLOAT
    # The image itself is counted above.
    inner = layers_of_experiment(experiment)[1:]
    # What a backward pass needs of the forward one: a convolution's output before and after normalization and after
    # ReLU; a pooling's output, where its maxima were, and the same after dropout, with its mask.
    kept = sum(layer.values * ((3 if experiment.batch_normalization else 2) if layer.window else 4) for layer in inner)
    largest = max((layer.values for layer in inner), default=0)
    # Unfolded images lie there twice: NumPy's tensordot copies them in the order of the product.
    unfolded = 2 * max((layer.window for layer in inner), default=0) if is_unfolding else 0
    return PROCESS_BYTES + images + weights + (kept + 2 * largest + unfolded) * FLOAT * experiment.batch_size
