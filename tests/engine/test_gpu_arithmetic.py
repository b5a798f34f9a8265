"""What the engine computes on a GPU, computed here with NumPy in CuPy's place: Chainer's own numbers, to rounding.

The kernels themselves run in tests/program/test_gpu.py, where there is a GPU.
"""

import contextlib
from types import SimpleNamespace

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer.functions.connection.convolution_2d import Convolution2DFunction, Convolution2DGradW
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction

from reproduce import engine
from reproduce.engine import gpu

SHAPES = pytest.mark.parametrize("size, channels_in, channels, filter_size", [(8, 3, 4, 3), (6, 5, 7, 5), (4, 2, 3, 1)])


def _random(*shape):
    return np.random.RandomState(sum(shape)).randn(*shape).astype(np.float32)


def _node(filter_size, size, stride=1, pad=None):
    pad = filter_size // 2 if pad is None else pad
    return SimpleNamespace(
        kh=filter_size, kw=filter_size, sy=stride, sx=stride, ph=pad, pw=pad, dy=1, dx=1, cover_all=False,
        outh=size, outw=size,
    )  # fmt: skip


@SHAPES
@pytest.mark.parametrize("stride, pad", [(1, None), (2, 0)])
def test_a_convolution_and_its_gradients_are_chainer_s(size, channels_in, channels, filter_size, stride, pad):
    x, weights, bias = (
        _random(5, channels_in, size, size),
        _random(channels, channels_in, filter_size, filter_size),
        _random(channels),
    )
    node = _node(filter_size, size, stride, pad)
    variables = [chainer.Variable(array) for array in (x, weights, bias)]
    expected = F.convolution_2d(*variables, stride=stride, pad=node.ph)
    gy = _random(*expected.shape)
    expected.grad = gy
    expected.backward()
    (y,) = gpu.convolution(node, x, weights, bias)
    np.testing.assert_allclose(y, expected.array, rtol=1e-5, atol=1e-5)
    assert y.flags.c_contiguous
    (without_bias,) = gpu.convolution(node, x, weights, None)
    np.testing.assert_allclose(without_bias + bias[:, None, None], y, rtol=1e-5, atol=1e-5)
    (gx,) = gpu.input_gradient(node, gy, weights, None)
    np.testing.assert_allclose(gx, variables[0].grad, rtol=1e-4, atol=1e-4)
    found = gpu.weight_gradient(node, x, gy)
    if gy.shape[2] * gy.shape[3] < channels:
        assert found is None
    else:
        np.testing.assert_allclose(found[0], variables[1].grad, rtol=1e-4, atol=1e-4)
    (bias_gradient,) = gpu._summed(SimpleNamespace(axis=(0, 2, 3), keepdims=False), (gy,))
    np.testing.assert_allclose(bias_gradient, variables[2].grad, rtol=1e-4, atol=1e-4)


def test_a_sum_over_other_axes_is_left_to_chainer():
    x = (_random(2, 3, 4, 4),)
    assert gpu._summed(SimpleNamespace(axis=(0, 1, 2), keepdims=False), x) is None
    assert gpu._summed(SimpleNamespace(axis=(0, 2, 3), keepdims=True), x) is None


@pytest.mark.parametrize("axis", [(0, 2, 3), None])
def test_inside_the_engine_of_a_gpu_batch_normalization_gives_chainer_s_numbers(axis, monkeypatch):
    """Chainer's own node calls the engine's functions, whatever kind of array comes."""
    x, gamma, beta, gy = 3 + 2 * _random(6, 4, 5, 5), _random(4), _random(4), _random(6, 4, 5, 5)
    calls, stock_sum = [], gpu._sum
    monkeypatch.setattr(gpu, "_sum", lambda array: calls.append(array.shape) or stock_sum(array))
    found = []
    for name, device in (("chainer", -1), ("fast", 0)):
        variables = [chainer.Variable(array.copy()) for array in (x, gamma, beta)]
        with engine.using(name, device):
            y = F.batch_normalization(*variables, axis=axis)
            y.grad = gy
            y.backward()
        found.append([y.array, *(variable.grad for variable in variables)])
        assert len(calls) == (4 if name == "fast" else 0)
    for stock, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, stock, rtol=1e-4, atol=1e-4)


def test_the_engine_of_a_gpu_is_not_that_of_the_cpu():
    with engine.using("fast", 0):
        assert engine.current() == "gpu"
        with engine.using("fast"):
            assert engine.current() == "fast"
    assert engine.current() == "chainer"


def _methods():
    node = Convolution2DFunction(stride=1, pad=1)
    gradient = Convolution2DGradW(node, (4, 3, 3, 3), np.float32, None)
    transposed = Deconvolution2DFunction(stride=1, pad=1)
    transposed.outh = transposed.outw = 8
    return node, gradient, transposed


@pytest.mark.parametrize(
    "name, dtype, calls",
    [("fast", np.float32, 4), ("chainer", np.float32, 0), ("fast", np.float64, 0)],
)
def test_the_methods_that_chainer_calls_without_cudnn_are_the_engine_s(name, dtype, calls, monkeypatch):
    with engine.using("fast", 0):
        pass  # installed from here on
    found = []
    monkeypatch.setattr(gpu, "_sum", lambda x, stock=gpu._sum: found.append("sum") or stock(x))
    monkeypatch.setattr(
        gpu.conv,
        "im2col",
        lambda *given, stock=gpu.conv.im2col, **named: found.append("im2col") or stock(*given, **named),
    )
    monkeypatch.setattr(
        gpu.conv,
        "col2im",
        lambda *given, stock=gpu.conv.col2im, **named: found.append("col2im") or stock(*given, **named),
    )
    x, weights, gy = (array.astype(dtype) for array in (_random(2, 3, 8, 8), _random(4, 3, 3, 3), _random(2, 4, 8, 8)))
    node, gradient, transposed = _methods()
    # Stock Chainer's own methods need CuPy, which says that it was they that were called.
    for method, given in (
        (node._forward_gpu_core, (x, weights, None)),
        (gradient._forward_gpu_core, (x, gy)),
        (transposed._forward_gpu_core, (gy, weights, None)),
    ):
        with engine.using(name, 0), contextlib.suppress(AttributeError):
            method(*given)
    with engine.using(name, 0):
        F.sum(chainer.Variable(gy), axis=(0, 2, 3))
    assert len(found) == calls


@pytest.mark.parametrize("of_gamma", [np.float64, np.float16])
def test_batch_normalization_of_mixed_types_is_left_to_chainer(of_gamma):
    x, gy = _random(6, 4, 5, 5), _random(6, 4, 5, 5)
    found = []
    for name, device in (("chainer", -1), ("fast", 0)):
        gamma, beta = (chainer.Variable(np.ones(4, of_gamma)) for _ in range(2))
        with engine.using(name, device):
            y = F.batch_normalization(chainer.Variable(x), gamma, beta)
            y.grad = gy.astype(y.dtype)
            y.backward()
        found.append(gamma.grad)
    np.testing.assert_array_equal(found[0], found[1])
