"""The report's training loop and test, section 8."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import chainer
import numpy as np
from chainer import cuda
from chainer.backend import Device

from reproduce.data.hdf5 import to_unit_range
from reproduce.devices import as_total, is_gpu, send
from reproduce.experiment import Experiment
from reproduce.network import Conv_NN
from reproduce.optimizers import build_optimizer
from reproduce.signals import is_asked_to_stop


class PartialEpoch(NamedTuple):
    """An epoch that was stopped between two of its steps."""

    next_image: int = 0
    """how many images of the epoch have been used; 0 before the epoch's shuffle"""
    loss: float = 0.0
    accuracy: float = 0.0
    batches: int = 0
    """sums over the batches so far, and their number"""
    seconds: float = 0.0


EPOCH_START = PartialEpoch()


def build_model(experiment: Experiment) -> Conv_NN:
    """The experiment's network, its weights drawn from NumPy's global generator."""
    return Conv_NN(
        blocks=experiment.blocks,
        filter_size=experiment.filter_size,
        pooling=experiment.pooling,
        batch_normalization=experiment.batch_normalization,
        dropout=experiment.dropout,
        width=experiment.width,
        fully_connected_layers=experiment.fully_connected_layers,
        initial_scale=experiment.initial_scale,
    )


def build(experiment: Experiment, device: Device) -> tuple[Conv_NN, chainer.GradientMethod]:
    """The experiment's network and optimizer as a run begins with them, on their device.

    NumPy's global generator is seeded here and nowhere else. It is used up in the report's order: the initial weights,
    then for each epoch one permutation and each batch's dropout masks.
    """
    np.random.seed(experiment.seed)
    model = build_model(experiment)
    device.use()
    model.to_device(device)
    optimizer = build_optimizer(experiment)
    optimizer.setup(model)
    return model, optimizer


def Calculate_Test_Accuracy(
    x_test: np.ndarray, y_test: np.ndarray, model: Conv_NN, batch_size: int
) -> tuple[float, float]:
    """Mean loss and accuracy in percent over the test images.

    The report averages over batches; here each batch counts by its images, which is the same number whenever
    `batch_size` divides the set.

    Args:
        x_test, y_test: (N, 3, 32, 32) float32, or uint8 to be divided by 255, and (N,) int32; on the network's device.

    Returns:
        Loss (softmax cross-entropy, natural logarithm) and accuracy, percent.
    """
    test_loss_total = test_accuracy_total = 0.0
    with chainer.using_config("train", False), chainer.using_config("enable_backprop", False):
        for i in range(0, len(y_test), batch_size):
            x_batch, y_batch = to_unit_range(x_test[i : i + batch_size]), y_test[i : i + batch_size]
            loss, accuracy = model(x_batch, y_batch)
            test_loss_total += as_total(loss.array) * len(y_batch)
            test_accuracy_total += 100.0 * as_total(accuracy.array) * len(y_batch)
    return float(test_loss_total) / len(y_test), float(test_accuracy_total) / len(y_test)


def train_epoch(
    model: Conv_NN,
    optimizer: chainer.GradientMethod,
    x_train: np.ndarray,
    y_train: np.ndarray,
    order: np.ndarray,
    batch_size: int,
    done: PartialEpoch = EPOCH_START,
    count: Callable[[int], object] = lambda images: None,
) -> tuple[np.ndarray, PartialEpoch]:
    """One pass of the report's loop: shuffle, mini-batches, forward, backward, update.

    It ends early where a signal asks to stop and, on the CPU, where the loss is infinite or NaN. On a GPU the loss is
    checked after the epoch, because to read it after each batch is to wait for the GPU; NaN stays NaN in the sum.

    Args:
        x_train, y_train: (N, 3, 32, 32) float32, or uint8 to be divided by 255, and (N,) int32, in the order of the
            file; on the network's device.
        order: (N,) which image stands where in the set as the epochs before have shuffled it.
        done: what an interrupted run has already done of this epoch; then `order` is already shuffled for it.
        count: called after each batch with its number of images.

    Returns:
        The set's new order, and the sums over what is now done of this epoch.
    """
    first_image, epoch_loss, epoch_accuracy, batch_counter, _ = done
    if first_image == 0:
        # The report shuffles the images themselves; shuffling their numbers gives the same batches, in less memory.
        I_permutation = np.random.permutation(len(order))
        order = order[I_permutation]
    next_image, GPU_on = first_image, is_gpu(model.device)
    order_there = send(model.device, order)
    for i in range(first_image, len(order), batch_size):
        chosen = order_there[i : i + batch_size]
        x_batch, y_batch = to_unit_range(x_train[chosen]), y_train[chosen]
        model.cleargrads()
        loss, accuracy = model(x_batch, y_batch)
        epoch_loss += as_total(loss.array)
        epoch_accuracy += as_total(accuracy.array)
        batch_counter += 1
        if not GPU_on and not math.isfinite(epoch_loss):
            break
        loss.backward()
        optimizer.update()
        next_image = i + len(y_batch)
        count(len(y_batch))
        if is_asked_to_stop():
            break
    return order, PartialEpoch(next_image, float(epoch_loss), float(epoch_accuracy), batch_counter)


# What the report prints after an epoch, and more: the epoch, train loss and accuracy, test loss and accuracy, seconds.
# Where the run has diverged, the train loss is infinite or NaN, and all that follows it NaN.
Measured = tuple[int, float, float, float, float, float]


def train_epochs(
    model: Conv_NN,
    optimizer: chainer.GradientMethod,
    images: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    order: np.ndarray,
    epochs: Iterable[int],
    experiment: Experiment,
    done: PartialEpoch = EPOCH_START,
    count: Callable[[int], object] = lambda images: None,
) -> Iterator[tuple[np.ndarray, PartialEpoch, Measured | None]]:
    """The report's loop, `for epoch in range(num_epochs)`: train on all images, then test.

    It ends where a signal asks to stop, perhaps between two steps of an epoch, and where the loss is infinite or NaN.

    Args:
        images: x_train, y_train, x_test and y_test, as `train_epoch` and `Calculate_Test_Accuracy` take them.
        order, done, count: as `train_epoch` takes them.
        epochs: those that are still to be trained.
        experiment: that the network is of: its batch size, and its seed, which a GPU's dropout masks come from.

    Yields:
        After each epoch the set's new order, EPOCH_START and what was measured; after a part of one the order, what is
        done of it, and None.
    """
    x_train, y_train, x_test, y_test = images
    for epoch in epochs:
        started = time.perf_counter() - done.seconds
        if is_gpu(model.device):
            # CuPy's generator, which draws the dropout masks there, has no state that can be saved.
            cuda.cupy.random.seed((experiment.seed * 1_000_003 + epoch) % 2**32)
        order, done = train_epoch(model, optimizer, x_train, y_train, order, experiment.batch_size, done, count)
        train_loss = done.loss / done.batches
        if not math.isfinite(train_loss):
            seconds = round(time.perf_counter() - started, 3)
            yield order, EPOCH_START, (epoch, train_loss, math.nan, math.nan, math.nan, seconds)
            return
        if done.next_image < len(order):
            yield order, done._replace(seconds=time.perf_counter() - started), None
            return
        train_accuracy = 100.0 * done.accuracy / done.batches
        test_loss, test_accuracy = Calculate_Test_Accuracy(x_test, y_test, model, experiment.batch_size)
        seconds = round(time.perf_counter() - started, 3)
        done = EPOCH_START
        yield order, done, (epoch, train_loss, train_accuracy, test_loss, test_accuracy, seconds)
