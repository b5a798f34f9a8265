"""The history of a run: one record an epoch, and `history.csv`."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

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
# Means of 32-bit numbers may lie this far outside of their range.
ROUNDING = 1e-3


def has_diverged(history: History) -> bool:
    """Whether the run ended because its loss became infinite or NaN."""
    return bool(history) and not math.isfinite(history[-1].train_loss)


def is_complete(history: History, epochs: int) -> bool:
    """Whether nothing is left to train up to `epochs` epochs."""
    return len(history) >= epochs or has_diverged(history)


def add_epoch(history: History, values: Sequence[Any]) -> None:
    """Append an epoch that a file says, its values numbers or their texts, to a history.

    Raises:
        ValueError: it is not the next epoch, or a number is outside of its range; says what was expected and found.
    """
    try:
        epoch, *measured = map(float, values)
        record = EpochRecord(len(history), *measured)
    except (TypeError, ValueError):
        found = ",".join(map(str, values))[:80]
        raise ValueError(f"expected {len(EpochRecord._fields)} numbers; found {found!r}") from None
    if epoch != len(history):
        raise ValueError(f"expected epoch {len(history)}; found {values[0]:.20}")
    if has_diverged(history):
        raise ValueError(f"expected no epoch after one with the training loss {history[-1].train_loss}")
    is_last = not math.isfinite(record.train_loss)
    for name in ("train_accuracy", "test_accuracy"):
        value = getattr(record, name)
        if not (-ROUNDING <= value <= 100 + ROUNDING or (is_last and math.isnan(value))):
            raise ValueError(f"expected {name} from 0 to 100; found {value}")
    for name in ("train_loss", "test_loss"):
        if getattr(record, name) < -ROUNDING:
            raise ValueError(f"expected {name} from 0; found {getattr(record, name)}")
    if not 0 <= record.seconds < math.inf:
        raise ValueError(f"expected seconds from 0; found {record.seconds}")
    history.append(record)


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
    history: History = []
    for line, row in enumerate(rows[1:], start=2):
        try:
            add_epoch(history, row)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
    return history
