"""What is needed to make a number again: versions, machine, data, engine, command line.

`provenance` is that of one run; `Origins` is what those of several runs have in common, and where they differ.
"""

import contextlib
import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce import engine
from reproduce.data.dataset import Dataset
from reproduce.errors import BadInput, first_line
from reproduce.files import json_bytes
from reproduce.store.code_version import sources_digest
from reproduce.text import listed, say_once

# What in the environment says how numbers are computed: numbers of threads, and CuPy's leave to round products to TF32.
COMPUTING_SETTINGS = ("_NUM_THREADS", "CUPY_TF32")


def provenance(
    dataset: Dataset, engine_used: str, device: int, earlier: dict[str, Any] | None, epochs_done: int
) -> dict[str, Any]:
    """All that is known before a run begins or goes on, in a form that JSON keeps.

    Args:
        earlier: the run's provenance so far, if it goes on; kept under `earlier`, newest first.
        epochs_done: the epochs that are finished already.
    """
    before = []
    if earlier:
        newest = {name: value for name, value in earlier.items() if name not in ("earlier", "checksum")}
        # Where a damaged network sends a run back, nothing is left of the parts that began later.
        before = [part for part in (newest, *earlier.get("earlier", [])) if part["from_epoch"] <= epochs_done]
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
        "engine": engine_used,
        "device": _device(device),
        "python": platform.python_version(),
        "packages": _packages(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpu_cores": engine.cores(),
        "engine_threads": engine.THREADS,
        "computing_settings": {n: value for n, value in os.environ.items() if n.endswith(COMPUTING_SETTINGS)},
        "git": _git(),
        "code": sources_digest(),
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
    """Every installed package and its version; looked up once, since that takes a tenth of a second.

    What a broken installation has left behind, without a name or a version, is none.
    """
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        # Whether a missing one is None or an error depends on the version of Python and on who stands in for it.
        with contextlib.suppress(OSError, KeyError):
            metadata: Any = distribution.metadata or {}
            versions[metadata["Name"]] = metadata["Version"]
    return dict(sorted((name, version) for name, version in versions.items() if name and version))


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
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        # Git refuses a checkout of another user, whose code we are running already, unless it is told otherwise.
        command = ["git", "-c", f"safe.directory={checkout}", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except subprocess.CalledProcessError as error:
        say_once(f"the commit is not recorded: {first_line(ValueError(error.stderr))}")
    except (OSError, subprocess.SubprocessError) as error:
        say_once(f"the commit is not recorded: {first_line(error)}")
    return None


# The packages whose versions may change a number; a provenance names all that are installed.
COMPUTING_PACKAGES = ("chainer", "numpy", "scipy", "numba", "llvmlite", "h5py", "cupy", "nvidia-cudnn")


@dataclass(frozen=True)
class Origins:
    """What the provenances of several runs have in common, and where they differ.

    Attributes:
        engines: `fast engine on CPU`, in the order met.
        versions: each package, and Python, with every version met.
        machines: processor and platform.
        commits: of this package's checkout, and whether it had changes.
        codes: digests of the sources that decide a run's numbers; runs of earlier versions do not say theirs.
    """

    engines: tuple[str, ...] = ()
    versions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    machines: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @property
    def engines_text(self) -> str:
        return listed(self.engines)

    def warnings(self) -> list[str]:
        """A sentence for each way in which the runs were not computed alike."""
        sentences = []
        if len(self.engines) > 1:
            sentences.append(f"Engines differ between the runs: {self.engines_text}.")
        differing = [f"{name} {listed(found)}" for name, found in self.versions if len(found) > 1]
        if differing:
            sentences.append(f"Package versions differ between the runs: {', '.join(differing)}.")
        if len(self.codes) > 1:
            sentences.append("The code that decides numbers differs between the runs.")
        return sentences


def summarize(provenances: Iterable[tuple[Path, dict[str, Any] | None, str]]) -> Origins:
    """What the provenances of runs that are to be compared have in common; of runs that were resumed, all their parts.

    Args:
        provenances: each run's folder, its provenance, and the fingerprint of the data that it is of.

    Raises:
        BadInput: a run used other data, or its provenance is missing or damaged.
    """
    engines: dict[str, None] = {}
    versions: dict[str, dict[str, None]] = {}
    machines: dict[str, None] = {}
    commits: dict[str, None] = {}
    codes: dict[str, None] = {}
    for folder, found, fingerprint in provenances:
        try:
            for part in [found, *found.get("earlier", [])]:  # type: ignore[union-attr]  # None is caught below
                _check_data(folder, part["data"]["fingerprint"], fingerprint)
                engines[f"{part['engine']} engine on {part['device']}"] = None
                machines[f"{part['cpu']}, {part['platform']}"] = None
                if git := part["git"]:
                    commits[git["commit"][:12] + (" with changes" if git["dirty"] else "")] = None
                if code := part.get("code"):
                    codes[str(code)] = None
                for name, version in {"Python": part["python"], **part["packages"]}.items():
                    if name == "Python" or name.lower().startswith(COMPUTING_PACKAGES):
                        versions.setdefault(name, {})[str(version)] = None
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{folder / 'provenance.json'}: expected a run's provenance; {error} is not there") from None
    named = tuple((name, tuple(found)) for name, found in versions.items())
    return Origins(tuple(engines), named, tuple(machines), tuple(commits), tuple(codes))


def is_of_other_code(provenance: dict[str, Any] | None) -> bool:
    """Whether a part of a run says that it was made by other sources than those that would make it now."""
    parts = [provenance, *provenance.get("earlier", [])] if provenance else []
    return any(part.get("code", sources_digest()) != sources_digest() for part in parts)


def _check_data(folder: Path, used: object, expected: str) -> None:
    if used != expected:
        raise BadInput(
            f"{folder}: expected the images with fingerprint {expected!r}; this run used {str(used)[:40]!r}; "
            "runs on different data are not mixed"
        )
