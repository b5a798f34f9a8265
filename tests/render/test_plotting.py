import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce.analysis.curves import Curve, Series, curve_of, write_curves
from reproduce.analysis.report_curves import report_curves
from reproduce.render import plotting
from reproduce.store.history import EpochRecord


def curve(values, panel="p", series="s", quantity="train error (%)"):
    values = np.atleast_2d(np.array(values, float))
    return Curve(panel, series, quantity, np.arange(values.shape[1]), values)


@pytest.mark.parametrize("number", range(2, 11))
def test_every_figure_of_the_report_has_its_curves(number):
    for found in report_curves(number):
        assert found.values.shape == (1, len(found.epochs))
        assert ((found.values >= 0) & (found.values <= 100)).all()
        assert (np.diff(found.epochs) > 0).all()


def test_the_report_s_curves_are_those_of_its_file():
    found = {(c.panel, c.series): c for c in report_curves(6)}
    adam = found["average pooling", "Adam"]
    assert (adam.epochs[0], adam.values[0, 0], adam.epochs[-1], adam.values[0, -1]) == (0, 59.1, 22, 4.1)
    assert found["max pooling", "RMSprop"].epochs[0] == 1


def test_a_curve_is_what_the_histories_say():
    histories = [[EpochRecord(e, 1.0, 60.0 + seed, 1.0, 50.0 + e, 0.1) for e in range(3)] for seed in (0, 1)]
    found = curve_of(Series(None, "p", "s", "train error (%)", {}, 3), histories, epochs=2)
    np.testing.assert_array_equal(found.values, [[40, 40], [39, 39]])
    np.testing.assert_array_equal(found.mean(), [39.5, 39.5])
    found = curve_of(Series(None, "p", "s", "test accuracy (%)", {}, 3), histories, epochs=3)
    np.testing.assert_array_equal(found.values[0], [50, 51, 52])


def test_a_diverged_seed_leaves_the_mean_of_the_others_and_is_counted():
    found = curve([[10, np.nan], [20, 30]])
    np.testing.assert_array_equal(found.mean(), [15, 30])
    assert found.diverged() == 1
    assert np.isnan(curve([[10, np.nan]]).mean()[1])


def test_the_picture_has_both_sides_every_name_and_the_caption(tmp_path):
    ours = [curve([[50, 40], [52, 44]], series="Adam"), curve([[80, np.nan], [81, 79]], series="RMSprop")]
    report = [curve([[45, 30, 20]], series="Adam"), curve([[85, 80, 70]], series="RMSprop")]
    files = plotting.draw(tmp_path / "f", "A title", report, ours, "quick, 2 seeds", is_synthetic=False)
    assert [path.name for path in files] == ["f.png", "f.svg"]
    text = files[1].read_text()
    for expected in ("A title", "The report: p", "This reproduction: p", "train error (%)", "quick, 2 seeds",
                     "RMSprop (1 of 2 diverged)", "epoch, counted from 0"):  # fmt: skip
        assert expected in text, expected
    assert len(re.findall(">Adam<", text)) == 2
    assert "SYNTHETIC" not in text


def test_synthetic_results_are_marked_in_picture_and_table(tmp_path):
    files = plotting.draw(tmp_path / "f", "t", [curve([[1, 2]])], [curve([[1, 2]])], "c", is_synthetic=True)
    assert "SYNTHETIC DATA" in files[1].read_text()
    write_curves(tmp_path / "f.csv", [curve([[1, 2]])], is_synthetic=True)
    assert (tmp_path / "f.csv").read_text().splitlines()[1] == 'p,s,"train error (%), synthetic data",0,0,1.0000'


def test_a_series_that_diverged_at_once_is_still_named(tmp_path):
    ours = [curve([[np.nan, np.nan]], series="wild"), curve([[3, 2]], series="tame")]
    files = plotting.draw(tmp_path / "f", "t", ours[1:], ours, "c", is_synthetic=False)
    assert "wild (1 of 1 diverged)" in files[1].read_text()


def test_the_same_curves_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        plotting.draw(tmp_path / name, "t", [curve([[1, 2]])], [curve([[1, 2]])], "c", is_synthetic=False)
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6).map(sorted))
def test_names_stand_apart_and_inside_the_panel(heights):
    placed = plotting._spread(heights, 5.0, 0.0, 100.0)
    assert all(b - a > 5.0 - 1e-6 for a, b in itertools.pairwise(placed))
    assert placed[0] >= -1e-6
    assert placed[-1] <= 100 + 1e-6
