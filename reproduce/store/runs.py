"""The results store: one folder a run, `<results>/runs/<key>/`.

The truth about a run is its newest whole checkpoint, or the record of a longer run that was made elsewhere (see
`checkpoint`). experiment.json, history.csv and provenance.json say the same for
people and other programs; where one of them differs, it is damaged, is set aside, and is written again.
"""

import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from reproduce.errors import BadInput, first_line
from reproduce.experiment import Experiment
from reproduce.files import json_bytes, read_at_most, refuse_links, remove_unfinished, set_aside, write_atomically
from reproduce.store import checkpoint
from reproduce.store.checkpoint import LATEST, PREVIOUS, RECORD, Damaged, Record
from reproduce.store.history import History, history_bytes, is_complete, parse_history
from reproduce.store.provenance import checksum_of
from reproduce.text import printable

LARGEST_SIDE_FILE = 16 * 2**20
# What may say what a run is and has given; of equally long ones, the first counts.
SOURCES = (LATEST, PREVIOUS, RECORD)
EXPERIMENT, HISTORY, PROVENANCE, HOLDER = "experiment.json", "history.csv", "provenance.json", ".holder"
WRITTEN = (LATEST, RECORD, EXPERIMENT, HISTORY, PROVENANCE, HOLDER)


def run_folder(results: Path, experiment: Experiment) -> Path:
    """Where the store keeps a run."""
    return results / "runs" / experiment.key


class RunState(NamedTuple):
    """What a look at a run's folder has found."""

    history: History
    """the epochs that can be relied on"""
    provenance: dict[str, Any] | None
    damaged: dict[str, str]
    """why each damaged file is so, by its name"""
    begun: Record | None = None
    """what the newest whole checkpoint says: a record's epochs are not gone on from"""

    def goes_on_from(self, epochs: int) -> int:
        """How many of `epochs` epochs need not be trained."""
        if self.has(epochs):
            return len(self.history)
        return len(self.begun.history) if self.begun else 0

    def has(self, epochs: int) -> bool:
        """Whether the run has `epochs` epochs, or has diverged before."""
        return is_complete(self.history, epochs)

    def is_lacking(self, epochs: int) -> bool:
        """Whether something is left to do up to `epochs` epochs: to train them, or to mend a damaged file."""
        return bool(self.damaged) or not self.has(epochs)


def examine(folder: Path, experiment: Experiment) -> RunState:
    """Look at a run's files without changing any.

    Raises:
        BadInput: the folder, which is not the store's own for this experiment, holds another experiment's run.
        OSError: a file is there and cannot be read now.
    """
    damaged: dict[str, str] = {}
    briefs: dict[str, Record] = {}
    for candidate in SOURCES:
        found = _record_of(folder / candidate, damaged)
        if found and found.settings != experiment.settings():
            _refuse_if_foreign(folder, experiment, found.settings)
            damaged[candidate] = "belongs to another experiment"
        elif found:
            briefs[candidate] = found
    brief = _longest(briefs.values())
    begun = _longest(found for candidate, found in briefs.items() if candidate != RECORD)
    _check_experiment_file(folder, experiment, damaged, is_known=brief is not None)
    _check_history_file(folder, brief, [found.history for found in briefs.values()], damaged)
    _check_provenance_file(folder, damaged)
    return RunState(brief.history if brief else [], brief.provenance if brief else None, damaged, begun)


def read_history(folder: Path) -> History:
    """The epochs of whatever run a folder holds, by its newest whole checkpoint or its record; none if it has none."""
    brief = _longest(found for name in SOURCES if (found := _record_of(folder / name, {})))
    return brief.history if brief else []


def _longest(briefs: Iterable[Record]) -> Record | None:
    """The one with the most epochs; of equally long ones, the first."""
    return max(briefs, key=lambda brief: len(brief.history), default=None)


def keep_record(results: Path, experiment: Experiment, history: History, provenance: dict[str, Any]) -> None:
    """Put a run that was made elsewhere into the store, unless the store has as many epochs of it.

    It serves figures and verdicts; to train more epochs of it, the run has to begin anew.
    """
    folder = run_folder(results, experiment)

    def is_longer() -> bool:
        return len(examine(folder, experiment).history) < len(history)

    # Whoever trains the run right now is not waited for where it has come as far already.
    if not is_longer():
        return
    with locked(folder):
        if is_longer():
            # A history without a checkpoint, say: nothing relies on it, and it may be longer yet.
            repair(folder, experiment, examine(folder, experiment))
            checkpoint.save_record(folder, Record(experiment.settings(), provenance, history))
            write_side_files(folder, experiment, history, provenance)


def keep_up(folder: Path, experiment: Experiment, history: History, provenance: dict[str, Any]) -> None:
    """Write what people read beside a new checkpoint, and remove the record that it has come as far as.

    While it has not, figures and verdicts have the record's epochs. The folder must be locked.
    """
    record = _record_of(folder / RECORD, {})
    if record and not is_complete(history, len(record.history)):
        return
    write_side_files(folder, experiment, history, provenance)
    if record:
        (folder / RECORD).unlink()


def _record_of(path: Path, damaged: dict[str, str]) -> Record | None:
    try:
        return checkpoint.read_record(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Damaged as error:
        damaged[path.name] = str(error)
        return None


def side_file(path: Path, largest: int = LARGEST_SIDE_FILE) -> bytes | None:
    """What a side file says; None if it is not there.

    Raises:
        ValueError: it is larger.
        OSError: it cannot be read now, which does not make it damaged.
    """
    try:
        return read_at_most(path, largest)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _refuse_if_foreign(folder: Path, experiment: Experiment, found: dict[str, Any]) -> None:
    """The store's own folder can only hold a foreign run by damage; a folder that a user named may well be in use."""
    if folder.name == experiment.key:
        return
    expected = experiment.settings()
    differing = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    # Settings that only one of two optimizers has say less than the optimizers' names.
    first = "optimizer" if "optimizer" in differing else differing[0]
    raise BadInput(
        f"{folder}: another experiment is kept here: {first} is {found.get(first)!r:.80}, and "
        f"{expected.get(first)!r} is asked for; choose another folder"
    )


def _check_experiment_file(folder: Path, experiment: Experiment, damaged: dict[str, str], is_known: bool) -> None:
    try:
        content = side_file(folder / EXPERIMENT)
        if content is None or content == json_bytes(experiment.settings()):
            return
        other = Experiment.from_settings(json.loads(content)).settings()
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        damaged[EXPERIMENT] = f"damaged: {first_line(error)}"
        return
    if not is_known:
        _refuse_if_foreign(folder, experiment, other)
    damaged[EXPERIMENT] = "does not say what the run's checkpoint says"


def _check_history_file(folder: Path, brief: Record | None, all_known: list[History], damaged: dict[str, str]) -> None:
    try:
        content = side_file(folder / HISTORY)
        if content is None:
            return
        if brief is None:
            # It is written after its checkpoint. Alone, nothing tells whose it is or whether a digit was changed.
            damaged[HISTORY] = "no whole checkpoint says the same"
            return
        parse_history(content)
        known = history_bytes(brief.history)
        # A process that died between its checkpoint and its history leaves one an epoch behind the other, or the
        # history of the record that the checkpoint has come as far as.
        is_behind = content.endswith(b"\n") and (known.startswith(content) or content.startswith(known))
        if not is_behind and content not in map(history_bytes, all_known):
            damaged[HISTORY] = "does not say what the run's checkpoint says"
    except ValueError as error:
        damaged[HISTORY] = f"damaged: {error}"


def _check_provenance_file(folder: Path, damaged: dict[str, str]) -> None:
    try:
        content = side_file(folder / PROVENANCE)
        if content is not None:
            found = json.loads(content)
            if found.get("checksum") != checksum_of(found):
                raise ValueError("its checksum does not match")
    except (ValueError, AttributeError, RecursionError) as error:
        damaged[PROVENANCE] = f"damaged: {first_line(error)}"


def repair(folder: Path, experiment: Experiment, finding: RunState) -> None:
    """Set damaged files aside, each with a line, and write what can be told anew. The folder must be locked."""
    remove_unfinished(folder, WRITTEN)
    for name, reason in finding.damaged.items():
        set_aside(folder / name, reason)
    write_side_files(folder, experiment, finding.history, finding.provenance)


def write_side_files(folder: Path, experiment: Experiment, history: History, provenance: dict[str, Any] | None) -> None:
    """Write experiment.json, and history.csv and provenance.json as far as there is anything to say in them."""
    _write_if_other(folder / EXPERIMENT, json_bytes(experiment.settings()))
    if history:
        _write_if_other(folder / HISTORY, history_bytes(history))
    if provenance is not None:
        _write_if_other(folder / PROVENANCE, json_bytes(provenance))


def _write_if_other(path: Path, content: bytes) -> None:
    try:
        is_there = side_file(path, len(content)) == content
    except ValueError:
        is_there = False
    if not is_there:
        write_atomically(path, content)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder: of several processes that want one run, one trains it and the others wait, then find it.

    The operating system lets go of the lock when its process ends, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder / ".lock")
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0.1)
    except Timeout:
        print(f"waiting for {_holder_of(folder)}, which trains {printable(str(folder))}", flush=True)
        lock.acquire()
    try:
        write_atomically(folder / HOLDER, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        lock.release()


def _holder_of(folder: Path) -> str:
    """Who says that it holds a folder: for people to read, and no reason to fail."""
    try:
        refuse_links(folder / HOLDER)
        return printable(read_at_most(folder / HOLDER, 200).decode(errors="replace"))
    except (OSError, ValueError):
        return "another process"
