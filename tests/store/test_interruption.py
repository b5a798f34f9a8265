"""Real processes, stopped by real signals."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from reproduce.store import checkpoint
from tests.helpers.processes import ROOT, child_environment, drawn, run_python


def command(folder, epochs, train_size=40):
    small = "--data=synthetic --test-size=10 --width=0.0625 --blocks=1x64 --batch-size=10 --engine=chainer"
    sizes = [f"--train-size={train_size}", f"--epochs={epochs}", f"--out={folder}"]
    return ["-u", "-m", "reproduce", "train", *small.split(), *sizes]


def started(folder, epochs, train_size=40):
    """A training process that has printed its first new epoch."""
    process = subprocess.Popen(
        [sys.executable, *command(folder, epochs, train_size)],
        cwd=ROOT,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests themselves run under `nohup`, SIGHUP would stay ignored.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    for line in process.stdout:
        if "Epoch" in line:
            return process
    raise AssertionError(process.stderr.read())


def history_without_seconds(folder):
    return [line.rsplit(",", 1)[0] for line in (folder / "history.csv").read_text().splitlines()]


def last_state(folder):
    with np.load(folder / checkpoint.LATEST) as content:
        names = sorted(name for name in content.files if name.startswith(("model", "optimizer", "random", "order")))
        return {name: content[name] for name in names}


def assert_same_run(folder, unbroken):
    assert history_without_seconds(folder) == history_without_seconds(unbroken)
    for name, array in last_state(unbroken).items():
        np.testing.assert_array_equal(last_state(folder)[name], array, err_msg=name)


def kill_and_go_on(tmp_path, kills, epochs):
    moments = random.Random(0)
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    for _ in range(kills):
        process = started(broken, epochs)
        time.sleep(moments.uniform(0, 0.25))
        assert process.poll() is None, "the run ended before it was killed: more epochs are needed"
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    for folder in (broken, unbroken):
        done = run_python(*command(folder, epochs), cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert "damaged" not in done.stdout
    assert_same_run(broken, unbroken)
    assert not list(broken.glob(".*.part"))
    assert not list(broken.glob("*.damaged"))


def test_runs_killed_at_random_moments_end_as_an_unbroken_one(tmp_path):
    kill_and_go_on(tmp_path, kills=4, epochs=60)


@pytest.mark.slow
def test_fifty_kills(tmp_path):
    kill_and_go_on(tmp_path, kills=50, epochs=700)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(tmp_path, number, status):
    """An epoch has 150 steps, and the signal falls between two of them."""
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    process = started(broken, epochs=3, train_size=1500)
    time.sleep(0.15)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert said == "python -m reproduce: stopped; nothing finished is lost, and the same command goes on from here\n"
    with np.load(broken / checkpoint.LATEST) as content:
        assert content["unfinished"][0] > 0, "the signal did not fall inside an epoch"
    for folder in (broken, unbroken):
        assert run_python(*command(folder, epochs=3, train_size=1500), cwd=ROOT).returncode == 0
    assert_same_run(broken, unbroken)


def test_a_signal_ends_the_compiling_at_once(tmp_path):
    """It takes from seconds to minutes, and nothing of a run is lost with it."""
    cache = tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, *command(tmp_path / "run", 1), "--engine=fast"],
        cwd=ROOT, env=child_environment(NUMBA_CACHE_DIR=str(cache)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (helpers := psutil.Process(process.pid).children()) or len(list(cache.glob("*/*"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143
    assert said.count("\n") == 1
    assert not any(helper.is_running() for helper in helpers)
    # Those that were at work, and not the forty others of a training step.
    assert len(list(cache.glob("*/*"))) < 10
    assert not (tmp_path / "run/history.csv").exists()


@pytest.mark.slow
def test_memory_and_files_stay_flat_over_200_epochs(tmp_path):
    psutil = pytest.importorskip("psutil")
    process = started(tmp_path / "run", epochs=200)
    watched = psutil.Process(process.pid)
    sizes, handles = [], []
    for line in process.stdout:
        if "Epoch" in line:
            sizes.append(watched.memory_info().rss)
            handles.append(watched.num_fds())
        if "Epoch 198" in line:
            break
    process.communicate()
    early, late = np.median(sizes[10:30]), np.median(sizes[-20:])
    assert late < 1.03 * early, f"{early / 2**20:.0f} MiB grew to {late / 2**20:.0f} MiB"
    # The median: one more may be open at the moment, for the epoch's checkpoint.
    assert np.median(handles[-20:]) <= np.median(handles[10:30])
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.suffix == ".part") == []


def test_drawing_killed_at_random_moments_leaves_whole_files_or_none(tmp_path):
    figure = ["-m", "figures.depth", "--profile=smoke", "--data=synthetic", "--seeds=1", "--epochs=1"]
    assert run_python(*figure, cwd=tmp_path).returncode == 0
    folder = drawn(tmp_path / "results")
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    moments = random.Random(1)
    for _ in range(4):
        for path in folder.iterdir():
            path.unlink()
        process = subprocess.Popen(
            [sys.executable, *figure],
            cwd=tmp_path,
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert "SYNTHETIC DATA" in process.stdout.readline()
        assert "already trained" in process.stdout.readline()
        time.sleep(moments.uniform(0, 1.5))
        process.kill()
        process.wait()
        process.stdout.close()
        for path in folder.iterdir():
            assert path.suffix == ".part" or path.read_bytes() == whole[path.name]
    assert run_python(*figure, cwd=tmp_path).returncode == 0
    assert {name: (folder / name).read_bytes() for name in whole} == whole
