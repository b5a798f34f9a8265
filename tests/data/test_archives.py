import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from reproduce.data import archives
from reproduce.data.dataset import read
from reproduce.errors import BadInput

NAMES = [*archives.TRAINING_BATCHES, archives.TEST_BATCH]


@pytest.fixture(scope="module")
def batches():
    """(name, images, labels) of six batches of the official size."""
    random = np.random.default_rng(0)
    made = []
    for name in NAMES:
        # Few different images, and no byte above 127, so that packing and pickling them takes no time.
        images = random.integers(0, 128, (100, 3072), np.uint8)[np.arange(10_000) % 100]
        images[:, :2] = np.stack(np.divmod(np.arange(10_000), 100), axis=1)
        made.append((name, images, random.integers(0, 10, 10_000)))
    return made


@pytest.fixture(scope="module")
def binary_folder(batches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cifar-10-batches-bin")
    for name, images, labels in batches:
        records = np.concatenate([labels[:, None].astype(np.uint8), images], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


@pytest.fixture(scope="module")
def python_folder(batches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cifar-10-batches-py")
    for name, images, labels in batches:
        write_pickle(folder / name, {b"data": images, b"labels": labels.tolist(), b"batch_label": b"x"})
    return folder


def write_pickle(path, value):
    path.write_bytes(pickle.dumps(value, protocol=2))


def copied(folder, tmp_path):
    """A folder of hard links, in which one file can be replaced."""
    for path in folder.iterdir():
        os.link(path, tmp_path / path.name)
    return tmp_path


def rewritten(path, content):
    path.unlink()
    path.write_bytes(content)


def check(found, batches):
    x_train, y_train, x_test, y_test = found
    np.testing.assert_array_equal(x_train.reshape(-1, 3072), np.concatenate([images for _, images, _ in batches[:5]]))
    np.testing.assert_array_equal(y_train, np.concatenate([labels for _, _, labels in batches[:5]]))
    np.testing.assert_array_equal(x_test.reshape(-1, 3072), batches[5][1])
    assert x_train.shape == (50_000, 3, 32, 32)
    assert y_test.dtype == np.int32


def test_both_unpacked_archives_hold_the_same_images(binary_folder, python_folder, batches):
    check(archives.read_archive(binary_folder), batches)
    check(archives.read_archive(python_folder), batches)


@pytest.fixture(scope="module")
def packed(python_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(python_folder, arcname="cifar-10-batches-py")
    return path


def test_a_packed_archive_is_read_if_its_sum_is_known(packed, batches):
    md5 = hashlib.md5(packed.read_bytes()).hexdigest()
    check(archives.read_archive(packed, known_md5=("0" * 32, md5)), batches)
    with pytest.raises(BadInput, match=rf"expected the MD5 sum {archives.BINARY_MD5}.*found {md5}"):
        read(packed)


def test_a_damaged_archive_with_a_known_sum_is_refused(packed, tmp_path):
    path = tmp_path / "damaged.tar.gz"
    path.write_bytes(packed.read_bytes()[:100_000])
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(BadInput, match="damaged archive"):
        archives.read_archive(path, known_md5=(md5, md5))


def test_a_folder_is_found_by_what_is_in_it(binary_folder, batches):
    found = read(binary_folder)
    assert found.name == "CIFAR-10 (folder, sums not checked)"
    np.testing.assert_array_equal(np.round(found.x_test * 255).reshape(-1, 3072), batches[5][1])


def test_a_missing_batch_is_named(binary_folder, tmp_path):
    folder = copied(binary_folder, tmp_path)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(BadInput, match="expected a batch data_batch_3.bin; found none"):
        archives.read_archive(folder)


@pytest.mark.parametrize("change", [-3073, -1, 1])
def test_a_batch_of_another_length_is_refused(binary_folder, tmp_path, change):
    folder = copied(binary_folder, tmp_path)
    content = (folder / "test_batch.bin").read_bytes()
    rewritten(folder / "test_batch.bin", content[:change] if change < 0 else content + b"x")
    with pytest.raises(BadInput, match=rf"test_batch.bin: expected 30730000 bytes .* found {30_730_000 + change}"):
        archives.read_archive(folder)


def test_a_wrong_label_is_named(binary_folder, tmp_path):
    folder = copied(binary_folder, tmp_path)
    content = bytearray((folder / "data_batch_2.bin").read_bytes())
    content[3073 * 77] = 10
    rewritten(folder / "data_batch_2.bin", bytes(content))
    with pytest.raises(BadInput, match="data_batch_2.bin, image 77: expected a label from 0 to 9; found 10"):
        archives.read_archive(folder)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_calls_anything_is_refused_and_calls_nothing(python_folder, tmp_path):
    folder = copied(python_folder, tmp_path)
    (folder / "data_batch_1").unlink()
    write_pickle(folder / "data_batch_1", {b"data": Bomb(tmp_path / "called"), b"labels": []})
    with pytest.raises(BadInput, match=r"data_batch_1: not a pickle of a CIFAR batch: .* holds no .*open"):
        archives.read_archive(folder)
    assert not (tmp_path / "called").exists()


GOOD = np.zeros((10_000, 3072), np.uint8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "expected a dict; found list"),
        ({b"labels": [0] * 10_000}, "data: expected uint8 .10000, 3072.; found NoneType"),
        ({b"data": GOOD.astype(np.int8), b"labels": [0] * 10_000}, "data: expected uint8 .* found int8"),
        ({b"data": GOOD[:5], b"labels": [0] * 10_000}, r"data: expected uint8 .* found uint8 \(5, 3072\)"),
        ({b"data": GOOD, b"labels": [0] * 9_999}, "labels: expected a list of 10000 whole numbers"),
        ({b"data": GOOD, b"labels": ["0"] * 10_000}, "labels: expected a list of 10000 whole numbers"),
        ({b"data": GOOD, b"labels": [0] * 9_999 + [2**70]}, "image 9999: expected a label from 0 to 9"),
        ({b"data": np.array([{}], object), b"labels": []}, "data: expected uint8"),
    ],
)
def test_a_pickle_of_another_form_is_refused(python_folder, tmp_path, batch, message):
    folder = copied(python_folder, tmp_path)
    (folder / "data_batch_1").unlink()
    write_pickle(folder / "data_batch_1", batch)
    with pytest.raises(BadInput, match=message):
        archives.read_archive(folder)


def test_a_truncated_pickle_is_refused(python_folder, tmp_path):
    folder = copied(python_folder, tmp_path)
    content = (folder / "data_batch_1").read_bytes()
    for length in (0, 1, 50, len(content) - 1):
        rewritten(folder / "data_batch_1", content[:length])
        with pytest.raises(BadInput, match="data_batch_1: not a pickle of a CIFAR batch"):
            archives.read_archive(folder)


def test_python_2_pickles_are_read():
    """The official batches were pickled by Python 2, whose strings are bytes, from an old NumPy's module names."""
    pixels = bytes(range(256)) * 12
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01M\x00\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(pixels).to_bytes(4, "little")
        + pixels
        + b"tb"
    )
    content = b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x05eu."
    batch = archives._BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    assert batch[b"labels"] == [5]
    np.testing.assert_array_equal(batch[b"data"], np.frombuffer(pixels, np.uint8)[None])
