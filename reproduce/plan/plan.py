"""What a set of runs costs, without training them: counted from their settings, at a speed that is measured.

Speeds are measured where the runs would be trained: here, or on a cluster's workers.
"""

import heapq
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from tqdm import tqdm

from reproduce import engine
from reproduce.augmentation import COPIES
from reproduce.data.dataset import Dataset
from reproduce.errors import Failure
from reproduce.experiment import Experiment
from reproduce.study import Study
from reproduce.sweep import cost
from reproduce.sweep.call import patiently
from reproduce.sweep.jobs import Job, operations_of
from reproduce.sweep.task import source_of
from reproduce.sweep.train_missing import is_on_cluster, missing_of
from reproduce.text import counted, duration, size

# How the same network is told from another one: these settings change its numbers, but not what it computes.
WITHOUT_EFFECT_ON_TIME = (
    *("data_fingerprint", "seed", "initial_scale", "augmentation"),
    *("learning_rate", "momentum", "beta1", "beta2", "alpha", "epsilon"),
)


class Speed(NamedTuple):
    """Seconds that a network takes on some device."""

    training: float
    """for an image of a training step: forward, backward and update"""
    testing: float
    """for an image of the test"""
    saving: float
    """for the checkpoint after an epoch and its other files"""
    augmenting: float
    """for an image of the training set as it is, before the first epoch"""
    batches: int
    """how many training steps were timed"""


@dataclass(frozen=True)
class Plan:
    """What is to be trained, and what it takes.

    Attributes:
        wanted, missing: the runs, in the order in which they are begun.
        done: epochs that the results store already holds of each missing run, by key.
        seconds: of each missing run, by key.
        networks: how many different networks were timed.
        batches: how many training steps were timed in all.
        places: runs that go on at the same time.
        start: seconds until the first run begins.
    """

    wanted: Sequence[Job]
    missing: Sequence[Job]
    done: Mapping[str, int]
    seconds: Mapping[str, float]
    networks: int
    batches: int
    places: int
    start: float

    @property
    def total(self) -> float:
        """Seconds until the last run ends."""
        return self.start + simulate([self.seconds[job.key] for job in self.missing], self.places)


def network_key(experiment: Experiment) -> str:
    """The same text for experiments whose steps take the same time."""
    settings = {name: v for name, v in experiment.settings().items() if name not in WITHOUT_EFFECT_ON_TIME}
    settings["dropout"] = experiment.dropout > 0
    return repr(sorted(settings.items()))


def networks_of(jobs: Iterable[Job]) -> dict[str, Experiment]:
    """Each distinct network once, one that is augmented where there is a choice, so that this is timed, too."""
    found: dict[str, Experiment] = {}
    for job in jobs:
        key = network_key(job.experiment)
        if key not in found or COPIES[job.experiment.augmentation] > COPIES[found[key].augmentation]:
            found[key] = job.experiment
    return found


def predicted_seconds(job: Job, done: int, dataset: Dataset, speed: Speed) -> float:
    """How long a run takes, from the epochs that are done to its last."""
    images = cost.training_images(job.experiment, len(dataset.y_train))
    epoch = images * speed.training + len(dataset.y_test) * speed.testing + speed.saving
    left = max(0, job.epochs - done)
    return (len(dataset.y_train) * speed.augmenting + left * epoch) if left else 0.0


def simulate(seconds: Sequence[float], places: int) -> float:
    """When the last run ends, if each is begun in this order as soon as one of `places` places is free."""
    free = [0.0] * max(1, places)
    for needed in seconds:
        heapq.heappush(free, heapq.heappop(free) + needed)
    return max(free)


def make_plan(jobs: Iterable[Job], study: Study) -> Plan:
    """Count and time what is missing; on a cluster, its own workers time it, all at once as they would train.

    Raises:
        BadInput: no such device, engine or scheduler, or a GPU is wanted and no worker offers one.
        Failure: the cluster has no workers.
    """
    options, dataset, store = study.options, study.dataset, study.store
    wanted, missing = missing_of(jobs, study)
    done = {job.key: study.state(job.experiment).goes_on_from(job.epochs) for job in missing}
    networks = networks_of(missing)
    store.mkdir(parents=True, exist_ok=True)
    speeds: dict[str, Speed]
    if not missing:
        speeds, places, start = {}, 1, 0.0
    elif is_on_cluster(options):
        speeds, places, start = _measure_on_workers(networks, study)
    else:
        from reproduce.plan.speed import measure

        with tqdm(networks.items(), "timing networks", leave=False, disable=not sys.stderr.isatty()) as bar:
            speeds = {key: measure(one, dataset, options.device, options.engine, store) for key, one in bar}
        places, start = 1, 0.0
    seconds = {}
    for job in missing:
        speed = speeds[network_key(job.experiment)]
        if job.experiment.augmentation == "none":
            speed = speed._replace(augmenting=0.0)
        seconds[job.key] = predicted_seconds(job, done[job.key], dataset, speed)
    batches = sum(speed.batches for speed in speeds.values())
    return Plan(wanted, missing, done, seconds, len(networks), batches, places, start)


def _measure_on_workers(networks: dict[str, Experiment], study: Study) -> tuple[dict[str, Speed], int, float]:
    """Speeds, places and seconds to begin, of the cluster that the options name."""
    from reproduce.plan import speed
    from reproduce.sweep import dask_cluster

    options = study.options
    began = time.monotonic()
    with dask_cluster.connection(options)() as client:
        start = time.monotonic() - began if options.jobs else 0.0
        remind = partial(_remind, "for the cluster's workers to answer")
        workers = dask_cluster.usable(patiently(partial(dask_cluster.workers_of, client), remind), options.device)
        if not workers:
            raise Failure("the cluster has no workers to time a network on; begin at least one")
        places = len(patiently(partial(client.run, _nothing, workers=workers), remind))
        device = 0 if options.device >= 0 else -1
        source, store = source_of(options.data, study.dataset), study.store.resolve()
        futures = client.map(
            partial(speed.measure_on_worker, source=source, device=device, engine_name=options.engine, store=store),
            # Never fewer than there are workers: what they share, such as memory's speed, is part of the time.
            [*networks.values(), *(list(networks.values()) * places)[: max(0, places - len(networks))]],
            key=[f"time-{number}-{began}" for number in range(max(len(networks), places))],
            resources={"GPU": 1} if device >= 0 else None,
            pure=False,
        )
        still_timed = f"for the cluster to time {counted(len(networks), 'network')}"
        found = patiently(partial(client.gather, futures), partial(_remind, still_timed))[: len(networks)]
    return dict(zip(networks, found, strict=True)), places, start


def _nothing() -> None:
    pass


def _remind(of_what: str) -> None:
    print(f"still waiting {of_what}", file=sys.stderr, flush=True)


class Totals(NamedTuple):
    """What the missing runs of a plan take together."""

    images: float
    """to train on"""
    operations: float
    """floating point operations, as direct convolutions"""
    disk: float
    """bytes"""
    memory: float
    """bytes, of the largest run"""
    seconds: float
    """one after another"""


def totals_of(plan: Plan, study: Study) -> Totals:
    """What the missing runs take together; all 0 if there are none."""
    missing, dataset, options = plan.missing, study.dataset, study.options
    images = len(dataset.y_train)
    # A run that only has a damaged file to mend may have more epochs than are wanted, and has none left.
    share = {job.key: max(0.0, 1 - plan.done[job.key] / job.epochs) for job in missing}
    # Of a cluster's workers, not of this machine: `fast` is what they have, or they refuse.
    is_unfolding = options.device < 0 and options.engine != "fast" and engine.resolve(options.engine) == "chainer"
    return Totals(
        sum(share[job.key] * job.epochs * cost.training_images(job.experiment, images) for job in missing),
        sum(share[job.key] * operations_of(job, dataset) for job in missing),
        sum(cost.disk_bytes(job.experiment, images) for job in missing),
        max((cost.memory_bytes(job.experiment, dataset, is_unfolding) for job in missing), default=0),
        sum(plan.seconds.values()),
    )


def print_plan(plan: Plan, study: Study) -> None:
    """Say what would be trained and what it takes, in as few lines as it can be said."""
    missing, dataset = plan.missing, study.dataset
    print(f"{len(plan.wanted)} runs wanted, {len(plan.wanted) - len(missing)} already trained")
    if not missing:
        return
    width = max(len(job.label) for job in missing)
    print(f"\n{'run':{width}}  {'epochs':>12}  {'GFLOP/epoch':>12}  {'needed by':>9}  {'time':>9}")
    for job in missing:
        epochs = f"{plan.done[job.key]} of {job.epochs} done" if plan.done[job.key] else str(job.epochs)
        print(
            f"{job.label:{width}}  {epochs:>12}  {operations_of(job, dataset) / job.epochs / 1e9:12,.1f}  "
            f"{len(job.needed_by):9}  {duration(plan.seconds[job.key]):>9}"
        )
    totals = totals_of(plan, study)
    print(f"\nruns to train     {len(missing)}")
    print(f"images            {totals.images:,.0f} to train on")
    print(f"operations        {totals.operations:.3g} FLOP, as direct convolutions")
    print(f"disk              {size(totals.disk)} in {study.options.results}")
    together = f"; {plan.places} at a time: {size(totals.memory * plan.places)}" if plan.places > 1 else ""
    print(f"memory            about {size(totals.memory)} for the largest run{together}")
    speed = f" ({totals.operations / totals.seconds / 1e9:,.1f} GFLOP/s)" if totals.seconds else ""
    print(f"time, one place   {duration(totals.seconds)}{speed}")
    if plan.places > 1:
        print(f"time, {plan.places} places    {duration(plan.total)}, longest runs first")
    print(f"timed             {plan.batches} batches of {plan.networks} different networks")
