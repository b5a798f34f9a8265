"""Compiling ahead of time, in as many processes as there are cores.

A computation is rehearsed: its Python part runs, and its loops are only noted. What is missing on disk of their machine
code is then compiled by helpers, each of which takes the next function that nobody has taken yet. This process waits
for them, since the compiler cannot be interrupted, and a helper can be ended. A helper that fails leaves its part to
whoever runs the loop first.
"""

import contextlib
import gc
import importlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numba.core import types

from reproduce import engine
from reproduce.engine import compilation, thread_pool, threads

# A network needs some forty functions, and each helper 100 MB and more.
MOST_HELPERS = 16
# A compiled function's module and name, and the types of its arguments.
Task = tuple[str, str, tuple[types.Type, ...]]


def _function(task: Task) -> Callable:
    return getattr(importlib.import_module(task[0]), task[1])


def _is_compiled(task: Task) -> bool:
    return _function(task)._cache.has(task[2])


def rehearse(computation: Callable[[], None]) -> list[Task]:
    """All that a computation's loops need compiled, each once. Nothing is computed: its arrays hold anything."""
    import chainer

    tasks: dict[str, Task] = {}

    def add(needed: Iterable[threads.Compiled]) -> None:
        for function, signature in needed:
            task = (function.__module__, function.__name__, signature)
            tasks.setdefault(repr(task), task)

    add(threads.ALWAYS_NEEDED)
    state = np.random.get_state()
    threads.rehearsal.note = lambda kernel, arguments: add(threads.needed(kernel, threads.kinds_of(arguments)))
    try:
        with (
            engine.using("fast"),
            chainer.using_config("debug", False),
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            computation()
    finally:
        threads.rehearsal.note = None
        np.random.set_state(state)
    return list(tasks.values())


def _start_helpers() -> list[subprocess.Popen]:
    program = "import sys; from reproduce.engine.preparation import help_with; help_with(sys.stdin.buffer)"
    return [
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        for _ in range(min(threads.COUNT, MOST_HELPERS))
    ]  # fmt: skip


def _compile(missing: list[Task], helpers: list[subprocess.Popen], meanwhile: Callable[[], None]) -> None:
    # What takes longest comes first, so that nobody is still at it when the others have ended.
    missing.sort(key=lambda task: -len(_function(task).py_func.__code__.co_code))
    with tempfile.TemporaryDirectory(prefix="engine-") as taken:
        try:
            for helper in helpers:
                with contextlib.suppress(BrokenPipeError):  # it has failed already
                    helper.stdin.write(pickle.dumps((missing, taken)))
                    helper.stdin.close()
            while any(helper.poll() is None for helper in helpers):
                meanwhile()
                time.sleep(0.05)
        finally:
            _end(helpers)  # before their folder goes


def _end(helpers: list[subprocess.Popen]) -> None:
    for helper in helpers:
        helper.terminate()
        helper.wait()


def help_with(tasks) -> None:
    """What a helper does: compile what stands in a list that its parent writes to it, unless another helper does."""
    gc.disable()  # the compiler makes much that lives on, and searching it for garbage takes a tenth of the time
    thread_pool.launch.typingctx.refresh()  # Numba reads all that it can compile, in the time that the parent rehearses
    thread_pool.launch.targetctx.refresh()
    take(*pickle.load(tasks))


def take(tasks: Sequence[Task], taken: str) -> None:
    """Compile what no other process has taken: a file in `taken` says what has been."""
    for number, task in enumerate(tasks):
        try:
            Path(taken, str(number)).touch(exist_ok=False)
        except OSError:
            continue
        _function(task).compile(task[2])


def _every_loop() -> None:
    """A computation on small arrays that runs every loop of the engine."""
    import chainer
    import chainer.functions as F

    def convolve(taps: int, channels: int, pool: Callable) -> None:
        x = np.zeros((2, channels, 6, 6), np.float32)
        weights = chainer.Parameter(np.zeros((16, channels, taps, taps), np.float32))
        bias, gamma, beta = (chainer.Parameter(np.zeros(16, np.float32)) for _ in range(3))
        h = F.convolution_2d(chainer.Variable(x), weights, bias, pad=taps // 2)
        h = F.relu(F.batch_normalization(h, gamma, beta))
        h = F.dropout(pool(h, 2, 2), 0.5, mask=None)
        h = F.relu(F.batch_normalization(F.reshape(h, (len(x), -1))[:, :16], gamma, beta))
        F.sum(F.dropout(h)).backward()

    with chainer.using_config("train", True), chainer.using_config("enable_backprop", True):
        for taps, channels in ((3, 3), (3, 16), (5, 16), (7, 16)):
            convolve(taps, channels, F.max_pooling_2d if taps == 3 else F.average_pooling_2d)
        wide = chainer.Parameter(np.zeros((16, 16), np.float32))
        F.sum(F.linear(chainer.Variable(np.zeros((2, 16), np.float32)), wide, wide[0])).backward()
        for optimizer in (chainer.optimizers.Adam, chainer.optimizers.MomentumSGD, chainer.optimizers.RMSprop):
            link = chainer.Link()
            with link.init_scope():
                link.parameter = chainer.Parameter(np.zeros(16, np.float32))
            optimizer().setup(link).update()


def prepare(computation: Callable[[], None] | None, meanwhile: Callable[[], None]) -> None:
    """Compile what a computation needs, or the whole engine, on all cores, unless it is on disk.

    Args:
        meanwhile: called again and again; what it raises ends the compiling.
    """
    if compilation.folder() is None:
        return
    share, signature = threads.ALWAYS_NEEDED[0]
    # Where nothing is compiled yet, helpers start, which takes a second, while this process rehearses.
    helpers = [] if share._cache.has(signature) else _start_helpers()
    try:
        missing = [task for task in rehearse(computation or _every_loop) if not _is_compiled(task)]
        if missing:
            helpers = helpers or _start_helpers()
            _compile(missing, helpers, meanwhile)
    finally:
        _end(helpers)
