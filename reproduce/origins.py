"""Where a set of runs is from: no mixing of data, and a sentence where engines or versions differ."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reproduce.errors import BadInput
from reproduce.results import read_provenance

# The packages whose versions may change a number; a provenance names all that are installed.
COMPUTING_PACKAGES = ("chainer", "numpy", "scipy", "numba", "llvmlite", "h5py", "cupy")


@dataclass(frozen=True)
class Origins:
    """What the provenances of several runs have in common, and where they differ.

    Attributes:
        engines: `fast engine on CPU`, in the order met.
        versions: each package, and Python, with every version met.
        machines: processor and platform.
        commits: of this package's checkout, and whether it had changes.
    """

    engines: tuple[str, ...] = ()
    versions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    machines: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()

    @property
    def engines_text(self) -> str:
        return " and ".join(self.engines)

    def warnings(self) -> list[str]:
        """A sentence for each way in which the runs were not computed alike."""
        sentences = []
        if len(self.engines) > 1:
            sentences.append(f"Engines differ between the runs: {self.engines_text}.")
        differing = [f"{name} {' and '.join(found)}" for name, found in self.versions if len(found) > 1]
        if differing:
            sentences.append(f"Package versions differ between the runs: {', '.join(differing)}.")
        return sentences


def origins_of(folders: Iterable[Path], fingerprint: str) -> Origins:
    """Read the provenance of runs that are to be set side by side; of runs that were resumed, that of all their parts.

    Args:
        folders: of the runs.
        fingerprint: of the data that all of them must have used.

    Raises:
        BadInput: a run used other data, or its provenance is missing or damaged.
    """
    engines: dict[str, None] = {}
    versions: dict[str, dict[str, None]] = {}
    machines: dict[str, None] = {}
    commits: dict[str, None] = {}
    for folder in dict.fromkeys(folders):
        provenance = read_provenance(folder)
        try:
            for part in [provenance, *provenance.get("earlier", [])]:
                _check_data(folder, part["data"]["fingerprint"], fingerprint)
                engines[f"{part['engine']} engine on {part['device']}"] = None
                machines[f"{part['cpu']}, {part['platform']}"] = None
                if git := part["git"]:
                    commits[git["commit"][:12] + (" with changes" if git["dirty"] else "")] = None
                for name, version in {"Python": part["python"], **part["packages"]}.items():
                    if name == "Python" or name.lower().startswith(COMPUTING_PACKAGES):
                        versions.setdefault(name, {})[str(version)] = None
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{folder / 'provenance.json'}: expected a run's provenance; {error} is not there") from None
    named = tuple((name, tuple(found)) for name, found in versions.items())
    return Origins(tuple(engines), named, tuple(machines), tuple(commits))


def _check_data(folder: Path, used: object, expected: str) -> None:
    if used != expected:
        raise BadInput(
            f"{folder}: this run used the data {str(used)[:40]!r}, and it is asked for beside runs on {expected!r}; "
            "runs on different data are not mixed"
        )
