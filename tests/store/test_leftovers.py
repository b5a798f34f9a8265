"""What killed processes leave behind, and what others put where the store writes."""

import os
import subprocess
import time

import pytest
from filelock import FileLock

from reproduce import files
from reproduce.data.dataset import synthetic
from reproduce.experiment import Experiment
from reproduce.store import runs
from reproduce.store.training_run import train
from reproduce.sweep import dask_sweep

DAYS = 2 * 86_400


@pytest.fixture(scope="module")
def images():
    return synthetic(20, 10)


def train_tiny(images, folder, **settings):
    experiment = Experiment(
        data_fingerprint=images.fingerprint, blocks=((1, 16),), width=0.0625, batch_size=10, **settings
    )
    return train(experiment, images, folder, epochs=1, engine_name="chainer")


def test_a_run_removes_its_own_unfinished_files_and_nothing_of_the_users(images, tmp_path):
    ours = [".history.csv.0123456789ab.part", ".checkpoint.npz.ba9876543210.part", "..holder.0123456789ab.part"]
    theirs = [".x.part", ".part", ".notes.txt.0123456789ab.part", ".history.csv.part", "history.csv.0123456789ab.part",
              ".my.history.csv.0123456789ab.part"]  # fmt: skip
    for name in (*ours, *theirs):
        (tmp_path / name).write_text("half")
    train_tiny(images, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.part")) == sorted(theirs)


def test_a_folder_of_results_loses_what_nobody_has_written_to_for_a_day(tmp_path):
    old, new = tmp_path / ".figure-6.png.0123456789ab.part", tmp_path / ".figure-7.png.0123456789ab.part"
    theirs = [tmp_path / name for name in (".x.part", ".figure-6.png.part", "notes", ".hidden")]
    for path in (old, new, *theirs):
        path.write_text("half")
        os.utime(path, (time.time() - DAYS,) * 2)
    os.utime(new)
    files.make_folder(tmp_path)
    assert set(tmp_path.iterdir()) == {new, *theirs}


def test_the_marker_of_a_killed_sweep_goes_and_that_of_a_running_one_stays(tmp_path):
    killed, running, begun = (tmp_path / f".sweep-{letter * 32}" for letter in "abc")
    theirs = tmp_path / ".sweep-notes"
    with FileLock(running):
        for path in (killed, running, theirs):
            path.touch()
            os.utime(path, (time.time() - DAYS,) * 2)
        begun.touch()
        dask_sweep._remove_abandoned_markers(tmp_path)
        assert set(tmp_path.iterdir()) == {running, begun, theirs}


def test_a_link_in_place_of_the_holder_overwrites_no_file(images, tmp_path):
    mine, run = tmp_path / "mine", tmp_path / "run"
    mine.write_text("precious")
    run.mkdir()
    (run / ".holder").symlink_to(mine)
    train_tiny(images, run)
    assert mine.read_text() == "precious"
    assert (run / ".holder").read_text().startswith("process ")


@pytest.mark.parametrize("name", [".holder", ".lock"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "circle"])
def test_whatever_lies_there_is_neither_waited_for_nor_written_through(images, tmp_path, name, kind):
    run, mine = tmp_path / "run", tmp_path / "mine"
    run.mkdir()
    mine.write_text("precious")
    if kind == "fifo":
        os.mkfifo(run / name)
    elif kind == "folder":
        (run / name).mkdir()
    else:
        (run / name).symlink_to(mine if kind == "link" else name)
    if name == ".lock" or kind == "folder":
        with pytest.raises(OSError, match="Not a regular file|Is a directory"):
            train_tiny(images, run)
    else:
        assert len(train_tiny(images, run)) == 1
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("content", [b"\x1b]0;owned\x07\x1b[2J", b"a\nb", b"\xff\xfe\x9b31m", b"x" * 100_000])
def test_who_holds_a_folder_is_said_in_one_line_without_commands_to_the_terminal(tmp_path, content):
    (tmp_path / ".holder").write_bytes(content)
    said = runs._holder_of(tmp_path)
    assert said.isprintable()
    assert len(said) < 500


def test_a_fifo_that_nobody_writes_to_and_a_link_are_no_holders(tmp_path):
    os.mkfifo(tmp_path / ".holder")
    assert runs._holder_of(tmp_path) == "another process"
    (tmp_path / ".holder").unlink()
    (tmp_path / "mine").write_text("precious")
    (tmp_path / ".holder").symlink_to(tmp_path / "mine")
    assert runs._holder_of(tmp_path) == "another process"


def test_another_optimizer_in_a_users_folder_is_named(images, tmp_path):
    train_tiny(images, tmp_path, optimizer="MomentumSGD")
    with pytest.raises(files.BadInput, match="optimizer is 'MomentumSGD', and 'Adam' is asked for"):
        train_tiny(images, tmp_path, optimizer="Adam")


def test_a_checkout_of_another_user_has_a_commit(tmp_path):
    """Git refuses to read it, unless it is told that its code runs anyway."""
    import shutil
    import sys

    from tests.helpers.processes import ROOT

    if os.geteuid() or not shutil.which("git"):
        pytest.skip("only root can give files to another user")
    shutil.copytree(ROOT / "reproduce", tmp_path / "reproduce", ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *words], check=True)
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 65534, 65534)
    tell = "from reproduce.store import provenance; print(provenance._git()); print(provenance.__file__)"

    def ask(**more):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", **more}
        return subprocess.run(
            [sys.executable, "-c", tell], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    done = ask()
    assert str(tmp_path) in done.stdout
    assert "'commit': '" in done.stdout, done.stderr
    assert "'dirty': False" in done.stdout
    # Without Git it is said that there is no commit.
    done = ask(PATH="")
    assert done.stdout.startswith("None\n")
    assert done.stderr.count("\n") == 1
    assert "the commit is not recorded: " in done.stderr
