"""A network's layers and what each of them counts, from its description alone: nothing is built for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reproduce.pattern import IMAGE_CHANNELS

LRN, POOLING = "LRN", "maxpool"
# A convolution: side of its filters, and channels.
Convolution = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """One layer of a network and its counts.

    Attributes:
        name: as table 1 of the report writes it: `conv3-64`, `LRN`, `maxpool`, `FC-4096`; or `input`.
        block: 1, 2, ... for the blocks; 0 for the input, and one more than there are blocks for the fully connected.
        dimensions: height, width and channels of its output.
        fan_in: the factors of the number of inputs to one of its units, (3, 3, 64) say; empty if it has no weights.
        batch_normalization: whether batch normalization follows it.
    """

    name: str
    block: int
    dimensions: tuple[int, int, int]
    fan_in: tuple[int, ...] = ()
    batch_normalization: bool = False

    @property
    def values(self) -> int:
        """Numbers in its output for one image: what the report's table calls memory."""
        return math.prod(self.dimensions)

    @property
    def weights(self) -> int:
        return math.prod(self.fan_in) * self.dimensions[2] if self.fan_in else 0

    @property
    def biases(self) -> int:
        return self.dimensions[2] if self.fan_in else 0

    @property
    def scales_and_shifts(self) -> int:
        """The gamma and beta of the batch normalization behind it."""
        return 2 * self.dimensions[2] if self.batch_normalization else 0

    @property
    def parameters(self) -> int:
        """All that training changes."""
        return self.weights + self.biases + self.scales_and_shifts

    @property
    def operations(self) -> int:
        """Floating point operations for one image's forward pass: two for each weight at each place.

        As in a direct convolution, those with the padding's zeros included. Layers without weights have so few that
        they are not counted.
        """
        return 2 * math.prod(self.fan_in) * self.values if self.fan_in else 0

    @property
    def window(self) -> int:
        """Numbers that a convolution's filter sees at all places together; 0 for other layers."""
        height, width, _ = self.dimensions
        return math.prod(self.fan_in) * height * width if len(self.fan_in) == 3 and height > 1 else 0


def convolution_name(convolution: Convolution | str) -> str:
    """As table 1 writes it: `conv3-64`, `LRN`."""
    return convolution if isinstance(convolution, str) else f"conv{convolution[0]}-{convolution[1]}"


def layers_in_pattern(
    image_size: int,
    blocks: Sequence[Sequence[Convolution | str]],
    units: Sequence[int],
    has_pooling: bool = True,
    batch_normalization: bool = False,
) -> tuple[Layer, ...]:
    """The layers of a network of the report's pattern, from its input to its last fully connected layer.

    Args:
        image_size: side of the input in pixels.
        blocks: the convolutions of each block, whose padding keeps the size, or `LRN`.
        units: of each fully connected layer.
        has_pooling: whether 2 x 2 pooling with stride 2 ends each block.
        batch_normalization: whether each convolution is followed by it.
    """
    size, channels = image_size, IMAGE_CHANNELS
    layers = [Layer("input", 0, (size, size, channels))]
    for block, convolutions in enumerate(blocks, start=1):
        for convolution in convolutions:
            if isinstance(convolution, str):
                layers.append(Layer(convolution, block, (size, size, channels)))
                continue
            side, after = convolution
            fan_in: tuple[int, ...] = (side, side, channels)
            layers.append(Layer(convolution_name(convolution), block, (size, size, after), fan_in, batch_normalization))
            channels = after
        if has_pooling:
            size //= 2
            layers.append(Layer(POOLING, block, (size, size, channels)))
    fan_in = (size, size, channels)
    for count in units:
        layers.append(Layer(f"FC-{count}", len(blocks) + 1, (1, 1, count), fan_in))
        fan_in = (count,)
    return tuple(layers)
