"""The benchmarks run: each in its smallest form, as its page of docs tells."""

import importlib.util
import re
import subprocess
import sys

import pytest


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
