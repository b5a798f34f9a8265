"""Numbers and texts as people read them."""

import functools
import math
import sys
from collections.abc import Sequence

NO_VALUE = "–"


def printable(text: str) -> str:
    """Text in which no character of a file's name can break the line or steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@functools.cache
def say_once(text: str) -> None:
    """Print a line to standard error, each text only once."""
    print(printable(text), file=sys.stderr, flush=True)


def shown(value: float, form: str = ".1f") -> str:
    """A number as tables have it; a dash where there is none."""
    return format(value, form) if math.isfinite(value) else NO_VALUE


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `2.1 days`: to be read, not calculated with."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def size(count: float) -> str:
    """Bytes, to be read: `12.0 MB`, `3.4 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 999.95e6 else f"{max(count, 1e5) / 1e6:.1f} MB"


def counted_from(fewest: int, most: int, what: str) -> str:
    """`3 seeds`, or `1 to 3 seeds` where not all have as many."""
    return counted(most, what) if fewest == most else f"{fewest} to {counted(most, what)}"


def counted(number: int, what: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def listed(words: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    return ", ".join([*words[:-2], " and ".join(words[-2:])])


def format_table(cells: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    """Rows of cells as text for a terminal.

    Args:
        cells: the first row is the heading.
        left: the columns that are set flush left.
    """
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = []
    for line in cells:
        padded = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
