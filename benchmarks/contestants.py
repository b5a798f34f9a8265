"""The four contestants: each builds the same network and does one step when it is told to.

Every contestant lives in a process of its own, so that no thread pool of one is in the way of another, and so that
the process's peak of memory is the contestant's.
"""

import math
import multiprocessing
import multiprocessing.connection
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NAMES = ("chainer", "fast", "torch", "torch-compiled")
TITLES = {
    "chainer": "stock Chainer",
    "fast": "the engine",
    "torch": "PyTorch eager",
    "torch-compiled": "PyTorch compiled",
}


@dataclass(frozen=True)
class Case:
    """One row of the table: what is timed."""

    title: str
    batch_size: int = 100
    width: float = 1.0
    filter_size: int = 3
    evaluation: bool = False
    beside_a_busy_core: bool = False


def _batch(case: Case) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    images = random.rand(case.batch_size, 3, 32, 32).astype(np.float32)
    return images, random.randint(0, 10, case.batch_size).astype(np.int32)


def _chainer_step(case: Case, engine_name: str) -> Callable[[], None]:
    from reproduce import engine
    from reproduce.network import Conv_NN  # isort: skip

    import chainer

    network = Conv_NN(filter_size=case.filter_size, width=case.width)
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(network)
    images, labels = _batch(case)

    def train() -> None:
        with engine.using(engine_name):
            loss, _ = network(images, labels)
            network.cleargrads()
            loss.backward()
            optimizer.update()

    def evaluate() -> None:
        with engine.using(engine_name), chainer.using_config("train", False), chainer.no_backprop_mode():
            network(images, labels)

    return evaluate if case.evaluation else train


def _torch_network(case: Case):
    from torch import nn

    from reproduce.pattern import HIDDEN_UNITS, REPORT_BLOCKS, scaled

    layers, channels_in, size = [], 3, 32
    for convolutions, channels in REPORT_BLOCKS:
        channels = scaled(channels, case.width)
        for _ in range(convolutions):
            convolution = nn.Conv2d(channels_in, channels, case.filter_size, padding=case.filter_size // 2)
            layers += [convolution, nn.BatchNorm2d(channels, eps=2e-5, momentum=0.1), nn.ReLU()]
            channels_in = channels
        layers += [nn.MaxPool2d(2), nn.Dropout(0.4)]
        size //= 2
    layers.append(nn.Flatten())
    units_in = size * size * channels_in
    for _ in range(2):
        units = scaled(HIDDEN_UNITS, case.width)
        layers += [nn.Linear(units_in, units), nn.ReLU(), nn.Dropout(0.4)]
        units_in = units
    return nn.Sequential(*layers, nn.Linear(units_in, 10))


def _torch_step(case: Case, compiled: bool) -> Callable[[], None]:
    import torch

    torch.manual_seed(0)
    network = _torch_network(case).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    images, labels = (torch.from_numpy(array) for array in _batch(case))
    images, labels = images.contiguous(memory_format=torch.channels_last), labels.long()
    cross_entropy = torch.nn.functional.cross_entropy
    apply = torch.compile(network) if compiled else network

    def train() -> None:
        scores = apply(images)
        loss = cross_entropy(scores, labels)
        (scores.argmax(1) == labels).float().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def evaluate() -> None:
        with torch.no_grad():
            scores = apply(images)
            cross_entropy(scores, labels)
            (scores.argmax(1) == labels).float().mean()

    network.train(not case.evaluation)
    return evaluate if case.evaluation else train


def make_step(name: str, case: Case, threads: int) -> Callable[[], None]:
    """The function that does one step of this contestant."""
    if name.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
        return _torch_step(case, compiled=name == "torch-compiled")
    np.random.seed(0)
    return _chainer_step(case, name)


def first_step(name: str, case: Case, threads: int) -> None:
    """One step in a fresh process, prepared as a training run prepares it."""
    step = make_step(name, case, threads)
    if name == "fast":
        from reproduce import engine

        with engine.using("fast"):
            engine.prepare(step)
    step()


def peak_gflops(size: int = 2048) -> float:
    """Speed of a large float32 matrix product, in GFLOP/s: what this machine can do at best."""
    a = np.random.rand(size, size).astype(np.float32)
    out = np.empty_like(a)
    np.dot(a, a, out=out)
    start = time.perf_counter()
    np.dot(a, a, out=out)
    return 2 * size**3 / (time.perf_counter() - start) / 1e9


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _serve(pipe: multiprocessing.connection.Connection, name: str, case: Case, threads: int) -> None:
    # Errors travel to the parent as text; it decides what to do without this contestant.
    try:
        step = peak_gflops if name == "peak" else make_step(name, case, threads)
        # Stock Chainer has nothing to warm up that its first timed step, which does not count, would not.
        for _ in range({"chainer": 0, "torch": 1}.get(name, 2)):
            step()
        pipe.send(("ready",))
        while (steps := pipe.recv()) is not None:
            if name == "peak":
                pipe.send(("done", peak_gflops()))
                continue
            start = time.perf_counter()
            for _ in range(steps):
                step()
            pipe.send(("done", (time.perf_counter() - start) / steps, _peak_megabytes()))
    except EOFError:
        pass
    except BaseException:
        pipe.send(("failed", traceback.format_exc()))


class Contestant:
    """A process that does steps on request. Use as a context manager; `failure` is None if it works."""

    def __init__(self, name: str, case: Case, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far_end = context.Pipe()
        os.environ.update(OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
        self.process = context.Process(target=_serve, args=(far_end, name, case, threads), daemon=True)
        self.process.start()
        far_end.close()
        self.megabytes = 0.0
        self.failure: str | None = None
        self._receive()

    def _receive(self):
        try:
            kind, *values = self.pipe.recv()
        except EOFError:
            kind, values = "failed", ["the process ended unexpectedly (out of memory?)"]
        if kind == "failed":
            self.failure = values[0]
        return values

    def run(self, steps: int) -> float:
        """Seconds per step over this many steps (for "peak": GFLOP/s); NaN once the contestant has failed."""
        if self.failure:
            return math.nan
        self.pipe.send(steps)
        values = self._receive()
        if self.failure:
            return math.nan
        if len(values) > 1:
            self.megabytes = values[1]
        return values[0]

    def __enter__(self) -> "Contestant":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive() and not self.failure:
            self.pipe.send(None)
        self.process.join(timeout=30)
        if self.process.is_alive():
            self.process.kill()
