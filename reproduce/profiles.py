"""How large a reproduction is, and what every command that trains can be told."""

import dataclasses
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce import engine
from reproduce.cli import flag, one_of, option, path, whole_number
from reproduce.data.dataset import Dataset, load, say_if_synthetic
from reproduce.experiment import BATCH_SIZE, WIDTH
from reproduce.text import printable

IMAGES = whole_number(1, 10_000_000)


@dataclass(frozen=True)
class Profile:
    """How large a reproduction is.

    Attributes:
        train_size, test_size: images used.
        batch_size: images in a mini-batch.
        width: factor on channels and hidden units.
        epochs: of every run; None for the length of the report's own curves.
        seeds: runs of each network, with seeds 0, 1, ...
        momentum: MomentumSGD's, which the report does not state.
        sgd_rate: SGD's learning rate, likewise.
    """

    train_size: int
    test_size: int
    batch_size: int
    width: float
    epochs: int | None
    seeds: int
    momentum: float = 0.9
    sgd_rate: float = 0.01

    def completed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A run's settings, of Experiment, with this size's own where they do not say otherwise."""
        rate = {"learning_rate": self.sgd_rate} if settings.get("optimizer") == "SGD" else {}
        own = {"batch_size": self.batch_size, "width": self.width, "momentum": self.momentum, **rate}
        return {**own, **settings}


# Momentum is Chainer's 0.9 but for the report's own scale, where 0.99 lies nearer to its curves (docs/settings.md);
# that says nothing about runs of a few hundred steps. SGD's rate is Chainer's 0.01, but for the smallest batches, of
# which an epoch has many more.
PROFILES = {
    # A demonstration in minutes: curves that fall over the whole axis, and no verdict.
    "quick": Profile(train_size=2500, test_size=1000, batch_size=25, width=0.25, epochs=15, seeds=1, sgd_rate=0.001),
    "smoke": Profile(train_size=200, test_size=100, batch_size=50, width=0.0625, epochs=2, seeds=2, sgd_rate=0.001),
    # All images at a quarter of the width: most panels' orders in an evening. Some claims need wider networks or more
    # epochs (docs/claims.md).
    "evening": Profile(train_size=50_000, test_size=10_000, batch_size=100, width=0.25, epochs=8, seeds=1),
    "overnight": Profile(train_size=50_000, test_size=10_000, batch_size=100, width=0.25, epochs=None, seeds=1),
    "full": Profile(
        train_size=50_000,
        test_size=10_000,
        batch_size=500,
        width=1.0,
        epochs=None,
        seeds=3,
        momentum=0.99,
        sgd_rate=0.01,
    ),
}


@dataclass(frozen=True)
class Options:
    """What `make figure-N` and the other commands that train can be told; the rest is as the profile has it."""

    profile: str = option("quick", one_of(*PROFILES), f"how large the reproduction is: {', '.join(PROFILES)}")
    data: str | None = option(
        None,
        path,
        "CIFAR-10 as a file or folder, or 'synthetic'",
        unset="data/CIFAR10.hdf5, downloaded if it is not there",
    )
    seeds: int | None = option(None, whole_number(1, 1000), "runs of each network, seeds 0, 1, ...")
    epochs: int | None = option(None, whole_number(1, 10_000), "epochs of every run")
    train_size: int | None = option(
        None, IMAGES, "training images; where there are more, each seed from 1 on draws its own"
    )
    test_size: int | None = option(None, IMAGES, "number of test images, from the start of the file")
    batch_size: int | None = option(None, BATCH_SIZE, "images in a mini-batch")
    width: float | None = option(None, WIDTH, "factor on all channels and hidden units")
    device: int = option(-1, whole_number(-1, 1000), "-1 for the CPU, or a GPU's number")
    engine: str = option("auto", one_of(*engine.NAMES), "who computes: auto, chainer or fast")
    results: str = option("results", path, "the folder of the results store")
    jobs: int | None = option(
        None,
        whole_number(1, 1024),
        "processes on this machine that train runs side by side",
        unset="none: in this process",
    )
    scheduler: str | None = option(None, path, "address of a running Dask scheduler, or a scheduler file", unset="none")
    verbose: bool = flag("print a line for each epoch, too; every run's history.csv has them in any case", "-v")

    def scale(self) -> Profile:
        """The profile with the sizes that were asked for in place of its own."""
        profile = PROFILES[self.profile]
        asked = {field.name: getattr(self, field.name, None) for field in dataclasses.fields(Profile)}
        return dataclasses.replace(profile, **{name: value for name, value in asked.items() if value is not None})

    def sizes_asked_for(self) -> list[str]:
        """Sizes that differ from the profile's own, as parts of a folder's name: `epochs-3`, `width-0.5`."""
        own, asked = PROFILES[self.profile], self.scale()
        values = {field.name: getattr(asked, field.name) for field in dataclasses.fields(Profile)}
        return [
            f"{name.replace('_', '-')}-{str(value).removesuffix('.0')}"
            for name, value in values.items()
            if value != getattr(own, name)
        ]

    @property
    def scheduler_address(self) -> str:
        """Of the Dask cluster that trains the runs, or its scheduler file; empty if this machine does."""
        return "" if self.jobs else self.scheduler or os.environ.get("DASK_SCHEDULER_ADDRESS", "")

    def differing_from(self, default: "Options") -> dict[str, str]:
        """The fields whose values differ from those of `default`, quoted for a shell, in one line."""
        asked = {field.name: getattr(self, field.name) for field in dataclasses.fields(Options)}
        differing = {name: value for name, value in asked.items() if value != getattr(default, name)}
        return {name: shlex.quote(printable(str(value))) for name, value in differing.items()}

    def portable(self) -> "Options":
        """The same as commands for other machines have it: the data by its file's name, the results at their place."""
        data = self.data and Path(self.data).name
        return dataclasses.replace(
            self, data=data, results=type(self).results, jobs=None, scheduler=None, verbose=False
        )

    def make_command(self, *targets: str) -> str:
        """The command that makes targets with these settings: `make figure-6 SEEDS=5`."""
        given = self.differing_from(Options())
        return " ".join(["make", *targets, *(f"{name.upper()}={value}" for name, value in given.items())])

    def load_data(self) -> Dataset:
        """The images that the runs use."""
        scale = self.scale()
        may_be_synthetic = self.profile in ("quick", "smoke")
        dataset = load(self.data, scale.train_size, scale.test_size, may_be_synthetic)
        say_if_synthetic(dataset)
        return dataset
