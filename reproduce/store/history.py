"""The history of a run: one record an epoch, and `history.csv`."""

import csv
import io
import math
from typing import NamedTuple

from reproduce.files import csv_bytes


class EpochRecord(NamedTuple):
    """One row of `history.csv`. Epochs count from 0, as the report's log does."""

    epoch: int
    train_loss: float
    """mean over the epoch's batches of the softmax cross-entropy, while training"""
    train_accuracy: float
    """percent, mean over the epoch's batches, while training"""
    test_loss: float
    """mean over the test images"""
    test_accuracy: float
    """percent of the test images"""
    seconds: float
    """wall-clock time of the epoch, evaluation included"""


History = list[EpochRecord]


def has_diverged(history: History) -> bool:
    """Whether the run ended because its loss became infinite or not a number."""
    return bool(history) and not math.isfinite(history[-1].train_loss)


def is_complete(history: History, epochs: int) -> bool:
    """Whether nothing is left to train for so many epochs."""
    return len(history) >= epochs or has_diverged(history)


def history_bytes(history: History) -> bytes:
    """`history.csv`: floats with all their digits, so that equal runs give equal files."""
    rows = ([row.epoch, *(repr(float(value)) for value in row[1:-1]), f"{row.seconds:.3f}"] for row in history)
    return csv_bytes([EpochRecord._fields, *rows])


def parse_history(content: bytes) -> History:
    """The records of a `history.csv`.

    Raises:
        ValueError: it is not one that this package wrote; says where, what was expected and what was found.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("ascii"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"expected a table of numbers: {error}") from None
    if not rows or tuple(rows[0]) != EpochRecord._fields:
        found = ",".join(rows[0])[:80] if rows else "none"
        raise ValueError(f"expected the columns {','.join(EpochRecord._fields)}; found {found}")
    history = []
    for line, row in enumerate(rows[1:], start=2):
        try:
            record = EpochRecord(int(row[0]), *map(float, row[1:]))
        except (TypeError, ValueError, IndexError):
            found = ",".join(row)[:80]
            raise ValueError(f"line {line}: expected {len(EpochRecord._fields)} numbers; found {found!r}") from None
        if record.epoch != len(history):
            raise ValueError(f"line {line}: expected epoch {len(history)}; found {record.epoch}")
        history.append(record)
    return history
