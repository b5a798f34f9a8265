"""Section 6: the training set four times as large, as section 8's code makes it, and the rotations of the text."""

import numpy as np

from reproduce.errors import BadInput

AUGMENTATIONS = ("none", "report", "rotations")
# 'a random rotation within the 15-degree increment between 0 and 180 which could result in a twelve supplementary
# training images': 15, 30, ... 180. The printed code makes none of them (docs/errata.md).
ANGLES = tuple(range(15, 181, 15))
COPIES = {"none": 1, "report": 4, "rotations": 4 + len(ANGLES)}
# Images worked on at a time: 6 MB of them, so that what is held besides the result stays small.
CHUNK = 500


def flip(x: np.ndarray) -> np.ndarray:
    """Mirror images left to right: (N, C, H, W) to the same."""
    return x[:, :, :, ::-1]


def normalize_contrast(x: np.ndarray) -> np.ndarray:
    """Stretch each image's values, over all its channels, to [0, 1]: (N, C, H, W) float32 to the same.

    An image of one value has no contrast to stretch and stays as it is; the report's code divides it by zero.
    """
    low = x.min(axis=(1, 2, 3), keepdims=True)
    span = x.max(axis=(1, 2, 3), keepdims=True) - low
    is_constant = span == 0
    return np.where(is_constant, x, (x - low) / np.where(is_constant, np.float32(1), span))


def filter_median(x: np.ndarray) -> np.ndarray:
    """The report's median filter of size 2: (N, C, H, W) float32 to the same.

    The report hands SciPy an H x W x C image, so the window is 2 x 2 pixels of 2 channels: the pixel itself and those
    to its left, above it and diagonally between, in its own channel and the one before (red, green, blue); at an edge
    SciPy repeats the image's own values. The fifth smallest of the eight is taken. So colours are mixed, and stay so.
    """
    from scipy import ndimage

    return ndimage.median_filter(x, size=(1, 2, 2, 2))


def rotate(x: np.ndarray, angle: float) -> np.ndarray:
    """Turn images counterclockwise about their centre by degrees: (N, C, H, W) float32 in [0, 1] to the same.

    The report names no interpolation. These are the defaults of the one image library that it imports, SciPy's cubic
    splines and black corners, with the size kept; where the splines overshoot, values are cut to [0, 1].
    """
    from scipy import ndimage

    turned = ndimage.rotate(x, angle, axes=(2, 3), reshape=False, order=3, mode="constant", cval=0.0)
    return np.clip(turned, 0, 1, out=turned)


def augment(x: np.ndarray, y: np.ndarray, augmentation: str) -> tuple[np.ndarray, np.ndarray]:
    """The training set, augmented before training as the report does it.

    Args:
        x: images, (N, 3, 32, 32) float32 in [0, 1].
        y: labels, (N,) int32.
        augmentation: "none" gives `x` and `y` themselves. "report" gives, in the report's order, each image followed by
            its flip, its contrast-normalized and its median-filtered version. "rotations" lets the twelve rotations
            follow these four: the text calls them supplementary images, besides the flip and the median filter. They
            are of the original image, in ascending order, all of them; the text's word 'random' would leave open how
            many, and twelve is its own number. Sixteen times 50,000 images take 9.8 GB.

    Returns:
        (N * k, 3, 32, 32) float32 and (N * k,) int32 with k = COPIES[augmentation]; copy j of image i is number
        i * k + j.

    Raises:
        BadInput: no such augmentation.
    """
    if augmentation not in AUGMENTATIONS:
        raise BadInput(f"augmentation must be one of {', '.join(AUGMENTATIONS)}; found {augmentation!r}")
    if augmentation == "none":
        return x, y
    copies = COPIES[augmentation]
    result = np.empty((len(x), copies, *x.shape[1:]), np.float32)
    for start in range(0, len(x), CHUNK):
        images, part = x[start : start + CHUNK], result[start : start + CHUNK]
        part[:, 0] = images
        part[:, 1] = flip(images)
        part[:, 2] = normalize_contrast(images)
        part[:, 3] = filter_median(images)
        if augmentation == "rotations":
            for j, angle in enumerate(ANGLES, start=4):
                part[:, j] = rotate(images, angle)
    return result.reshape(-1, *x.shape[1:]), np.repeat(y, copies)
