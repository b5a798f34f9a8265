import chainer
import numpy as np
import pytest
from chainer.serializers import load_npz, save_npz

from reproduce.errors import BadInput
from reproduce.experiment import Experiment, parse_blocks
from reproduce.network import Conv_NN
from tests.helpers.section_8 import Section8_NN


def shapes(model):
    return {name: param.shape for name, param in model.namedparams()}


def test_the_default_network_has_the_names_and_shapes_of_section_8():
    assert shapes(Conv_NN()) == shapes(Section8_NN())


def test_the_same_seed_gives_the_weights_of_section_8():
    np.random.seed(5)
    ours = dict(Conv_NN().namedparams())
    np.random.seed(5)
    for name, param in Section8_NN().namedparams():
        np.testing.assert_array_equal(ours[name].array, param.array)


def test_initial_weights_have_a_variance_of_one_over_fan_in():
    np.random.seed(0)
    weights = Conv_NN().conv3_2.W.array
    assert weights.std() == pytest.approx((1 / (256 * 9)) ** 0.5, rel=0.01)
    assert abs(weights.mean()) < 1e-4


def test_a_parameter_file_of_section_8_loads(tmp_path):
    written = Section8_NN()
    save_npz(tmp_path / "model.npz", written)
    read = Conv_NN()
    load_npz(tmp_path / "model.npz", read)
    np.testing.assert_array_equal(read.fc6.W.array, written.fc6.W.array)


@pytest.mark.parametrize(("blocks", "first_input"), [("2x64", 64 * 16 * 16), ("2x64,2x128", 128 * 8 * 8)])
def test_the_networks_of_section_1_have_the_input_that_the_report_implies(blocks, first_input):
    model = Conv_NN(parse_blocks(blocks))
    assert shapes(model)[f"/fc{len(model.blocks) + 1}/W"] == (500, first_input)


@pytest.mark.parametrize(
    "settings",
    [
        {"filter_size": 5},
        {"filter_size": 7, "pooling": "average"},
        {"batch_normalization": False},
        {"pooling": "none", "blocks": ((1, 8),)},
        {"blocks": ()},
        {"blocks": ((0, 8), (1, 8))},
        {"blocks": ((1, 8),) * 5, "fully_connected_layers": 1},
        {"dropout": 0.0, "fully_connected_layers": 5},
    ],
)
def test_variants_give_a_loss_and_gradients_for_every_parameter(settings):
    np.random.seed(0)
    model = Conv_NN(**{"width": 0.0625, **settings})
    images = np.random.rand(4, 3, 32, 32).astype(np.float32)
    loss, accuracy = model(images, np.array([0, 1, 2, 9], np.int32))
    loss.backward()
    assert np.isfinite(loss.array)
    assert 0 <= accuracy.array <= 1
    for name, param in model.namedparams():
        assert param.grad is not None, name
    has_normalization = any("/bn" in name for name, _ in model.namedparams())
    expected = settings.get("batch_normalization", True) and any(n for n, _ in model.blocks)
    assert has_normalization == expected


def test_dropout_and_batch_normalization_follow_chainers_train_flag():
    np.random.seed(0)
    model = Conv_NN(width=0.0625, dropout=0.5)
    images, labels = np.random.rand(8, 3, 32, 32).astype(np.float32), np.zeros(8, np.int32)
    with chainer.using_config("train", False):
        first, second = (float(model(images, labels)[0].array) for _ in range(2))
    with chainer.using_config("train", True):
        third, fourth = (float(model(images, labels)[0].array) for _ in range(2))
    assert first == second
    assert third != fourth


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": ((5, 64),)}, "N, the convolutions in block 1, must be 0 to 4; found 5"),
        ({"blocks": ((-1, 64),)}, "N, the convolutions in block 1, must be 0 to 4; found -1"),
        ({"blocks": ((1, 8),) * 6}, "M, the number of blocks, must be 0 to 5, since each pooling halves 32 pixels;"),
        ({"blocks": ((1, 8),) * 33, "pooling": "none"}, "M, the number of blocks, must be 0 to 32; found 33"),
        ({"blocks": (64,)}, r"block 1 must be \(convolutions, channels\), two whole numbers; found 64"),
        ({"blocks": ((1, 0),)}, "channels of block 1 must be 1 to 4096; found 0"),
        ({"fully_connected_layers": 0}, r"K \+ 1, the fully connected layers, must be 1 to 16; found 0"),
        ({"filter_size": 4}, "filter_size must be odd"),
        ({"pooling": "median"}, "pooling must be one of max, average, none; found 'median'"),
        ({"filter_size": 33}, "filter_size must be odd, from 1 to 31"),
        ({"dropout": 0.995}, "dropout, the ratio of values dropped, must be 0 to 0.99; found 0.995"),
        ({"dropout": float("nan")}, "dropout"),
        ({"width": 0.0}, "width must be above 0"),
    ],
)
def test_a_number_out_of_range_is_named(settings, message):
    with pytest.raises(BadInput, match=message):
        Conv_NN(**settings)
    with pytest.raises(BadInput, match=message):
        Experiment(**settings)


def test_predictions_need_no_labels_and_are_those_of_the_test():
    np.random.seed(0)
    model = Conv_NN(width=0.0625, dropout=0.5)
    images, labels = np.random.rand(7, 3, 32, 32).astype(np.float32), np.arange(7, dtype=np.int32)
    model(images, labels)  # gives batch normalization running averages
    found = model.predict(images, batch_size=3)
    assert (found.shape, found.dtype) == ((7, 10), np.float32)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    with chainer.using_config("train", False):
        loss, _ = model(images, labels)
        np.testing.assert_allclose(found, chainer.functions.softmax(model.logits(images)).array, rtol=1e-4)
    assert -np.log(found[labels, labels]).mean() == pytest.approx(float(loss.array), rel=1e-4)
    assert chainer.config.train and model.predict(images[:0]).shape == (0, 10)


@pytest.mark.parametrize("images", [np.zeros((2, 32, 32, 3), np.float32), np.zeros((2, 3, 32, 32), np.uint8)])
def test_images_of_another_form_are_named(images):
    with pytest.raises(BadInput, match=r"^images: expected \(N, 3, 32, 32\) float32; found \(2, .* (float32|uint8)$"):
        Conv_NN(width=0.0625).predict(images)
