"""Which code computes the numbers of a run: the versions of what it is built on, and a digest of each source."""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

from reproduce.files import json_bytes

ROOT = Path(__file__).resolve().parents[1]
# Files and folders of this package that decide what a run's numbers are; what it learns from has a fingerprint.
SOURCES = (
    "augmentation.py",
    "compat.py",
    "devices.py",
    "engine",
    "experiment.py",
    "network.py",
    "optimizers.py",
    "pattern.py",
    "store/training_run.py",
    "training.py",
)
# CuPy is not among them: a command need not have the GPU that its workers have.
PACKAGES = ("chainer", "numpy", "scipy", "numba", "llvmlite")
DIFFERENCES_NAMED = 3

CodeVersion = Mapping[str, str]


@functools.cache
def code_version() -> CodeVersion:
    """The version of each package, and the first digits of each source's SHA-256.

    Read once: what a process has imported stays what it is, whatever happens to the files afterwards.
    """
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    for source in SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            # A checkout on Windows may have other ends of lines.
            content = file.read_bytes().replace(b"\r\n", b"\n")
            found[f"reproduce/{file.relative_to(ROOT).as_posix()}"] = hashlib.sha256(content).hexdigest()[:12]
    return found


def differences(there: CodeVersion, here: CodeVersion) -> str:
    """Where two versions differ, in a few words; empty if they do not."""
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    named = [f"{name} is {there.get(name, 'missing')}, here {here.get(name, 'missing')}" for name in names]
    if len(named) > DIFFERENCES_NAMED:
        named[DIFFERENCES_NAMED:] = [f"and {len(named) - DIFFERENCES_NAMED} more differ"]
    return "; ".join(named)


@functools.cache
def sources_digest() -> str:
    """One digest of all sources that decide a run's numbers: 12 hexadecimal digits, kept in the run's provenance."""
    sources = {name: digest for name, digest in code_version().items() if name.startswith("reproduce/")}
    return hashlib.sha256(json_bytes(sources)).hexdigest()[:12]
