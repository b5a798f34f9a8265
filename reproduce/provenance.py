"""What a number needs beside it to be got again: versions, machine, data, engine, command line."""

import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from reproduce.data import Dataset
from reproduce.engine import threads
from reproduce.files import json_bytes

# What in the environment says how numbers are computed: numbers of threads, and CuPy's leave to round products to TF32.
COMPUTING_SETTINGS = ("_NUM_THREADS", "CUPY_TF32")


def provenance(
    dataset: Dataset, engine: str, device: int, earlier: dict[str, Any] | None, epochs_done: int
) -> dict[str, Any]:
    """All that is known before a run begins or goes on, in a form that JSON keeps.

    Args:
        earlier: the run's provenance so far, if it goes on; kept under `earlier`, newest first.
        epochs_done: the epochs that are finished already.
    """
    before = []
    if earlier:
        before = [{name: value for name, value in earlier.items() if name not in ("earlier", "checksum")}]
        before += earlier.get("earlier", [])
    found = {
        "from_epoch": epochs_done,
        "earlier": before,
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "is_synthetic": dataset.is_synthetic,
            "train_images": len(dataset.y_train),
            "test_images": len(dataset.y_test),
        },
        "engine": engine,
        "device": _device(device),
        "python": platform.python_version(),
        "packages": _packages(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "engine_threads": threads.COUNT,
        "computing_settings": {n: value for n, value in os.environ.items() if n.endswith(COMPUTING_SETTINGS)},
        "git": _git(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    return {**found, "checksum": checksum_of(found)}


def checksum_of(provenance: dict[str, Any]) -> str:
    """SHA-256 over all of a provenance but its checksum."""
    rest = {name: value for name, value in provenance.items() if name != "checksum"}
    return hashlib.sha256(json_bytes(rest)).hexdigest()


@functools.cache
def _packages() -> dict[str, str]:
    """Every installed package and its version; looked up once, since that takes a tenth of a second."""
    all_metadata = (found.metadata for found in importlib.metadata.distributions())
    return dict(sorted((metadata["Name"], metadata["Version"]) for metadata in all_metadata))


def _device(device: int) -> str:
    if device < 0:
        return "CPU"
    from chainer.backends import cuda

    return f"GPU {device}: {cuda.cupy.cuda.runtime.getDeviceProperties(device)['name'].decode()}"


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git() -> dict[str, Any] | None:
    """The commit of this package's own checkout, and whether the checkout differs from it; None outside of one."""
    here = Path(__file__).resolve().parent

    def ask(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if Path(ask("rev-parse", "--show-toplevel")).resolve() != here.parent:
            return None
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
