"""Compiling ahead: what a computation will need, all of it, on all cores, and nothing of it computed."""

import os
import subprocess
import sys

PROGRAM = """
import reproduce, chainer, numpy as np
from pathlib import Path
from reproduce import engine
from reproduce.engine import compilation, threads
from reproduce.network import Conv_NN

def step():
    model = Conv_NN(blocks=((1, 8), (1, 16)))
    optimizer = chainer.optimizers.MomentumSGD().setup(model)
    loss, _ = model(np.ones((2, 3, 32, 32), np.float32), np.zeros(2, np.int32))
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss.array

def files():
    return {path.name: path.stat().st_mtime_ns for path in compilation.folder().iterdir()}

np.random.seed(0)
before = np.random.get_state()[1].tolist()
engine.prepare(step)
assert not compilation.folder() or not files()  # outside of `using`, nothing
with engine.using("fast"):
    engine.prepare(step)
    assert np.random.get_state()[1].tolist() == before
    prepared = files()
    print(len(prepared))
    engine.prepare(step)
    found = step()
    assert files() == prepared
np.random.seed(0)
expected = step()
assert abs(found - expected) < 1e-4 * expected, (found, expected)
"""


def test_what_is_prepared_needs_no_compiling_afterwards(tmp_path):
    counts = []
    for threads in ("1", "3"):
        cache = tmp_path / threads
        cache.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": threads},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        counts.append(int(done.stdout))
    # Helpers and their parent together compile the same as one process alone.
    assert counts[0] == counts[1] > 10


GIVING_UP = """
import tempfile
from pathlib import Path
from reproduce import engine

def give_up():
    if list(Path(tempfile.gettempdir()).glob("engine-*/*")):
        raise ValueError("enough")

try:
    engine.prepare(meanwhile=give_up)
except ValueError as error:
    print(error, list(Path(tempfile.gettempdir()).glob("engine-*")))
"""


def test_giving_up_while_others_compile_leaves_nothing_behind(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", GIVING_UP],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "temporary")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "enough []\n", "")
