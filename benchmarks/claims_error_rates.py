"""How often the verdicts on claims are wrong, by simulation: python -m benchmarks.claims_error_rates [TRIALS]

Every network that a claim needs gets a true mean curve and normal noise from run to run, both as five runs of it show
them that were published once: at the quick profile as it was until November 2026, 2,000 images in batches of 40 for 8
epochs (`five_seeds.json`: by settings, for each seed and epoch train and test accuracy). Runs are drawn, and all
claims are decided by the code that decides real ones. Four worlds:

- `as seen`: each network has its own mean and its own spread. Networks that stand at chance hardly spread, others
  spread much: the hardest case for a variance that is taken from all.
- `as learnt`: the same means, with the spreads of those networks alone that have learnt (train accuracy above 50 %),
  dealt out at random: what comparisons in the report's regime look like.
- `one wild`: as learnt, but the networks of one block spread ten times as far.
- `no effect`: all networks have the mean of figure 10's 'before tuning'; spreads as learnt.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from figures.claims import measures
from figures.claims.declare import Comparison
from figures.publish.runs import experiment_of_row
from figures.sections import CLAIMS
from reproduce.analysis import significance
from reproduce.analysis.curves import QUANTITIES, Curve, part_of
from reproduce.experiment import Experiment
from reproduce.store.history import EpochRecord

DATA = "five seeds"
FIVE_SEEDS = Path(__file__).with_name("five_seeds.json")
IMAGES = {"train": 2000, "test": 1000}
# Comparisons of times, which are corrected for as well.
TIMED = 4
WORLDS = ("as seen", "as learnt", "one wild", "no effect")
WILD = 10
EPOCHS, LAST, LEARNT = 8, 3, 50.0
# Draws from which the true effect of a comparison is known: the mean that its interval has to cover.
MANY = 2000


class Network:
    """What was seen of a network.

    Attributes:
        runs: (S, E, 2) train and test accuracy.
        mean: (E, 2) of all runs.
        covariance: (2, 2) of its runs' ends.
        jitter: (2,) standard deviation of one epoch about its run.
    """

    def __init__(self, runs: np.ndarray, times: float = 1) -> None:
        self.mean = runs.mean(axis=0)
        runs = self.mean + times * (runs - self.mean)
        ends = runs[:, -LAST:].mean(axis=1)
        self.runs, self.covariance = runs, np.cov(ends.T)
        self.jitter = (runs - self.mean - (ends - ends.mean(axis=0))[:, None])[:, -LAST:].std(axis=(0, 1))


def known_networks() -> dict[Experiment, Network]:
    """Every network of which five runs are known. From the epoch in which a run diverged it guesses."""
    found = {}
    for settings, runs in json.loads(FIVE_SEEDS.read_text()).items():
        padded = [(run + [[10.0, 10.0]] * EPOCHS)[:EPOCHS] for run in runs]
        row = {"settings": settings, "data_fingerprint": DATA}
        found[experiment_of_row(row)] = Network(np.nan_to_num(np.array(padded, float), nan=10.0))
    return found


def nearest(known: dict[Experiment, Network], experiment: Experiment) -> Network:
    """The network itself or, if it is not known, the one of which the fewest settings differ."""
    wanted = experiment.settings()
    return known[min(known, key=lambda one: sum(wanted.get(name) != value for name, value in one.settings().items()))]


def draw(network: Network, spread: Network, seeds: int, random: np.random.Generator) -> np.ndarray:
    """(S, E, 2) runs of a network, percent."""
    offsets = random.multivariate_normal(np.zeros(2), spread.covariance, seeds)
    jitter = random.normal(0, 1, (seeds, EPOCHS, 2)) * spread.jitter
    return np.clip(network.mean + offsets[:, None] + jitter, 0, 100)


class World:
    """What is true of every network, and the comparisons that the claims make of them, each once."""

    def __init__(self, name: str, random: np.random.Generator) -> None:
        self.random = random
        known = known_networks()
        quick: dict[str, Any] = {"batch_size": 40, "width": 0.25, "momentum": 0.9, "data_fingerprint": DATA}
        learnt = [one for one in known.values() if one.mean[-1, 0] > LEARNT]
        common = known[Experiment(**{**quick, "optimizer": "MomentumSGD", "dropout": 0.25})]
        self.truth: dict[str, tuple[Network, Network]] = {}
        self.comparisons: list[tuple[Comparison, dict[str, str]]] = []
        self.places: dict[str, list[int]] = defaultdict(list)
        for claim in CLAIMS:
            for comparison in claim.comparisons:
                if comparison.curves:
                    keys = {}
                    for role, series in comparison.curves.items():
                        experiment = Experiment(**{**quick, **series.settings})
                        seen = nearest(known, experiment)
                        spread = seen if name == "as seen" else learnt[int(random.integers(len(learnt)))]
                        if name == "one wild" and len(experiment.blocks) == 1:
                            spread = Network(spread.runs, WILD)
                        self.truth.setdefault(experiment.key, (common if name == "no effect" else seen, spread))
                        keys[role] = experiment.key
                    if (comparison, keys) not in self.comparisons:
                        self.comparisons.append((comparison, keys))
                    if comparison.decides:
                        self.places[claim.id].append(self.comparisons.index((comparison, keys)))
        # The variance of a count hardly changes from draw to draw, and takes long to work out.
        self.counts = [
            measures.noise_variance(comparison.effect, curves, _counting_noise_of(comparison))
            for (comparison, _), curves in zip(self.comparisons, self.drawn(MANY // 10), strict=True)
        ]
        self.true = [float(np.nanmean(effects)) for effects in self.effects(MANY)]

    def drawn(self, seeds: int) -> list[dict[str, Curve]]:
        """The curves of every comparison, of newly drawn runs."""
        runs = {key: draw(*pair, seeds, self.random) for key, pair in self.truth.items()}
        found: list[dict[str, Curve]] = []
        for comparison, keys in self.comparisons:
            found.append({})
            for role, series in comparison.curves.items():
                accuracies = runs[keys[role]]
                values = QUANTITIES[series.quantity](EpochRecord(0, 0, accuracies[..., 0], 0, accuracies[..., 1], 0))
                found[-1][role] = Curve(series.panel, series.name, series.quantity, np.arange(EPOCHS), values)
        return found

    def effects(self, seeds: int) -> list[np.ndarray]:
        """(S,) of every comparison."""
        return [one.effect(curves) for (one, _), curves in zip(self.comparisons, self.drawn(seeds), strict=True)]


def _counting_noise_of(comparison: Comparison) -> Callable[[str, np.ndarray], np.ndarray]:
    images = {role: IMAGES[part_of(series.quantity)] for role, series in comparison.curves.items()}
    return lambda role, values: measures.counting_noise(values, images[role])


def simulate(name: str, seeds: int, trials: int) -> dict[str, float]:
    """Rates over `trials` sets of runs: what `main` prints."""
    world = World(name, np.random.default_rng(20))
    true, number = np.array(world.true), len(world.comparisons) + TIMED
    # Not a number where an effect cannot be measured, and so has no interval.
    covered = np.full((trials, len(true)), np.nan)
    at_once = wrong = decided = decided_alone = 0
    for trial in range(trials):
        samples = [
            significance.Sample(effects, comparison.claimed, count, comparison.variance_group)
            for (comparison, _), effects, count in zip(
                world.comparisons, world.effects(seeds), world.counts, strict=True
            )
        ]
        alone, found = significance.estimates(samples, 1), significance.estimates(samples, number)
        unpooled = significance.estimates([replace(one, group="") for one in samples], number)
        for i, (one, value) in enumerate(zip(alone, true, strict=True)):
            if np.isfinite(one.low):
                covered[trial, i] = one.low <= value <= one.high
        at_once += all(not (value < one.low or value > one.high) for one, value in zip(found, true, strict=True))
        is_wrong = False
        for places in world.places.values():
            verdict = significance.combine([found[i] for i in places], number).verdict
            ranges = [(*world.comparisons[i][0].claimed, true[i]) for i in places]
            holds = all(low < value < high for low, high, value in ranges)
            fails = any(value < low or value > high for low, high, value in ranges)
            decided += verdict != significance.INCONCLUSIVE
            own = significance.combine([unpooled[i] for i in places], number).verdict
            decided_alone += own != significance.INCONCLUSIVE
            is_wrong |= (verdict == significance.REPRODUCED and not holds) or (
                verdict == significance.CONTRADICTED and not fails
            )
        wrong += is_wrong
    return {
        "one 95 % interval covers": np.nanmean(covered),
        "the worst of these covers": np.nanmin(np.nanmean(covered, axis=0)),
        "all cover at once": at_once / trials,
        "any verdict is wrong": wrong / trials,
        "claims decided": decided / trials,
        "by their own variances": decided_alone / trials,
    }


def main(trials: int) -> None:
    """Print a row for each world and number of seeds."""
    print(f"{trials} simulated sets of runs each")
    for name in WORLDS:
        for seeds in (3, 5):
            rates = simulate(name, seeds, trials)
            print(
                f"{name}, {seeds} seeds: {', '.join(f'{what} {rate:.3g}' for what, rate in rates.items())}", flush=True
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
