"""What the report leaves unstated, what it may have been, and which of its curves can tell: for `infer`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from reproduce.analysis.curves import Series

Settings = Mapping[str, Any]
NOTHING: Settings = MappingProxyType({})

MOMENTUM_9 = {"optimizer": "MomentumSGD", "momentum": 0.9}
MOMENTUM_99 = {"optimizer": "MomentumSGD", "momentum": 0.99}
ADAM = {"optimizer": "Adam"}
THREE_BLOCKS = ((2, 64), (2, 128), (2, 256))


def curve(figure: int, panel: str, series: str, quantity: str, settings: Settings = NOTHING) -> Series:
    """One of the report's own curves, and what its run has beside its candidate's settings."""
    return Series(figure, panel, series, quantity, settings, epochs=0)


def name_of(series: Series) -> str:
    """As tables have it: `figure 6, max pooling, Adam: train error`."""
    names = ", ".join(filter(None, (f"figure {series.figure}", series.panel, series.name)))
    return f"{names}: {series.quantity.removesuffix(' (%)')}"


@dataclass(frozen=True)
class Question:
    """Something that the report does not state.

    Attributes:
        name: for the command line.
        asks: in a sentence.
        curves: the report's, that all candidates are compared with.
        candidates: by name, the settings of Experiment in which they differ from the report's `Conv_NN`.
    """

    name: str
    asks: str
    curves: tuple[Series, ...]
    candidates: Mapping[str, Settings]


def _both(train: tuple[int, str, str], test: tuple[int, str, str]) -> tuple[Series, ...]:
    """The train error and the test accuracy of one run."""
    return curve(*train, "train error (%)"), curve(*test, "test accuracy (%)")


def _of_figures_6_and_7(optimizer: str) -> tuple[Series, ...]:
    return _both((6, "max pooling", optimizer), (7, "max pooling", optimizer))


def _crossed(first: Mapping[str, Settings], second: Mapping[str, Settings]) -> dict[str, Settings]:
    """Every candidate of one kind with every one of another."""
    return {f"{a}, {b}": {**of_a, **of_b} for a, of_a in first.items() for b, of_b in second.items()}


_RATIOS = {"dropout 0.25": {"dropout": 0.25}, "dropout 0.4": {"dropout": 0.4}}
_MOMENTA = {"momentum 0.9": MOMENTUM_9, "momentum 0.99": MOMENTUM_99}
_MOMENTA_AND_ADAM = {**_MOMENTA, "Adam": ADAM}
_OPTIMIZERS = {**_MOMENTA_AND_ADAM, "RMSprop, rate 0.001": {"optimizer": "RMSprop", "learning_rate": 0.001}}

QUESTIONS = (
    Question(
        "baseline",
        "The baseline is Conv_NN with max pooling under MomentumSGD: which momentum, and which dropout ratio?",
        _of_figures_6_and_7("MomentumSGD"),
        _crossed(_MOMENTA, _RATIOS),
    ),
    Question(
        "rmsprop",
        "RMSprop in figures 6 and 7: at which learning rate?",
        _of_figures_6_and_7("RMSprop"),
        {f"rate {rate}": {"optimizer": "RMSprop", "learning_rate": rate, "dropout": 0.25} for rate in (0.01, 0.001)},
    ),
    Question(
        "adam-dropout",
        "Adam in figures 6 and 7: with which dropout ratio?",
        _of_figures_6_and_7("Adam"),
        {name: {**ADAM, **ratio} for name, ratio in _RATIOS.items()},
    ),
    Question(
        "depth",
        "Figures 2 and 3: under which optimizer?",
        (
            curve(3, "x3", "batch norm", "train error (%)"),
            curve(3, "x3", "no batch norm", "train error (%)", {"batch_normalization": False}),
        ),
        {name: {"blocks": THREE_BLOCKS, "dropout": 0.0, **settings} for name, settings in _OPTIMIZERS.items()},
    ),
    Question(
        "dropout",
        "Figures 4 and 5: which network, and under which optimizer? Figure 4's curve without dropout is figure 2's x3.",
        tuple(
            curve(figure, "", series, quantity, {"dropout": ratio})
            for series, ratio in (("no dropout", 0.0), ("dropout 0.3", 0.3))
            for figure, quantity in ((4, "train error (%)"), (5, "test error (%)"))
        ),
        _crossed(
            {"Conv_NN": {}, "x3": {"blocks": THREE_BLOCKS}},
            _MOMENTA_AND_ADAM,
        ),
    ),
    Question(
        "filter-optimizer",
        "Figure 8's 3x3 filters: under which optimizer?",
        _both((8, "training error", "3x3"), (8, "test accuracy", "3x3")),
        {name: {"dropout": 0.0, **settings} for name, settings in _MOMENTA_AND_ADAM.items()},
    ),
    Question(
        "larger-filters",
        "Figure 8's 5x5 filters: with batch normalization, with dropout?",
        _both((8, "training error", "5x5"), (8, "test accuracy", "5x5")),
        {
            f"{with_or_without} batch normalization, {ratio_name}": {
                **MOMENTUM_99,
                "filter_size": 5,
                "batch_normalization": with_or_without == "with",
                "dropout": ratio,
            }
            for with_or_without in ("with", "without")
            for ratio_name, ratio in (("no dropout", 0.0), ("dropout 0.25", 0.25))
        },
    ),
    Question(
        "tuned",
        "The tuned model of section 7: which dropout ratio, and with the rotations or without?",
        (curve(10, "", "after tuning", "test accuracy (%)"),),
        _crossed(
            _RATIOS,
            {
                name: {**ADAM, "pooling": "average", "augmentation": augmentation}
                for name, augmentation in (("4 copies", "report"), ("16 copies, rotations among them", "rotations"))
            },
        ),
    ),
)
