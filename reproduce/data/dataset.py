"""CIFAR-10 in the course's HDF5 layout: from a file, from the official archives, or a synthetic stand-in."""

import atexit
import hashlib
import shlex
import shutil
import stat
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from reproduce.data.archives import (
    OFFICIAL,
    Arrays,
    Sums,
    are_sums_known,
    is_archive,
    is_unpacked_archive,
    read_archive,
)
from reproduce.data.download import copies, fetch_archive
from reproduce.data.hdf5 import read_hdf5, to_unit_range, write_hdf5
from reproduce.data.synthetic import synthetic_images
from reproduce.errors import BadInput, Failure
from reproduce.files import only_one
from reproduce.text import printable

OFFICIAL_NAME = "CIFAR-10"
SYNTHETIC_NAME = "synthetic images (not CIFAR-10)"
SYNTHETIC_SIZES = (5000, 1000)
SYNTHETIC_NOTICE = (
    "*** SYNTHETIC DATA, NOT CIFAR-10: these numbers say nothing about CIFAR-10. "
    "The real thing: DATA=FILE, or `make data`, which downloads it. ***"
)
CACHE = Path("data") / "CIFAR10.hdf5"


@dataclass(frozen=True)
class Dataset:
    """Images and labels, and where they are from.

    Attributes:
        x_train, x_test: (N, 3, 32, 32) float32 in [0, 1].
        y_train, y_test: (N,) int32, 0 to 9.
        name: what captions call it.
        is_synthetic: whether it is the procedural stand-in.
        whole: all training images and labels, if these are a choice of them; images as their file has them, (N, 3, 32,
            32) uint8 or float32.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str
    is_synthetic: bool = False
    whole: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)
    _fingerprints: dict[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of SHA-256 over the decoded arrays: shapes, then values."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()[:16]

    def check(self, fingerprint: str, where: str) -> None:
        """See that these are the images that a run is of.

        Args:
            where: they are from, for the message.

        Raises:
            BadInput: they are others.
        """
        if self.fingerprint != fingerprint:
            raise BadInput(
                f"{where}: expected the images with fingerprint {fingerprint or '(none)'}; found {self.fingerprint}"
            )

    def first(self, train_size: int | None, test_size: int | None) -> "Dataset":
        """The first images of each part; None keeps all.

        Raises:
            BadInput: there are fewer images than asked for.
        """
        train = self.whole or (self.x_train, self.y_train)
        return _first((*train, self.x_test, self.y_test), self.name, self.is_synthetic, train_size, test_size)

    @property
    def nbytes(self) -> int:
        """The memory that all these images take."""
        return sum(images.nbytes for images in (self.x_train, self.x_test, *(self.whole or ())[:1]))

    def of_seed(self, seed: int) -> "Dataset":
        """The images of a seed's runs: where there are more training images, each seed from 1 on draws as many of them.

        So runs of several seeds tell how far results depend on the images, too. The test images are the same for all.
        """
        if self.whole is None or seed == 0:
            return self
        images, labels = self.whole
        drawn = np.random.RandomState(seed).permutation(len(labels))[: len(self.y_train)]
        drawn.sort()
        return replace(self, x_train=to_unit_range(images[drawn]), y_train=labels[drawn], whole=None)

    def fingerprint_of_seed(self, seed: int) -> str:
        """The fingerprint of a seed's images. They are drawn for it once, and not kept."""
        if seed not in self._fingerprints:
            self._fingerprints[seed] = self.of_seed(seed).fingerprint
        return self._fingerprints[seed]


def read(path: str | Path, train_size: int | None = None, test_size: int | None = None) -> Dataset:
    """Read CIFAR-10 from the course's HDF5 file, an official archive, or an unpacked official archive.

    Args:
        train_size, test_size: how many images to take of each part, the first in the file's order; None takes all.

    Raises:
        BadInput: the file is missing, damaged, or holds something else, or fewer images than asked for; the message
            says what and where.
    """
    arrays, name, is_synthetic = _read(path)
    return _first(arrays, name, is_synthetic, train_size, test_size)


def _first(arrays: Arrays, name: str, is_synthetic: bool, train_size: int | None, test_size: int | None) -> Dataset:
    """The data set of the first images. Only these are made float32; the others may stay four times as small."""
    x_train, y_train, x_test, y_test = arrays
    for option, size, labels in (("train_size", train_size, y_train), ("test_size", test_size, y_test)):
        if size is not None and size > len(labels):
            raise BadInput(
                f"{option}: {size} images wanted, and {name} has {len(labels)}; "
                f"{option.upper()}={len(labels)} takes them all"
            )
    return Dataset(
        to_unit_range(x_train[:train_size]),
        y_train[:train_size],
        to_unit_range(x_test[:test_size]),
        y_test[:test_size],
        name,
        is_synthetic,
        None if train_size in (None, len(y_train)) else (x_train, y_train),
    )


def _read(path: str | Path) -> tuple[Arrays, str, bool]:
    """The four arrays of `Arrays`, images as the file has them; its name for captions; whether it is synthetic."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise BadInput(f"{path}: expected a file or a folder; found a pipe, a socket or a device")
        if stat.S_ISDIR(mode) and not is_unpacked_archive(path):
            raise BadInput(f"{path}: expected a folder with data_batch_1.bin or data_batch_1; found {_found(path)}")
        if stat.S_ISDIR(mode) or is_archive(path):
            name = OFFICIAL_NAME if are_sums_known(path) else "CIFAR-10 (folder, sums not checked)"
            return read_archive(path), name, False
        if not h5py.is_hdf5(path):
            with path.open("rb") as stream:
                found = stream.read(8)
            raise BadInput(
                f"{path}: expected an HDF5 file or a .tar.gz archive; it begins with the bytes "
                f"{found.hex(' ') or '(none)'}"
            )
        parts, source, is_synthetic = read_hdf5(path)
        # A file's name may hold anything at all, and goes into captions, tables and files.
        name = SYNTHETIC_NAME if is_synthetic else source or printable(path.name)
        return (parts["X_train"], parts["Y_train"], parts["X_test"], parts["Y_test"]), name, is_synthetic
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; expected CIFAR-10 as HDF5 or as an official archive") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None


def _found(folder: Path) -> str:
    """What a folder without batches has, and which of it would be read."""
    for child in sorted(folder.iterdir()):
        if is_unpacked_archive(child) or child.suffix in (".hdf5", ".h5", ".gz"):
            return f"{child.name}, so DATA={shlex.quote(str(child))} may be what is meant"
    return "neither"


def synthetic(train_size: int, test_size: int, seed: int = 0) -> Dataset:
    """The procedural stand-in, as a Dataset; the same seed and sizes give the same images."""
    x_train, y_train = synthetic_images(train_size, seed, "train")
    x_test, y_test = synthetic_images(test_size, seed, "test")
    return Dataset(to_unit_range(x_train), y_train, to_unit_range(x_test), y_test, SYNTHETIC_NAME, is_synthetic=True)


def prepare(path: Path, sums: Sums = OFFICIAL) -> None:
    """Get CIFAR-10 and write it to `path` in the course's layout; of several processes, one does.

    It is taken from another program's copy, if there is one, and otherwise downloaded.

    Args:
        sums: that the archive has to have.

    Raises:
        Failure: the download failed.
        BadInput: what arrived is not the official archive.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of our own: beside `path` there may be anything, and the folder is removed.
    download = path.with_name(f".{path.name}.download")
    with only_one(path, "prepares"):
        if path.exists():
            return
        x_train, y_train, x_test, y_test = find_copy(sums) or read_archive(fetch_archive(download, sums.binary), sums)
        parts = {"X_train": x_train, "Y_train": y_train, "X_test": x_test, "Y_test": y_test}
        write_hdf5(path, parts, OFFICIAL_NAME)
        shutil.rmtree(download, ignore_errors=True)


def find_copy(sums: Sums) -> Arrays | None:
    """CIFAR-10 as another program keeps it, the first copy whose sums hold."""
    for path in copies():
        try:
            if path.is_file() or is_unpacked_archive(path):
                arrays = read_archive(path, sums)
                print(f"taking CIFAR-10 from {printable(str(path))}, whose sums hold", flush=True)
                return arrays
        except (BadInput, OSError) as error:
            print(f"not taken: {printable(str(error))}", flush=True)
    return None


def say_if_synthetic(dataset: Dataset) -> None:
    """Say so at once, and as the last thing that this process prints: much may be printed in between."""
    if dataset.is_synthetic:
        _say_that_it_is_synthetic()
        atexit.unregister(_say_that_it_is_synthetic)
        atexit.register(_say_that_it_is_synthetic)


def _say_that_it_is_synthetic() -> None:
    print(SYNTHETIC_NOTICE, flush=True)


def load(data: str | None, train_size: int | None, test_size: int | None, may_be_synthetic: bool) -> Dataset:
    """The data that a command is to use, cut to the first `train_size` and `test_size` images.

    Args:
        data: a file or folder, "synthetic", or None for the file in `data/`, downloaded if it is not there.
        may_be_synthetic: whether to go on with the stand-in, saying so, where the download fails.

    Raises:
        BadInput: the data cannot be used, or cannot be had and may not be replaced.
    """
    if data is None:
        try:
            if not CACHE.exists():
                prepare(CACHE)
            data = str(CACHE)
        except (BadInput, Failure) as error:
            if not may_be_synthetic:
                raise BadInput(f"CIFAR-10 is needed here, and cannot be had: {error}") from None
            print(f"CIFAR-10 cannot be had: {printable(str(error))}", file=sys.stderr, flush=True)
            data = "synthetic"
    if data == "synthetic":
        return synthetic(train_size or SYNTHETIC_SIZES[0], test_size or SYNTHETIC_SIZES[1])
    return read(data, train_size, test_size)
