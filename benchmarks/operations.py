"""Operations of one network: how many there are, and how long each takes (`--ops`)."""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.contestants import Case


def convolutions(case: Case) -> list[tuple[int, int, int]]:
    """(channels in, channels out, side of the image) of every convolution."""
    from reproduce.pattern import REPORT_BLOCKS, scaled

    shapes, channels_in, size = [], 3, 32
    for count, channels in REPORT_BLOCKS:
        for _ in range(count):
            shapes.append((channels_in, scaled(channels, case.width), size))
            channels_in = shapes[-1][1]
        size //= 2
    return shapes


def direct_gigaflops(case: Case) -> float:
    """Floating-point operations of one step, in 10^9, if every convolution were computed as it is defined.

    A training step does each layer's product three times: forward, and for the gradients by weights and by inputs;
    the first layer needs no gradient by its input.
    """
    from reproduce.pattern import HIDDEN_UNITS, scaled

    units = scaled(HIDDEN_UNITS, case.width)
    shapes = convolutions(case)
    products = [a * b * case.filter_size**2 * size**2 for a, b, size in shapes]
    products += [shapes[-1][1] * 16 * units, units * units, units * 10]
    total = sum(products)
    if not case.evaluation:
        total = 3 * total - products[0]
    return 2 * total * case.batch_size / 1e9


def _functions(case: Case) -> dict[str, tuple[Callable, list[np.ndarray]]]:
    """Title to (function of Variables, its arrays), for each different operation of the network."""
    import reproduce  # noqa: F401, I001 - it makes Chainer importable

    import chainer.functions as F

    random = np.random.RandomState(0)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    pad = case.filter_size // 2
    functions: dict[str, tuple[Callable, list[np.ndarray]]] = {}
    for channels_in, channels, size in convolutions(case):
        weights = normal(channels, channels_in, case.filter_size, case.filter_size) / 30
        functions[f"convolution {channels_in} to {channels} at {size} x {size}"] = (
            lambda x, w, b: F.convolution_2d(x, w, b, pad=pad),
            [normal(case.batch_size, channels_in, size, size), weights, normal(channels)],
        )
    _, channels, size = convolutions(case)[1]
    x = normal(case.batch_size, channels, size, size)
    title = f"{channels} channels at {size} x {size}"
    functions[f"batch normalization, {title}"] = (F.batch_normalization, [x, normal(channels), normal(channels)])
    functions[f"ReLU, {title}"] = (F.relu, [x])
    functions[f"max pooling, {title}"] = (lambda x: F.max_pooling_2d(x, 2, 2), [x])
    functions[f"average pooling, {title}"] = (lambda x: F.average_pooling_2d(x, 2, 2), [x])
    functions[f"dropout, {title}"] = (lambda x: F.dropout(x, 0.4), [x])
    return functions


def _seconds(function: Callable, arrays: list[np.ndarray], engine_name: str) -> tuple[float, float]:
    """Forward and backward; activations in the memory order that they have inside a network of this engine."""
    from reproduce import engine  # isort: skip

    import chainer

    if engine_name == "fast":
        arrays = [
            np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            if array.ndim == 4 and array is arrays[0]
            else array
            for array in arrays
        ]
    inputs = [chainer.Variable(array, requires_grad=array.shape[1:2] != (3,)) for array in arrays]
    with engine.using(engine_name):
        start = time.perf_counter()
        y = function(*inputs)
        middle = time.perf_counter()
        y.grad = y.array
        before = time.perf_counter()
        y.backward()
        return middle - start, time.perf_counter() - before


def print_operations(case: Case, rounds: int) -> None:
    """A table of milliseconds, forward and backward, of stock Chainer and the engine, alternating."""
    print(f"\nOperations, {case.title}: milliseconds, median of {rounds}, forward + backward")
    print(f"{'':42}{'stock Chainer':>20}{'the engine':>20}{'ratio':>8}")
    for title, (function, arrays) in _functions(case).items():
        times: dict[str, list[tuple[float, float]]] = {"chainer": [], "fast": []}
        _seconds(function, arrays, "fast")
        for _ in range(rounds):
            for name, record in times.items():
                record.append(_seconds(function, arrays, name))
        medians = {name: 1e3 * np.median(record, axis=0) for name, record in times.items()}
        columns = "".join(f"{f'{a:.1f} + {b:.1f}':>20}" for a, b in medians.values())
        print(f"{title:42}{columns}{medians['chainer'].sum() / medians['fast'].sum():7.1f}x", flush=True)
