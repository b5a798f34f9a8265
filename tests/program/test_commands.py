"""The commands as a user types them: exit codes, one clear line, and what they leave behind."""

import contextlib
import csv
import json
import os
import re
import shutil
import struct
import subprocess
import sys

import pytest

from figures.baseline import BASELINE
from reproduce.data.dataset import synthetic
from reproduce.profiles import Options
from reproduce.study import Study
from tests.helpers.processes import REAL_DATA, ROOT, child_environment, drawn, run_python

SMOKE = ("--profile=smoke", "--seeds=1", "--epochs=2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figures.pooling_and_optimizers", "8"], "figure 8: expected one of 6, 7"),
        (["figures.pooling_and_optimizers", "six"], "argument NUMBER: invalid int value: 'six'"),
        (
            ["figures.depth", "--profile=quik"],
            "--profile: expected quick, smoke, evening, overnight or full (did you mean quick?); found 'quik'",
        ),
        (["figures.depth", "--epochs=0"], "expected a whole number from 1 to 10000; found '0'"),
        (["figures.depth", "--seeds=-3"], "expected a whole number from 1 to 1000; found '-3'"),
        (["figures.depth", "--seeds=many"], "expected a whole number from 1 to 1000; found 'many'"),
        (["figures.depth", "--width=nan"], "expected a number above 0 to 16; found 'nan'"),
        (["reproduce", "train", "--out=o", "--beta1=1"], "expected a number from 0 to below 1; found '1'"),
        (["figures.depth", "--width=0"], "expected a number above 0 to 16; found '0'"),
        (["figures.depth", "--colour=red"], "no such option: --colour"),
        (["figures.depth", "--epoch=3"], "no such option: --epoch (did you mean --epochs?)"),
        (
            ["figures.depth", "--engine=fastest"],
            "--engine: expected auto, chainer or fast (did you mean fast?); found 'fastest'",
        ),
        (["figures.depth", "--data=nothing.hdf5"], "nothing.hdf5: no such file"),
        (["figures.depth", "--profile=smoke", "--data=synthetic", "--device=0"], "device 0: "),
        (["reproduce"], "expected a command: train, data or infer"),
        (["reproduce", "trian"], "no such command: 'trian'; expected train, data or infer (did you mean train?)"),
        (["reproduce", "train"], "the following arguments are required: --out"),
        (["reproduce", "train", "--out=o", "--blocks=2x"], "expected blocks as convolutions x channels"),
        (["reproduce", "train", "--out=o", "--data=synthetic", "--filter-size=4"], "filter_size must be odd"),
        (["reproduce", "train", "--out=o", "--batch-normalization=maybe"], "expected yes or no; found 'maybe'"),
        (["reproduce", "train", "--out=o", "--optimizer=Adamax"], "(did you mean Adam?); found 'Adamax'"),
        (
            ["reproduce", "train", "--out=o", "--data=synthetic", "--alpha=0.5"],
            "alpha: a setting of RMSprop; the optimizer is Adam",
        ),
        (["reproduce", "data", "--train-size=5"], "train_size and test_size choose from --data"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line(tmp_path, arguments, message):
    done = run_python("-m", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_results_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").touch()
    done = run_python("-m", "figures.depth", "--profile=smoke", "--data=synthetic", "--results=file", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith("file: expected a folder that can be written to: File exists\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--out=file"], "file: expected a folder that can be written to: File exists"),
        (["train", "--out=file/run"], "file/run: expected a folder that can be written to: Not a directory"),
        (["data", "--out=folder"], "--out: expected a file to write; found the folder folder"),
        (["data", "--out=file/data.hdf5"], "file: expected a folder that can be written to: File exists"),
    ],
)
def test_a_place_that_cannot_be_written_is_bad_input_before_anything_is_done(tmp_path, arguments, message):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    done = run_python("-m", "reproduce", *arguments, "--data=synthetic", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"python -m reproduce: {message}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device=0"], "device 0: "),
        (["--device=0", "--profile=full"], "device 0: "),
        (["--engine=fast"], "the fast engine compiles its loops, and NUMBA_DISABLE_JIT forbids it"),
        (["--blocks=1x4097"], "the channels of block 1 must be 1 to 4096; found 4097"),
        (["--alpha=0.5"], "alpha: a setting of RMSprop; the optimizer is Adam"),
        (["--profile=smoke", "--momentum=0.5"], "momentum: a setting of MomentumSGD and NesterovAG; the optimizer is"),
    ],
)
def test_settings_are_refused_before_the_images_are_looked_for(tmp_path, arguments, message):
    """They may be a download of 170 MB."""
    done = run_python("-m", "reproduce", "train", "--out=run", "--data=nothing.hdf5", *arguments, cwd=tmp_path,
                      NUMBA_DISABLE_JIT="1", CUDA_VISIBLE_DEVICES="")  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("profile", "arguments", "settings"),
    [
        ("full", ["--optimizer=MomentumSGD", "--pooling=max", "--dropout=0.25"], BASELINE),
        ("full", ["--optimizer=MomentumSGD", "--momentum=0.5"], {"optimizer": "MomentumSGD", "momentum": 0.5}),
        ("smoke", ["--optimizer=SGD"], {"optimizer": "SGD"}),
        ("smoke", ["--optimizer=SGD", "--learning-rate=0.5"], {"optimizer": "SGD", "learning_rate": 0.5}),
    ],
)
def test_a_run_of_a_profile_is_the_one_that_its_figures_train(tmp_path, profile, arguments, settings):
    """At a tiny width and on few images, which both are told; what else the profile says, it says to both."""
    small = ("--train-size=20", "--test-size=10", "--width=0.02", "--epochs=1", "--data=synthetic")
    done = run_python("-m", "reproduce", "train", f"--profile={profile}", *arguments, *small, "--out=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "run/history.csv: 1 epoch\n" in done.stdout
    study = Study(Options(profile, train_size=20, test_size=10, width=0.02), synthetic(20, 10))
    wanted = {"dropout": 0.4, "pooling": "max", **settings}
    assert json.loads((tmp_path / "run/experiment.json").read_text()) == study.experiment(wanted, seed=0).settings()


def test_debug_shows_where_a_mistake_was_noticed(tmp_path):
    done = run_python("-m", "figures.depth", "--data=nothing.hdf5", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("python -m figures.depth: nothing.hdf5: no such file")


def test_train_writes_a_run_and_goes_on_from_it(tmp_path):
    small = ("--data=synthetic", "--train_size=40", "--test-size=20", "--batch-size=20", "--width=0.0625", "--out=run")
    for epochs in (1, 2):
        done = run_python("-m", "reproduce", "train", *small, f"--epochs={epochs}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Epoch ") == 1
    with (tmp_path / "run/history.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["0", "1"]
    settings = json.loads((tmp_path / "run/experiment.json").read_text())
    assert (settings["optimizer"], settings["dropout"], settings["pooling"]) == ("Adam", 0.4, "max")
    assert settings["blocks"] == [[2, 64], [2, 128], [4, 256]]


def test_a_home_folder_is_meant_by_its_sign(tmp_path):
    """As bash leaves it in --out=~/run, and make in DATA=~/x."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir(), work.mkdir()
    done = run_python("-m", "reproduce", "data", "--data=synthetic", "--train-size=20", "--test-size=10",
                      "--out=~/data.hdf5", cwd=work, HOME=str(home))  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = run_python("-m", "reproduce", "train", "--data=~/data.hdf5", "--width=0.02", "--epochs=1", "--out=~/run",
                      cwd=work, HOME=str(home))  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = run_python("-m", "figures", "report", "--data=~/data.hdf5", "--train-size=20", "--test-size=10",
                      "--results=~/results", cwd=work, HOME=str(home))  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in home.iterdir() if not path.name.startswith("."))
    assert made == ["data.hdf5", "results", "run"]
    assert list(work.iterdir()) == []
    done = run_python("-m", "reproduce", "data", "--data=~nobodyatall/x", cwd=work)
    assert done.returncode == 2
    assert "--data: expected a path; this home folder is not known" in done.stderr


def test_data_writes_the_course_s_layout(tmp_path):
    done = run_python("-m", "reproduce", "data", "--data=synthetic", "--train-size=30", "--test-size=20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "data/CIFAR10.hdf5: synthetic images (not CIFAR-10), 30 training and 20 test images" in done.stdout
    again = run_python("-m", "reproduce", "data", cwd=tmp_path)
    assert again.stdout == done.stdout
    # What every command takes for CIFAR-10 is not replaced, nor is anything else.
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "other.hdf5").hardlink_to(tmp_path / "data/CIFAR10.hdf5")
    whole = str(tmp_path / "data/CIFAR10.hdf5")
    for out in (None, whole, "data/../data/CIFAR10.hdf5", "link/CIFAR10.hdf5", "other.hdf5"):
        named = [f"--out={out}"] if out else []
        other = run_python("-m", "reproduce", "data", "--data=synthetic", "--train-size=40", *named, cwd=tmp_path)
        assert (other.returncode, other.stderr.count("\n")) == (2, 1)
        assert f"--out: {out or 'data/CIFAR10.hdf5'} is there already" in other.stderr
        assert run_python("-m", "reproduce", "data", *named, cwd=tmp_path).stdout.endswith(done.stdout.split(":")[1])


@pytest.fixture(scope="module")
def figure_folder(tmp_path_factory):
    """Figure 6, then figure 7, as two commands."""
    folder = tmp_path_factory.mktemp("figures")
    data = REAL_DATA if REAL_DATA.exists() else "synthetic"
    printed = []
    for number in (6, 7):
        done = run_python("-m", "figures.pooling_and_optimizers", number, *SMOKE, f"--data={data}", cwd=folder)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    return folder, printed


def test_a_figure_leaves_its_picture_and_its_numbers(figure_folder):
    folder, printed = figure_folder
    for number, quantity in ((6, "train error (%)"), (7, "test accuracy (%)")):
        path = drawn(folder / "results") / f"figure-{number}"
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        with path.with_suffix(".csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert list(rows[0]) == ["panel", "series", "quantity", "epoch", "seed", "value"]
        assert len(rows) == 6 * 2
        assert all(row["quantity"].startswith(quantity) for row in rows)
        assert str(path.with_suffix(".png").relative_to(folder)) in printed[number - 6]
    assert "best first" in printed[0]


def test_a_figure_s_caption_says_what_the_numbers_are_from(figure_folder):
    folder, _ = figure_folder
    picture = (drawn(folder / "results") / "figure-6.svg").read_text()
    for text in ("smoke profile", "200 training and 100 test images", "2 epochs", "1 seed", "engine on"):
        assert text in picture, text
    assert ("SYNTHETIC" in picture) == (not REAL_DATA.exists())


def test_runs_that_two_figures_share_are_trained_once(figure_folder):
    folder, printed = figure_folder
    assert printed[0].count(" epochs, Train accuracy ") == 6
    assert printed[1].count("Epoch ") == 0
    assert "6 already trained" in printed[1]
    assert len(list((folder / "results/runs").iterdir())) == 6


def test_the_csv_has_the_numbers_of_the_runs(figure_folder):
    folder, _ = figure_folder
    with (drawn(folder / "results") / "figure-7.csv").open() as stream:
        values = {(row["panel"], row["series"], row["epoch"]): float(row["value"]) for row in csv.DictReader(stream)}
    for run in (folder / "results/runs").iterdir():
        settings = json.loads((run / "experiment.json").read_text())
        with (run / "history.csv").open() as stream:
            for row in csv.DictReader(stream):
                value = values[f"{settings['pooling']} pooling", settings["optimizer"], row["epoch"]]
                assert value == pytest.approx(float(row["test_accuracy"]), abs=1e-3)


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments):
    return subprocess.run(["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True)


@needs_make
def test_make_refuses_settings_that_it_does_not_know():
    done = make("-n", "help", "SEED=5")
    assert done.returncode == 2
    assert "no such setting: SEED; expected some of PROFILE DATA SEEDS" in done.stderr
    done = make("-n", "help", "SEEDS=5")
    assert done.returncode == 0, done.stderr


@needs_make
def test_make_help_has_a_line_for_every_target():
    printed = make("help").stdout
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    targets = {name for name in phony.split()[1:] if not name.startswith("$")}
    for target in targets | {f"figure-{number}" for number in range(2, 11)}:
        assert [line for line in printed.splitlines() if line.split() and line.split()[0] == target], target


@needs_make
def test_make_hands_every_setting_on():
    sizes = ("SEEDS", "EPOCHS", "TRAIN_SIZE", "TEST_SIZE", "BATCH_SIZE", "WIDTH")
    names = ("PROFILE", "DATA", *sizes, "DEVICE", "ENGINE", "RESULTS", "JOBS", "SCHEDULER")
    printed = make("-n", "-o", ".venv/installed", "figure-6", *(f"{name}=1" for name in names)).stdout
    for name in names:
        assert f'--{name.lower()}="${name}"' in printed
    assert "python -m figures.pooling_and_optimizers 6" in printed


def test_a_terminal_shows_how_the_whole_sweep_stands_to_its_end(tmp_path):
    """In a pseudo-terminal, where the status lines of every run, and not of the first one alone, must arrive."""
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    arguments = ["-m", "figures.depth", "--profile=smoke", "--data=synthetic", "--seeds=1", "--epochs=1"]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, *arguments], child_environment())
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    seen = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side has closed
        while part := os.read(terminal, 65536):
            seen += part
    assert os.waitpid(process, 0)[1] == 0, seen
    for text in (b"1 of 3 runs done", b"2 of 3 runs done"):
        assert text in seen


@pytest.mark.parametrize("command", [("figures", "figure-6"), ("reproduce", "train")])
def test_help_names_each_option_once(tmp_path, command):
    done = run_python("-m", *command, "--help", cwd=tmp_path)
    options = re.findall(r"^  (?:-\w, )?(--.*)", done.stdout, re.MULTILINE)
    assert any(line.startswith("--train-size TRAIN_SIZE") for line in options)
    assert all(line.count("--") == 1 for line in options), options


def test_help_for_the_data_promises_no_seeds_and_no_profile(tmp_path):
    """They have no part in it."""
    done = run_python("-m", "reproduce", "data", "--help", cwd=tmp_path)
    assert "--train-size TRAIN_SIZE" in done.stdout
    assert not re.search("seed|profile", done.stdout)
