"""The fast engine behind Chainer's own functions.

Inside `using("fast")`, Chainer's convolutions, batch normalizations, pooling, ReLU, dropout, linear layers and
optimizer updates on float32 NumPy arrays are computed by this package; whatever it does not cover is left to Chainer.
Importing this module is cheap: Numba is imported, and Chainer's functions are wrapped, when the engine is first used.
On a GPU it is no more than `reproduce.engine.gpu`: cuDNN's convolutions, and batch normalization.
"""

import contextlib
import contextvars
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator

NAMES = ("auto", "chainer", "fast")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> int:
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal() and int(os.environ[name]) > 0:
            return int(os.environ[name])
    return cores()


# Read once: results may depend on how sums are split, and the same seed must give the same bits throughout a process.
THREADS = _threads()

_current: contextvars.ContextVar[str] = contextvars.ContextVar("engine", default="chainer")
# Chainer's functions are wrapped once, however many threads begin at the same time.
_installing = threading.Lock()


def _start_anew() -> None:
    """In a forked process: another thread may have held the lock."""
    global _installing
    _installing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def resolve(name: str, device: int = -1) -> str:
    """Which engine a name means on a device (-1 is the CPU, others are GPUs): "chainer" or "fast".

    Raises:
        ValueError: the name is unknown, or the fast engine cannot work there.
    """
    if name not in NAMES:
        raise ValueError(f"engine must be one of {', '.join(NAMES)}; found {name!r}")
    if name == "chainer":
        return name
    hindrance = obstacle(device)
    if hindrance and name == "fast":
        raise ValueError(f"{hindrance}, or use engine 'auto' or 'chainer'")
    return "chainer" if hindrance else "fast"


def obstacle(device: int = -1) -> str | None:
    """Why the fast engine cannot work on a device (-1 is the CPU), and what to do; None where it can."""
    if device >= 0:
        from reproduce.engine import cudnn

        if cudnn.library():
            return None
        return (
            "the fast engine needs cuDNN 9 on a GPU, and finds none that is whole; install the extra cuda12 or cuda13"
        )
    if os.name != "posix":
        return "the fast engine runs on Linux and macOS; run there"
    if importlib.util.find_spec("numba") is None:
        return "the fast engine needs numba; install it"
    if os.environ.get("NUMBA_DISABLE_JIT", "0").strip() not in ("", "0"):
        return "the fast engine compiles its loops, and NUMBA_DISABLE_JIT forbids it; unset it"
    return None


def current() -> str:
    """The engine of this thread here: "fast", "gpu" for the fast one of a GPU, or "chainer", as outside of `using`."""
    return _current.get()


@contextlib.contextmanager
def using(name: str, device: int = -1) -> Iterator[None]:
    """Within this context and this thread, Chainer's functions run on the engine of this name.

    Args:
        device: -1 for arrays on the CPU, or a GPU's number.

    Raises:
        ValueError: as `resolve`.
    """
    name = resolve(name, device)
    if name == "fast" and device >= 0:
        from reproduce.engine import gpu

        with _installing:
            gpu.install()
        name = "gpu"
    elif name == "fast":
        from reproduce.engine import installation

        with _installing:
            installation.install()
    token = _current.set(name)
    try:
        yield
    finally:
        _current.reset(token)


def prepare(computation: Callable[[], None] | None = None, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Compile, on all cores, the loops that a computation runs, or all of the engine's; a moment if they are on disk.

    The computation is gone through without its loops: what it computes is meaningless, what it changes changes, but
    NumPy's random numbers go on from where they were. Nothing happens outside of `using("fast")` if one is given.

    Args:
        computation: whose loops are wanted; all loops of the engine if it is None.
        meanwhile: called again and again while others compile; what it raises ends that.
    """
    if computation is not None and current() != "fast":
        return
    from reproduce.engine import installation, preparation

    with _installing:
        installation.install()
    preparation.prepare(computation, meanwhile)
