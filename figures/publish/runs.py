"""runs.csv and histories.csv: the published runs with where they are from, and the same put back into a store."""

import csv
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reproduce.cli import add_options, parser_for
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.files import csv_bytes, write_atomically
from reproduce.store.history import EpochRecord, History
from reproduce.store.provenance import COMPUTING_PACKAGES, checksum_of
from reproduce.store.runs import keep_record
from reproduce.study import Study

RUNS, HISTORIES = "runs.csv", "histories.csv"
RUN_COLUMNS = (
    *("key", "used_by", "seed", "from_epoch", "seconds", "engine", "device", "cpu", "cpu_cores", "threads"),
    *("platform", "python", "packages", "commit", "started", "data", "data_fingerprint", "settings"),
)
WITH_CHANGES = " with changes"


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV's rows; none if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_runs(out: Path, present: dict[str, tuple[Experiment, list[str]]], study: Study) -> None:
    """Write runs.csv, a row for each part of a run, newest first, and histories.csv, a row for each epoch.

    Args:
        present: by key, each run and what needs it.
    """
    runs, epochs = [], []
    for key, (experiment, users) in sorted(present.items()):
        history, provenance = study.state(experiment).history, study.state(experiment).provenance
        epochs += [[key, row.epoch, *(f"{value:.6g}" for value in row[1:])] for row in history]
        ends = len(history)
        for part in [provenance, *provenance["earlier"]]:
            # An epoch in which a run was stopped counts for the part that ended it.
            seconds = sum(row.seconds for row in history[part["from_epoch"] : ends])
            ends = part["from_epoch"]
            used_by = " ".join(user.replace(" ", ":") for user in users)
            runs.append(
                [key, used_by, experiment.seed, ends, f"{seconds:.1f}", *_origin(part), _as_options(experiment)]
            )
    write_atomically(out / RUNS, csv_bytes([RUN_COLUMNS, *runs]))
    write_atomically(out / HISTORIES, csv_bytes([("key", *EpochRecord._fields), *epochs]))


def _origin(part: dict[str, Any]) -> list[Any]:
    packages = [f"{n} {v}" for n, v in part["packages"].items() if n.lower().startswith(COMPUTING_PACKAGES)]
    commit = f"{part['git']['commit'][:12]}{WITH_CHANGES if part['git']['dirty'] else ''}" if part["git"] else ""
    machine = (part["engine"], part["device"], part["cpu"], part["cpu_cores"], part["engine_threads"], part["platform"])
    data = part["data"]["name"], part["data"]["fingerprint"]
    return [*machine, part["python"], ", ".join(packages), commit, part["started"], *data]


def _as_options(experiment: Experiment) -> str:
    """Settings as `--name=value`, as `python -m reproduce train` takes them; the data's fingerprint has a column."""

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        return ",".join("x".join(map(str, block)) for block in value) if isinstance(value, list) else str(value)

    settings = experiment.settings().items()
    return " ".join(f"--{name.replace('_', '-')}={text(v)}" for name, v in settings if name != "data_fingerprint")


def restore_runs(published: Path, store: Path, fingerprint: str) -> None:
    """Put the runs of an earlier publication, which may be another machine's, into the store as records.

    Args:
        published: the folder that has it, if there is one.
        fingerprint: of the data; runs on other data stay out.

    Raises:
        BadInput: its files do not fit together, or not to this version.
    """
    try:
        for experiment, history, provenance in _published(published, fingerprint):
            keep_record(store, experiment, history, provenance)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{published}: expected {RUNS} and {HISTORIES} as `publish` writes them: {error}") from None


def _published(published: Path, fingerprint: str) -> Iterator[tuple[Experiment, History, dict[str, Any]]]:
    parts: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(published / RUNS):
        parts.setdefault(row["key"], []).append(row)
    histories: dict[str, History] = {}
    for row in rows_of(published / HISTORIES):
        record = EpochRecord(int(row["epoch"]), *(float(row[name]) for name in EpochRecord._fields[1:]))
        histories.setdefault(row["key"], []).append(record)
    for key, of_run in parts.items():
        if of_run[0]["data_fingerprint"] == fingerprint:
            experiment = experiment_of_row(of_run[0])
            if experiment.key != key:
                raise ValueError(f"the run of these settings is {experiment.key}; found {key}")
            yield experiment, histories[key], _provenance(of_run)


def experiment_of_row(row: dict[str, str]) -> Experiment:
    """The experiment of a row of runs.csv."""
    parser = parser_for(RUNS, "")
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
