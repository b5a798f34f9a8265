"""What the report leaves unstated, what it may have been, and which of its curves can tell: for `infer`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reproduce.analysis.curves import Series
from reproduce.pattern import COLUMN_A, ONE_BLOCK, REPORT_BLOCKS, THREE_BLOCKS, TWO_BLOCKS

Settings = Mapping[str, Any]

MOMENTUM_9 = {"optimizer": "MomentumSGD", "momentum": 0.9}
MOMENTUM_99 = {"optimizer": "MomentumSGD", "momentum": 0.99}
ADAM = {"optimizer": "Adam"}


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
        curves: the report's, that all candidates are compared with, each with what its run has besides the candidate's
            settings.
        candidates: by name, the settings of Experiment in which they differ from the report's `Conv_NN`.
        is_a_test: whether it chooses nothing, and tests the method: the answer is known otherwise.
    """

    name: str
    asks: str
    curves: tuple[Series, ...]
    candidates: Mapping[str, Settings]
    is_a_test: bool = False


# A setting is chosen on train errors alone, as far as the report shows any: test curves stay to tell how near it is.
def _train_error_of_figure_6(optimizer: str) -> tuple[Series, ...]:
    return (Series(6, "max pooling", optimizer, "train error (%)"),)


def _train_error_of_figure_8(filters: str) -> tuple[Series, ...]:
    return (Series(8, "training error", filters, "train error (%)"),)


def _train_errors_of_figure_3(depth: str) -> tuple[Series, ...]:
    """With and without batch normalization."""
    return (
        Series(3, depth, "batch norm", "train error (%)"),
        Series(3, depth, "no batch norm", "train error (%)", {"batch_normalization": False}),
    )


def _crossed(first: Mapping[str, Settings], second: Mapping[str, Settings]) -> dict[str, Settings]:
    """Every candidate of one kind with every one of another."""
    return {f"{a}, {b}": {**of_a, **of_b} for a, of_a in first.items() for b, of_b in second.items()}


_RATIOS: dict[str, Settings] = {"dropout 0.25": {"dropout": 0.25}, "dropout 0.4": {"dropout": 0.4}}
# On both sides of 0.25, which Adam's curve seems to lie below.
_MORE_RATIOS: dict[str, Settings] = {"no dropout": {"dropout": 0.0}, "dropout 0.125": {"dropout": 0.125}, **_RATIOS}
_MOMENTA: dict[str, Settings] = {"momentum 0.9": MOMENTUM_9, "momentum 0.99": MOMENTUM_99}
_MOMENTA_AND_ADAM: dict[str, Settings] = {**_MOMENTA, "Adam": ADAM}
_PLAIN: Settings = {"batch_normalization": False, "dropout": 0.0}
_MOMENTUM_95: dict[str, Settings] = {"momentum 0.95": {"optimizer": "MomentumSGD", "momentum": 0.95}}
_OF_SHALLOW: dict[str, Settings] = {
    **_MOMENTA,
    "momentum 0.9, rate 0.001": {**MOMENTUM_9, "learning_rate": 0.001},
    "SGD, rate 0.01": {"optimizer": "SGD"},
}
_OPTIMIZERS: dict[str, Settings] = {
    **_MOMENTA_AND_ADAM,
    **_MOMENTUM_95,
    "RMSprop, rate 0.001": {"optimizer": "RMSprop", "learning_rate": 0.001},
}

QUESTIONS = (
    Question(
        "baseline",
        "The baseline is Conv_NN with max pooling under MomentumSGD: which momentum, and which dropout ratio?",
        _train_error_of_figure_6("MomentumSGD"),
        _crossed(_MOMENTA, _RATIOS),
        is_a_test=True,
    ),
    Question(
        "rmsprop",
        "RMSprop in figures 6 and 7: at which learning rate?",
        _train_error_of_figure_6("RMSprop"),
        {f"rate {rate}": {"optimizer": "RMSprop", "learning_rate": rate, "dropout": 0.25} for rate in (0.01, 0.001)},
        is_a_test=True,
    ),
    Question(
        "adam-dropout",
        "Adam in figures 6 and 7: with which dropout ratio?",
        _train_error_of_figure_6("Adam"),
        {name: {**ADAM, **ratio} for name, ratio in _MORE_RATIOS.items()},
    ),
    Question(
        "depth",
        "Figures 2 and 3: under which optimizer was x3 trained?",
        _train_errors_of_figure_3("x3"),
        {name: {"blocks": THREE_BLOCKS, "dropout": 0.0, **settings} for name, settings in _OPTIMIZERS.items()},
    ),
    Question(
        "shallow",
        "Figures 2 and 3: under which optimizer was x1 trained? Under x3's it learns far further.",
        _train_errors_of_figure_3("x1"),
        {name: {"blocks": ONE_BLOCK, "dropout": 0.0, **settings} for name, settings in _OF_SHALLOW.items()},
    ),
    Question(
        "shallow-x2",
        "Was x2 trained under the same optimizer as x1?",
        _train_errors_of_figure_3("x2"),
        {name: {"blocks": TWO_BLOCKS, "dropout": 0.0, **settings} for name, settings in _OF_SHALLOW.items()},
        is_a_test=True,
    ),
    Question(
        "dropout",
        "Figures 4 and 5: which network, and under which optimizer? Figure 4's curve without dropout is 0.4 points "
        "from figure 2's x3.",
        tuple(
            Series(4, "", series, "train error (%)", {"dropout": ratio})
            for series, ratio in (("no dropout", 0.0), ("dropout 0.3", 0.3))
        ),
        _crossed(
            {"Conv_NN": {}, "x3": {"blocks": THREE_BLOCKS}},
            _MOMENTA_AND_ADAM,
        ),
    ),
    Question(
        "filter-network",
        "Figure 8's 3x3 filters: which network? The author's scripts say that it is not the baseline.",
        _train_error_of_figure_8("3x3"),
        {
            name: {**MOMENTUM_99, "dropout": 0.0, "blocks": blocks}
            for name, blocks in {
                "table 1's column A": COLUMN_A,
                "table 1's column B": THREE_BLOCKS,
                "Conv_NN": REPORT_BLOCKS,
            }.items()
        },
    ),
    Question(
        "larger-filters",
        "Figure 8's 5x5 filters, in the network of column A: under which optimizer, with what regularization?",
        _train_error_of_figure_8("5x5"),
        {
            name: {"blocks": COLUMN_A, "filter_size": 5, **settings}
            for name, settings in {
                **{f"plain, {name}": {**_PLAIN, **settings} for name, settings in _MOMENTA_AND_ADAM.items()},
                "batch normalization, momentum 0.99": {**MOMENTUM_99, "dropout": 0.0},
                "batch normalization, dropout 0.25, momentum 0.99": {**MOMENTUM_99, "dropout": 0.25},
            }.items()
        },
    ),
    Question(
        "tuned",
        "The tuned model of section 7: which dropout ratio, and with the rotations or without?",
        (Series(10, "", "after tuning", "test accuracy (%)"),),
        _crossed(
            _RATIOS,
            {
                name: {**ADAM, "pooling": "average", "augmentation": augmentation}
                for name, augmentation in (("4 copies", "report"), ("16 copies, rotations among them", "rotations"))
            },
        ),
    ),
)
