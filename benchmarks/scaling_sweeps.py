"""How sweeps scale on this machine: python -m benchmarks.scaling_sweeps figure-6 | plan | overhead | report

    figure-6   `make figure-6 PROFILE=smoke` with JOBS=1 and JOBS=2, alternating, each process on one core
    plan       a quick sweep as predicted by `make plan` and as it then is, for 1, 2 and 4 workers
    overhead   a thousand empty runs on 8 processes
    report     the report's scale with 10 seeds, counted, at speeds given or measured here

docs/scaling.md has what came out, and on which machine.
"""

import contextlib
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reproduce.data.dataset import synthetic
from reproduce.experiment import Experiment
from reproduce.plan.plan import make_plan, simulate
from reproduce.profiles import PROFILES, Options
from reproduce.store.code_version import code_version
from reproduce.study import Study
from reproduce.sweep import cost, dask_cluster, dask_sweep
from reproduce.sweep.jobs import Job, in_order, operations_of, without_repeats
from reproduce.sweep.progress import Board
from reproduce.sweep.task import DONE, Outcome, Task, source_of
from reproduce.sweep.train_missing import train_missing
from reproduce.text import duration, size

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3


def figure_6() -> None:
    """Seconds of the whole command, and of its sweep from the first epoch's end to the last."""
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for number in range(ROUNDS):
        for jobs in (1, 2) if number % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                found[jobs].append(_seconds_of_figure_6(jobs, folder))
            whole, swept = found[jobs][-1]
            print(f"JOBS={jobs}: {whole:.1f} s, of which the sweep {swept:.1f} s", flush=True)
    for place, name in enumerate(("whole command", "sweep alone")):
        one, two = (statistics.median(times[place] for times in found[jobs]) for jobs in (1, 2))
        print(f"{name}: JOBS=1 {one:.1f} s, JOBS=2 {two:.1f} s, {one / two:.2f} times as fast")


def _seconds_of_figure_6(jobs: int, folder: str) -> tuple[float, float]:
    command = [sys.executable, "-u", "-m", "figures.pooling_and_optimizers", "6", "--profile=smoke", "--data=synthetic"]
    began = time.monotonic()
    lines = []
    with subprocess.Popen(
        [*command, f"--results={folder}", f"--jobs={jobs}", "--engine=chainer", "--verbose"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout or ():
            if "Epoch" in line and (took := re.search(r"\(([\d.]+) s\)", line)):
                lines.append((time.monotonic(), float(took[1])))
    if process.returncode:
        raise SystemExit(process.returncode)
    # The first epoch's own seconds are before its line.
    return time.monotonic() - began, lines[-1][0] - lines[0][0] + lines[0][1]


def plan() -> None:
    """Predicted and measured seconds of one small quick sweep, in this process and on 1, 2 and 4 workers."""
    quick = PROFILES["quick"]
    images = synthetic(quick.train_size, quick.test_size)
    for places in (1, 2, 4):
        with tempfile.TemporaryDirectory() as folder:
            options = Options(data="synthetic", engine="chainer", results=folder, jobs=places)
            predicted = make_plan(_small_jobs(images), Study(options, images)).total
            began = time.monotonic()
            with contextlib.redirect_stdout(io.StringIO()):
                train_missing(_small_jobs(images), Study(options, images))
            measured = time.monotonic() - began
        print(f"{places} workers: predicted {predicted:.1f} s, measured {measured:.1f} s, {predicted / measured:.2f}")


def _small_jobs(images) -> list[Job]:
    quick = PROFILES["quick"]
    return [
        Job(
            Experiment(
                data_fingerprint=images.fingerprint,
                seed=seed,
                blocks=((2, 64),),
                filter_size=size,
                width=quick.width,
                batch_size=quick.batch_size,
            ),
            1,
            f"{size}x{size}, seed {seed}",
        )
        for seed in (0, 1)
        for size in (3, 5)
    ]


def nothing(task: Task) -> Outcome:
    """An empty run."""
    return Outcome(DONE)


def overhead(runs: int = 1000, processes: int = 8) -> None:
    """What Dask and the sweep's own bookkeeping take for a run."""
    images = synthetic(10, 10)
    jobs = [Job(Experiment(data_fingerprint=images.fingerprint, seed=seed), 1, f"run {seed}") for seed in range(runs)]
    with tempfile.TemporaryDirectory() as folder, dask_cluster.local(processes) as client:
        marker = Path(folder) / "marker"
        marker.touch()
        source = source_of("synthetic", images)
        tasks = [
            Task(job, Path(folder), marker, source, -1, "chainer", job.label, "overhead", code_version())
            for job in jobs
        ]
        began = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()), Board(jobs, images) as board:
            dask_sweep.run_all(tasks, lambda: contextlib.nullcontext(client), board, is_local=True, work=nothing)
        seconds = time.monotonic() - began
    print(f"{runs} empty runs on {processes} processes: {seconds:.1f} s, {1000 * seconds / runs:.1f} ms a run")


def report(*speeds: str) -> None:
    """The report's scale with 10 seeds, for each of `speeds`, given as `places=GFLOP/s`: GFLOP/s a place."""
    from figures.sections import runs_for
    from reproduce.data.dataset import Dataset

    class Sizes(Dataset):
        fingerprint = "not looked at"

    full = PROFILES["full"]
    labels = range(full.train_size), range(full.test_size)
    images = Sizes(None, labels[0], None, labels[1], "CIFAR-10")
    study = Study(Options(profile="full", seeds=10), images)
    jobs = in_order(without_repeats(runs_for("all-figures", study)), images)
    operations = [operations_of(job, images) for job in jobs]
    trained = sum(job.epochs * cost.training_images(job.experiment, full.train_size) for job in jobs)
    disk = sum(cost.disk_bytes(job.experiment, full.train_size) for job in jobs)
    print(
        f"{len(jobs)} runs, {trained:,} images, {sum(operations):.3g} FLOP, {size(disk)} on disk; "
        f"the longest run {max(operations):.3g} FLOP"
    )
    for speed in speeds:
        places, gigaflops = speed.split("=")
        seconds = simulate([count / float(gigaflops) / 1e9 for count in operations], int(places))
        print(f"{places} places at {gigaflops} GFLOP/s each: {duration(seconds)}")


if __name__ == "__main__":
    chosen = {"figure-6": figure_6, "plan": plan, "overhead": overhead, "report": report}
    if not sys.argv[1:] or sys.argv[1] not in chosen:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    chosen[sys.argv[1]](*sys.argv[2:])
