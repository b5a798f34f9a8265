"""Output that is ASCII, closed, or full; and Ctrl-C before a command has begun."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.processes import ROOT, child_environment, run_python

FIGURE = ("-m", "figures.depth", "--profile=smoke", "--data=synthetic", "--seeds=1", "--epochs=1", "--train-size=20",
          "--test-size=10", "--engine=chainer")  # fmt: skip
HELP = ("-m", "figures", "--help")


def test_a_figure_is_made_where_output_is_ascii(tmp_path):
    done = run_python(*FIGURE, "--results=Größe", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert r"Gr\xf6\xdfe" in done.stdout
    assert list(tmp_path.glob("Größe/*/figure-2.png"))


def in_shell(words, redirection, folder):
    command = f"{shlex.join([sys.executable, *words])} {redirection}"
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=child_environment(), capture_output=True, text=True, timeout=300
    )


def test_a_figure_is_made_where_output_is_closed(tmp_path):
    done = in_shell(FIGURE, ">&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.glob("results/*/figure-2.png"))


def test_an_error_is_a_line_where_output_is_closed(tmp_path):
    done = in_shell(("-m", "figures", "nothing"), ">&-", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_on_a_full_disk_is_one_line_and_exit_1(tmp_path):
    done = in_shell(HELP, "> /dev/full", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "No space left on device" in done.stderr


def heed_ctrl_c():
    """For a new process: where the tests run in the background, a shell has had them ignore SIGINT, and so would it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("command", ["figures", "figures.depth", "reproduce"])
def test_ctrl_c_while_a_command_still_imports_is_one_line(tmp_path, command):
    """NumPy, in whose place something stands that takes for ever to import."""
    (tmp_path / "numpy.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-m", command],
        cwd=tmp_path,
        env=child_environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "stopped before anything was begun\n")


def test_a_program_that_imports_the_package_keeps_its_own_ctrl_c(tmp_path):
    code = "import signal, reproduce; print(signal.getsignal(signal.SIGINT) == signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=child_environment(),
        preexec_fn=heed_ctrl_c,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "True\n"
