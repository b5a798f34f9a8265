"""Trains a run into its folder of the results store: it goes on from its checkpoint, and saves after every epoch."""

import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import chainer
import numpy as np
from chainer.backend import Device
from tqdm import tqdm

from reproduce import engine
from reproduce.augmentation import augment
from reproduce.data.dataset import Dataset
from reproduce.devices import get_device, is_gpu, resolve_engine, send
from reproduce.experiment import Experiment
from reproduce.files import set_aside
from reproduce.network import Conv_NN
from reproduce.signals import deferred, stop_if_asked
from reproduce.store import checkpoint, runs
from reproduce.store.checkpoint import Progress
from reproduce.store.history import EpochRecord, History, is_complete
from reproduce.store.provenance import provenance
from reproduce.training import EPOCH_START, Calculate_Test_Accuracy, build, train_epochs


def train(
    experiment: Experiment,
    dataset: Dataset,
    folder: Path,
    epochs: int,
    device: int = -1,
    engine_name: str = "auto",
    label: str = "",
    watch: Callable[[int, int], object] = lambda epoch, images: None,
    print_epoch: Callable[[str], object] = tqdm.write,
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
        print_epoch: called after each epoch with the report's line.

    Returns:
        The history of all epochs so far. Its last loss is infinite or NaN if the run has diverged.

    Raises:
        BadInput: the experiment is of other images, the folder holds another one, or the device or engine is not there.
        OSError: a file of the run is there and cannot be read now; it is left alone.
        Interrupted: a signal asked to stop; what was done is saved.
    """
    on = get_device(device)
    engine_used = resolve_engine(engine_name, device)
    dataset.check(experiment.data_fingerprint, dataset.name)
    with runs.locked(folder), engine.using(engine_used, device), deferred():
        finding = runs.examine(folder, experiment)
        runs.repair(folder, experiment, finding)
        if is_complete(finding.history, epochs):
            return finding.history
        earlier = finding.begun.provenance if finding.begun else None
        origin = partial(provenance, dataset, engine_used, device, earlier)
        return _train_epochs(experiment, dataset, folder, epochs, on, label, origin, watch, print_epoch)


def _train_epochs(
    experiment: Experiment,
    dataset: Dataset,
    folder: Path,
    epochs: int,
    device: Device,
    label: str,
    originate: Callable[[int], dict[str, Any]],
    watch: Callable[[int, int], object],
    print_epoch: Callable[[str], object],
) -> History:
    # Compiling takes long on a busy machine, and there is nothing to save yet.
    engine.prepare(lambda: _rehearse(experiment, device), meanwhile=stop_if_asked)
    x_train, y_train = augment(dataset.x_train, dataset.y_train, experiment.augmentation)
    model, optimizer, progress = _restored(experiment, folder, device, len(y_train))
    arrays = (x_train, y_train, dataset.x_test, dataset.y_test)
    images = tuple([send(device, array) for array in arrays])
    order, history, done = progress
    origin = originate(len(history))
    total = len(order) * (epochs - len(history))
    with tqdm(
        total=total, initial=done.next_image, desc=label, unit=" images", leave=False, disable=not sys.stderr.isatty()
    ) as bar:

        def count(images: int) -> None:
            bar.update(images)
            watch(len(history), images)

        remaining = () if is_complete(history, epochs) else range(len(history), epochs)
        trained = train_epochs(model, optimizer, images, order, remaining, experiment, done, count)
        for order, done, measured in trained:
            if measured is not None:
                history = [*history, EpochRecord(*measured)]
                print_epoch(_epoch_line(history[-1], label))
            # On a GPU the generator of the masks cannot go on in the middle of an epoch: there the epoch begins again.
            if measured is not None or not is_gpu(device):
                checkpoint.save(folder, experiment.settings(), origin, model, optimizer, Progress(order, history, done))
                runs.keep_up(folder, experiment, history, origin)
            stop_if_asked()
    return history


def _rehearse(experiment: Experiment, device: Device) -> None:
    """What a run does with each batch, on a network of its own."""
    model, optimizer = build(experiment, device)
    images, labels = np.zeros((2, 3, 32, 32), np.float32), np.zeros(2, np.int32)
    loss, _ = model(images, labels)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    Calculate_Test_Accuracy(images, labels, model, batch_size=2)


def _restored(
    experiment: Experiment, folder: Path, device: Device, train_size: int
) -> tuple[Conv_NN, chainer.GradientMethod, Progress]:
    """Network, optimizer and progress as the newest whole checkpoint has them, or as a run begins."""
    for name in (checkpoint.LATEST, checkpoint.PREVIOUS, None):
        model, optimizer = build(experiment, device)
        if name:
            try:
                progress = checkpoint.load(folder / name, model, optimizer)
                if len(progress.order) != train_size:
                    raise checkpoint.Damaged(f"of {len(progress.order)} images; expected {train_size}")
                return model, optimizer, progress
            except FileNotFoundError:
                continue
            except checkpoint.Damaged as error:
                set_aside(folder / name, str(error))
    return model, optimizer, Progress(np.arange(train_size), [], EPOCH_START)


def _epoch_line(row: EpochRecord, label: str) -> str:
    """The line that the report prints after each epoch, behind the run's name."""
    prefix = f"{label}: " if label else ""
    if not math.isfinite(row.train_loss):
        return f"{prefix}Epoch {row.epoch}, diverged: the training loss is {row.train_loss}"
    return (
        f"{prefix}Epoch {row.epoch}, Train accuracy {row.train_accuracy:.2f}, Test accuracy {row.test_accuracy:.2f}"
        f"  ({row.seconds:.1f} s)"
    )
