"""The official CIFAR-10 archives, binary and Python, packed or unpacked. Nothing in them is trusted."""

import hashlib
import io
import pickle
import pickletools
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reproduce.errors import BadInput

BINARY_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
PYTHON_MD5 = "c58f30108f718f92721af3b95e74349a"
IMAGES_PER_BATCH = 10_000
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
TRAINING_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
LARGEST_MEMBER = 64 * 2**20

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def is_archive(path: Path) -> bool:
    """Whether a file begins as gzip does."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def is_unpacked_archive(path: Path) -> bool:
    """Whether a folder holds the batches of an unpacked official archive."""
    return any((path / f"{TRAINING_BATCHES[0]}{suffix}").is_file() for suffix in (".bin", ""))


def md5_of(path: Path) -> str:
    digest = hashlib.md5()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_archive(path: Path, known_md5: tuple[str, str] = (BINARY_MD5, PYTHON_MD5)) -> Arrays:
    """Read an official archive, or the folder that it unpacks to.

    Args:
        path: a `.tar.gz` file, whose sum is checked before anything in it is read, or a folder.
        known_md5: the sums of the binary and of the Python archive.

    Returns:
        X_train (50000, 3, 32, 32) uint8, Y_train (50000,) int32, X_test (10000, ...), Y_test.

    Raises:
        BadInput: a sum does not match, a batch is missing or damaged, or a pickle holds anything but a batch.
    """
    if path.is_dir():
        return _read_batches(path, lambda name: _read_member_of_folder(path / name), lambda n: (path / n).is_file())
    found = md5_of(path)
    if found not in known_md5:
        raise BadInput(
            f"{path}: expected the MD5 sum {known_md5[0]} (binary) or {known_md5[1]} (Python); found {found}"
        )
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}

            def read_member(name: str) -> bytes:
                if members[name].size > LARGEST_MEMBER:
                    raise BadInput(
                        f"{path}, {name}: expected at most {LARGEST_MEMBER} bytes; found {members[name].size}"
                    )
                return archive.extractfile(members[name]).read()

            return _read_batches(path, read_member, members.__contains__)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadInput(f"{path}: damaged archive: {error}") from None


def _read_member_of_folder(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_MEMBER:
        raise BadInput(f"{path}: expected at most {LARGEST_MEMBER} bytes; found {path.stat().st_size}")
    return path.read_bytes()


def _read_batches(where: Path, read_member: Callable[[str], bytes], has_member: Callable[[str], bool]) -> Arrays:
    is_binary = has_member(TRAINING_BATCHES[0] + ".bin")
    suffix, decode = (".bin", _decode_binary_batch) if is_binary else ("", _decode_python_batch)
    images, labels = [], []
    for name in (*TRAINING_BATCHES, TEST_BATCH):
        member = name + suffix
        if not has_member(member):
            raise BadInput(f"{where}: expected a batch {member}; found none")
        x, y = decode(f"{where}, {member}", read_member(member))
        wrong = (y < 0) | (y > 9)
        if wrong.any():
            raise BadInput(
                f"{where}, {member}, image {int(wrong.argmax())}: expected a label from 0 to 9; "
                f"found {int(y[wrong.argmax()])}"
            )
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
    return records[:, 1:], records[:, 0].astype(np.int64)


class _BatchUnpickler(pickle.Unpickler):
    """Admits what a CIFAR batch is made of, and refuses every other name before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _reconstruct
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"a pickle of a CIFAR batch holds no {module}.{name}")


def _check_opcodes(content: bytes) -> None:
    """Refuse what the official batches, of protocol 2, have no use for: a few bytes of it may ask for any memory."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.proto > 2:
            raise pickle.UnpicklingError(f"a pickle of a CIFAR batch has protocol 2; found {opcode.name}")
        if opcode.name in ("PUT", "LONG_BINPUT") and argument > len(content):
            raise pickle.UnpicklingError(f"a pickle of this length has no use for memo {argument}")


def _reconstruct(cls: object, shape: object, code: object) -> np.ndarray:
    """An empty array, which NumPy's pickles then fill; what their `_reconstruct` does, for plain arrays alone."""
    if cls is not np.ndarray:
        raise pickle.UnpicklingError("a pickle of a CIFAR batch holds plain arrays alone")
    return np.empty(0, np.uint8)


def _encode(text: object, encoding: object) -> bytes:
    """How Python 3 writes bytes in an old pickle."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("a pickle of a CIFAR batch encodes nothing but latin1 bytes")
    return text.encode("latin1")


def _decode_python_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """A dict whose `data` is (10000, 3072) uint8 and whose `labels` is a list of 10,000 whole numbers."""
    try:
        _check_opcodes(content)
        batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle may raise anything at all
        reason = next(iter(str(error).splitlines()), "damaged")
        raise BadInput(f"{where}: not a pickle of a CIFAR batch: {reason}") from None
    if not isinstance(batch, dict):
        raise BadInput(f"{where}: expected a dict; found {type(batch).__name__}")
    batch = {key.decode(errors="replace") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    data, labels = batch.get("data"), batch.get("labels")
    if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape == (IMAGES_PER_BATCH, PIXELS)):
        found = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise BadInput(f"{where}, data: expected uint8 (10000, 3072); found {found}")
    if not (isinstance(labels, list) and len(labels) == IMAGES_PER_BATCH and all(type(y) is int for y in labels)):
        raise BadInput(f"{where}, labels: expected a list of {IMAGES_PER_BATCH} whole numbers; found something else")
    return data, np.array([min(max(y, -1), 10) for y in labels])
