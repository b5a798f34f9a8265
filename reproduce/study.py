"""Study: what one command works on. Its options, its data, and the runs in its results store, each read once."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reproduce.data.dataset import OFFICIAL_NAME, Dataset
from reproduce.experiment import Experiment
from reproduce.files import make_folder, read_at_most, write_json
from reproduce.profiles import PROFILES, Options, Profile
from reproduce.store import runs
from reproduce.store.history import History
from reproduce.store.provenance import Origins, summarize
from reproduce.store.runs import RunState
from reproduce.text import printable

LAST_DATA = "last-data.json"


@dataclass(frozen=True)
class Study:
    """What a command works on, handed on as one thing.

    Attributes:
        options: what the command was told.
        dataset: the images that its runs use.
        seeds: how many seeds to take; by default as many as the command was told.
    """

    options: Options
    dataset: Dataset
    seeds: int | None = None
    _states: dict[str, RunState] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, options: Options) -> "Study":
        """The study that a command's options describe, its data loaded.

        Raises:
            BadInput: the data cannot be used, or the results folder cannot be made.
        """
        study = cls(options, options.load_data())
        make_folder(study.store)
        study.remember_data()
        return study

    @property
    def scale(self) -> Profile:
        """How large the runs are."""
        scale = self.options.scale()
        return scale if self.seeds is None else replace(scale, seeds=self.seeds)

    @property
    def store(self) -> Path:
        """The folder of the results store."""
        return Path(self.options.results)

    @property
    def folder(self) -> Path:
        """Where figures and tables go: a folder that no other data and no other sizes share.

        `quick` for the profile as it is on the downloaded CIFAR-10; `quick-synthetic`; `quick-mine-3fa29c-epochs-3`
        for a file `mine.hdf5`, named by its stem and the beginning of its fingerprint, and sizes that were asked for.
        """
        return self.store / "-".join([self.options.profile, *self._data_name(), *self.options.sizes_asked_for()])

    def _data_name(self) -> list[str]:
        if self.dataset.is_synthetic:
            return ["synthetic"]
        if self.options.data is None:
            return []
        stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(self.options.data).stem).strip("-")[:40]
        return [*([stem] if stem else []), self.dataset.fingerprint[:6]]

    @property
    def unpublished_file(self) -> str:
        """The name of the data file that its commands need and only its owner has; empty if anybody has the data."""
        if self.options.data is None or self.dataset.is_synthetic or self.dataset.name == OFFICIAL_NAME:
            return ""
        return printable(Path(self.options.data).name)

    def remember_data(self) -> None:
        """Keep the data's name and place in the results folder, and say so where the last command used other data."""
        path = self.store / LAST_DATA
        asked = self.options.data or "the downloaded CIFAR-10"
        now = {"data": "synthetic" if self.dataset.is_synthetic else asked, "fingerprint": self.dataset.fingerprint}
        try:
            before = json.loads(read_at_most(path, 2**16))["data"]
        except (OSError, ValueError, TypeError, KeyError):
            before = now["data"]
        if before != now["data"]:
            print(
                printable(f"data: {now['data']}; the last command here used {before}. Results go to {self.folder}"),
                flush=True,
            )
        write_json(path, now)

    @property
    def draws(self) -> str:
        """What is to be said behind the number of training images, if its seeds train on different ones."""
        return " (each seed draws its own)" if self.scale.seeds > 1 and self.dataset.whole else ""

    @property
    def is_report_scale(self) -> bool:
        """Whether values, and not only their order, can be compared with the report's: same sizes and momentum."""
        full, scale = PROFILES["full"], self.scale
        images = len(self.dataset.y_train), len(self.dataset.y_test)
        own, report = ((one.batch_size, one.width, one.momentum, one.sgd_rate) for one in (scale, full))
        return not self.dataset.is_synthetic and images == (full.train_size, full.test_size) and own == report

    def experiment(self, settings: Mapping[str, Any], seed: int) -> Experiment:
        """A run at this scale.

        Args:
            settings: of Experiment; these override the scale's.
        """
        fingerprint = self.dataset.fingerprint_of_seed(seed)
        return Experiment(data_fingerprint=fingerprint, seed=seed, **self.scale.completed(settings))

    def experiments(self, settings: Mapping[str, Any]) -> list[Experiment]:
        """The runs of one setting, one for each seed."""
        return [self.experiment(settings, seed) for seed in range(self.scale.seeds)]

    def state(self, experiment: Experiment) -> RunState:
        """What the results store has of a run. It is read once, and again after `forget`.

        Raises:
            OSError: the store cannot be read.
        """
        if experiment.key not in self._states:
            self._states[experiment.key] = runs.examine(runs.run_folder(self.store, experiment), experiment)
        return self._states[experiment.key]

    def history(self, experiment: Experiment) -> History:
        """The epochs of a run; none if it has not begun."""
        return self.state(experiment).history

    def histories(self, settings: Mapping[str, Any]) -> list[History]:
        """The epochs of each seed's run of one setting."""
        return [self.history(experiment) for experiment in self.experiments(settings)]

    def origins(self, experiments: Iterable[Experiment]) -> Origins:
        """How those of the runs that have begun were made: engines, devices and versions.

        Raises:
            BadInput: one of them used other data.
        """
        begun = {one.key: one for one in experiments if self.history(one)}.values()
        return summarize(
            (runs.run_folder(self.store, one), self.state(one).provenance, one.data_fingerprint) for one in begun
        )

    def with_seeds(self, seeds: int) -> "Study":
        """The same study, with the same folders, of the first `seeds` seeds; what was read need not be read again."""
        other = replace(self, seeds=seeds)
        other._states.update(self._states)
        return other

    def forget(self) -> None:
        """Drop what was read: runs have been trained since."""
        self._states.clear()
