"""Batch normalization on Chainer's nodes, as in `nodes`: by the batch's own statistics, or by fixed ones.

Ioffe & Szegedy 2015 (arXiv:1502.03167), Algorithm 1, and the gradients of section 3.
"""

import functools

import chainer
import numpy as np
from chainer.functions.normalization.batch_normalization import GeneralBatchNormalizationImpl, _impl_selector

from reproduce.engine import loops, memory, threads
from reproduce.engine.nodes import constants, covered

# So many sums are taken at a time, and then added up: more than there are threads, and whatever their number the same.
PARTS = 32
# Values of the shortest part.
SMALLEST_PART = 1 << 13


def _normalized_axes(node, x: np.ndarray, *vectors: np.ndarray) -> bool:
    """Whether these vectors are of the channels of images, or of those of plain vectors."""
    if any(vector.shape != x.shape[1:2] for vector in vectors) or any(
        layout is not None for layout in node.input_layouts
    ):
        return False
    return (x.ndim == 4 and node.axis in (None, (0, 2, 3))) or (x.ndim == 2 and node.axis in (None, (0,)))


def _pixels(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) or (N, C) as a flat array of rows of C values."""
    return (memory.nhwc(x) if x.ndim == 4 else np.ascontiguousarray(x)).reshape(-1)


def _empty_pixels(x: np.ndarray) -> np.ndarray:
    if x.ndim == 2:
        return memory.empty(x.shape)
    images, channels, height, width = x.shape
    return memory.nchw(memory.empty((images, height, width, channels)))


def _wide(channels: int) -> int:
    return max(1, 512 // channels) * channels


@functools.lru_cache(maxsize=256)
def _counts(rows: int, slots: int) -> np.ndarray:
    """How many rows each of so many ranges has (`threads.parallel_sums`), (slots, 1) float64."""
    return np.diff([rows * slot // slots for slot in range(slots + 1)]).astype(np.float64)[:, None]


def _normalize(x, mean, scale, beta):
    y = _empty_pixels(x)
    channels = len(mean)
    threads.parallel_for(
        loops.normalize, x.size // channels, _pixels(x), channels, _wide(channels), np.ascontiguousarray(mean), scale,
        np.ascontiguousarray(beta), _pixels(y),
    )  # fmt: skip
    return y


def _moments(x: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (biased) variance of each channel, float32."""
    rows = x.size // channels
    means, squares = np.empty((PARTS, channels)), np.empty((PARTS, channels))
    slots = threads.parallel_sums(
        loops.moments, rows, _pixels(x), channels, _wide(channels), means, squares,
        parts=PARTS, smallest=-(-SMALLEST_PART // channels),
    )  # fmt: skip
    counts = _counts(rows, slots)
    mean = (counts * means[:slots]).sum(axis=0) / rows
    variance = (squares[:slots].sum(axis=0) + (counts * (means[:slots] - mean) ** 2).sum(axis=0)) / rows
    return mean.astype(np.float32), variance.astype(np.float32)


def forward(node, inputs):
    """Batch normalization by the batch's own statistics; the node's running ones (C,) are changed in place.

    x is (N, C, H, W) or (N, C), gamma and beta (C,), all float32. Running statistics are as Chainer keeps them: the
    variance unbiased, and `decay` of the old ones kept.
    """
    x, gamma, beta = inputs
    running = [node.running_mean, node.running_var]
    if not covered(*inputs, *(array for array in running if array is not None)):
        return None
    # A class of ChainerMN's has an implementation of its own, which sums over several processes.
    if node._impl_selector is not _impl_selector or not _normalized_axes(node, *inputs):
        return None
    if x.size == gamma.size:  # Chainer warns
        return None
    node.retain_inputs((0, 1))
    node.axis = (0, 2, 3) if x.ndim == 4 else (0,)
    node.key_axis = (1,)
    node.expander = (None, slice(None), None, None) if x.ndim == 4 else (None, slice(None))
    node._impl = GeneralBatchNormalizationImpl()
    mean, variance = _moments(x, gamma.size)
    node.mean, node.var = mean, variance
    node.inv_std = np.reciprocal(np.sqrt(variance + np.float32(node.eps)))
    if node.running_mean is not None:
        rows = x.size // gamma.size
        adjust = rows / max(rows - 1.0, 1.0)
        node.running_mean *= node.decay
        node.running_mean += (1 - node.decay) * mean
        node.running_var *= node.decay
        node.running_var += (1 - node.decay) * adjust * variance
    node.engine_state = True
    return (_normalize(x, mean, gamma * node.inv_std, beta),)


def backward(node, indexes, x, gamma, gy):
    """The gradients by x, gamma and beta, in the shapes of these, as far as `indexes` (0, 1, 2) names them."""
    scale = gamma * node.inv_std
    channels, wide, rows = gamma.size, _wide(gamma.size), x.size // gamma.size
    sums, products = np.empty((PARTS, channels)), np.empty((PARTS, channels))
    pixels, gradients = _pixels(x), _pixels(gy)
    slots = threads.parallel_sums(
        loops.gradient_sums, rows, pixels, gradients, channels, wide, node.mean, sums, products,
        parts=PARTS, smallest=-(-SMALLEST_PART // channels),
    )  # fmt: skip
    gbeta = sums[:slots].sum(axis=0)
    ggamma = products[:slots].sum(axis=0) * node.inv_std
    gx = _empty_pixels(x)
    if 0 in indexes:
        slope = (scale * node.inv_std * ggamma / rows).astype(np.float32)
        offset = (scale * gbeta / rows).astype(np.float32)
        threads.parallel_for(
            loops.gradient, rows, pixels, gradients, channels, wide, node.mean, scale, slope, offset, _pixels(gx),
        )  # fmt: skip
    results = (gx, ggamma.astype(np.float32), gbeta.astype(np.float32))
    return constants(*(results[i] for i in indexes))


def fixed_forward(node, inputs):
    """Batch normalization by given statistics, mean and variance (C,) float32, as in a test; no graph is kept."""
    x, gamma, beta, mean, variance = inputs
    if chainer.config.enable_backprop or not covered(*inputs) or not _normalized_axes(node, *inputs):
        return None
    inv_std = np.sqrt(np.reciprocal(variance + np.float32(node.eps)))
    return (_normalize(x, mean, gamma * inv_std, beta),)
