"""The engine's own threads: an operation is cut into ranges, which threads take as they come free (`thread_pool`).

Numba's threading layers either abort when two Python threads use them at once (workqueue) or when a process forks
after using them (GNU OpenMP); compiled loops that release the interpreter's lock need neither.
"""

import atexit
import os
import threading
from collections.abc import Callable

import numba
import numpy as np
from numba.core import types

from reproduce.engine import THREADS as COUNT
from reproduce.engine import thread_pool

# Ranges for each thread where each may take any: a thread that is held up then keeps the others waiting for little.
RANGES_A_THREAD = 4

_start = threading.Lock()
# The numbers that the threads of this process share, and where they lie; 0 before the first loop.
_numbers = np.empty(0, np.int64)
_base = 0
_workers: list[threading.Thread] = []
# Of each kernel, what its last arguments were (`thread_pool.code_of`) and its machine code for them; and all there is.
_last: dict[Callable, tuple[int, int]] = {}
_addresses: dict[tuple[Callable, int], int] = {}


def _start_workers() -> None:
    global _numbers, _base
    with _start:
        if _base:
            return
        block = np.zeros(thread_pool.shared_numbers(COUNT) + 16, np.int64)
        _numbers = block[-block.ctypes.data % 128 // 8 :][: thread_pool.shared_numbers(COUNT)]
        _numbers[thread_pool.THREADS] = COUNT
        _numbers[thread_pool.PIPE_OUT], _numbers[thread_pool.PIPE_IN] = os.pipe()
        _numbers[thread_pool.SHARE] = thread_pool.address_of(*ALWAYS_NEEDED[0])
        base = _numbers.ctypes.data
        # Compiled here, once, rather than by each of the threads.
        for function, signature in ALWAYS_NEEDED:
            function.compile(signature)
        for number in range(1, COUNT):
            worker = threading.Thread(
                target=thread_pool.watch, args=(base, number), name=f"engine-{number}", daemon=True
            )
            worker.start()
            _workers.append(worker)
        _base = base


def _stop_workers() -> None:
    """At the end of the program, before its code is unloaded."""
    if _workers:
        thread_pool.stop(_base)
        for worker in _workers:
            worker.join(timeout=1)


atexit.register(_stop_workers)


def _forget_workers() -> None:
    """A forked process inherits what its parent's threads share, but not the threads."""
    global _base, _start
    if _base:
        os.close(_numbers[thread_pool.PIPE_OUT])
        os.close(_numbers[thread_pool.PIPE_IN])
    _base = 0
    _start = threading.Lock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


def kinds_of(arguments: tuple) -> list[types.Type]:
    """Numba's types of a kernel's own arguments."""
    return [numba.typeof(argument) for argument in arguments]


# A function, and the types for which it is compiled.
Compiled = tuple[Callable, tuple[types.Type, ...]]
# What every computation needs.
ALWAYS_NEEDED: tuple[Compiled, ...] = (
    (thread_pool.share, (types.int64,) * 6),
    (thread_pool.watch, (types.int64,) * 2),
    (thread_pool.stop, (types.int64,)),
)


def needed(kernel: Callable, kinds: list[types.Type]) -> tuple[Compiled, ...]:
    """What running a kernel with arguments of these types needs besides `ALWAYS_NEEDED`."""
    return (
        (kernel, (types.int64,) * 3 + tuple(thread_pool.plain(kind) for kind in kinds)),
        (thread_pool.launch, (*(types.int64,) * 5, types.boolean, types.BaseTuple.from_types(tuple(kinds)))),
    )


def _compile_for(kernel: Callable, kinds: list[types.Type]) -> int:
    """Compile all that running a kernel with arguments of these types needs; the address of its code."""
    for function, signature in needed(kernel, kinds):
        function.compile(signature)
    return thread_pool.address_of(kernel, [types.int64] * 3 + kinds)


class _Rehearsal(threading.local):
    """What is called, in this thread, with each kernel and its arguments instead of running it."""

    note: Callable[[Callable, tuple], None] | None = None


rehearsal = _Rehearsal()


def _run(kernel: Callable, units: int, ranges: int, slots_are_ranges: bool, arguments: tuple) -> None:
    if rehearsal.note is not None:
        rehearsal.note(kernel, arguments)
        return
    if not _base:
        _start_workers()
    code, address = _last.get(kernel, (0, 0))
    outcome = thread_pool.launch(_base, address, code, units, ranges, slots_are_ranges, *arguments)
    if outcome == thread_pool.OTHER_TYPES:
        kinds = kinds_of(arguments)
        code = thread_pool.code_of(kinds)
        if (kernel, code) not in _addresses:
            _addresses[kernel, code] = _compile_for(kernel, kinds)
        _last[kernel] = code, _addresses[kernel, code]
        outcome = thread_pool.launch(_base, _addresses[kernel, code], code, units, ranges, slots_are_ranges, *arguments)
    if outcome:
        # There is nothing else that a compiled loop over checked arrays could fail for.
        raise MemoryError(f"no memory for what {kernel.__name__} keeps while it runs")


def parallel_sums(kernel: Callable, units: int, *arguments: object, smallest: int = 1, parts: int = COUNT) -> int:
    """Call `kernel(slot, first, last, *arguments)` for equal ranges that cover 0 to `units`, in parallel.

    No range is shorter than `smallest`, and there are no more than `parts`. The ranges depend on these numbers alone,
    and `slot` counts them; so sums by slot come out the same every time.

    Returns:
        The number of ranges.
    """
    ranges = max(1, min(parts, units // smallest))
    _run(kernel, units, ranges, True, arguments)
    return ranges


def parallel_for(kernel: Callable, units: int, *arguments: object, smallest: int = 1) -> None:
    """Call `kernel(slot, first, last, *arguments)` for ranges that cover 0 to `units`, in parallel.

    No range is shorter than `smallest`. Which thread takes which range depends on the moment: `slot`, below COUNT, is
    the number of the thread, for memory to work in; nothing of it may reach the results.
    """
    _run(kernel, units, max(1, min(COUNT * RANGES_A_THREAD, units // smallest)) if COUNT > 1 else 1, False, arguments)
