import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from reproduce import augmentation
from reproduce.augmentation import ANGLES, AUGMENTATIONS, COPIES, augment
from reproduce.errors import BadInput


def section_8(x_train, y_train):
    """The augmentation printed in section 8, in Python 3."""
    aug_X_train = []
    aug_Y_train = []
    for xt in x_train:
        temp_image = np.rollaxis(xt, 0, 3)
        temp_image_flr = np.fliplr(temp_image)
        temp_image_con = (temp_image - temp_image.min()) / (temp_image.max() - temp_image.min())
        temp_image_med = ndimage.median_filter(temp_image, 2)
        temp_image_flr = np.rollaxis(temp_image_flr, 2, 0)
        temp_image_con = np.rollaxis(temp_image_con, 2, 0)
        temp_image_med = np.rollaxis(temp_image_med, 2, 0)
        aug_X_train.append(xt)
        aug_X_train.append(temp_image_flr)
        aug_X_train.append(temp_image_con)
        aug_X_train.append(temp_image_med)
    for yt in y_train:
        for _ in range(4):
            aug_Y_train.append(yt)
    return np.float32(aug_X_train), np.int32(aug_Y_train)


def random_images(count, seed=0):
    """Images with the 256 levels of CIFAR-10, so that values repeat as they do there."""
    generator = np.random.default_rng(seed)
    x = np.float32(generator.integers(0, 256, (count, 3, 32, 32))) / np.float32(255)
    return x, np.int32(generator.integers(0, 10, count))


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("count", [1, 7, 23])
def test_the_four_copies_are_those_of_section_8(count, monkeypatch):
    # 7 images a chunk: less than one chunk, exactly one, and several with a rest.
    monkeypatch.setattr(augmentation, "CHUNK", 7)
    x, y = random_images(count)
    assert_same(augment(x, y, "report"), section_8(x, y))


# Two levels make ties and faint images; the shape is a real image's, as the filter's edges matter.
@settings(max_examples=40, deadline=None)
@given(
    x=arrays(np.float32, (2, 3, 32, 32), elements=st.floats(0, 1, width=32), fill=st.just(np.float32(0.5))),
    augmentation=st.sampled_from(["report", "rotations"]),
)
def test_every_copy_is_a_finite_image_in_range_with_its_label(x, augmentation):
    y = np.array([3, 8], np.int32)
    images, labels = augment(x, y, augmentation)
    k = COPIES[augmentation]
    assert (images.shape, images.dtype) == ((2 * k, 3, 32, 32), np.float32)
    assert (images >= 0).all() and (images <= 1).all()
    np.testing.assert_array_equal(images[::k], x)
    np.testing.assert_array_equal(labels, np.int32([3] * k + [8] * k))
    assert labels.dtype == np.int32
    for i in range(2):
        if np.ptp(x[i]) > 0:
            assert_same((images[k * i : k * i + 4], labels[k * i : k * i + 4]), section_8(x[i : i + 1], y[i : i + 1]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_a_constant_image_stays_as_it_is(value):
    x, y = random_images(3)
    x[1] = value
    images, _ = augment(x, y, "report")
    np.testing.assert_array_equal(images[4:8], np.broadcast_to(x[1], (4, 3, 32, 32)))
    np.testing.assert_array_equal(images[8:], augment(x[2:], y[2:], "report")[0])


def test_the_median_filter_mixes_the_colours():
    x = np.zeros((1, 3, 32, 32), np.float32)
    x[:, :2] = 1  # red and green on, blue off
    filtered = augment(x, np.zeros(1, np.int32), "report")[0][3]
    # Half of blue's window is green, and the fifth smallest of four zeros and four ones is a one.
    np.testing.assert_array_equal(filtered, 1)


def test_the_rotations_are_those_of_scipy_image_by_image():
    x, y = random_images(2)
    images, _ = augment(x, y, "rotations")
    np.testing.assert_array_equal(images.reshape(2, 16, 3, 32, 32)[:, :4].reshape(8, 3, 32, 32), section_8(x, y)[0])
    assert ANGLES == (15, 30, 45, 60, 75, 90, 105, 120, 135, 150, 165, 180)
    for j, angle in enumerate(ANGLES):
        turned = ndimage.rotate(np.rollaxis(x[1], 0, 3), angle, reshape=False)
        np.testing.assert_allclose(images[16 + 4 + j], np.rollaxis(turned.clip(0, 1), 2, 0), atol=1e-6)


def test_quarter_turns_are_counterclockwise_and_exact():
    x, y = random_images(1)
    turned = augment(x, y, "rotations")[0][4:]
    np.testing.assert_allclose(turned[ANGLES.index(90)], np.rot90(x[0], 1, (1, 2)), atol=1e-6)
    np.testing.assert_allclose(turned[ANGLES.index(180)], x[0, :, ::-1, ::-1], atol=1e-6)


def test_none_is_the_set_itself():
    x, y = random_images(2)
    assert augment(x, y, "none") == (x, y)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_an_empty_set_stays_empty(augmentation):
    images, labels = augment(np.empty((0, 3, 32, 32), np.float32), np.empty(0, np.int32), augmentation)
    assert (images.shape, labels.shape) == ((0, 3, 32, 32), (0,))


def test_the_input_is_left_alone():
    x, y = random_images(2)
    before = x.copy()
    augment(x, y, "rotations")[0][:] = 0
    np.testing.assert_array_equal(x, before)


def test_an_unknown_augmentation_is_named():
    with pytest.raises(BadInput, match=r"augmentation must be one of none, report, rotations; found 'mixup'"):
        augment(*random_images(1), "mixup")
