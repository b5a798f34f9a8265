"""One run, wherever it is trained: what it needs, what it reports on the way, and how it ends."""

import contextlib
import errno
import io
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from reproduce.cli import explained
from reproduce.data.dataset import CACHE, Dataset
from reproduce.errors import BadInput, Failure, first_line
from reproduce.signals import ask_to_stop
from reproduce.store import runs
from reproduce.store.code_version import CodeVersion
from reproduce.store.history import History, has_diverged
from reproduce.sweep.jobs import Job
from reproduce.text import counted, duration

DONE, DIVERGED, FAILED, STOPPED = "done", "diverged", "failed", "stopped"
SECONDS_BETWEEN_REPORTS = 0.5
STORE_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Emit = Callable[[tuple], object]


class Source(NamedTuple):
    """Where a worker finds the images: the arrays themselves are not sent about."""

    data: str
    """a file or folder that every worker sees under this path, or 'synthetic'"""
    train_size: int
    test_size: int


def source_of(data: str | None, dataset: Dataset) -> Source:
    """Where a data set that was loaded from `data` (None: from the cache, or drawn) can be had again."""
    is_drawn = data == "synthetic" or (data is None and not CACHE.exists())
    where = "synthetic" if is_drawn else str(Path(data or CACHE).resolve())
    return Source(where, len(dataset.y_train), len(dataset.y_test))


class Task(NamedTuple):
    """A job with all that a worker needs for it."""

    job: Job
    store: Path
    """the folder of the results store"""
    marker: Path
    """a file of this sweep in the store, by which a worker sees whether its store is the same"""
    source: Source
    device: int
    engine: str
    label: str
    sweep: str
    """a name for all tasks of one command"""
    code: CodeVersion
    """of the command; a worker with another one would compute other numbers"""


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        kind: `done`, `diverged`, `failed`, or `stopped` on the way.
        text: its last epoch, or why it failed, in a few words.
    """

    kind: str
    text: str = ""


def ending(history: History) -> Outcome:
    """The outcome of a run that was trained to its end, or until it diverged."""
    last, took = history[-1], duration(sum(row.seconds for row in history))
    if has_diverged(history):
        return Outcome(DIVERGED, f"diverged in epoch {last.epoch}: the training loss is {last.train_loss}  ({took})")
    accuracies = f"Train accuracy {last.train_accuracy:.2f}, Test accuracy {last.test_accuracy:.2f}"
    return Outcome(DONE, f"{counted(len(history), 'epoch')}, {accuracies}  ({took})")


def failure(error: BaseException) -> Outcome:
    """The outcome of a run that raised, its reason in one line."""
    text, kind = first_line(error), type(error).__name__
    return Outcome(FAILED, text if text == kind or isinstance(error, (BadInput, Failure)) else f"{kind}: {text}")


class _Lines(io.TextIOBase):
    """A text stream that hands on whole lines, and is no terminal."""

    def __init__(self, hand_on: Callable[[str], object]) -> None:
        self._hand_on = hand_on
        self._unfinished = ""

    def write(self, text: str) -> int:
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._hand_on(line)
        return len(text)

    def end(self) -> None:
        """Hand on what came after the last line's end, if anything did."""
        if self._unfinished:
            self.write("\n")


def perform(task: Task, dataset: Dataset, emit: Emit, is_stopping: Callable[[], bool] = lambda: False) -> Outcome:
    """Train a task's run, unless it is there, and report on the way.

    Args:
        dataset: the run's own images.
        emit: called with (key, "epoch", text) for the report's line after each epoch, with (key, "line", text) for
            whatever else the run prints, and now and then with (key, "progress", epoch from 0, images done of it,
            images a second).
        is_stopping: asked after each batch; where it says so, the run is saved and ends.

    Raises:
        Interrupted: a signal, or `is_stopping`, asked to stop; what was done is saved.
        OSError: the results store is full, read-only or gone.
    """
    from reproduce.store.training_run import train

    key, place = task.job.key, [0, 0]
    reported, since = 0.0, 0

    def watch(epoch: int, images: int) -> None:
        nonlocal reported, since
        if is_stopping():
            ask_to_stop()
        place[:] = [epoch, (place[1] if epoch == place[0] else 0) + images]
        now = time.monotonic()
        if not reported:  # what comes before the first batch's end is no training: the engine may have been compiling
            reported = now
            return
        since += images
        if now - reported >= SECONDS_BETWEEN_REPORTS:
            emit((key, "progress", *place, since / (now - reported)))
            reported, since = now, 0

    lines = _Lines(lambda text: emit((key, "line", text)))
    folder = runs.run_folder(task.store, task.job.experiment)
    try:
        begin = runs.examine(folder, task.job.experiment).goes_on_from(task.job.epochs)
        emit((key, "progress", begin, 0, 0.0))
        with contextlib.redirect_stdout(lines), contextlib.redirect_stderr(lines):
            history = train(
                task.job.experiment,
                dataset,
                folder,
                task.job.epochs,
                device=task.device,
                engine_name=task.engine,
                label=task.label,
                watch=watch,
                print_epoch=lambda line: emit((key, "epoch", line)),
            )
    except OSError as error:
        # What the store itself suffers from, every further run would find out at the end of its first epoch.
        if error.errno in STORE_CANNOT_BE_WRITTEN or not task.store.exists():
            raise
        return failure(error)
    except Exception as error:  # whatever one run dies of, the others go on
        if explained(error) is None:  # a fault of this package, which its first line does not find
            emit((key, "line", f"{task.label}:\n{traceback.format_exc()}"))
        return failure(error)
    finally:
        lines.end()
    return ending(history)
