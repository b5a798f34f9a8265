import contextlib
import os
import shlex
import socket
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce.data import dataset, hdf5
from reproduce.data import synthetic as drawing
from reproduce.data.dataset import read, synthetic
from reproduce.data.synthetic import synthetic_images
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from tests.helpers.processes import ROOT, run_python


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
        labels = file["Y_train"][:]
    replace(small_file, "X_train", images.astype(dtype))
    replace(small_file, "Y_train", labels.astype(np.uint8))
    assert read(small_file).fingerprint == expected


def test_the_fingerprint_is_of_the_arrays(small_file):
    found = read(small_file)
    assert found.first(10, 6).fingerprint != found.fingerprint
    assert found.first(12, 6).fingerprint == found.fingerprint
    with h5py.File(small_file, "a") as file:
        file["Y_test"][5] = (file["Y_test"][5] + 1) % 10
    assert read(small_file).fingerprint != found.fingerprint


def test_the_fingerprint_of_the_same_arrays_is_the_same_in_every_version():
    """The keys of all runs come from it: of shapes and values, in this order."""
    images = (np.arange(3 * 3072) % 256).astype(np.uint8).reshape(3, 3, 32, 32).astype(np.float32) / np.float32(255)
    labels = np.array([3, 1, 4], np.int32)
    assert dataset.Dataset(images[:2], labels[:2], images[2:], labels[2:], "made up").fingerprint == "42ba27794324bcce"


def test_the_first_images_are_taken_in_order(small_file):
    found = read(small_file)
    part = found.first(5, None)
    np.testing.assert_array_equal(part.x_train, found.x_train[:5])
    assert len(part.y_test) == 6
    with pytest.raises(BadInput, match=r"train_size: 13 images wanted, and small.hdf5 has 12"):
        found.first(13, None)


def test_each_seed_draws_its_own_training_images_where_there_are_more(small_file):
    found = read(small_file)
    part = found.first(5, 4)
    np.testing.assert_array_equal(part.of_seed(0).x_train, found.x_train[:5])
    # The same in every version and on every machine: the keys of runs come from it.
    np.testing.assert_array_equal(part.of_seed(1).y_train, found.y_train[[1, 2, 3, 4, 10]])
    for seed in (1, 2, 3):
        drawn = part.of_seed(seed)
        places = [int(np.flatnonzero((found.x_train == one).all((1, 2, 3)))[0]) for one in drawn.x_train]
        assert len(set(places)) == 5
        np.testing.assert_array_equal(drawn.y_train, found.y_train[places])
        np.testing.assert_array_equal(drawn.x_test, part.x_test)
        assert part.fingerprint_of_seed(seed) == drawn.fingerprint
    assert len({part.fingerprint_of_seed(seed) for seed in range(4)}) == 4
    for whole in (found, found.first(None, 4), found.first(12, 4)):
        assert whole.fingerprint_of_seed(3) == whole.fingerprint


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
    "lengths": (
        "Y_test",
        np.zeros(5, np.int32),
        r"Y_test: expected shape \(6,\), .* found \(5,\)",
    ),
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


def images_of(path):
    with h5py.File(path) as file:
        return file["X_train"][:], file["Y_train"][:]


LAYOUTS = {
    "rows, columns, colours": ("X_train", lambda x, y: x.transpose(0, 2, 3, 1)),
    "images last": ("X_train", lambda x, y: x.transpose(2, 3, 1, 0)),
    "colours first, images last": ("X_train", lambda x, y: x.transpose(1, 2, 3, 0)),
    "flat": ("X_train", lambda x, y: x.reshape(-1, 3072)),
    "flat, images last": ("X_train", lambda x, y: x.reshape(-1, 3072).T),
    "floats up to 255": ("X_train", lambda x, y: x.astype(np.float32)),
    "long integers": ("X_train", lambda x, y: x.astype(np.int64)),
    "labels in a column": ("Y_train", lambda x, y: y[:, None]),
    "labels in a row": ("Y_train", lambda x, y: y[None]),
    "one of ten": ("Y_train", lambda x, y: np.eye(10)[y]),
    "one of ten, images last": ("Y_train", lambda x, y: np.eye(10)[y].T),
    "labels as floats": ("Y_train", lambda x, y: y.astype(np.float64)),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_another_layout_is_refused_with_the_line_that_mends_the_file(small_file, tmp_path, case):
    expected = read(small_file).fingerprint
    key, changed = LAYOUTS[case]
    small_file = small_file.rename(tmp_path / "it's $a `price\" ü.hdf5")
    replace(small_file, key, changed(*images_of(small_file)))
    with pytest.raises(BadInput, match=f"{key}.*; to mend the file: python -c ") as caught:
        read(small_file)
    _, _, line = str(caught.value).partition("to mend the file: ")
    assert line.startswith("python -c ")
    subprocess.run(["sh", "-c", line.replace("python", shlex.quote(sys.executable), 1)], check=True)
    assert read(small_file).fingerprint == expected


def test_a_file_with_a_user_block_is_read(small_file, tmp_path):
    """As MATLAB 7.3 writes it: 512 bytes of text before the HDF5 signature."""
    expected = read(small_file).fingerprint
    path = tmp_path / "matlab.mat"
    with h5py.File(path, "w", userblock_size=512) as file, h5py.File(small_file) as good:
        for key in good:
            good.copy(key, file)
    content = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + content[512:])
    assert read(path).fingerprint == expected


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe", tmp_path / "socket", "/dev/zero", "/dev/null"):
            with pytest.raises(BadInput, match="expected a file or a folder; found a pipe, a socket or a device"):
                read(path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "data_batch_1")
    with pytest.raises(BadInput, match="expected a folder with data_batch_1"):
        read(tmp_path / "folder")


def test_what_the_system_does_not_let_us_read_is_said_in_its_words(small_file, tmp_path):
    with pytest.raises(BadInput, match="cannot be read: File name too long"):
        read(tmp_path / ("x" * 300))
    with (
        h5py.File(small_file, "a"),
        pytest.raises(BadInput, match="cannot be read: .*unavailable"),
    ):
        subprocess_read(small_file)


def subprocess_read(path):
    """Read in another process, which a lock of this one keeps out."""
    code = "import sys; from reproduce.data.dataset import read; read(sys.argv[1])"
    done = run_python("-c", code, path, cwd=ROOT)
    if done.returncode:
        raise BadInput(done.stderr.splitlines()[-1])


@pytest.mark.parametrize("name", [b"a\nb.hdf5", b"\x1b[31mred.hdf5", b"caf\xe9.hdf5"])
def test_a_name_that_is_no_line_of_text_is_shown_escaped(small_file, tmp_path, name):
    """In captions, tables and files, where a lone byte would end a command after all training."""
    path = small_file.rename(tmp_path / os.fsdecode(name))
    found = read(path)
    assert found.name.isprintable()
    assert found.name.encode().decode() == found.name


@pytest.mark.parametrize("chunks", [(2600, 1, 16, 16), (2600, 3, 32, 32), (1500, 2, 32, 32), (7, 3, 32, 32), None])
def test_images_are_read_whatever_their_chunks(tmp_path, chunks):
    images = np.random.default_rng(0).random((2600, 3, 32, 32), np.float32)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("X_train", data=images, chunks=chunks)
        file["X_test"], file["Y_train"], file["Y_test"] = images[:1], np.zeros(2600, int), [0]
    np.testing.assert_array_equal(read(tmp_path / "a.hdf5").x_train, images)
    with h5py.File(tmp_path / "a.hdf5") as file:
        # No chunk lies in two pieces: it would be unpacked twice.
        for place in hdf5._pieces(file["X_train"]):
            assert all(side.start % length == 0 for side, length in zip(place, chunks or (1,), strict=False))
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        file["X_train"][2599, 2, 30, 29] = 2
    with pytest.raises(BadInput, match=r"X_train\[2599, 2, 30, 29\]: expected a value from 0 to 1; found 2.0"):
        read(tmp_path / "a.hdf5")


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


def test_what_synthetic_images_show_can_be_learned_and_not_by_heart():
    """Linear classifiers are far below chance, which is 90 %, and find no class in all images."""

    def error(features):
        def of(part, count):
            images, labels = synthetic_images(count, 0, part)
            return np.column_stack([features(images / 255 - 0.5).reshape(count, -1), np.ones(count)]), labels

        (x, y), (x_test, y_test) = of("train", 2000), of("test", 1000)
        weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ np.eye(10)[y])
        return 100 * np.mean((x_test @ weights).argmax(1) != y_test)

    coarse_pixels = error(lambda images: images.reshape(-1, 3, 8, 4, 8, 4).mean((3, 5)))
    assert 25 < coarse_pixels < 60
    colour_in_the_middle = error(lambda images: images[:, :, 12:20, 12:20].mean((2, 3)))
    assert colour_in_the_middle < 70


def test_the_label_of_one_image_in_ten_is_drawn_anew(monkeypatch):
    images, labels = synthetic_images(1000, 0, "train")
    monkeypatch.setattr(drawing, "DOUBTFUL", 0.0)
    same, classes = synthetic_images(1000, 0, "train")
    np.testing.assert_array_equal(images, same)
    # Of ten that are drawn anew, one is what it was.
    assert 0.06 < np.mean(labels != classes) < 0.12


@pytest.mark.slow
def test_small_networks_show_on_synthetic_images_what_they_show_on_real_ones(tmp_path):
    """At the quick profile's sizes: far below chance, optimizers apart, more train error with dropout, overfitting."""
    from reproduce.store.training_run import train

    images = synthetic(2000, 1000)
    settings = {"data_fingerprint": images.fingerprint, "width": 0.25, "batch_size": 40, "pooling": "average"}
    errors = {}
    for name, of_run in {
        "Adam": {"optimizer": "Adam"},
        "RMSprop": {"optimizer": "RMSprop"},
        "no dropout": {"optimizer": "Adam", "dropout": 0.0},
    }.items():
        last = train(Experiment(**settings, **of_run), images, tmp_path / name, 8)[-1]
        errors[name] = 100 - last.train_accuracy, 100 - last.test_accuracy
    train_error = {name: train for name, (train, _) in errors.items()}
    assert train_error["Adam"] < 60
    assert train_error["RMSprop"] > train_error["Adam"] + 10
    assert train_error["no dropout"] < train_error["Adam"] - 10
    assert errors["no dropout"][1] > errors["no dropout"][0] + 5
