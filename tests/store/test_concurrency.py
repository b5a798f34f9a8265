"""Several real processes that want overlapping figures at once."""

import csv
import subprocess
import sys

import pytest

from tests.helpers.processes import child_environment, drawn


def run_at_once(folder, count):
    """`count` processes for figures 6 and 7 in turn; what each printed."""
    arguments = ["--profile=smoke", "--verbose", "--seeds=1", "--epochs=2", "--data=synthetic", "--engine=chainer"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "figures.pooling_and_optimizers", str(6 + number % 2), *arguments],
            cwd=folder,
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    printed = []
    for process in processes:
        out, error = process.communicate(timeout=600)
        assert process.returncode == 0, error
        printed.append(out)
    return printed


def check(folder, printed):
    epochs = [line for out in printed for line in out.splitlines() if ": Epoch " in line]
    assert len(epochs) == 6 * 2, "a run was trained twice, or not at all"
    assert not any("set aside" in out for out in printed)
    for number in (6, 7):
        with (drawn(folder / "results") / f"figure-{number}.csv").open() as stream:
            assert len(list(csv.DictReader(stream))) == 12
    assert not list(folder.rglob("*.part"))


def test_two_processes_share_their_runs(tmp_path):
    check(tmp_path, run_at_once(tmp_path, 2))


@pytest.mark.slow
def test_eight_processes_share_their_runs(tmp_path):
    check(tmp_path, run_at_once(tmp_path, 8))
