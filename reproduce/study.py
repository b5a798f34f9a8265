"""Study: what one command works on. Its options, its data, and the runs in its results store, each read once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reproduce.data.dataset import Dataset
from reproduce.experiment import Experiment
from reproduce.profiles import PROFILES, Options, Profile
from reproduce.store import runs
from reproduce.store.history import History
from reproduce.store.provenance import Origins, summarize
from reproduce.store.runs import RunState


@dataclass(frozen=True)
class Study:
    """What a command works on, handed on as one thing.

    Attributes:
        options: what the command was told.
        dataset: the images that its runs use.
    """

    options: Options
    dataset: Dataset
    _states: dict[str, RunState] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, options: Options) -> "Study":
        """The study that a command's options describe, its data loaded.

        Raises:
            BadInput: the data cannot be used.
        """
        return cls(options, options.load_data())

    @property
    def scale(self) -> Profile:
        """How large the runs are."""
        return self.options.scale()

    @property
    def store(self) -> Path:
        """The folder of the results store."""
        return Path(self.options.results)

    @property
    def folder(self) -> Path:
        """Where figures and tables go."""
        return self.store / self.options.profile

    @property
    def is_report_scale(self) -> bool:
        """Whether values, and not only their order, can be compared with the report's: same sizes as there."""
        full, scale = PROFILES["full"], self.scale
        sizes = (len(self.dataset.y_train), len(self.dataset.y_test), scale.batch_size, scale.width)
        return not self.dataset.is_synthetic and sizes == (
            *(full.train_size, full.test_size),
            *(full.batch_size, full.width),
        )

    def experiment(self, settings: Mapping[str, Any], seed: int) -> Experiment:
        """A run at this scale.

        Args:
            settings: of Experiment; those that the scale sets as well count before it.
        """
        return Experiment(
            data_fingerprint=self.dataset.fingerprint, seed=seed, **{**self.scale.experiment_settings, **settings}
        )

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
        provenances = {runs.run_folder(self.store, one): self.state(one).provenance for one in begun}
        return summarize(provenances, self.dataset.fingerprint)

    def forget(self) -> None:
        """Drop what was read: runs have been trained since."""
        self._states.clear()
