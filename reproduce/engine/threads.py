"""The engine's own threads: each operation is cut into as many equal ranges as there are cores.

Numba's threading layers either abort when two Python threads use them at once (workqueue) or when a process forks
after using them (GNU OpenMP); compiled loops that release the interpreter's lock need neither.
"""

import os
import queue
import threading
from collections.abc import Callable

_tasks: queue.SimpleQueue = queue.SimpleQueue()
_workers: list[threading.Thread] = []
_start = threading.Lock()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available() -> int:
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal() and int(os.environ[name]) > 0:
            return int(os.environ[name])
    return cores()


# Read once: results depend on how sums are split, and the same seed must give the same bits throughout a process.
COUNT = _available()


def _forget_workers() -> None:
    """A forked process inherits the list of its parent's threads, but not the threads."""
    global _tasks, _start
    _tasks = queue.SimpleQueue()
    _start = threading.Lock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


def _work(tasks: queue.SimpleQueue) -> None:
    while True:
        function, arguments, done = tasks.get()
        try:
            function(*arguments)
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)
        # Until the next task comes, hold on to no array of this one.
        del function, arguments, done


def _start_workers() -> None:
    with _start:
        while len(_workers) < COUNT - 1:
            worker = threading.Thread(target=_work, args=(_tasks,), name=f"engine-{len(_workers) + 1}", daemon=True)
            worker.start()
            _workers.append(worker)


def run(kernel: Callable, units: int, *arguments: object, smallest: int = 1) -> int:
    """Call `kernel(slot, first, last, *arguments)` for ranges that cover 0 to `units`, in parallel.

    No range is shorter than `smallest`. The ranges depend on the numbers of units and threads alone, so sums by range
    come out the same every time.

    Returns:
        The number of ranges; `slot` counts them.
    """
    slots = max(1, min(COUNT, units // smallest))
    if slots > 1 and len(_workers) < COUNT - 1:
        _start_workers()
    done: queue.SimpleQueue = queue.SimpleQueue()
    for slot in range(1, slots):
        _tasks.put((kernel, (slot, units * slot // slots, units * (slot + 1) // slots, *arguments), done))
    try:
        kernel(0, 0, units // slots, *arguments)
    finally:
        # Even after an error: the others still write to the arrays.
        errors = [done.get() for _ in range(1, slots)]
    for error in errors:
        if error is not None:
            raise error
    return slots
