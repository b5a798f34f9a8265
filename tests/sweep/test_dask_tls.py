"""TLS as docs/cluster.md sets it up: its commands and its settings, with real certificates."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.clusters import begin, dask, figure_2, free_port, histories, listening, session_of, when
from tests.helpers.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")]


def make_certificates(folder):
    """Do what the page says with another folder than /shared/keys; the folder for DASK_CONFIG."""
    section = (ROOT / "docs/cluster.md").read_text().split("\n## TLS\n")[1].split("\n## ")[0]
    commands, settings = (
        re.sub("^    ", "", block, flags=re.MULTILINE).replace("/shared/keys", str(folder / "keys"))
        for block in re.findall(r"(?:^    .*\n)+", section, flags=re.MULTILINE)
    )
    subprocess.run(["sh", "-ec", commands], check=True, capture_output=True)
    (folder / "dask").mkdir()
    (folder / "dask/security.yaml").write_text(settings)
    return str(folder / "dask")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


def speaks_tls(address, folder):
    """Whether a server has a certificate by the authority in a folder."""
    context = ssl.create_default_context(cafile=f"{folder}/../keys/ca.pem")
    context.check_hostname = False
    try:
        with socket.create_connection(address, 10) as plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False


def has_no_page(address):
    """Whether a server speaks HTTP, and has nothing to say."""
    try:
        urllib.request.urlopen(f"http://{address[0]}:{address[1]}/info/main/workers.html", timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code == 404
    except (OSError, ValueError):
        return False
    return False


def test_a_sweep_on_a_cluster_with_tls_lets_in_nobody_else(tmp_path, settings, in_one_process):
    port, log = free_port(), tmp_path / "log"
    address = f"tls://127.0.0.1:{port}"
    pages = "--dashboard-address=127.0.0.1:0"
    worker = ("--nthreads=1", "--nworkers=2", "--host=127.0.0.1", "--memory-limit=0", pages)
    with (
        dask("scheduler", "--host=127.0.0.1", f"--port={port}", "--protocol=tls", pages, log=log, DASK_CONFIG=settings),
        dask("worker", address, *worker, log=log, DASK_CONFIG=settings),
    ):
        when(lambda: log.read_text().count("Registered to") == 2)
        done = figure_2(tmp_path, f"--scheduler={address}", DASK_CONFIG=settings)
        assert done.returncode == 0, done.stderr
        assert histories(tmp_path) == histories(in_one_process)
        (tmp_path / "stranger").mkdir()
        foreign = make_certificates(tmp_path / "stranger")
        none = str(tmp_path / "nothing")
        for scheduler, config, reason in (
            (address, none, "Dask's settings name no certificate"),
            (address, foreign, "are the certificates of the same authority?"),
            (f"tcp://127.0.0.1:{port}", none, "is TLS at both ends"),
            (f"tcp://127.0.0.1:{port}", settings, "encryption required"),
        ):
            begun = time.monotonic()
            refused = figure_2(tmp_path, f"--scheduler={scheduler}", DASK_CONFIG=config)
            assert time.monotonic() - begun < 10
            assert refused.returncode == 2
            assert reason in refused.stderr
            assert refused.stderr.count("\n") == 1


def test_a_plain_scheduler_is_told_from_one_with_tls(tmp_path, settings):
    port, log = free_port(), tmp_path / "log"
    with dask("scheduler", "--host=127.0.0.1", f"--port={port}", "--dashboard-address=127.0.0.1:0", log=log):
        when(lambda: "Scheduler at" in log.read_text())
        refused = figure_2(tmp_path, f"--scheduler=tls://127.0.0.1:{port}", DASK_CONFIG=settings)
    assert refused.returncode == 2
    assert "is TLS at both ends" in refused.stderr


def test_processes_of_this_machine_talk_in_tls_where_the_settings_require_it(tmp_path, settings, in_one_process):
    command = begin(tmp_path, "--jobs=2", "--epochs=60", DASK_CONFIG=settings)
    runs = tmp_path / "results/runs"
    when(lambda: len(list(runs.glob("*/history.csv"))) == 2 if runs.exists() else False)
    addresses = listening(session_of(command.pid))
    # An HTTP server would wait long for more of what TLS begins with.
    others = [address for address in addresses if not has_no_page(address)]
    in_tls = [speaks_tls(address, settings) for address in others]
    command.send_signal(signal.SIGTERM)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGTERM, err
    # The scheduler, and each worker with its nanny.
    assert in_tls == [True] * 5
    for key, history in histories(tmp_path).items():
        assert history[:2] == histories(in_one_process)[key][: len(history)]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("keys/cert.pem", "keys/lost.pem", "No such file"),
        ("keys/key.pem", "keys/ca-key.pem", "mismatch"),
        ("ca-file", "no-file", "not all are set"),
    ],
)
def test_certificates_that_cannot_be_used_are_refused(tmp_path, settings, old, new, reason):
    text = Path(settings, "security.yaml").read_text()
    (tmp_path / "security.yaml").write_text(text.replace(old, new))
    done = figure_2(tmp_path, "--jobs=2", DASK_CONFIG=str(tmp_path))
    assert done.returncode == 2
    assert "Dask's settings require encryption: expected distributed.comm.tls.ca-file and .scheduler" in done.stderr
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
