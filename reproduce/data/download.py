"""Fetches the official archive of CIFAR-10, bounded and resumed where it broke off, or finds other programs' copies."""

import hashlib
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urljoin

from reproduce.data.archives import OFFICIAL, md5_of
from reproduce.errors import BadInput, Failure, first_line
from reproduce.text import duration, printable, size

if TYPE_CHECKING:
    from requests import Response
    from urllib3 import HTTPResponse

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_SIZE = 170_052_171
SERVER = "https://www.cs.toronto.edu/~kriz/"
TIMEOUT_SECONDS = 30
# Waits after rounds that brought next to nothing. Where no server answers at all, most often there is no network, and
# the first two will do.
PAUSES = (1, 2, 4, 8, 16, 32)
PAUSES_WITHOUT_ANSWER = 2
LEAST_GAIN = 1_000_000
# The author's own server gives 40 to 80 kB/s at times. A transfer that brings a quarter of that for a minute is ended.
PATIENCE_SECONDS = 60
LEAST_SPEED = 10_000
BLOCK = 2**16
MOST_REDIRECTS = 10


def copies() -> list[Path]:
    """Where torchvision (as its examples use it), Keras and Chainer keep CIFAR-10, packed or unpacked."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without an entry in the system's list
        home = Path()
    keras = Path(os.environ.get("KERAS_HOME", home / ".keras")) / "datasets"
    chainer = Path(os.environ.get("CHAINER_DATASET_ROOT", home / ".chainer" / "dataset"))
    archive, folder = "cifar-10-python.tar.gz", "cifar-10-batches-py"
    return [
        *(root / name for root in (Path("data"), home / "data") for name in (archive, folder)),
        keras / f"{folder}-target_archive",
        keras / f"{folder}-target" / folder,
        keras / f"{folder}.tar.gz",
        keras / folder,
        chainer / "_dl_cache" / hashlib.md5(f"{SERVER}{archive}".encode()).hexdigest(),
    ]


@dataclass
class _Transfer:
    """One request, in a thread of its own: whatever a server does to the thread, the command goes on without it.

    Attributes:
        received: bytes so far.
        problem: what ended it early; "" if nothing did.
        is_final: whether the same request would end in the same way again.
        was_answered: whether a server said anything.
        failure: an error on our side, such as a full disk.
        is_abandoned: tells the thread to write no more.
    """

    received: int = 0
    problem: str = ""
    is_final: bool = False
    was_answered: bool = False
    failure: OSError | None = None
    is_abandoned: bool = False
    writing: threading.Lock = field(default_factory=threading.Lock)


def fetch_archive(folder: Path, md5: str = OFFICIAL.binary, limit: int = ARCHIVE_SIZE) -> Path:
    """Download the archive into `folder`, or find it there; a partial download is resumed.

    The environment variable CIFAR10_URL names other servers' addresses of it, separated by spaces, tried in turn.

    Args:
        md5: the sum that the archive has to have.
        limit: its size in bytes; no more than that is written.

    Raises:
        Failure: no server can be reached, has the file, or sends it fast enough. What has arrived stays.
        BadInput: what arrived has another sum.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / ARCHIVE, folder / f"{ARCHIVE}.part"
    if path.exists() and md5_of(path) == md5:
        return path
    urls = os.environ.get("CIFAR10_URL", "").split() or [SERVER + ARCHIVE]
    problems: dict[str, str] = {}
    has_wrong_sum, rounds, longest = False, 0, _length(part)
    while True:
        was_answered = False
        for url in tuple(urls):
            begin = _length(part)
            going_on = f"; going on after {size(begin)}" if begin else ""
            _say(f"fetching {_shown(url)} ({size(limit)}{going_on})")
            transfer = _follow(url, part, limit) if begin < limit else _Transfer()
            if not transfer.problem:
                found = md5_of(part)
                if found == md5:
                    part.replace(path)
                    return path
                part.unlink()
                has_wrong_sum = True
                transfer.problem = f"expected the MD5 sum {md5}; found {found}"
                # What was there before may have been at fault.
                transfer.is_final = begin == 0
            _say(f"{_shown(url)}: {transfer.problem}")
            problems[_shown(url)] = transfer.problem
            was_answered |= transfer.was_answered
            if transfer.is_final:
                urls.remove(url)
        if _length(part) >= longest + LEAST_GAIN:
            rounds, longest = 0, _length(part)
        else:
            rounds += 1
        if not urls or rounds > (len(PAUSES) if was_answered else PAUSES_WITHOUT_ANSWER):
            break
        pause = PAUSES[max(rounds, 1) - 1]
        _say(f"waiting {pause} s before the next try")
        time.sleep(pause)
    reasons = "; ".join(f"{url}: {problem}" for url, problem in problems.items())
    if has_wrong_sum and not urls:
        raise BadInput(reasons)
    kept = f"; {size(_length(part))} are kept, and the same command goes on from there" if _length(part) else ""
    raise Failure(f"{reasons}{kept}; DATA=FILE uses a file of your own, and CIFAR10_URL='URL URL' other servers")


def _say(text: str) -> None:
    print(printable(text), flush=True)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _shown(url: str) -> str:
    """An address without the passwords and keys that it may hold."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])


def _follow(url: str, part: Path, limit: int) -> _Transfer:
    """Let a thread transfer, say how far it is, and leave it when it brings too little."""
    transfer = _Transfer()
    thread = threading.Thread(target=_transfer, args=(transfer, url, part, limit), daemon=True)
    begin, begun = _length(part), time.monotonic()
    thread.start()
    checked, received = begun, 0
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    said = begun
    while thread.is_alive():
        thread.join(0.5)
        now = time.monotonic()
        if now - said >= (1 if is_terminal else 30):
            said, speed = now, transfer.received / (now - begun)
            left = f", {duration((limit - begin - transfer.received) / speed)} left" if speed else ""
            line = f"{size(begin + transfer.received)} of {size(limit)}, {speed / 1000:.0f} kB/s{left}"
            print(line, end="  \r" if is_terminal else "\n", flush=True)
        if now - checked >= PATIENCE_SECONDS and thread.is_alive():
            if transfer.received - received < LEAST_SPEED * PATIENCE_SECONDS:
                with transfer.writing:
                    transfer.is_abandoned = True
                transfer.problem = f"sent {transfer.received - received:,} bytes in {PATIENCE_SECONDS} s, and was left"
                break
            checked, received = now, transfer.received
    if transfer.failure:
        raise transfer.failure
    return transfer


def _transfer(transfer: _Transfer, url: str, part: Path, limit: int) -> None:
    """The thread's part: ask for what is missing, and write it where it belongs."""
    # Only a download needs it, and every command would wait for it.
    import requests

    begin = _length(part)
    # Encoded, a few bytes could stand for very many; nothing below decodes any.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={begin}-"} if begin else {})}
    problem, is_final = f"more than {MOST_REDIRECTS} redirects", True
    try:
        session = requests.Session()
        # requests reads the whole body of every redirect that it sees, decoded and however long.
        session.get_redirect_target = lambda response: None  # type: ignore[assignment, method-assign]
        for _ in range(MOST_REDIRECTS):
            with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
                transfer.was_answered = True
                if response.is_redirect:
                    url = urljoin(url, response.headers["Location"])
                    continue
                problem, is_final = _receive(transfer, response, part, begin, limit)
                break
    except Exception as error:  # requests, urllib3, http.client and ssl each have their own
        problem = f"{'broke off' if transfer.was_answered else 'no answer'}: {_cause(error)}"
        # Their words for an address that is none.
        is_final = isinstance(error, ValueError)
    with transfer.writing:
        if not transfer.is_abandoned:
            transfer.problem, transfer.is_final = problem, is_final


def _receive(transfer: _Transfer, response: "Response", part: Path, begin: int, limit: int) -> tuple[str, bool]:
    """Check what a server says that it sends, and write what it does send.

    Args:
        response: of requests, its body not read yet.

    Returns:
        what went wrong, "" if nothing, and whether it would again.
    """
    status, found = response.status_code, response.headers
    if status not in (200, 206):
        return f"HTTP {status} {response.reason}"[:100], status < 500 and status not in (408, 425, 429)
    if status == 206 and not found.get("Content-Range", "").startswith(f"bytes {begin}-"):
        # Without what is there, the next request asks for the whole, which this server may know how to send.
        part.unlink(missing_ok=True)
        return f"asked for bytes {begin}-, and sends {found.get('Content-Range', '')[:100] or 'others'}", False
    begin = begin if status == 206 else 0
    length = found.get("Content-Length")
    promised = begin + int(length) if length else limit
    if promised > limit:
        return f"sends {promised:,} bytes, and the archive has {limit:,}", True
    try:
        part.touch()
        file = part.open("r+b", buffering=0)
    except OSError as error:
        transfer.failure = error
        return "", True
    with file:
        end = _write(transfer, response.raw, file, begin, limit)
        if end > limit:
            return f"sends more than the {limit:,} bytes that the archive has", True
        if end < promised:
            return f"broke off after {end:,} bytes", False
    return "", False


def _write(transfer: _Transfer, stream: "HTTPResponse", file: BinaryIO, begin: int, limit: int) -> int:
    """Write a stream from `begin` on, over earlier bytes if there are any, and return where it ended.

    What goes beyond `limit` makes all that this stream has brought worthless, and it is cut off.
    """
    end = begin
    file.seek(begin)
    while not transfer.is_abandoned and (block := stream.read(BLOCK, decode_content=False)):
        with transfer.writing:
            if transfer.is_abandoned:
                break
            end += len(block)
            try:
                if end > limit:
                    file.truncate(begin)
                    break
                # A disk that is nearly full takes a part, and says so at the next write.
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                transfer.failure = error
                break
            transfer.received += len(block)
    return end


def _cause(error: BaseException) -> str:
    """The innermost reason: what the system or the server said, without the layers that handed it on."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return first_line(error)
