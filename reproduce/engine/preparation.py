"""Compiling ahead of time, in as many processes as there are cores.

A computation is rehearsed: its Python part runs, and its loops are only noted. What is missing on disk of their machine
code is then compiled by helpers, each of which takes the next loop that nobody has taken yet. This process waits for
them, since the compiler cannot be interrupted, and a helper can be ended. A helper that fails leaves its part to
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
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numba.core import types

from reproduce import engine
from reproduce.engine import compilation, pool, threads

# A kernel's module and name, and the types of its own arguments.
Loop = tuple[str, str, list[types.Type]]


def _kernel(loop: Loop) -> Callable:
    return getattr(importlib.import_module(loop[0]), loop[1])


def _is_compiled(loop: Loop) -> bool:
    kinds = loop[2]
    return _kernel(loop)._cache.has((types.int64,) * 3 + tuple(pool.plain(kind) for kind in kinds))


def rehearse(computation: Callable[[], None]) -> list[Loop]:
    """Every loop that a computation runs, each once. Nothing is computed: its arrays hold anything."""
    import chainer

    loops: dict[str, Loop] = {}

    def note(kernel: Callable, arguments: tuple) -> None:
        loop = (kernel.__module__, kernel.__name__, threads.kinds_of(arguments))
        loops.setdefault(repr(loop), loop)

    state = np.random.get_state()
    threads.rehearsal.note = note
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
    return list(loops.values())


def compile_loops(loops: Sequence[Loop], meanwhile: Callable[[], None]) -> None:
    """Compile those loops that are not on disk yet, on all cores.

    Args:
        meanwhile: called again and again; what it raises ends the compiling.
    """
    missing = [loop for loop in loops if not _is_compiled(loop)]
    if not missing or compilation.folder() is None:
        return
    # What takes longest comes first, so that nobody is still at it when the others have ended.
    missing.sort(key=lambda loop: -len(_kernel(loop).py_func.__code__.co_code))
    with tempfile.TemporaryDirectory(prefix="engine-") as taken:
        helpers = [_start_helper(missing, taken) for _ in range(min(threads.COUNT, len(missing)))]
        try:
            while any(helper.poll() is None for helper in helpers):
                meanwhile()
                time.sleep(0.05)
        finally:
            for helper in helpers:
                helper.terminate()
                helper.wait()


def _start_helper(loops: Sequence[Loop], taken: str) -> subprocess.Popen:
    program = "import sys; from reproduce.engine.preparation import help_with; help_with(sys.stdin.buffer)"
    helper = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    with contextlib.suppress(BrokenPipeError):  # it has failed already
        helper.stdin.write(pickle.dumps((loops, taken)))
        helper.stdin.close()
    return helper


def help_with(task) -> None:
    """What a helper does: take loops of the list that its parent has written to it."""
    gc.disable()  # the compiler makes much that lives on, and searching it for garbage takes a tenth of the time
    take(*pickle.load(task))


def take(loops: Sequence[Loop], taken: str) -> None:
    """Compile the loops of a list that no other process has taken: a file in `taken` says which have been."""
    for number, loop in enumerate(loops):
        try:
            Path(taken, str(number)).touch(exist_ok=False)
        except OSError:
            continue
        threads.compile_for(_kernel(loop), loop[2])


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
        for rule in (
            chainer.optimizers.adam.AdamRule(),
            chainer.optimizers.momentum_sgd.MomentumSGDRule(),
            chainer.optimizers.rmsprop.RMSpropRule(),
        ):
            parameter = chainer.Parameter(np.zeros(16, np.float32))
            parameter.grad = np.zeros(16, np.float32)
            rule.update(parameter)


def prepare(computation: Callable[[], None] | None, meanwhile: Callable[[], None]) -> None:
    """Compile the loops of a computation, or of the whole engine, unless they are on disk."""
    compile_loops(rehearse(computation or _every_loop), meanwhile)
