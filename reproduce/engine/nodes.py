"""Operations as pairs of functions on Chainer's node, forward and backward (normalization has its own module).

A forward gets the node and its input arrays; it returns the outputs and sets `node.engine_state`, or returns None for
what the engine does not cover: all that does not fit together, for no loop checks its bounds, and Chainer's check of
types may be off. A backward gets the node, the numbers of the wanted gradients, and the arrays that the node has
retained, and its output's gradient; it is only called for nodes that the engine computed, and for arrays of the same
shapes as then (`installation`). It returns Variables. What a user reads from a node that the engine keeps in another
form, `dropout_mask` and `max_pooling_indexes` compute when it is first read.
"""

from collections.abc import Callable

import chainer
import numpy as np
from chainer import Variable
from chainer.utils.conv import get_conv_outsize
from numpy.typing import DTypeLike

from reproduce.engine import convolution, graph, linear, loops, memory, pooling, threads, uniform

# Fewer values are not worth the way to another thread, about 20 microseconds.
SMALLEST_RANGE = 1 << 14


def covered(*arrays: object) -> bool:
    """Whether all of these are NumPy arrays of float32, of this machine's byte order, and none is empty."""
    return all(type(array) is np.ndarray and array.dtype == np.float32 and array.size for array in arrays)


def _is_channels_last(array: np.ndarray) -> bool:
    return array.ndim == 4 and array.transpose(0, 2, 3, 1).flags.c_contiguous


def _empty_like(
    array: np.ndarray, dtype: DTypeLike = np.float32
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """An array of this shape in NHWC memory if the given one's is, else C-contiguous.

    And a function that gives any array of this shape flat, in the same order: a view where its values already lie so.
    """
    if _is_channels_last(array):
        images, channels, height, width = array.shape
        return memory.nchw(memory.empty((images, height, width, channels), dtype)), lambda x: memory.nhwc(x).reshape(-1)
    return memory.empty(array.shape, dtype), lambda x: np.ascontiguousarray(x).reshape(-1)


def _fits(bias: np.ndarray | None, weights: np.ndarray) -> bool:
    return bias is None or bias.shape == weights.shape[:1]


def constants(*arrays: np.ndarray) -> tuple[Variable, ...]:
    """Gradients as Chainer wants them returned."""
    return tuple([graph.variable(array) for array in arrays])


# --- convolution


def convolution_forward(node, inputs):
    """Of images (N, C, H, W), filters (C', C, k, l) and perhaps a bias (C',): (N, C', H', W')."""
    x, weights = inputs[:2]
    bias = inputs[2] if len(inputs) == 3 else None
    fit = x.ndim == weights.ndim == 4 and x.shape[1] == weights.shape[1] and _fits(bias, weights)
    plain = node.sy == node.sx == node.dy == node.dx == node.groups == 1 and not node.cudnn_fast
    if not plain or not fit or not covered(*inputs) or any(layout is not None for layout in node.input_layouts):
        return None
    filter_height, filter_width = weights.shape[2:]
    if not (0 <= node.ph < filter_height and 0 <= node.pw < filter_width):
        return None
    if x.shape[2] + 2 * node.ph < filter_height or x.shape[3] + 2 * node.pw < filter_width:
        return None  # Chainer refuses it
    node.retain_inputs((0, 1))
    node.engine_state = (int(node.ph), int(node.pw))
    return (convolution.forward(x, weights, bias, node.engine_state),)


def convolution_backward(node, indexes, x, weights, gy):
    """Of gy (N, C', H', W'): the wanted ones of the gradients of images, filters and bias."""
    gradients = convolution.backward(x, weights, gy, node.engine_state, 1 in indexes or 2 in indexes, 0 in indexes)
    return constants(*(gradients[i] for i in indexes))


# --- ReLU


def relu_forward(node, inputs):
    """Of x in any shape: x where it is above 0, and 0 elsewhere."""
    (x,) = inputs
    if not covered(x):
        return None
    y, flat = _empty_like(x)
    threads.parallel_for(loops.relu, x.size, flat(x), flat(y), smallest=SMALLEST_RANGE)
    node.retain_outputs((0,))
    node.engine_state = True
    return (y,)


def relu_backward(node, indexes, y, gy):
    """Of y and gy in x's shape: gy where y is above 0, and 0 elsewhere."""
    gx, flat = _empty_like(y)
    threads.parallel_for(loops.relu_gradient, y.size, flat(y), flat(gy), flat(gx), smallest=SMALLEST_RANGE)
    return constants(gx)


# --- linear


def linear_forward(node, inputs):
    """Of x (N, I), weights (O, I) and perhaps a bias (O,): (N, O)."""
    x, weights = inputs[:2]
    bias = inputs[2] if len(inputs) == 3 else None
    fit = x.ndim == weights.ndim == 2 and x.shape[1] == weights.shape[1] and _fits(bias, weights)
    if not fit or not covered(*inputs):
        return None
    node._config_use_ideep = chainer.config.use_ideep
    node.retain_inputs((0, 1))
    node.engine_state = True
    return (linear.forward(x, weights, bias),)


def linear_backward(node, indexes, x, weights, gy):
    """Of gy (N, O): the wanted ones of the gradients of x, weights and bias."""
    compute = (
        lambda: linear.input_gradient(weights, gy),
        lambda: linear.weight_gradient(x, gy),
        lambda: gy.sum(axis=0),
    )
    return constants(*(compute[i]() for i in indexes))


# --- dropout


def dropout_forward(node, inputs):
    """Of x (N, ...): 0 where NumPy's global generator says so, as in Chainer, and x / (1 - ratio) elsewhere."""
    (x,) = inputs
    if node.mask is not None or node.return_mask or not covered(x) or x.ndim == 0:
        return None
    words = uniform.draw(x.size)
    if words is None:
        return None
    (y, flat), (kept, _) = _empty_like(x), _empty_like(x, np.uint8)
    channels, pixels = (x.shape[1], x.shape[2] * x.shape[3]) if _is_channels_last(x) else (x.size // len(x), 1)
    scale = np.float32(1.0 / (1 - node.dropout_ratio))
    threads.parallel_for(
        loops.drop, len(x), flat(x), words, float(node.dropout_ratio), scale, channels, pixels, flat(kept), flat(y)
    )
    node.engine_state = (kept, scale)
    del node.mask  # None; `dropout_mask` makes it when somebody asks
    return (y,)


def dropout_backward(node, indexes, gy):
    """Of gy in x's shape: 0 where x was dropped, and gy / (1 - ratio) elsewhere."""
    kept, scale = node.engine_state
    gx, flat = _empty_like(kept)
    threads.parallel_for(loops.drop_gradient, gy.size, flat(gy), flat(kept), scale, flat(gx), smallest=SMALLEST_RANGE)
    return constants(gx)


def dropout_mask(node) -> np.ndarray:
    """Chainer's `Dropout.mask`: what x was multiplied by, 0 or 1 / (1 - ratio), in x's shape."""
    kept, scale = node.engine_state
    return np.ascontiguousarray(scale * kept.astype(np.float32))


# --- pooling


def _windows(node, x: np.ndarray, cover_all: bool) -> tuple[int, ...] | None:
    """(kh, kw, sy, sx, ph, pw, out_height, out_width), or None for what only Chainer can judge."""
    kh, kw, sy, sx, ph, pw = node
    out_height = get_conv_outsize(x.shape[2], kh, sy, ph, cover_all)
    out_width = get_conv_outsize(x.shape[3], kw, sx, pw, cover_all)
    if min(sy, sx, out_height, out_width) < 1 or min(ph, pw) < 0 or kh * kw > 256:
        return None
    return kh, kw, sy, sx, ph, pw, out_height, out_width


def _windows_are_apart(shape: tuple[int, ...], windows: tuple[int, ...]) -> bool:
    kh, kw, sy, sx, ph, pw, out_height, out_width = windows
    tiled = (kh, kw, ph, pw) == (sy, sx, 0, 0)
    return tiled and out_height * sy >= shape[2] and out_width * sx >= shape[3]


def max_pooling_forward(node, inputs):
    """Of x (N, C, H, W): the largest value of each window, (N, C, H', W'); keeps where in its window it lies."""
    (x,) = inputs
    if node.ndim != 2 or x.ndim != 4 or node.return_indices or not covered(x):
        return None
    windows = _windows((*node.ksize, *node.stride, *node.pad), x, node.cover_all)
    if windows is None:
        return None
    images, channels, height, width = x.shape
    y = memory.empty((images, *windows[-2:], channels))
    indexes = memory.empty(y.shape, np.uint8)
    threads.parallel_for(
        pooling.max_forward, images, memory.nhwc(x).reshape(-1), height, width, channels, *windows, y.reshape(-1),
        indexes.reshape(-1),
    )  # fmt: skip
    node._in_shape, node._in_dtype = x.shape, x.dtype
    node.engine_state = (windows, indexes)
    return (memory.nchw(y),)


def max_pooling_backward(node, indexes, gy):
    """Of gy (N, C, H', W'): (N, C, H, W), each value added where its window's largest lay."""
    windows, places = node.engine_state
    images, channels, height, width = node._in_shape
    gx = memory.empty((images, height, width, channels))
    threads.parallel_for(
        pooling.max_backward, images, memory.nhwc(gy).reshape(-1), places.reshape(-1), height, width, channels,
        *windows, _windows_are_apart(node._in_shape, windows), gx.reshape(-1),
    )  # fmt: skip
    return constants(memory.nchw(gx))


def max_pooling_indexes(node) -> np.ndarray:
    """Chainer's `MaxPoolingND.indexes`: the number of each maximum in its window, (N, C, H', W') int64."""
    return np.ascontiguousarray(memory.nchw(node.engine_state[1]).astype(np.int64))


def average_pooling_forward(node, inputs):
    """Of x (N, C, H, W): the mean of each window, (N, C, H', W')."""
    (x,) = inputs
    if x.ndim != 4 or not covered(x):
        return None
    windows = _windows((node.kh, node.kw, node.sy, node.sx, node.ph, node.pw), x, False)
    if windows is None:
        return None
    images, channels, height, width = x.shape
    y = memory.empty((images, *windows[-2:], channels))
    threads.parallel_for(
        pooling.average_forward, images, memory.nhwc(x).reshape(-1), height, width, channels, *windows, y.reshape(-1)
    )
    node._in_shape, node._in_dtype = x.shape, x.dtype
    node.engine_state = windows
    return (memory.nchw(y),)


def average_pooling_backward(node, indexes, gy):
    """Of gy (N, C, H', W'): (N, C, H, W), each value shared out evenly over its window."""
    images, channels, height, width = node._in_shape
    gx = memory.empty((images, height, width, channels))
    threads.parallel_for(
        pooling.average_backward, images, memory.nhwc(gy).reshape(-1), height, width, channels, *node.engine_state,
        _windows_are_apart(node._in_shape, node.engine_state), gx.reshape(-1),
    )  # fmt: skip
    return constants(memory.nchw(gx))
