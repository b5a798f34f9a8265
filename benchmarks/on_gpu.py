"""`python -m benchmarks.on_gpu`: training steps on a GPU, in stock Chainer, with the engine, and in PyTorch eager.

All three live in one process and alternate; ratios are medians over the rounds with their smallest and largest.
Products are float32 everywhere: PyTorch may not round them to TF32.
"""

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.contestants import TITLES, Case, _batch, _torch_network
from reproduce import engine
from reproduce.devices import get_device, is_gpu
from reproduce.network import Conv_NN

CASES = (
    Case("full width, batch 500", batch_size=500),
    Case("full width, batch 100"),
    Case("quarter width, batch 100", width=0.25),
    Case("5 x 5 filters, batch 100", filter_size=5),
    Case("7 x 7 filters, batch 100", filter_size=7),
)
ROUNDS, STEPS_BEFORE, STEPS = 5, 3, 6


def chainer_step(case: Case, engine_name: str, number: int) -> Callable[[], None]:
    import chainer

    np.random.seed(0)
    place = get_device(number)
    place.use()
    network = Conv_NN(filter_size=case.filter_size, width=case.width)
    network.to_device(place)
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(network)
    images, labels = place.send(_batch(case))

    def train() -> None:
        with engine.using(engine_name, number):
            loss, _ = network(images, labels)
            network.cleargrads()
            loss.backward()
            optimizer.update()
        if is_gpu(place):
            place.device.synchronize()

    return train


def torch_step(case: Case, number: int) -> Callable[[], None]:
    place = torch.device("cpu" if number < 0 else f"cuda:{number}")
    torch.manual_seed(0)
    network = _torch_network(case).to(place)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    images, labels = (torch.from_numpy(array).to(place) for array in _batch(case))
    labels = labels.long()

    def train() -> None:
        scores = network(images)
        loss = torch.nn.functional.cross_entropy(scores, labels)
        (scores.argmax(1) == labels).float().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number >= 0:
            torch.cuda.synchronize(place)

    return train


def print_case(case: Case, number: int) -> None:
    """Time one case and print its table."""
    steps = {
        "chainer": chainer_step(case, "chainer", number),
        "fast": chainer_step(case, "fast", number),
        "torch": torch_step(case, number),
    }
    for step in steps.values():
        for _ in range(STEPS_BEFORE):
            step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                step()
            times[name].append((time.perf_counter() - started) / STEPS)
    print(f"\n{case.title}\n  {'':18}{'ms a step':>11}{'images/s':>10}   the engine is faster by")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        ratios = [other / fast for other, fast in zip(seconds, times["fast"], strict=True)]
        spread = f"   {statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})" if name != "fast" else ""
        print(f"  {TITLES[name]:18}{1e3 * median:11.1f}{case.batch_size / median:10.0f}{spread}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--device", type=int, default=0, help="the GPU's number; -1 for the CPU (default: 0)")
    number = parser.parse_args().device
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    name = torch.cuda.get_device_name(number) if number >= 0 else "the CPU"
    versions = {found.name: found.version for found in importlib.metadata.distributions() if found.name}
    shown = ("cupy", "torch", "chainer", "nvidia-cudnn")
    packages = [f"{name} {version}" for name, version in versions.items() if name.startswith(shown)]
    print(f"{name}; {', '.join(sorted(packages))}; float32")
    for case in CASES:
        print_case(case, number)


if __name__ == "__main__":
    main()
