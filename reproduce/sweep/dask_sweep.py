"""A sweep on a Dask cluster: all of a command's tasks, until each has an outcome.

All that is asked of Dask is its own: it gives the task of a dead worker to another one (at most
`distributed.scheduler.allowed-failures` times), hands out GPUs as resources, and carries the workers' reports.
"""

import contextlib
import queue
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# Before Python 3.11 the TimeoutError that Dask raises is not the built-in one.
from distributed import Client, Future, KilledWorker, TimeoutError
from filelock import FileLock, Timeout

from reproduce.errors import BadInput, Failure, first_line
from reproduce.profiles import Options
from reproduce.signals import Interrupted
from reproduce.store import runs
from reproduce.sweep import dask_cluster, dask_worker
from reproduce.sweep.call import SECONDS_BETWEEN_REMINDERS, Call, NoAnswer
from reproduce.sweep.dask_cluster import Connect, connection
from reproduce.sweep.progress import Board
from reproduce.sweep.task import FAILED, STOPPED, Outcome, Task
from reproduce.text import counted, duration

# A scheduler that is begun again by hand, or on another node, takes a while.
SECONDS_FOR_A_SCHEDULER_TO_COME_BACK = 300
# A step of the report's network takes up to half a minute on a slow machine.
SECONDS_TO_SAVE = 60
# Dask begins a dead process of a local cluster anew, in a second or two; not one that cannot begin.
SECONDS_FOR_A_PROCESS_TO_COME_BACK = 60
SECONDS_TO_FETCH = 5
# A busy machine takes seconds to answer what an idle one answers at once.
SECONDS_TO_ANSWER = 15
SECONDS_TO_ANSWER_WHEN_STOPPING = 8
# Before its first run a worker imports what runs need; from a network folder that can take long.
SECONDS_TO_GREET = 60
KILLED = Outcome(FAILED, "every worker that it was given to died")


class SchedulerGone(Exception):
    """The connection to the scheduler broke; what it knew of our tasks is lost."""


def train(tasks: Sequence[Task], options: Options, board: Board) -> None:
    """Train tasks on the cluster that the options name.

    Raises:
        BadInput: there is no scheduler, or a worker cannot do the runs.
        Failure: the scheduler went away for good.
        Interrupted: a signal asked to stop; every run was saved first.
    """
    marker = tasks[0].marker
    marker.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_markers(marker.parent)
    # The operating system lets go of it when this process ends, however it ends.
    with FileLock(marker):
        try:
            run_all(tasks, connection(options), board, is_local=bool(options.jobs))
        finally:
            marker.unlink(missing_ok=True)


def _remove_abandoned_markers(store: Path) -> None:
    """Remove the markers of sweeps that were killed: those that no process holds."""
    for path in store.glob(".sweep-*"):
        with contextlib.suppress(OSError, Timeout):
            # One that is seconds old may be about to be locked.
            is_old = time.time() - path.lstat().st_mtime > 60
            if is_old and re.fullmatch(r"\.sweep-[0-9a-f]{32}", path.name):
                with FileLock(path, timeout=0):
                    path.unlink()


def run_all(
    tasks: Sequence[Task],
    connect: Connect,
    board: Board,
    is_local: bool,
    work: Callable[[Task], Outcome] = dask_worker.run_task,
) -> None:
    """Give tasks to a cluster until each has an outcome; where its scheduler goes away, wait for it to come back.

    Args:
        work: what a worker does with a task.

    Raises:
        BadInput: there is no scheduler to begin with, or a worker cannot do the runs.
        Failure: the scheduler went away and stays so, or the processes of a local cluster did.
        Interrupted: a signal asked to stop; every run was saved first.
    """
    deadline = None
    while left := [task for task in tasks if task.job.key not in board.outcomes]:
        sweep = None
        try:
            with connect() as client:
                sweep = _Sweep(left, client, board, is_local, work)
                sweep.run()
            continue
        except SchedulerGone:
            # One that takes a connection and then says nothing has not come back.
            if deadline is None or (sweep and sweep.has_begun):
                deadline = time.monotonic() + SECONDS_FOR_A_SCHEDULER_TO_COME_BACK
                patience = duration(SECONDS_FOR_A_SCHEDULER_TO_COME_BACK)
                board.say(f"the scheduler went away with {len(left)} runs to do; waiting up to {patience} for it")
        except BadInput:
            if deadline is None or sweep:
                raise
        if time.monotonic() > deadline:
            raise Failure(
                f"the scheduler has not come back; {len(left)} runs are missing, and the same command does them"
            )
        time.sleep(1)


class _Sweep:
    """The tasks that one connection to a scheduler takes care of.

    No more tasks are given to Dask than there are workers: a task that waits behind another one in a worker would count
    as failed when that one kills the worker, and could not be begun elsewhere in the order that was asked for.
    """

    def __init__(
        self, tasks: Sequence[Task], client: Client, board: Board, is_local: bool, work: Callable[[Task], Outcome]
    ) -> None:
        self.client, self.board, self.is_local, self.work = client, board, is_local, work
        self.example = tasks[0]
        self.waiting = deque(tasks)
        self.has_begun = False
        self.given: dict[str, tuple[Future, Task]] = {}
        self.epochs_when_given: dict[str, int] = {}
        self.news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.submissions = self.places = 0
        self.addresses: list[str] = []
        self.counting: Call | None = None
        self.seen_at = self.reminded_at = 0.0
        self.silent_since: float | None = None

    def run(self) -> None:
        """Give out all tasks and wait for their outcomes.

        Raises:
            SchedulerGone: the connection broke.
            Failure: a local cluster has no process left, or the scheduler has not answered for long.
        """
        sweep = self.example.sweep
        try:
            self._greet()
            self.has_begun = True
            self.client.subscribe_topic(sweep, lambda event: self.news.put(("report", event[1])))
            self.client.subscribe_topic("all", lambda event: self.news.put(("cluster", event[1])))
            self._count_places()
            self._wait()
        except Interrupted:
            self._stop(sweep)
            raise

    def _greet(self) -> None:
        """See that the workers that are there can do the runs, and tell them how to behave."""
        try:
            workers = self._look_up_workers(SECONDS_TO_ANSWER)
            self._set_workers_up()
            asked = dask_worker.why_unusable, self.example.marker, self.example.code
            reasons = self._ask_workers(SECONDS_TO_ANSWER, *asked)
        except (OSError, TimeoutError, NoAnswer) as error:
            raise SchedulerGone from error
        except Exception as error:  # a worker's ImportError, say
            raise BadInput(
                f"the cluster's workers cannot do the runs: {first_line(error)}; expected this package and what it "
                "needs to be there in the same versions as here"
            ) from None
        for found in filter(None, reasons.values()):
            raise BadInput(found)
        if silent := [address for address in self.addresses if address not in reasons]:
            self.board.say(f"no answer from {counted(len(silent), 'worker')}: {', '.join(silent)}")
        dask_cluster.usable(workers, self.example.device)

    def _look_up_workers(self, seconds: float) -> Mapping[str, Any]:
        """What the scheduler knows of each worker, by address.

        Raises:
            NoAnswer: the scheduler has not answered after `seconds` seconds.
        """
        self.counting = self.counting or Call(partial(dask_cluster.workers_of, self.client))
        found = self.counting.answer(seconds)
        self.counting = self.silent_since = None
        self.addresses = list(found)
        return found

    def _set_workers_up(self) -> None:
        """Tell all workers how to behave, those that come later, too."""
        call = Call(partial(self.client.register_plugin, dask_worker.WorkerSetup(self.is_local)))
        try:
            call.answer(SECONDS_TO_ANSWER)
        except NoAnswer:
            self.board.say(f"not all workers are ready; waiting up to {SECONDS_TO_GREET} s for them")
            with contextlib.suppress(NoAnswer):
                call.answer(SECONDS_TO_GREET)

    def _ask_workers(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What a function returns in each worker, by address; without those that are gone or do not answer in time."""
        calls = [Call(partial(self.client.run, function, *arguments, workers=[one])) for one in self.addresses]
        deadline = time.monotonic() + seconds
        answers: dict[str, Any] = {}
        for call in calls:
            with contextlib.suppress(NoAnswer, OSError):
                answers.update(call.answer(max(0.0, deadline - time.monotonic())))
        return answers

    def _count_places(self) -> None:
        """See how many tasks can be worked on at once.

        Raises:
            Failure: the scheduler has not answered for long.
        """
        try:
            workers = self._look_up_workers(1)
        except NoAnswer:
            self._note_silence()
            return
        self.places = 0
        with contextlib.suppress(BadInput):  # one with a GPU may come back
            self.places = len(dask_cluster.usable(workers, self.example.device))

    def _note_silence(self) -> None:
        """The scheduler does not answer: it was stopped, its machine hangs, or the network does."""
        now = time.monotonic()
        if self.silent_since is None:
            self.silent_since, self.reminded_at = now, now - SECONDS_BETWEEN_REMINDERS + SECONDS_TO_ANSWER
        left = len(self.waiting) + len(self.given)
        if now - self.silent_since > SECONDS_FOR_A_SCHEDULER_TO_COME_BACK:
            raise Failure(
                f"the scheduler has not answered for {duration(SECONDS_FOR_A_SCHEDULER_TO_COME_BACK)}; "
                f"{left} runs are missing, and the same command does them"
            )
        if now - self.reminded_at >= SECONDS_BETWEEN_REMINDERS:
            self.reminded_at = now
            patience = duration(SECONDS_FOR_A_SCHEDULER_TO_COME_BACK)
            self.board.say(f"the scheduler does not answer, with {left} runs to do; waiting up to {patience} for it")

    def _give_out(self) -> None:
        while self.waiting and len(self.given) < self.places:
            task = self.waiting.popleft()
            self.submissions += 1
            key = f"run-{task.job.key}-{task.sweep}-{self.submissions}"
            future = self.client.submit(
                self.work,
                # In its worker, each run is on the one GPU that the worker sees.
                task._replace(device=0) if task.device >= 0 else task,
                key=key,
                priority=-self.submissions,
                resources={"GPU": 1} if task.device >= 0 else None,
                pure=False,
            )
            self.given[key] = future, task
            self.epochs_when_given[task.job.key] = _epochs_of(task)
            self._await(future)

    def _await(self, future: Future) -> None:
        future.add_done_callback(lambda ended: self.news.put(("ended", ended)))

    def _wait(self) -> None:
        self.seen_at = self.reminded_at = time.monotonic()
        while self.waiting or self.given:
            self._give_out()
            try:
                kind, news = self.news.get(timeout=1)
            except queue.Empty:
                self._look_around()
                continue
            self.seen_at = self.reminded_at = time.monotonic()
            self.silent_since = None
            if kind == "report":
                self.board.report(tuple(news))
            elif kind == "cluster":
                self._note_a_change(news)
            else:
                self._note_an_end(news)

    def _look_around(self) -> None:
        """Nothing was heard for a second: see whether there are workers at all."""
        self.board.redraw()
        self._count_places()
        now = time.monotonic()
        if self.silent_since is not None:
            return
        if self.places:
            self.seen_at = self.reminded_at = now
        elif self.is_local and now - self.seen_at > SECONDS_FOR_A_PROCESS_TO_COME_BACK:
            raise Failure(
                "all processes of this command's cluster died, and Dask could not begin them anew; "
                f"{len(self.waiting) + len(self.given)} runs are missing, and the same command does them"
            )
        elif now - self.reminded_at > SECONDS_BETWEEN_REMINDERS:
            self.reminded_at = now
            self.board.say("the cluster has no worker for these runs; waiting for one")

    def _note_a_change(self, news: Any) -> None:
        """A worker has come or gone."""
        if not isinstance(news, dict) or news.get("action") not in ("add-worker", "remove-worker"):
            return
        self._count_places()
        for key in news.get("processing-tasks", ()):
            if key in self.given:
                task = self.given[key][1]
                self.board.say(f"{task.label}: its worker is gone; another one goes on with it")
                self.board.requeue(task.job.key)

    def _note_an_end(self, future: Future) -> None:
        if future.key not in self.given:
            return
        if future.cancelled():
            raise SchedulerGone
        try:
            outcome = _outcome_of(future)
        except TimeoutError:
            # The worker died with the outcome still in its memory, and Dask gives the task to another one.
            self._await(future)
            return
        _, task = self.given.pop(future.key)
        has_come_on = outcome == KILLED and _epochs_of(task) > self.epochs_when_given[task.job.key]
        if outcome.kind == STOPPED or has_come_on:
            # Its worker was closed: it was told so, saved the run, and leaves the rest to another one. Or it came on
            # while Dask lost patience: workers with a time limit end one after another, through no fault of the run.
            self.board.requeue(task.job.key)
            self.waiting.appendleft(task)
        else:
            self.board.finish(task.job.key, outcome)

    def _stop(self, sweep: str) -> None:
        """Have the workers save what they do of ours, and take back the rest."""
        self.board.say("stopping: each run ends its step and is saved")
        with contextlib.suppress(Exception):
            answers = self._ask_workers(SECONDS_TO_ANSWER_WHEN_STOPPING, dask_worker.stop, sweep)
            if self.given and not answers:
                self.board.say("no worker answers; those that train go on with their runs, and keep them")
                return
            running = set(filter(None, answers.values()))
            of_ours = [future for future, task in self.given.values() if task.job.key in running]
            rest = [future for future, task in self.given.values() if task.job.key not in running]
            Call(partial(self.client.cancel, rest)).answer(SECONDS_TO_ANSWER_WHEN_STOPPING)
            deadline = time.monotonic() + SECONDS_TO_SAVE
            while time.monotonic() < deadline and not all(future.done() for future in of_ours):
                time.sleep(0.05)


def _outcome_of(future: Future) -> Outcome:
    if future.status != "error":
        return future.result(timeout=SECONDS_TO_FETCH)
    error = future.exception(timeout=SECONDS_TO_FETCH)
    if isinstance(error, KilledWorker):
        return KILLED
    return Outcome(FAILED, f"{type(error).__name__}: {first_line(error)}")


def _epochs_of(task: Task) -> int:
    """How many epochs of a task's run need not be trained any more."""
    experiment = task.job.experiment
    return runs.examine(runs.run_folder(task.store, experiment), experiment).goes_on_from(task.job.epochs)
