"""The counts of figures/vgg.py against networks that Chainer builds and runs."""

import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from chainer import Chain, using_config

from figures.vgg import COLUMN, COLUMNS, CONV_NN, Architecture, layers_of, parameters, weight_layers
from reproduce.layers import LRN
from reproduce.network import Conv_NN
from reproduce.pattern import COLUMN_A, REPORT_BLOCKS, THREE_BLOCKS


class Built(Chain):
    """An architecture in Chainer, each link's input size left for Chainer to find out from the data."""

    def __init__(self, network):
        super().__init__()
        self.blocks = network.blocks
        self.links_in_order = []
        with self.init_scope():
            for size, channels in (layer for block in network.blocks for layer in block if layer != LRN):
                self._append(L.Convolution2D(None, channels, size, pad=size // 2))
            for units in network.units:
                self._append(L.Linear(None, units))

    def _append(self, link):
        setattr(self, f"link{len(self.links_in_order)}", link)
        self.links_in_order.append(link)

    def forward(self, h):
        """The shape of each layer's output, as (height, width, channels)."""
        links = iter(self.links_in_order)
        shapes = [h.shape]
        for block in self.blocks:
            for layer in block:
                h = F.local_response_normalization(h) if layer == LRN else next(links)(h)
                shapes.append(h.shape)
            h = F.max_pooling_2d(h, 2, 2)
            shapes.append(h.shape)
        for link in links:
            h = link(h)
            shapes.append((*h.shape, 1, 1))
        return [(height, width, channels) for _, channels, height, width in shapes]


def narrow(network, image_size):
    """The same network with an eighth of its channels and units, so that it fits into a test."""
    blocks = tuple(
        tuple(layer if layer == LRN else (layer[0], layer[1] // 8) for layer in block) for block in network.blocks
    )
    return Architecture(network.name, image_size, blocks, tuple(units // 8 for units in network.units))


def assert_counts_match(network):
    built = Built(network)
    with using_config("train", False), using_config("enable_backprop", False):
        shapes = built(np.zeros((1, 3, network.image_size, network.image_size), np.float32))
    layers = layers_of(network)
    assert [layer.dimensions for layer in layers] == shapes
    counted = [(layer.weights, layer.biases) for layer in layers if layer.fan_in]
    assert counted == [(link.W.size, link.b.size) for link in built.links_in_order]
    assert parameters(network) == built.count_params()


@pytest.mark.parametrize("network", COLUMNS, ids=lambda network: network.name)
def test_every_column_counts_as_chainer_does(network):
    assert_counts_match(narrow(network, 32))


def test_the_sizes_for_a_224_pixel_image_are_chainers():
    assert_counts_match(narrow(COLUMN["D"], 224))


def test_one_layer_at_full_width_counts_as_chainers_link_does():
    layer = next(layer for layer in layers_of(COLUMN["E"]) if layer.name == "conv3-512")
    link = L.Convolution2D(256, 512, 3, pad=1)
    assert (layer.weights, layer.biases) == (link.W.size, link.b.size)


def test_conv_nn_counts_as_the_network_that_is_trained():
    model = Conv_NN()
    assert parameters(CONV_NN) == model.count_params()
    links = [(int(np.prod(link.W.shape)), link.b.size) for link in model.children() if hasattr(link, "W")]
    assert [(layer.weights, layer.biases) for layer in layers_of(CONV_NN) if layer.fan_in] == links
    normalized = sum(link.count_params() for link in model.children() if isinstance(link, L.BatchNormalization))
    assert sum(layer.scales_and_shifts for layer in layers_of(CONV_NN)) == normalized


@pytest.mark.parametrize(("blocks", "column"), [(REPORT_BLOCKS, "E"), (THREE_BLOCKS, "B"), (COLUMN_A, "A")])
def test_the_networks_trained_begin_as_columns_of_table_1_do(blocks, column):
    assert COLUMN[column].blocks[:3] == tuple(((3, channels),) * count for count, channels in blocks)


def test_the_depths_are_those_of_table_1():
    assert [weight_layers(network) for network in COLUMNS] == [11, 11, 13, 16, 16, 19]


def test_vgg_16_and_19_have_their_known_numbers_of_parameters():
    # As published with the trained networks, for ImageNet's 1000 classes.
    assert parameters(COLUMN["D"]) == 138_357_544
    assert parameters(COLUMN["E"]) == 143_667_240
