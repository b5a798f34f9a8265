"""Files that are written whole or not at all, read within bounds, and set aside rather than deleted when damaged."""

import contextlib
import csv
import errno
import io
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from reproduce.errors import BadInput, first_line
from reproduce.text import printable

UNFINISHED = ".part"
LARGEST_TABLE = 256 * 2**20
DAY = 86_400.0


def unfinished_name(path: Path) -> Path:
    """A name beside `path` that no other process has, on this host or another one with the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}{UNFINISHED}")


def write_atomically(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Put `content` at `path` so that any reader, at any moment, finds the old file or the whole new one.

    Args:
        keep: where the old file goes, once the new one is on the disk; a reader may then find neither at `path`.
    """
    unfinished = unfinished_name(path)
    try:
        with unfinished.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if keep and path.exists():
            path.replace(keep)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def only_one(path: Path, doing: str) -> contextlib.AbstractContextManager:
    """Hold the lock `.NAME.lock` beside `path`; while another process holds it, say so and wait.

    The operating system lets go of it when its process ends, however it ends. The file stays: whoever removed it could
    take it from under a process that waits.

    Args:
        doing: what whoever holds it is doing to `path`, as in "prepares".

    Raises:
        OSError: the file cannot be written to.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(printable(f"waiting for another command, which {doing} {path}"), flush=True)
        return lock.acquire()


def json_bytes(value: Any) -> bytes:
    """How this package writes JSON: the same value always gives the same bytes."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def csv_bytes(rows: Iterable[Iterable[Any]]) -> bytes:
    """How this package writes CSV, its heading the first row: lines end in a line feed on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def csv_rows(path: Path) -> list[dict[str, str]]:
    """A CSV's rows by the names in its heading; none if it is not there.

    Raises:
        BadInput: it is not a table with as many cells in each row as in the first.
        OSError: it cannot be read now.
    """
    try:
        content = read_at_most(path, LARGEST_TABLE).decode()
        heading, *rows = csv.reader(io.StringIO(content, newline=""))
    except FileNotFoundError:
        return []
    except (ValueError, csv.Error) as error:
        raise BadInput(f"{path}: expected a table with a heading; found {first_line(error)}") from None
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heading):
            raise BadInput(f"{path}: row {number}: expected {len(heading)} cells; found {len(row)}")
    return [dict(zip(heading, row, strict=True)) for row in rows]


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, json_bytes(value))


def make_folder(path: Path) -> None:
    """Make a folder that results go to, unless it is there, and remove what killed processes have left in it.

    Raises:
        BadInput: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path}: expected a folder that can be written to: {error.strerror}") from None
    _remove_abandoned(path)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing else: a FIFO would wait for whoever writes to it.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise _not_regular(path)
    return os.fdopen(number, "rb")


def refuse_links(path: Path) -> None:
    """See that nothing lies at `path`, or a regular file: what is written there goes nowhere else.

    Raises:
        OSError: it is a link, a FIFO, a folder or the like.
    """
    try:
        is_regular = stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_regular:
        raise _not_regular(path)


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "Not a regular file", str(path))


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
    print(printable(f"{path}: {reason}; set aside as {aside.name}"), flush=True)


def remove_unfinished(folder: Path, names: Iterable[str]) -> None:
    """Remove what killed processes have left of files with these names, and of no others, by `unfinished_name`.

    Nobody else may be writing them: the folder is locked by this process.
    """
    ours = re.compile(rf"\.(?:{'|'.join(map(re.escape, names))})\.[0-9a-f]{{12}}{re.escape(UNFINISHED)}")
    for path in folder.glob(f".*{UNFINISHED}"):
        if ours.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left in a folder that several write to: what nobody has written to for a day."""
    for path in folder.glob(f".*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            is_old = time.time() - path.lstat().st_mtime > DAY
            if is_old and re.fullmatch(rf"\..+\.[0-9a-f]{{12}}{UNFINISHED}", path.name):
                path.unlink()
