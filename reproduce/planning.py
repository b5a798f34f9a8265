"""Makes a plan where the runs would be trained, and prints it: `make plan`."""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from reproduce import cost, results, schedule
from reproduce.data import Dataset
from reproduce.engine import resolve
from reproduce.errors import Failure
from reproduce.experiment import Experiment
from reproduce.jobs import Job, operations_of
from reproduce.plan import Plan, Speed, network_key, networks_of, seconds_of
from reproduce.profiles import Options
from reproduce.progress import duration
from reproduce.task import source_of


def make_plan(jobs: Iterable[Job], dataset: Dataset, options: Options) -> Plan:
    """Count and time what is missing; on a cluster, its own workers time it, all at once as they would train.

    Raises:
        BadInput: no such device, engine or scheduler.
        Failure: the cluster has no workers.
    """
    store = Path(options.results)
    wanted, missing = schedule.missing_of(jobs, dataset, store)
    done = {
        job.key: results.examine(results.run_folder(store, job.experiment), job.experiment).goes_on_from(job.epochs)
        for job in missing
    }
    networks = networks_of(missing)
    store.mkdir(parents=True, exist_ok=True)
    if not missing:
        speeds, places, start = {}, 1, 0.0
    elif schedule.is_on_cluster(options):
        speeds, places, start = _measure_there(networks, dataset, options)
    else:
        from reproduce.speed import measure

        speeds = {
            key: measure(experiment, dataset, options.device, options.engine, store)
            for key, experiment in networks.items()
        }
        places, start = 1, 0.0
    seconds = {}
    for job in missing:
        speed = speeds[network_key(job.experiment)]
        if job.experiment.augmentation == "none":
            speed = speed._replace(augmenting=0.0)
        seconds[job.key] = seconds_of(job, done[job.key], dataset, speed)
    batches = sum(speed.batches for speed in speeds.values())
    return Plan(wanted, missing, done, seconds, len(networks), batches, places, start)


def _measure_there(
    networks: dict[str, Experiment], dataset: Dataset, options: Options
) -> tuple[dict[str, Speed], int, float]:
    """Speeds, places and seconds to begin, of the cluster that the options name."""
    from reproduce import cluster, worker

    began = time.monotonic()
    with cluster.connection(options)() as client:
        start = time.monotonic() - began if options.jobs else 0.0
        places = len(client.run(_nothing))
        if not places:
            raise Failure("the cluster has no workers to time a network on; begin at least one")
        device = 0 if options.device >= 0 else -1
        source, store = source_of(options.data, dataset), Path(options.results).resolve()
        futures = client.map(
            partial(worker.measure_there, source=source, device=device, engine_name=options.engine, store=store),
            # Never fewer than there are workers: what they share, such as memory's speed, is part of the time.
            [*networks.values(), *(list(networks.values()) * places)[: max(0, places - len(networks))]],
            key=[f"time-{number}-{began}" for number in range(max(len(networks), places))],
            resources={"GPU": 1} if device >= 0 else None,
            pure=False,
        )
        found = client.gather(futures)[: len(networks)]
    return dict(zip(networks, found, strict=True)), places, start


def _nothing() -> None:
    pass


def print_plan(plan: Plan, dataset: Dataset, options: Options) -> None:
    """Say what would be trained and what it takes, in as few lines as it can be said."""
    missing = plan.missing
    sizes = len(dataset.y_train), len(dataset.y_test)
    print(f"{len(plan.wanted)} runs wanted, {len(plan.wanted) - len(missing)} already trained")
    if not missing:
        return
    width = max(len(job.label) for job in missing)
    print(f"\n{'run':{width}}  {'epochs':>12}  {'GFLOP/epoch':>12}  {'needed by':>9}  {'time':>9}")
    for job in missing:
        epochs = f"{plan.done[job.key]} of {job.epochs} done" if plan.done[job.key] else str(job.epochs)
        print(
            f"{job.label:{width}}  {epochs:>12}  {operations_of(job, dataset) / job.epochs / 1e9:12,.1f}  "
            f"{len(job.needed_by) or 1:9}  {duration(plan.seconds[job.key]):>9}"
        )
    # A run that only has a damaged file to mend may have more epochs than are wanted, and has none left.
    share = {job.key: max(0.0, 1 - plan.done[job.key] / job.epochs) for job in missing}
    images = sum(share[job.key] * job.epochs * cost.training_images(job.experiment, sizes[0]) for job in missing)
    operations = sum(share[job.key] * operations_of(job, dataset) for job in missing)
    disk = sum(cost.disk_bytes(job.experiment, sizes[0]) for job in missing)
    is_unfolding = options.device < 0 and resolve(options.engine, options.device) == "chainer"
    memory = max(cost.memory_bytes(job.experiment, *sizes, is_unfolding) for job in missing)
    one = sum(plan.seconds.values())
    print(f"\nruns to train     {len(missing)}")
    print(f"images            {images:,.0f} to train on")
    print(f"operations        {operations:.3g} FLOP, as direct convolutions")
    print(f"disk              {size(disk)} in {options.results}")
    together = f"; {plan.places} at a time: {size(memory * plan.places)}" if plan.places > 1 else ""
    print(f"memory            about {size(memory)} for the largest run{together}")
    speed = f" ({operations / one / 1e9:,.1f} GFLOP/s)" if one else ""
    print(f"time, one place   {duration(one)}{speed}")
    if plan.places > 1:
        print(f"time, {plan.places} places    {duration(plan.total)}, longest runs first")
    print(f"timed             {plan.batches} batches of {plan.networks} different networks")


def size(count: float) -> str:
    """Bytes, to be read: `12 MB`, `3.4 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count, 1e5) / 1e6:.1f} MB"
