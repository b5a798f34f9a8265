"""Small sweeps for the tests of the schedule, what workers do in them, and real schedulers and workers to break."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil
from distributed import get_worker

from reproduce.data.dataset import Dataset
from reproduce.experiment import Experiment
from reproduce.store import runs
from reproduce.store.code_version import code_version
from reproduce.store.history import History
from reproduce.sweep import dask_worker
from reproduce.sweep.jobs import Job
from reproduce.sweep.task import DONE, Outcome, Task, source_of
from tests.helpers.processes import ROOT, run_python

SIZES = 40, 20
OPTIONS = ("--profile=smoke", "--data=synthetic", "--engine=chainer", "--seeds=1")


def job(dataset: Dataset, seed: int = 0, epochs: int = 2, **settings) -> Job:
    """A run that takes a tenth of a second an epoch."""
    small = {"blocks": ((1, 4),), "width": 0.125, "batch_size": 10, "fully_connected_layers": 1}
    experiment = Experiment(data_fingerprint=dataset.fingerprint, seed=seed, **{**small, **settings})
    return Job(experiment, epochs, f"seed {seed}")


def tasks_of(jobs: list[Job], dataset: Dataset, store: Path) -> list[Task]:
    """Tasks on synthetic data, as `train_missing` makes them."""
    store.mkdir(parents=True, exist_ok=True)
    (store / ".marker").touch()
    source = source_of("synthetic", dataset)
    sweep = f"sweep-{time.monotonic_ns()}"
    code = code_version()
    return [Task(j, store, store / ".marker", source, -1, "chainer", j.label, sweep, code) for j in jobs]


def history_of(store: Path, wanted: Job) -> History:
    return runs.read_history(runs.run_folder(store, wanted.experiment))


def numbers(history: History) -> list[tuple]:
    """A history without the seconds that it took."""
    return [row[:-1] for row in history]


# What workers are given to do beside training; they find these functions by their names.


def nothing(task: Task) -> Outcome:
    return Outcome(DONE)


def whatever_the_label_says(task: Task) -> Outcome:
    """Die, raise, or train, as the label says."""
    if "dies" in task.label:
        os._exit(1)
    if "raises" in task.label:
        raise ValueError("asked to raise\nin two lines")
    return dask_worker.run_task(task)


def an_epoch_and_death(task: Task) -> Outcome:
    """Train one epoch more and die, until there is one left to do."""
    done = len(history_of(task.store, task.job))
    if done + 1 == task.job.epochs:
        return dask_worker.run_task(task)
    dask_worker.run_task(task._replace(job=task.job._replace(epochs=done + 1)))
    os._exit(1)


def meeting_another(task: Task) -> Outcome:
    """Wait until another task has begun as well."""
    (task.store / task.label).touch()
    when(lambda: len(list(task.store.glob("seed *"))) == 2, seconds=60)
    return Outcome(DONE)


def name_of_the_worker(task: Task) -> Outcome:
    """As the outcome's reason."""
    return Outcome(DONE, str(get_worker().name))


def settings_of_the_process(task: Task) -> Outcome:
    """The worker's thread settings, its malloc's, and its GPU, as the outcome's reason."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")
    names += ("CUDA_VISIBLE_DEVICES",)
    from threadpoolctl import threadpool_info

    threads = {library["num_threads"] for library in threadpool_info()}
    time.sleep(0.5)
    return Outcome(DONE, f"{[os.environ.get(name) for name in names]} {sorted(threads)} {task.device}")


def holder_of(folder: Path) -> int | None:
    """The process that trains a run, as its folder says."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((folder / ".holder").read_text().split()[1])
    return None


def when(is_true: Callable[[], object], seconds: float = 180) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def figure_2(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    """The command of figure 2 in a folder, on three runs of two epochs, to its end."""
    return run_python("-m", "figures.depth", *OPTIONS, *options, cwd=folder, OMP_NUM_THREADS="1", **environment)


def histories(folder: Path) -> dict[str, list[tuple]]:
    """All histories of a results folder but for their seconds, by key."""
    return {run.name: numbers(runs.read_history(run)) for run in (folder / "results/runs").iterdir()}


def begin(folder: Path, *options: str, before: Sequence[str] = (), **environment: str) -> subprocess.Popen:
    """The command of figure 2 in a session of its own, as a shell would begin it.

    Args:
        before: what begins the interpreter, and the arguments that come before it.
    """
    return subprocess.Popen(
        [*before, sys.executable, "-m", "figures.depth", *OPTIONS, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def session_of(leader: int) -> list[psutil.Process]:
    """The processes of a session that are alive."""
    alive = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def listening(processes: Iterable[psutil.Process]) -> list[tuple[str, int]]:
    """The addresses and ports at which processes listen."""
    found = []
    for process in processes:
        connections = process.net_connections if hasattr(process, "net_connections") else process.connections
        found += [tuple(c.laddr) for c in connections("tcp") if c.status == psutil.CONN_LISTEN]
    return found


@contextlib.contextmanager
def meanwhile(function: Callable[[], object]) -> Iterator[None]:
    """Call a function in a thread during the context; what it raises fails the test."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert not errors, errors
    assert not thread.is_alive()


def kill_in_mid_run(folder: Path, epochs: int) -> None:
    """SIGKILL for whoever trains a run, after `epochs` epochs of it."""
    when(lambda: _epochs(folder) >= epochs)
    process = holder_of(folder)
    assert process and process != os.getpid()
    os.kill(process, signal.SIGKILL)


def _epochs(folder: Path) -> int:
    history = folder / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def dask(*arguments: str, log: Path, before: Sequence[str] = (), **environment: str) -> Iterator[subprocess.Popen]:
    """`dask scheduler` or `dask worker`, ended with the context.

    Args:
        before: what begins the interpreter, and the arguments that come before it.
    """
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "dask", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        # Its own session: the worker processes of a nanny are in it, too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


class Wire:
    """A connection to a port on loopback that can be cut, and mended."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.ends: list[socket.socket] = []
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.is_cut = True
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.ends.clear()

    def mend(self) -> None:
        self.is_cut = False

    def _accept(self) -> None:
        while True:
            here, _ = self.server.accept()
            if self.is_cut:
                here.close()
                continue
            try:
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # the scheduler is not there at the moment
                here.close()
                continue
            self.ends += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(2**16):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
