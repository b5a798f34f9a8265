"""The official CIFAR-10 archives, binary and Python, packed or unpacked. Nothing in them is trusted."""

import hashlib
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reproduce.errors import BadInput
from reproduce.files import read_at_most

IMAGES_PER_BATCH = 10_000
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
TRAINING_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
LARGEST_MEMBER = 64 * 2**20

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Sums:
    """MD5 sums, in hexadecimal digits, of the files that count as the official ones.

    Attributes:
        binary, python: of the two packed archives.
        batches: of the Python archive's batches by their names. A pickle can do anything, so one with another sum is
            not parsed at all.
    """

    binary: str
    python: str
    batches: dict[str, str]


OFFICIAL = Sums(
    binary="c32a1d4ab5d03f1284b67883e8d87530",
    python="c58f30108f718f92721af3b95e74349a",
    batches={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
)


def is_archive(path: Path) -> bool:
    """Whether a file begins as gzip does."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def is_unpacked_archive(path: Path) -> bool:
    """Whether a folder holds the batches of an unpacked official archive."""
    return any((path / f"{TRAINING_BATCHES[0]}{suffix}").is_file() for suffix in (".bin", ""))


def are_sums_known(path: Path) -> bool:
    """Whether all that `read_archive` reads there is compared with a sum: False only for an unpacked binary archive."""
    return not (path / f"{TRAINING_BATCHES[0]}.bin").is_file()


def md5_of(path: Path) -> str:
    digest = hashlib.md5()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_archive(path: Path, sums: Sums = OFFICIAL) -> Arrays:
    """Read an official archive, or the folder that it unpacks to.

    Args:
        path: a `.tar.gz` file, whose sum is checked before anything in it is read, or a folder. A folder's pickles
            are checked in the same way; its binary batches have no known sums, and no way to do harm.
        sums: of what may be read.

    Returns:
        X_train (50000, 3, 32, 32) uint8, Y_train (50000,) int32, X_test (10000, ...), Y_test.

    Raises:
        BadInput: a sum does not match, or a batch is missing or damaged.
    """
    if path.is_dir():
        return _read_batches(path, lambda n: _read_member_of_folder(path / n), lambda n: (path / n).is_file(), sums)
    found = md5_of(path)
    if found not in (sums.binary, sums.python):
        raise BadInput(
            f"{path}: expected the MD5 sum {sums.binary} (binary) or {sums.python} (Python); found {found}; "
            f"of an archive that was packed anew, give the folder that it unpacks to"
        )
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}

            def read_member(name: str) -> bytes:
                if members[name].size > LARGEST_MEMBER:
                    raise BadInput(
                        f"{path}, {name}: expected at most {LARGEST_MEMBER} bytes; found {members[name].size}"
                    )
                stream = archive.extractfile(members[name])
                assert stream is not None, "all members are files"
                return stream.read()

            return _read_batches(path, read_member, members.__contains__, sums)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadInput(f"{path}: damaged archive: {error}") from None


def _read_member_of_folder(path: Path) -> bytes:
    try:
        return read_at_most(path, LARGEST_MEMBER)
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None


def _read_batches(
    where: Path, read_member: Callable[[str], bytes], has_member: Callable[[str], bool], sums: Sums
) -> Arrays:
    is_binary = has_member(TRAINING_BATCHES[0] + ".bin")
    images, labels = [], []
    for name in (*TRAINING_BATCHES, TEST_BATCH):
        member = name + ".bin" * is_binary
        if not has_member(member):
            raise BadInput(f"{where}: expected a batch {member}; found none")
        content = read_member(member)
        if is_binary:
            x, y = _decode_binary_batch(f"{where}, {member}", content)
        else:
            x, y = _decode_python_batch(f"{where}, {member}", content, sums.batches[name])
        images.append(x.reshape(-1, 3, 32, 32))
        labels.append(y.astype(np.int32))
    return np.concatenate(images[:-1]), np.concatenate(labels[:-1]), images[-1], labels[-1]


def _decode_binary_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """One byte of label, then 3072 bytes of red, green and blue rows, ten thousand times."""
    if len(content) != IMAGES_PER_BATCH * RECORD:
        raise BadInput(
            f"{where}: expected {IMAGES_PER_BATCH * RECORD} bytes ({IMAGES_PER_BATCH} images of {RECORD}); "
            f"found {len(content)}"
        )
    records = np.frombuffer(content, np.uint8).reshape(IMAGES_PER_BATCH, RECORD)
    labels = records[:, 0]
    if (labels > 9).any():
        first = int((labels > 9).argmax())
        raise BadInput(f"{where}, image {first}: expected a label from 0 to 9; found {labels[first]}")
    return records[:, 1:], labels


def _decode_python_batch(where: str, content: bytes, md5: str) -> tuple[np.ndarray, np.ndarray]:
    """A pickled dict of `data`, (10000, 3072) uint8, and a list of `labels`; unpickled only if its sum is right."""
    found = hashlib.md5(content).hexdigest()
    if found != md5:
        raise BadInput(
            f"{where}: expected the official batch, MD5 sum {md5}; found {found}; other images are read from HDF5 alone"
        )
    batch = pickle.loads(content, encoding="bytes")
    return batch[b"data"], np.array(batch[b"labels"])
