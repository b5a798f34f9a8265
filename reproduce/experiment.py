"""Experiment: all that determines a training run, and the key under which its results are kept."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from reproduce.augmentation import AUGMENTATIONS
from reproduce.cli import number, one_of, option, whole_number, yes_or_no
from reproduce.errors import BadInput
from reproduce.optimizers import OPTIMIZERS, SETTINGS
from reproduce.pattern import (
    LARGEST_FILTER,
    LARGEST_WIDTH,
    MOST_DROPOUT,
    MOST_FULLY_CONNECTED_LAYERS,
    POOLING,
    REPORT_BLOCKS,
    check_pattern,
)

WIDTH = number(0, LARGEST_WIDTH, low_included=False)
BATCH_SIZE = whole_number(1, 100_000)
# A decay of 1 is none, and Adam would divide by 0.
DECAY = number(0, 1, high_included=False)


def parse_blocks(text: str) -> tuple[tuple[int, int], ...]:
    """`2x64,2x128` as ((2, 64), (2, 128)): convolutions x channels of each block; an empty text is no blocks.

    Raises:
        ValueError: the text has another form.
    """
    if not text:
        return ()
    if not re.fullmatch(r"\d{1,4}x\d{1,6}(,\d{1,4}x\d{1,6}){0,99}", text):
        raise ValueError("expected blocks as convolutions x channels, like 2x64,2x128,4x256")
    return tuple((int(n), int(c)) for n, c in (block.split("x") for block in text.split(",")))


def parse_optimizer(text: str) -> str:
    """A parser for the names in `OPTIMIZERS`, those included that a program has added to it."""
    return one_of(*OPTIMIZERS)(text)


def _check_type(name: str, value: Any, expected: Any) -> None:
    """Refuse a value of another type than the field's; a whole number is a number, and a bool is neither."""
    if value is None:
        matches = expected == (float | None)
    elif expected in (float, float | None):
        matches = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif expected is int:
        matches = isinstance(value, int) and not isinstance(value, bool)
    elif expected in (str, bool):
        matches = isinstance(value, expected)
    else:
        matches = isinstance(value, tuple)
    if not matches:
        raise BadInput(f"{name}: expected {getattr(expected, '__name__', expected)}; found {value!r:.80}")


@dataclass(frozen=True)
class Experiment:
    """One training run. Without arguments: the network and loop of section 8, on all images of the data.

    Two experiments with the same key give the same numbers: bit for bit with the same engine, device, number of threads
    and versions on one machine, which their provenances say; else but for rounding, which grows from step to step. The
    number of epochs is not part of it: a longer run begins as a shorter one does.
    """

    data_fingerprint: str = ""
    """Which images, in which order (the fingerprint of Dataset.of_seed)."""
    seed: int = option(
        0, whole_number(0, 2**32 - 1), "seed of NumPy's global generator, set just before the network is built"
    )
    blocks: tuple[tuple[int, int], ...] = option(
        REPORT_BLOCKS, parse_blocks, "convolutions x channels of each [CONV-RELU]*N-POOL block"
    )
    filter_size: int = option(3, whole_number(1, LARGEST_FILTER), "side of the convolutions' filters in pixels, odd")
    pooling: str = option("max", one_of(*POOLING), "pooling after each block: max, average or none")
    batch_normalization: bool = option(True, yes_or_no, "batch normalization after each convolution: yes or no")
    dropout: float = option(0.4, number(0, MOST_DROPOUT), "ratio of values dropped (not kept)")
    fully_connected_layers: int = option(
        3, whole_number(1, MOST_FULLY_CONNECTED_LAYERS), "fully connected layers, with the last one"
    )
    width: float = option(1.0, WIDTH, "factor on all channels and hidden units")
    initial_scale: float = option(1.0, number(0, 1000, low_included=False), "factor on all initial weights")
    augmentation: str = option(
        "none", one_of(*AUGMENTATIONS), "training set as it is (none), or augmented as in section 6"
    )
    optimizer: str = option("Adam", parse_optimizer, f"one of Chainer's: {', '.join(OPTIMIZERS)}")
    learning_rate: float | None = option(
        None, number(0, 1000, low_included=False), "step size", unset="Chainer's own for the optimizer, 0.001 for Adam"
    )
    momentum: float = option(0.9, DECAY, "momentum of MomentumSGD and NesterovAG")
    beta1: float = option(0.9, DECAY, "Adam's decay of the first moment")
    beta2: float = option(0.999, DECAY, "Adam's decay of the second moment")
    alpha: float = option(0.99, DECAY, "RMSprop's decay of the mean square")
    # A smaller one is 0 to Chainer, which refuses that.
    epsilon: float = option(1e-8, number(1e-38, 1), "small constant in the denominator of Adam, RMSprop and AdaGrad")
    batch_size: int = option(500, BATCH_SIZE, "images in a mini-batch")

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            _check_type(field.name, value, field.type)
            if field.type in (float, float | None) and value is not None:
                # 0 and 0.0 are equal, and must have one key.
                object.__setattr__(self, field.name, float(value))
        check_pattern(
            self.blocks, self.filter_size, self.pooling, self.dropout, self.width, self.fully_connected_layers
        )
        if self.learning_rate is None:
            known = OPTIMIZERS.get(self.optimizer)
            object.__setattr__(self, "learning_rate", known and known.learning_rate)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float, str, float | None) and "parse" in field.metadata:
                try:
                    field.metadata["parse"](str(value))
                except ValueError as error:
                    raise BadInput(f"{field.name}: {error}; found {value!r}") from None

    def settings(self) -> dict[str, Any]:
        """The fields that have an effect, by name, in a form that JSON keeps: MomentumSGD has no betas, say."""
        kept = asdict(self)
        for name in SETTINGS:
            if name not in OPTIMIZERS[self.optimizer].settings:
                del kept[name]
        return json.loads(json.dumps(kept))

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for the settings."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Experiment":
        """The experiment that `settings` came from.

        Raises:
            BadInput: a name or value is not an experiment's.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise BadInput(f"no such setting of an experiment: {', '.join(unknown)}")
        settings = dict(settings)
        if "blocks" in settings:
            blocks = settings["blocks"]
            if not (isinstance(blocks, (list, tuple)) and all(isinstance(block, (list, tuple)) for block in blocks)):
                raise BadInput(f"blocks: expected a list of [convolutions, channels]; found {blocks!r:.80}")
            settings["blocks"] = tuple(tuple(block) for block in blocks)
        return cls(**settings)
