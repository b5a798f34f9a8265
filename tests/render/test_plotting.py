import itertools

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reproduce.analysis.curves import Curve, Series, curve_of
from reproduce.analysis.report_curves import report_curves
from reproduce.render import plotting
from reproduce.render.csv_files import write_curves
from reproduce.render.looks import BASELINE_LOOK, LOOKS, PNG_DOTS_PER_INCH, STYLE, fold, looks_of, text_width
from reproduce.store.history import EpochRecord
from tests.helpers.pictures import assert_readable, contrast_with_white, texts_of


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


def picture(report, ours, is_overlaid=False, **more):
    return plotting.curves_picture("A title", report, ours, ["Ours: quick, 2 seeds."], is_overlaid=is_overlaid, **more)


def words(figure):
    return [text.words for text in texts_of(figure)]


def lines_of(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour and len(line.get_xdata()) > 1]


def test_at_a_smaller_scale_the_report_stands_above_ours_in_axes_of_its_own():
    ours = [curve([[50, 40], [52, 44]], series="Adam"), curve([[80, np.nan], [81, 79]], series="RMSprop")]
    report = [curve([[45, 30, 20, 10, 5]], series="Adam"), curve([[85, 80, 70, 60, 60]], series="RMSprop")]
    figure = picture(report, ours)
    above, below = figure.axes
    assert above.get_position().y0 > below.get_position().y1
    assert words(figure).count("Adam") == 2
    for expected in ("A title", "The report", plotting.OURS, "p", "train error (%)", "epoch", "1 of 2 diverged"):
        assert expected in words(figure), expected
    assert "Ours: quick, 2 seeds." in words(figure)
    # Nothing is two thirds empty: in either axes the curves go over more than half of the width.
    for axes, last in ((above, 4), (below, 1)):
        low, high = axes.get_xlim()
        assert (last - low) / (high - low) > 0.6
        assert axes.get_ylim()[1] - axes.get_ylim()[0] < 100


def marks(figure):
    """By axes, the epoch of the upright line that says where the orders are compared; None without one."""
    upright = [
        {line.get_xdata()[0] for line in axes.lines if len({*line.get_xdata()}) == 1 and len(line.get_xdata()) == 2}
        for axes in figure.axes
    ]
    assert words(figure).count(plotting.COMPARED) == sum(map(bool, upright))
    return [found.pop() if found else None for found in upright]


def test_the_epoch_of_the_comparison_is_marked_where_curves_go_on_after_it():
    short, long = curve([[80, 60, 50]]), curve([[70, 50, 40, 30, 20, 10]])
    assert marks(picture([long], [short])) == [2, None]
    assert marks(picture([short], [long])) == [None, 2]
    assert marks(picture([long], [long])) == [None, None]
    # The shortest of the report's curves ends the comparison: the others go on.
    report = [long, curve([[90, 80, 70, 60, 50]], series="t")]
    assert marks(picture(report, [long, long._replace(series="t")])) == [4, 4]
    assert marks(picture([long], [short], is_overlaid=True)) == [None]


def test_both_halves_have_one_vertical_axis_where_ours_is_not_pressed_flat():
    def limits(report, ours):
        above, below = picture([curve([report])], [curve([ours])]).axes
        return above.get_ylim(), below.get_ylim()

    above, below = limits([80, 40, 10], [85, 50, 30])
    assert above == below and above[0] <= 10 and above[1] >= 85
    above, below = limits([80, 40, 10], [85, 80, 70])
    assert above != below and below[1] - below[0] < 25


def test_many_panels_stand_two_in_a_row_and_many_curves_in_higher_axes():
    ours = [curve([[50, 40]], panel=f"p{n}") for n in range(7)]
    ours += [curve([[50 - n, 40 - n]], panel="p6", series=f"s{n}") for n in range(4)]
    axes = picture(ours, ours, is_overlaid=True).axes
    assert len({round(one.get_position().x0, 6) for one in axes[:6]}) == 2
    heights = [one.get_position().height for one in axes]
    assert heights[6] > 1.3 * heights[0]


def test_at_the_report_s_scale_it_is_dashed_under_ours_and_the_gap_is_said():
    report, ours = curve([[45, 30, 20]], series="Adam"), curve([[50, 40, 30]], series="Adam")
    figure = picture([report], [ours], is_overlaid=True, notes={ours[:3]: "gap 8.3"})
    (axes,) = figure.axes
    drawn = lines_of(axes, LOOKS["Adam"].colour)
    theirs, mine = sorted(drawn, key=lambda line: line.get_ydata()[0])
    assert (theirs.is_dashed(), mine.is_dashed()) == (True, False)
    assert theirs.get_zorder() < mine.get_zorder()
    assert words(figure).count("Adam") == 1
    assert "gap 8.3" in words(figure)
    assert any(text.startswith("the report") for text in words(figure))


def test_a_series_that_the_report_lacks_is_in_ours_only_and_a_figure_that_it_lacks_stands_alone():
    ours = [curve([[50, 40]], series="Adam"), curve([[70, 60]], series="Lion")]
    figure = picture([curve([[45, 30]], series="Adam"), curve([[1, 2]], series="not ours")], ours)
    assert words(figure).count("Lion") == 1
    assert "not ours" not in words(figure)
    alone = picture([], ours)
    assert len(alone.axes) == 1
    assert not {"The report", plotting.OURS} & set(words(alone))
    # One panel of two that the report has.
    figure = picture([curve([[4, 3]])], [curve([[5, 4]]), curve([[5, 4]], panel="q")])
    assert len(figure.axes) == 3


def test_a_series_that_diverged_at_once_is_still_named():
    figure = picture([curve([[3, 2]])], [curve([[np.nan, np.nan]], series="wild"), curve([[3, 2]], series="tame")])
    assert "wild" in words(figure) and "1 of 1 diverged" in words(figure)
    assert_readable(picture([], [curve([[np.nan, np.nan]], series="wild")]))


def test_results_that_are_none_are_stamped_and_synthetic_tables_marked(tmp_path):
    def stamps(profile, is_synthetic):
        stamp = plotting.stamp_of(profile, is_synthetic)
        report, *ours = picture([curve([[1, 2]])], [curve([[1, 2]])], stamp=stamp).axes
        assert not [text for text in report.texts if text.get_rotation()]
        return " ".join(text.get_text() for axes in ours for text in axes.texts if text.get_rotation())

    assert stamps("quick", False) == ""
    assert stamps("smoke", False) == "smoke test: no result"
    assert stamps("quick", True) == "SYNTHETIC DATA\nnot CIFAR-10"
    assert stamps("smoke", True) == "SYNTHETIC DATA\nnot CIFAR-10\nsmoke test: no result"
    write_curves(tmp_path / "f.csv", [curve([[1, 2]])], is_synthetic=True)
    assert (tmp_path / "f.csv").read_text().splitlines()[1] == 'p,s,"train error (%), synthetic data",0,0,1.0000'


def test_the_same_curves_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        files = plotting.save_picture(picture([curve([[1, 2]])], [curve([[1, 2]])]), tmp_path / name)
        assert [path.suffix for path in files] == [".png", ".svg", ".pdf"]
    for suffix in (".png", ".svg", ".pdf"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    # Journals refuse Type 3 fonts.
    assert b"/Type0" in (tmp_path / "a.pdf").read_bytes() and b"/Type3" not in (tmp_path / "a.pdf").read_bytes()


@pytest.mark.parametrize(
    "name", [r"$\frac$", "$x_1$ 50% & more", "a_b^c {d} #1 ~ \\", "averylongnamewithoutaspace" * 3]
)
def test_names_are_printed_as_they_are(name, tmp_path):
    ours = [curve([[50, 40]], panel=name, series=name), curve([[5, 4]], panel=name, series="Adam")]
    figure = plotting.curves_picture(
        name, [ours[0]], ours, [name], is_overlaid=True, notes={ours[0][:3]: name}, stamp=name
    )
    assert_readable(figure)
    plotting.save_picture(figure, tmp_path / "f")
    if len(name) < 30:
        assert sum("".join(text.split()) == "".join(name.split()) for text in words(figure)) == 5


def test_a_caption_has_two_lines_of_whole_sentences():
    first, short, long = "Ours: " + "word " * 20 + "end.", "Short one.", "Too long " * 40 + "end."
    lines = plotting._caption_lines([first, long, "", short])
    assert len(lines) <= 2
    assert " ".join(lines) == f"{first} {short}"
    (*_, last) = plotting._caption_lines([long * 2])
    assert last.endswith("…")


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=80), st.floats(0.3, 3))
def test_folded_text_fits_and_loses_nothing(text, width):
    lines = fold(text, width, 8)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(text_width(line, 8) <= width * 1.02 or len(line) == 1 for line in lines)
    assert len(fold(text, width, 8, most=2)) <= 2


def test_a_word_that_is_too_long_is_broken_in_front_of_a_capital_where_it_has_one():
    assert fold("MomentumSGD", text_width("MomentumSG", 8), 8) == ["Momentum", "SGD"]
    assert fold("MomentumSGD", text_width("Moment", 8), 8)[0] == "Moment"
    assert fold("MOMENTUM", text_width("MOMEN", 8), 8)[0] == "MOMEN"


@given(st.lists(st.tuples(st.floats(-20, 120), st.floats(1, 20)), min_size=1, max_size=6))
def test_names_stand_apart_and_inside_the_panel(boxes):
    wanted, heights = sorted(place for place, _ in boxes), [height for _, height in boxes]
    middles = plotting.spread(wanted, heights, 120)
    edges = [(middle - height / 2, middle + height / 2) for middle, height in zip(middles, heights, strict=True)]
    assert edges[0][0] >= -1e-6 and edges[-1][1] <= 120 + 1e-6
    assert all(below[1] <= above[0] + 1e-6 for below, above in itertools.pairwise(edges))


def test_a_name_with_room_stands_at_its_curve_s_end():
    assert plotting.spread([10, 50, 90], [5, 5, 5], 100) == [10, 50, 90]
    assert plotting.spread([50, 50], [10, 10], 100) == [45, 55]


def test_each_look_is_one_thing_s_and_can_be_seen_and_read():
    distinct = {}
    for name, look in LOOKS.items():
        distinct.setdefault(look, []).append(name)
    shared = {look: names for look, names in distinct.items() if len(names) > 1}
    assert {*shared} == {BASELINE_LOOK, LOOKS["RMSprop"]}
    assert {"baseline", "before tuning", "MomentumSGD", "dropout 0.25"} <= {*shared[BASELINE_LOOK]}
    assert [look for look in distinct if look.colour == BASELINE_LOOK.colour] == [BASELINE_LOOK]
    for look in distinct:
        assert contrast_with_white(look.colour) >= 2.9, look
        assert contrast_with_white(look.text_colour) >= 4.5, look


def test_what_has_no_look_of_its_own_gets_one_that_the_picture_does_not_have():
    names = ["Adam", "RMSprop", *(f"own {i}" for i in range(20))]
    looks = looks_of(names)
    assert looks["Adam"] == LOOKS["Adam"]
    assert len({*looks.values()}) == len(names)
    assert len({looks[name].colour for name in names[:6]}) == 6


def test_a_png_has_few_colours_and_looks_the_same(tmp_path):
    ours = [curve(np.linspace(80, end, 16), series=f"s{end}") for end in range(10, 70, 10)]
    drawn = picture([], ours)
    (path,) = plotting.save_picture(drawn, tmp_path / "few", (".png",))
    many = tmp_path / "many.png"
    with matplotlib.rc_context(STYLE):
        drawn.savefig(many, dpi=PNG_DOTS_PER_INCH)
    with Image.open(path) as few, Image.open(many) as of_many:
        assert few.mode == "P"
        assert few.info["dpi"] == pytest.approx((PNG_DOTS_PER_INCH, PNG_DOTS_PER_INCH), abs=0.1)
        pixels = [np.asarray(one.convert("RGB"), int) for one in (few, of_many)]
    # Of 255 steps from black to white.
    assert abs(pixels[0] - pixels[1]).max() < 20
    assert path.stat().st_size < many.stat().st_size / 2
