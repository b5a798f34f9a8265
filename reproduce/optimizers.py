"""The optimizers that an experiment can train with, each said once: settings, defaults and memory are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainer import GradientMethod

    from reproduce.experiment import Experiment


@dataclass(frozen=True)
class Optimizer:
    """One of Chainer's optimizers.

    Attributes:
        learning_rate: Chainer's own default, then as now.
        rate_name: what Chainer calls the learning rate.
        settings: the fields of Experiment that it has besides the learning rate, each with Chainer's name for it.
        slots: arrays of a parameter's size that it keeps for each parameter.
    """

    learning_rate: float
    rate_name: str = "lr"
    settings: Mapping[str, str] = field(default_factory=dict)
    slots: int = 1


# The report uses the first three. A figure can take any of them.
OPTIMIZERS: dict[str, Optimizer] = {
    "Adam": Optimizer(0.001, "alpha", {"beta1": "beta1", "beta2": "beta2", "epsilon": "eps"}, slots=2),
    "MomentumSGD": Optimizer(0.01, settings={"momentum": "momentum"}),
    "RMSprop": Optimizer(0.01, settings={"alpha": "alpha", "epsilon": "eps"}),
    "SGD": Optimizer(0.01, slots=0),
    "NesterovAG": Optimizer(0.01, settings={"momentum": "momentum"}),
    "AdaGrad": Optimizer(0.001, settings={"epsilon": "eps"}),
}
# The fields of Experiment that only some optimizers have.
SETTINGS = tuple(dict.fromkeys(name for optimizer in OPTIMIZERS.values() for name in optimizer.settings))


def users_of(setting: str) -> list[str]:
    """The optimizers that have a setting: those that have `momentum`, say."""
    return [name for name, optimizer in OPTIMIZERS.items() if setting in optimizer.settings]


def build_optimizer(experiment: "Experiment") -> "GradientMethod":
    """The experiment's optimizer, not yet set up with a network."""
    from chainer import optimizers

    described = OPTIMIZERS[experiment.optimizer]
    settings = {theirs: getattr(experiment, ours) for ours, theirs in described.settings.items()}
    return getattr(optimizers, experiment.optimizer)(**{described.rate_name: experiment.learning_rate}, **settings)
