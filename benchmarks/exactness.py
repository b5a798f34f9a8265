"""How far float32 training drifts: python -m benchmarks.exactness DATA

The losses of 50 iterations of the engine, of stock Chainer and of stock Chainer in float64, from the same seed and with
the same dropout masks; the largest relative differences over the first 5, 10, 20 and 50. docs/speed.md has what came
out.
"""

import sys

import numpy as np

from reproduce import engine  # isort: skip

import chainer

from reproduce.data.dataset import Dataset, read
from reproduce.experiment import Experiment
from reproduce.optimizers import build_optimizer
from reproduce.training import build_model

ITERATIONS, BATCH_SIZE, WIDTH = 50, 50, 0.25
CASES = {
    "MomentumSGD 0.01": {"optimizer": "MomentumSGD"},
    "MomentumSGD 0.001": {"optimizer": "MomentumSGD", "learning_rate": 0.001},
    "Adam 0.001": {"optimizer": "Adam"},
    "RMSprop 0.01": {"optimizer": "RMSprop"},
    "RMSprop 0.001": {"optimizer": "RMSprop", "learning_rate": 0.001},
}


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
    """Print a line for each optimizer."""
    images = read(path).first(ITERATIONS * BATCH_SIZE, 1)
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
