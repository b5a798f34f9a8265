"""Files that are good and cannot be read just then: the command ends with the system's reason and leaves them."""

import io
import os
import resource
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from reproduce.store import checkpoint, runs
from tests.helpers.processes import ROOT, child_environment, run_python

TRAIN = ("-m", "reproduce", "train", "--data=synthetic", "--train-size=20", "--test-size=10", "--width=0.0625",
         "--batch-size=10", "--blocks=1x16", "--engine=chainer")  # fmt: skip
FILES = ("checkpoint.npz", "checkpoint.previous.npz", "history.csv", "experiment.json", "provenance.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run_python(*TRAIN, "--epochs=2", f"--out={folder}", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def go_on(folder, *before):
    """Ask for a third epoch, in a process begun by the command `before`."""
    command = [*before, sys.executable, *TRAIN, "--epochs=3", f"--out={folder}"]
    done = subprocess.run(command, cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "Epoch" not in done.stdout
    assert not list(folder.glob("*.damaged"))
    return done.stderr


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_one_may_not_read_is_left_alone(whole, run, name):
    """As with another user's umask on a shared folder. Root may read everything, unless it gives that up."""
    (run / name).chmod(0)
    before = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("setpriv is not installed")
        before = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    assert f"{name}: Permission denied; earlier results are intact" in go_on(run, *before)
    (run / name).chmod(0o644)
    assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_file_behind_a_broken_path_is_left_alone(run, name):
    """Links in a circle stand for what a network folder answers while it is away: an error of the system's."""
    (run / name).unlink()
    (run / name).symlink_to(name)
    assert f"{name}: Too many levels of symbolic links" in go_on(run)


@pytest.mark.parametrize("name", FILES)
def test_a_fifo_is_not_waited_for(run, name):
    (run / name).unlink()
    os.mkfifo(run / name)
    assert f"{name}: Not a regular file" in go_on(run)


def test_too_many_open_files_do_not_make_a_checkpoint_damaged(run):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            runs.read_history(run)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(runs.read_history(run)) == 2


def test_too_little_memory_does_not_make_a_checkpoint_damaged(run):
    np.savez(run / checkpoint.LATEST, about=np.zeros(2**27, np.uint8))
    script = f"""
import resource
from pathlib import Path
from reproduce.store import checkpoint
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, -1))
try:
    checkpoint.read_record(Path({str(run / checkpoint.LATEST)!r}))
except MemoryError:
    print("no memory")
"""
    done = run_python("-c", script, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("no memory\n", "")


def test_an_array_that_claims_to_be_huge_is_damage_and_takes_no_memory(run):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(run / checkpoint.LATEST, "w") as archive:
        archive.writestr("about.npy", header.getvalue())
    with pytest.raises(checkpoint.Damaged, match="damaged"):
        checkpoint.read_record(run / checkpoint.LATEST)
