"""Doors that must be shut, workers with other code, and processes that stand still, each on a real cluster."""

import asyncio
import contextlib
import gc
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import distributed
import pytest
from dask import config
from distributed import Client, Scheduler, Security, SpecCluster, Worker, rpc

from reproduce.data.dataset import synthetic
from reproduce.errors import BadInput, Failure
from reproduce.plan.plan import make_plan
from reproduce.profiles import Options
from reproduce.store.code_version import SOURCES, code_version, differences
from reproduce.study import Study
from reproduce.sweep import dask_cluster, dask_sweep, dask_worker
from reproduce.sweep.progress import Board
from reproduce.sweep.task import DONE, FAILED
from reproduce.sweep.train_missing import train_missing
from tests.helpers import clusters
from tests.helpers.clusters import (
    begin,
    dask,
    figure_2,
    free_port,
    histories,
    holder_of,
    job,
    session_of,
    tasks_of,
    when,
)
from tests.helpers.processes import ROOT, child_environment, run_python

IMAGES = synthetic(*clusters.SIZES)


@pytest.fixture(scope="module")
def client():
    with dask_cluster.local(1) as client:
        yield client


def answer(address, security):
    """What a server of Dask's says of itself, or the error that connecting ends with."""

    async def ask():
        async with rpc(address, connection_args=security.get_connection_args("client")) as server:
            return (await server.identity())["type"]

    try:
        return asyncio.run(asyncio.wait_for(ask(), 5))
    except Exception as error:
        return error


def test_only_the_command_itself_gets_into_its_cluster(client):
    """Scheduler, worker and nanny, asked in the clear, without a certificate, and with somebody else's."""
    with config.set({"distributed.comm.timeouts.connect": "2s"}):
        ((address, worker),) = client.scheduler_info()["workers"].items()
        servers = {"Scheduler": client.scheduler.address, "Worker": address, "Nanny": worker["nanny"]}
        for kind, address in servers.items():
            assert address.startswith("tls://127.0.0.1:")
            assert answer(address, client.security) == kind
            assert isinstance(answer(address, Security.temporary()), Exception)
            plain = address.replace("tls", "tcp", 1)
            assert isinstance(answer(plain, Security()), Exception)
            with pytest.raises(OSError), Client(plain, timeout=2, set_as_default=False) as stranger:
                stranger.run(os.getpid)


def test_no_key_is_seen_from_outside(client):
    """What other accounts can read: the arguments of a process, and files that are not for its owner alone."""
    pid = client.run(os.getpid).popitem()[1]
    for process in (pid, os.getpid()):
        assert b"PRIVATE KEY" not in Path(f"/proc/{process}/cmdline").read_bytes()
    assert Path(config.get("temporary-directory")).stat().st_mode & 0o077 == 0


def test_settings_may_say_that_nothing_is_to_be_encrypted():
    with config.set({"distributed.comm.require-encryption": False}), dask_cluster.local(1) as client:
        assert client.scheduler.address.startswith("tcp://")


def test_a_folder_that_somebody_else_has_made_is_not_used(tmp_path):
    """Dask takes its scratch folder as found: modules would be imported from there, and files opened through links."""
    trap = tmp_path / "dask-scratch-space"
    trap.mkdir()
    (trap / "planted_module.py").write_text("")
    (tmp_path / "thesis").write_text("years of work")
    for name in ("global.lock", "purge.lock"):
        (trap / name).symlink_to(tmp_path / "thesis")
    trap.chmod(0o777)
    with config.set({"temporary-directory": str(tmp_path)}), dask_cluster.local(1) as client:
        assert importlib.util.find_spec("planted_module") is None
        assert list(client.run(importlib.util.find_spec, "planted_module").values()) == [None]
    assert (tmp_path / "thesis").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dask-scratch-space", "thesis"]
    assert sorted(path.name for path in trap.iterdir()) == ["global.lock", "planted_module.py", "purge.lock"]


@pytest.mark.parametrize("environment", [{"DASK_TEMPORARY_DIRECTORY": "/proc/nowhere"}, {}], ids=["folder", "loopback"])
def test_a_cluster_that_cannot_begin_is_refused_in_one_line(tmp_path, environment):
    before = [] if environment else ["unshare", "--net"]
    if before and (
        not shutil.which("unshare") or subprocess.run([*before, "true"], stderr=subprocess.DEVNULL).returncode
    ):
        pytest.skip("a network namespace cannot be made here")
    command = begin(tmp_path, "--jobs=2", before=before, **environment)
    _, err = command.communicate(timeout=120)
    assert command.returncode == 2
    expected = "a folder that can be written to" if environment else "processes of this machine to reach each other"
    assert f"expected {expected}" in err
    assert err.count("\n") == 1


def test_processes_that_die_at_once_are_a_failure_in_one_line(tmp_path):
    (tmp_path / "broken").mkdir()
    preload = "import os; os._exit(3)"
    (tmp_path / "broken/preloaded.py").write_text(preload)
    preloaded = str(tmp_path / "broken/preloaded.py")
    done = figure_2(tmp_path, "--jobs=2", DASK_DISTRIBUTED__WORKER__PRELOAD=preloaded)
    assert done.returncode == 1
    assert "--jobs=2: the processes cannot be begun" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("source", SOURCES)
def test_a_change_of_what_computes_numbers_changes_the_code_s_version(tmp_path, source):
    shutil.copytree(ROOT / "reproduce", tmp_path / "reproduce", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "reproduce" / source
    changed = next(path.glob("*.py")) if path.is_dir() else path
    with changed.open("a") as stream:
        stream.write("\n# changed\n")
    code = "from reproduce.store.code_version import code_version; print(dict(code_version()))"
    environment = child_environment(PYTHONPATH=str(tmp_path))
    text = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True)
    there = eval(text.stdout)
    assert [name for name in there if there[name] != code_version()[name]] == [changed.relative_to(tmp_path).as_posix()]
    # What draws and what plans does not compute.
    assert not any("render" in name or "plan/" in name for name in there)


def test_the_code_s_version_has_all_that_training_imports_but_for_what_decides_no_numbers():
    code = "import sys, reproduce.store.training_run; print(*(m for m in sys.modules if m.startswith('reproduce.')))"
    imported = {name.split(".", 1)[1].replace(".", "/") for name in run_python("-c", code, cwd=ROOT).stdout.split()}
    # Reading images has its own fingerprint; the rest reads and writes files, or talks.
    others = r"data.*|store|store/(?!training_run).*|cli|errors|files|signals|text|version"
    assert {name for name in imported if not re.fullmatch(others, name)} == {s.removesuffix(".py") for s in SOURCES}


def test_differences_are_few_words():
    here = {"numpy": "2.0", "a.py": "1", "b.py": "2", "c.py": "3", "d.py": "4"}
    assert differences(here, dict(here)) == ""
    assert differences({**here, "numpy": "1.26"}, here) == "numpy is 1.26, here 2.0"
    there = {"numpy": "1.26", "a.py": "x", "b.py": "x", "e.py": "5"}
    text = "numpy is 1.26, here 2.0; a.py is x, here 1; b.py is x, here 2; and 3 more differ"
    assert differences(there, here) == text


@contextlib.contextmanager
def cluster(tmp_path, checkout=ROOT):
    """A scheduler and one worker, which runs the code of a checkout; their addresses and the scheduler's process."""
    port = free_port()
    address, log = f"tcp://127.0.0.1:{port}", tmp_path / f"log-{port}"
    options = ("--host=127.0.0.1", "--dashboard-address=127.0.0.1:0")
    worker = (*options, "--nthreads=1", "--local-directory", str(tmp_path / "scratch"))
    with (
        dask("scheduler", *options, f"--port={port}", log=log) as scheduler,
        # Python looks for modules in the current folder first.
        dask(
            *("worker", address, *worker),
            log=log,
            before=["env", "--chdir", str(checkout)],
            PYTHONPATH=str(checkout),
            OMP_NUM_THREADS="1",
        ),
    ):
        when(lambda: "Registered to" in log.read_text())
        yield address, scheduler


def checkout_copy(folder):
    """A copy of the two packages, as another machine would have it."""
    for package in ("reproduce", "figures"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def change_the_shuffle(checkout):
    path = checkout / "reproduce/training.py"
    text = path.read_text()
    assert text.count("order = order[I_permutation]") == 1
    path.write_text(text.replace("order = order[I_permutation]", "order = order[I_permutation][::-1]"))


def refusal(done):
    """The one line with which a command is refused because of a worker's code."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert re.search(r"worker tcp://127.0.0.1:\d+ would compute other numbers than this command: ", done.stderr)
    return done.stderr


@pytest.mark.slow
def test_a_worker_with_another_shuffle_is_refused(tmp_path, in_one_process):
    checkout = checkout_copy(tmp_path / "checkout")
    with cluster(tmp_path, checkout) as (address, _):
        # The same code at another place is the same.
        assert figure_2(tmp_path, f"--scheduler={address}").returncode == 0
    assert histories(tmp_path) == histories(in_one_process)
    change_the_shuffle(checkout)
    with cluster(tmp_path, checkout) as (address, _):
        done = figure_2(tmp_path, f"--scheduler={address}", "--epochs=3")
    assert re.search(r"reproduce/training.py is [0-9a-f]{12}, here [0-9a-f]{12};", refusal(done))
    assert histories(tmp_path) == histories(in_one_process)


@pytest.mark.slow
def test_a_worker_that_has_loaded_older_code_is_refused(tmp_path):
    """The files of a shared checkout were changed under it: they are equal now, and what it runs is not."""
    checkout = checkout_copy(tmp_path / "checkout")
    with cluster(tmp_path, checkout) as (address, _):
        assert figure_2(tmp_path, f"--scheduler={address}", PYTHONPATH=str(checkout)).returncode == 0
        change_the_shuffle(checkout)
        done = figure_2(tmp_path, f"--scheduler={address}", "--epochs=3", PYTHONPATH=str(checkout))
    assert "reproduce/training.py" in refusal(done)


def test_a_worker_that_comes_later_is_looked_at_too(client, tmp_path):
    """Its run fails with the reason, and trains nothing."""
    (one,) = tasks_of([job(IMAGES)], IMAGES, tmp_path)
    other = one._replace(code={**one.code, "numpy": "1.0"})
    outcome = client.submit(dask_worker.run_task, other, pure=False).result(timeout=120)
    assert outcome.kind == FAILED
    assert f"numpy is {one.code['numpy']}, here 1.0" in outcome.text
    with Board([other.job], IMAGES) as board, pytest.raises(BadInput, match=r"numpy is .*, here 1\.0"):
        dask_sweep.run_all([other], partial(contextlib.nullcontext, client), board, is_local=True)
    assert not (tmp_path / "runs").exists()


def test_a_worker_that_does_not_see_the_store_trains_nothing(client, tmp_path):
    (one,) = tasks_of([job(IMAGES)], IMAGES, tmp_path)
    elsewhere = one._replace(marker=tmp_path / "elsewhere" / ".marker")
    outcome = client.submit(dask_worker.run_task, elsewhere, pure=False).result(timeout=120)
    assert outcome.kind == FAILED
    assert f"does not see {tmp_path / 'elsewhere'}; expected the results folder to be shared" in outcome.text
    assert not (tmp_path / "runs").exists()


def begun(folder, *options):
    """A command in whose results folder a run has finished an epoch."""
    command = begin(folder, *options)
    runs = folder / "results/runs"
    when(lambda: any(runs.glob("*/history.csv")) if runs.exists() else False, 120)
    return command


def line_with(command, text):
    """Read what a command prints up to a line that has a text in it."""
    for line in command.stdout:
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}: {command.stderr.read()}")


@pytest.mark.slow
def test_a_scheduler_that_stands_still_is_named_and_does_not_hold_the_command(tmp_path, in_one_process):
    with cluster(tmp_path) as (address, scheduler):
        command = begun(tmp_path, f"--scheduler={address}", "--epochs=200")
        scheduler.send_signal(signal.SIGSTOP)
        line = line_with(command, "the scheduler does not answer")
        assert re.fullmatch(r"the scheduler does not answer, with [123] runs to do; waiting up to 5 min for it\n", line)
        command.terminate()
        out, err = command.communicate(timeout=60)
        assert command.returncode == 128 + signal.SIGTERM
        assert err.count("\n") == 1
        assert "no worker answers; those that train go on with their runs" in out
        # Whoever begins meanwhile is told, too.
        refused = figure_2(tmp_path, f"--scheduler={address}")
        assert refused.returncode == 2
        assert "no answer in 4 s" in refused.stderr
        scheduler.send_signal(signal.SIGCONT)
    done = figure_2(tmp_path)
    assert done.returncode == 0, done.stderr
    both = histories(tmp_path), histories(in_one_process)
    assert {key: history[:2] for key, history in both[0].items()} == both[1]


def test_a_scheduler_that_takes_connections_and_never_answers_is_given_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dask_sweep, "SECONDS_TO_ANSWER", 0.2)
    monkeypatch.setattr(dask_sweep, "SECONDS_FOR_A_SCHEDULER_TO_COME_BACK", 3)
    tasks, connections = tasks_of([job(IMAGES)], IMAGES, tmp_path), []
    with cluster(tmp_path) as (address, scheduler), Client(address, set_as_default=False) as client:

        def connect():
            connections.append(client)
            return contextlib.nullcontext(client)

        scheduler.send_signal(signal.SIGSTOP)
        try:
            with (
                Board([task.job for task in tasks], IMAGES) as board,
                pytest.raises(Failure, match="has not come back"),
            ):
                dask_sweep.run_all(tasks, connect, board, is_local=False)
        finally:
            scheduler.send_signal(signal.SIGCONT)
    assert 2 <= len(connections) <= 5
    assert capsys.readouterr().out.count("the scheduler went away") == 1


@pytest.mark.slow
def test_a_scheduler_that_goes_on_is_gone_on_with(tmp_path, in_one_process):
    with cluster(tmp_path) as (address, scheduler):
        command = begun(tmp_path, f"--scheduler={address}", "--epochs=20")
        scheduler.send_signal(signal.SIGSTOP)
        line_with(command, "the scheduler does not answer")
        scheduler.send_signal(signal.SIGCONT)
        _, err = command.communicate(timeout=240)
        assert command.returncode == 0, err
    assert {key: history[:2] for key, history in histories(tmp_path).items()} == histories(in_one_process)


def test_a_process_that_does_not_begin_is_not_waited_for_without_end(client, monkeypatch, capsys):
    monkeypatch.setattr(dask_cluster, "SECONDS_TO_BEGIN", 1)
    dask_cluster._wait_for_processes(client, 1)
    assert not capsys.readouterr().err
    dask_cluster._wait_for_processes(client, 2)
    expected = "--jobs=2: 1 of the processes began within 1 s; going on without the others\n"
    assert capsys.readouterr().err == expected
    with (
        SpecCluster(scheduler={"cls": Scheduler, "options": {"port": 0, "dashboard": False}}) as empty,
        Client(empty, set_as_default=False) as nobody,
        pytest.raises(Failure, match="0 of the processes began"),
    ):
        dask_cluster._wait_for_processes(nobody, 2)


@pytest.mark.parametrize("module", [dask_cluster, dask_sweep])
def test_the_error_that_dask_raises_when_time_is_up_is_the_one_that_is_caught(module):
    """Python 3.10 has a built-in one beside it, which catches nothing of Dask's."""
    assert vars(module)["TimeoutError"] is distributed.TimeoutError


@contextlib.contextmanager
def cluster_of(**workers):
    """A client of a cluster in this process, of workers with these names and options."""
    common = {"host": "127.0.0.1", "dashboard": False}
    spec = {name: {"cls": Worker, "options": {"nthreads": 1, **common, **options}} for name, options in workers.items()}
    with (
        SpecCluster(spec, {"cls": Scheduler, "options": {"port": 0, **common}}) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(len(workers))
        yield client
    # What setting up a worker does to a process, here this one.
    gc.unfreeze()


def test_runs_for_a_gpu_go_to_workers_that_have_one(tmp_path):
    tasks = [t._replace(device=0) for t in tasks_of([job(IMAGES, seed) for seed in range(4)], IMAGES, tmp_path)]
    with (
        cluster_of(plain={}, with_a_gpu={"resources": {"GPU": 1}}) as client,
        Board([t.job for t in tasks], IMAGES) as board,
    ):
        workers = dask_cluster.workers_of(client)
        assert [workers[address]["name"] for address in dask_cluster.usable(workers, 0)] == ["with_a_gpu"]
        assert len(dask_cluster.usable(workers, -1)) == 2
        connect = partial(contextlib.nullcontext, client)
        dask_sweep.run_all(tasks, connect, board, is_local=False, work=clusters.name_of_the_worker)
    assert {outcome.text for outcome in board.outcomes.values()} == {"with_a_gpu"}


def test_a_cluster_without_a_gpu_is_refused_for_runs_on_one_and_for_their_plan(tmp_path):
    jobs = [job(IMAGES)]
    with cluster_of(plain={}) as client:
        options = Options(data="synthetic", device=0, scheduler=client.scheduler.address, results=str(tmp_path))
        for use in (train_missing, make_plan):
            with pytest.raises(BadInput, match=r"device 0: expected workers that offer a GPU .*; found none"):
                use(jobs, Study(options, IMAGES))


@pytest.mark.slow
def test_a_process_that_stands_still_does_not_hold_a_command_that_is_stopped(tmp_path):
    command = begin(tmp_path, "--jobs=2", "--epochs=300")
    runs = tmp_path / "results/runs"
    when(lambda: len(list(runs.glob("*/history.csv"))) == 2 if runs.exists() else False, 120)
    standing = holder_of(next(runs.iterdir()))
    os.kill(standing, signal.SIGSTOP)
    command.terminate()
    _, err = command.communicate(timeout=90)
    assert command.returncode == 128 + signal.SIGTERM, err
    assert err.count("\n") == 1
    when(lambda: not session_of(command.pid), 30)


@pytest.mark.slow
def test_a_worker_that_stands_still_from_the_beginning_is_named(client, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_sweep, "SECONDS_TO_ANSWER", 2)
    monkeypatch.setattr(dask_sweep, "SECONDS_TO_GREET", 1)
    tasks = tasks_of([job(IMAGES)], IMAGES, tmp_path)
    said = []

    def let_it_go_on():
        try:
            when(lambda: "no answer from 1 worker: tls://" in "".join(said))
        finally:
            os.kill(pid, signal.SIGCONT)

    pid = client.run(os.getpid).popitem()[1]
    os.kill(pid, signal.SIGSTOP)
    with clusters.meanwhile(let_it_go_on), Board([t.job for t in tasks], IMAGES) as board:
        monkeypatch.setattr(board, "say", said.append)
        dask_sweep.run_all(tasks, partial(contextlib.nullcontext, client), board, is_local=True)
    assert board.outcomes[tasks[0].job.key].kind == DONE


@pytest.mark.slow
def test_a_plan_says_that_a_worker_stands_still_and_ends_when_it_is_told_to(tmp_path):
    with cluster(tmp_path) as (address, _):
        with Client(address) as client:
            pid = client.run(os.getpid).popitem()[1]
        os.kill(pid, signal.SIGSTOP)
        options = ("--target=figure-2", "--profile=smoke", "--data=synthetic", f"--scheduler={address}")
        plan = subprocess.Popen(
            [sys.executable, "-m", "figures", "plan", *options],
            cwd=tmp_path,
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "still waiting for the cluster's workers to answer\n" in iter(plan.stderr.readline, "")
        plan.terminate()
        plan.communicate(timeout=60)
        os.kill(pid, signal.SIGCONT)
    assert plan.returncode == 128 + signal.SIGTERM
