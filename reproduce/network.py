"""The report's network: `Conv_NN` of section 8, its blocks and settings as parameters."""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import Chain

from reproduce.errors import BadInput
from reproduce.pattern import CLASSES, HIDDEN_UNITS, IMAGE_CHANNELS, IMAGE_SIZE, REPORT_BLOCKS, check_pattern, scaled


class Conv_NN(Chain):
    """The network of section 8; called without arguments, exactly that network.

    Parameters have the report's names: `conv1_1/W`, `bn1_1/gamma`, ... `fc6/b`, so its parameter files load. Weights
    start from N(0, 1 / fan-in) and biases from 0, Chainer's defaults now as then, drawn in the report's order.

    Args:
        blocks: (convolutions, channels) of each [CONV -> RELU]*N -> POOL block.
        filter_size: side of the convolutions' filters in pixels, odd; zero padding keeps the image's size.
        pooling: "max" or "average" over 2 x 2 pixels with stride 2 after each block, or "none".
        batch_normalization: whether each convolution is followed by batch normalization.
        dropout: the ratio of values dropped (not kept) after each block and each hidden fully connected layer.
        width: factor on all channels and hidden units; 1 is the report's network.
        fully_connected_layers: K + 1, the last of which gives the 10 class scores.
        initial_scale: factor on all initial weights; the random numbers used are the same whatever it is.

    Raises:
        BadInput: a number is outside the report's pattern.
    """

    def __init__(
        self,
        blocks: tuple[tuple[int, int], ...] = REPORT_BLOCKS,
        filter_size: int = 3,
        pooling: str = "max",
        batch_normalization: bool = True,
        dropout: float = 0.4,
        width: float = 1.0,
        fully_connected_layers: int = 3,
        initial_scale: float = 1.0,
    ) -> None:
        super().__init__()
        check_pattern(blocks, filter_size, pooling, dropout, width, fully_connected_layers)
        self.blocks = blocks
        self.pooling = pooling
        self.batch_normalization = batch_normalization
        self.dropout = dropout
        self.fc_names = [f"fc{len(blocks) + 1 + k}" for k in range(fully_connected_layers)]
        channels_in, size = IMAGE_CHANNELS, IMAGE_SIZE
        with self.init_scope():
            for i, (convolutions, channels) in enumerate(blocks, start=1):
                channels = scaled(channels, width)
                for j in range(1, convolutions + 1):
                    convolution = L.Convolution2D(channels_in, channels, filter_size, pad=filter_size // 2)
                    setattr(self, f"conv{i}_{j}", convolution)
                    if batch_normalization:
                        setattr(self, f"bn{i}_{j}", L.BatchNormalization(channels))
                    channels_in = channels
                if pooling != "none":
                    size //= 2
            units_in = size * size * channels_in
            for name in self.fc_names[:-1]:
                units = scaled(HIDDEN_UNITS, width)
                setattr(self, name, L.Linear(units_in, units))
                units_in = units
            setattr(self, self.fc_names[-1], L.Linear(units_in, CLASSES))
        if initial_scale != 1:
            for link in self.children():
                if not isinstance(link, L.BatchNormalization):
                    link.W.array *= initial_scale

    def convolve(self, h, i: int, j: int):
        """Convolution j of block i, batch-normalized if this network is: (N, C, H, W) to (N, C', H, W)."""
        h = self[f"conv{i}_{j}"](h)
        return self[f"bn{i}_{j}"](h) if self.batch_normalization else h

    def pool(self, h):
        """2 x 2 pooling with stride 2: (N, C, H, W) to (N, C, H/2, W/2); with pooling "none" what it got."""
        if self.pooling == "none":
            return h
        return F.max_pooling_2d(h, 2, 2) if self.pooling == "max" else F.average_pooling_2d(h, 2, 2)

    def logits(self, x_data):
        """The class scores before the softmax, `L_out` in the report: (N, 3, 32, 32) to a Variable (N, 10), float32.

        Chainer's configuration says whether this is training (`chainer.config.train`): then batch normalization uses
        the batch's own statistics and dropout drops. The report passed two flags instead.

        Args:
            x_data: images, float32 in [0, 1].
        """
        p = self.dropout
        h = x_data
        for i, (convolutions, _) in enumerate(self.blocks, start=1):
            for j in range(1, convolutions + 1):
                h = F.relu(self.convolve(h, i, j))
            h = self.pool(h)
            h = F.dropout(h, p)
        for name in self.fc_names[:-1]:
            h = F.dropout(F.relu(self[name](h)), p)
        return self[self.fc_names[-1]](h)

    def forward(self, x_data, y_data):
        """Loss and accuracy on a batch, in training or not as for `logits`.

        Args:
            x_data: images, (N, 3, 32, 32) float32 in [0, 1].
            y_data: labels, (N,) int32 from 0 to 9.

        Returns:
            Two Variables without dimensions, float32: softmax cross-entropy (natural logarithm, mean over the batch)
            and the fraction of correct predictions.
        """
        L_out = self.logits(x_data)
        return F.softmax_cross_entropy(L_out, y_data), F.accuracy(L_out, y_data)

    def predict(self, x_data, batch_size: int = 500):
        """The probability of each class for images without labels, as in the test: nothing dropped, no graph kept.

        Args:
            x_data: (N, 3, 32, 32) float32 in [0, 1], on the network's device.
            batch_size: images at a time; another number may change the last digit.

        Returns:
            (N, 10) float32, an array on the network's device; each row sums to 1.

        Raises:
            BadInput: the images have another shape or type.
        """
        image = (IMAGE_CHANNELS, IMAGE_SIZE, IMAGE_SIZE)
        if x_data.shape[1:] != image or x_data.dtype != np.float32:
            raise BadInput(f"images: expected (N, 3, 32, 32) float32; found {x_data.shape} {x_data.dtype}")
        probabilities = self.xp.empty((len(x_data), CLASSES), np.float32)
        with chainer.using_config("train", False), chainer.using_config("enable_backprop", False):
            for i in range(0, len(x_data), batch_size):
                probabilities[i : i + batch_size] = F.softmax(self.logits(x_data[i : i + batch_size])).array
        return probabilities
