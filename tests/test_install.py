"""`make`'s first target: the Python that it takes, the environment that it makes, and the lock that this comes from."""

import contextlib
import csv
import os
import re
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import install
from reproduce.version import VERSION
from tests.helpers.processes import ROOT, run_python

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


@needs_make
def test_a_named_python_that_did_not_make_the_environment_is_refused(tmp_path):
    """It would go unheard: what is there runs in the Python that made it."""
    for name in ("Makefile", "install.py", "setup.py", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    made_by = tmp_path / ".venv" / "made-by"

    def make(*settings):
        (tmp_path / ".venv" / "installed").touch()
        command = ["make", "--no-print-directory", ".venv/installed", *settings]
        # Not as a part of the make that runs the tests, which hands its own settings on.
        environment = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    made_by.write_text("3.10.1 (another one)\n[of ours]")
    refused = make(f"PYTHON={sys.executable}")
    (said, of_make) = refused.stderr.splitlines()
    assert refused.returncode == 2
    assert said.startswith(".venv was made by Python 3.10.1 (another one) [of ours], and PYTHON names 3.")
    assert said.endswith("; remove .venv first")
    assert of_make.startswith("make: ***")
    assert make().returncode == 0
    made_by.write_text(sys.version)
    assert make(f"PYTHON={sys.executable}").returncode == 0
    assert sorted(path.name for path in (tmp_path / ".venv").iterdir()) == ["installed", "made-by"]


def test_an_environment_of_somebody_else_is_not_cleared(tmp_path):
    for name in ("install.py", "setup.py", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    own = tmp_path / ".venv" / "bin" / "my-program"
    own.parent.mkdir(parents=True)
    own.touch()
    done = subprocess.run([sys.executable, "install.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.endswith(".venv was not made by this command, which would clear it; move it away or remove it first")
    assert own.exists()


def test_all_of_an_environment_but_its_mark_is_cleared(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / ".venv"
    for path in (outside / "kept", folder / "lib" / "half-made", folder / "bin" / "python"):
        path.parent.mkdir(parents=True)
        path.touch()
    (folder / "link").symlink_to(outside)
    (folder / "made-by").write_text("")
    install._clear(folder, folder / "made-by")
    assert [path.name for path in folder.iterdir()] == ["made-by"]
    assert (outside / "kept").exists()


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


def test_a_file_system_without_locks_is_refused_in_one_line(tmp_path):
    for name in ("install.py", "setup.py", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    code = (
        "import errno, fcntl, os, runpy\n"
        "def flock(*_): raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))\n"
        "fcntl.flock = flock\n"
        "runpy.run_path('install.py', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert re.match(r"install\.py cannot be locked, .*: Function not implemented; expected a file that can be", said)
    assert not (tmp_path / ".venv").exists()


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


@pytest.mark.parametrize("python", ["3.10.0", "3.11.7", "3.12.0", "3.13.0", "3.14.0"])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_what_is_tested_is_what_is_locked(python, system):
    """On CPython. What the tests alone need may want more of a package elsewhere."""
    surroundings = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": system,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }

    def installed(lines):
        return [str(pin.specifier) for pin in lines if not pin.marker or pin.marker.evaluate(surroundings)]

    tested = pins("requirements-test.lock")
    for name, versions in pins("requirements.lock").items():
        assert installed(tested[name]) == installed(versions), name
    assert str(tested["setuptools"][0]) == str(pins("requirements-build.lock")["setuptools"][0])


def test_the_published_runs_of_a_cpu_were_made_with_the_versions_of_the_lock():
    """The lock has no CuPy: docs/installing.md says with what those of a GPU were made."""
    locked = pins("requirements.lock")
    for path in (ROOT / "docs/results").glob("*/runs.csv"):
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                if row["device"] != "CPU":
                    continue
                python = {"python_full_version": row["python"], "python_version": row["python"].rpartition(".")[0]}
                for name, version in (package.split() for package in row["packages"].split(", ")):
                    pinned = [pin for pin in locked[name] if not pin.marker or pin.marker.evaluate(python)]
                    assert [str(pin.specifier) for pin in pinned] == [f"=={version}"], (path, name)


def test_the_version_stands_in_one_place_and_the_citation_has_it():
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == VERSION
    for command in ("reproduce", "figures", "figures.depth"):
        done = run_python("-m", command, "--version", cwd=ROOT)
        assert (done.returncode, done.stdout) == (0, f"conv-nn-report {VERSION}\n"), done.stderr


def test_the_makefile_needs_nothing_that_gnu_make_3_81_lacks():
    """Macs have 3.81, of 2006; what came later, by the release that brought it."""
    since = {
        r"^\s*define\s+\S+\s*[:?+]?=": "3.82",
        r"^\s*(override\s+)?(private|undefine)\s": "3.82",
        r"^\s*\.(ONESHELL|SHELLFLAGS)\b": "3.82",
        r"^[^\t#]*(!=|::=)": "4.0",
        r"\$[({](file|guile)\s": "4.0",
        r"^\s*-?load\s": "4.0",
        r"&:": "4.3",
        r"\$[({](let|intcmp)\s": "4.4",
    }
    for number, line in enumerate((ROOT / "Makefile").read_text().splitlines(), 1):
        for pattern, release in since.items():
            assert not re.search(pattern, line), f"Makefile:{number} needs GNU make {release}: {line}"


@pytest.fixture
def clone(tmp_path):
    """A fresh clone of this checkout, with what is not committed, and with nothing installed."""
    folder = tmp_path / "clone"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def successful(*command: object, cwd: Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**clean, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SMOKE = ("figures.depth", "--profile=smoke", "--data=synthetic", "--seeds=1", "--epochs=1")


@pytest.mark.slow
def test_a_wheel_and_an_sdist_give_the_same_package_and_it_runs_in_an_empty_environment(clone, tmp_path):
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    successful(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", tmp_path, cwd=clone)
    (sdist,) = tmp_path.glob("*.tar.gz")
    contents = []
    for source in (clone, sdist):
        out = tmp_path / f"from-{source.name}"
        successful(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, source, cwd=tmp_path)
        (wheel,) = out.glob("*.whl")
        contents.append(sorted(zipfile.ZipFile(wheel).namelist()))
    assert contents[0] == contents[1]
    held = "\n".join(contents[0])
    for name in (
        "reproduce/compat.py",
        "render/page.css",
        "conv_nn_report_startup.pth",
        "figure-06.csv",
        "quick/runs.csv",
    ):
        assert name in held
    assert "tests/" not in held

    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    for arguments in (
        ("--require-hashes", "-r", ROOT / "requirements-build.lock"),
        ("--require-hashes", "--no-build-isolation", "-r", ROOT / "requirements.lock"),
        ("--no-deps", wheel),
    ):
        successful(python, "-m", "pip", "install", "--quiet", *arguments, cwd=tmp_path)
    assert successful(python, "-c", "import chainer; print(chainer.__version__)", cwd=tmp_path) == "7.8.1\n"
    successful(python, "-m", *SMOKE, cwd=tmp_path)
    assert next((tmp_path / "results").glob("smoke*/figure-2.png"))


@pytest.mark.slow
@needs_make
def test_the_newest_versions_train(clone):
    settings = ("PROFILE=smoke", "DATA=synthetic", "SEEDS=1", "EPOCHS=1")
    successful("make", "figure-2", *settings, f"PYTHON={sys.executable}", "LATEST=1", cwd=clone)
    assert [path.name for path in clone.glob(".venv*")] == [".venv-latest"]


@pytest.mark.slow
def test_the_lowest_versions_of_setup_py_train_on_the_oldest_python(clone, tmp_path):
    oldest = shutil.which("python3.10")
    if oldest is None or subprocess.run([oldest, "-c", ""], capture_output=True).returncode:
        pytest.skip("there is no Python 3.10 here")
    environment = tmp_path / "environment"
    successful(oldest, "-m", "venv", environment, cwd=tmp_path)
    python = environment / "bin/python"
    for packages in (["uv"], ["-r", ROOT / "requirements-build.lock"]):
        successful(python, "-m", "pip", "install", "--quiet", *packages, cwd=tmp_path)
    pip = (environment / "bin/uv", "pip")
    lowest = tmp_path / "lowest.txt"
    build = ("--build-constraints", ROOT / "requirements-build.lock", "--constraints", ROOT / "requirements-build.lock")
    successful(*pip, "compile", "--resolution=lowest-direct", *build, "setup.py", "-o", lowest, cwd=clone)
    successful(*pip, "install", "--python", python, "--no-build-isolation", "-r", lowest, "-e", clone, cwd=tmp_path)
    assert successful(python, "-c", "import numpy; print(numpy.__version__)", cwd=tmp_path) == "1.23.0\n"
    successful(python, "-m", *SMOKE, cwd=tmp_path)
