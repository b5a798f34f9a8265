"""What a sweep shows: a line for each run, a bar on a terminal, a line now and then elsewhere."""

import contextlib
import os
import re
import signal
import struct
import subprocess
import sys

import pytest

from reproduce.data.dataset import synthetic
from reproduce.sweep.progress import Board
from reproduce.sweep.task import DONE, FAILED, Outcome
from tests.helpers.clusters import OPTIONS, SIZES, begin, figure_2, histories, job, when
from tests.helpers.processes import ROOT, child_environment

IMAGES = synthetic(*SIZES)


def test_progress_is_readable_without_a_terminal(capsys, monkeypatch):
    jobs = [job(IMAGES, seed, epochs=4) for seed in range(4)]
    labels = {one.key: f"[{number}/4] {one.label}" for number, one in enumerate(jobs, start=1)}
    del labels[jobs[0].key]
    now = [0.0]
    monkeypatch.setattr("reproduce.sweep.progress.time.monotonic", lambda: now[0])
    with Board(jobs, IMAGES, labels) as board:
        now[0] = 10
        board.report((jobs[1].key, "progress", 0, 0, 0.0))
        board.finish(jobs[1].key, Outcome(DONE, "4 epochs"))
        # What comes late, or from another command's sweep, is not for this board.
        board.report((jobs[1].key, "line", "too late"))
        board.report(("another run", "progress", 0, 0, 0.0))
        board.report((jobs[2].key, "progress", 2, 20, 1234.0))
        board.report((jobs[2].key, "epoch", "Epoch 2"))
        board.report((jobs[2].key, "line", "a file is damaged"))
        now[0] = 50
        board.report((jobs[2].key, "progress", 3, 0, 1000.0))
        board.finish(jobs[2].key, Outcome(FAILED, "why"))
        now[0] = 80
        board.redraw()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "[2/4] seed 1: 4 epochs",
        "a file is damaged",
        # An eighth of a run in the 40 s since the first news; a quarter of it and a whole one are left.
        "2 of 4 runs done, 3 of 4 epochs, 1,000 images/s, about 7 min left",
        "[3/4] seed 2: failed: why",
        "2 of 4 runs done, 1 failed, 0 running, about 9 min left",
    ]


def test_the_time_that_compiling_takes_is_not_taken_for_speed(capsys, monkeypatch):
    one = job(IMAGES, epochs=4)
    now = [0.0]
    monkeypatch.setattr("reproduce.sweep.progress.time.monotonic", lambda: now[0])
    with Board([one], IMAGES) as board:
        board.report((one.key, "progress", 0, 0, 0.0))
        now[0] = 90
        board.report((one.key, "progress", 0, 20, 100.0))
        assert board.seconds_left() is None
        now[0] = 90.5
        board.report((one.key, "progress", 0, 30, 100.0))
        assert board.seconds_left() is None
        now[0] = 100
        # An epoch in the ten seconds from half an epoch on; two and a half are left.
        board.report((one.key, "progress", 1, 20, 100.0))
        assert board.seconds_left() == pytest.approx(25)


def test_epochs_are_shown_where_they_are_asked_for(capsys):
    one = job(IMAGES)
    with Board([one], IMAGES, is_verbose=True) as board:
        board.report((one.key, "epoch", "Epoch 0"))
    assert capsys.readouterr().out == "Epoch 0\n"


def test_a_command_prints_a_line_for_each_run_and_numbers_that_stay(tmp_path):
    first = figure_2(tmp_path)
    lines = re.findall(r"^\[\d/3\] .*", first.stdout, re.MULTILINE)
    form = r"\[{}/3\] x{}, seed 0: 2 epochs, Train accuracy \d+\.\d\d, Test accuracy \d+\.\d\d  \(\d+ s\)"
    assert all(re.fullmatch(form.format(n, 4 - n), line) for n, line in enumerate(lines, start=1)), lines
    assert len(lines) == 3
    # The second run alone is missing: it keeps its number.
    (second,) = (key for key in histories(tmp_path) if is_x2(tmp_path, key))
    for path in (tmp_path / "results/runs" / second).iterdir():
        path.unlink()
    again = figure_2(tmp_path, "--verbose")
    assert re.findall(r"^\[.*", again.stdout, re.MULTILINE)[-1].startswith("[2/3] x2, seed 0: 2 epochs, Train")
    assert re.findall(r"^\[2/3\] x2, seed 0: Epoch (\d), Train", again.stdout, re.MULTILINE) == ["0", "1"]
    assert again.stdout.count("\n[") == 3


def is_x2(folder, key):
    """Whether a run is that of two blocks."""
    return (folder / "results/runs" / key / "experiment.json").read_text().count("[") == 3


def shown_on_a_terminal(command, cwd=ROOT, until=b"", then=lambda process: None):
    """All that a command writes to a pseudo-terminal, and its exit status.

    Args:
        until: text after which `then` is called, once, with the process.
    """
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    # A session of its own whose terminal this is: what is typed there becomes its signals.
    set_terminal = (
        "import fcntl, os, sys, termios;"
        f"fcntl.ioctl({there}, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    environment = child_environment(OMP_NUM_THREADS="1")
    process = subprocess.Popen(
        [sys.executable, "-c", set_terminal, *command],
        cwd=cwd,
        env=environment,
        stdin=there,
        stdout=there,
        stderr=there,
        pass_fds=[there],
        start_new_session=True,
    )
    os.close(there)
    shown, is_waiting = b"", bool(until)
    with contextlib.suppress(OSError):
        while data := os.read(here, 4096):
            shown += data
            if is_waiting and until in shown:
                is_waiting = False
                then(here)
    os.close(here)
    return shown.decode(), process.wait(60)


def rows(text):
    """The rows of a terminal after it was shown a text, as far as carriage returns and line feeds draw them."""
    found = []
    for line in text.split("\n"):
        row = ""
        for part in line.split("\r"):
            part = part.replace("\x1b[A", "")
            row = part + row[len(part) :]
        found.append(row.rstrip())
    return found


def test_a_terminal_has_one_bar_and_is_left_clean(tmp_path):
    command = [sys.executable, "-m", "figures.depth", *OPTIONS, "--train-size=50", "--epochs=10"]
    text, status = shown_on_a_terminal(command, tmp_path)
    assert status == 0, text
    bars = re.findall(r"\r(\d of 3 runs done) \|[^|\r]*\|([^\r]*)", text)
    assert bars[0][0] == "0 of 3 runs done"
    assert re.fullmatch(r" \d+ of 10 epochs, [\d,]+ images/s, about \d+ (s|min) left\s*", bars[-2][1]), bars[-2]
    assert "\x1b[A" not in text
    # The first and the last line say that the data is synthetic.
    first, *printed = rows(text)
    assert first.startswith("*** SYNTHETIC DATA")
    assert printed[0] == "3 runs wanted, 0 already trained"
    assert [line[:5] for line in printed[1:4]] == ["[1/3]", "[2/3]", "[3/3]"]
    assert printed[4] == ""
    assert printed[5].startswith("Figure 2.")


def test_the_bar_makes_way_for_what_a_run_prints_in_this_process():
    code = """
import contextlib, io
from tests.sweep.test_progress import IMAGES, Board, job
with Board([job(IMAGES)], IMAGES) as board:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        board.say("a line")
"""
    text, status = shown_on_a_terminal([sys.executable, "-c", code])
    assert status == 0, text
    assert "0 of 1 runs done" in text
    assert rows(text) == ["a line", ""]


def test_the_message_after_ctrl_c_has_a_line_of_its_own(tmp_path):
    command = [sys.executable, "-m", "figures.depth", *OPTIONS, "--train-size=50", "--epochs=500"]
    text, status = shown_on_a_terminal(
        command, tmp_path, until=b" images/s", then=lambda terminal: os.write(terminal, b"\x03")
    )
    assert status == 128 + signal.SIGINT, text
    assert "^C" in text
    message = "python -m figures.depth: stopped; nothing finished is lost, and the same command goes on from here"
    assert message in rows(text)


def test_a_command_that_is_stopped_early_goes_on_with_the_same_numbers(tmp_path):
    sizes = "--train-size=50", "--epochs=40"
    command = begin(tmp_path, *sizes)
    runs = tmp_path / "results/runs"
    when(lambda: len(list(runs.glob("*/history.csv"))) == 2 if runs.exists() else False)
    command.terminate()
    out, _ = command.communicate(timeout=60)
    assert re.findall(r"^\[(\d)/3\]", out, re.MULTILINE) == ["1"]
    done = figure_2(tmp_path, *sizes)
    assert re.findall(r"^\[(\d)/3\]", done.stdout, re.MULTILINE) == ["2", "3"]
