import hashlib
import os
import pickle
import tarfile
from dataclasses import replace

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


def sums_of(folder):
    """Sums by which the made-up batches of a folder count as the official ones."""
    return replace(archives.OFFICIAL, batches={name: archives.md5_of(folder / name) for name in NAMES})


def copied(folder, tmp_path):
    """A folder of hard links, in which one file can be replaced."""
    tmp_path.mkdir(exist_ok=True)
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
    check(archives.read_archive(python_folder, sums_of(python_folder)), batches)


@pytest.fixture(scope="module")
def packed(python_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(python_folder, arcname="cifar-10-batches-py")
    return path


def test_a_packed_archive_is_read_if_its_sum_is_known(packed, python_folder, batches):
    md5 = hashlib.md5(packed.read_bytes()).hexdigest()
    check(archives.read_archive(packed, replace(sums_of(python_folder), python=md5)), batches)
    message = rf"expected the MD5 sum {archives.OFFICIAL.binary}.*found {md5}; .*packed anew, give the folder"
    with pytest.raises(BadInput, match=message):
        read(packed)


def test_a_damaged_archive_with_a_known_sum_is_refused(packed, tmp_path):
    path = tmp_path / "damaged.tar.gz"
    path.write_bytes(packed.read_bytes()[:100_000])
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(BadInput, match="damaged archive"):
        archives.read_archive(path, replace(archives.OFFICIAL, binary=md5))


def test_a_folder_is_found_by_what_is_in_it(binary_folder, batches):
    found = read(binary_folder)
    assert found.name == "CIFAR-10 (folder, sums not checked)"
    np.testing.assert_array_equal(np.round(found.x_test * 255).reshape(-1, 3072), batches[5][1])


def test_a_missing_batch_is_named(binary_folder, tmp_path):
    folder = copied(binary_folder, tmp_path)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(BadInput, match="expected a batch data_batch_3.bin; found none"):
        archives.read_archive(folder)


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_1.bin"])
def test_a_batch_that_is_far_too_large_is_not_read(name, tmp_path):
    with (tmp_path / name).open("wb") as stream:
        stream.truncate(archives.LARGEST_MEMBER + 1)
    with pytest.raises(BadInput, match=rf"{name}: expected at most {archives.LARGEST_MEMBER} bytes; found more"):
        archives.read_archive(tmp_path)


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


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_with_another_sum_is_not_parsed(python_folder, tmp_path, name):
    folder, sums = copied(python_folder, tmp_path), sums_of(python_folder)
    (folder / name).unlink()
    write_pickle(folder / name, {b"data": Bomb(tmp_path / "called"), b"labels": []})
    found = archives.md5_of(folder / name)
    message = rf"{name}: expected the official batch, MD5 sum {sums.batches[name]}; found {found}"
    with pytest.raises(BadInput, match=message):
        archives.read_archive(folder, sums)
    assert not (tmp_path / "called").exists()


def test_the_pickles_of_a_packed_archive_are_compared_as_well(packed, python_folder):
    md5 = hashlib.md5(packed.read_bytes()).hexdigest()
    with pytest.raises(BadInput, match="data_batch_1: expected the official batch"):
        archives.read_archive(packed, replace(archives.OFFICIAL, python=md5))


def test_the_official_sums_are_those_of_the_author():
    """As torchvision, too, has them; the binary archive's as the author's page has it."""
    sums = archives.OFFICIAL
    assert sums.binary == "c32a1d4ab5d03f1284b67883e8d87530"
    assert sums.python == "c58f30108f718f92721af3b95e74349a"
    assert list(sums.batches) == NAMES
    assert list(sums.batches.values()) == [
        "c99cafc152244af753f735de768cd75f",
        "d4bba439e000b95fd0a9bffe97cbabec",
        "54ebc095f3ab1f0389bbae665268c751",
        "634d18415352ddfa80567beed471001a",
        "482c414d41f54cd18b22e5b47cb7c3cb",
        "40351d587109b95175f43aff81a1287e",
    ]


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
    images, labels = archives._decode_python_batch("here", content, hashlib.md5(content).hexdigest())
    assert labels.tolist() == [5]
    np.testing.assert_array_equal(images, np.frombuffer(pixels, np.uint8)[None])


def test_a_folder_with_known_sums_has_the_official_name_and_another_has_not(binary_folder, python_folder, tmp_path):
    assert archives.are_sums_known(python_folder)
    assert not archives.are_sums_known(binary_folder)


def test_a_folder_one_level_too_high_is_told_where_the_batches_are(binary_folder, tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    copied(binary_folder, folder)
    with pytest.raises(BadInput, match=rf"found cifar-10-batches-bin, so DATA={folder} may be what is meant"):
        read(tmp_path)
