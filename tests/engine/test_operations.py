"""Each operation of the engine against stock Chainer's: values and gradients over random shapes."""

import sys
import types

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from chainer.functions.activation.relu import ReLU
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.functions.connection.linear import LinearFunction
from chainer.functions.noise.dropout import Dropout
from chainer.functions.normalization.batch_normalization import (
    BatchNormalization,
    FixedBatchNormalization,
    GeneralBatchNormalizationImpl,
)
from chainer.functions.pooling.average_pooling_2d import AveragePooling2D
from chainer.functions.pooling.max_pooling_nd import MaxPoolingND
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reproduce import engine
from reproduce.engine import loops, memory, threads

FORWARD, GRADIENT = 1e-5, 1e-4
few = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
sides = st.integers(1, 11)
channels = st.integers(1, 21)
batches = st.integers(1, 5)


def normal(seed, *shape):
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def laid_out(array, layout):
    """The same values with the memory in another order, or not contiguous."""
    if layout == "nhwc" and array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "strided":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout == "fortran":
        return np.asfortranarray(array)
    return array


layouts = st.sampled_from(["plain", "nhwc", "strided", "fortran"])


def error(found, expected, smallest_scale=1e-30):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    found, expected = found[finite], expected[finite]
    return abs(found - expected).max(initial=0) / max(abs(expected).max(initial=0), smallest_scale)


def results(name, function, arrays, gy=None, seed=0):
    """Output, gradients, and the output's node, on one engine."""
    np.random.seed(seed)
    variables = [chainer.Variable(array) for array in arrays]
    with engine.using(name):
        y = function(*variables)
        y.grad = gy if gy is not None else normal(99, *y.shape)
        y.backward()
    return y.array, [variable.grad for variable in variables], y.creator_node


def check(function, arrays, gy=None, exact=False, smallest_scale=1e-30):
    """Both engines on the same arrays, which neither may change."""
    before = [array.copy() for array in arrays]
    y, gradients, node = results("fast", function, arrays, gy)
    assert node.engine_state is not None
    expected, expected_gradients, _ = results("chainer", function, arrays, gy)
    assert error(y, expected, smallest_scale) <= (0 if exact else FORWARD)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        assert error(found, wanted) <= (0 if exact else GRADIENT)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@few
@given(batches, channels, channels, sides, sides, st.integers(1, 7), st.integers(1, 7), st.data())
def test_convolution(n, c, k, height, width, kh, kw, data):
    if data.draw(st.booleans(), "square"):
        kw = kh
    ph, pw = data.draw(st.integers(0, kh - 1)), data.draw(st.integers(0, kw - 1))
    height, width = max(height, kh - 2 * ph), max(width, kw - 2 * pw)
    x = laid_out(normal(0, n, c, height, width), data.draw(layouts))
    arrays = [x, laid_out(normal(1, k, c, kh, kw), data.draw(layouts)) / np.float32(np.sqrt(c * kh * kw))]
    if data.draw(st.booleans(), "bias"):
        arrays.append(normal(2, k))
    gy_shape = (n, k, height + 2 * ph - kh + 1, width + 2 * pw - kw + 1)
    gy = laid_out(normal(3, *gy_shape), data.draw(layouts))
    check(lambda *v: F.convolution_2d(*v, pad=(ph, pw)), arrays, gy)


@few
@example(size=7, n=1, c=33, k=2, height=1, width=1)
@given(st.sampled_from([3, 5, 7]), batches, st.integers(8, 40), channels, sides, sides)
def test_winograd_convolution(size, n, c, k, height, width):
    arrays = [normal(0, n, c, height, width), normal(1, k, c, size, size) / np.float32(np.sqrt(c) * size), normal(2, k)]
    # Two pixels in all may both be the small difference of a bias and a sum: they have no more digits than these.
    check(lambda *v: F.convolution_2d(*v, pad=size // 2), arrays, smallest_scale=abs(arrays[2]).max())


@pytest.mark.parametrize("shape", [(64, 64, 32, 3), (64, 128, 16, 3), (256, 256, 8, 3), (128, 256, 8, 7)])
def test_convolutions_of_the_report(shape):
    c, k, size, taps = shape
    arrays = [normal(0, 3, c, size, size), normal(1, k, c, taps, taps) / np.float32(taps * np.sqrt(c)), normal(2, k)]
    check(lambda *v: F.convolution_2d(*v, pad=taps // 2), arrays)


@pytest.mark.parametrize("m, r", [(4, 3), (4, 5), (4, 7), (2, 7), (1, 1)])
def test_the_matrices_of_minimal_filtering_are_exact(m, r):
    from fractions import Fraction

    from reproduce.engine import cook_toom

    random = np.random.RandomState(0)
    d = [Fraction(int(value)) for value in random.randint(-9, 10, m + r - 1)]
    taps = [Fraction(int(value)) for value in random.randint(-9, 10, r)]
    a, g, b_transposed = cook_toom.matrices(m, r)
    assert len(a) == len(g) == len(b_transposed) == cook_toom.products(m, r)
    dot = lambda row, vector: sum(x * y for x, y in zip(row, vector, strict=True))  # noqa: E731
    products = [dot(g_row, taps) * dot(b_row, d) for g_row, b_row in zip(g, b_transposed, strict=True)]
    found = [dot(column, products) for column in zip(*a, strict=True)]
    assert found == [dot(taps, d[i : i + r]) for i in range(m)]


def test_more_inputs_than_there_are_points_are_refused():
    from reproduce.engine import cook_toom

    with pytest.raises(ValueError, match=r"F\(4, 9\) has 12 inputs; expected at most 10"):
        cook_toom.matrices(4, 9)


@pytest.mark.parametrize("size, most", [(3, 2e-6), (5, 5e-6), (7, 2.5e-6)])
def test_errors_against_float64_are_small_beside_direct_convolutions(size, most):
    # As in the networks: inputs after ReLU, filters drawn as Chainer draws them. Root mean square, relative.
    arrays = [np.maximum(normal(0, 4, 64, 16, 16), 0), normal(1, 64, 64, size, size) / np.float32(8 * size)]
    gy = normal(2, 4, 64, 16, 16)
    convolve = lambda *v: F.convolution_2d(*v, pad=size // 2)  # noqa: E731
    y, gradients, _ = results("fast", convolve, arrays, gy)
    exact, exact_gradients, _ = results(
        "chainer", convolve, [array.astype(float) for array in arrays], gy.astype(float)
    )
    for found, wanted in zip([y, *gradients], [exact, *exact_gradients], strict=True):
        assert np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()) < most


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("c", [3, 16])
def test_convolution_computes_only_the_gradients_that_are_wanted(c, wanted):
    arrays = [normal(0, 2, c, 6, 6), normal(1, 4, c, 3, 3), normal(2, 4)]
    full = results("fast", lambda *v: F.convolution_2d(*v, pad=1), arrays)[1]
    variables = [chainer.Variable(array, requires_grad=i in wanted) for i, array in enumerate(arrays)]
    with engine.using("fast"):
        y = F.convolution_2d(*variables, pad=1)
        y.grad = normal(99, *y.shape)
        y.backward()
    for i, variable in enumerate(variables):
        if i in wanted:
            np.testing.assert_array_equal(variable.grad, full[i])
        else:
            assert variable.grad is None


@few
@given(batches, channels, sides, sides, layouts, st.booleans(), st.floats(0, 100))
def test_batch_normalization(n, c, height, width, layout, vectors, offset):
    shape = (max(2, n), c) if vectors else (max(2, n), c, height, width)
    x = laid_out(normal(0, *shape) + np.float32(offset), layout)
    arrays = [x, 1 + normal(1, c) / 4, normal(2, c)]
    found, expected = [], []
    for name, running in (("fast", found), ("chainer", expected)):
        running += [normal(3, c), abs(normal(4, c))]
        with engine.using(name):
            F.batch_normalization(*arrays, running_mean=running[0], running_var=running[1], decay=0.7)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    # In float64, for Chainer's own variance in float32 is worse than the engine's when the mean is large.
    y, gradients, _ = results("fast", F.batch_normalization, arrays)
    exact, exact_gradients, _ = results("chainer", F.batch_normalization, [a.astype(float) for a in arrays],
                                        normal(99, *shape).astype(float))  # fmt: skip
    tolerance = 1 + offset
    assert error(y, exact.astype(np.float32)) <= FORWARD * tolerance
    # Of a channel whose few values are nearly equal, float32 keeps few digits, and the gradient is divided by the rest.
    smallest = x.var(axis=(0,) if vectors else (0, 2, 3)).min() + 2e-5
    tolerance *= max(1, smallest**-0.5)
    noise = abs(normal(99, *shape)).max() * GRADIENT * tolerance
    for a, b in zip(gradients, exact_gradients, strict=True):
        assert abs(a - b).max() <= max(noise, GRADIENT * tolerance * abs(b).max())


def test_batch_normalization_by_an_implementation_of_ones_own_is_left_to_it():
    class Implementation(GeneralBatchNormalizationImpl):
        def get_mean_and_var(self, axis, gamma, x, xp, interm_dtype):
            return np.zeros(4, np.float32), np.ones(4, np.float32)

    x = normal(0, 8, 4, 3, 3) + 5
    node = BatchNormalization(impl_selector=lambda *_: Implementation())
    with engine.using("fast"):
        (y,) = node.apply((x, np.ones(4, np.float32), np.zeros(4, np.float32)))
    np.testing.assert_allclose(y.array, x, rtol=1e-4)


@few
@given(batches, channels, sides, sides, layouts)
def test_fixed_batch_normalization(n, c, height, width, layout):
    x = laid_out(normal(0, n, c, height, width), layout)
    statistics = [normal(1, c), normal(2, c), normal(3, c), 0.1 + abs(normal(4, c))]
    outputs = []
    for name in ("fast", "chainer"):
        with engine.using(name), chainer.no_backprop_mode():
            outputs.append(F.fixed_batch_normalization(x, *statistics).array)
    assert error(*outputs) <= FORWARD


def test_fixed_batch_normalization_is_the_engine_s(monkeypatch):
    calls = []
    monkeypatch.setattr(threads, "parallel_for", lambda kernel, *given, **named: calls.append(kernel))
    with engine.using("fast"), chainer.no_backprop_mode():
        F.fixed_batch_normalization(normal(0, 2, 4, 3, 3), *(abs(normal(seed, 4)) for seed in range(4)))
    assert calls == [loops.normalize]


def test_a_batch_normalization_link_keeps_chainers_running_statistics():
    links = []
    for name in ("fast", "chainer"):
        link = L.BatchNormalization(5)
        with engine.using(name):
            for seed in range(3):
                link(normal(seed, 4, 5, 3, 3))
            with chainer.using_config("train", False), chainer.no_backprop_mode():
                y = link(normal(9, 4, 5, 3, 3))
        links.append((link.avg_mean, link.avg_var, y.array))
    for found, expected in zip(*links, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@few
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), layouts)
def test_relu(shape, layout):
    check(F.relu, [laid_out(normal(0, *shape), layout)], exact=True)


def test_relu_keeps_not_a_number_and_infinity():
    x = np.array([np.nan, -np.inf, np.inf, -0.0, -1] * 5, np.float32)
    with engine.using("fast"):
        y = F.relu(x).array
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_relu_passes_gradients_that_are_not_finite_on_as_chainer_does():
    x = np.repeat(np.array([np.nan, -np.inf, np.inf, -0.0, -1, 1], np.float32), 4)
    gy = np.tile(np.array([np.nan, -np.inf, np.inf, -1], np.float32), 6)
    with np.errstate(invalid="ignore", divide="ignore"):
        gradients = [results(name, F.relu, [x], gy)[1][0] for name in ("fast", "chainer")]
        np.testing.assert_array_equal(*gradients)
        np.testing.assert_array_equal(*(1 / gradient for gradient in gradients))  # also the signs of zeros


windows = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1), st.booleans())


@few
@given(batches, channels, sides, sides, layouts, windows, st.booleans())
def test_max_pooling(n, c, height, width, layout, window, ties):
    size, stride, pad, cover_all = window
    height, width, pad = max(height, size), max(width, size), min(pad, size - 1)
    x = normal(0, n, c, height, width)
    x = laid_out(np.round(x) if ties else x, layout)
    check(lambda x: F.max_pooling_2d(x, size, stride, pad, cover_all), [x])


def test_max_pooling_lets_not_a_number_through():
    x = normal(0, 2, 9, 4, 4)
    x[0, :, 1, 1] = np.nan
    with engine.using("fast"):
        found = F.max_pooling_2d(x, 2, 2).array
    np.testing.assert_array_equal(found, F.max_pooling_2d(x, 2, 2).array)


@few
@given(batches, channels, sides, sides, layouts, windows)
def test_average_pooling(n, c, height, width, layout, window):
    size, stride, pad, _ = window
    height, width, pad = max(height, size), max(width, size), min(pad, size - 1)
    x = laid_out(normal(0, n, c, height, width), layout)
    check(lambda x: F.average_pooling_2d(x, size, stride, pad), [x])


@few
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), layouts, st.sampled_from([0.0, 0.4, 0.5, 0.9]))
def test_dropout_drops_what_chainer_drops(shape, layout, ratio):
    check(lambda x: F.dropout(x, ratio), [laid_out(normal(0, *shape), layout)], exact=True)
    draws = []
    for name in ("fast", "chainer"):
        np.random.seed(5)
        with engine.using(name):
            F.dropout(normal(0, *shape), ratio)
        draws.append(np.random.rand())
    assert draws[0] == draws[1]


@few
@given(st.sampled_from(["plain", "nhwc"]), st.booleans())
def test_nodes_show_what_chainers_show_after_a_forward(layout, backward):
    functions = [
        (lambda x: F.dropout(x, 0.4), ()),
        (lambda x: F.max_pooling_2d(x, 2), ()),
        (lambda x: F.max_pooling_2d(x, 3, 2, 1, False), ()),
        (lambda x: F.average_pooling_2d(x, 2), ()),
        (F.relu, ()),
        (F.linear, [(4, 9 * 5 * 6)]),
        (F.convolution_2d, [(4, 9, 3, 3)]),
        (F.batch_normalization, [(9,), (9,)]),
    ]
    for function, shapes in functions:
        arrays = [laid_out(normal(0, 2, 9, 5, 6), layout), *(normal(seed, *shape) for seed, shape in enumerate(shapes))]
        shown = {}
        for name in ("fast", "chainer"):
            np.random.seed(3)
            variables = [chainer.Variable(array) for array in arrays]
            with engine.using(name):
                y = function(*variables)
                if backward:
                    F.sum(y).backward()
                node = y.creator_node
            shown[name] = node
        # `forward_data` is a place for cuDNN's handles, None on the CPU.
        for key in vars(shown["chainer"]).keys() - {"engine_state", "inputs", "outputs", "_impl", "forward_data"}:
            found, expected = (getattr(shown[name], key) for name in ("fast", "chainer"))
            assert type(found) is type(expected), key
            if isinstance(expected, np.ndarray):
                assert found.dtype == expected.dtype and found.flags.c_contiguous, key
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=key)
            elif key != "_retained_output_data":
                assert found == expected, key


def test_a_node_that_has_not_run_shows_what_chainers_shows():
    engine.prepare()
    unused = chainer.functions.pooling.max_pooling_nd.MaxPoolingND(2, 2)
    assert not hasattr(unused, "indexes")
    assert chainer.functions.noise.dropout.Dropout(0.5).mask is None


def test_a_mask_that_nobody_wants_is_not_made():
    with engine.using("fast"), chainer.using_config("train", True):
        node = F.dropout(chainer.Variable(normal(0, 4, 8))).creator_node
    assert "mask" not in vars(node)
    assert node.mask is node.mask and node.mask.shape == (4, 8)


def test_dropout_draws_numpys_numbers_however_numpy_keeps_its_state(monkeypatch):
    from reproduce.engine import uniform

    def dropped(name):
        np.random.seed(3)
        with engine.using(name), chainer.using_config("train", True):
            return F.dropout(normal(0, 40, 8)).array, np.random.rand()

    expected = dropped("chainer")
    for state_of in (uniform._state_of, lambda generator: None):
        monkeypatch.setattr(uniform, "_state_of", state_of)
        found = dropped("fast")
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1] == expected[1]


@pytest.mark.skipif(not hasattr(np.random, "set_bit_generator"), reason="before NumPy 1.24 it cannot be replaced")
def test_random_numbers_are_those_of_the_generator_that_is_numpys_now():
    from reproduce.engine import uniform

    own = np.random.get_bit_generator()
    uniform.draw(5)
    try:
        for seed in (1, 2):
            np.random.set_bit_generator(np.random.MT19937(seed))
            state = np.random.get_state()
            expected = np.random.rand(7)
            np.random.set_state(state)
            found = np.empty(7, np.uint8)
            uniform.at_least(uniform.draw(7), 0, 7, float(np.median(expected)), found)
            np.testing.assert_array_equal(found, expected >= np.median(expected))
    finally:
        np.random.set_bit_generator(own)


@few
@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 40), layouts, layouts, st.booleans())
def test_linear(n, d, m, x_layout, w_layout, bias):
    arrays = [laid_out(normal(0, n, d), x_layout), laid_out(normal(1, m, d), w_layout)]
    check(F.linear, [*arrays, normal(2, m)] if bias else arrays)


class Fenced:
    """In `memory.empty`'s place: arrays full of one value, which also lies before and behind them."""

    FENCE = 1 << 15  # bytes; whole pages, so that arrays are aligned as they would be

    def __init__(self, value):
        self.value, self.blocks = np.float32(value), []

    def empty(self, shape, dtype=np.float32):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        block = np.full((size + 3 * self.FENCE) // 4 + 1, self.value).view(np.uint8)
        start = self.FENCE - block.ctypes.data % self.FENCE + self.FENCE
        self.blocks.append((block, start, start + size))
        return block[start : start + size].view(dtype).reshape(shape)

    def is_whole(self):
        fence = np.full(2 * self.FENCE, self.value).view(np.uint8)
        return all(
            (block[:start] == fence[:start]).all() and (block[end:] == fence[end % 4 :][: len(block) - end]).all()
            for block, start, end in self.blocks
        )


@few
@given(batches, st.integers(1, 40), st.integers(1, 40), sides, sides, st.sampled_from([1, 2, 3, 5, 7]), st.data())
def test_results_depend_on_nothing_beside_or_left_over_in_arrays(n, c, k, height, width, taps, data):
    pad = data.draw(st.integers(max(0, taps - min(height, width) + 1) // 2, max(0, taps - 1)), "pad")
    x, rows = normal(0, n, c, height, width), normal(1, n + 1, c)
    size, stride, cover_all = min(taps, height, width), data.draw(st.integers(1, 3)), data.draw(st.booleans())
    operations = [
        (lambda *v: F.convolution_2d(*v, pad=pad), [x, normal(2, k, c, taps, taps), normal(3, k)]),
        (F.linear, [rows, normal(2, k, c), normal(3, k)]),
        (F.batch_normalization, [normal(1, n + 1, c, height, width), normal(2, c), normal(3, c)]),
        (F.batch_normalization, [rows, normal(2, c), normal(3, c)]),
        (lambda x: F.max_pooling_2d(x, size, stride, size // 2, cover_all), [x]),
        (lambda x: F.average_pooling_2d(x, size, stride, size // 2), [x]),
        (lambda x: F.relu(F.dropout(x, 0.4)), [laid_out(x, data.draw(layouts))]),
    ]
    for function, arrays in operations:
        gy = normal(99, *function(*arrays).shape)
        found = []
        for value in (np.nan, 0, 1e30):
            fenced = Fenced(value)
            own = [fenced.empty(array.shape) for array in [*arrays, gy]]
            for copy, array in zip(own, [*arrays, gy], strict=True):
                copy[...] = array
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(memory, "empty", fenced.empty)
                y, gradients, node = results("fast", function, own[:-1], own[-1])
            assert node.engine_state is not None and len(fenced.blocks) > len(own)
            assert fenced.is_whole()
            found.append([y, *gradients])
        for others in found[1:]:
            for array, other in zip(found[0], others, strict=True):
                np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize(
    "function, shapes",
    [
        (lambda x, w, b: F.convolution_2d(x, w, b, pad=1), [(2, 8, 5, 6), (3, 8, 3, 3), (3,)]),
        (lambda x, w, b: F.convolution_2d(x, w, b, pad=1), [(2, 3, 5, 6), (3, 3, 3, 3), (3,)]),
        (F.batch_normalization, [(4, 3, 2, 3), (3,), (3,)]),
        (lambda x: F.average_pooling_2d(x, 3, 2, 1), [(2, 3, 5, 6)]),
        (lambda x: F.max_pooling_2d(x, 2, 2), [(2, 3, 5, 6)]),
        (F.linear, [(3, 7), (4, 7), (4,)]),
    ],
)
def test_gradients_are_those_of_the_function(function, shapes, monkeypatch):
    # Chainer's gradient_check imports its testing helpers, which import setuptools' pkg_resources and do not use it.
    monkeypatch.setitem(sys.modules, "pkg_resources", types.ModuleType("pkg_resources"))
    from chainer import gradient_check

    arrays = tuple(normal(seed, *shape) for seed, shape in enumerate(shapes))
    if len(arrays) == 1:  # distinct values, further apart than the step of the numerical gradient
        arrays = (np.random.RandomState(0).permutation(arrays[0].size).reshape(shapes[0]).astype(np.float32),)
    with engine.using("fast"):
        gy = normal(8, *function(*arrays).shape)
        gradient_check.check_backward(function, arrays, gy, eps=0.03, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.convolution_2d(x, normal(1, 4, 8, 3, 3), pad=1),
        lambda x: F.batch_normalization(x, normal(1, 8), normal(2, 8)),
        lambda x: F.max_pooling_2d(x, 2, 2),
        lambda x: F.average_pooling_2d(x, 2, 2),
        lambda x: F.dropout(x, 0.5),
        F.relu,
        lambda x: F.linear(F.reshape(x, (2, -1)), normal(1, 5, 8 * 4 * 6)),
    ],
)
def test_second_derivatives_are_chainers(function):
    found = []
    for name in ("fast", "chainer"):
        np.random.seed(0)
        x = chainer.Variable(normal(0, 2, 8, 4, 6))
        with engine.using(name):
            y = function(x)
            (gx,) = chainer.grad([F.sum(y**3)], [x], enable_double_backprop=True)
            x.cleargrad()
            F.sum(gx**2).backward()
        found.append(x.grad)
    assert error(*found) <= GRADIENT


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: F.convolution_2d(x[:0], w, pad=1),
        lambda x, w: F.convolution_2d(x, w[:, :2]),
        lambda x, w: F.convolution_2d(x[:, :, :2, :2], w),
        lambda x, w: F.convolution_2d(x[0], w),
        lambda x, w: F.max_pooling_2d(x[:0], 2),
        lambda x, w: F.batch_normalization(x, w[0, 0, 0], w[0, 0, 0]),
        lambda x, w: F.linear(x, w[0, 0]),
        lambda x, w: F.dropout(x, 1.5),
        lambda x, w: F.relu(x.astype(np.int32)),
        lambda x, w: F.stack(chainer.Variable(x)),
        lambda x, w: F.stack(x),
        lambda x, w: F.concat(iter([x, x])),
        lambda x, w: F.concat([]),
        lambda x, w: F.concat([x, x]),
    ],
)
def test_what_chainer_refuses_is_refused_with_the_same_error(function):
    x, w = normal(0, 2, 8, 5, 5), normal(1, 4, 8, 3, 3)
    outcomes = []
    for name in ("fast", "chainer"):
        with engine.using(name):
            try:
                outcomes.append(function(x, w).shape)
            except Exception as refusal:
                outcomes.append((type(refusal), str(refusal)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "function, shapes",
    [
        (F.convolution_2d, [(2, 16, 8, 8), (16, 8, 3, 3)]),
        (F.convolution_2d, [(2, 3, 8, 8), (16, 8, 3, 3)]),
        (F.convolution_2d, [(2, 16, 8, 8), (16, 16, 3, 3), (8,)]),
        (F.convolution_2d, [(2, 8, 8, 8, 2), (4, 8, 3, 3)]),
        (F.linear, [(2, 16), (4, 8)]),
        (F.linear, [(2, 16), (4, 16), (2,)]),
        (F.linear, [(2, 16), (4, 16, 2)]),
        (F.batch_normalization, [(8, 4, 3, 3), (2,), (4,)]),
        (F.batch_normalization, [(8, 4, 3, 3), (4,), (2,)]),
        (F.batch_normalization, [(8, 4), (2,), (2,)]),
        (F.fixed_batch_normalization, [(8, 4, 3, 3), (4,), (4,), (2,), (4,)]),
        (F.fixed_batch_normalization, [(8, 4, 3, 3), (4,), (2,), (4,), (4,)]),
        (F.fixed_batch_normalization, [(8, 4, 3, 3), (2,), (2,), (2,), (2,)]),
        (lambda x: F.max_pooling_2d(x, 2), [(2, 3, 4)]),
        (lambda x: F.average_pooling_2d(x, 2), [(2, 3, 4, 4, 4)]),
    ],
)
def test_what_does_not_fit_is_chainers_to_judge_also_where_it_does_not_check(function, shapes):
    arrays = [abs(normal(seed, *shape)) for seed, shape in enumerate(shapes)]
    outcomes = []
    for name in ("fast", "chainer"):
        with engine.using(name), chainer.using_config("type_check", False), chainer.no_backprop_mode():
            try:
                outcomes.append(function(*arrays).array.tolist())
            except Exception as refusal:
                outcomes.append((type(refusal), str(refusal)))
    assert outcomes[0] == outcomes[1]


# Of each class of nodes: what makes one, and shapes that it takes.
NODES = [
    (lambda: Convolution2DFunction(pad=1), [(2, 9, 5, 4), (4, 9, 3, 3), (4,)]),
    (lambda: Convolution2DFunction(pad=1), [(2, 2, 4, 4), (2, 2, 3, 3)]),
    (LinearFunction, [(4, 3), (4, 3), (4,)]),
    (LinearFunction, [(3, 3), (3, 3)]),
    (BatchNormalization, [(4, 3, 2, 3), (3,), (3,)]),
    (BatchNormalization, [(4, 3), (3,), (3,)]),
    (lambda: BatchNormalization(axis=(0, 2, 3)), [(4, 3, 3, 3), (3,), (3,)]),
    (FixedBatchNormalization, [(4, 3, 2, 3), (3,), (3,), (3,), (3,)]),
    (lambda: MaxPoolingND(2, 2), [(2, 3, 4, 5)]),
    (lambda: AveragePooling2D(2), [(2, 3, 4, 5)]),
    (ReLU, [(2, 3)]),
    (lambda: Dropout(0.5), [(2, 3)]),
]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(NODES), st.booleans(), st.data())
def test_nodes_take_exactly_what_chainers_take(node, evaluation, data):
    make, shapes = node
    shapes = [list(shape) for shape in shapes]
    dtypes = [np.dtype(np.float32)] * len(shapes)
    for _ in range(data.draw(st.integers(0, 2), "changes")):
        place = data.draw(st.integers(0, len(shapes) - 1), "place")
        shape = shapes[place]
        change = data.draw(st.sampled_from(["length", "length", "axis", "no axis", "dtype", "input", "no input"]))
        if change == "length" and shape:
            shape[data.draw(st.integers(0, len(shape) - 1))] = data.draw(st.integers(0, 9))
        elif change == "axis":
            shape.insert(data.draw(st.integers(0, len(shape))), data.draw(st.integers(1, 3)))
        elif change == "no axis" and shape:
            del shape[data.draw(st.integers(0, len(shape) - 1))]
        elif change == "dtype":
            dtypes[place] = np.dtype(data.draw(st.sampled_from(["f2", "f8", ">f4", "i4", "?", "c8"])))
        elif change == "input":
            shapes.insert(place, list(shape))
            dtypes.insert(place, dtypes[place])
        elif change == "no input" and len(shapes) > 1:
            del shapes[place], dtypes[place]
    arrays = [
        abs(normal(seed, *shape)).astype(dtype) for seed, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))
    ]
    outcomes = []
    for name in ("fast", "chainer"):
        np.random.seed(0)
        with engine.using(name), chainer.using_config("enable_backprop", not evaluation):
            try:
                (y,) = make().apply(tuple(arrays))
                outcomes.append((y.array.astype(float), y.dtype))
            except Exception as refusal:
                outcomes.append((type(refusal), str(refusal)))
    (found, kind), (expected, expected_kind) = outcomes
    assert kind == expected_kind
    if isinstance(expected, np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    else:
        assert found == expected


def test_debug_mode_still_finds_not_a_number():
    x = np.full((2, 3, 4, 4), np.nan, np.float32)
    with engine.using("fast"), chainer.using_config("debug", True), pytest.raises(RuntimeError, match="NaN"):
        F.relu(x)


@few
@given(st.integers(1, 2000), st.integers(0, 2**32 - 1), st.integers(0, 3), st.floats(0, 1))
def test_random_numbers_are_numpys_and_move_its_generator_on(count, seed, odd_draws, threshold):
    from reproduce.engine import uniform

    np.random.seed(seed)
    np.random.randint(0, 2, odd_draws)
    np.random.standard_normal(odd_draws)  # an odd number leaves one more behind
    state = np.random.get_state()
    numbers, following = np.random.rand(count), np.random.standard_normal(3)
    for bound in (threshold, numbers[0], np.nextafter(numbers[0], 1)):
        np.random.set_state(state)
        words = uniform.draw(count)
        np.testing.assert_array_equal(np.random.standard_normal(3), following)
        found = np.empty(count, np.uint8)
        uniform.at_least(words, 0, count, float(bound), found)
        np.testing.assert_array_equal(found, numbers >= bound)
