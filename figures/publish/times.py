"""times.csv: every round of every time that a claim rests on, and the same put back where `make claims` keeps times."""

import json
from pathlib import Path
from typing import Any

from figures.sections import CLAIMS, networks_timed
from reproduce.errors import BadInput
from reproduce.files import csv_bytes, csv_rows, write_atomically, write_json
from reproduce.plan import step_times
from reproduce.store.provenance import checksum_of
from reproduce.study import Study

TIMES = "times.csv"
ORIGIN = ("engine", "device", "cpu", "cpu_cores", "engine_threads", "platform", "python", "started")
COLUMNS = ("name", "timed", "round", "seconds", *ORIGIN, "data_fingerprint")


def _kept(study: Study) -> Path:
    return study.folder / "times.json"


def publish_times(out: Path, study: Study) -> None:
    """Write times.csv, a row for each round, from the times that are kept; nothing where there are none."""
    times = step_times.read_times(_kept(study), study.dataset.fingerprint)
    if not times.seconds:
        return
    origin = json.loads(_kept(study).read_text())["provenance"]
    wanted = {
        step_times.name_of(experiment, timed): timed
        for timed in (step_times.STEP, step_times.EPOCH)
        for experiment in networks_timed(CLAIMS, study, timed)
    }
    rows = [
        [name, timed, number, repr(float(seconds)), *(origin.get(one, "") for one in ORIGIN), study.dataset.fingerprint]
        for name, timed in sorted(wanted.items())
        for number, seconds in enumerate(times.seconds.get(name, ()))
    ]
    write_atomically(out / TIMES, csv_bytes([COLUMNS, *rows]))


def restore_times(out: Path, study: Study) -> None:
    """Keep the times of an earlier publication, which may be another machine's, where there are none.

    Raises:
        BadInput: the file is not one that `publish_times` wrote.
    """
    rows = [row for row in csv_rows(out / TIMES) if row.get("data_fingerprint") == study.dataset.fingerprint]
    if not rows or _kept(study).exists():
        return
    seconds: dict[str, list[float]] = {}
    try:
        for row in rows:
            seconds.setdefault(row["name"], []).append(float(row["seconds"]))
        origin: dict[str, Any] = {name: rows[0][name] for name in ORIGIN}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{out / TIMES}: expected times as `publish` writes them: {error}") from None
    origin["data"] = {"fingerprint": study.dataset.fingerprint}
    study.folder.mkdir(parents=True, exist_ok=True)
    content = {"provenance": origin, "seconds": seconds}
    write_json(_kept(study), {**content, "checksum": checksum_of(content)})
