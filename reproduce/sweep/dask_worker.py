"""What a worker of a Dask cluster does: one run at a time, from its own copy of the images, into the shared store."""

import gc
import importlib
import signal
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from distributed import Status, Worker, WorkerPlugin, get_worker

from reproduce.data.dataset import Dataset, load
from reproduce.signals import Interrupted
from reproduce.store.code_version import CodeVersion, code_version, differences
from reproduce.sweep.task import FAILED, STOPPED, Outcome, Source, Task, failure, perform

# NumPy's global generator, which a run's numbers come from, is the process's: one run at a time.
one_at_a_time = threading.Lock()
_stopping: set[str] = set()
_is_closing = threading.Event()
_running: list[Task] = []
_loaded: dict[Source, Dataset] = {}


def run_task(task: Task) -> Outcome:
    """Train a task's run in a worker. The images are read where the worker is, and must be those of the experiment.

    Returns:
        How the run ended; nothing is raised, so that Dask never tries in vain what fails every time. What kills the
        process is another matter: then Dask gives the task to another worker.
    """
    worker = get_worker()

    def is_stopping() -> bool:
        return task.sweep in _stopping or _is_closing.is_set()

    with one_at_a_time:
        _running.append(task)
        try:
            if is_stopping():
                return Outcome(STOPPED)
            if found := why_unusable(task.marker, task.code, worker):
                return Outcome(FAILED, found)
            dataset = load_once(task.source).of_seed(task.job.experiment.seed)
            # Training looks as well; here the message can say whose file it is.
            dataset.check(task.job.experiment.data_fingerprint, f"{task.source.data} on {worker.address}")
            return perform(task, dataset, lambda event: worker.log_event(task.sweep, event), is_stopping)
        except Interrupted:
            return Outcome(STOPPED)
        except Exception as error:
            return failure(error)
        finally:
            _running.clear()


def load_once(source: Source) -> Dataset:
    """The images, kept for the worker's next run."""
    if source not in _loaded:
        _loaded.clear()
        _loaded[source] = load(source.data, source.train_size, source.test_size, may_be_synthetic=False)
    return _loaded[source]


def why_unusable(marker: Path, code: CodeVersion, dask_worker: Worker) -> str:
    """Why this worker cannot train runs into the store that `marker` is in; empty if it can.

    Args:
        code: of the command that asks.
        dask_worker: this worker. Dask's `Client.run` hands it on by this name, which so has to stay.
    """
    if dask_worker.state.nthreads != 1:
        return (
            f"worker {dask_worker.address} has {dask_worker.state.nthreads} threads; expected one run a process: "
            "dask worker --nthreads 1, and --nworkers for more"
        )
    if not marker.exists():
        return (
            f"worker {dask_worker.address} does not see {marker.parent}; expected the results folder to be shared, "
            "under the same path"
        )
    if found := differences(code_version(), code):
        return (
            f"worker {dask_worker.address} would compute other numbers than this command: {found}; "
            "install the same versions on both, and begin the worker again"
        )
    return ""


def stop(sweep: str) -> str | None:
    """Ask this worker to end its run of a sweep, and to begin no other; the key of the run, if there is one."""
    _stopping.add(sweep)
    return next((task.job.key for task in list(_running) if task.sweep == sweep), None)


class WorkerSetup(WorkerPlugin):
    """Sets a worker up for our runs: it saves its run when it is closed, and leaves signals to its command."""

    name = "conv-nn-report"

    def __init__(self, is_local: bool) -> None:
        self.is_local = is_local

    def setup(self, worker: Any) -> None:
        _is_closing.clear()
        # What the runs need is imported now: it is no garbage, and need not be looked through when the process ends.
        importlib.import_module("reproduce.store.training_run")
        code_version()
        gc.freeze()
        if threading.current_thread() is not threading.main_thread():
            return
        # A terminal sends SIGINT to every process of the command; only the command itself is to act on it.
        if self.is_local:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Slurm and systemd send SIGTERM to this process as well as to its nanny, or to the command. Without a nanny,
        # Dask has a handler of its own.
        if worker.nanny:
            signal.signal(signal.SIGTERM, partial(_terminate, worker, self.is_local))

    def teardown(self, worker: Any) -> None:
        # Another command's setup takes the place of these while the worker stays.
        if worker.status != Status.running:
            _is_closing.set()


def _terminate(worker: Worker, is_local: bool, number: int, frame: FrameType | None) -> None:
    """Have the run saved and the worker closed, or leave that to the command; a second time, end at once."""
    signal.signal(number, signal.SIG_DFL)
    if not is_local:
        # If the nanny was not told to end as well, it begins another worker.
        worker.loop.add_callback(worker.close, nanny=False, reason="SIGTERM")
    elif _is_closing.is_set():
        # The command has asked for that already, and has waited long enough.
        signal.raise_signal(number)
