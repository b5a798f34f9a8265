"""A procedural stand-in for CIFAR-10: ten kinds of drawing in 32 x 32 colour pixels, made from a seed.

A class is a shape, and colours that lean to its own, as a sky behind an aeroplane is often blue; place, size, turn,
lighting, a distracting patch and noise are drawn anew for each image and say nothing about it. It is made so that
small networks show on a few thousand images what they show on as many of CIFAR-10: errors far below chance after a few
epochs, optimizers apart, overfitting, and more train error with dropout than without.
"""

import numpy as np

SIZE = 32
IMAGES_AT_A_TIME = 500
PARTS = {"train": 0, "test": 1}
# The share of images whose label is drawn anew: some of CIFAR-10's could be taken for another class as well, and a
# network that learns them by heart overfits.
DOUBTFUL = 0.1
# Red, green and blue that the classes lean to; the background leans to another class's.
COLOURS = np.array(
    [
        (0.1, 0.1, 0.9),
        (0.9, 0.1, 0.1),
        (0.1, 0.9, 0.1),
        (0.9, 0.9, 0.1),
        (0.9, 0.1, 0.9),
        (0.1, 0.9, 0.9),
        (0.9, 0.5, 0.1),
        (0.5, 0.1, 0.5),
        (0.1, 0.5, 0.1),
        (0.9, 0.9, 0.9),
    ]
)


def _shapes(u: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """For each class, which points are inside the shape.

    Args:
        u, v: (N, 32, 32) coordinates along and across the shape, which fills about [-1, 1].
    """
    radius = np.hypot(u, v)
    largest = np.maximum(abs(u), abs(v))
    inside = largest < 1
    return [
        radius < 0.9,
        (radius < 1) & (radius > 0.55),
        largest < 0.8,
        (largest < 0.95) & (largest > 0.55),
        (v > -0.7) & (v < 1.4 - 2.4 * abs(u) - 0.2),
        inside & (np.minimum(abs(u), abs(v)) < 0.27),
        inside & (np.sin(7 * u) > 0),
        inside & (np.sin(5.5 * u) * np.sin(5.5 * v) > 0),
        inside & (np.hypot((u + 1) % 0.7 - 0.35, (v + 1) % 0.7 - 0.35) < 0.22),
        inside & (abs(v - 0.55 * np.sin(4 * u)) < 0.27),
    ]


def synthetic_images(count: int, seed: int, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels; image i is the same whatever the count.

    Args:
        count: how many.
        seed: of the whole set.
        part: "train" or "test"; they share no image.

    Returns:
        (count, 3, 32, 32) uint8 and (count,) int32 from 0 to 9.
    """
    images = np.empty((count, 3, SIZE, SIZE), np.uint8)
    labels = np.empty(count, np.int32)
    for start in range(0, count, IMAGES_AT_A_TIME):
        random = np.random.default_rng([seed, PARTS[part], start])
        rows = slice(start, min(start + IMAGES_AT_A_TIME, count))
        images[rows], labels[rows] = _draw(random, rows.stop - start)
    return images, labels


def _draw(random: np.random.Generator, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `wanted` of `IMAGES_AT_A_TIME` images; numbers are drawn for all, and pictures made of those wanted."""
    n = IMAGES_AT_A_TIME

    def each(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, (n, 1, 1))[:wanted]

    classes = random.integers(0, 10, n).astype(np.int32)[:wanted]
    grid = np.linspace(-1, 1, SIZE)
    x, y = grid[None, None, :] - each(-0.2, 0.2), grid[None, :, None] - each(-0.2, 0.2)
    turn, scale, stretch = each(-0.3, 0.3), each(0.6, 0.9), each(0.8, 1.25)
    u = (x * np.cos(turn) + y * np.sin(turn)) / (scale * stretch)
    v = (-x * np.sin(turn) + y * np.cos(turn)) / scale
    mask = np.choose(classes[:, None, None], _shapes(u, v))[:, None]

    back, front, patch = (random.uniform(0, 1, (n, 3, 1, 1))[:wanted] for _ in range(3))
    front = 0.4 * front + 0.6 * COLOURS[classes][:, :, None, None]
    back = 0.6 * back + 0.4 * COLOURS[classes - 3][:, :, None, None]
    # A foreground that is nearly the background's colour could not be told by anyone.
    front = np.where(abs(front - back).max(axis=1, keepdims=True) < 0.3, (back + 0.5) % 1, front)
    distraction = (np.hypot(x - each(-1, 1), y - each(-1, 1)) < each(0.15, 0.4))[:, None]
    picture = np.where(mask, front, np.where(distraction, patch, back))
    light = (
        1 + each(-0.4, 0.4)[:, None] * grid[None, None, None, :] + each(-0.4, 0.4)[:, None] * grid[None, None, :, None]
    )
    noise = random.normal(0, 1, (n, 3, SIZE, SIZE))[:wanted] * each(0.02, 0.12)[:, None]
    picture = picture * light + noise
    another = random.integers(0, 10, n)[:wanted]
    labels = np.where(random.uniform(0, 1, n)[:wanted] < DOUBTFUL, another, classes)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8), labels.astype(np.int32)
