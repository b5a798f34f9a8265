"""How long a training step of each network takes, measured paired and alternating in one process.

A machine's speed drifts over seconds and minutes: clocks, heat, neighbours. So every round times every network, right
after each other, in an order that turns round from one round to the next (A B C, C B A, ...), and networks are compared
within a round only. What is left of the drift shows as spread between the rounds.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reproduce import engine
from reproduce.augmentation import COPIES
from reproduce.data.dataset import Dataset
from reproduce.devices import check_device
from reproduce.errors import BadInput, first_line
from reproduce.experiment import Experiment
from reproduce.files import read_at_most, write_json
from reproduce.store.provenance import checksum_of, provenance
from reproduce.text import printable

ROUNDS = 5
# A measurement takes the median of several steps, and of more where steps take milliseconds.
FEWEST_STEPS, MOST_STEPS, SHORTEST_SECONDS = 3, 30, 0.15
# More would only take longer: without pooling and at full width, 50 images' activations fill 2 GB as it is.
LARGEST_BATCH = 50
LARGEST_FILE = 16 * 2**20


@dataclass(frozen=True)
class Times:
    """Seconds that networks take for the same images.

    Attributes:
        seconds: by the experiment's key; (R,) float64, a number a round: training steps over one batch of images and
            the copies that augmentation makes of them.
    """

    seconds: Mapping[str, np.ndarray]


def measure(experiments: Iterable[Experiment], dataset: Dataset, device: int = -1, engine_name: str = "auto") -> Times:
    """Time the training steps of networks on real images: forward, backward and update.

    Args:
        experiments: what to time; those with the same key once.
        dataset: the first images of its training set are used.

    Raises:
        BadInput: no such device or engine.
    """
    check_device(device)
    wanted = {experiment.key: experiment for experiment in experiments}
    found: dict[str, list[float]] = {key: [] for key in wanted}
    with engine.using(engine.resolve(engine_name, device)):
        steps = {key: _step(experiment, dataset, device) for key, experiment in wanted.items()}
        # The first step allocates memory and compiles; the second says how many are worth a measurement.
        counts = {}
        for key, step in steps.items():
            step()
            counts[key] = int(np.clip(SHORTEST_SECONDS / _seconds(step), FEWEST_STEPS, MOST_STEPS))
        for number in range(ROUNDS):
            for key in list(steps) if number % 2 == 0 else reversed(steps):
                found[key].append(statistics.median(_seconds(steps[key]) for _ in range(counts[key])))
    return Times({key: np.array(values) for key, values in found.items()})


def _seconds(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _step(experiment: Experiment, dataset: Dataset, device: int) -> Callable[[], None]:
    """A function that trains the experiment's network on one batch, once for each copy that augmentation makes."""
    from reproduce.devices import get_device, is_gpu
    from reproduce.training import build

    place = get_device(device)
    model, optimizer = build(experiment, place)
    size = min(LARGEST_BATCH, experiment.batch_size, len(dataset.y_train))
    x, y = place.send((dataset.x_train[:size], dataset.y_train[:size]))

    def step() -> None:
        for _ in range(COPIES[experiment.augmentation]):
            model.cleargrads()
            loss, _ = model(x, y)
            loss.backward()
            optimizer.update()
            # A GPU computes behind our back until it is asked for a result.
            float(loss.array)
        if is_gpu(place):
            place.device.synchronize()

    return step


def write_times(path: Path, times: Times, dataset: Dataset, device: int, engine_name: str) -> None:
    """Keep times with their provenance, since they hold for one machine only, and a checksum over both."""
    origin = provenance(dataset, engine.resolve(engine_name, device), device, None, 0)
    content = {"provenance": origin, "seconds": {key: list(map(float, v)) for key, v in times.seconds.items()}}
    write_json(path, {**content, "checksum": checksum_of(content)})


def read_times(path: Path, fingerprint: str) -> Times:
    """The times kept in a file; none if it is not there or was measured with other data.

    Raises:
        BadInput: the file is not one that `write_times` wrote, or was changed since.
        OSError: it cannot be read now.
    """
    try:
        content = json.loads(read_at_most(path, LARGEST_FILE))
        if content["checksum"] != checksum_of(content):
            raise ValueError("its checksum does not hold")
        if content["provenance"]["data"]["fingerprint"] != fingerprint:
            return Times({})
        seconds = {str(key): np.array(values, np.float64) for key, values in content["seconds"].items()}
        if not all(values.ndim == 1 and values.size and np.all(values > 0) for values in seconds.values()):
            raise ValueError("some are not above 0 seconds")
        return Times(seconds)
    except FileNotFoundError:
        return Times({})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{printable(str(path))}: expected times as this version wrote them; found others: {first_line(error)}; "
            "remove it, and they are measured anew"
        ) from None
