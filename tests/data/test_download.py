"""Downloads from a real HTTP server on the loopback interface."""

import hashlib
import http.server
import subprocess
import sys
import threading

import pytest

from reproduce.data import download
from reproduce.errors import BadInput, Failure
from tests.helpers.processes import child_environment, drawn, run_python

CONTENT = bytes(range(256)) * 2000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    breaks = 0
    status = 200
    content = CONTENT

    stalls = 0

    def do_GET(self):
        server = type(self)
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(server.content)))
        self.end_headers()
        if server.stalls:
            server.stalls -= 1
            self.wfile.write(server.content[: len(server.content) // 2])
            self.wfile.flush()
            server.is_halfway.set()
            server.may_end.wait(30)
        elif server.breaks:
            server.breaks -= 1
            self.wfile.write(server.content[: len(server.content) // 2])
        elif server.status == 200:
            self.wfile.write(server.content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    handler = type("FreshHandler", (Handler,), {"is_halfway": threading.Event(), "may_end": threading.Event()})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("CIFAR10_URL", f"http://127.0.0.1:{running.server_port}/{download.ARCHIVE}")
    yield handler
    handler.may_end.set()
    running.shutdown()
    running.server_close()


def test_the_archive_arrives_whole(server, tmp_path):
    path = download.fetch_archive(tmp_path, md5=MD5)
    assert path.read_bytes() == CONTENT
    assert [found.name for found in tmp_path.iterdir()] == [download.ARCHIVE]


def test_a_broken_download_begins_again(server, tmp_path):
    server.breaks = 1
    assert download.fetch_archive(tmp_path, md5=MD5).read_bytes() == CONTENT
    assert server.breaks == 0


def test_an_archive_that_is_there_is_not_fetched_again(server, tmp_path):
    download.fetch_archive(tmp_path, md5=MD5)
    server.status = 500
    assert download.fetch_archive(tmp_path, md5=MD5).read_bytes() == CONTENT


def test_what_a_killed_download_left_is_removed(server, tmp_path):
    (tmp_path / "tmpabc123").write_bytes(CONTENT[:1000])
    download.fetch_archive(tmp_path, md5=MD5)
    assert [found.name for found in tmp_path.iterdir()] == [download.ARCHIVE]


def test_a_download_killed_halfway_begins_again_and_leaves_nothing(server, tmp_path):
    imports = "from pathlib import Path; from reproduce.data.download import fetch_archive"
    fetch = f"{imports}; fetch_archive(Path('d'), {MD5!r})"
    server.stalls = 1
    process = subprocess.Popen([sys.executable, "-c", fetch], cwd=tmp_path, env=child_environment())
    assert server.is_halfway.wait(60)
    process.kill()
    process.wait()
    assert not (tmp_path / "d" / download.ARCHIVE).exists()
    assert run_python("-c", fetch, cwd=tmp_path).returncode == 0
    assert (tmp_path / "d" / download.ARCHIVE).read_bytes() == CONTENT
    assert [found.name for found in (tmp_path / "d").iterdir()] == [download.ARCHIVE]


def test_another_sum_is_refused_and_leaves_nothing(server, tmp_path):
    with pytest.raises(BadInput, match="MD5|hash"):
        download.fetch_archive(tmp_path, md5="0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_refuses_is_a_failure(server, tmp_path):
    server.status = 404
    with pytest.raises(Failure, match="cannot be fetched"):
        download.fetch_archive(tmp_path, md5=MD5)


def test_nobody_listening_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR10_URL", "http://127.0.0.1:9/nothing")
    with pytest.raises(Failure, match="cannot be fetched"):
        download.fetch_archive(tmp_path, md5=MD5)


NOWHERE = {"CIFAR10_URL": "http://127.0.0.1:9/nothing"}


def test_without_data_the_smoke_profile_goes_on_with_synthetic_images_and_says_so(tmp_path):
    done = run_python(
        "-m", "figures.pooling_and_optimizers", "6", "--profile=smoke", "--seeds=1", "--epochs=2",
        cwd=tmp_path, **NOWHERE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC DATA, NOT CIFAR-10" in done.stderr
    assert "SYNTHETIC DATA" in (drawn(tmp_path / "results") / "figure-6.svg").read_text()
    rows = (drawn(tmp_path / "results") / "figure-6.csv").read_text().splitlines()
    assert rows[0] == "panel,series,quantity,epoch,seed,value"
    assert all("synthetic data" in row for row in rows[1:])
    table_rows = [line for line in done.stdout.splitlines() if line.startswith(("average", "max")) and ":" not in line]
    assert len(table_rows) == 6
    assert all("synthetic" in row for row in table_rows)


def test_without_data_the_full_profile_stops(tmp_path):
    done = run_python("-m", "figures.pooling_and_optimizers", "6", "--profile=full", cwd=tmp_path, **NOWHERE)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "CIFAR-10 is needed here, and cannot be had" in done.stderr


def test_the_data_command_fails_with_one_line(tmp_path):
    done = run_python("-m", "reproduce", "data", cwd=tmp_path, **NOWHERE)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
