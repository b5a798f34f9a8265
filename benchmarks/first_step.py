"""Seconds from the start of the command to the end of the first training step, in a process of its own each time."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.contestants import TITLES, Case

CASE = Case("quarter width, batch 40", batch_size=40, width=0.25)
_FIRST_STEP = """
from benchmarks.contestants import Case, first_step
first_step({name!r}, Case("", batch_size={batch_size}, width={width}), {threads})
"""


def _seconds(name: str, threads: int, cache: str) -> float:
    program = _FIRST_STEP.format(name=name, batch_size=CASE.batch_size, width=CASE.width, threads=threads)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "NUMBA_CACHE_DIR": cache}, check=True)
    return time.perf_counter() - start


def print_first_steps(names: list[str], rounds: int, threads: int) -> None:
    """A table of seconds; the engine twice, with nothing compiled and with what that has left on disk."""
    print(f"\nfrom the command to the end of the first step, {CASE.title}: seconds, median (smallest to largest)")
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in names:
                title = f"{TITLES[name]}, nothing compiled" if name == "fast" else TITLES[name]
                times.setdefault(title, []).append(_seconds(name, threads, cache))
                if name == "fast":
                    times.setdefault(f"{TITLES[name]}, compiled", []).append(_seconds(name, threads, cache))
    for title, seconds in times.items():
        print(f"  {title:30}{statistics.median(seconds):8.1f} ({min(seconds):.1f}-{max(seconds):.1f})", flush=True)
