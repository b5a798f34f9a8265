"""What Chainer hands to the engine of a GPU, and what it keeps, seen with NumPy's arrays in CuPy's place.

The kernels themselves run in tests/program/test_gpu.py, where there is a GPU.
"""

import contextlib
import ctypes
from types import SimpleNamespace

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer.functions.connection.convolution_2d import Convolution2DFunction, Convolution2DGradW
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction

from reproduce import engine
from reproduce.engine import cudnn, gpu


def _random(*shape):
    return np.random.RandomState(sum(shape)).randn(*shape).astype(np.float32)


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """cuDNN is there, as far as the engine can see; its three functions are Chainer's own on the CPU, and counted."""
    found = []

    def given(geometry):
        return {"stride": geometry.stride, "pad": geometry.padding, "dilate": geometry.dilation}

    def convolution(x, weights, geometry):
        found.append("convolution")
        return F.convolution_2d(x, weights, **given(geometry)).array

    def gradients(x, weights, gy, geometry):
        variables = [chainer.Variable(array) for array in (x, weights)]
        y = F.convolution_2d(*variables, **given(geometry))
        y.grad = gy
        y.backward()
        return [variable.grad for variable in variables]

    def weight_gradient(x, gy, filters, geometry):
        found.append("weight_gradient")
        return gradients(x, np.zeros(filters, np.float32), gy, geometry)[1]

    def input_gradient(gy, weights, images, geometry):
        found.append("input_gradient")
        return gradients(np.zeros(images, np.float32), weights, gy, geometry)[0]

    monkeypatch.setattr(cudnn, "library", lambda: ctypes.CDLL(None))
    for function in (convolution, weight_gradient, input_gradient):
        monkeypatch.setattr(cudnn, function.__name__, function)
    stock_sum = gpu._sum
    monkeypatch.setattr(gpu, "_sum", lambda x: found.append("sum") or stock_sum(x))
    return found


@pytest.mark.parametrize("dilate", [1, 2])
@pytest.mark.parametrize("stride, pad", [(1, 1), (2, 0), ((1, 2), (2, 0))])
def test_a_convolution_s_shape_reaches_cudnn(stride, pad, dilate):
    x, weights, bias = _random(5, 3, 9, 8), _random(4, 3, 3, 2), _random(4)
    node = Convolution2DFunction(stride=stride, pad=pad, dilate=dilate)
    variables = [chainer.Variable(array) for array in (x, weights, bias)]
    expected = F.convolution_2d(*variables, stride=stride, pad=pad, dilate=dilate)
    gy = _random(*expected.shape)
    expected.grad = gy
    expected.backward()
    (y,) = gpu.convolution(node, x, weights, bias)
    np.testing.assert_allclose(y, expected.array, rtol=1e-5, atol=1e-5)
    (without_bias,) = gpu.convolution(node, x, weights, None)
    np.testing.assert_allclose(without_bias + bias[:, None, None], y, rtol=1e-5, atol=1e-5)
    (of_weights,) = gpu.weight_gradient(Convolution2DGradW(node, weights.shape, weights.dtype, None), x, gy)
    np.testing.assert_allclose(of_weights, variables[1].grad, rtol=1e-4, atol=1e-4)
    transposed = Deconvolution2DFunction(stride=stride, pad=pad, outsize=x.shape[2:], dilate=dilate)
    (of_images,) = gpu.input_gradient(transposed, gy, weights, None)
    np.testing.assert_allclose(of_images, variables[0].grad, rtol=1e-4, atol=1e-4)
    (of_bias,) = gpu._summed(SimpleNamespace(axis=(0, 2, 3), keepdims=False), (gy,))
    np.testing.assert_allclose(of_bias, variables[2].grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pad", [(0, 0), (1, 1), (2, 0)])
@pytest.mark.parametrize("stride, dilate", [((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 2), (2, 1))])
def test_outputs_have_the_shape_that_chainer_gives_them(pad, stride, dilate):
    x, weights = _random(2, 3, 9, 8), _random(4, 3, 3, 2)
    expected = F.convolution_2d(x, weights, stride=stride, pad=pad, dilate=dilate).shape
    assert cudnn.Geometry(pad, stride, dilate).outputs(x.shape, weights.shape) == expected


def test_a_sum_over_other_axes_is_left_to_chainer():
    x = (_random(2, 3, 4, 4),)
    assert gpu._summed(SimpleNamespace(axis=(0, 1, 2), keepdims=False), x) is None
    assert gpu._summed(SimpleNamespace(axis=(0, 2, 3), keepdims=True), x) is None


def test_the_engine_of_a_gpu_is_not_that_of_the_cpu():
    with engine.using("fast", 0):
        assert engine.current() == "gpu"
        with engine.using("fast"):
            assert engine.current() == "fast"
    assert engine.current() == "chainer"


def _methods(cover_all, of_weights):
    node = Convolution2DFunction(stride=1, pad=1, cover_all=cover_all)
    gradient = Convolution2DGradW(node, (4, 3, 3, 3), of_weights, None)
    transposed = Deconvolution2DFunction(stride=1, pad=1)
    transposed.outh = transposed.outw = 8
    transposed.cover_all = cover_all
    return node, gradient, transposed


@pytest.mark.parametrize(
    "name, dtype, of_weights, cover_all, expected",
    [
        ("fast", np.float32, np.float32, False, ["convolution", "weight_gradient", "input_gradient", "sum"]),
        ("chainer", np.float32, np.float32, False, []),
        ("fast", np.float64, np.float64, False, []),
        ("fast", np.float32, np.float64, False, ["sum"]),
        ("fast", np.float32, np.float32, True, ["sum"]),
    ],
)
def test_the_methods_that_chainer_calls_without_cudnn_are_the_engine_s(
    name, dtype, of_weights, cover_all, expected, calls
):
    with engine.using("fast", 0):
        pass  # installed from here on
    x, gy = (array.astype(dtype) for array in (_random(2, 3, 8, 8), _random(2, 4, 8, 8)))
    weights = _random(4, 3, 3, 3).astype(of_weights)
    node, gradient, transposed = _methods(cover_all, of_weights)
    # Stock Chainer's own methods need CuPy and a GPU, and fail without.
    for method, given in (
        (node._forward_gpu_core, (x, weights, None)),
        (gradient._forward_gpu_core, (x, gy)),
        (transposed._forward_gpu_core, (gy, weights, None)),
    ):
        with engine.using(name, 0), contextlib.suppress(Exception):
            method(*given)
    with engine.using(name, 0):
        F.sum(chainer.Variable(gy), axis=(0, 2, 3))
    assert calls == expected


@pytest.mark.parametrize("function", ["convolution", "weight_gradient", "input_gradient"])
def test_what_cudnn_cannot_do_is_left_to_chainer(function, monkeypatch):
    monkeypatch.setattr(cudnn, function, lambda *given: None)
    node, gradient, transposed = _methods(False, np.float32)
    x, weights, bias, gy = _random(2, 3, 8, 8), _random(4, 3, 3, 3), _random(4), _random(2, 4, 8, 8)
    found = {
        "convolution": lambda: gpu.convolution(node, x, weights, bias),
        "weight_gradient": lambda: gpu.weight_gradient(gradient, x, gy),
        "input_gradient": lambda: gpu.input_gradient(transposed, gy, weights, None),
    }[function]()
    assert found is None


@pytest.mark.parametrize("axis", [(0, 2, 3), (0, 1)])
def test_batch_normalization_of_arrays_that_are_not_on_the_gpu_is_chainer_s(axis):
    x, gy = _random(6, 4, 5, 3), _random(6, 4, 5, 3)
    found = []
    for name in ("fast", "chainer"):
        gamma, beta = (chainer.Variable(np.ones(np.sum(x, axis=axis).shape, np.float32)) for _ in range(2))
        with engine.using(name, 0):
            y = F.batch_normalization(chainer.Variable(x), gamma, beta, axis=axis)
            y.grad = gy
            y.backward()
        found.append((y.array, gamma.grad, beta.grad))
    for ours, stock in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, stock)
