"""`make`'s first target: the Python that it takes, the environment that it makes, and the lock that this comes from."""

import contextlib
import csv
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import install
from tests.conftest import ROOT

LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-test.lock")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def interpreter(path: Path, version: str) -> Path:
    """A program that starts like a Python of this version, and says its own name where install.py would begin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    major, minor = version.split(".")
    path.write_text(
        f'#!/bin/sh\ncase $1 in -c) echo "{major} {minor:0>2}";; --version) echo Python {version}.9;; '
        '*) echo "$0 runs $*";; esac\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def make(tmp_path):
    """make, in a folder with the Makefile, on a path with the given interpreters and without this machine's."""
    for name in ("Makefile", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("make", "sh"):
        (tools / tool).symlink_to(shutil.which(tool))

    def run(*arguments: str, target: str = ".venv/installed", **interpreters: str) -> subprocess.CompletedProcess:
        for name, version in interpreters.items():
            interpreter(tmp_path / "interpreters" / name.replace("_", "."), version)
        path = f"{tmp_path / 'interpreters'}:{tools}"
        command = [tools / "make", "--no-print-directory", target, *arguments]
        return subprocess.run(command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True)

    return run


@needs_make
@pytest.mark.parametrize(
    ("interpreters", "taken"),
    [
        ({"python3": "3.12", "python3_14": "3.14"}, "python3"),
        ({"python3": "3.9", "python3_14": "3.14", "python3_11": "3.11"}, "python3.14"),
        ({"python3": "3.6", "python3_10": "3.10"}, "python3.10"),
        ({"python": "3.13"}, "python"),
        ({"python3": "3.15", "python3_13": "3.13"}, "python3.13"),
        ({"python3": "3.15", "python": "2.7"}, "python3"),
    ],
)
def test_python_is_found_under_any_of_its_names(make, interpreters, taken):
    done = make(**interpreters)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.endswith(f"interpreters/{taken} runs install.py\n") or done.stdout == f"{taken} runs install.py\n"
    )


@needs_make
def test_a_python_is_named_with_a_space_in_its_path(make, tmp_path):
    named = interpreter(tmp_path / "my programs" / "python", "3.13")
    assert make(f"PYTHON={named}").stdout == f"{named} runs install.py\n"
    latest = make(f"PYTHON={named}", "LATEST=1", target=".venv-latest/installed")
    assert latest.stdout == f"{named} runs install.py --latest\n"


@needs_make
def test_the_true_reason_is_said_where_no_python_will_do(make, tmp_path):
    old = interpreter(tmp_path / "old ones" / "python", "3.6")
    needed, named = "Python 3.10 or newer is needed", "; PYTHON=/path/to/python3 names one\n"
    for arguments, interpreters, reason in (
        ((f"PYTHON={old}",), {"python3": "3.13"}, f"; {old} is Python 3.6.9"),
        (("PYTHON=/no where",), {}, "; /no where does not start"),
    ):
        done = make(*arguments, **interpreters)
        assert done.returncode == 2
        assert done.stderr.startswith(f"{needed}{reason}{named}"), done.stderr
    shutil.rmtree(tmp_path / "interpreters")
    assert make().stderr.startswith(f"{needed}, and none was found{named}")
    assert make(python3="3.9", python="2.7").stderr.startswith(
        f"{needed}; python3 is Python 3.9.9; python is Python 2.7.9{named}"
    )


def test_two_at_once_wait_for_each_other(tmp_path):
    """The second finds what the first has made, and makes nothing."""
    fcntl = pytest.importorskip("fcntl")
    for name in ("install.py", "setup.py", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, "install.py"]
    with (tmp_path / "install.py").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        assert second.stdout.readline() == "waiting for another process, which makes the environment\n"
        (tmp_path / ".venv").mkdir()
        time.sleep(0.05)
        (tmp_path / ".venv/installed").touch()
    with contextlib.closing(second.stdout):
        assert (second.wait(60), second.stdout.read()) == (0, "")
    assert [path.name for path in (tmp_path / ".venv").iterdir()] == ["installed"]


def test_a_package_without_a_wheel_is_named_in_one_line(tmp_path):
    command = [sys.executable, "-m", "pip", "download", "--no-index", "--only-binary=:all:", "--find-links", tmp_path]
    error = subprocess.run([*command, "h5py==3.16.0"], cwd=tmp_path, capture_output=True, text=True).stderr
    said = install.explained(error)
    assert said.startswith(f"h5py has no wheel for Python {sys.version.split()[0]} (")
    assert said.endswith("Python 3.10 to 3.14 have all that is needed: PYTHON=/path/to/python3 names one")
    assert "\n" not in said
    # Without a network pip knows of no wheel either, and that is not the reason.
    assert not install.explained(f"WARNING: Retrying (Retry(total=4, ...)) after connection broken\n{error}")
    assert not install.explained("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.")


def pins(name: str) -> dict[str, list[Requirement]]:
    """A lock file's lines, by package."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith(("#", " ")):
            requirement = Requirement(line.rstrip(" \\"))
            found.setdefault(requirement.name.lower(), []).append(requirement)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_version_by_hashes_and_names_no_server(name):
    text = (ROOT / name).read_text()
    assert "http" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    for block in re.findall(r"^\w.*(?:\n +--hash.*)*", text, re.MULTILINE):
        assert re.match(r"[\w.-]+==[\w.]+( ; .*)? \\\n +--hash=sha256:[0-9a-f]{64}", block), block


def test_the_lock_has_all_that_setup_py_needs_within_its_bounds():
    for name, requirements in (
        ("requirements.lock", pins("requirements.lock")),
        ("requirements-test.lock", pins("requirements-test.lock")),
    ):
        text = (ROOT / "setup.py").read_text()
        needed = re.search(r"install_requires=\[(.*?)\]", text, re.DOTALL)[1]
        if "test" in name:
            needed += re.search(r'"test": \[(.*?)\]', text, re.DOTALL)[1]
        for requirement in map(Requirement, re.findall(r'"([^"]+)"', needed)):
            versions = [str(pin.specifier).removeprefix("==") for pin in requirements[requirement.name]]
            assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_what_is_tested_is_what_is_locked():
    tested = pins("requirements-test.lock")
    for name, versions in pins("requirements.lock").items():
        assert sorted(map(str, tested[name])) == sorted(map(str, versions))
    assert str(tested["setuptools"][0]) == str(pins("requirements-build.lock")["setuptools"][0])


def test_the_published_runs_were_made_with_the_versions_of_the_lock():
    locked = pins("requirements.lock")
    for path in (ROOT / "docs/results").glob("*/runs.csv"):
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                python = {"python_full_version": row["python"], "python_version": row["python"].rpartition(".")[0]}
                for name, version in (package.split() for package in row["packages"].split(", ")):
                    pinned = [pin for pin in locked[name] if not pin.marker or pin.marker.evaluate(python)]
                    assert [str(pin.specifier) for pin in pinned] == [f"=={version}"], (path, name)
