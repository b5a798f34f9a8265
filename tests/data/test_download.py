"""Downloads from real HTTP servers on the loopback interface, most of which misbehave."""

import functools
import gzip
import hashlib
import http.server
import os
import re
import resource
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import dataclass, field, replace

import pytest
from filelock import FileLock
from urllib3.connectionpool import HTTPConnectionPool

from reproduce.data import archives, dataset, download
from reproduce.errors import BadInput, Failure
from tests.data.test_archives import batches, copied, python_folder, sums_of  # noqa: F401 (fixtures)
from tests.helpers.processes import child_environment, drawn, run_python

# Larger than what the system's buffers between a server and its client hold, so that a server can stop in the middle.
CONTENT = os.urandom(4_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


@dataclass
class Server:
    """What one server does, and what it was asked."""

    content: bytes = CONTENT
    status: int = 200
    reason: str = "Because"
    breaks_after: list[int] = field(default_factory=list)  # of each request in turn: bytes that it gets
    knows_ranges: bool = True
    says_length: bool = True
    shows_range: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    drips: bool = False
    may_end: threading.Event = field(default_factory=threading.Event)
    body_of_refusal: bytes = b""
    was_left: threading.Event = field(default_factory=threading.Event)  # by somebody who had not read all
    asked: list[str | None] = field(default_factory=list)
    encodings: set[str | None] = field(default_factory=set)  # that it was told are welcome
    url: str = ""

    def answer(self, request):
        asked = request.headers.get("Range")
        self.asked.append(asked)
        self.encodings.add(request.headers.get("Accept-Encoding"))
        begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.knows_ranges else 0
        status = 206 if begin and self.status == 200 else self.status
        request.send_response(status, self.reason)
        body = self.content[begin:] if status in (200, 206) else self.body_of_refusal
        if status == 206 and self.shows_range:
            request.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        if self.says_length:
            request.send_header("Content-Length", str(len(body)))
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.end_headers()
        if self.breaks_after:
            body = body[: self.breaks_after.pop(0)]
        if not self.drips:
            request.wfile.write(body)
            return
        request.wfile.write(body[:HALF])
        while not self.may_end.wait(0.05):
            request.wfile.write(b"x")


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Starts servers; CIFAR10_URL names all of them, in turn. Nothing else is waited for than what a server does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    running = []

    def start(**behaviour):
        server = Server(**behaviour)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                try:
                    server.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    server.was_left.set()

            def log_message(self, *arguments):
                pass

        listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{listening.server_port}/{download.ARCHIVE}"
        running.append((server, listening))
        monkeypatch.setenv("CIFAR10_URL", " ".join(server.url for server, _ in running))
        return server

    yield start
    for server, listening in running:
        server.may_end.set()
        listening.shutdown()
        listening.server_close()


def fetch(folder, md5=MD5):
    return download.fetch_archive(folder, md5, len(CONTENT))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_archive_arrives_whole(serve, tmp_path):
    server = serve()
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert names_in(tmp_path / "d") == [download.ARCHIVE]
    assert server.asked == [None]
    assert server.encodings == {"identity"}


def test_a_broken_download_goes_on_where_it_broke_off(serve, tmp_path):
    server = serve(breaks_after=[HALF, HALF // 2])
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"]


def test_a_server_without_ranges_begins_again_and_loses_nothing_of_what_is_there(serve, tmp_path):
    server = serve(breaks_after=[HALF, 1000], knows_ranges=False)
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={HALF}-", f"bytes={HALF}-"]


@pytest.mark.parametrize(("breaks_after", "arrives"), [([HALF, 0], True), ([HALF, 0] * 20, False)])
def test_a_server_that_sends_other_ranges_is_asked_for_the_whole_and_not_for_ever(
    serve, tmp_path, breaks_after, arrives
):
    server = serve(breaks_after=breaks_after, headers={"Content-Range": "bytes 0-5/6"}, shows_range=False)
    if arrives:
        assert fetch(tmp_path / "d").read_bytes() == CONTENT
        assert server.asked == [None, f"bytes={HALF}-", None]
    else:
        with pytest.raises(Failure, match="asked for bytes 2000000-, and sends bytes 0-5/6|broke off"):
            fetch(tmp_path / "d")
        assert len(server.asked) < 10


def test_without_a_length_an_early_end_is_noticed(serve, tmp_path):
    server = serve(breaks_after=[HALF], says_length=False)
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={HALF}-"]


def test_an_early_end_is_noticed_where_urllib3_does_not_compare_lengths(serve, tmp_path, monkeypatch):
    """As before its version 2."""
    careless = functools.partialmethod(HTTPConnectionPool.urlopen, enforce_content_length=False)
    monkeypatch.setattr(HTTPConnectionPool, "urlopen", careless)
    server = serve(breaks_after=[HALF])
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={HALF}-"]


def test_a_download_that_has_failed_goes_on_with_the_next_command(serve, tmp_path):
    server = serve(breaks_after=[HALF, 0, 0, 0, 0])
    with pytest.raises(Failure, match=r"broke off.*; 2.0 MB are kept, and the same command goes on from there"):
        fetch(tmp_path / "d")
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={HALF}-"


def test_tries_that_bring_nothing_are_counted_and_those_that_bring_much_are_not(serve, tmp_path):
    server = serve(breaks_after=[1_000_000, 0, 0, 1_000_000, 0, 0, 0])
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert len(server.asked) == 8


def test_a_spoilt_part_is_thrown_away_and_the_whole_is_fetched(serve, tmp_path):
    server = serve()
    (tmp_path / f"{download.ARCHIVE}.part").write_bytes(b"x" * 1000)
    assert fetch(tmp_path).read_bytes() == CONTENT
    (tmp_path / f"{download.ARCHIVE}.part").write_bytes(b"x" * len(CONTENT))
    (tmp_path / download.ARCHIVE).write_bytes(b"spoilt")
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None, None]


def test_an_archive_that_is_there_is_not_fetched_again(serve, tmp_path):
    server = serve()
    (tmp_path / download.ARCHIVE).write_bytes(CONTENT)
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_a_download_killed_halfway_goes_on_and_leaves_nothing_else(serve, tmp_path):
    imports = "from pathlib import Path; from reproduce.data.download import fetch_archive"
    code = f"{imports}; fetch_archive(Path('d'), {MD5!r}, {len(CONTENT)})"
    server = serve(drips=True)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=child_environment())
    part = tmp_path / "d" / f"{download.ARCHIVE}.part"
    while not (part.exists() and part.stat().st_size >= HALF // 2):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    server.drips = False
    # What drips are not part of the archive.
    kept = min(part.stat().st_size, HALF)
    os.truncate(part, kept)
    assert run_python("-c", code, cwd=tmp_path).returncode == 0
    assert server.asked[-1] == f"bytes={kept}-"
    assert (tmp_path / "d" / download.ARCHIVE).read_bytes() == CONTENT
    assert names_in(tmp_path / "d") == [download.ARCHIVE]


def test_a_server_that_drips_is_left_for_the_next_one(serve, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "PATIENCE_SECONDS", 1)
    dripping, good = serve(drips=True, says_length=False), serve()
    dripping.content = CONTENT[:HALF] + CONTENT[HALF:]
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert "bytes in 1 s, and was left" in capsys.readouterr().out
    assert len(good.asked) >= 1
    # What it sends after that is written nowhere.
    dripping.may_end.set()
    for thread in threading.enumerate():
        if "_transfer" in thread.name:
            thread.join(30)
    assert (tmp_path / "d" / download.ARCHIVE).read_bytes() == CONTENT


def test_servers_that_only_drip_end_the_download(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE_SECONDS", 1)
    serve(drips=True, content=b"x" * 10, says_length=False)
    with pytest.raises(Failure, match="bytes in 1 s, and was left"):
        fetch(tmp_path / "d")


@pytest.mark.parametrize(
    ("says_length", "message"), [(True, "sends 20,000,000 bytes"), (False, "sends more than the 4,000,000 bytes")]
)
def test_no_more_is_written_than_the_archive_has(serve, tmp_path, says_length, message):
    server = serve(content=CONTENT * 5, says_length=says_length)
    with pytest.raises(Failure, match=message):
        fetch(tmp_path / "d")
    # A stream that goes beyond the archive's end is none of it.
    assert sum(path.stat().st_size for path in (tmp_path / "d").iterdir()) == 0
    assert len(server.asked) == 1


def test_what_is_encoded_is_not_decoded(serve, tmp_path):
    """A million bytes may stand for a thousand times as many."""
    serve(content=gzip.compress(bytes(10**8)), headers={"Content-Encoding": "gzip"})
    with pytest.raises(BadInput, match="expected the MD5 sum"):
        fetch(tmp_path / "d")
    assert names_in(tmp_path / "d") == []


def test_redirects_are_followed_and_end(serve, tmp_path):
    good = serve()
    serve(status=302, headers={"Location": good.url})
    os.environ["CIFAR10_URL"] = os.environ["CIFAR10_URL"].split()[1]
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    circle = serve(status=302, headers={"Location": f"/{download.ARCHIVE}"})
    os.environ["CIFAR10_URL"] = circle.url
    with pytest.raises(Failure, match="more than 10 redirects"):
        fetch(tmp_path / "e")
    assert len(circle.asked) == 10


def test_the_body_of_a_redirect_is_not_read(serve, tmp_path):
    """It may have no end; this one is larger than what the system's buffers hold."""
    good = serve()
    redirect = serve(status=302, headers={"Location": good.url})
    redirect.body_of_refusal = bytes(50_000_000)
    os.environ["CIFAR10_URL"] = redirect.url
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert redirect.was_left.wait(30)


def test_another_sum_is_refused_and_leaves_nothing(serve, tmp_path):
    server = serve()
    with pytest.raises(BadInput, match=f"expected the MD5 sum {'0' * 32}; found {MD5}"):
        fetch(tmp_path / "d", md5="0" * 32)
    assert names_in(tmp_path / "d") == []
    assert len(server.asked) == 1


def test_the_next_server_is_tried_where_one_has_not_got_it(serve, tmp_path, capsys):
    without, other, good = serve(status=404), serve(content=bytes(len(CONTENT))), serve()
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    said = capsys.readouterr().out
    assert f"{without.url}: HTTP 404 Because" in said
    assert f"{other.url}: expected the MD5 sum" in said
    assert [len(server.asked) for server in (without, other, good)] == [1, 1, 1]


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, 4), (429, 4)])
def test_the_status_is_said_and_what_may_pass_is_tried_again(serve, tmp_path, status, tries):
    server = serve(status=status, reason="\x1b[31mNo\nmore")
    server.reason = "\x1b[31mNo"
    with pytest.raises(Failure, match=rf"{server.url}: HTTP {status} .*DATA=FILE .*CIFAR10_URL"):
        fetch(tmp_path / "d")
    assert len(server.asked) == tries


def test_what_a_server_says_does_not_steer_the_terminal(serve, tmp_path, capsys):
    serve(status=404, reason="\x1b[31mNo")
    with pytest.raises(Failure):
        fetch(tmp_path / "d")
    assert "\x1b" not in capsys.readouterr().out


def test_passwords_in_an_address_are_not_shown(serve, tmp_path, monkeypatch, capsys):
    server = serve(status=404)
    monkeypatch.setenv("CIFAR10_URL", server.url.replace("//", "//user:secret@") + "?key=secret")
    with pytest.raises(Failure) as caught:
        fetch(tmp_path / "d")
    assert "secret" not in capsys.readouterr().out + str(caught.value)
    assert server.asked == [None]


def test_nobody_listening_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR10_URL", "http://127.0.0.1:9/nothing")
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    with pytest.raises(Failure, match=r"no answer: (\[Errno \d+\] )?Connection refused"):
        fetch(tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "no address", "http://", "http://[1", "ftp://127.0.0.1/x"])
def test_what_is_no_address_is_a_failure_at_once(tmp_path, monkeypatch, url, capsys):
    monkeypatch.setenv("CIFAR10_URL", url)
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    with pytest.raises(Failure):
        fetch(tmp_path)
    assert capsys.readouterr().out.count("fetching ") == len(url.split())


def test_a_folder_that_cannot_be_written_to_is_said_by_the_system(serve, tmp_path):
    serve()
    (tmp_path / f"{download.ARCHIVE}.part").mkdir()
    with pytest.raises(OSError, match="directory"):
        fetch(tmp_path)


def test_a_full_disk_ends_the_download_and_keeps_what_is_there(serve, tmp_path):
    """A limit on the size of files stands for it; the last block is written in part, which is no error yet."""
    server, space = serve(), len(CONTENT) - 100
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (space, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fetch(tmp_path / "d")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fetch(tmp_path / "d").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={space}-"]


def test_a_second_command_says_what_it_waits_for(tmp_path):
    code = "from pathlib import Path; from reproduce.data.dataset import prepare; prepare(Path('data/CIFAR10.hdf5'))"
    (tmp_path / "data").mkdir()
    with FileLock(tmp_path / "data" / ".CIFAR10.hdf5.lock"):
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=child_environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "waiting for another command, which prepares data/CIFAR10.hdf5\n"
        (tmp_path / "data" / "CIFAR10.hdf5").touch()
    assert process.wait(60) == 0


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder, and an empty folder to work in, without a server to fetch anything from."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CIFAR10_URL", "http://127.0.0.1:9/nothing")
    monkeypatch.setattr(download, "PAUSES", ())
    monkeypatch.setattr(download, "PAUSES_WITHOUT_ANSWER", 0)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.delenv("CHAINER_DATASET_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FOLDERS = ["data", ".keras/datasets", ".keras/datasets/cifar-10-batches-py-target"]


def test_a_copy_of_another_program_is_taken_in_place_of_a_download(home, python_folder, capsys):  # noqa: F811
    (home / "data").mkdir()
    copied(python_folder, home / "data" / "cifar-10-batches-py")
    theirs = [home / "out" / name for name in (f"download/{download.ARCHIVE}", ".lock")]
    theirs[0].parent.mkdir(parents=True)
    for file in theirs:
        file.write_text("the user's")
    dataset.prepare(home / "out" / "CIFAR10.hdf5", sums_of(python_folder))
    assert [file.read_text() for file in theirs] == ["the user's"] * 2
    assert len(dataset.read(home / "out" / "CIFAR10.hdf5").y_train) == 50_000
    assert "taking CIFAR-10 from data/cifar-10-batches-py, whose sums hold" in capsys.readouterr().out


@pytest.mark.parametrize("where", FOLDERS)
def test_an_unpacked_copy_is_found_and_one_with_another_sum_is_not_taken(home, python_folder, where, capsys):  # noqa: F811
    copy = home / where / "cifar-10-batches-py"
    copy.parent.mkdir(parents=True)
    copied(python_folder, copy)
    assert len(dataset.find_copy(sums_of(python_folder))[1]) == 50_000
    (copy / "data_batch_4").unlink()
    (copy / "data_batch_4").write_bytes(b"spoilt")
    capsys.readouterr()
    assert dataset.find_copy(sums_of(python_folder)) is None
    assert re.search(r"not taken: .*cifar-10-batches-py, data_batch_4: expected the official", capsys.readouterr().out)


# Chainer's name for a download is the sum of its address.
ARCHIVES = [
    "data/cifar-10-python.tar.gz",
    ".keras/datasets/cifar-10-batches-py-target_archive",
    ".keras/datasets/cifar-10-batches-py.tar.gz",
    ".chainer/dataset/_dl_cache/" + hashlib.md5(b"https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz").hexdigest(),
]


def test_packed_copies_of_other_programs_are_looked_for_and_taken(home, python_folder, capsys):  # noqa: F811
    assert {path.absolute() for path in download.copies()} >= {home / name for name in ARCHIVES}
    packed = home / ARCHIVES[-1]
    packed.parent.mkdir(parents=True)
    with tarfile.open(packed, "w:gz", compresslevel=1) as archive:
        archive.add(python_folder, arcname="cifar-10-batches-py")
    sums = replace(sums_of(python_folder), python=archives.md5_of(packed))
    assert len(dataset.find_copy(sums)[1]) == 50_000
    assert f"{ARCHIVES[-1]}, whose sums hold" in capsys.readouterr().out


NOWHERE = {"CIFAR10_URL": "http://127.0.0.1:9/nothing", "HOME": "/nonexistent"}


def assert_says_that_it_is_synthetic(said):
    """In the first line after those of the failing download, and in the last line."""
    lines = [line for line in said.splitlines() if not line.startswith(("fetching", "waiting", "http://"))]
    for line in (lines[0], lines[-1]):
        assert "SYNTHETIC DATA, NOT CIFAR-10" in line
        assert "DATA=FILE" in line
        assert "make data" in line


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "reproduce", "train", "--data=synthetic", "--train-size=20", "--test-size=10", "--width=0.02"),
        ("-m", "reproduce", "train", "--data=synthetic", "--profile=smoke", "--blocks=1x64"),
    ],
)
def test_a_command_asked_for_synthetic_data_says_so_first_and_last(tmp_path, command):
    done = run_python(*command, "--epochs=1", "--out=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_says_that_it_is_synthetic(done.stdout)


def test_without_data_the_smoke_profile_goes_on_with_synthetic_images_and_says_so(tmp_path):
    done = run_python(
        "-m", "figures.pooling_and_optimizers", "6", "--profile=smoke", "--seeds=1", "--epochs=2",
        cwd=tmp_path, **NOWHERE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CIFAR-10 cannot be had: http://127.0.0.1:9/nothing: no answer: " in done.stderr
    assert_says_that_it_is_synthetic(done.stdout)
    assert "SYNTHETIC DATA" in (drawn(tmp_path / "results") / "figure-6.svg").read_text()
    rows = (drawn(tmp_path / "results") / "figure-6.csv").read_text().splitlines()
    assert rows[0] == "panel,series,quantity,epoch,seed,value"
    assert all("synthetic data" in row for row in rows[1:])
    table_rows = [line for line in done.stdout.splitlines() if line.startswith(("average", "max")) and ":" not in line]
    assert len(table_rows) == 6
    title = next(line for line in done.stdout.splitlines() if line.startswith("Figure 6."))
    assert title.endswith("synthetic images (not CIFAR-10)")


def test_without_data_the_full_profile_stops(tmp_path):
    done = run_python("-m", "figures.pooling_and_optimizers", "6", "--profile=full", cwd=tmp_path, **NOWHERE)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "CIFAR-10 is needed here, and cannot be had" in done.stderr


def test_the_data_command_fails_with_one_line(tmp_path):
    done = run_python("-m", "reproduce", "data", cwd=tmp_path, **NOWHERE)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
