"""How long a training step of each network takes, or a whole epoch, measured paired and alternating in one process.

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
from reproduce.augmentation import COPIES, augment
from reproduce.data.dataset import Dataset
from reproduce.devices import check_device, resolve_engine
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
# Training images of the epoch that is timed; its test images are fewer in proportion.
EPOCH_IMAGES = 500
STEP, EPOCH = "step", "epoch"


@dataclass(frozen=True)
class Times:
    """Seconds that networks take for the same images.

    Attributes:
        seconds: by `name_of`; (R,) float64, one number per round. Of a step: training steps over one batch of images
            and the copies that augmentation makes of them. Of an epoch: a run's first epoch, with the making of its
            images and the test, on a set of `EPOCH_IMAGES`.
    """

    seconds: Mapping[str, np.ndarray]


def name_of(experiment: Experiment, timed: str) -> str:
    """What the times of an experiment's step or epoch are kept under."""
    return experiment.key if timed == STEP else f"{experiment.key} {timed}"


def measure(
    experiments: Iterable[Experiment],
    dataset: Dataset,
    device: int = -1,
    engine_name: str = "auto",
    epochs_of: Iterable[Experiment] = (),
) -> Times:
    """Time the training steps of networks on real images: forward, backward and update; and whole epochs.

    Args:
        experiments: whose steps to time; those with the same key once.
        dataset: its first images are used.
        epochs_of: whose epochs to time.

    Raises:
        BadInput: no such device or engine.
    """
    check_device(device)
    wanted = {name_of(experiment, STEP): experiment for experiment in experiments}
    whole = {name_of(experiment, EPOCH): experiment for experiment in epochs_of}
    found: dict[str, list[float]] = {key: [] for key in (*wanted, *whole)}
    with engine.using(resolve_engine(engine_name, device), device):
        steps = {key: _step(experiment, dataset, device) for key, experiment in wanted.items()}
        # The first step allocates memory and compiles; the second says how many are worth a measurement.
        counts = {}
        for key, step in steps.items():
            step()
            counts[key] = int(np.clip(SHORTEST_SECONDS / seconds_of(step), FEWEST_STEPS, MOST_STEPS))
        for key, experiment in whole.items():
            steps[key], counts[key] = _epoch(experiment, dataset, device), 1
            steps[key]()
        for number in range(ROUNDS):
            for key in list(steps) if number % 2 == 0 else reversed(steps):
                found[key].append(statistics.median(seconds_of(steps[key]) for _ in range(counts[key])))
    return Times({key: np.array(values) for key, values in found.items()})


def seconds_of(step: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def images_of_step(experiment: Experiment, dataset: Dataset) -> int:
    """How many images the training step that is timed has, besides copies of them."""
    return min(LARGEST_BATCH, experiment.batch_size, len(dataset.y_train))


def _step(experiment: Experiment, dataset: Dataset, device: int) -> Callable[[], None]:
    """A function that trains the experiment's network on one batch, once for each copy that augmentation makes."""
    from reproduce.devices import get_device, is_gpu
    from reproduce.training import build

    place = get_device(device)
    model, optimizer = build(experiment, place)
    size = images_of_step(experiment, dataset)
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


def _epoch(experiment: Experiment, dataset: Dataset, device: int) -> Callable[[], None]:
    """A function that does all of a run's first epoch on a small set: makes its images, trains on them, tests."""
    from reproduce.devices import get_device, is_gpu, packed
    from reproduce.training import Calculate_Test_Accuracy, build, train_epoch

    place = get_device(device)
    model, optimizer = build(experiment, place)
    size = min(EPOCH_IMAGES, len(dataset.y_train))
    tested = max(1, round(size * len(dataset.y_test) / len(dataset.y_train)))
    x_test, y_test = place.send((dataset.x_test[:tested], dataset.y_test[:tested]))

    def epoch() -> None:
        x, y = augment(dataset.x_train[:size], dataset.y_train[:size], experiment.augmentation)
        x, y = place.send((packed(x) if is_gpu(place) else x, y))
        train_epoch(model, optimizer, x, y, np.arange(len(y)), experiment.batch_size)
        Calculate_Test_Accuracy(x_test, y_test, model, experiment.batch_size)

    return epoch


def write_times(path: Path, times: Times, dataset: Dataset, device: int, engine_name: str) -> None:
    """Keep times with their provenance, since they hold for one machine only, and a checksum over both."""
    origin = provenance(dataset, resolve_engine(engine_name, device), device, None, 0)
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
