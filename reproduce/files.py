"""Files that are written whole or not at all, read within bounds, and set aside rather than deleted when damaged."""

import csv
import errno
import io
import json
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from reproduce.errors import BadInput

UNFINISHED = ".part"


def unfinished_name(path: Path) -> Path:
    """A name beside `path` that no other process has, on this host or another one with the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}{UNFINISHED}")


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that any reader, at any moment, finds the old file or the whole new one."""
    unfinished = unfinished_name(path)
    try:
        with unfinished.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def json_bytes(value: Any) -> bytes:
    """How this package writes JSON: the same value always gives the same bytes."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def csv_bytes(rows: Iterable[Iterable[Any]]) -> bytes:
    """How this package writes CSV, its heading the first row: lines end in a line feed on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, json_bytes(value))


def make_folder(path: Path) -> None:
    """Make a folder that results go to, unless it is there.

    Raises:
        BadInput: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path}: expected a folder that can be written to: {error.strerror}") from None


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing else: a FIFO would wait for whoever writes to it.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return stream


def read_at_most(path: Path, limit: int) -> bytes:
    """A whole regular file of at most `limit` bytes.

    Raises:
        ValueError: it is larger.
        OSError: it cannot be read.
    """
    with open_regular(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"expected at most {limit} bytes; found more")
    return content


def set_aside(path: Path, reason: str) -> None:
    """Give a damaged file a name ending in `.damaged`, the first that is free, and say so in one line."""
    number, aside = 1, path.with_name(path.name + ".damaged")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{number}.damaged")
    path.replace(aside)
    print(f"{path}: {reason}; set aside as {aside.name}", flush=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed while writing have left in a folder that this process has locked."""
    for path in folder.glob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)
