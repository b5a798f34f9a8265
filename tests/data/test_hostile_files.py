"""Files made to do harm: each refused with one line, nothing executed, nothing read from elsewhere, memory bounded."""

import contextlib
import io
import json
import random
import re
import struct
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce.data import archives
from reproduce.data.dataset import read, synthetic
from reproduce.data.hdf5 import MOST_CHUNKS, MOST_IMAGES
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.store import checkpoint
from reproduce.store.checkpoint import Damaged
from reproduce.store.history import parse_history
from reproduce.text import printable
from tests.helpers.processes import ROOT, run_python


@contextlib.contextmanager
def refused(path, message, megabytes=64):
    """What is inside raises BadInput with one line, and takes no more memory than so much."""
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=message) as caught:
            yield
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()


def without(path, key):
    with h5py.File(path, "a") as file:
        del file[key]


def test_links_out_of_the_file_are_not_followed(small_file, tmp_path):
    secret = tmp_path / "secret.hdf5"
    secret.write_bytes(small_file.read_bytes())
    without(small_file, "X_train")
    for link in (h5py.ExternalLink(str(secret), "/X_train"), h5py.SoftLink("/Y_train")):
        with h5py.File(small_file, "a") as file:
            file.pop("X_train", None)
            file["X_train"] = link
        with refused(small_file, "X_train: expected a data set in the file itself; found a link to another place"):
            read(small_file)


def test_values_in_other_files_are_not_read(small_file, tmp_path):
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(12 * 3072))
    shape = (12, 3, 32, 32)
    without(small_file, "X_train")
    with h5py.File(small_file, "a") as file:
        file.create_dataset("X_train", shape, np.uint8, external=[(str(secret), 0, 12 * 3072)])
    with refused(small_file, "values lie in other files"):
        read(small_file)
    without(small_file, "X_train")
    layout = h5py.VirtualLayout(shape, np.uint8)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf5"), "X", shape=shape)
    with h5py.File(small_file, "a") as file:
        file.create_virtual_dataset("X_train", layout)
    with refused(small_file, "values lie in other files"):
        read(small_file)


def test_a_small_file_cannot_unpack_to_a_large_one(small_file):
    for images, labels in ((10**9, 10**9), (MOST_IMAGES - 5, MOST_IMAGES - 5)):
        for key, shape in (("X_train", (images, 3, 32, 32)), ("Y_train", (labels,))):
            without(small_file, key)
            with h5py.File(small_file, "a") as file:
                file.create_dataset(key, shape, np.uint8, chunks=(50, *shape[1:]), compression="gzip")
        with refused(small_file, rf"expected at most {MOST_IMAGES} images.*; found {images + 6}"):
            read(small_file)


def test_a_giant_chunk_is_not_unpacked(small_file):
    without(small_file, "X_train")
    with h5py.File(small_file, "a") as file:
        file.create_dataset("X_train", (100_000, 3, 32, 32), np.uint8, chunks=(100_000, 3, 32, 32), compression="gzip")
    with refused(small_file, "expected chunks of at most"):
        read(small_file)


def test_an_unknown_filter_is_not_loaded(small_file):
    without(small_file, "X_train")
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((12, 3, 32, 32))
    properties.set_filter(305, h5py.h5z.FLAG_OPTIONAL)
    with h5py.File(small_file, "a") as file:
        space = h5py.h5s.create_simple((12, 3, 32, 32))
        h5py.h5d.create(file.id, b"X_train", h5py.h5t.NATIVE_UINT8, space, properties)
    with refused(small_file, "found HDF5 filter 305"):
        read(small_file)


MEASURED = """
import re, resource, sys
from reproduce.data import dataset, hdf5
from reproduce.errors import BadInput
hdf5.MOST_MEMORY = int(sys.argv[2]) or hdf5.MOST_MEMORY
def peak():
    # Of this program alone: `getrusage` counts the process that it was started from.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
before = peak()
try:
    print(dataset.read(sys.argv[1]).name)
except BadInput as error:
    print(error)
limits = resource.getrlimit(resource.RLIMIT_AS)
print((peak() - before) // 1024, limits == (4_000_000_000,) * 2)
"""


def read_measured(path, limit=0):
    """What reading a file says, and the MB that it takes, in a process of its own that may have 4 GB."""
    if sys.platform != "linux":
        pytest.skip("only Linux says, and limits, what a process takes")
    limits = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000,) * 2)\n"
    done = run_python("-c", limits + MEASURED, path, limit, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    said, _, measured = done.stdout.strip().rpartition("\n")
    megabytes, are_limits_restored = measured.split()
    assert are_limits_restored == "True"
    return said, int(megabytes)


def test_no_more_memory_is_allowed_than_was_before():
    if sys.platform != "linux":
        pytest.skip("only Linux says, and limits, what a process takes")
    code = """
import resource
from reproduce.data import hdf5
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 4_000_000_000))
with hdf5._memory_limited(10**12):
    print(*resource.getrlimit(resource.RLIMIT_AS))
"""
    done = run_python("-c", code, cwd=ROOT)
    assert done.stdout == "2000000000 4000000000\n", done.stderr


def replaced(path, key, array, **options):
    without(path, key)
    with h5py.File(path, "a") as file:
        return file.create_dataset(key, data=array, **options)


def test_images_that_a_file_does_not_hold_take_no_memory(small_file):
    count = MOST_IMAGES - 6
    without(small_file, "X_train")
    replaced(small_file, "Y_train", np.zeros(count, np.uint8))
    for options in ({"chunks": (1000, 3, 32, 32), "compression": "gzip"}, {"chunks": None}):
        with h5py.File(small_file, "a") as file:
            file.pop("X_train", None)
            file.create_dataset("X_train", (count, 3, 32, 32), np.uint8, **options)
        said, megabytes = read_measured(small_file)
        assert "X_train: expected" in said
        assert said.endswith("of values; the file holds 0")
        assert megabytes < 64


def test_one_chunk_that_is_not_there_is_missed(small_file):
    without(small_file, "X_train")
    with h5py.File(small_file, "a") as file:
        made = file.create_dataset("X_train", (12, 3, 32, 32), np.uint8, chunks=(1, 3, 32, 32))
        made[:11] = 7
    with refused(small_file, "X_train: expected 12 chunks of values; the file holds 11"):
        read(small_file)


def test_chunks_of_one_value_are_not_read(small_file):
    without(small_file, "X_train")
    with h5py.File(small_file, "a") as file:
        file.create_dataset("X_train", (12_000, 3, 32, 32), np.uint8, chunks=(1, 1, 1, 1))
    replaced(small_file, "Y_train", np.zeros(12_000, np.uint8))
    said, megabytes = read_measured(small_file)
    assert f"X_train: expected at most {MOST_CHUNKS} chunks; found 36864000" in said
    assert megabytes < 64


def test_a_chunk_for_each_colour_and_label_is_read(small_file):
    expected = read(small_file)
    with h5py.File(small_file) as file:
        images, labels = file["X_train"][:], file["Y_train"][:]
    replaced(small_file, "X_train", images, chunks=(1, 1, 32, 32), compression="gzip", shuffle=True, fletcher32=True)
    replaced(small_file, "Y_train", labels, chunks=(1,))
    assert read(small_file).fingerprint == expected.fingerprint


def filtered(path, add_filters, stored):
    """X_train in one chunk, stored as it stands, to be unpacked by these filters."""
    without(path, "X_train")
    shape = (12, 3, 32, 32)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(shape)
    add_filters(properties)
    with h5py.File(path, "a") as file:
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(file.id, b"X_train", h5py.h5t.NATIVE_UINT8, space, properties).write_direct_chunk(
            (0,) * 4, stored
        )


def test_a_chunk_that_unpacks_to_more_than_it_should_takes_no_more_memory_than_there_is_for_it(small_file):
    """HDF5 unpacks a chunk as far as it goes, and compares its size afterwards."""

    def deflate_twice(properties):
        properties.set_deflate(1)
        properties.set_deflate(1)

    filtered(small_file, deflate_twice, zlib.compress(zlib.compress(bytes(800 * 2**20), 1), 9))
    said, megabytes = read_measured(small_file, 200 * 2**20)
    assert str(small_file) in said
    assert "filter returned failure" in said
    assert megabytes < 210


def test_a_chunk_that_is_stored_larger_than_its_values_is_not_unpacked(small_file):
    """LZF would try one buffer after the other, each larger by one chunk, and copy what it has each time."""

    def lzf(properties):
        properties.set_filter(32000, h5py.h5z.FLAG_OPTIONAL, (4, 262, 12 * 3 * 32 * 32))

    filtered(small_file, lzf, b"\x00a" + b"\xe0\xff\x00" * 1_000_000)
    with refused(small_file, r"X_train: expected chunks stored in at most \d+ bytes; found one of 3000002"):
        read(small_file)


@pytest.mark.parametrize(("name", "said"), [("source", "spoilt.hdf5"), ("synthetic", "expected true or false")])
def test_an_attribute_is_not_read_before_its_size_is_known(small_file, name, said):
    """An array of references to one string of a megabyte, which h5py would copy for each of them."""
    length, references = 1_000_000, 600
    spoilt = small_file.with_name("spoilt.hdf5")
    with h5py.File(small_file) as good, h5py.File(spoilt, "w", libver="latest") as file:
        for key in good:
            good.copy(key, file)
        values = np.full(10_000, "", object)
        values[0] = "A" * length
        file.attrs.create(name, values, dtype=h5py.string_dtype())
    content = bytearray(spoilt.read_bytes())
    # The attribute's first element, its length and where it is, is followed by that of an empty string.
    starts = [found.start() for found in re.finditer(re.escape(struct.pack("<I", length)), content)]
    (place,) = (start for start in starts if content[start + 16 : start + 20] == bytes(4))
    content[place : place + 16 * references] = content[place : place + 16] * references
    spoilt.write_bytes(content)
    found, megabytes = read_measured(spoilt)
    assert said in found
    assert megabytes < 64


def test_an_attribute_that_is_long_or_has_several_values_is_no_word_for_the_data(small_file):
    for source in (np.bytes_(b"A" * 5000), ["JPEG copy", "and more"]):
        with h5py.File(small_file, "a") as file:
            file.attrs["source"] = source
        assert read(small_file).name == "small.hdf5"
    with h5py.File(small_file, "a") as file:
        file.attrs["source"] = ["JPEG copy"]
    assert read(small_file).name == "JPEG copy"
    with h5py.File(small_file, "a") as file:
        file.attrs["synthetic"] = [True, False]
    with refused(small_file, "attribute synthetic: expected true or false"):
        read(small_file)


@pytest.mark.parametrize(("value", "is_synthetic"), [(True, True), (0, False), (np.array([1]), True), (1.0, True)])
def test_an_attribute_of_one_value_is_read(small_file, value, is_synthetic):
    with h5py.File(small_file, "a") as file:
        file.attrs["synthetic"] = value
    assert read(small_file).is_synthetic is is_synthetic


def archive_of(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return archives.md5_of(path)


def member(name, size=0, kind=tarfile.REGTYPE, target=""):
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size, kind, target
    return made


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("data_batch_1.bin", tarfile.REGTYPE),
        ("../../data_batch_1.bin", tarfile.REGTYPE),
        ("{folder}/data_batch_1.bin", tarfile.REGTYPE),
        ("data_batch_1.bin", tarfile.SYMTYPE),
        ("data_batch_1.bin", tarfile.LNKTYPE),
        ("data_batch_1.bin", tarfile.FIFOTYPE),
    ],
)
def test_an_archive_writes_nothing_anywhere(tmp_path, name, kind):
    """Even one with a known sum: members are read in memory, by their last name, and only if they are plain files."""
    path = tmp_path / "a" / "b" / "archive.tar.gz"
    path.parent.mkdir(parents=True)
    is_file = kind == tarfile.REGTYPE
    made = member(name.format(folder=tmp_path), 3 * is_file, kind, "" if is_file else "/etc/passwd")
    md5 = archive_of(path, (made, b"abc"))
    before = sorted(tmp_path.rglob("*"))
    with refused(path, r"expected 30730000 bytes|expected a batch data_batch_1"):
        archives.read_archive(path, replace(archives.OFFICIAL, binary=md5))
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_of_zeros_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "zeros.tar.gz"
    size = 200 * 2**20
    md5 = archive_of(path, (member("data_batch_1.bin", size), bytes(size)))
    with refused(path, r"data_batch_1.bin: expected at most 67108864 bytes; found 209715200"):
        archives.read_archive(path, replace(archives.OFFICIAL, binary=md5))


def test_an_archive_with_another_sum_is_not_opened_at_all(tmp_path, monkeypatch):
    path = tmp_path / "archive.tar.gz"
    archive_of(path, (member("data_batch_1.bin", 3), b"abc"))
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("opened"))
    with refused(path, "expected the MD5 sum"):
        read(path)


def test_a_compressed_or_crowded_checkpoint_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, about=np.zeros(50_000_000, np.uint8))
    tracemalloc.start()
    with pytest.raises(Damaged, match="not a checkpoint that this package wrote"):
        checkpoint.read_record(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    # What does not get smaller, and what is there twice and counts twice.
    np.savez_compressed(path, about=np.frombuffer(random.Random(0).randbytes(100_000), np.uint8))
    with pytest.raises(Damaged, match="not a checkpoint that this package wrote"):
        checkpoint.read_record(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", bytes(1000))
        archive.filelist.append(archive.filelist[0])
    with pytest.raises(Damaged, match="not a checkpoint that this package wrote"):
        checkpoint.read_record(path)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(Damaged, match="not a checkpoint that this package wrote"):
        checkpoint.read_record(path)


@pytest.mark.parametrize(
    "about",
    [
        *(b"[]", b"{}", b"7", b"[" * 100_000, b"\xff"),
        *(b'{"format": 1, "settings": 3, "provenance": {}}', b'{"format": 1, "settings": {}, "provenance": 3}'),
    ],
)
def test_a_forged_checkpoint_with_good_checksums_is_refused(tmp_path, about):
    content = {"about": np.frombuffer(about, np.uint8), "history": np.zeros((1, 6))}
    path = tmp_path / "forged.npz"
    np.savez(path, **content, **{"checksum/brief": checkpoint._checksum(content)})
    with pytest.raises(Damaged, match="not a checkpoint that this package wrote"):
        checkpoint.read_record(path)


def test_an_array_that_claims_to_be_huge_takes_no_memory(tmp_path):
    path = tmp_path / "huge.npz"
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", header.ljust(128 + 10 - 11) + b"\n")
    with pytest.raises(Damaged):
        checkpoint.read_record(path)


def test_a_name_with_newlines_and_escapes_stays_in_its_line(tmp_path):
    name = "a\nb\x1b[31m.hdf5"
    done = run_python("-m", "figures.depth", f"--data={tmp_path / name}", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert r"a\nb\x1b[31m.hdf5: no such file" in done.stderr
    assert printable("ä ✓") == "ä ✓"


# --- fuzzing: whatever the bytes, only the project's own error may come out -----------------------------------------


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """A real file of each kind, small."""
    folder = tmp_path_factory.mktemp("seeds")
    made = synthetic(4, 2)
    images = {part: np.round(x * 255).astype(np.uint8) for part, x in (("train", made.x_train), ("test", made.x_test))}
    with h5py.File(folder / "plain.hdf5", "w") as file:
        for part, labels in (("train", made.y_train), ("test", made.y_test)):
            file[f"X_{part}"], file[f"Y_{part}"] = images[part], labels
    with h5py.File(folder / "packed.hdf5", "w") as file:
        for part, labels in (("train", made.y_train), ("test", made.y_test)):
            file.create_dataset(f"X_{part}", data=images[part], chunks=(1, 3, 32, 32), compression="gzip", shuffle=True)
            file.create_dataset(f"Y_{part}", data=labels, compression="lzf")
    from reproduce.store.training_run import train

    experiment = Experiment(data_fingerprint=made.fingerprint, blocks=((1, 64),), width=0.02, batch_size=2)
    train(experiment, made, folder / "run", 1, engine_name="chainer")
    return folder


def mutations(content, count, seed):
    """`count` spoilt copies: flipped, overwritten, removed, repeated and truncated stretches, mostly near the start."""
    choose = random.Random(seed)
    for _ in range(count):
        spoilt = bytearray(content)
        for _ in range(choose.choice((1, 1, 2, 4, 16))):
            place = int(len(spoilt) * choose.random() ** choose.choice((1, 3))) if spoilt else 0
            length = choose.choice((1, 1, 2, 4, 8, 64))
            kind = choose.randrange(5)
            if kind == 0 and spoilt:
                spoilt[min(place, len(spoilt) - 1)] ^= 1 << choose.randrange(8)
            elif kind == 1:
                spoilt[place : place + length] = choose.randbytes(length)
            elif kind == 2:
                del spoilt[place : place + length]
            elif kind == 3:
                spoilt[place:place] = spoilt[place : place + length]
            elif choose.random() < 0.1:
                del spoilt[place:]
            else:
                spoilt[place : place + length] = choose.choice((b"\x00", b"\xff")) * length
        yield bytes(spoilt)


FUZZ = """
import sys
from pathlib import Path
from tests.data import test_hostile_files as fuzzing
fuzzing.fuzz_files(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
"""


def fuzz_files(seeds, scratch, count):
    """Feed `count` spoilt copies of each real file to its loader; anything but the project's own errors comes out."""
    for number, name in enumerate(("plain.hdf5", "packed.hdf5", "run/checkpoint.npz", "run/checkpoint.npz")):
        for spoilt in mutations((seeds / name).read_bytes(), count, seed=number):
            scratch.write_bytes(spoilt)
            with contextlib.suppress(BadInput, Damaged):
                if name.endswith("hdf5"):
                    read(scratch)
                else:
                    checkpoint.read_record(scratch)
    print("survived")


def check_fuzzing(seeds, tmp_path, count):
    """In a process of its own, since a library in C may take its process with it."""
    done = run_python("-c", FUZZ, seeds, tmp_path / "scratch", count, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr[-2000:]


def test_spoilt_files_of_every_kind_are_refused(seeds, tmp_path):
    check_fuzzing(seeds, tmp_path, 60)


@pytest.mark.slow
def test_ten_thousand_spoilt_files_are_refused(seeds, tmp_path):
    check_fuzzing(seeds, tmp_path, 2500)


text_of_a_history = st.one_of(
    st.binary(max_size=200),
    st.lists(st.text("0123456789.,-enaif\n\"'", max_size=40), max_size=5).map(
        lambda lines: ("epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds\n" + "\n".join(lines)).encode()
    ),
)


@settings(deadline=None)
@given(text_of_a_history)
def test_any_bytes_as_a_history_are_read_or_refused(content):
    with contextlib.suppress(ValueError):
        parse_history(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(Experiment().settings())), json_values)
def test_any_value_of_a_setting_is_taken_or_refused(name, value):
    with contextlib.suppress(BadInput):
        Experiment.from_settings({**json.loads(json.dumps(Experiment().settings())), name: value})
