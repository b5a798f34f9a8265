"""Two hosts, as far as one machine can have them: network namespaces that a pair of virtual cables joins."""

import contextlib
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from tests.helpers.clusters import begin, dask, histories, when

FIRST, SECOND = "10.77.0.1", "10.77.0.2"
SCHEDULER = f"tcp://{FIRST}:8786"


@contextlib.contextmanager
def host(name):
    """A namespace with a host name of its own, which is gone with its last process; what enters it."""
    holder = subprocess.Popen(
        [
            "unshare",
            "--net",
            "--uts",
            "sh",
            "-c",
            f"hostname {name} && ip link set lo up && echo up && exec sleep 1000",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        if holder.stdout.readline() != "up\n":
            pytest.skip("a network namespace cannot be made here; root can, where the system allows it")
        yield SimpleNamespace(process=holder.pid, enter=["nsenter", "-t", str(holder.pid), "--net", "--uts"])
    finally:
        holder.kill()
        holder.communicate()


@pytest.fixture
def hosts():
    if missing := [name for name in ("unshare", "nsenter", "ip", "hostname") if not shutil.which(name)]:
        pytest.skip(f"no {missing[0]}, which namespaces are made with")
    with host("first") as first, host("second") as second:

        def ip(place, *arguments):
            subprocess.run([*place.enter, "ip", *arguments], check=True)

        ip(first, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(second.process))
        for place, address in ((first, FIRST), (second, SECOND)):
            ip(place, "address", "add", f"{address}/24", "dev", "cable")
            ip(place, "link", "set", "cable", "up")
        yield first, second, lambda: ip(first, "link", "set", "cable", "down")


@contextlib.contextmanager
def workers_on(first, second, log):
    """A scheduler and a worker on the first host, a worker on the second, begun as docs/cluster.md says."""
    options = ("--nthreads=1", "--nworkers=1", "--memory-limit=0", "--dashboard-address=127.0.0.1:0")
    page = "--dashboard-address=127.0.0.1:8787"
    with (
        dask("scheduler", f"--host={FIRST}", "--port=8786", page, log=log, before=first.enter),
        dask("worker", SCHEDULER, f"--host={FIRST}", *options, log=log, before=first.enter),
        dask("worker", SCHEDULER, f"--host={SECOND}", *options, log=log, before=second.enter),
    ):
        when(lambda: log.read_text().count("Registered to") == 2)
        yield


def places(folder):
    """The host that each run was trained on last, by the run's key."""
    return {run.name: (run / ".holder").read_text().split()[-1] for run in (folder / "results/runs").iterdir()}


def test_two_hosts_give_the_same_numbers_as_one_process(hosts, tmp_path, in_one_process):
    first, second, _ = hosts
    with workers_on(first, second, tmp_path / "log"):
        command = begin(tmp_path, f"--scheduler={SCHEDULER}", before=second.enter)
        _, err = command.communicate(timeout=120)
    assert command.returncode == 0, err
    assert histories(tmp_path) == histories(in_one_process)
    assert set(places(tmp_path).values()) == {"first", "second"}


@pytest.mark.slow
def test_a_sweep_outlives_a_cable_that_is_pulled(hosts, tmp_path, in_one_process):
    """Nobody is told: packets are lost, and no connection is closed."""
    first, second, pull = hosts
    runs = tmp_path / "results/runs"
    with workers_on(first, second, tmp_path / "log"):
        command = begin(tmp_path, f"--scheduler={SCHEDULER}", "--epochs=100", before=first.enter)
        when(lambda: len(list(runs.glob("*/history.csv"))) == 2 if runs.exists() else False)
        cut_off = next(key for key, place in places(tmp_path).items() if place == "second")
        pull()
        out, err = command.communicate(timeout=400)
    assert command.returncode == 0, err
    assert "goes on with it" in out
    assert {len(history) for history in histories(tmp_path).values()} == {100}
    assert {key: history[:2] for key, history in histories(tmp_path).items()} == histories(in_one_process)
    assert places(tmp_path)[cut_off] == "first"
