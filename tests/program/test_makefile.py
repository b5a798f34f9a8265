"""What make hands on, seen by a stand-in for .venv's Python that says how it was called."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from figures.__main__ import COMMANDS as FIGURE_COMMANDS
from figures.__main__ import MAKE_TARGETS
from figures.sections import SECTIONS
from tests.helpers.processes import ROOT, run_python

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path):
    for name in ("Makefile", "setup.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> called\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / "installed").touch()
    return tmp_path


def make(checkout, *arguments, **environment):
    """What Python was called with, and how make ended; nothing but that call must have happened."""
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    called = checkout / "called"
    words = called.read_text(errors="surrogateescape").split("\0")[:-1] if called.exists() else []
    assert {path.name for path in checkout.iterdir()} <= {"Makefile", "setup.py", ".venv", "called"}
    return words, done


@pytest.mark.parametrize("target", ["figure-6", "all-figures", "claims", "figure-11"])
def test_a_signal_to_make_reaches_the_command(checkout, target):
    python = checkout / ".venv" / "bin" / "python"
    said = "#!/bin/sh\ntrap 'echo ended >> called; exit 143' TERM\necho begun > called\nwhile :; do sleep 0.05; done\n"
    python.write_text(said)
    make = subprocess.Popen(
        ["make", "--no-print-directory", target, "SEEDS=1"],
        cwd=checkout,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_for(lambda: (checkout / "called").exists() and (checkout / "called").read_text())
        make.terminate()
        make.communicate(timeout=20)
        wait_for(lambda: (checkout / "called").read_text() == "begun\nended\n")
    finally:
        # Whatever make has left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGKILL)


def test_every_command_is_run_by_exec():
    recipes = [line for line in (ROOT / "Makefile").read_text().splitlines() if re.match(r"\t.*/python -m", line)]
    long = [line for line in recipes if "pip install" not in line]
    assert len(long) > 12
    assert [line for line in long if "exec $(BIN)/python -m" not in line] == []


def wait_for(is_there, seconds=20):
    ends = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < ends
        time.sleep(0.02)


VALUES = [
    "$(shell touch made)",
    "${shell touch made}",
    "$$(shell touch made)",
    "$(eval X := $(shell touch made))",
    "$(info hello)$(error stop)",
    "price$5.hdf5",
    "price$$5.hdf5",
    "$HOME",
    "$(HOME)/x",
    "a b",
    " a ",
    "it's",
    'say "x"',
    "`touch made`",
    "$(touch made)",
    "; touch made",
    "| touch made",
    "&& touch made #",
    "> made",
    "a\\",
    "a#b",
    "a%b",
    "a\ntouch made",
    "\ttouch made",
    "a=b:=c",
    "-x",
    "*",
    "~",
    "Größe",
    "$(call quoted,x)$(OPTIONS)$@",
    "$",
    "$(",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["DATA", "RESULTS", "SCHEDULER", "PROFILE"])
def test_a_setting_is_handed_on_as_it_stands(checkout, name, value):
    words, done = make(checkout, "figure-6", f"{name}={value}")
    assert done.returncode == 0, done.stderr
    # make itself takes the blanks before a value away.
    assert words == ["-m", "figures.pooling_and_optimizers", "6", f"--{name.lower()}={value.lstrip()}"]


@pytest.mark.parametrize("value", VALUES)
def test_a_target_of_plan_is_handed_on_as_it_stands(checkout, value):
    words, done = make(checkout, "plan", f"TARGET={value}")
    assert done.returncode == 0, done.stderr
    assert words == ["-m", "figures", "plan", f"--target={value.lstrip()}"]


SECTION_OF = {number: one.__name__ for one in SECTIONS for number in one.FIGURES}


@pytest.mark.parametrize("number", range(1, 11))
def test_a_figure_is_made_by_the_section_that_has_it(checkout, number):
    words, done = make(checkout, f"figure-{number}")
    assert (words, done.returncode) == (["-m", SECTION_OF[number], str(number)], 0)


COMMANDS = {
    "all-figures": ["figures", "all"],
    "plan": ["figures", "plan"],
    "tables": ["figures.background", "tables"],
    **{name: ["figures", name] for name in ("claims", "compare", "report", "own-run", "publish")},
    "data": ["reproduce", "data"],
}


@pytest.mark.parametrize("target", COMMANDS)
def test_every_command_is_told_every_setting(checkout, target):
    names = ("PROFILE", "DATA", "SEEDS", "EPOCHS", "TRAIN_SIZE", "TEST_SIZE", "BATCH_SIZE", "WIDTH", "DEVICE", "ENGINE",
             "RESULTS", "JOBS", "SCHEDULER", "RUN", "FIGURE", "TARGET")  # fmt: skip
    words, done = make(checkout, target, *(f"{name}=of {name}" for name in names), "VERBOSE=1", "JSON=1")
    assert done.returncode == 0, done.stderr
    assert words[:3] == ["-m", *COMMANDS[target]]
    assert sorted(words[3:]) == sorted(["--verbose", "--json", *(f"--{name.lower()}=of {name}" for name in names)])


def test_a_switch_is_on_at_1_and_off_at_0_and_nothing_else(checkout):
    words, _ = make(checkout, "plan", "VERBOSE=0", "JSON=", "LATEST=0")
    assert words == ["-m", "figures", "plan"]
    (checkout / "called").unlink()
    for setting in ("VERBOSE=yes", "JSON=10", "LATEST=$(shell touch made)"):
        words, done = make(checkout, "plan", setting)
        assert (words, done.returncode, done.stderr.count("\n")) == ([], 2, 1)
        assert f"expected 0 or 1; found {setting}" in done.stderr


@pytest.mark.parametrize("setting", ["RESULTS=elsewhere", "TARGET=claims", "VERBOSE=1"])
@pytest.mark.parametrize(
    "target", ["test", "test-slow", "check-platforms", "bench", "lint", "lock", "clean", "distclean"]
)
def test_a_target_without_settings_refuses_them_and_does_nothing(checkout, target, setting):
    words, done = make(checkout, target, setting)
    assert (words, done.returncode, done.stdout) == ([], 2, "")
    assert done.stderr.count("\n") == 1
    assert f"{target}: expected no settings; found {setting.split('=')[0]}" in done.stderr


def test_what_is_made_from_others_comes_after_them(checkout):
    words, _ = make(checkout, "publish", "report", "compare", "claims", "figure-6", "tables")
    called = " ".join(words).split("-m ")[1:]
    assert sorted(called[:2]) == ["figures.background tables ", "figures.pooling_and_optimizers 6 "]
    assert "".join(called[2:]) == "figures claims figures compare figures report figures publish"


def test_what_the_environment_exports_is_no_setting(checkout):
    elsewhere = {"WIDTH": "80", "DATA": "/scratch", "RESULTS": "$(shell touch made)", "TARGET": "claims", "LATEST": "1"}
    words, _ = make(checkout, "figure-6", "SEEDS=2", **elsewhere)
    assert words == ["-m", "figures.pooling_and_optimizers", "6", "--seeds=2"]
    (checkout / "called").unlink()
    words, _ = make(checkout, "plan", PYTHON="$(shell touch made)", **elsewhere)
    assert words == ["-m", "figures", "plan"]


def test_an_interpreter_is_a_name_and_nothing_that_make_runs(checkout):
    (checkout / ".venv" / "installed").unlink()
    _, done = make(checkout, "plan", PYTHON="$(shell touch made)")
    assert done.returncode == 2
    assert "$(shell touch made) does not start" in done.stderr


def test_a_figure_that_a_section_has_and_the_makefile_has_not_is_made(checkout):
    words, done = make(checkout, "figure-11", "SEEDS=2")
    assert (words, done.returncode) == (["-m", "figures", "figure-11", "--seeds=2"], 0)


@pytest.mark.parametrize("name", ["figre-6", "figures", "it's;touch made", "a\ntouch made", "`x`"])
def test_another_name_is_handed_to_the_command_that_knows_what_there_is(checkout, name):
    words, _ = make(checkout, name)
    assert words == ["-m", "figures", name.replace("\n", " ")]


def test_the_command_knows_every_target_that_make_has():
    (phony,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = set(phony.split()) - {"$(FIGURES)"}
    assert set(MAKE_TARGETS) <= targets <= {*MAKE_TARGETS, *FIGURE_COMMANDS}


@pytest.mark.parametrize(
    ("name", "near"),
    [("figre-6", "figure-6"), ("figure-11", "figure-1"), ("al-figures", "all-figures"), ("figure6", "figure-6")],
)
def test_the_command_names_what_there_is_in_one_line(tmp_path, name, near):
    done = run_python("-m", "figures", name, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"report or figure-1 to figure-10 (did you mean {near}" in done.stderr
    assert done.stderr.endswith(f"found {name!r}\n")


def test_a_figure_is_a_command_of_its_own(tmp_path):
    done = run_python(
        *("-m", "figures", "figure-2", "--profile=smoke", "--data=synthetic", "--seeds=1", "--epochs=1"),
        *("--engine=chainer", "--train-size=20", "--test-size=10"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("results/*/figure-2.png"))
    done = run_python("-m", "figures", "figure-1", "--profile=smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("results/*/figure-1.png"))
