"""docs/extending.md, followed: its code blocks are put where it says, in a copy of the checkout, and run."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers.processes import ROOT, child_environment

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
OPTIMIZERS, FIGURE, CLAIM = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:3]


@pytest.fixture
def copy(tmp_path):
    for package in ("reproduce", "figures"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edited(path, pattern, new):
    text, count = re.subn(pattern, lambda _: new, path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert count == 1, pattern
    path.write_text(text, encoding="utf-8")


def run(folder, *arguments):
    sizes = ("--profile=smoke", "--data=synthetic", "--seeds=1", "--train-size=50", "--test-size=20")
    return subprocess.run(
        [sys.executable, "-m", "figures", *arguments, *sizes, "--engine=chainer"],
        cwd=folder,
        env=child_environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_fourth_optimizer_is_one_edit(copy):
    edited(copy / "figures" / "pooling_and_optimizers.py", r"OPTIMIZERS = \([^)]*\)\n", OPTIMIZERS)
    done = run(copy, "figure-6")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " AdaGrad " in line and "not in the report" in line]
    assert len(lines) == 2, done.stdout


def test_an_own_figure_is_one_edit(copy):
    edited(copy / "figures" / "dropout.py", r"FIGURES = \{4[^}]*\}\n", FIGURE)
    done = run(copy, "figure-11")
    assert done.returncode == 0, done.stderr
    assert "Figure 11. Dropout: test accuracy" in done.stdout
    assert done.stdout.count("not in the report") == 2


def test_an_own_claim_is_one_edit(copy):
    edited(copy / "figures" / "dropout.py", r"\nCLAIMS = \(\n", f"\nCLAIMS = (\n{CLAIM.rstrip()},\n")
    code = "from figures.sections import CLAIMS; print({claim.id: claim.decides for claim in CLAIMS}['more-dropout'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env=child_environment(PYTHONPATH=str(copy)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "True if the test error with 0.5 is higher" in done.stdout, done.stderr
