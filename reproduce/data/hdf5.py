"""The course's HDF5 layout: X_train, Y_train, X_test, Y_test. Nothing in a file that is read is trusted."""

from pathlib import Path

import h5py
import numpy as np

from reproduce.errors import BadInput, first_line
from reproduce.files import unfinished_name
from reproduce.pattern import CLASSES, IMAGE_CHANNELS, IMAGE_SIZE

IMAGE_SHAPE = (IMAGE_CHANNELS, IMAGE_SIZE, IMAGE_SIZE)
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ROWS_AT_A_TIME = 2000
# Bounds on what a small file may unpack to: 4x CIFAR-10 takes 2.5 GB as float32, and no writer makes such chunks.
MOST_IMAGES = 400_000
LARGEST_CHUNK = 256 * 2**20
# Deflate, shuffle, Fletcher's checksum and LZF; any other filter would be a plug-in from who knows where.
KNOWN_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, 32000}


def read_hdf5(path: Path) -> tuple[dict[str, np.ndarray], str, bool]:
    """Read and check the four arrays.

    Returns:
        X_train and X_test (N, 3, 32, 32) float32 in [0, 1] and Y_train and Y_test (N,) int32, by name; what the file
        says it is, "" if nothing; whether it says that it is synthetic.

    Raises:
        BadInput: says which key, what was expected and what was found.
    """
    try:
        with h5py.File(path, "r") as file:
            parts = {}
            for part in ("train", "test"):
                parts[f"X_{part}"], parts[f"Y_{part}"] = _read_part(path, file, part)
            return parts, _printable(file.attrs.get("source")), bool(np.all(file.attrs.get("synthetic", False)))
    except BadInput:
        raise
    except Exception as error:  # h5py reports damage under many types; the first line says where in the file
        raise BadInput(f"{path}: damaged or truncated HDF5 file: {first_line(error)}") from None


def _read_part(path: Path, file: h5py.File, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of `X_<part>` and `Y_<part>`, checked."""
    x, y = _find(path, file, f"X_{part}"), _find(path, file, f"Y_{part}")
    if x.ndim != 4 or x.shape[1:] != IMAGE_SHAPE or x.shape[0] == 0:
        raise BadInput(f"{path}, {x.name[1:]}: expected shape (N, 3, 32, 32) with N > 0; found {x.shape}")
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise BadInput(f"{path}, {x.name[1:]}: expected uint8, or floats in [0, 1]; found {x.dtype}")
    if y.dtype.kind not in "iu":
        raise BadInput(f"{path}, {y.name[1:]}: expected whole numbers from 0 to 9; found {y.dtype}")
    if y.shape != (x.shape[0],):
        raise BadInput(f"{path}, {y.name[1:]}: expected shape ({x.shape[0]},), one label an image; found {y.shape}")
    labels = y[:]
    _check_range(path, y.name[1:], labels, 0, CLASSES - 1)
    images = np.empty(x.shape, np.float32)
    for start in range(0, len(images), ROWS_AT_A_TIME):
        rows = x[start : start + ROWS_AT_A_TIME]
        if rows.dtype == np.uint8:
            images[start : start + len(rows)] = to_unit_range(rows)
        else:
            _check_range(path, x.name[1:], rows, 0, 1, first_row=start)
            images[start : start + len(rows)] = rows
    return images, labels.astype(np.int32)


def _find(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    """The data set `key`, if its values lie in this file and reading them is bounded."""
    link = file.get(key, getlink=True)
    if link is None:
        raise BadInput(f"{path}: expected a data set {key}; found {', '.join(sorted(file)[:8]) or 'none'}")
    if not isinstance(link, h5py.HardLink):
        raise BadInput(f"{path}, {key}: expected a data set in the file itself; found a link to another place")
    found = file[key]
    if not isinstance(found, h5py.Dataset):
        raise BadInput(f"{path}, {key}: expected a data set; found a group")
    if found.is_virtual or found.external:
        raise BadInput(
            f"{path}, {key}: expected a data set in the file itself; found one whose values lie in other files"
        )
    if found.ndim and found.shape[0] > MOST_IMAGES:
        raise BadInput(f"{path}, {key}: expected at most {MOST_IMAGES} images; found {found.shape[0]}")
    if found.chunks and np.prod([float(side) for side in found.chunks]) * found.dtype.itemsize > LARGEST_CHUNK:
        raise BadInput(f"{path}, {key}: expected chunks of at most {LARGEST_CHUNK} bytes; found {found.chunks}")
    properties = found.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    if filters - KNOWN_FILTERS:
        raise BadInput(
            f"{path}, {key}: expected deflate, lzf or no compression; found HDF5 filter {min(filters - KNOWN_FILTERS)}"
        )
    return found


def _check_range(path: Path, key: str, rows: np.ndarray, low: float, high: float, first_row: int = 0) -> None:
    # Written so that NaN, which compares false with everything, counts as outside.
    outside = ~((rows >= low) & (rows <= high))
    if outside.any():
        place = np.unravel_index(int(outside.argmax()), rows.shape)
        value = rows[place]
        index = (int(place[0]) + first_row, *map(int, place[1:]))
        raise BadInput(f"{path}, {key}{list(index)}: expected a value from {low} to {high}; found {value}")


def to_unit_range(images: np.ndarray) -> np.ndarray:
    """uint8 images as float32 in [0, 1], as the course's file has them."""
    return images.astype(np.float32) / np.float32(255)


def _printable(source: object) -> str:
    """What captions may show of a file's own word for its data."""
    text = source.decode(errors="replace") if isinstance(source, bytes) else str(source or "")
    return "".join(character if character.isprintable() else " " for character in text)[:100].strip()


def write_hdf5(path: Path, parts: dict[str, np.ndarray], source: str, is_synthetic: bool = False) -> None:
    """Write X_train, Y_train, X_test, Y_test in the course's layout; the file appears whole or not at all.

    Args:
        parts: the four arrays by their names; images uint8 or float32 in [0, 1], labels int32.
        source: what captions will call this data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_name(path)
    try:
        with h5py.File(unfinished, "w") as file:
            for key, array in parts.items():
                file.create_dataset(key, data=array)
            file.attrs["source"] = source
            file.attrs["synthetic"] = is_synthetic
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
