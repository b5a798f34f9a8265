"""Progress of a whole sweep: one line for each run that ends and, on a terminal, one bar; elsewhere a line at times."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence

from tqdm import tqdm

from reproduce.data.dataset import Dataset
from reproduce.sweep.cost import training_images
from reproduce.sweep.jobs import Job, operations_of
from reproduce.sweep.task import DIVERGED, DONE, FAILED, Outcome
from reproduce.text import counted, duration

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_REDRAWS = 0.2


class Board:
    """What is known of a sweep's runs, shown as it comes in; a context manager, used by one thread.

    Attributes:
        outcomes: of the runs that have ended, by key, in the order in which they did.
    """

    def __init__(
        self,
        wanted: Sequence[Job],
        dataset: Dataset,
        labels: Mapping[str, str] | None = None,
        is_verbose: bool = False,
    ) -> None:
        """Begin with nothing running.

        Args:
            wanted: all runs of the sweep, those that are already trained included.
            labels: what each run that is still to be trained is called, by its key; by default, all are.
            is_verbose: whether to print a line for each epoch.
        """
        self.outcomes: dict[str, Outcome] = {}
        self._jobs = {job.key: job for job in wanted}
        self._labels = {job.key: job.label for job in wanted} if labels is None else labels
        self._is_verbose = is_verbose
        self._operations = {job.key: operations_of(job, dataset) for job in wanted}
        self._images = len(dataset.y_train)
        self._running: dict[str, tuple[int, float]] = {}
        # Of each run, from 0 to 1, how much is done; a run that is already trained counts as done.
        self._share = {job.key: 1.0 for job in wanted if job.key not in self._labels}
        self._share_at_start = dict(self._share)
        self._is_terminal = sys.stderr.isatty()
        # A run in this process has the standard streams redirected to `report`; ours are those from before.
        self._out, self._err = sys.stdout, sys.stderr
        self._bar: tqdm | None = None
        self._began: float | None = None
        self._shown = time.monotonic()

    def __enter__(self) -> "Board":
        if self._is_terminal:
            total = sum(self._operations.values())
            self._bar = tqdm(total=total, bar_format=" ", leave=False, file=self._err)
            self.redraw(at_once=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def report(self, event: tuple) -> None:
        """A run's report (see `task.perform`)."""
        key, kind, *rest = event
        if key not in self._labels or key in self.outcomes:
            return
        if kind != "progress":
            if kind == "line" or self._is_verbose:
                self.say(rest[0])
            return
        epoch, images, speed = rest
        epochs = self._jobs[key].epochs
        share = min(1.0, (epoch + min(1.0, images / self._images_of(key))) / epochs)
        self._running[key] = epoch, speed
        self._share[key] = share
        # A run that goes on from its checkpoint has a part behind it that says nothing about today's speed.
        self._share_at_start.setdefault(key, share)
        if speed:
            self._begin()
        self.redraw()

    def finish(self, key: str, outcome: Outcome) -> None:
        """A run is over."""
        self._running.pop(key, None)
        self.outcomes[key] = outcome
        if outcome.kind in (DONE, DIVERGED):
            self._share[key] = 1.0
        self._begin()
        how = "failed: " if outcome.kind == FAILED else ""
        self.say(f"{self._labels[key]}: {how}{outcome.text}")
        if self._is_terminal:
            self.redraw(at_once=True)

    def _begin(self) -> None:
        """Measure speeds from the first news on: before it, the engine may have been compiling for a minute."""
        if self._began is None:
            self._began, self._share_at_start = time.monotonic(), dict(self._share)

    def requeue(self, key: str) -> None:
        """A run is waiting again, since its worker is no more."""
        self._running.pop(key, None)
        self.redraw()

    def say(self, text: str) -> None:
        """A line that stays."""
        # tqdm makes way for it only if it finds its bar on the standard streams.
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
        if self._bar is None:
            self.say(", ".join([self._runs(), *self._speed()]))
            return
        self._bar.n = sum(operations * self._share.get(key, 0.0) for key, operations in self._operations.items())
        # tqdm fits the bar into this width, and cuts what is too long for it. A terminal writes ^C behind it.
        self._bar.ncols = max(20, os.get_terminal_size(self._err.fileno()).columns - 3)
        self._bar.bar_format = f"{self._runs()} |{{bar}}| {', '.join(self._speed())}"
        self._bar.refresh()

    def _runs(self) -> str:
        """How many runs are done, and how many failed."""
        kinds = [outcome.kind for outcome in self.outcomes.values()]
        done = len(self._jobs) - len(self._labels) + kinds.count(DONE) + kinds.count(DIVERGED)
        failed = f", {kinds.count(FAILED)} failed" if FAILED in kinds else ""
        return f"{done} of {len(self._jobs)} runs done{failed}"

    def _speed(self) -> list[str]:
        """What is running, how fast, and the time that is left, as far as each is known."""
        texts = [f"{len(self._running)} running"]
        if len(self._running) == 1:
            ((key, (epoch, _)),) = self._running.items()
            texts = [f"{epoch} of {counted(self._jobs[key].epochs, 'epoch')}"]
        if speed := sum(speed for _, speed in self._running.values()):
            texts.append(f"{speed:,.0f} images/s")
        if (left := self.seconds_left()) is not None:
            texts.append(f"about {duration(left)} left")
        return texts

    def seconds_left(self) -> float | None:
        """Time for what is left of all runs at the speed so far; None while there is none."""
        done = left = 0.0
        for key, operations in self._operations.items():
            share = self._share.get(key, 0.0)
            done += operations * max(0.0, share - self._share_at_start.get(key, 0.0))
            left += operations * (1.0 - share) if key not in self.outcomes else 0.0
        elapsed = 0.0 if self._began is None else time.monotonic() - self._began
        return elapsed * left / done if done and elapsed > 1 else None

    def _images_of(self, key: str) -> int:
        return training_images(self._jobs[key].experiment, self._images)
