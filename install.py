"""Make the environment that every command runs in, as `make` does it: python3 install.py [test|bench] [--latest]

`.venv` gets the versions of requirements.lock, whose files are checked by their hashes; `--latest` makes `.venv-latest`
with the newest that setup.py allows. Several of these may run at once: the others wait for the first.
"""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
TRIED = ((3, 10), (3, 14))
# Whatever is compiled comes as a wheel, or not at all: no compiler is needed. Chainer is Python alone, and comes as
# source, whose build needs the setuptools and wheel of requirements-build.lock.
WHEELS_ALONE = ("--only-binary=:all:", "--no-binary=chainer", "--no-build-isolation")
LOCKS = {"": "requirements.lock", "test": "requirements-test.lock"}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other process makes an environment here, on this machine or on others that share the folder."""
    try:
        import fcntl
    except ImportError:  # Windows, which has no make, and so no two of them
        yield
        return
    with contextlib.ExitStack() as held:
        try:
            lock = held.enter_context(Path(__file__).open("r+"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("waiting for another process, which makes the environment", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            _refuse(
                f"{__file__} cannot be locked, as is needed for no two commands to make the environment at once: "
                f"{error.strerror or error}; expected a file that can be written to, where files can be locked (flock)"
            )
        yield


def _is_current(stamp: Path, sources: list[Path]) -> bool:
    return stamp.exists() and all(stamp.stat().st_mtime >= source.stat().st_mtime for source in sources)


def _pip(python: Path, *arguments: object) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run([str(word) for word in command], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return
    if reason := explained(done.stderr):
        _refuse(reason)
    sys.exit(f"{done.stderr}the environment could not be made; the same command tries again")


def _refuse(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(2)


def explained(error: str) -> str:
    """One line for what pip says where a package has no wheel for this Python; nothing for all else.

    Args:
        error: what pip wrote to standard error.
    """
    missing = re.search(r"No matching distribution found for ([\w.-]+)", error)
    if not missing or "Retrying" in error:
        return ""
    (_, oldest), (_, newest) = TRIED
    libc = ", without glibc" if platform.system() == "Linux" and not platform.libc_ver()[0] else ""
    machine = f"{platform.system()} on {platform.machine()}{libc}"
    return (
        f"{missing[1]} has no wheel for Python {platform.python_version()} ({machine}), so it cannot be installed; "
        f"Python 3.{oldest} to 3.{newest} have all that is needed: PYTHON=/path/to/python3 names one"
    )


def _make(folder: Path, extra: str, is_latest: bool) -> None:
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    whole = folder / "made-by"
    if not extra:
        print(f"making {folder.name} with Python {platform.python_version()} (once, about a minute)", flush=True)
        # What was left half made, or by another Python, goes; nothing is taken from under a command that runs in it.
        if not whole.exists() or whole.read_text() != sys.version:
            _clear(folder, whole)
        whole.write_text("")
        try:
            venv.create(folder, symlinks=os.name != "nt", with_pip=True)
        except subprocess.CalledProcessError:
            _refuse(f"{sys.executable} cannot make an environment with pip; Debian's package python3-venv mends that")
        if is_latest:
            _pip(python, "--upgrade", "setuptools<81", "wheel")
        else:
            _pip(python, "--require-hashes", "-r", "requirements-build.lock")
    if not is_latest and extra in LOCKS:
        _pip(python, *WHEELS_ALONE, "--require-hashes", "-r", LOCKS[extra])
        _pip(python, "--no-build-isolation", "--no-deps", "-e", ".")
    else:
        upgrade = ("--upgrade", "--upgrade-strategy=eager") if is_latest else ()
        _pip(python, *WHEELS_ALONE, *upgrade, "-e", f".[{extra}]" if extra else ".")
    if not extra:
        whole.write_text(sys.version)


def _clear(folder: Path, mark: Path) -> None:
    """Remove all of an environment but its mark: without it, what is left half cleared would be somebody else's."""
    folder.mkdir(exist_ok=True)
    if not mark.exists() and any(folder.iterdir()):
        _refuse(f"{folder} was not made by this command, which would clear it; move it away or remove it first")
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != mark:
            path.unlink()


def _refuse_another_python(folder: Path) -> None:
    """Where PYTHON names another Python than the one that made the environment, it would go unheard."""
    whole = folder / "made-by"
    made_by = whole.read_text() if os.environ.get("PYTHON") and whole.exists() else ""
    if made_by not in ("", sys.version):
        old, new = (" ".join(version.split()) for version in (made_by, sys.version))
        _refuse(f"{folder.name} was made by Python {old}, and PYTHON names {new}; remove {folder.name} first")


def main(arguments: list[str]) -> None:
    is_latest = "--latest" in arguments
    extra = "".join(argument for argument in arguments if argument != "--latest")
    if extra not in ("", "test", "bench"):
        _refuse(f"expected test, bench or --latest; found {' '.join(arguments)}")
    folder = ROOT / (".venv-latest" if is_latest else ".venv")
    sources = [ROOT / "setup.py"] + ([] if is_latest else sorted(ROOT.glob("requirements*.lock")))
    if sys.version_info[:2] > TRIED[1] and not is_latest:
        is_latest = True
        print("requirements.lock is for Python 3.10 to 3.14; this one gets the newest packages", flush=True)
    if not os.access(ROOT, os.W_OK):
        _refuse(f"{ROOT} cannot be written to, so no environment can be made in it")
    with _alone():
        _refuse_another_python(folder)
        for part in dict.fromkeys(["", extra]):
            stamp = folder / ("installed" + (f"-{part}" if part else ""))
            if not _is_current(stamp, sources):
                _make(folder, part, is_latest)
                stamp.touch()


if __name__ == "__main__":
    main(sys.argv[1:])
