"""Files of a run, truncated, flipped and swapped: noticed, set aside, and never a different history."""

import json
import random
import resource
import shutil
import subprocess

import numpy as np
import pytest

from figures.publish.runs import restore_runs, write_runs
from reproduce.data.dataset import synthetic
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.optimizers import build_optimizer
from reproduce.profiles import Options
from reproduce.store import checkpoint, runs
from reproduce.store.training_run import train
from reproduce.study import Study
from reproduce.training import build_model
from tests.helpers.processes import ROOT, run_python
from tests.helpers.stored import provenance_of

EPOCHS = 3
SMALL = {"blocks": ((1, 64),), "width": 0.03125, "batch_size": 10, "optimizer": "MomentumSGD"}


@pytest.fixture(scope="module")
def data():
    return synthetic(20, 10)


@pytest.fixture(scope="module")
def experiment(data):
    return Experiment(data_fingerprint=data.fingerprint, **SMALL)


@pytest.fixture(scope="module")
def whole(data, experiment, tmp_path_factory):
    """A finished run of three epochs in the store's own folder."""
    folder = runs.run_folder(tmp_path_factory.mktemp("whole"), experiment)
    train(experiment, data, folder, EPOCHS, engine_name="chainer")
    return folder


@pytest.fixture
def run(whole, tmp_path, experiment):
    """A copy, to damage."""
    return shutil.copytree(whole, runs.run_folder(tmp_path, experiment))


def rows(history):
    return [row[:-1] for row in history]


def loads(path, experiment):
    """The history in a checkpoint, loaded as training does."""
    model, optimizer = build_model(experiment), build_optimizer(experiment)
    optimizer.setup(model)
    return checkpoint.load(path, model, optimizer).history


def parts_of(size, count):
    """`count` places, one at random in each of as many equal regions."""
    places = random.Random(0)
    return [int((number + places.random()) * size / count) for number in range(count)]


def check_flips(whole, experiment, tmp_path, count):
    content = (whole / checkpoint.LATEST).read_bytes()
    expected = loads(whole / checkpoint.LATEST, experiment)
    path, refused = tmp_path / "flipped.npz", 0
    # The last 22 bytes say where the archive's directory is; a wrong place may be one that no file has.
    for place in [*parts_of(len(content), count), *range(len(content) - 22, len(content))]:
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        try:
            assert loads(path, experiment) == expected
        except checkpoint.Damaged as error:
            refused += 1
            assert "\n" not in str(error)
    # What may pass are bytes that say nothing, like the time of day in the archive's headers.
    assert refused > 0.9 * count


def test_a_flipped_byte_in_any_region_of_a_checkpoint_is_noticed(whole, experiment, tmp_path):
    check_flips(whole, experiment, tmp_path, 300)


@pytest.mark.slow
def test_every_32_bytes_of_a_checkpoint_flipped(whole, experiment, tmp_path):
    check_flips(whole, experiment, tmp_path, (whole / checkpoint.LATEST).stat().st_size // 32)


def test_a_checkpoint_truncated_at_100_places_is_noticed(whole, experiment, tmp_path):
    content, path = (whole / checkpoint.LATEST).read_bytes(), tmp_path / "short.npz"
    for length in [0, 1, len(content) - 1, *parts_of(len(content), 97)]:
        path.write_bytes(content[:length])
        with pytest.raises(checkpoint.Damaged):
            loads(path, experiment)


def test_a_checkpoint_with_an_array_of_another_one_is_noticed(whole, experiment, tmp_path):
    """Each array is whole; together they are no state that training was ever in."""
    path = tmp_path / "mixed.npz"
    with np.load(whole / checkpoint.PREVIOUS) as before, np.load(whole / checkpoint.LATEST) as latest:
        names = [name for name in latest.files if not name.startswith("checksum")]
        changed = [name for name in names if not np.array_equal(before[name], latest[name])]
        assert {"history", "order", "random/keys"} < set(changed)
        for name in changed:
            np.savez(path, **{**latest, name: before[name]})
            with pytest.raises(checkpoint.Damaged, match="its checksum does not match"):
                # What figures are drawn from is read without the network.
                checkpoint.read_record(path) if name == "history" else loads(path, experiment)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, "truncated", "empty"])
@pytest.mark.parametrize("more", [0, 2])
def test_a_run_with_a_damaged_checkpoint_goes_on_from_the_one_before(data, experiment, whole, run, place, more, capsys):
    path = run / checkpoint.LATEST
    content = bytearray(path.read_bytes())
    if place == "truncated":
        content = content[: len(content) // 2]
    elif place == "empty":
        content = b""
    else:
        content[int(place * len(content))] ^= 255
    path.write_bytes(content)
    expected = train(experiment, data, run.parent / "unbroken", EPOCHS + more, engine_name="chainer")
    capsys.readouterr()
    found = train(experiment, data, run, EPOCHS + more, engine_name="chainer")
    assert rows(found) == rows(expected)
    printed = capsys.readouterr().out.splitlines()
    if more or place in ("truncated", "empty"):
        assert sum("set aside" in line for line in printed) == 1
        # The one before has two epochs.
        assert sum(line.startswith("Epoch ") for line in printed) == EPOCHS - 2 + more
        assert (run / f"{checkpoint.LATEST}.damaged").read_bytes() == content


def test_where_the_networks_of_both_checkpoints_are_damaged_the_run_begins_anew_and_its_provenance_says_so(
    data, experiment, run, tmp_path
):
    """What they say of the history is whole."""
    train(experiment, data, run, EPOCHS + 1, engine_name="chainer")
    assert [part["from_epoch"] for part in parts_in(run)] == [EPOCHS, 0]
    for name in (checkpoint.LATEST, checkpoint.PREVIOUS):
        content = bytearray((run / name).read_bytes())
        content[content.index(b"model/") + 300] ^= 1
        (run / name).write_bytes(content)
        assert checkpoint.read_record(run / name).history
    train(experiment, data, run, EPOCHS + 2, engine_name="chainer")
    assert [part["from_epoch"] for part in parts_in(run)] == [0, 0]
    # What is published of it can be taken back.
    write_runs(tmp_path, {experiment.key: (experiment, ["claims"])}, Study(Options(results=str(tmp_path)), data))
    restore_runs(tmp_path, tmp_path / "elsewhere", lambda seed: data.fingerprint)
    assert runs.read_history(runs.run_folder(tmp_path / "elsewhere", experiment)) == runs.read_history(run)


def parts_in(run):
    """Of a run's provenance, newest first."""
    found = provenance_of(run)
    return [found, *found["earlier"]]


def test_a_checkpoint_that_there_is_no_room_for_costs_neither_of_those_that_are_there(data, experiment, run):
    paths = [run / checkpoint.LATEST, run / checkpoint.PREVIOUS]
    before = [path.read_bytes() for path in paths]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[0]) - 1, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            train(experiment, data, run, EPOCHS + 1, engine_name="chainer")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in paths] == before


def test_with_both_checkpoints_damaged_a_run_begins_anew(data, experiment, whole, run):
    for name in (checkpoint.LATEST, checkpoint.PREVIOUS):
        (run / name).write_bytes(b"PK nothing")
    found = train(experiment, data, run, EPOCHS + 1, engine_name="chainer")
    assert rows(found)[:EPOCHS] == rows(runs.read_history(whole))
    assert {"checkpoint.npz.damaged", "checkpoint.previous.npz.damaged", "history.csv.damaged"} <= {
        path.name for path in run.glob("*.damaged")
    }


@pytest.mark.parametrize("damage", ["removed", "spoilt"])
def test_a_history_that_no_checkpoint_vouches_for_is_not_believed(data, experiment, whole, run, damage):
    """A changed digit in it would otherwise reach a figure."""
    for name in (checkpoint.LATEST, checkpoint.PREVIOUS):
        (run / name).write_bytes(b"spoilt")
        if damage == "removed":
            (run / name).unlink()
    path = run / "history.csv"
    path.write_text(path.read_text().replace("\n0,", "\n0,9", 1))
    assert runs.examine(run, experiment).history == []
    assert runs.examine(runs.run_folder(run.parent.parent, experiment), experiment).is_lacking(EPOCHS)
    assert rows(train(experiment, data, run, EPOCHS, engine_name="chainer")) == rows(runs.read_history(whole))


def test_another_runs_files_are_not_read_as_this_ones(experiment, data, whole, tmp_path):
    other = Experiment(data_fingerprint=data.fingerprint, **SMALL, seed=1)
    shutil.copytree(whole, runs.run_folder(tmp_path, other))
    assert runs.examine(runs.run_folder(tmp_path, other), other).history == []


@pytest.mark.parametrize("name", ["history.csv", "experiment.json", "provenance.json"])
def test_a_flipped_byte_anywhere_in_a_side_file_is_noticed_and_changes_no_number(whole, experiment, run, name):
    content, truth = (run / name).read_bytes(), runs.read_history(whole)
    for place in parts_of(len(content), min(len(content), 400)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 7)
        (run / name).write_bytes(flipped)
        finding = runs.examine(run, experiment)
        assert finding.history == truth
        assert runs.read_history(run) == truth
        same = name == "provenance.json" and json.loads(content) == _json(flipped)
        assert name in finding.damaged or same, f"byte {place}: {bytes(flipped[max(place - 20, 0) : place + 20])}"


def _json(content):
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["history.csv", "experiment.json", "provenance.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 100_000, b"null", b"epoch\n1", b"x" * 17 * 2**20])
def test_a_damaged_side_file_is_set_aside_and_written_again(data, experiment, whole, run, name, content, capsys):
    (run / name).write_bytes(content)
    found = train(experiment, data, run, EPOCHS, engine_name="chainer")
    assert found == runs.read_history(whole)
    assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert (run / f"{name}.damaged").read_bytes() == content
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1
    assert f"{name}: " in printed[0]
    # What is too large for it is not read to its end.
    assert ("expected at most 16777216 bytes" in printed[0]) == (len(content) > 2**24)


def test_a_lost_side_file_is_written_again(data, experiment, whole, run):
    for name in ("history.csv", "experiment.json", "provenance.json"):
        (run / name).unlink()
    train(experiment, data, run, EPOCHS, engine_name="chainer")
    for name in ("history.csv", "experiment.json", "provenance.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_a_history_of_a_finished_epoch_more_or_less_is_no_damage(experiment, whole, run):
    """What a kill between checkpoint and history leaves; half a line, or any other line, is damage."""
    content = (run / "history.csv").read_bytes()
    for spoilt in (content[:-1], content[:-2], content[:-20], content + b"more\n"):
        (run / "history.csv").write_bytes(spoilt)
        assert runs.examine(run, experiment).damaged.keys() == {"history.csv"}
    lines = content.splitlines(keepends=True)
    (run / "history.csv").write_bytes(b"".join(lines[:-1]))
    assert runs.examine(run, experiment).damaged == {}
    shutil.copy(run / checkpoint.PREVIOUS, run / checkpoint.LATEST)
    (run / "history.csv").write_bytes(b"".join(lines))
    finding = runs.examine(run, experiment)
    assert (finding.damaged, len(finding.history)) == ({}, EPOCHS - 1)


def test_another_experiments_files_are_set_aside_in_the_store_and_refused_in_a_users_folder(
    data, experiment, run, tmp_path
):
    other = Experiment(data_fingerprint=data.fingerprint, **SMALL, seed=1)
    in_store = shutil.copytree(run, runs.run_folder(tmp_path / "store", other))
    found = train(other, data, in_store, 1, engine_name="chainer")
    assert len(found) == 1
    assert (in_store / "checkpoint.npz.damaged").exists()
    # Of a run that was killed in its first epoch there are settings and no checkpoint.
    for lost in ([], ["experiment.json"], [checkpoint.LATEST, checkpoint.PREVIOUS]):
        named = shutil.copytree(run, tmp_path / f"my-run-{len(lost)}")
        for name in lost:
            (named / name).unlink()
        with pytest.raises(BadInput, match="another experiment is kept here: seed is 0, and 1 is asked for"):
            train(other, data, named, 1, engine_name="chainer")
        assert sorted(path.name for path in named.glob("*.damaged")) == []


def test_a_checkpoint_of_another_format_is_set_aside(data, experiment, run, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    finding = runs.examine(run, experiment)
    assert finding.damaged[checkpoint.LATEST] == "a checkpoint of format 1; this version writes 2"


def tmpfs(path, options):
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")


TRAIN = ("-m", "reproduce", "train", "--data=synthetic", "--train-size=40", "--test-size=10", "--width=0.25",
         "--batch-size=10", "--blocks=1x64", "--engine=chainer")  # fmt: skip


def test_a_full_disk_ends_with_one_line_and_leaves_what_was_there(tmp_path):
    disk = tmp_path / "disk"
    tmpfs(disk, "size=3500k")
    try:
        done = run_python(*TRAIN, "--epochs=1", f"--out={disk / 'small'}", "--blocks=1x16", cwd=ROOT)
        assert done.returncode == 0, done.stderr
        before = (disk / "small/checkpoint.npz").read_bytes()
        done = run_python(*TRAIN, "--epochs=9", f"--out={disk / 'large'}", cwd=ROOT)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "No space left on device; earlier results are intact" in done.stderr
        assert (disk / "small/checkpoint.npz").read_bytes() == before
        assert not list((disk / "large").glob(".*.part"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_ends_a_sweep_at_its_first_run(tmp_path):
    disk = tmp_path / "disk"
    tmpfs(disk, "size=3500k")
    try:
        done = run_python(
            *("-m", "figures.depth", "--profile=smoke", "--data=synthetic", "--width=0.5", "--engine=chainer"),
            *("--train-size=40", "--test-size=10", f"--results={disk}"),
            cwd=ROOT,
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "No space left on device; earlier results are intact" in done.stderr
        assert "[2/" not in done.stdout
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_disk_ends_with_one_line(tmp_path):
    disk = tmp_path / "disk"
    tmpfs(disk, "ro,size=1m")
    try:
        done = run_python(*TRAIN, "--epochs=1", f"--out={disk / 'run'}", cwd=ROOT)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "run: expected a folder that can be written to: Read-only file system" in done.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_vanishes_ends_with_one_line(tmp_path, data, experiment, monkeypatch):
    from reproduce import cli, training

    folder = tmp_path / "run"
    monkeypatch.setattr(training, "Calculate_Test_Accuracy", lambda *_: (shutil.rmtree(folder), (0.0, 0.0))[1])
    with pytest.raises(SystemExit) as caught:
        cli.run("here", lambda _: train(experiment, data, folder, 1, engine_name="chainer"), [])
    assert caught.value.code == 1


def test_provenance_is_known_without_its_file(run, experiment):
    expected = provenance_of(run)
    (run / "provenance.json").write_bytes(b"")
    assert runs.examine(run, experiment).provenance == expected
    for name in (checkpoint.LATEST, checkpoint.PREVIOUS):
        (run / name).unlink()
    assert runs.examine(run, experiment).provenance is None


def test_an_object_array_in_a_checkpoint_is_not_unpickled(run, experiment, tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "called"), "w")

    np.savez(run / checkpoint.LATEST, about=np.array([Bomb()], object), history=np.zeros((0, 6)))
    assert checkpoint.LATEST in runs.examine(run, experiment).damaged
    assert not (tmp_path / "called").exists()
