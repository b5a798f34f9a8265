"""The benchmarks run: each in its smallest form, as its page of docs tells."""

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest

from reproduce.data.dataset import synthetic, write_hdf5


def run(*arguments):
    found = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_report_s_scale_is_counted_and_scheduled():
    said = run("benchmarks.scaling_sweeps", "report", "64=250", "1=16000")
    assert re.search(r"^\d+ runs, [\d,]+ images, \S+ FLOP", said)
    assert len(re.findall(r"places at .* GFLOP/s each: ", said)) == 2


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_benchmark_of_a_gpu_runs_on_a_cpu():
    program = "import benchmarks.on_gpu as b; b.print_case(b.Case('tiny', batch_size=2, width=0.0625), -1)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    assert all(title in found.stdout for title in ("stock Chainer", "the engine", "PyTorch eager"))


def test_error_rates_of_the_claims_are_simulated():
    program = "import benchmarks.claims_error_rates as b; print(b.simulate('as learnt', 3, 1))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr


def test_a_copy_is_measured_and_trained_beside_the_exact_images(tmp_path):
    exact = synthetic(60, 30)
    off = {"X_train": exact.x_train[::-1] * 0.98, "X_test": exact.x_test * 0.98}
    labels = {"Y_train": exact.y_train[::-1].copy(), "Y_test": exact.y_test}
    write_hdf5(tmp_path / "copy.hdf5", {**off, **labels}, "a copy", False)
    parts = {"X_train": exact.x_train, "X_test": exact.x_test, "Y_train": exact.y_train, "Y_test": exact.y_test}
    write_hdf5(tmp_path / "exact.hdf5", parts, "exact", False)
    said = run("benchmarks.jpeg_copy", str(tmp_path / "exact.hdf5"), str(tmp_path / "copy.hdf5"), "2", "1")
    distance = 255 * 0.02 * np.sqrt((exact.x_train**2).mean())
    assert f"60 images: root mean square distance {distance:.2f} of 255" in said
    assert re.search(r"^test accuracy after 1 epochs, 2 seeds: exact .* copy minus exact", said, re.MULTILINE)
