"""On a GPU: cuDNN's convolutions, and batch normalization in few passes over memory.

CuPy offers no cuDNN from its version 14 on. Chainer's own way around it unfolds the images and multiplies matrices, its
batch normalization moves every array through memory some twenty times, and its sums over images and pixels keep few of
the GPU's cores at work: here they take two steps, over each image's pixels first.

Float32 arrays alone are computed so, and only where Chainer does not use cuDNN itself.
"""

import functools
from collections.abc import Callable
from typing import Any

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.functions.connection.convolution_2d import Convolution2DFunction, Convolution2DGradW
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction
from chainer.functions.math.sum import Sum
from chainer.functions.normalization.batch_normalization import GeneralBatchNormalizationImpl

from reproduce import engine
from reproduce.engine import cudnn

IMAGES_AND_PIXELS = (0, 2, 3)


def convolution(node: Any, x: Any, weights: Any, bias: Any) -> tuple[Any] | None:
    """A convolution's output: (N, C, H, W) and (C', C, k, k) to (N, C', H', W'); None where cuDNN has no such one.

    Args:
        bias: (C',), or None.
    """
    if node.cover_all:
        return None
    y = cudnn.convolution(x, weights, _geometry(node))
    if y is None:
        return None
    if bias is not None:
        y += bias[:, None, None]
    return (y,)


def weight_gradient(node: Any, x: Any, gy: Any) -> tuple[Any] | None:
    """The gradient of a convolution's weights; None where cuDNN has no such convolution."""
    if node.cover_all or node.W_dtype != np.float32:
        return None
    found = cudnn.weight_gradient(x, gy, (gy.shape[1], x.shape[1], node.kh, node.kw), _geometry(node))
    return None if found is None else (found,)


def input_gradient(node: Any, gy: Any, weights: Any, bias: Any) -> tuple[Any] | None:
    """The gradient of a convolution's input, which Chainer takes for a deconvolution of the output's gradient."""
    if bias is not None or node.cover_all:
        return None
    images = (len(gy), weights.shape[1], node.outh, node.outw)
    found = cudnn.input_gradient(gy, weights, images, _geometry(node))
    return None if found is None else (found,)


def mean_and_variance(
    node: Any, axis: tuple[int, ...], gamma: Any, x: Any, xp: Any, dtype: Any
) -> tuple[Any, Any] | None:
    """Of each channel, over images and pixels: two arrays (C,); None for NumPy's arrays."""
    if xp is not cuda.cupy:
        return None
    values = np.float32(x.size // gamma.size)
    mean = _sum(x) / values
    squares = cuda.reduce("T x, T mean", "T y", "(x - mean) * (x - mean)", "a + b", "y = a", "0", "sum_of_squares")
    return mean, squares(x, mean[:, None, None], axis=(2, 3)).sum(axis=0) / values


def batch_normalization_gradients(
    node: Any, axis: tuple[int, ...], gamma: Any, gy: Any, x: Any, layout: Any, xp: Any, expander: Any,
    mean: Any, inverse_deviation: Any, *others: Any,
) -> tuple[Any, None, Any, Any] | None:  # fmt: skip
    """The gradients of batch normalization's input (N, C, H, W), and of gamma and beta, (C,), as Chainer orders them.

    None for NumPy's arrays, and where a class of ChainerMN's sums over several processes.

    Ioffe, Szegedy: 'Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift',
    ICML 2015, section 3.
    """
    if xp is not cuda.cupy or type(node) is not GeneralBatchNormalizationImpl:
        return None
    products = cuda.reduce("T gy, T x, T mean", "T y", "gy * (x - mean)", "a + b", "y = a", "0", "sum_of_products")
    of_beta = _sum(gy)
    of_gamma = products(gy, x, mean[:, None, None], axis=(2, 3)).sum(axis=0) * inverse_deviation
    compute = cuda.elementwise(
        "T gy, T x, T mean, T inverse_deviation, T gamma, T of_gamma, T of_beta, T values",
        "T gx",
        """gx = gamma * inverse_deviation
              * (gy - ((x - mean) * inverse_deviation * of_gamma + of_beta) / values)""",
        "batch_normalization_gradient",
    )
    channels = (array[:, None, None] for array in (mean, inverse_deviation, gamma, of_gamma, of_beta))
    return compute(gy, x, *channels, np.float32(x.size // gamma.size)), None, of_gamma, of_beta


def _geometry(node: Any) -> cudnn.Geometry:
    return cudnn.Geometry((node.ph, node.pw), (node.sy, node.sx), (node.dy, node.dx))


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


def _are_gradients_for_us(axis: tuple[int, ...], gamma: Any, gy: Any, x: Any, *others: Any) -> bool:
    return axis == IMAGES_AND_PIXELS and _is_for_us(gy, gamma, x)


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
    _replace(impl, "backward", batch_normalization_gradients, _are_gradients_for_us)
