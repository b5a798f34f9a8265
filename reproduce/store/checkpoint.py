"""Checkpoints: all that a training run needs to go on as if it had never stopped, in one npz file with its checksum.

The newest two are kept. A checkpoint also holds the run's settings, provenance and history, so that the other files
can be checked, and written again, from it. A record is these alone: of a run that was made and published elsewhere.
"""

import errno
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reproduce.errors import first_line
from reproduce.files import open_regular, write_atomically
from reproduce.store.history import EpochRecord, History, add_epoch

if TYPE_CHECKING:
    from chainer import Chain, GradientMethod

    from reproduce.training import PartialEpoch

FORMAT = 1
LATEST, PREVIOUS, RECORD = "checkpoint.npz", "checkpoint.previous.npz", "record.npz"
MOST_MEMBERS = 10_000
NOT_OURS = "not a checkpoint that this package wrote"
# What NumPy and Chainer raise for arrays that are whole, and not what is expected of them.
MISFITS = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


class Damaged(Exception):
    """A checkpoint was read, and cannot be used; says why in one line. One that cannot be read raises OSError."""


class Progress(NamedTuple):
    """What a run carries from step to step besides its network and optimizer."""

    order: np.ndarray
    """(N,) int64: which training image stands where in the set, as every shuffle so far has left it"""
    history: History
    unfinished: "PartialEpoch"


class Record(NamedTuple):
    """What a checkpoint says without its network."""

    settings: dict[str, Any]
    provenance: dict[str, Any]
    history: History


def save(
    folder: Path,
    settings: dict[str, Any],
    provenance: dict[str, Any],
    model: "Chain",
    optimizer: "GradientMethod",
    progress: Progress,
) -> None:
    """Write network, optimizer, the state of NumPy's global generator and the progress; keep the checkpoint before."""
    from chainer.serializers import DictionarySerializer

    serializer = DictionarySerializer()
    serializer["model"].save(model)
    serializer["optimizer"].save(optimizer)
    content = {name: np.asarray(value) for name, value in serializer.target.items()}
    _, keys, position, has_gauss, cached_gaussian = np.random.get_state()
    content["random/keys"] = keys
    content["random/position"] = np.array([position, has_gauss])
    content["random/cached_gaussian"] = np.array(cached_gaussian)
    content["order"] = progress.order
    content["unfinished"] = np.array(progress.unfinished, np.float64)
    content.update(_record_arrays(Record(settings, provenance, progress.history)))
    content["checksum/all"] = _checksum(content)
    write_atomically(folder / LATEST, _packed(content), keep=folder / PREVIOUS)


def save_record(folder: Path, brief: Record) -> None:
    """Write what a run gave elsewhere, without the network that it would need to go on."""
    write_atomically(folder / RECORD, _packed(_record_arrays(brief)))


def _record_arrays(brief: Record) -> dict[str, np.ndarray]:
    about = {"format": FORMAT, "settings": brief.settings, "provenance": brief.provenance}
    arrays = {
        "about": np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8),
        "history": np.array(brief.history, np.float64).reshape(-1, len(EpochRecord._fields)),
    }
    return {**arrays, "checksum/brief": _checksum(arrays)}


def _packed(content: dict[str, np.ndarray]) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **content)
    return packed.getvalue()


def read_record(path: Path) -> Record:
    """Settings, provenance and history of a checkpoint, checked.

    Raises:
        Damaged: the file is not a whole checkpoint of this format.
        OSError: it is not there, or cannot be read now.
    """
    brief = _read_arrays(path, ["about", "history", "checksum/brief"])
    checksum = brief.pop("checksum/brief")
    if not np.array_equal(checksum, _checksum(brief)):
        raise Damaged("damaged: its checksum does not match")
    try:
        about = json.loads(brief["about"].tobytes())
        if about["format"] != FORMAT:
            raise Damaged(f"a checkpoint of format {about['format']!r:.20}; this version writes {FORMAT}")
        history: History = []
        for row in brief["history"].tolist():
            add_epoch(history, row)
        return Record(dict(about["settings"]), dict(about["provenance"]), history)
    except (LookupError, TypeError, ValueError, RecursionError) as error:  # whole, and made by somebody else
        raise Damaged(f"{NOT_OURS}: {first_line(error)}") from None


def load(path: Path, model: "Chain", optimizer: "GradientMethod") -> Progress:
    """Bring back what `save` wrote, into `model`, `optimizer` and NumPy's global generator.

    A damaged file is noticed before anything is touched. One that is whole and does not fit may leave `model`,
    `optimizer` and generator with a part of what it holds.

    Raises:
        Damaged: the file is not a whole checkpoint of this network and optimizer.
        OSError: it is not there, or cannot be read now.
    """
    from chainer.serializers import NpzDeserializer

    from reproduce.training import PartialEpoch

    history = read_record(path).history
    content = _read_arrays(path)
    checksum = content.pop("checksum/all", None)
    if checksum is None or not np.array_equal(checksum, _checksum(content)):
        raise Damaged("damaged: its checksum does not match")
    try:
        NpzDeserializer(content, path="model/").load(model)
        NpzDeserializer(content, path="optimizer/").load(optimizer)
        position, has_gauss = map(int, content["random/position"])
        np.random.set_state(
            ("MT19937", content["random/keys"], position, has_gauss, float(content["random/cached_gaussian"]))
        )
        next_image, loss, accuracy, batches, seconds = content["unfinished"].tolist()
        done = PartialEpoch(int(next_image), loss, accuracy, int(batches), seconds)
        order = content["order"]
        if not np.array_equal(np.sort(order), np.arange(len(order))):
            raise ValueError("expected every image's number once in order")
        if not (0 <= done.next_image <= len(order) and (done.batches > 0) == (done.next_image > 0) and seconds >= 0):
            raise ValueError(f"expected a part of an epoch of {len(order)} images; found {tuple(done)}")
    except MISFITS as error:
        raise Damaged(f"not of this network: {first_line(error)}") from None
    return Progress(order, history, done)


def _read_arrays(path: Path, names: list[str] | None = None) -> dict[str, np.ndarray]:
    """Some or all arrays of an npz file, no member of which can be larger than the file itself.

    Raises:
        Damaged: it is not such a file, or an array is missing.
        OSError: it is not there, or cannot be read now.
        MemoryError: there is no room for it now.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            with zipfile.ZipFile(stream) as archive:
                members = archive.infolist()
                is_crowded = len(members) > MOST_MEMBERS or sum(m.file_size for m in members) > size
                if is_crowded or any(member.compress_type != zipfile.ZIP_STORED for member in members):
                    raise Damaged(NOT_OURS)
                wanted = [f"{name}.npy" for name in names] if names else [member.filename for member in members]
                return {name.removesuffix(".npy"): _read_array(archive, name) for name in wanted}
        except (Damaged, MemoryError):
            raise
        except Exception as error:  # zipfile, zlib and NumPy each have their own for a damaged file
            # A wrong offset in an archive makes a seek that the system calls invalid; its other errors are its own.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise Damaged(_reason(error)) from None


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array as large as its member is, whatever its header claims."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, is_fortran, dtype = read_header[version](member)
        flat = np.frombuffer(member.read(), dtype)
    return np.array(flat.reshape(shape, order="F" if is_fortran else "C"))


def _reason(error: Exception) -> str:
    return f"damaged: {first_line(error)}"


def _checksum(content: dict[str, np.ndarray]) -> np.ndarray:
    """SHA-256 over names, types, shapes and values: (32,) uint8."""
    digest = hashlib.sha256()
    for name in sorted(content):
        array = content[name]
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return np.frombuffer(digest.digest(), np.uint8)
