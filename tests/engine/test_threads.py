"""The engine's threads: every range once, whichever takes it; sums that do not depend on the moment."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba import njit

from reproduce.engine import threads
from reproduce.engine.compilation import kernel


@kernel
def _count(slot, first, last, times, slots):
    for i in range(first, last):
        times[i] += 1
        slots[i] = slot


@kernel
def _sum(slot, first, last, x, sums):
    for i in range(first, last):
        sums[slot] += x[i]


@njit
def _allocate(slot, first, last, size):
    if first > 0 and len(np.empty(size)) != size:
        raise MemoryError


@pytest.mark.parametrize(("units", "smallest"), [(1, 1), (2, 1), (7, 1), (100, 1), (100, 60), (100, 1000), (0, 1)])
def test_ranges_cover_all_units_once(units, smallest):
    for _ in range(50):
        times, slots = np.zeros(units, np.int64), np.zeros(units, np.int64)
        ranges = threads.parallel_sums(_count, units, times, slots, smallest=smallest)
        assert (times == 1).all()
        assert len(set(slots)) == min(ranges, units) or units < ranges
        assert ranges <= max(1, min(threads.COUNT, units // smallest))
        times[:] = 0
        threads.parallel_for(_count, units, times, slots, smallest=smallest)
        assert (times == 1).all()
        assert (slots < threads.COUNT).all()


def test_slots_of_parallel_sums_follow_the_ranges_and_not_the_moment():
    x = np.random.RandomState(0).rand(1000)
    expected = [x[1000 * i // 7 : 1000 * (i + 1) // 7] for i in range(7)]
    for _ in range(200):
        sums = np.zeros(7)
        assert threads.parallel_sums(_sum, 1000, x, sums, parts=7) == 7
        np.testing.assert_allclose(sums, [part.sum() for part in expected], rtol=1e-12)


def test_a_kernel_takes_arguments_of_one_type_after_those_of_another():
    for _ in range(3):
        for dtype in (np.float32, np.float64):
            sums = np.zeros(1, dtype)
            threads.parallel_sums(_sum, 3, np.array([1.5, 2, 4], dtype), sums, parts=1)
            assert sums[0] == 7.5
    read_only = np.ones(3)
    read_only.flags.writeable = False
    sums = np.zeros(1)
    threads.parallel_sums(_sum, 3, read_only, sums, parts=1)
    assert sums[0] == 3


def test_an_error_in_a_loop_is_raised_whichever_thread_it_was_in():
    for _ in range(20):
        with pytest.raises(MemoryError, match="_allocate"):
            threads.parallel_sums(_allocate, 8, 1 << 60, parts=8)
    assert threads.parallel_sums(_allocate, 8, 1, parts=8) == 8


def test_a_kernel_that_python_calls_says_how_it_is_run():
    with pytest.raises(TypeError, match="threads.parallel_sums"):
        _count(0, 0, 1, np.zeros(1, np.int64), np.zeros(1, np.int64))


def test_many_python_threads_run_loops_at_once():
    failures = []

    def work():
        for _ in range(300):
            times, slots = np.zeros(50, np.int64), np.zeros(50, np.int64)
            threads.parallel_for(_count, 50, times, slots)
            if (times != 1).any():
                failures.append(times)

    callers = [threading.Thread(target=work) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


STATISTICS = """
import hashlib
import reproduce, chainer.functions as F, numpy as np
from reproduce import engine
from reproduce.engine import loops, threads
calls, run = [], threads.parallel_sums
threads.parallel_sums = lambda kernel, *given, **named: calls.append(kernel) or run(kernel, *given, **named)
x = np.random.RandomState(0).standard_normal((64, 16, 16, 16)).astype(np.float32)
gamma, beta = np.ones(16, np.float32), np.zeros(16, np.float32)
with engine.using("fast"):
    mean, variance = np.zeros(16, np.float32), np.ones(16, np.float32)
    F.batch_normalization(x, gamma, beta, running_mean=mean, running_var=variance)
assert calls == [loops.moments]
print(hashlib.sha256(mean.tobytes() + variance.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("number", ["2", "3"])
def test_the_statistics_of_a_batch_are_the_same_bits_for_any_number_of_threads(number):
    found = {
        subprocess.run([sys.executable, "-c", STATISTICS], env={**os.environ, "NUMBA_NUM_THREADS": threads_of},
                       capture_output=True, text=True, check=True).stdout
        for threads_of in ("1", number)
    }  # fmt: skip
    assert len(found) == 1


MANY = """
import time, numpy as np
from reproduce.engine import threads
from tests.engine.test_threads import _count
for pause in (0, 0, 0.001, 0.02):
    for _ in range(300 if pause < 0.01 else 20):
        times, slots = np.zeros(64, np.int64), np.zeros(64, np.int64)
        threads.parallel_for(_count, 64, times, slots)
        assert (times == 1).all() and (slots < threads.COUNT).all()
        time.sleep(pause)
print(threads.COUNT)
"""


def test_more_threads_than_cores_wake_up_work_and_end_with_the_program():
    done = subprocess.run([sys.executable, "-c", MANY], env={**os.environ, "NUMBA_NUM_THREADS": "7"},
                          capture_output=True, text=True, check=True, timeout=120)  # fmt: skip
    assert done.stdout.strip() == "7"
    assert not done.stderr
