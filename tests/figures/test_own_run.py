"""A run of one's own over the report's curves: what is marked, measured, drawn and refused."""

import csv
import json

import numpy as np
import pytest

from figures.__main__ import main
from figures.own_run import OwnRun, counterparts, differences, gap_of, own_curves
from figures.sections import FIGURES
from reproduce.analysis.report_curves import report_curve, report_curves
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.render.plotting import own_run_picture
from reproduce.store.history import EpochRecord, history_bytes
from tests.helpers.pictures import assert_names_lie_clear, assert_readable
from tests.helpers.processes import run_python


def as_in_the_report(figure, panel, name, shift=0.0, epochs=5):
    """A history whose train error is the report's curve, `shift` points higher."""
    report = report_curve(FIGURES[figure].curve(panel, name))
    values = np.interp(range(epochs), report.epochs, report.mean()) + shift
    return [EpochRecord(epoch, 1.0, 100 - value, 1.0, 50.0, 2.0) for epoch, value in enumerate(values)]


def written(folder, history, experiment=None, **data):
    folder.mkdir(exist_ok=True)
    (folder / "history.csv").write_bytes(history_bytes(history))
    if experiment is not None:
        (folder / "experiment.json").write_text(json.dumps(experiment.settings()))
    if data:
        (folder / "provenance.json").write_text(json.dumps({"data": data}))
    return folder


def test_the_command_draws_a_run_and_says_how_near_it_is(tmp_path):
    history = as_in_the_report(6, "max pooling", "Adam", shift=2.5)
    experiment = Experiment(seed=7, width=0.25)
    folder = written(tmp_path / "mine", history, experiment, name="some images", is_synthetic=True)
    done = run_python("-m", "figures", "own-run", "--run=mine", "--figure=6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("max pooling")]
    # The report's curve has no epoch 0.
    assert rows[0] == ["max", "pooling", "Adam", "4", "2.5", "nearest", "settings"]
    assert len(rows) == 3 and "average pooling" not in done.stdout
    assert "some images" in done.stdout
    assert "dropout 0.4 (there 0.25), width 0.25 (there 1.0)" in done.stdout
    for suffix, head in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert (folder / f"figure-6-own-run{suffix}").read_bytes().startswith(head)
        assert f"mine/figure-6-own-run{suffix}" in done.stdout
    assert "SYNTHETIC" in (folder / "figure-6-own-run.svg").read_text()
    with (folder / "figure-6-own-run.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert list(lines[0]) == ["panel", "series", "quantity", "epoch", "seed", "value"]
    assert [float(line["value"]) for line in lines] == pytest.approx([100 - row.train_accuracy for row in history])
    assert {(line["panel"], line["series"], line["seed"]) for line in lines} == {("max pooling", "own run", "7")}
    assert {line["quantity"] for line in lines} == {"train error (%), synthetic data"}


def test_a_history_alone_is_drawn_in_every_panel_and_marks_none(tmp_path, capsys):
    written(tmp_path, as_in_the_report(6, "max pooling", "Adam"))
    main(["own-run", f"--run={tmp_path}", "--figure=8"])
    printed = capsys.readouterr().out
    assert "training error" in printed and "test accuracy" in printed and "nearest" not in printed
    with (tmp_path / "figure-8-own-run.csv").open(newline="") as stream:
        assert {row["seed"] for row in csv.DictReader(stream)} == {""}


@pytest.mark.parametrize(
    ("figure", "settings", "expected"),
    [
        (6, {}, [("max pooling", "Adam")]),
        (6, {"optimizer": "SGD"}, []),
        (4, {}, [("", "dropout 0.4")]),
        (8, {"blocks": ((1, 8),)}, []),
        (8, {"blocks": ((1, 8),), "optimizer": "MomentumSGD"}, [("training error", "3x3"), ("test accuracy", "3x3")]),
        (3, {"blocks": ((2, 64),), "batch_normalization": False}, []),
        (3, {"blocks": ((2, 64),), "batch_normalization": False, "optimizer": "SGD"}, [("x1", "no batch norm")]),
        (9, {"augmentation": "report"}, [("", "4x augmentation")]),
    ],
)
def test_what_a_figure_varies_says_which_curve_is_marked(figure, settings, expected):
    found = counterparts(FIGURES[figure], Experiment(**settings))
    assert [(series.panel, series.name) for series in found] == expected


def test_a_run_at_the_reports_scale_differs_in_nothing():
    series = FIGURES[7].curve("max pooling", "MomentumSGD")
    settings = {"batch_size": 500, "width": 1.0, "momentum": 0.99, **series.settings}
    assert differences(Experiment(seed=3, data_fingerprint="x", **settings), series) == []
    assert differences(Experiment(**{**settings, "momentum": 0.9}), series) == ["momentum 0.9 (there 0.99)"]


def test_a_gap_counts_the_epochs_that_both_have_as_numbers():
    report = report_curves(9)[0]
    curve = own_curves(FIGURES[9], OwnRun(as_in_the_report(6, "max pooling", "Adam"), None, {}))[0]
    distances = abs(curve.mean()[report.epochs[report.epochs < 5]] - report.mean()[report.epochs < 5])
    assert gap_of(curve, report) == (len(distances), pytest.approx(distances.mean()))
    diverged = curve._replace(values=np.where(curve.epochs < 2, curve.values, np.nan))
    assert gap_of(diverged, report)[0] == np.sum(report.epochs < 2)
    nothing = curve._replace(values=np.full((1, 5), np.nan))
    assert gap_of(nothing, report)[0] == 0 and np.isnan(gap_of(nothing, report)[1])


@pytest.mark.parametrize("number", sorted(FIGURES))
def test_every_figure_is_readable(number):
    run = OwnRun(as_in_the_report(6, "max pooling", "Adam", epochs=9), Experiment(), {})
    figure = FIGURES[number]
    marked = [report_curve(series) for series in counterparts(figure, run.experiment)]
    notes = {curve.panel: "gap 12.5 to MomentumSGD" for curve in own_curves(figure, run)}
    picture = own_run_picture(
        figure.title, report_curves(number), own_curves(figure, run), marked, ["Own run."], "", notes, figure.explained
    )
    assert_readable(picture)
    assert_names_lie_clear(picture)


HISTORY = history_bytes(as_in_the_report(6, "max pooling", "Adam")).decode()


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({}, "--figure=6", "run/history.csv: no such file; expected one, as `python -m reproduce train --out DIR`"),
        ({"history.csv": HISTORY}, "--figure=1", "--figure: expected a whole number from 2 to 10; found '1'"),
        ({"history.csv": HISTORY}, "--figure=6 --seeds=2", "no such option: --seeds"),
        ({"history.csv": HISTORY}, "", "--figure: expected a run's folder and a figure: --run=DIR --figure=6"),
        ({"history.csv": "a,b\n1,2\n"}, "--figure=6", "run/history.csv: expected the columns epoch,train_loss"),
        ({"history.csv": HISTORY.splitlines()[0]}, "--figure=6", "expected at least one epoch; found none"),
        ({"history.csv": HISTORY[:-12]}, "--figure=6", "run/history.csv: line 6: expected 6 numbers"),
        ({"history.csv": "\x00\xff"}, "--figure=6", "run/history.csv: expected"),
        ({"history.csv": HISTORY, "experiment.json": "{"}, "--figure=6", "run: experiment.json: expected JSON"),
        ({"history.csv": HISTORY, "experiment.json": '{"x": 1}'}, "--figure=6", "no such setting of an experiment: x"),
        ({"history.csv": HISTORY, "provenance.json": "[]"}, "--figure=6", "run: provenance.json: expected names"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, files, options, message):
    (tmp_path / "run").mkdir()
    for name, content in files.items():
        (tmp_path / "run" / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as refused:
        main(["own-run", "--run=run", *options.split()])
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(files)
