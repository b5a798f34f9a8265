import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce.data import dataset
from reproduce.data.dataset import read, synthetic
from reproduce.data.synthetic import synthetic_images
from reproduce.errors import BadInput


def replace(path, key, array):
    with h5py.File(path, "a") as file:
        del file[key]
        if array is not None:
            file[key] = array


def test_uint8_is_divided_by_255(small_file):
    found = read(small_file)
    with h5py.File(small_file) as file:
        np.testing.assert_array_equal(found.x_train, file["X_train"][:].astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(found.y_test, file["Y_test"][:])
    assert found.x_train.dtype == np.float32
    assert found.y_train.dtype == np.int32
    assert not found.is_synthetic


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_and_uint8_of_the_same_images_have_the_same_fingerprint(small_file, dtype):
    expected = read(small_file).fingerprint
    with h5py.File(small_file) as file:
        images = file["X_train"][:].astype(np.float32) / np.float32(255)
    replace(small_file, "X_train", images.astype(dtype))
    assert read(small_file).fingerprint == expected


def test_the_fingerprint_is_of_the_arrays(small_file):
    found = read(small_file)
    assert found.first(10, 6).fingerprint != found.fingerprint
    assert found.first(12, 6).fingerprint == found.fingerprint
    with h5py.File(small_file, "a") as file:
        file["Y_test"][5] = (file["Y_test"][5] + 1) % 10
    assert read(small_file).fingerprint != found.fingerprint


def test_the_first_images_are_taken_in_order(small_file):
    found = read(small_file)
    part = found.first(5, None)
    np.testing.assert_array_equal(part.x_train, found.x_train[:5])
    assert len(part.y_test) == 6
    with pytest.raises(BadInput, match=r"train_size: 13 images wanted, and small.hdf5 has 12"):
        found.first(13, None)


SPOILT = {
    "missing key": ("X_test", None, r"expected a data set X_test; found X_train, Y_test, Y_train"),
    "wrong shape": ("X_train", np.zeros((12, 32, 32, 3), np.uint8), r"X_train: expected shape \(N, 3, 32, 32\)"),
    "no images": ("X_train", np.zeros((0, 3, 32, 32), np.uint8), r"X_train: expected shape .* N > 0"),
    "wrong dtype": (
        "X_train",
        np.zeros((12, 3, 32, 32), np.int64),
        r"X_train: expected uint8, or floats .* found int64",
    ),
    "label dtype": ("Y_train", np.zeros(12), r"Y_train: expected whole numbers from 0 to 9; found float64"),
    "label 10": ("Y_train", np.array([0] * 11 + [10]), r"Y_train\[11\]: expected a value from 0 to 9; found 10"),
    "label -1": ("Y_test", np.array([0, -1, 0, 0, 0, 0]), r"Y_test\[1\]: expected a value from 0 to 9; found -1"),
    "lengths": ("Y_test", np.zeros(5, np.int32), r"Y_test: expected shape \(6,\), one label an image; found \(5,\)"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_file_is_refused_with_file_key_expected_and_found(small_file, case):
    key, array, message = SPOILT[case]
    replace(small_file, key, array)
    with pytest.raises(BadInput, match=message) as caught:
        read(small_file)
    assert str(small_file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01, 255.0])
def test_a_pixel_outside_the_range_is_named_wherever_it_is(small_file, value):
    images = np.zeros((12, 3, 32, 32), np.float32)
    images[11, 2, 31, 7] = value
    replace(small_file, "X_train", images)
    with pytest.raises(BadInput, match=r"X_train\[11, 2, 31, 7\]: expected a value from 0 to 1; found"):
        read(small_file)


def test_a_truncated_file_is_refused(small_file):
    content = small_file.read_bytes()
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        small_file.write_bytes(content[:length])
        with pytest.raises(BadInput, match=str(small_file)):
            read(small_file)


def test_what_is_no_data_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read(tmp_path / "nothing.hdf5")
    with pytest.raises(BadInput, match="expected a folder with data_batch_1"):
        read(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BadInput, match="expected an HDF5 file or a .tar.gz archive; it begins with the bytes 68 65 6c"):
        read(tmp_path / "text")


def test_a_group_in_place_of_a_data_set_is_refused(small_file):
    replace(small_file, "X_train", None)
    with h5py.File(small_file, "a") as file:
        file.create_group("X_train")
    with pytest.raises(BadInput, match="X_train: expected a data set; found a group"):
        read(small_file)


def test_a_file_keeps_its_name_for_captions_and_a_synthetic_one_says_so(tmp_path):
    made = synthetic(3, 2)
    parts = {"X_train": made.x_train, "Y_train": made.y_train, "X_test": made.x_test, "Y_test": made.y_test}
    dataset.write_hdf5(tmp_path / "a.hdf5", parts, "JPEG copy\nof CIFAR-10")
    assert read(tmp_path / "a.hdf5").name == "JPEG copy of CIFAR-10"
    dataset.write_hdf5(tmp_path / "b.hdf5", parts, "CIFAR-10", is_synthetic=True)
    found = read(tmp_path / "b.hdf5")
    assert found.name == dataset.SYNTHETIC_NAME
    assert found.is_synthetic
    assert found.fingerprint == made.fingerprint
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@settings(deadline=None, max_examples=10)
@given(count=st.integers(1, 700), seed=st.integers(0, 5))
def test_synthetic_images_depend_on_seed_and_place_alone(count, seed):
    images, labels = synthetic_images(count, seed, "train")
    more, more_labels = synthetic_images(700, seed, "train")
    np.testing.assert_array_equal(images, more[:count])
    np.testing.assert_array_equal(labels, more_labels[:count])
    assert images.shape == (count, 3, 32, 32)
    assert images.dtype == np.uint8


def test_synthetic_parts_and_seeds_differ_and_have_all_classes():
    train, labels = synthetic_images(500, 0, "train")
    assert not (train == synthetic_images(500, 0, "test")[0]).all(axis=(1, 2, 3)).any()
    assert not (train == synthetic_images(500, 1, "train")[0]).all(axis=(1, 2, 3)).any()
    assert np.bincount(labels, minlength=10).min() > 20
