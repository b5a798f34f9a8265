"""Trains the runs that a set of experiments still lacks: in this process, in several, or on a Dask cluster."""

import uuid
from collections.abc import Iterable, Sequence

from reproduce.devices import check_device, resolve_engine
from reproduce.errors import BadInput, Failure
from reproduce.files import make_folder
from reproduce.profiles import Options
from reproduce.store.code_version import code_version
from reproduce.store.provenance import is_of_other_code
from reproduce.study import Study
from reproduce.sweep.jobs import Job, in_order, without_repeats
from reproduce.sweep.progress import Board
from reproduce.sweep.task import DIVERGED, FAILED, Task, perform, source_of
from reproduce.text import counted


def is_on_cluster(options: Options) -> bool:
    """Whether runs are trained by other processes: `jobs` of this machine, or those of a running Dask cluster.

    Raises:
        BadInput: both are asked for.
    """
    if options.jobs and options.scheduler:
        raise BadInput(
            f"--jobs={options.jobs} begins a cluster of its own and --scheduler={options.scheduler} uses another one; "
            "choose one of them"
        )
    return bool(options.jobs or options.scheduler_address)


def check(options: Options) -> None:
    """See that the place where runs are to be trained is there, before anything that takes time is done.

    Raises:
        BadInput: no such device, engine or scheduler, or both of `jobs` and `scheduler` are asked for.
    """
    if not is_on_cluster(options) or options.jobs:
        check_device(options.device)
        resolve_engine(options.engine, options.device)
    else:
        from reproduce.sweep import dask_cluster

        dask_cluster.check_scheduler(options.scheduler_address)


def missing_of(jobs: Iterable[Job], study: Study) -> tuple[list[Job], list[Job]]:
    """All jobs, each once, and those for which something is left to do, in the order in which they are best begun."""
    wanted = in_order(without_repeats(jobs), study.dataset)
    return wanted, [job for job in wanted if study.state(job.experiment).is_lacking(job.epochs)]


def train_missing(jobs: Iterable[Job], study: Study) -> None:
    """Train every job that the results store does not hold yet.

    Neither `jobs` nor `scheduler` in the options: one after another in this process. A run that fails does not keep
    the others from being trained, and a run that diverges counts as trained.

    Raises:
        BadInput: no run can begin: no such device, engine or scheduler, its workers do not see the store, or the store
            cannot be made.
        Failure: at the end, if runs failed; the message names them.
        Interrupted: a signal asked to stop; every run was saved first.
    """
    check(study.options)
    make_folder(study.store)
    wanted, missing = missing_of(jobs, study)
    print(f"{len(wanted)} runs wanted, {len(wanted) - len(missing)} already trained", flush=True)
    _say_if_of_other_code(wanted, study)
    if not missing:
        return
    try:
        _train(wanted, missing, study)
    finally:
        study.forget()


def _say_if_of_other_code(jobs: Iterable[Job], study: Study) -> None:
    """A line where runs in the store were made by another version of what decides their numbers."""
    keys = [job.key for job in jobs if is_of_other_code(study.state(job.experiment).provenance)]
    if keys:
        print(
            f"{counted(len(keys), 'run')} already begun by another version of the code that decides numbers, and may "
            f"differ from what this one gives: {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}. To train a run "
            f"anew, remove its folder in {study.store / 'runs'}.",
            flush=True,
        )


def _train(wanted: Sequence[Job], missing: Sequence[Job], study: Study) -> None:
    options, dataset, store = study.options, study.dataset, study.store
    name = f"sweep-{uuid.uuid4().hex}"
    # A run's number is its place among all that are wanted: the next command gives it the same.
    numbers = {job.key: f"[{number}/{len(wanted)}]" for number, job in enumerate(wanted, start=1)}
    tasks = [
        Task(
            job,
            store.resolve(),
            store.resolve() / f".{name}",
            source_of(options.data, dataset),
            options.device,
            options.engine,
            f"{numbers[job.key]} {job.label}",
            name,
            code_version(),
        )
        for job in missing
    ]
    labels = {task.job.key: task.label for task in tasks}
    with Board(wanted, dataset, labels, options.verbose) as board:
        if is_on_cluster(options):
            # Dask takes most of a second to import, which commands that do not use it need not wait for.
            from reproduce.sweep import dask_sweep

            dask_sweep.train(tasks, options, board)
        else:
            for task in tasks:
                board.finish(task.job.key, perform(task, dataset.of_seed(task.job.experiment.seed), board.report))
    _conclude(missing, board)


def _conclude(missing: Sequence[Job], board: Board) -> None:
    """Name the runs that diverged, and raise Failure with those that failed."""
    outcomes = [(job.label, board.outcomes[job.key]) for job in missing]
    if diverged := [label for label, outcome in outcomes if outcome.kind == DIVERGED]:
        print(f"{len(diverged)} of {len(missing)} runs diverged: {'; '.join(diverged)}", flush=True)
    failed = [f"{label}: {outcome.text}" for label, outcome in outcomes if outcome.kind == FAILED]
    if failed:
        raise Failure(f"{len(failed)} of {len(missing)} runs failed, the others are kept: {'; '.join(failed)}")
