"""The report's figures as they are drawn: from the curves that are published, and over the report's at its scale."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from figures.figure import arrangement, curves_of, draw_figure, gap_notes, is_overlaid
from figures.sections import FIGURES
from reproduce import study as study_module
from reproduce.analysis.comparison import last_values
from reproduce.analysis.curves import Curve
from reproduce.analysis.report_curves import report_curves
from reproduce.profiles import PROFILES, Options
from reproduce.render.looks import LOOKS, REPORT_LOOK
from reproduce.render.plotting import curves_picture, stamp_of
from reproduce.study import Study
from reproduce.unstated.answers import picture_of
from reproduce.unstated.candidates import QUESTIONS
from reproduce.unstated.race import race, runs_of
from tests.figures.test_claims import errors_as_claimed
from tests.helpers import made_up
from tests.helpers.made_up import DATASET
from tests.helpers.pictures import assert_marks_lie_clear, assert_names_lie_clear, assert_readable, is_mark, texts_of
from tests.helpers.processes import ROOT

CAPTION = ["Ours: quick profile, CIFAR10-exact.hdf5, 2,000 training and 1,000 test images, 8 epochs, 5 seeds."]
BASELINE_NAMES = ("MomentumSGD", "baseline", "before tuning", "dropout 0.25")


def published_curves(number):
    """Ours, as the published CSV has them."""
    points = {}
    with (ROOT / "docs" / "results" / "quick" / f"figure-{number}.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            names = row["panel"], row["series"], row["quantity"]
            points.setdefault(names, {})[int(row["seed"]), int(row["epoch"])] = float(row["value"])
    curves = []
    for names, values in points.items():
        seeds, epochs = (sorted({key[i] for key in values}) for i in (0, 1))
        curves.append(Curve(*names, np.array(epochs), np.array([[values[s, e] for e in epochs] for s in seeds])))
    return curves


def near_the_report(number):
    """Three seeds of each of the report's curves, some points away from it."""
    random = np.random.default_rng(number)
    curves = []
    for curve in report_curves(number):
        epochs = np.arange(curve.epochs[-1] + 1)
        middle = np.interp(epochs, curve.epochs, curve.mean()) + random.normal(2, 2)
        curves.append(Curve(*curve[:3], epochs, np.clip(middle + random.normal(0, 1.5, (3, len(epochs))), 0, 100)))
    return curves


def picture(number, overlaid):
    figure = FIGURES[number]
    ours = near_the_report(number) if overlaid else published_curves(number)
    notes = gap_notes(last_values(report_curves(number), ours), is_report_scale=True) if overlaid else {}
    return curves_picture(
        f"Figure {number}. {figure.title}",
        report_curves(number),
        ours,
        CAPTION,
        is_overlaid=overlaid,
        notes=notes,
        explained=figure.explained,
    )


@pytest.mark.parametrize("overlaid", [False, True], ids=["above", "overlaid"])
@pytest.mark.parametrize("number", FIGURES)
def test_every_text_is_readable_and_every_name_inside_its_axes(number, overlaid):
    drawn = picture(number, overlaid)
    assert_readable(drawn)
    assert_names_lie_clear(drawn)
    assert_marks_lie_clear(drawn)
    words = [text.words.replace("\n", " ") for text in texts_of(drawn)]
    # The report's curves go on after ours end, in every panel.
    assert (sum(map(is_mark, words)) >= len({s.panel for s in FIGURES[number].series})) != overlaid
    for series in FIGURES[number].series:
        name = FIGURES[number].explained.get(series.name, series.name)
        expected = {(s.panel, s.quantity) for s in FIGURES[number].series if s.name == series.name}
        assert words.count(name) == len(expected) * (1 if overlaid else 2)
    assert sum(text.startswith("gap ") for text in words) == (len(FIGURES[number].series) if overlaid else 0)


def test_a_thing_has_one_look_in_all_figures():
    """As drawn: each curve's colour and marker are its name's, and no other's of the figure."""
    for number, figure in FIGURES.items():
        names = {series.name for series in figure.series}
        assert names <= {*LOOKS}
        assert len({LOOKS[name].colour for name in names}) == len(names)
        for axes in picture(number, overlaid=False).axes:
            drawn = {(line.get_color(), line.get_marker()) for line in axes.lines if line.get_marker() != "None"}
            assert drawn == {LOOKS[series.name] for series in figure.series if series.name in names} & drawn
            assert drawn
    assert len({LOOKS[name] for name in BASELINE_NAMES}) == 1


def study_of(profile, train_size, tmp_path, **settings):
    dataset = replace(DATASET, y_train=np.zeros(train_size, np.int32), name="CIFAR-10", is_synthetic=False)
    return Study(Options(profile=profile, results=str(tmp_path), **settings), dataset)


@pytest.mark.parametrize(
    ("profile", "images", "settings", "expected"),
    [
        # All images, a quarter of the width, the report's epochs.
        ("full", 50_000, {"width": 0.25}, True),
        ("full", 50_000, {"width": 0.25, "epochs": 8}, False),
        ("full", 10_000, {"width": 0.25}, False),
        ("quick", 2_000, {}, False),
    ],
)
def test_curves_are_overlaid_where_ours_reach_as_far_as_the_report_s(profile, images, settings, expected, tmp_path):
    study = study_of(profile, images, tmp_path, **settings)
    for figure in FIGURES.values():
        assert is_overlaid(figure, study) == expected
        assert ("Dashed" in arrangement(figure, study)) == expected


def test_at_the_report_s_scale_a_short_run_is_overlaid_too(tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "PROFILES", {"full": replace(PROFILES["full"], test_size=10)})
    assert is_overlaid(FIGURES[6], study_of("full", 50_000, tmp_path, epochs=4))


def test_a_figure_of_a_store_is_drawn_with_its_stamp_and_what_it_is_from(tmp_path):
    options = made_up.options(tmp_path / "results", seeds=2)
    made_up.fill(options, errors_as_claimed)
    study = Study(options, DATASET)
    files = draw_figure(FIGURES[3], curves_of(FIGURES[3], study), study)
    assert [path.suffix for path in files] == [".png", ".svg", ".pdf", ".csv"]
    text = files[1].read_text()
    for expected in ("SYNTHETIC DATA", "smoke test: no result", "20 training and 10 test images", "4 epochs, 2 seeds",
                     "x1: one block of two convolutions", "x3: three blocks"):  # fmt: skip
        assert expected in text, expected
    assert "counted from 0" not in text
    assert stamp_of("full", False) == ""


def test_the_candidate_that_is_nearest_is_marked(tmp_path):
    options = made_up.options(tmp_path / "results", seeds=1)
    study = Study(options, DATASET)
    question = next(one for one in QUESTIONS if one.name == "rmsprop")
    for job in runs_of("rate 0.01", question, study, 4):
        made_up.keep(tmp_path / "results", job.experiment, (80.0, 80.0))
    for job in runs_of("rate 0.001", question, study, 4):
        made_up.keep(tmp_path / "results", job.experiment, (1.0, 1.0))
    (answer,) = race([question], study)
    drawn = picture_of([answer], study)
    assert_readable(drawn)
    assert_names_lie_clear(drawn)
    words = [text.words for text in texts_of(drawn)]
    nearest = answer.leaders[0].candidate
    assert words.count(f"✓ {nearest}") == 1
    assert sum(text.startswith("✓ ") for text in words) == 1
    assert "Figure 6, max pooling, RMSprop: train error" in words
    for axes in drawn.axes:
        thick = {line.get_linewidth(): line.get_color() for line in axes.lines if len(line.get_xdata()) > 2}
        assert thick[max(thick)] == (LOOKS["rate 0.01"].colour if nearest == "rate 0.01" else thick[max(thick)])
        assert REPORT_LOOK.colour in thick.values()
