"""Compiled code on disk: whose it may be, for which machine it is, and what a damaged file or a full disk does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Convolution by both methods, so that code laid out for other vectors would overwrite memory.
USE_THE_ENGINE = """
import reproduce, chainer, numpy as np
import chainer.functions as F
from reproduce import engine
from reproduce.engine import compilation

if {limit}:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
x, w = (np.random.RandomState(0).rand(*shape).astype(np.float32) for shape in ((2, 16, 8, 8), (16, 16, 3, 3)))
with engine.using("fast"):
    y = F.relu(F.convolution_2d(x, w, pad=1)).array
assert np.allclose(y, F.relu(F.convolution_2d(x, w, pad=1)).array, rtol=1e-4)
print(compilation.folder())
"""
OWN_NAME = f"engine-{os.geteuid()}"


def run(parent: Path, limit: int = 0, umask: int = -1, **environment: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(parent), **environment}
    return subprocess.run(
        [sys.executable, "-c", USE_THE_ENGINE.format(limit=limit)],
        env=environment, capture_output=True, text=True, check=True, umask=umask,
    )  # fmt: skip


@pytest.fixture(scope="module")
def _filled_once(tmp_path_factory):
    parent = tmp_path_factory.mktemp("cache")
    assert run(parent).stdout.strip() == str(parent / OWN_NAME)
    return parent


@pytest.fixture
def filled(_filled_once, tmp_path):
    """A folder with the code of one run."""
    return shutil.copytree(_filled_once, tmp_path / "filled")


def files(parent):
    return {path: path.read_bytes() for path in (parent / OWN_NAME).iterdir()}


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_what_is_compiled_is_used_again_whatever_the_umask(tmp_path, umask):
    run(tmp_path, umask=umask)
    before = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    assert before
    run(tmp_path, umask=umask)
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == before


def test_what_is_compiled_is_kept_for_its_owner_alone_and_used_again(filled):
    before = {path: path.stat().st_mtime_ns for path in files(filled)}
    assert before
    assert (filled / OWN_NAME).stat().st_mode & 0o777 == 0o700
    run(filled)
    assert {path: path.stat().st_mtime_ns for path in files(filled)} == before


def test_machines_with_other_processors_share_a_folder_but_no_code(filled):
    before = files(filled)
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    run(filled, **generic)
    after = files(filled)
    assert before.items() < after.items()
    assert len(after) == 2 * len(before)
    run(filled)
    lanes = subprocess.run(
        [sys.executable, "-c", "from reproduce.engine.simd import LANES; print(LANES)"],
        env={**os.environ, **generic}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert lanes.stdout.strip() == "8"  # also on a machine that has vectors of 16


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
def test_a_damaged_file_is_made_anew(filled, damage):
    before = files(filled)
    for path, content in before.items():
        middle = len(content) // 2
        path.write_bytes({
            "cut": content[:middle],
            "empty": b"",
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }[damage])  # fmt: skip
    damaged = files(filled)
    run(filled)
    assert files(filled).keys() == before.keys()
    assert not set(damaged.values()) & set(files(filled).values())


@pytest.mark.parametrize("fault", ["others may write", "others may read", "a link", "another's"])
def test_a_folder_that_may_be_anothers_is_not_used(tmp_path, fault):
    folder = tmp_path / OWN_NAME
    if fault == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o700)
        folder.chmod({"others may write": 0o722, "others may read": 0o755}.get(fault, 0o700))
    if fault == "another's":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(folder, 65534, -1)
    found = run(tmp_path).stdout.strip()
    assert Path(found) != folder
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_is_anothers_is_not_loaded(filled):
    before = {path: path.stat().st_mtime_ns for path in files(filled)}
    for path in before:
        os.chown(path, 65534, -1)
    run(filled)
    for path, time in before.items():
        assert path.stat().st_uid == 0
        assert path.stat().st_mtime_ns != time


def test_a_full_disk_is_named_and_ends_nothing(tmp_path):
    done = run(tmp_path, limit=4096)
    assert f"compiled code is not kept: {tmp_path / OWN_NAME}" in done.stderr
    assert not files(tmp_path)
