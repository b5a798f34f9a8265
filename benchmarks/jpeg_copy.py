"""What the pixels of a recompressed copy of CIFAR-10 cost: exact images against the same images in the copy.

    python -m benchmarks.jpeg_copy EXACT.hdf5 COPY.hdf5 [SEEDS] [EPOCHS]

Each exact image is found in the copy, and the pixels' distance is printed. Then the baseline, at a quarter of the width
and in batches of 25, is trained on either set, with the same initial weights and the same order of images for a seed.
The ends (mean of the last three epochs) are compared in pairs, with Student's interval.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from figures.baseline import BASELINE
from reproduce.data.dataset import Dataset, read
from reproduce.experiment import Experiment
from reproduce.store import training_run

LAST_EPOCHS = 3
# Two different images of CIFAR-10 are much farther apart than an image and its copy (root mean square, of 255).
MOST_DISTANCE = 40


def places_in(copy_images: np.ndarray, copy_labels: np.ndarray, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) int: for each of the images (N, 3, 32, 32) the place of the nearest one of its class in the copy."""
    places = np.empty(len(images), int)
    for label in range(10):
        ours, theirs = np.flatnonzero(labels == label), np.flatnonzero(copy_labels == label)
        flat, of_copy = images[ours].reshape(len(ours), -1), copy_images[theirs].reshape(len(theirs), -1)
        # |a - b|^2 = |a|^2 - 2ab + |b|^2, of which |a|^2 does not matter.
        distance = (of_copy**2).sum(axis=1) - 2 * flat @ of_copy.T
        places[ours] = theirs[distance.argmin(axis=1)]
    return places


def matched(exact: Dataset, copy: Dataset) -> Dataset:
    """The copy's images of the exact ones, in their order.

    Raises:
        SystemExit: an image is not in the copy.
    """
    parts = []
    # Either part may hold images of the other one's.
    all_images, all_labels = np.concatenate([copy.x_train, copy.x_test]), np.concatenate([copy.y_train, copy.y_test])
    for images, labels in ((exact.x_train, exact.y_train), (exact.x_test, exact.y_test)):
        places = places_in(all_images, all_labels, images, labels)
        found = all_images[places]
        squares = ((found - images) ** 2).mean(axis=(1, 2, 3))
        distances = 255 * np.sqrt(squares)
        if distances.max() > MOST_DISTANCE or len(set(places.tolist())) < len(places):
            sys.exit(f"an image is not in the copy: the farthest is {distances.max():.0f} of 255 from its nearest")
        print(
            f"{len(images):,} images: root mean square distance {255 * np.sqrt(squares.mean()):.2f} of 255", flush=True
        )
        parts.append(found)
    return Dataset(parts[0], exact.y_train, parts[1], exact.y_test, "their copies")


def end_of(dataset: Dataset, seed: int, epochs: int) -> np.ndarray:
    """(2,) float: train error and test accuracy at the end of a run, percent."""
    settings: dict[str, Any] = {**BASELINE, "batch_size": 25, "width": 0.25, "seed": seed}
    experiment = Experiment(data_fingerprint=dataset.fingerprint, **settings)
    with tempfile.TemporaryDirectory() as folder:
        history = training_run.train(experiment, dataset, Path(folder), epochs, label=f"{dataset.name}, seed {seed}")
    last = history[-LAST_EPOCHS:]
    return np.array([[100 - row.train_accuracy, row.test_accuracy] for row in last]).mean(axis=0)


def main(exact_path: str, copy_path: str, seeds: str = "5", epochs: str = "15") -> None:
    exact = read(exact_path)
    datasets = {"exact": exact, "copy": matched(exact, read(copy_path))}
    ends = {name: np.array([end_of(one, s, int(epochs)) for s in range(int(seeds))]) for name, one in datasets.items()}
    for i, quantity in enumerate(("train error", "test accuracy")):
        difference = ends["copy"][:, i] - ends["exact"][:, i]
        half = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
        means = ", ".join(f"{name} {of_name[:, i].mean():.1f} %" for name, of_name in ends.items())
        print(f"{quantity} after {epochs} epochs, {seeds} seeds: {means}; ", end="")
        low, high = difference.mean() - half, difference.mean() + half
        print(f"copy minus exact {difference.mean():+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
