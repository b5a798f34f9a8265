import multiprocessing
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce import files
from reproduce.data.dataset import synthetic
from reproduce.experiment import Experiment
from reproduce.plan.plan import make_plan
from reproduce.profiles import Options
from reproduce.store import checkpoint, runs
from reproduce.store.history import EpochRecord, history_bytes, parse_history
from reproduce.store.provenance import checksum_of
from reproduce.store.training_run import train
from reproduce.study import Study
from reproduce.sweep.train_missing import train_missing
from tests.helpers.clusters import job, when
from tests.helpers.clusters import numbers as without_seconds
from tests.helpers.stored import provenance_of

losses, percent = st.floats(0, 1e300), st.floats(0, 100)


@given(st.lists(st.tuples(losses, percent, losses, percent, st.floats(0, 1e6)), max_size=5))
def test_a_history_is_read_as_it_was_written(rows):
    history = [EpochRecord(epoch, *row[:-1], round(row[-1], 3)) for epoch, row in enumerate(rows)]
    assert parse_history(history_bytes(history)) == history


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected the columns epoch,train_loss"),
        ("a,b\n", "expected the columns epoch,train_loss.*found a,b"),
        ("{header}\n0,1,2\n", "line 2: expected 6 numbers"),
        ("{header}\n0,1,2,3,4,x\n", "line 2: expected 6 numbers"),
        (f"{{header}}\n{'1' * 200_000}\n", "expected a table of numbers: field larger"),
        ("{header}\n1,1,2,3,4,5\n", "line 2: expected epoch 0; found 1"),
        ("{header}\ninf,1,2,3,4,5\n", "line 2: expected epoch 0; found inf"),
        ("{header}\n0,1,2,3,4,5\n0,1,2,3,4,5\n", "line 3: expected epoch 1; found 0"),
        ("{header}\n0,1,2,3,4,5\n2,1,2,3,4,5\n", "line 3: expected epoch 1; found 2"),
        ("{header}\n0,-1,2,3,4,5\n", "line 2: expected train_loss from 0; found -1"),
        ("{header}\n0,1,200,3,4,5\n", "line 2: expected train_accuracy from 0 to 100; found 200"),
        ("{header}\n0,1,2,3,nan,5\n", "line 2: expected test_accuracy from 0 to 100; found nan"),
        ("{header}\n0,1,2,3,4,-5\n", "line 2: expected seconds from 0; found -5"),
        ("{header}\n0,1,2,3,4,inf\n", "line 2: expected seconds from 0; found inf"),
        (
            "{header}\n0,nan,nan,nan,nan,5\n1,1,2,3,4,5\n",
            "line 3: expected no epoch after one with the training loss nan",
        ),
    ],
)
def test_a_damaged_history_is_named(content, message):
    with pytest.raises(ValueError, match=message):
        parse_history(content.replace("{header}", ",".join(EpochRecord._fields)).encode())


@pytest.mark.parametrize(
    "rows",
    [
        [[np.inf, 1, 2, 3, 4, 5]],
        [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]],
        [[0, 1, 101, 3, 4, 5]],
        [[0, 1, 2, 3, 4, 5, 6]],
        [[0, np.nan, np.nan, np.nan, np.nan, 5], [1, 1, 2, 3, 4, 5]],
    ],
)
def test_a_record_whose_checksum_holds_and_whose_numbers_cannot_be_is_refused(tmp_path, rows):
    content = checkpoint._record_arrays(checkpoint.Record({}, {}, []))
    del content["checksum/brief"]
    content["history"] = np.array(rows, np.float64)
    content["checksum/brief"] = checkpoint._checksum(content)
    np.savez(tmp_path / "record.npz", **content)
    with pytest.raises(checkpoint.Damaged, match="not a checkpoint that this package wrote: expected"):
        checkpoint.read_record(tmp_path / "record.npz")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order", np.zeros(60, np.int64)),
        ("order", np.arange(50)),
        ("unfinished", np.array([np.inf, 0, 0, 1, 0])),
        ("unfinished", np.array([20.0, 1, 1, 0, 1])),
        ("unfinished", np.array([80.0, 1, 1, 4, 1])),
        ("unfinished", np.array([20.0, 1, 1, 1, -1])),
    ],
)
def test_a_checkpoint_whose_checksum_holds_and_whose_place_cannot_be_is_set_aside(tmp_path, name, value, capsys):
    images = synthetic(60, 20)
    experiment = Experiment(data_fingerprint=images.fingerprint, width=0.0625, blocks=((1, 16),), batch_size=20)
    train(experiment, images, tmp_path, epochs=1, engine_name="chainer")
    path = tmp_path / checkpoint.LATEST
    with np.load(path) as stored:
        content = dict(stored)
    del content["checksum/all"]
    content[name] = value
    content["checksum/all"] = checkpoint._checksum(content)
    np.savez(path, **content)
    train(experiment, images, tmp_path, epochs=2, engine_name="chainer")
    printed = capsys.readouterr().out
    assert "set aside as checkpoint.npz.damaged" in printed
    assert ": damaged: " not in printed
    assert len(runs.read_history(tmp_path)) == 2


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_atomically(path, b"old")
    monkeypatch.setattr(files.os, "fsync", lambda number: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        files.write_atomically(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_the_lock_is_held_by_one_process_and_let_go_when_it_is_killed(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, started))
    holder.start()
    assert started.wait(60)
    begun = time.monotonic()
    killer = context.Process(target=_kill_later, args=(holder.pid,))
    killer.start()
    with runs.locked(tmp_path):
        assert time.monotonic() - begun > 0.5
    holder.join(10)
    killer.join(10)
    assert not holder.is_alive()


def _hold(folder, started):
    with runs.locked(folder):
        started.set()
        time.sleep(60)


def _kill_later(process):
    import os
    import signal

    time.sleep(1)
    os.kill(process, signal.SIGKILL)


def test_two_processes_that_want_the_same_run_train_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    both = [context.Process(target=_train, args=(tmp_path / "run", ready, tmp_path / f"out-{i}")) for i in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    printed = [(tmp_path / f"out-{i}").read_text() for i in range(2)]
    assert sorted(text.count("Epoch") for text in printed) == [0, 3]
    assert any("waiting for process" in text for text in printed)
    assert len(runs.read_history(tmp_path / "run")) == 3


def _train(folder, ready, out):
    import contextlib

    made = synthetic(60, 20)
    experiment = Experiment(data_fingerprint=made.fingerprint, width=0.0625, batch_size=20)
    with out.open("w") as stream, contextlib.redirect_stdout(stream):
        ready.wait(60)
        train(experiment, made, folder, epochs=3, engine_name="chainer")


def state(folder, wanted):
    return runs.examine(runs.run_folder(folder, wanted.experiment), wanted.experiment)


def test_a_record_serves_as_the_run_that_was_made_elsewhere_until_more_is_wanted(tmp_path):
    images = synthetic(40, 20)
    wanted = job(images, epochs=2)
    there, here = tmp_path / "there", tmp_path / "here"
    options = Options(data="synthetic", engine="chainer", results=str(there))
    train_missing([wanted], Study(options, images))
    made = state(there, wanted).history
    origin = provenance_of(runs.run_folder(there, wanted.experiment))
    runs.keep_record(here, wanted.experiment, made, origin)
    assert state(here, wanted).history == made
    assert provenance_of(runs.run_folder(here, wanted.experiment)) == origin
    assert not state(here, wanted).is_lacking(2)
    folder, origin_folder = (runs.run_folder(store, wanted.experiment) for store in (here, there))
    for name in ("experiment.json", "history.csv", "provenance.json"):
        assert (folder / name).read_bytes() == (origin_folder / name).read_bytes()
    # To mend a file beside it is no reason to train.
    (folder / "history.csv").write_text("spoilt")
    train_missing([wanted], Study(replace(options, results=str(here)), images))
    assert state(here, wanted).history == made
    assert (folder / "record.npz").exists()
    assert (folder / "history.csv.damaged").read_text() == "spoilt"
    (folder / "history.csv.damaged").unlink()
    # A shorter one does not take its place, and more epochs are trained from the beginning.
    with runs.locked(runs.run_folder(here, wanted.experiment)):
        runs.keep_record(here, wanted.experiment, made[:1], origin)
    assert state(here, wanted).history == made
    longer = wanted._replace(epochs=3)
    assert make_plan([longer], Study(replace(options, results=str(here)), images)).done == {wanted.key: 0}
    train_missing([longer], Study(replace(options, results=str(here)), images))
    after = state(here, wanted).history
    assert without_seconds(after)[:2] == without_seconds(made)
    assert len(after) == 3
    assert provenance_of(folder)["from_epoch"] == 0
    assert not (folder / "record.npz").exists()
    assert not list(folder.glob("*.damaged"))


def made_up(epochs):
    return [EpochRecord(epoch, 1.0, 50.0, 1.0, 50.0, 1.0) for epoch in range(epochs)]


class Killed(BaseException):
    """Ends training as a kill does: nothing is saved after it."""


def test_a_history_without_a_checkpoint_is_set_aside_for_a_record(tmp_path):
    """Nothing relies on it, and yet it may be all that somebody has of a longer run."""
    wanted = job(synthetic(40, 20), epochs=2)
    folder = runs.run_folder(tmp_path, wanted.experiment)
    folder.mkdir(parents=True)
    alone = history_bytes(made_up(3))
    (folder / "history.csv").write_bytes(alone)
    runs.keep_record(tmp_path, wanted.experiment, made_up(2), {"checksum": checksum_of({})})
    assert state(tmp_path, wanted).history == made_up(2)
    assert (folder / "history.csv.damaged").read_bytes() == alone


def test_a_record_stays_until_a_checkpoint_has_as_many_epochs(tmp_path):
    """Whatever ends the longer run that makes way for it, and at whatever moment."""
    images = synthetic(40, 20)
    wanted = job(images, epochs=3)
    folder = runs.run_folder(tmp_path, wanted.experiment)
    record = made_up(2)
    runs.keep_record(tmp_path, wanted.experiment, record, {"checksum": checksum_of({})})
    before = {name: (folder / name).read_bytes() for name in ("record.npz", "history.csv")}

    def die_in(dying_epoch):
        def watch(epoch, images):
            if epoch == dying_epoch:
                raise Killed

        return watch

    for epoch in (0, 1):
        with pytest.raises(Killed):
            train(wanted.experiment, images, folder, 3, engine_name="chainer", watch=die_in(epoch))
        found = state(tmp_path, wanted)
        assert found.history == record
        assert not found.is_lacking(2)
        assert found.goes_on_from(3) == epoch
        assert {name: (folder / name).read_bytes() for name in before} == before
    # Killed when its checkpoint has as many, between its files.
    with pytest.raises(Killed):
        train(wanted.experiment, images, folder, 3, engine_name="chainer", watch=die_in(2))
    assert not (folder / "record.npz").exists()
    ours = state(tmp_path, wanted).history
    assert len(ours) == 2
    assert ours != record
    for name in before:
        (folder / name).write_bytes(before[name])
        assert state(tmp_path, wanted).history == ours
        assert not state(tmp_path, wanted).damaged
    train(wanted.experiment, images, folder, 3, engine_name="chainer")
    assert state(tmp_path, wanted).history[:2] == ours
    assert provenance_of(folder)["from_epoch"] == 2
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        *("checkpoint.npz", "checkpoint.previous.npz", "experiment.json", "history.csv", "provenance.json")
    }


def test_a_record_that_had_to_wait_replaces_no_longer_one(tmp_path, capsys):
    wanted = job(synthetic(40, 20))
    folder = runs.run_folder(tmp_path, wanted.experiment)
    with runs.locked(folder):
        late = threading.Thread(target=runs.keep_record, args=(tmp_path, wanted.experiment, made_up(2), {}))
        late.start()
        when(lambda: "waiting for process" in capsys.readouterr().out)
        checkpoint.save_record(folder, checkpoint.Record(wanted.experiment.settings(), {}, made_up(3)))
    late.join(60)
    assert runs.read_history(folder) == made_up(3)
