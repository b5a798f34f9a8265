"""Progress of a whole sweep on one screen: a few lines that change on a terminal, now and then a line elsewhere."""

import contextlib
import shutil
import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from reproduce.data.dataset import Dataset
from reproduce.sweep.cost import training_images
from reproduce.sweep.jobs import Job, operations_of
from reproduce.sweep.task import DIVERGED, DONE, FAILED, Outcome
from reproduce.text import duration

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_REDRAWS = 0.2


class Board:
    """What is known of a sweep's runs, shown as it comes in; a context manager, used by one thread.

    Attributes:
        outcomes: of the runs that have ended, by key, in the order in which they did.
    """

    def __init__(self, jobs: Sequence[Job], dataset: Dataset) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._jobs = {job.key: job for job in jobs}
        self._operations = {job.key: operations_of(job, dataset) for job in jobs}
        self._images = len(dataset.y_train)
        self._running: dict[str, tuple[int, float]] = {}
        self._share: dict[str, float] = {}
        self._share_at_start: dict[str, float] = {}
        self._bars: list[tqdm] = []
        self._is_terminal = sys.stderr.isatty()
        # A run in this process has the standard streams redirected to `report`; ours are those from before.
        self._out, self._err = sys.stdout, sys.stderr
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *error: object) -> None:
        for bar in self._bars:
            bar.close()

    def report(self, event: tuple) -> None:
        """A run's report (see `task.perform`)."""
        key, kind, *rest = event
        if key not in self._jobs or key in self.outcomes:
            return
        if kind == "line":
            self.say(rest[0])
            return
        epoch, images, speed = rest
        epochs = self._jobs[key].epochs
        share = min(1.0, (epoch + min(1.0, images / self._images_of(key))) / epochs)
        self._running[key] = epoch, speed
        self._share[key] = share
        # A run that goes on from its checkpoint has a part behind it that says nothing about today's speed.
        self._share_at_start.setdefault(key, share)
        self.redraw()

    def finish(self, key: str, outcome: Outcome) -> None:
        """A run is over."""
        self._running.pop(key, None)
        self.outcomes[key] = outcome
        if outcome.kind in (DONE, DIVERGED):
            self._share[key] = 1.0
        if outcome.kind == FAILED:
            self.say(f"{self._jobs[key].label}: failed: {outcome.reason}")
        self.redraw(at_once=True)

    def requeue(self, key: str) -> None:
        """A run is waiting again, since its worker is no more."""
        self._running.pop(key, None)
        self.redraw(at_once=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        # tqdm makes way for it only if it finds its bars on the standard streams.
        with contextlib.redirect_stdout(self._out), contextlib.redirect_stderr(self._err):
            tqdm.write(text, file=self._out)
        self._out.flush()

    def redraw(self, at_once: bool = False) -> None:
        """Show how things stand, where it is time to."""
        now = time.monotonic()
        pause = SECONDS_BETWEEN_REDRAWS if self._is_terminal else SECONDS_BETWEEN_LINES
        if not at_once and now - self._shown < pause:
            return
        self._shown = now
        running = [self._state_of(key) for key in self._running]
        if self._is_terminal:
            self._draw([self.summary(), *running])
        elif not at_once:
            self.say("; ".join([self.summary(), *running]))
        elif len(self.outcomes) < len(self._jobs):
            self.say(self.summary())

    def summary(self) -> str:
        """All runs in one line."""
        count = [outcome.kind for outcome in self.outcomes.values()].count
        done, failed, running = count(DONE) + count(DIVERGED), count(FAILED), len(self._running)
        waiting = len(self._jobs) - done - failed - running
        text = f"{done} of {len(self._jobs)} runs done, {running} running, {waiting} waiting, {failed} failed"
        left = self.seconds_left()
        return text if left is None else f"{text}; about {duration(left)} left"

    def seconds_left(self) -> float | None:
        """Time for what is left of all runs at the speed so far; None while there is none."""
        done = left = 0.0
        for key, operations in self._operations.items():
            share = self._share.get(key, 0.0)
            done += operations * max(0.0, share - self._share_at_start.get(key, 0.0))
            left += operations * (1.0 - share) if key not in self.outcomes else 0.0
        elapsed = time.monotonic() - self._started
        return elapsed * left / done if done and elapsed > 1 else None

    def _images_of(self, key: str) -> int:
        return training_images(self._jobs[key].experiment, self._images)

    def _state_of(self, key: str) -> str:
        epoch, speed = self._running[key]
        job = self._jobs[key]
        state = f"{job.label}: epoch {epoch} of {job.epochs}"
        return f"{state}, {speed:,.0f} images/s" if speed else state

    def _draw(self, lines: list[str]) -> None:
        rows = max(2, shutil.get_terminal_size().lines - 2)
        if len(lines) > rows:
            lines = [*lines[: rows - 1], f"and {len(lines) - rows + 1} more running"]
        while len(self._bars) < len(lines):
            place = len(self._bars)
            self._bars.append(
                tqdm(bar_format="{desc}", position=place, leave=False, dynamic_ncols=True, file=self._err)
            )
        for number, bar in enumerate(self._bars):
            bar.set_description_str(lines[number] if number < len(lines) else "")
