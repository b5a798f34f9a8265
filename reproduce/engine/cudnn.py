"""cuDNN's convolutions of CuPy's arrays, called in cuDNN's library itself: CuPy offers no cuDNN from its version 14 on.

The functions and their constants are those of the header `cudnn_cnn.h` of cuDNN 9. Products are float32 throughout,
never rounded to TF32, and of cuDNN's algorithms only those are used whose sums come in the same order each time.
"""

import contextlib
import ctypes
import functools
import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from chainer.backends import cuda
from chainer.utils import conv

LIBRARY = "libcudnn.so.9"
NCHW, FLOAT, CROSS_CORRELATION, FMA_MATH = 0, 0, 1, 3
# Algorithms' numbers. Those that cuDNN itself expects to be the fastest took up to ten times as long on an H100.
IMPLICIT_PRODUCT = {"Forward": 1, "BackwardFilter": 1, "BackwardData": 1}
WINOGRAD = {"Forward": 7, "BackwardFilter": 5, "BackwardData": 5}
FOURIER = {"Forward": 4, "BackwardFilter": 2, "BackwardData": 2}
FEW_CHANNELS = 16
# Bytes of memory that an algorithm may take for itself: enough for these in batches of 500.
MOST_WORKSPACE = 2 << 30

_ONE, _ZERO = ctypes.c_float(1), ctypes.c_float(0)
_handles = threading.local()


class _Algorithm(ctypes.Structure):
    """`cudnnConvolutionFwdAlgoPerf_t`, and its like for the two gradients."""

    _fields_ = (
        ("algorithm", ctypes.c_int),
        ("status", ctypes.c_int),
        ("time", ctypes.c_float),
        ("memory", ctypes.c_size_t),
        ("determinism", ctypes.c_int),
        ("math_type", ctypes.c_int),
        ("reserved", ctypes.c_int * 3),
    )


class _Plan(NamedTuple):
    """How one convolution of these shapes, or one of its gradients, is computed."""

    convolution: ctypes.c_void_p
    images: ctypes.c_void_p
    filters: ctypes.c_void_p
    outputs: ctypes.c_void_p
    algorithm: int
    workspace: int


class Geometry(NamedTuple):
    """Each of the three is (vertical, horizontal), in pixels."""

    padding: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]

    def outputs(self, images: tuple[int, ...], filters: tuple[int, ...]) -> tuple[int, ...]:
        """The outputs' shape (N, C', H', W') of images (N, C, H, W) and filters (C', C, k, k)."""
        height, width = (
            conv.get_conv_outsize(size, filter_size, stride, padding, d=dilation)
            for size, filter_size, stride, padding, dilation in zip(
                images[2:], filters[2:], self.stride, self.padding, self.dilation, strict=True
            )
        )
        return images[0], filters[0], height, width


@functools.cache
def library() -> ctypes.CDLL | None:
    """cuDNN, from NVIDIA's package for Python or else from where the machine keeps its libraries; None without it.

    The library of this name only loads those beside it, when they are first needed, and ends the process where they
    are missing; so the one with the convolutions, which needs most others, is loaded first.
    """
    nvidia = importlib.util.find_spec("nvidia")
    places = nvidia.submodule_search_locations if nvidia else None
    for path in (*(Path(place, "cudnn", "lib", LIBRARY) for place in places or ()), LIBRARY):
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(path).replace("libcudnn.", "libcudnn_cnn."))
            cudnn = ctypes.CDLL(str(path))
            cudnn.cudnnGetErrorString.restype = ctypes.c_char_p
            return cudnn
    return None


def convolution(x: Any, weights: Any, geometry: Geometry) -> Any | None:
    """A convolution's output: (N, C, H, W) and (C', C, k, k) to (N, C', H', W'), float32; None if cuDNN has none."""
    x, weights = cuda.cupy.ascontiguousarray(x), cuda.cupy.ascontiguousarray(weights)
    plan = _plan("Forward", x.shape, weights.shape, geometry, x.device.id)
    if plan is None:
        return None
    y = cuda.cupy.empty(geometry.outputs(x.shape, weights.shape), np.float32)
    _compute("Forward", plan, (plan.images, x), (plan.filters, weights), (plan.outputs, y))
    return y


def weight_gradient(x: Any, gy: Any, filters: tuple[int, ...], geometry: Geometry) -> Any | None:
    """The gradient of a convolution's weights, (C', C, k, k) = `filters`; None if cuDNN has none."""
    x, gy = cuda.cupy.ascontiguousarray(x), cuda.cupy.ascontiguousarray(gy)
    plan = _plan("BackwardFilter", x.shape, filters, geometry, x.device.id)
    if plan is None:
        return None
    found = cuda.cupy.empty(filters, np.float32)
    _compute("BackwardFilter", plan, (plan.images, x), (plan.outputs, gy), (plan.filters, found))
    return found


def input_gradient(gy: Any, weights: Any, images: tuple[int, ...], geometry: Geometry) -> Any | None:
    """The gradient of a convolution's input, (N, C, H, W) = `images`; None if cuDNN has none."""
    gy, weights = cuda.cupy.ascontiguousarray(gy), cuda.cupy.ascontiguousarray(weights)
    plan = _plan("BackwardData", images, weights.shape, geometry, gy.device.id)
    if plan is None:
        return None
    found = cuda.cupy.empty(images, np.float32)
    _compute("BackwardData", plan, (plan.filters, weights), (plan.outputs, gy), (plan.images, found))
    return found


def _call(name: str, *arguments: Any) -> None:
    cudnn = library()
    assert cudnn is not None
    status = getattr(cudnn, name)(*arguments)
    if status:
        raise RuntimeError(f"{name}: {cudnn.cudnnGetErrorString(status).decode()}")


def _handle(device: int) -> ctypes.c_void_p:
    """cuDNN's own state, one for each GPU and thread.

    Raises:
        OSError: cuDNN cannot work here, as one for another CUDA than the driver's.
    """
    known = _handles.__dict__.setdefault("known", {})
    if device not in known:
        handle = ctypes.c_void_p()
        try:
            with cuda.cupy.cuda.Device(device):
                _call("cudnnCreate", ctypes.byref(handle))
        except RuntimeError as error:
            remedy = "the extra cuda12 or cuda13 that fits the driver brings another; ENGINE=chainer does without"
            raise OSError(f"cuDNN cannot be used on GPU {device} ({error}); {remedy}") from error
        known[device] = handle
    _call("cudnnSetStream", known[device], ctypes.c_void_p(cuda.cupy.cuda.get_current_stream().ptr))
    return known[device]


def _descriptor(kind: str, prepare: Callable[[ctypes.c_void_p], None]) -> ctypes.c_void_p:
    descriptor = ctypes.c_void_p()
    _call(f"cudnnCreate{kind}Descriptor", ctypes.byref(descriptor))
    prepare(descriptor)
    return descriptor


def _array(shape: tuple[int, ...]) -> ctypes.c_void_p:
    return _descriptor(
        "Tensor", lambda found: _call("cudnnSetTensor4dDescriptor", found, NCHW, FLOAT, *map(int, shape))
    )


def _filters(shape: tuple[int, ...]) -> ctypes.c_void_p:
    return _descriptor(
        "Filter", lambda found: _call("cudnnSetFilter4dDescriptor", found, FLOAT, NCHW, *map(int, shape))
    )


def _convolution(geometry: Geometry) -> ctypes.c_void_p:
    # Whole numbers of NumPy's are as good as Python's to Chainer, and unknown to ctypes.
    numbers = map(int, (*geometry.padding, *geometry.stride, *geometry.dilation))

    def prepare(found: ctypes.c_void_p) -> None:
        _call("cudnnSetConvolution2dDescriptor", found, *numbers, CROSS_CORRELATION, FLOAT)
        _call("cudnnSetConvolutionMathType", found, FMA_MATH)

    return _descriptor("Convolution", prepare)


# Kept for good: a network has few shapes, and their descriptors take some hundred bytes.
@functools.cache
def _plan(
    direction: str, images: tuple[int, ...], filters: tuple[int, ...], geometry: Geometry, device: int
) -> _Plan | None:
    described = (_convolution(geometry), _array(images), _filters(filters), _array(geometry.outputs(images, filters)))
    convolution, image, weights, output = described
    order = {
        "Forward": (image, weights, convolution, output),
        "BackwardFilter": (image, output, convolution, weights),
        "BackwardData": (weights, output, convolution, image),
    }[direction]
    offered, count = (_Algorithm * 10)(), ctypes.c_int()
    choices = (*order, len(offered), ctypes.byref(count), offered)
    _call(f"cudnnGetConvolution{direction}Algorithm_v7", _handle(device), *choices)
    possible = [
        algorithm
        for algorithm in offered[: count.value]
        if algorithm.status == 0 and algorithm.determinism and algorithm.memory <= MOST_WORKSPACE
    ]
    if not possible:
        return None
    wanted = (IMPLICIT_PRODUCT if images[1] < FEW_CHANNELS else WINOGRAD if filters[2] <= 3 else FOURIER)[direction]
    # Without that one, the one that cuDNN expects to be the fastest: it comes first.
    chosen = next((algorithm for algorithm in possible if algorithm.algorithm == wanted), possible[0])
    return _Plan(*described, chosen.algorithm, chosen.memory)


def _compute(direction: str, plan: _Plan, *arrays: tuple[ctypes.c_void_p, Any]) -> None:
    """Call cuDNN's function of this direction, which takes two arrays and the array that it fills."""
    first, second, (descriptor, result) = arrays
    inputs = [found for each, array in (first, second) for found in (each, ctypes.c_void_p(array.data.ptr))]
    workspace = cuda.cupy.empty(plan.workspace, np.uint8)
    _call(
        f"cudnnConvolution{direction}",
        _handle(result.device.id),
        ctypes.byref(_ONE),
        *inputs,
        plan.convolution,
        plan.algorithm,
        ctypes.c_void_p(workspace.data.ptr),
        ctypes.c_size_t(plan.workspace),
        ctypes.byref(_ZERO),
        descriptor,
        ctypes.c_void_p(result.data.ptr),
    )
