"""How exact the engine is: python -m benchmarks.exactness DATA

First each convolution of one training step at full width: errors of the engine and of stock Chainer in float32 against
float64, on the same inputs, filters and gradients. Then how far float32 training drifts: the losses of 50 iterations of
the engine, of stock Chainer and of stock Chainer in float64, from the same seed and with the same dropout masks; the
largest relative differences over the first 5, 10, 20 and 50. docs/speed.md has what came out.
"""

import sys

import numpy as np

from reproduce import engine  # isort: skip

import chainer
import chainer.functions as F
from chainer.functions.connection.convolution_2d import Convolution2DFunction

from reproduce.data.dataset import Dataset, read
from reproduce.experiment import Experiment
from reproduce.optimizers import build_optimizer
from reproduce.training import build_model

ITERATIONS, BATCH_SIZE, WIDTH = 50, 50, 0.25
CONVOLUTION_BATCH_SIZE = 20
CASES: dict[str, dict] = {
    "MomentumSGD 0.01": {"optimizer": "MomentumSGD"},
    "MomentumSGD 0.001": {"optimizer": "MomentumSGD", "learning_rate": 0.001},
    "Adam 0.001": {"optimizer": "Adam"},
    "RMSprop 0.01": {"optimizer": "RMSprop"},
    "RMSprop 0.001": {"optimizer": "RMSprop", "learning_rate": 0.001},
}


class _Convolutions(chainer.FunctionHook):
    """Inputs, filters and gradients by the outputs of every convolution that a backward passes through."""

    def __init__(self) -> None:
        self.found: list[tuple[np.ndarray, ...]] = []

    def backward_preprocess(self, function, in_data, in_grad) -> None:
        if isinstance(function, Convolution2DFunction):
            self.found.append((in_data[0], in_data[1], in_grad[0]))


def convolution_errors(images: Dataset, filter_size: int) -> dict[str, np.ndarray]:
    """(convolutions, 3) errors by engine: of y, gW and gx, root mean square as a fraction of the exact values'."""
    np.random.seed(0)
    model = build_model(Experiment(filter_size=filter_size))
    batch, hook = slice(0, CONVOLUTION_BATCH_SIZE), _Convolutions()
    with engine.using("fast"), hook:
        loss, _ = model(images.x_train[batch], images.y_train[batch])
        loss.backward()

    def results(name: str, arrays: tuple[np.ndarray, ...], dtype: type) -> list[np.ndarray]:
        x, weights, gy = (array.astype(dtype) for array in arrays)
        x, weights = chainer.Variable(x), chainer.Variable(weights)
        with engine.using(name):
            y = F.convolution_2d(x, weights, pad=filter_size // 2)
            y.grad = gy
            y.backward()
        return [y.array, weights.grad, x.grad]

    errors: dict[str, list[list[float]]] = {"fast": [], "chainer": []}
    for arrays in hook.found:
        exact = results("chainer", arrays, np.float64)
        for name, record in errors.items():
            pairs = zip(results(name, arrays, np.float32), exact, strict=True)
            record.append(
                [np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()) for found, wanted in pairs]
            )
    return {name: np.array(record) for name, record in errors.items()}


def losses(images: Dataset, engine_name: str, dtype: type, settings: dict) -> np.ndarray:
    """(ITERATIONS,) float64 losses; the weights are drawn in float32 whatever they are computed in."""
    np.random.seed(0)
    experiment = Experiment(width=WIDTH, batch_size=BATCH_SIZE, **settings)
    model, optimizer = build_model(experiment), build_optimizer(experiment)
    for parameter in model.params():
        parameter.array = parameter.array.astype(dtype)
    for link in model.links():
        for name in getattr(link, "_persistent", ()):
            value = getattr(link, name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                setattr(link, name, value.astype(dtype))
    optimizer.setup(model)
    found = []
    with engine.using(engine_name), chainer.using_config("dtype", dtype):
        for start in range(0, ITERATIONS * BATCH_SIZE, BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            model.cleargrads()
            loss, _ = model(images.x_train[batch].astype(dtype), images.y_train[batch])
            loss.backward()
            optimizer.update()
            found.append(float(loss.array))
    return np.array(found)


def drift(found: np.ndarray, reference: np.ndarray) -> str:
    """The largest relative differences so far after 5, 10, 20 and 50 iterations."""
    relative = abs(found - reference) / abs(reference)
    return "  ".join(f"{relative[:count].max():.1e}" for count in (5, 10, 20, ITERATIONS))


def main(path: str) -> None:
    """Print a line for each size of filter, and one for each optimizer."""
    images = read(path).first(ITERATIONS * BATCH_SIZE, 1)
    for filter_size in (3, 5, 7):
        errors = convolution_errors(images, filter_size)
        columns = " | ".join(
            f"{title} {'  '.join(f'{value:.1e}' for value in errors[name].max(axis=0))}"
            for name, title in (("fast", "engine"), ("chainer", "stock"))
        )
        print(f"{filter_size} x {filter_size}, largest error of y, gW, gx: {columns}", flush=True)
    for name, settings in CASES.items():
        fast = losses(images, "fast", np.float32, settings)
        stock = losses(images, "chainer", np.float32, settings)
        exact = losses(images, "chainer", np.float64, settings)
        print(
            f"{name:18} engine and stock {drift(fast, stock)} | stock and float64 {drift(stock, exact)} | "
            f"engine and float64 {drift(fast, exact)}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1])
