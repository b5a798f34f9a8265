"""The schedule on real processes: order, one code path for all three ways, and what is left when processes die."""

import contextlib
import os
import re
import signal
import socket
import time
from dataclasses import replace
from functools import partial

import numpy as np
import psutil
import pytest
from dask import config

from figures.figure import made_from
from reproduce.data.dataset import synthetic
from reproduce.data.hdf5 import write_hdf5
from reproduce.errors import BadInput, Failure
from reproduce.profiles import Options
from reproduce.store import runs, training_run
from reproduce.store.history import has_diverged
from reproduce.study import Study
from reproduce.sweep import dask_cluster, dask_sweep
from reproduce.sweep.jobs import Job, in_order, operations_of, without_repeats
from reproduce.sweep.progress import Board
from reproduce.sweep.task import DIVERGED, DONE, FAILED, perform
from reproduce.sweep.train_missing import check, train_missing
from reproduce.text import duration
from tests.helpers import clusters
from tests.helpers.clusters import (
    begin,
    dask,
    figure_2,
    free_port,
    histories,
    history_of,
    holder_of,
    job,
    kill_in_mid_run,
    listening,
    meanwhile,
    numbers,
    session_of,
    tasks_of,
    when,
)
from tests.helpers.processes import run_python
from tests.helpers.stored import provenance_of


@pytest.fixture(scope="module")
def images():
    return synthetic(*clusters.SIZES)


@pytest.fixture(scope="module")
def two_workers():
    """A connection to one local cluster for all tests of this file."""
    with dask_cluster.local(2) as client:
        yield lambda: contextlib.nullcontext(client)


def diverging_job(images, seed):
    settings = {"optimizer": "MomentumSGD", "learning_rate": 1000.0, "initial_scale": 1000.0}
    return job(images, seed, batch_normalization=False, blocks=((4, 8),), fully_connected_layers=8, **settings)


def swept(tasks, connect, images, **others):
    """The outcomes of a sweep, by label."""
    with Board([t.job for t in tasks], images) as board:
        dask_sweep.run_all(tasks, connect, board, is_local=True, **others)
    return {t.label: board.outcomes[t.job.key] for t in tasks}


def test_a_run_that_several_figures_need_is_wanted_once(images):
    one, other = job(images, epochs=3), job(images, epochs=5)._replace(label="again")
    both = without_repeats([one._replace(needed_by=frozenset("a")), other._replace(needed_by=frozenset("b"))])
    assert [(j.label, j.epochs, j.needed_by) for j in both] == [("seed 0", 5, frozenset("ab"))]


def test_the_longest_runs_come_first_and_among_equals_the_shared_ones(images):
    long = job(images, 1, epochs=64)
    shared = job(images, 2, epochs=9)._replace(needed_by=frozenset(["figure-6", "figure-7"]))
    single = job(images, 1, epochs=10)._replace(needed_by=frozenset(["figure-6"]))
    second, short = job(images, 2, epochs=10), job(images, 3, epochs=1)
    assert operations_of(long, images) > 4 * operations_of(shared, images)
    assert in_order([short, second, single, shared, long], images) == [long, shared, single, second, short]
    # Of those that no figure shares, the longer ones, and then lower seeds.
    longer, lower, higher = job(images, 9, epochs=10), job(images, 3, epochs=9), job(images, 4, epochs=9)
    assert in_order([higher, lower, longer], images) == [longer, lower, higher]


@pytest.mark.parametrize("error", [OSError(5, "an error\nand more", "some/file"), ValueError("an error\nand more")])
def test_a_run_that_raises_or_diverges_does_not_keep_the_others_back(images, tmp_path, monkeypatch, capsys, error):
    good, failing, diverging = (
        job(images, 0),
        job(images, 1),
        diverging_job(images, 2),
    )

    def train(experiment, *others, train=training_run.train, **more):
        if experiment.seed == 1:
            raise error
        return train(experiment, *others, **more)

    monkeypatch.setattr(training_run, "train", train)
    options = Options(data="synthetic", engine="chainer", results=str(tmp_path))
    kind = type(error).__name__
    with pytest.raises(Failure, match=rf"^1 of 3 runs failed, the others are kept: seed 1: {kind}: .*error$"):
        train_missing([failing, good, diverging], Study(options, images))
    printed = capsys.readouterr().out
    assert len(history_of(tmp_path, good)) == 2
    assert has_diverged(history_of(tmp_path, diverging))
    assert "3 runs wanted, 0 already trained" in printed
    assert f"seed 1: failed: {kind}" in printed
    # Of a fault of this package the line alone tells too little.
    assert ("raise error" in printed) == isinstance(error, ValueError)
    assert "1 of 3 runs diverged: seed 2" in printed
    monkeypatch.undo()
    study = Study(options, images)
    assert not study.state(failing.experiment).has(2)
    train_missing([failing, good, diverging], study)
    assert study.state(failing.experiment).has(2)
    printed = capsys.readouterr().out
    assert "3 runs wanted, 2 already trained" in printed
    assert re.search(r"^\[\d/3\] seed 1: 2 epochs, Train accuracy ", printed, re.MULTILINE)
    assert "seed 0" not in printed


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4 s"), (99, "99 s"), (100, "2 min"), (7200, "2.0 h"), (260000, "3.0 days")]
)
def test_durations_are_said_in_words(seconds, text):
    assert duration(seconds) == text


def test_cores_are_shared_out_and_the_user_s_own_settings_are_kept(monkeypatch):
    for name in dask_cluster.THREAD_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dask_cluster, "cores", lambda: 8)
    assert set(dask_cluster._thread_settings(3).values()) == {"2"}
    assert set(dask_cluster._thread_settings(9).values()) == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    settings = dask_cluster._thread_settings(2)
    assert (settings["OMP_NUM_THREADS"], settings["NUMBA_NUM_THREADS"], settings["MKL_NUM_THREADS"]) == ("3", "1", "3")


def test_workers_share_out_the_gpus_and_the_cores(images, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = dict(os.environ)
    tasks = [t._replace(device=3) for t in tasks_of([job(images, seed) for seed in range(6)], images, tmp_path)]
    outcomes = swept(tasks, partial(dask_cluster.local, 2, 3), images, work=clusters.settings_of_the_process)
    assert {o.text for o in outcomes.values()} == {
        "['1', '1', '1', None, '3'] [1] 0",
        "['1', '1', '1', None, 'GPU-5'] [1] 0",
    }
    assert dict(os.environ) == before
    # Several runs fill a GPU better than one.
    assert dask_cluster._gpus(5) == ["3", "GPU-5", "3", "GPU-5", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BadInput, match="expected a GPU, and there is none"), dask_cluster.local(3, 0):
        pass


def test_a_last_line_that_does_not_end_is_handed_on(images, tmp_path, monkeypatch):
    def train(*others, train=training_run.train, **more):
        print("one\ntwo", end="")
        return train(*others, **more)

    monkeypatch.setattr(training_run, "train", train)
    (task,) = tasks_of([job(images, epochs=1)], images, tmp_path)
    events = []
    assert perform(task, images, events.append).kind == DONE
    assert [text for _, kind, text, *_ in events if kind == "line"] == ["one", "two"]


def test_two_workers_train_at_the_same_time(images, tmp_path, two_workers):
    tasks = tasks_of([job(images, seed) for seed in range(2)], images, tmp_path)
    outcomes = swept(tasks, two_workers, images, work=clusters.meeting_another)
    assert {outcome.kind for outcome in outcomes.values()} == {DONE}


def test_failing_runs_are_named_and_all_others_trained(images, tmp_path, two_workers):
    kinds = ["dies", "fine", "raises", "fine too", "other data", "diverges", "blocked", "fine as well"]
    jobs = [job(images, seed) for seed in range(len(kinds))]
    jobs[4] = jobs[4]._replace(experiment=replace(jobs[4].experiment, data_fingerprint="0" * 16))
    jobs[5] = diverging_job(images, 5)
    tasks = [t._replace(label=kind) for t, kind in zip(tasks_of(jobs, images, tmp_path), kinds, strict=True)]
    blocked = runs.run_folder(tmp_path, jobs[6].experiment)
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder should be")
    outcomes = swept(tasks, two_workers, images, work=clusters.whatever_the_label_says)
    assert {label: outcome.kind for label, outcome in outcomes.items()} == {
        "dies": FAILED,
        "fine": DONE,
        "raises": FAILED,
        "fine too": DONE,
        "other data": FAILED,
        "diverges": DIVERGED,
        "blocked": FAILED,
        "fine as well": DONE,
    }
    assert outcomes["dies"].text == "every worker that it was given to died"
    assert outcomes["raises"].text == "ValueError: asked to raise"
    expected = f"expected the images with fingerprint {'0' * 16}; found {images.fingerprint}"
    assert outcomes["other data"].text.endswith(expected)
    assert outcomes["blocked"].text.startswith("FileExistsError")
    for kind, j in zip(kinds, jobs, strict=True):
        if kind.startswith("fine"):
            assert len(history_of(tmp_path, j)) == 2


def kill_and_compare(images, folder, connect):
    """Kill the worker of a run in mid-run; the run must go on elsewhere, and no other one may be lost."""
    jobs = [job(images, 0, epochs=12), *(job(images, seed, epochs=2) for seed in range(1, 5))]
    run = runs.run_folder(folder / "swept", jobs[0].experiment)
    with meanwhile(lambda: kill_in_mid_run(run, 3)):
        outcomes = swept(tasks_of(jobs, images, folder / "swept"), connect, images)
    assert {outcome.kind for outcome in outcomes.values()} == {DONE}
    went_on = provenance_of(run)
    assert went_on["from_epoch"] >= 3, "the run began anew"
    assert len(went_on["earlier"]) == 1
    with Board(jobs, images) as board:
        for t in tasks_of(jobs, images, folder / "here"):
            assert perform(t, images, board.report).kind == DONE
    for j in jobs:
        assert numbers(history_of(folder / "swept", j)) == numbers(history_of(folder / "here", j))


def test_a_killed_worker_s_run_goes_on_elsewhere_from_its_checkpoint(images, tmp_path, two_workers):
    kill_and_compare(images, tmp_path, two_workers)


def test_a_run_that_comes_on_outlives_more_workers_than_dask_allows(images, tmp_path, two_workers):
    tasks = tasks_of([job(images, epochs=7)], images, tmp_path)
    outcomes = swept(tasks, two_workers, images, work=clusters.an_epoch_and_death)
    assert {label: outcome.kind for label, outcome in outcomes.items()} == {"seed 0": DONE}
    assert len(provenance_of(runs.run_folder(tmp_path, tasks[0].job.experiment))["earlier"]) == 6


def test_a_process_that_is_slow_to_come_back_is_waited_for(images, tmp_path):
    tasks = tasks_of([job(images, epochs=3)], images, tmp_path)
    with config.set({"distributed.deploy.lost-worker-timeout": "10ms"}), dask_cluster.local(1) as client:
        outcomes = swept(tasks, lambda: contextlib.nullcontext(client), images, work=clusters.an_epoch_and_death)
    assert {label: outcome.kind for label, outcome in outcomes.items()} == {"seed 0": DONE}


def test_a_local_cluster_without_processes_ends_the_command(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dask_sweep, "SECONDS_FOR_A_PROCESS_TO_COME_BACK", 3)
    monkeypatch.setattr(dask_sweep, "SECONDS_BETWEEN_REMINDERS", 1)
    jobs = [job(images, 0, epochs=2), job(images, 1, epochs=100)]
    run = runs.run_folder(tmp_path, jobs[1].experiment)
    with dask_cluster.local(1) as client:

        def close() -> None:
            when(lambda: runs.read_history(run))
            client.cluster.sync(client.cluster.workers[0].close)

        connect = partial(contextlib.nullcontext, client)
        with meanwhile(close), pytest.raises(Failure, match=r"could not begin them anew; 1 runs are missing"):
            swept(tasks_of(jobs, images, tmp_path), connect, images)
    assert len(history_of(tmp_path, jobs[0])) == 2
    assert "the cluster has no worker for these runs" in capsys.readouterr().out


@pytest.mark.slow
def test_twenty_kills_in_a_row(images, tmp_path, two_workers):
    for number in range(20):
        kill_and_compare(images, tmp_path / str(number), two_workers)


def test_two_processes_give_the_same_numbers_as_one(in_one_process, tmp_path):
    done = figure_2(tmp_path, "--jobs=2")
    assert done.returncode == 0, done.stderr
    assert len({holder_of(run) for run in (tmp_path / "results/runs").iterdir()}) == 2
    assert histories(tmp_path) == histories(in_one_process)
    assert "3 runs wanted, 0 already trained" in done.stdout
    assert "Epoch " not in done.stdout
    assert sorted(re.findall(r"^\[(\d)/3\] x\d, seed 0: 2 epochs", done.stdout, re.MULTILINE)) == ["1", "2", "3"]
    assert [path.name for path in (tmp_path / "results").iterdir() if path.name.startswith(".")] == []
    again = figure_2(tmp_path, "--jobs=2")
    assert "3 runs wanted, 3 already trained" in again.stdout


def test_each_seed_s_own_images_are_the_same_in_this_process_and_in_others(tmp_path, capsys):
    more = synthetic(clusters.SIZES[0] + 40, clusters.SIZES[1])
    parts = {"X_train": more.x_train, "Y_train": more.y_train, "X_test": more.x_test, "Y_test": more.y_test}
    write_hdf5(tmp_path / "more.hdf5", parts, "made up")
    options = Options(
        data=str(tmp_path / "more.hdf5"),
        train_size=clusters.SIZES[0],
        test_size=clusters.SIZES[1],
        batch_size=20,
        width=0.125,
        epochs=1,
        seeds=3,
        engine="chainer",
    )
    found = {}
    for jobs in (None, 2):
        study = Study.of(replace(options, jobs=jobs, results=str(tmp_path / f"{jobs}")))
        wanted = [Job(one, 1, f"seed {one.seed}") for one in study.experiments({"blocks": ((1, 4),)})]
        train_missing(wanted, study)
        # Whatever was trained on other images than its seed's would be refused here.
        study.origins(one.experiment for one in wanted)
        used = {provenance_of(runs.run_folder(study.store, one.experiment))["data"]["fingerprint"] for one in wanted}
        assert used == {study.dataset.fingerprint_of_seed(seed) for seed in range(3)}
        assert len(used) == 3
        assert "training (each seed draws its own) and" in made_from(study, [1], [3])
        found[jobs] = [numbers(history_of(study.store, one)) for one in wanted]
    # Processes with one thread and with two add in another order.
    np.testing.assert_allclose(found[None], found[2], rtol=1e-3)
    out = tmp_path / "train"
    names = ("data", "train_size", "test_size", "engine")
    sizes = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names]
    settings = ["--blocks=1x4", "--width=0.125", "--batch-size=20", "--epochs=1", "--profile=quick", "--seed=2"]
    done = run_python("-m", "reproduce", "train", f"--out={out}", *sizes, *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(numbers(runs.read_history(out)), found[None][2], rtol=1e-3)


def test_a_local_cluster_listens_on_loopback_only(two_workers):
    with two_workers():
        this = psutil.Process()
        addresses = listening([this, *this.children(recursive=True)])
    # The scheduler, and each worker with its nanny; the others are Dask's HTTP servers.
    assert len(addresses) >= 5
    assert {host for host, _ in addresses} == {"127.0.0.1"}
    # Dask's own page has a port that other clusters, too, ask for.
    assert 8787 not in {port for _, port in addresses}


@pytest.mark.parametrize(
    ("number", "to_all"),
    [(signal.SIGINT, True), (signal.SIGTERM, True), pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow)],
)
def test_a_signal_ends_a_sweep_and_loses_nothing(tmp_path, number, to_all, in_one_process):
    command = begin(tmp_path, "--jobs=2", "--epochs=60")
    runs = tmp_path / "results/runs"
    when(lambda: len(list(runs.glob("*/history.csv"))) == 2 if runs.exists() else False)
    # Ctrl-C goes to every process of the terminal's foreground group, SIGTERM to one, or to all of a job.
    os.killpg(command.pid, number) if to_all else command.send_signal(number)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 128 + number, err
    assert err.splitlines() == [
        "python -m figures.depth: stopped; nothing finished is lost, and the same command goes on from here"
    ]
    assert "stopping: each run ends its step and is saved" in out
    assert "its worker is gone" not in out
    when(lambda: not session_of(command.pid), 10)
    known = histories(tmp_path)
    done = figure_2(tmp_path, "--jobs=2", f"--epochs={max(2, *map(len, known.values()))}")
    assert done.returncode == 0, done.stderr
    after, unbroken = histories(tmp_path), histories(in_one_process)
    for key, history in known.items():
        assert after[key][: len(history)] == history
        assert after[key][:2] == unbroken[key]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.1:{closed}", "Connection refused"),
        ("tcp://127.0.0.1:{silent}", "no answer in 4 s"),
        ("foo", ""),
        ("nothing.json", "No such file"),
    ],
)
def test_a_wrong_address_is_refused_in_time(tmp_path, address, reason):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = address.format(closed=free_port(), silent=silent.getsockname()[1])
        begun = time.monotonic()
        done = figure_2(tmp_path, f"--scheduler={address}")
    assert time.monotonic() - begun < 10
    assert done.returncode == 2
    assert done.stderr.startswith(f"python -m figures.depth: scheduler {address}: expected the address of a running")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_jobs_and_scheduler_exclude_each_other(tmp_path):
    with pytest.raises(BadInput, match="choose one of them"):
        check(Options(jobs=2, scheduler="tcp://127.0.0.1:1"))


def test_workers_that_cannot_do_the_runs_are_refused(images, tmp_path):
    port = free_port()
    log = tmp_path / "log"
    address = f"tcp://127.0.0.1:{port}"
    environment = {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "spawn"}
    with (
        dask("scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard", log=log),
        dask("worker", address, "--nthreads=2", "--no-dashboard", "--host=127.0.0.1", log=log, **environment),
    ):
        when(lambda: "Registered to" in log.read_text())
        done = figure_2(tmp_path, DASK_SCHEDULER_ADDRESS=address)
        found = re.search(r"worker (tcp://127.0.0.1:\d+) has 2 threads; expected one run a process", done.stderr)
        of_a_worker = figure_2(tmp_path, DASK_SCHEDULER_ADDRESS=found[1])
    assert done.returncode == of_a_worker.returncode == 2
    assert "a running Dask scheduler, like tcp://127.0.0.1:8786, or a scheduler file: found a " in of_a_worker.stderr


def test_a_worker_saves_its_run_when_its_whole_job_is_terminated(tmp_path):
    port, log = free_port(), tmp_path / "log"
    address = f"tcp://127.0.0.1:{port}"
    options = ("--host=127.0.0.1", "--dashboard-address=127.0.0.1:0")
    checkpoints = tmp_path / "results/runs"
    with (
        dask("scheduler", *options, f"--port={port}", log=log),
        dask("worker", address, *options, "--nthreads=1", log=log) as worker,
    ):
        when(lambda: "Registered to" in log.read_text())
        # An epoch of this takes many seconds: whatever is there before its end was saved on the way.
        command = begin(tmp_path, f"--scheduler={address}", "--train-size=10000")
        when(lambda: any(map(holder_of, checkpoints.iterdir())) if checkpoints.exists() else False)
        time.sleep(1)
        os.killpg(worker.pid, signal.SIGTERM)
        worker.wait(30)
        command.terminate()
        command.communicate(timeout=60)
    (saved,) = checkpoints.glob("*/checkpoint.npz")
    with np.load(saved) as content:
        assert len(content["history"]) == 0
        assert content["unfinished"][0] > 0


def test_a_stopped_command_ends_when_the_cluster_has_saved_its_run(tmp_path):
    port, log = free_port(), tmp_path / "log"
    address = f"tcp://127.0.0.1:{port}"
    options = ("--host=127.0.0.1", "--dashboard-address=127.0.0.1:0")
    with (
        dask("scheduler", *options, f"--port={port}", log=log),
        dask("worker", address, *options, "--nthreads=1", log=log),
    ):
        when(lambda: "Registered to" in log.read_text())
        # A step of this takes a second.
        command = begin(tmp_path, f"--scheduler={address}", "--train-size=10000", "--batch-size=1000")
        runs = tmp_path / "results/runs"
        when(lambda: any(map(holder_of, runs.iterdir())) if runs.exists() else False)
        command.terminate()
        _, err = command.communicate(timeout=60)
        (run,) = runs.iterdir()
        with np.load(run / "checkpoint.npz") as content:
            assert content["unfinished"][0] > 0 or len(content["history"])
    assert command.returncode == 128 + signal.SIGTERM, err


@pytest.mark.slow
@pytest.mark.parametrize("breaks", ["scheduler", "worker", "connection"])
def test_a_sweep_on_a_cluster_outlives(breaks, tmp_path, in_one_process):
    """A scheduler that is killed and begun again, a worker that is killed, a worker whose connection is cut."""
    port, log = free_port(), tmp_path / "log"
    wire = clusters.Wire(port)
    address = f"tcp://127.0.0.1:{port}"
    begin_scheduler = partial(dask, "scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard", log=log)
    worker = ("--nthreads=1", "--no-dashboard", "--host=127.0.0.1", "--local-directory", str(tmp_path / "scratch"))
    runs = tmp_path / "results/runs"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(begin_scheduler())
        when(lambda: "Scheduler at" in log.read_text())
        stack.enter_context(dask("worker", address, *worker, log=log))
        stack.enter_context(dask("worker", f"tcp://127.0.0.1:{wire.port}", *worker, log=log))
        when(lambda: log.read_text().count("Registered to") >= 2)
        command = begin(tmp_path, f"--scheduler={address}", "--epochs=30")
        when(lambda: len(list(runs.glob("*/history.csv"))) == 2 if runs.exists() else False)
        if breaks == "scheduler":
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
            time.sleep(3)
            stack.enter_context(begin_scheduler())
            # The workers of `dask worker` end with their scheduler; whoever begins that again begins them, too.
            stack.enter_context(dask("worker", address, *worker, log=log))
        elif breaks == "worker":
            os.kill(holder_of(next(runs.glob("*/history.csv")).parent), signal.SIGKILL)
        else:
            wire.cut()
            time.sleep(3)
            wire.mend()
        out, err = command.communicate(timeout=240)
    print(out, err, log.read_text())
    assert command.returncode == 0, err
    done = histories(tmp_path)
    assert {len(history) for history in done.values()} == {30}
    assert {key: history[:2] for key, history in done.items()} == histories(in_one_process)
    assert "goes on with it" in out or "the scheduler went away" in out
