"""Where the checkout is, and processes of ours in it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = ROOT.parent / "shared" / "cifar10" / "CIFAR10-exact.hdf5"


def child_environment(**changes: str) -> dict[str, str]:
    """The environment of a process of ours: the checkout's packages on its path, and one thread for tiny products."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **changes}


def run_python(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run this interpreter in another folder, to its end."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=child_environment(**environment),
        capture_output=True,
        text=True,
        timeout=300,
    )


def drawn(results: Path) -> Path:
    """The one folder of what runs have given in a results folder, whatever data and sizes it is named after.

    Figure 1 and the tables may lie in the profile's own, whose name is shorter.
    """
    found = [path for path in results.iterdir() if path.is_dir() and path.name.startswith(("smoke", "quick"))]
    (of_runs,) = (path for path in found if len(found) == 1 or path.name not in ("smoke", "quick"))
    return of_runs
