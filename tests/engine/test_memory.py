"""Memory that is used again: never while somebody can still see it."""

import gc
import sys
import threading
from pathlib import Path

import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce import engine
from reproduce.engine import memory

LARGE = (memory.SMALLEST // 4 + 5,)
STATUS = Path("/proc/self/statm")


@pytest.fixture
def lent(monkeypatch):
    """Regions of its own, and what is lent of them: the most bytes at once, and the bytes that were ever lent."""
    found = {"most": 0, "reached": 0}
    lend, regions = memory._lend, []

    def watched(size):
        region, start = lend(size)
        free = sum(end - begin for one in regions for begin, end in one.free)
        found["most"] = max(found["most"], sum(len(one.pages) for one in regions) - free)
        assert region is regions[0], "expected one region, in which a place is a number of bytes"
        found["reached"] = max(found["reached"], start + size)
        return region, start

    monkeypatch.setattr(memory, "_regions", regions)
    monkeypatch.setattr(memory, "_lend", watched)
    return found


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_once_nobody_sees_it():
    memory.release()
    array = memory.empty(LARGE)
    place = address(array)
    del array
    again = memory.empty(LARGE)
    assert address(again) == place
    assert place % memory.PAGE == 0


@pytest.mark.parametrize(
    "look",
    [
        lambda array: array[3:],
        lambda array: array.reshape(1, -1).T[::2],
        lambda array: array.view(np.uint8),
        lambda array: memoryview(array),
        lambda array: np.frombuffer(memoryview(array).cast("B"), np.float32),
        lambda array: np.asarray(chainer.Variable(array).array[None, 2:]),
    ],
)
def test_memory_stays_as_long_as_any_view_of_it(look):
    array = memory.empty(LARGE)
    array[:] = 7
    view = look(array)
    del array
    gc.collect()
    others = [memory.empty(LARGE) for _ in range(20)]
    for other in others:
        other[:] = 8
    found = np.frombuffer(view, np.float32) if isinstance(view, memoryview) else view
    assert (found.view(np.float32) == 7).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_arrays_alive_at_once_never_overlap(actions):
    alive = []
    for number, (size, drop) in enumerate(actions):
        if drop and alive:
            alive.pop(number % len(alive))
        array = memory.empty((memory.SMALLEST // 4 * (1 + size),))
        array[:] = number
        alive.append((number, array))
        for value, other in alive:
            assert other[0] == other[-1] == value


def test_threads_share_regions_without_sharing_memory():
    failures = []

    def use(number):
        for _ in range(300):
            array = memory.empty(LARGE)
            array[:] = number
            if not (array == number).all():
                failures.append(number)
            del array

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_pieces_of_other_sizes_are_lent_from_memory_that_was_used_before(lent):
    held = [memory.empty((memory.SMALLEST * factor,), np.uint8) for factor in (1, 5, 2, 4, 3)]
    before = dict(lent)
    del held[1], held[1]  # 5 and 2, side by side
    held += [memory.empty((memory.SMALLEST * factor,), np.uint8) for factor in (3, 4)]
    assert lent == before == {"most": 15 * memory.SMALLEST, "reached": 15 * memory.SMALLEST}


def test_an_array_may_be_larger_than_a_region(monkeypatch):
    monkeypatch.setattr(memory, "REGION", memory.SMALLEST)
    monkeypatch.setattr(memory, "_regions", [])
    arrays = [memory.empty((3 * memory.SMALLEST,), np.uint8) for _ in range(3)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [set(array) for array in arrays] == [{0}, {1}, {2}]


def test_without_memory_numpys_error_is_raised(monkeypatch):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with pytest.raises(MemoryError):
        memory.empty((1 << 55,), np.uint8)

    def refuse(*given, **named):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(memory, "_regions", [])
    monkeypatch.setattr(memory.mmap, "mmap", refuse)
    assert memory.empty(LARGE).shape == LARGE  # malloc may still have some
    gc.collect()
    assert not ignored


def test_training_takes_no_memory_after_its_first_step_and_hardly_more_than_is_lent_at_once(lent):
    from reproduce.network import Conv_NN

    network = Conv_NN(width=0.25)
    images, labels = np.ones((40, 3, 32, 32), np.float32), np.zeros(40, np.int32)
    reached = []
    with engine.using("fast"):
        for _ in range(3):
            network.cleargrads()
            network(images, labels)[0].backward()
            reached.append(lent["reached"])
    assert 0 < reached[0] == reached[2] <= 1.2 * lent["most"]


@pytest.mark.skipif(not STATUS.exists(), reason="the process's memory is not known here")
def test_memory_that_is_released_goes_back_to_the_system():
    def resident():
        return int(STATUS.read_text().split()[1]) * memory.PAGE

    arrays = [memory.empty((1 << 24,), np.uint8) for _ in range(4)]
    for array in arrays:
        array[:] = 1
    held = arrays.pop(1)
    before = resident()
    del arrays, array
    memory.release()
    assert before - resident() > 40e6
    assert (held == 1).all()


def test_arrays_that_the_user_holds_do_not_change_in_later_steps():
    random = np.random.RandomState(0)
    weights = chainer.Parameter(random.standard_normal((16, 16, 3, 3)).astype(np.float32) / 12)
    gamma, beta = chainer.Parameter(np.ones(16, np.float32)), chainer.Parameter(np.zeros(16, np.float32))
    held = []
    with engine.using("fast"):
        for _ in range(4):
            x = chainer.Variable(random.standard_normal((10, 16, 16, 16)).astype(np.float32))
            hidden = [F.convolution_2d(x, weights, pad=1)]
            hidden.append(F.batch_normalization(hidden[-1], gamma, beta))
            hidden.append(F.relu(hidden[-1]))
            hidden.append(F.max_pooling_2d(hidden[-1], 2, 2))
            hidden.append(F.dropout(hidden[-1], 0.5))
            weights.cleargrad()
            F.sum(hidden[-1]).backward(retain_grad=True)
            arrays = [h.array for h in hidden] + [h.grad for h in hidden] + [x.grad, weights.grad]
            held.append([(array, array.copy()) for array in arrays])
            del hidden, arrays
    for step in held:
        for array, copy in step:
            np.testing.assert_array_equal(array, copy)


def test_gradients_of_large_filters_are_not_held_transformed_at_once(monkeypatch, lent):
    # 176 to 176 channels, 7 x 7: 15 MB transformed, once for gx; then for gW, once for each thread.
    from reproduce.engine import convolution

    x, gy = (np.ones((2, 176, 8, 8), np.float32) for _ in range(2))
    weights = np.ones((176, 176, 7, 7), np.float32)
    most = {}
    for limit in (1 << 30, convolution.MOST_FILTERS_AT_ONCE):
        monkeypatch.setattr(convolution, "MOST_FILTERS_AT_ONCE", limit)
        lent["most"] = 0
        gradients = convolution.backward(x, weights, gy, (3, 3), with_weights=True, with_input=True)
        most[limit] = lent["most"], gradients
    (at_once, expected), (apart, found) = most.values()
    assert apart < at_once - 0.9 * 121 * 176 * 176 * 4
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)
