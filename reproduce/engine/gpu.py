"""On a GPU: what Chainer computes there without cuDNN, which CuPy 14 and later do not offer, faster in large batches.

Chainer's own way around cuDNN unfolds the images and multiplies matrices, as here. But it lays its products out so that
each unfolded array is transposed, which moves it once more through memory, and its outputs lie channels last, where
CuPy's sums over images and pixels are slow. Here each image has a product of its own, outputs lie as their shape says,
and a sum over images and pixels takes two steps: over each image's pixels first, which keeps the whole GPU at work.

Float32 arrays alone are computed so, and only where Chainer may not use cuDNN.
"""

import functools
from collections.abc import Callable
from typing import Any

import chainer
import numpy as np
from chainer import backend
from chainer.backends import cuda
from chainer.functions.connection.convolution_2d import Convolution2DFunction, Convolution2DGradW
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction
from chainer.functions.math.sum import Sum
from chainer.functions.normalization.batch_normalization import GeneralBatchNormalizationImpl
from chainer.utils import conv

from reproduce import engine
from reproduce.engine import cudnn

IMAGES_AND_PIXELS = (0, 2, 3)


def convolution(node: Any, x: Any, weights: Any, bias: Any) -> tuple[Any]:
    """A convolution's output: (N, C, H, W) and (C', C, k, k) to (N, C', H', W').

    Args:
        bias: (C',), or None.
    """
    if _has_cudnn(node, x):
        y = cudnn.convolution(x, weights, _geometry(node))
        if bias is not None:
            y += bias[:, None, None]
        return (y,)
    xp = backend.get_array_module(x)
    unfolded = _unfolded(node, x, weights.shape[2:])
    images, height, width = len(x), *unfolded.shape[4:]
    y = xp.matmul(weights.reshape(len(weights), -1), unfolded.reshape(images, -1, height * width))
    if bias is not None:
        y += bias[:, None]
    return (y.reshape(images, -1, height, width),)


def weight_gradient(node: Any, x: Any, gy: Any) -> tuple[Any] | None:
    """The gradient of a convolution's weights, or None where one large product is faster: few pixels, many channels."""
    if _has_cudnn(node, x):
        return (cudnn.weight_gradient(x, gy, (gy.shape[1], x.shape[1], node.kh, node.kw), _geometry(node)),)
    xp = backend.get_array_module(x)
    images, channels, height, width = gy.shape
    if height * width < channels:
        return None
    unfolded = _unfolded(node, x, (node.kh, node.kw))
    inputs = unfolded.shape[1:4]
    unfolded = unfolded.reshape(images, -1, height * width)
    of_each_image = xp.matmul(unfolded, gy.reshape(images, channels, height * width).transpose(0, 2, 1))
    return (xp.ascontiguousarray(of_each_image.sum(axis=0).T).reshape(channels, *inputs),)


def input_gradient(node: Any, gy: Any, weights: Any, bias: Any) -> tuple[Any] | None:
    """The gradient of a convolution's input, which Chainer takes for a deconvolution of the output's gradient."""
    if bias is not None:
        return None
    if _has_cudnn(node, gy):
        inputs = (len(gy), weights.shape[1], node.outh, node.outw)
        return (cudnn.input_gradient(gy, weights, inputs, _geometry(node)),)
    xp = backend.get_array_module(gy)
    images, channels, height, width = gy.shape
    turned = weights.reshape(channels, -1).T
    unfolded = xp.matmul(turned, gy.reshape(images, channels, height * width))
    unfolded = unfolded.reshape(images, *weights.shape[1:], height, width)
    return (conv.col2im(unfolded, node.sy, node.sx, node.ph, node.pw, node.outh, node.outw, dy=node.dy, dx=node.dx),)


def mean_and_variance(node: Any, axis: tuple[int, ...], gamma: Any, x: Any, xp: Any, dtype: Any) -> tuple[Any, Any]:
    """Of each channel, over images and pixels: two arrays (C,)."""
    values = x.size // gamma.size
    mean = _sum(x) / np.float32(values)
    squares = x - mean[:, None, None]
    squares *= squares
    return mean, _sum(squares) / np.float32(values)


def scale_and_shift_gradients(
    node: Any, axis: tuple[int, ...], gamma: Any, gy: Any, x_hat: Any, xp: Any
) -> tuple[Any, Any]:
    """Of batch normalization's beta and gamma, in this order as in Chainer: two arrays (C,)."""
    return _sum(gy), _sum(gy * x_hat)


def _has_cudnn(node: Any, x: Any) -> bool:
    return isinstance(x, cuda.ndarray) and not node.cover_all and cudnn.library() is not None


def _geometry(node: Any) -> cudnn.Geometry:
    return cudnn.Geometry((node.ph, node.pw), (node.sy, node.sx), (node.dy, node.dx))


def _unfolded(node: Any, x: Any, window: tuple[int, ...]) -> Any:
    """What each filter sees at each place: (N, C, k, k, H', W')."""
    return conv.im2col(x, *window, node.sy, node.sx, node.ph, node.pw, cover_all=node.cover_all, dy=node.dy, dx=node.dx)


def _sum(x: Any) -> Any:
    """The sum over images and pixels, (N, C, H, W) to (C,)."""
    return x.sum(axis=(2, 3)).sum(axis=0)


def _is_for_us(images: Any, *others: Any) -> bool:
    """Whether the engine of a GPU is in use and covers these arrays, `images` (N, C, H, W) and others or None."""
    return (
        engine.current() == "gpu"
        and not chainer.should_use_cudnn(">=auto")
        and images.ndim == 4
        and images.size > 0
        and all(array is None or array.dtype == np.float32 for array in (images, *others))
    )


def _is_mean_for_us(axis: tuple[int, ...], gamma: Any, x: Any, xp: Any, dtype: Any) -> bool:
    return axis == IMAGES_AND_PIXELS and dtype == np.float32 and _is_for_us(x, gamma)


def _are_gradients_for_us(axis: tuple[int, ...], gamma: Any, gy: Any, x_hat: Any, xp: Any) -> bool:
    return axis == IMAGES_AND_PIXELS and _is_for_us(gy, gamma, x_hat)


def _replace(owner: type, name: str, compute: Callable, is_for_us: Callable[..., bool]) -> None:
    """Let a method of Chainer's ask `compute` first, and go its own way where that returns None."""
    stock = getattr(owner, name)

    @functools.wraps(stock)
    def method(self, *arguments):
        found = compute(self, *arguments) if is_for_us(*arguments) else None
        return stock(self, *arguments) if found is None else found

    setattr(owner, name, method)


def _summed(node: Any, inputs: tuple[Any]) -> tuple[Any] | None:
    """What a convolution's bias has for its gradient."""
    return None if node.axis != IMAGES_AND_PIXELS or node.keepdims else (_sum(inputs[0]),)


@functools.cache
def install() -> None:
    """Replace Chainer's functions; they still run Chainer's code outside of `engine.using`."""
    _replace(Convolution2DFunction, "_forward_gpu_core", convolution, _is_for_us)
    _replace(Convolution2DGradW, "_forward_gpu_core", weight_gradient, _is_for_us)
    _replace(Deconvolution2DFunction, "_forward_gpu_core", input_gradient, _is_for_us)
    _replace(Sum, "forward", _summed, lambda inputs: _is_for_us(inputs[0]))
    impl = GeneralBatchNormalizationImpl
    _replace(impl, "get_mean_and_var", mean_and_variance, _is_mean_for_us)
    _replace(impl, "get_ggamma_and_gbeta", scale_and_shift_gradients, _are_gradients_for_us)
