"""The report's training loop and test, section 8, with a checkpoint after every epoch."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chainer
import numpy as np
from chainer import cuda, optimizers
from tqdm import tqdm

from reproduce import checkpoint, engine, results
from reproduce.augmentation import augment
from reproduce.checkpoint import NOTHING_DONE, Progress, Unfinished
from reproduce.data import Dataset
from reproduce.devices import check_device, number, unit_range, uploaded
from reproduce.experiment import Experiment
from reproduce.files import set_aside
from reproduce.history import EpochRecord, History, is_complete
from reproduce.interruption import deferred, is_asked_to_stop, stop_if_asked
from reproduce.network import Conv_NN
from reproduce.provenance import provenance


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


def build_optimizer(experiment: Experiment) -> chainer.GradientMethod:
    """The experiment's optimizer, not yet set up with a network."""
    if experiment.optimizer == "Adam":
        return optimizers.Adam(
            alpha=experiment.learning_rate, beta1=experiment.beta1, beta2=experiment.beta2, eps=experiment.epsilon
        )
    if experiment.optimizer == "MomentumSGD":
        return optimizers.MomentumSGD(lr=experiment.learning_rate, momentum=experiment.momentum)
    return optimizers.RMSprop(lr=experiment.learning_rate, alpha=experiment.alpha, eps=experiment.epsilon)


def Calculate_Test_Accuracy(
    x_test: np.ndarray, y_test: np.ndarray, model: Conv_NN, GPU_on: bool, batch_size: int
) -> tuple[float, float]:
    """Mean loss and accuracy in percent over the test images.

    The report averages over batches; here each batch counts by its images, which is the same number whenever
    `batch_size` divides the set.

    Args:
        x_test, y_test: (N, 3, 32, 32) float32, or uint8 to be divided by 255, and (N,) int32; on the network's device.
    """
    test_loss_total = test_accuracy_total = 0.0
    with chainer.using_config("train", False), chainer.using_config("enable_backprop", False):
        for i in range(0, len(y_test), batch_size):
            x_batch, y_batch = unit_range(x_test[i : i + batch_size]), y_test[i : i + batch_size]
            loss, accuracy = model(x_batch, y_batch)
            test_loss_total += number(loss.array, GPU_on) * len(y_batch)
            test_accuracy_total += 100.0 * number(accuracy.array, GPU_on) * len(y_batch)
    return float(test_loss_total) / len(y_test), float(test_accuracy_total) / len(y_test)


def train_epoch(
    model: Conv_NN,
    optimizer: chainer.GradientMethod,
    x_train: np.ndarray,
    y_train: np.ndarray,
    order: np.ndarray,
    GPU_on: bool,
    batch_size: int,
    done: Unfinished = NOTHING_DONE,
    count: Callable[[int], object] = lambda images: None,
) -> tuple[np.ndarray, Unfinished]:
    """One pass of the report's loop: shuffle, mini-batches, forward, backward, update.

    It ends early where a signal asks to stop and, on the CPU, where the loss is infinite or not a number: on a GPU,
    nothing is fetched before the epoch's end, and a loss that was no number stays none.

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
    next_image = first_image
    (order_there,) = uploaded(order, GPU_on=GPU_on)
    for i in range(first_image, len(order), batch_size):
        chosen = order_there[i : i + batch_size]
        x_batch, y_batch = unit_range(x_train[chosen]), y_train[chosen]
        model.cleargrads()
        loss, accuracy = model(x_batch, y_batch)
        epoch_loss += number(loss.array, GPU_on)
        epoch_accuracy += number(accuracy.array, GPU_on)
        batch_counter += 1
        if not GPU_on and not math.isfinite(epoch_loss):
            break
        loss.backward()
        optimizer.update()
        next_image = i + len(y_batch)
        count(len(y_batch))
        if is_asked_to_stop():
            break
    return order, Unfinished(next_image, float(epoch_loss), float(epoch_accuracy), batch_counter)


def train(
    experiment: Experiment,
    dataset: Dataset,
    folder: Path,
    epochs: int,
    device: int = -1,
    engine_name: str = "auto",
    label: str = "",
    watch: Callable[[int, int], object] = lambda epoch, images: None,
) -> History:
    """Train a run up to so many epochs, going on from its checkpoint if there is one.

    Writes experiment.json, history.csv, checkpoint.npz and provenance.json into `folder`, and prints the report's
    line after each epoch. Damaged files are set aside, each with a line, and the run goes on from what is whole.

    Args:
        dataset: the images themselves; its fingerprint is the experiment's.
        device: -1 for the CPU, or a GPU's number.
        engine_name: auto, chainer or fast.
        label: what the progress bar calls this run.
        watch: called after each batch with the epoch that it is of, from 0, and its number of images.

    Returns:
        The history of all epochs so far. Its last loss is infinite or not a number if the run has diverged.

    Raises:
        BadInput: the folder holds another experiment, or the device or engine is not there.
        Interrupted: a signal asked to stop; what was done is saved.
    """
    check_device(device)
    engine_used = engine.resolve(engine_name, device)
    with results.locked(folder), engine.using(engine_used), deferred():
        finding = results.examine(folder, experiment)
        results.repair(folder, experiment, finding)
        if is_complete(finding.history, epochs):
            return finding.history
        results.forget_record(folder)
        finding = results.examine(folder, experiment)
        origin = provenance(dataset, engine_used, device, finding.provenance, len(finding.history))
        return _train_epochs(experiment, dataset, folder, epochs, device, label, origin, watch)


def _train_epochs(
    experiment: Experiment,
    dataset: Dataset,
    folder: Path,
    epochs: int,
    device: int,
    label: str,
    origin: dict[str, Any],
    watch: Callable[[int, int], object],
) -> History:
    GPU_on = device >= 0
    x_train, y_train = augment(dataset.x_train, dataset.y_train, experiment.augmentation)
    model, optimizer, progress = _restored(experiment, folder, device, len(y_train))
    x_train, y_train, x_test, y_test = uploaded(x_train, y_train, dataset.x_test, dataset.y_test, GPU_on=GPU_on)
    order, history, done = progress
    images = len(order) * (epochs - len(history))
    with tqdm(
        total=images, initial=done.next_image, desc=label, unit=" images", leave=False, disable=not sys.stderr.isatty()
    ) as bar:

        def count(images: int) -> None:
            bar.update(images)
            watch(len(history), images)

        while not is_complete(history, epochs):
            started = time.perf_counter() - done.seconds
            epoch = len(history)
            if GPU_on:
                # CuPy's generator, which draws the dropout masks there, has no state that can be saved.
                cuda.cupy.random.seed((experiment.seed * 1_000_003 + epoch) % 2**32)
            order, done = train_epoch(
                model, optimizer, x_train, y_train, order, GPU_on, experiment.batch_size, done, count
            )
            train_loss = done.loss / done.batches
            if done.next_image == len(order) or not math.isfinite(train_loss):
                train_accuracy, test_loss, test_accuracy = math.nan, math.nan, math.nan
                if math.isfinite(train_loss):
                    train_accuracy = 100.0 * done.accuracy / done.batches
                    test_loss, test_accuracy = Calculate_Test_Accuracy(
                        x_test, y_test, model, GPU_on, experiment.batch_size
                    )
                seconds = round(time.perf_counter() - started, 3)
                history = [*history, EpochRecord(epoch, train_loss, train_accuracy, test_loss, test_accuracy, seconds)]
                done = NOTHING_DONE
                tqdm.write(_epoch_line(history[-1], label))
            else:
                done = done._replace(seconds=time.perf_counter() - started)
            # On a GPU the generator of the masks cannot go on in the middle of an epoch: there the epoch begins again.
            if done is NOTHING_DONE or not GPU_on:
                checkpoint.save(folder, experiment.settings(), origin, model, optimizer, Progress(order, history, done))
                results.write_side_files(folder, experiment, history, origin)
            stop_if_asked()
    return history


def _restored(
    experiment: Experiment, folder: Path, device: int, train_size: int
) -> tuple[Conv_NN, chainer.GradientMethod, Progress]:
    """Network, optimizer and progress as the newest whole checkpoint has them, or as a run begins."""
    for name in (checkpoint.LATEST, checkpoint.PREVIOUS, None):
        np.random.seed(experiment.seed)
        model = build_model(experiment)
        if device >= 0:
            cuda.get_device_from_id(device).use()
            model.to_gpu()
        optimizer = build_optimizer(experiment)
        optimizer.setup(model)
        if name and (folder / name).exists():
            try:
                return model, optimizer, checkpoint.load(folder / name, model, optimizer)
            except checkpoint.Damaged as error:
                set_aside(folder / name, str(error))
    return model, optimizer, Progress(np.arange(train_size), [], NOTHING_DONE)


def _epoch_line(row: EpochRecord, label: str) -> str:
    """The line that the report prints after each epoch, behind the run's name."""
    prefix = f"{label}: " if label else ""
    if not math.isfinite(row.train_loss):
        return f"{prefix}Epoch {row.epoch}, diverged: the training loss is {row.train_loss}"
    return (
        f"{prefix}Epoch {row.epoch}, Train accuracy {row.train_accuracy:.2f}, Test accuracy {row.test_accuracy:.2f}"
        f"  ({row.seconds:.1f} s)"
    )
