"""runs.csv and histories.csv: the published runs with where they are from, and the same put back into a store.

Each run has a checksum over all that the two files say of it. It shows what a slip of the hand or a bad merge changed.
It does not show who wrote the files: whoever changes a number on purpose can write the checksum anew.
"""

import hashlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reproduce.cli import add_options, parser_for
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.files import csv_bytes, csv_rows, write_atomically
from reproduce.store.history import EpochRecord, History, add_epoch
from reproduce.store.provenance import COMPUTING_PACKAGES, checksum_of
from reproduce.store.runs import keep_record
from reproduce.study import Study

RUNS, HISTORIES = "runs.csv", "histories.csv"
RUN_COLUMNS = (
    *("key", "used_by", "seed", "from_epoch", "seconds", "engine", "device", "cpu", "cpu_cores", "threads"),
    *("platform", "python", "packages", "commit", "code", "started", "data", "data_fingerprint", "settings"),
    "checksum",
)
HISTORY_COLUMNS = ("key", *EpochRecord._fields)
# What publications of earlier versions of this package do not have.
ADDED_COLUMNS = ("code", "checksum")
WITH_CHANGES = " with changes"


def write_runs(out: Path, present: dict[str, tuple[Experiment, list[str]]], study: Study) -> None:
    """Write runs.csv, a row for each part of a run, newest first, and histories.csv, a row for each epoch.

    Args:
        present: by key, each run and what needs it.
    """
    runs, epochs = [], []
    for key, (experiment, users) in sorted(present.items()):
        history, provenance = study.state(experiment).history, study.state(experiment).provenance
        # All digits: figures made from these files are the same as those made from the runs.
        of_run = [[key, str(row.epoch), *(repr(float(value)) for value in row[1:])] for row in history]
        parts: list[list[str]] = []
        ends = len(history)
        for part in [provenance, *provenance["earlier"]]:  # type: ignore[index]
            # An epoch in which a run was stopped counts for the part that ended it.
            seconds = sum(row.seconds for row in history[part["from_epoch"] : ends])
            ends = part["from_epoch"]
            used_by = " ".join(user.replace(" ", ":") for user in users)
            parts.append(
                [
                    *(key, used_by, str(experiment.seed), str(ends), f"{seconds:.1f}"),
                    *(*_origin(part), _as_options(experiment)),
                ]
            )
        checksum = checksum_of_run([dict(zip(RUN_COLUMNS, part, strict=False)) for part in parts], of_run)
        runs += [[*part, checksum] for part in parts]
        epochs += of_run
    write_atomically(out / RUNS, csv_bytes([RUN_COLUMNS, *runs]))
    write_atomically(out / HISTORIES, csv_bytes([HISTORY_COLUMNS, *epochs]))


def checksum_of_run(parts: Iterable[dict[str, str]], epochs: Iterable[Sequence[str]]) -> str:
    """The first 128 bits of SHA-256, in hexadecimal, over all cells that the two files have of a run.

    Args:
        parts: its rows of runs.csv, by column; a checksum among them, and columns that are empty, do not count.
        epochs: its rows of histories.csv.
    """
    said = [[f"{name}={value}" for name, value in part.items() if name != "checksum" and value] for part in parts]
    return hashlib.sha256(csv_bytes([*said, *epochs])).hexdigest()[:32]


def _origin(part: dict[str, Any]) -> list[str]:
    packages = [f"{n} {v}" for n, v in part["packages"].items() if n.lower().startswith(COMPUTING_PACKAGES)]
    commit = f"{part['git']['commit'][:12]}{WITH_CHANGES if part['git']['dirty'] else ''}" if part["git"] else ""
    machine = (part["engine"], part["device"], part["cpu"], part["cpu_cores"], part["engine_threads"], part["platform"])
    data = part["data"]["name"], part["data"]["fingerprint"]
    versions = part["python"], ", ".join(packages), commit, part.get("code", "")
    return [str(value) for value in (*machine, *versions, part["started"], *data)]


def _as_options(experiment: Experiment) -> str:
    """Settings as `--name=value`, as `python -m reproduce train` takes them; the data's fingerprint has a column."""

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        return ",".join("x".join(map(str, block)) for block in value) if isinstance(value, list) else str(value)

    settings = experiment.settings().items()
    return " ".join(f"--{name.replace('_', '-')}={text(v)}" for name, v in settings if name != "data_fingerprint")


def restore_runs(published: Path, store: Path, fingerprint_of_seed: Callable[[int], str]) -> None:
    """Put the runs of an earlier publication, which may be another machine's, into the store as records.

    Args:
        published: the folder that has it, if there is one.
        fingerprint_of_seed: of the images of a seed's runs.

    Raises:
        BadInput: its files do not fit together, or not to this version, or are not what was published, or a run is of
            other images: it would be lost where the new publication takes the old one's place.
    """
    try:
        # All of it is checked before any of it is taken.
        found = list(_published(published))
        for experiment, _, _ in found:
            if experiment.data_fingerprint != fingerprint_of_seed(experiment.seed):
                raise ValueError(
                    f"run {experiment.key}: is of other images than runs of seed {experiment.seed} are now"
                )
        for experiment, history, provenance in found:
            keep_record(store, experiment, history, provenance)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{published}: expected {RUNS} and {HISTORIES} as `publish` writes them: {error}") from None


def _published(published: Path) -> Iterator[tuple[Experiment, History, dict[str, Any]]]:
    parts = _by_run(published / RUNS, RUN_COLUMNS)
    epochs = _by_run(published / HISTORIES, HISTORY_COLUMNS)
    if lonely := sorted(parts.keys() ^ epochs.keys()):
        raise ValueError(f"run {lonely[0]}: is in one of the two files and not in the other one")
    for key, of_run in parts.items():
        try:
            yield _run_of(key, of_run, epochs[key])
        except ValueError as error:
            raise ValueError(f"run {key}: {error}") from None


def _by_run(path: Path, columns: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The rows of each run, by its key."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in csv_rows(path):
        if missing := [name for name in columns if name not in row and name not in ADDED_COLUMNS]:
            raise ValueError(f"{path.name}: expected a column {missing[0]}")
        found.setdefault(row["key"], []).append(row)
    return found


def _run_of(
    key: str, parts: list[dict[str, str]], epochs: list[dict[str, str]]
) -> tuple[Experiment, History, dict[str, Any]]:
    written = [[row[name] for name in HISTORY_COLUMNS] for row in epochs]
    # Publications of earlier versions have no checksums, and get them when they are published again.
    if any(part.get("checksum") != checksum_of_run(parts, written) for part in parts if "checksum" in part):
        raise ValueError(
            "its checksum does not hold: these files were changed after they had been published; take them as they were"
        )
    experiment = experiment_of_row(parts[0])
    if experiment.key != key:
        raise ValueError(f"the run of these settings is {experiment.key}; found {key}")
    history: History = []
    for row in written:
        add_epoch(history, row[1:])
    first_epochs = [int(part["from_epoch"]) for part in parts]
    # A run that was stopped in the middle of an epoch goes on in the same one.
    if first_epochs != sorted(first_epochs, reverse=True) or not 0 <= first_epochs[0] <= len(history):
        raise ValueError(
            f"expected parts that begin at epochs before {len(history)}, newest first; found {first_epochs}"
        )
    return experiment, history, _provenance(parts)


def experiment_of_row(row: dict[str, str]) -> Experiment:
    """The experiment of a row of runs.csv."""
    parser = parser_for(RUNS, "", has_help=False)
    add_options(parser, Experiment)
    settings = vars(parser.parse_args(shlex.split(row["settings"])))
    return Experiment(data_fingerprint=row["data_fingerprint"], **settings)


def _provenance(rows: Iterable[dict[str, str]]) -> dict[str, Any]:
    """What runs.csv keeps of a run's provenance, in the form of one."""
    newest, *earlier = (
        {
            "from_epoch": int(row["from_epoch"]),
            "engine": row["engine"],
            "device": row["device"],
            "cpu": row["cpu"],
            "cpu_cores": int(row["cpu_cores"]),
            "engine_threads": int(row["threads"]),
            "platform": row["platform"],
            "python": row["python"],
            "packages": dict(package.rsplit(" ", 1) for package in row["packages"].split(", ")),
            "git": _git(row["commit"]),
            **({"code": row["code"]} if row.get("code") else {}),
            "started": row["started"],
            "data": {"name": row["data"], "fingerprint": row["data_fingerprint"]},
        }
        for row in rows
    )
    found = {**newest, "earlier": earlier}
    return {**found, "checksum": checksum_of(found)}


def _git(commit: str) -> dict[str, Any] | None:
    if not commit:
        return None
    return {"commit": commit.removesuffix(WITH_CHANGES), "dirty": commit.endswith(WITH_CHANGES)}
