"""The course's HDF5 layout: X_train, Y_train, X_test, Y_test. Nothing in a file that is read is trusted."""

import contextlib
import json
import math
import shlex
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from reproduce.errors import BadInput, first_line
from reproduce.files import unfinished_name
from reproduce.pattern import CLASSES, IMAGE_CHANNELS, IMAGE_SIZE

IMAGE_SHAPE = (IMAGE_CHANNELS, IMAGE_SIZE, IMAGE_SIZE)
ROWS_AT_A_TIME = 2000
# Bounds on what a small file may unpack to. CIFAR-10 has 60,000 images, however they are split; no writer makes larger
# chunks, or more of them than one for each colour of each image.
MOST_IMAGES = 60_000
MOST_CHUNKS = MOST_IMAGES * IMAGE_CHANNELS
LARGEST_CHUNK = 256 * 2**20
MOST_MEMORY = MOST_IMAGES * math.prod(IMAGE_SHAPE) * 4 + 4 * LARGEST_CHUNK
LONGEST_SOURCE = 4096
# Deflate, shuffle, Fletcher's checksum and LZF; any other filter would be a plug-in from who knows where.
KNOWN_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, 32000}
# What NumPy has to do with images, or labels, in other people's layouts, by shape; N is the number of images.
MENDED_IMAGES = {
    ("N", 32, 32, 3): "a.transpose(0, 3, 1, 2)",
    (32, 32, 3, "N"): "a.transpose(3, 2, 0, 1)",
    (3, 32, 32, "N"): "a.transpose(3, 0, 1, 2)",
    ("N", 3072): "a.reshape(-1, 3, 32, 32)",
    (3072, "N"): "a.T.reshape(-1, 3, 32, 32)",
}
MENDED_LABELS = {("N", 1): "a.ravel()", (1, "N"): "a.ravel()", ("N", 10): "a.argmax(1)", (10, "N"): "a.argmax(0)"}

_one_at_a_time = threading.Lock()


def read_hdf5(path: Path) -> tuple[dict[str, np.ndarray], str, bool]:
    """Read and check the four arrays.

    Returns:
        X_train and X_test (N, 3, 32, 32), uint8 or float32 in [0, 1], and Y_train and Y_test (N,) int32, by name; what
        the file says it is, "" if nothing; whether it says that it is synthetic.

    Raises:
        BadInput: says which key, what was expected and what was found.
    """
    try:
        with _memory_limited(MOST_MEMORY), h5py.File(path, "r") as file:
            found = {key: _find(path, file, key) for part in ("train", "test") for key in (f"X_{part}", f"Y_{part}")}
            for part in ("train", "test"):
                _check_form(path, found[f"X_{part}"], found[f"Y_{part}"])
            count = len(found["X_train"]) + len(found["X_test"])
            if count > MOST_IMAGES:
                raise BadInput(f"{path}: expected at most {MOST_IMAGES} images, as CIFAR-10 has; found {count}")
            for one in found.values():
                _check_is_held(path, one)
            parts = {}
            for part in ("train", "test"):
                parts[f"Y_{part}"] = _read_labels(path, found[f"Y_{part}"])
                parts[f"X_{part}"] = _read_images(path, found[f"X_{part}"])
            return parts, _source(file), _is_synthetic(path, file)
    except BadInput:
        raise
    except MemoryError:
        raise BadInput(f"{path}: takes more memory than this machine has, or than CIFAR-10's images do") from None
    except BlockingIOError:
        raise  # somebody is writing it
    except Exception as error:  # h5py reports damage under many types; the first line says where in the file
        raise BadInput(f"{path}: damaged or truncated HDF5 file: {first_line(error)}") from None


@contextlib.contextmanager
def _memory_limited(size: int) -> Iterator[None]:
    """What is inside gets at most `size` bytes of memory more than the process has; the system sees to it (on Linux).

    The checks below refuse what is known to unpack to much more than a file holds. This refuses what they overlook:
    HDF5 has more forms than anybody has counted, and its library believes the sizes that a file claims.
    """
    with _one_at_a_time:
        try:
            import resource

            pages = int(Path("/proc/self/statm").read_text().split()[0])
        except (ImportError, OSError):
            yield
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + size
        if soft != resource.RLIM_INFINITY:
            limit = min(limit, soft)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > LARGEST_CHUNK:
        raise BadInput(f"{path}, {key}: expected chunks of at most {LARGEST_CHUNK} bytes; found {found.chunks}")
    properties = found.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    if filters - KNOWN_FILTERS:
        raise BadInput(
            f"{path}, {key}: expected deflate, lzf or no compression; found HDF5 filter {min(filters - KNOWN_FILTERS)}"
        )
    return found


def _check_form(path: Path, x: h5py.Dataset, y: h5py.Dataset) -> None:
    """Check the shapes and types of images and their labels."""
    if x.ndim != 4 or x.shape[1:] != IMAGE_SHAPE or x.shape[0] == 0:
        raise BadInput(
            f"{path}, {x.name[1:]}: expected shape (N, 3, 32, 32) with N > 0; found {x.shape}"
            + _mending(path, x, MENDED_IMAGES)
        )
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        how = _line(path, x, 'a.astype("uint8")') if x.dtype.kind in "iu" else ""
        raise BadInput(f"{path}, {x.name[1:]}: expected uint8, or floats in [0, 1]; found {x.dtype}{how}")
    if y.shape != (x.shape[0],):
        raise BadInput(
            f"{path}, {y.name[1:]}: expected shape ({x.shape[0]},), one label for each image; found {y.shape}"
            + _mending(path, y, MENDED_LABELS, x.shape[0])
        )
    if y.dtype.kind not in "iu":
        how = _line(path, y, 'a.astype("int32")') if y.dtype.kind == "f" else ""
        raise BadInput(f"{path}, {y.name[1:]}: expected whole numbers from 0 to 9; found {y.dtype}{how}")


def _check_is_held(path: Path, found: h5py.Dataset) -> None:
    """Check that the file holds all the values that it claims, and in pieces that can be read."""
    if found.chunks:
        expected = math.prod(-(-length // side) for length, side in zip(found.shape, found.chunks, strict=True))
        if expected > MOST_CHUNKS:
            raise BadInput(f"{path}, {found.name[1:]}: expected at most {MOST_CHUNKS} chunks; found {expected}")
        sizes: list[int] = []
        found.id.chunk_iter(lambda chunk: sizes.append(chunk.size))
        # A filter that would make a chunk larger is left out of it. What is stored larger all the same was made to
        # unpack to something else, and LZF would try one buffer after the other for it, without end.
        most = math.prod(found.chunks) * found.dtype.itemsize * 11 // 10 + 1024
        if max(sizes, default=0) > most:
            raise BadInput(
                f"{path}, {found.name[1:]}: expected chunks stored in at most {most} bytes; found one of {max(sizes)}"
            )
        held, what = len(sizes), "chunks"
    else:
        expected, held, what = found.nbytes, found.id.get_storage_size(), "bytes"
    if held < expected:
        raise BadInput(f"{path}, {found.name[1:]}: expected {expected} {what} of values; the file holds {held}")


def _read_labels(path: Path, y: h5py.Dataset) -> np.ndarray:
    labels = y[:]
    _check_range(path, y, labels, 0, CLASSES - 1)
    return labels.astype(np.int32)


def _read_images(path: Path, x: h5py.Dataset) -> np.ndarray:
    images = np.empty(x.shape, np.uint8 if x.dtype == np.uint8 else np.float32)
    for place in _pieces(x):
        values = x[place]
        if images.dtype != np.uint8:
            _check_range(path, x, values, 0, 1, [side.start for side in place])
        images[place] = values
    return images


def _pieces(x: h5py.Dataset) -> Iterable[tuple[slice, ...]]:
    """Pieces of a set of images that fit into little memory, and in which each chunk is unpacked once."""
    rows_of_a_chunk = x.chunks[0] if x.chunks else 1
    if rows_of_a_chunk > ROWS_AT_A_TIME:
        return x.iter_chunks()
    rows = ROWS_AT_A_TIME // rows_of_a_chunk * rows_of_a_chunk
    others = [slice(0, side) for side in x.shape[1:]]
    return ((slice(start, start + rows), *others) for start in range(0, len(x), rows))


def _check_range(
    path: Path, found: h5py.Dataset, rows: np.ndarray, low: int, high: int, origin: Sequence[int] = (0,)
) -> None:
    # Written so that NaN, which compares false with everything, counts as outside.
    outside = ~((rows >= low) & (rows <= high))
    if outside.any():
        place = np.unravel_index(int(outside.argmax()), rows.shape)
        index = [int(offset) + start for offset, start in zip(place, origin, strict=True)]
        are_bytes = rows.dtype.kind == "f" and rows.min() >= 0 and 1 < rows.max() <= 255
        raise BadInput(
            f"{path}, {found.name[1:]}{index}: expected a value from {low} to {high}; found {rows[place]}"
            + (_line(path, found, '(a / 255).astype("float32")') if are_bytes else "")
        )


def _mending(path: Path, found: h5py.Dataset, layouts: dict[tuple, str], count: int | None = None) -> str:
    """How to mend a data set that has one of these shapes; nothing where none is meant."""
    for layout, expression in layouts.items():
        if len(layout) == found.ndim and all(
            side == wanted or (wanted == "N" and count in (None, side))
            for side, wanted in zip(found.shape, layout, strict=True)
        ):
            return _line(path, found, expression)
    return ""


def _line(path: Path, found: h5py.Dataset, expression: str) -> str:
    """The one line that puts `expression`, of the data set's values `a`, in the data set's place."""
    file, key = json.dumps(str(path)), json.dumps(found.name[1:])
    code = f'import h5py; f = h5py.File({file}, "a"); a = f[{key}][:]; del f[{key}]; f[{key}] = {expression}'
    return f"; to mend the file: python -c {shlex.quote(code)}"


def to_unit_range(images: Any) -> Any:
    """uint8 images as float32 in [0, 1], as the course's file has them; float32 images as they are. NumPy or CuPy."""
    if images.dtype != np.uint8:
        return images
    floats = images.astype(np.float32)
    floats /= np.float32(255)  # in place: all images at once are 0.7 GB
    return floats


def _attribute(file: h5py.File, name: str, kinds: str) -> object:
    """The file's attribute, if it is a single value of one of these kinds (NumPy's letters) and not long; None if not.

    Nothing of it is read before that is known: a few bytes of an array of strings may stand for gigabytes.
    """
    if name not in file.attrs:
        return None
    attribute = h5py.h5a.open(file.id, name.encode())
    is_single = math.prod(attribute.shape) == 1 and attribute.get_storage_size() <= LONGEST_SOURCE
    return np.ravel(file.attrs[name])[0] if is_single and attribute.dtype.kind in kinds else None


def _source(file: h5py.File) -> str:
    """What captions may show of a file's own word for its data."""
    source = _attribute(file, "source", "OSU")
    text = source.decode(errors="replace") if isinstance(source, bytes) else source if isinstance(source, str) else ""
    return "".join(character if character.isprintable() else " " for character in text)[:100].strip()


def _is_synthetic(path: Path, file: h5py.File) -> bool:
    if "synthetic" not in file.attrs:
        return False
    value = _attribute(file, "synthetic", "biuf")
    if value is None:
        raise BadInput(f"{path}, attribute synthetic: expected true or false; found something else")
    return bool(value)


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
