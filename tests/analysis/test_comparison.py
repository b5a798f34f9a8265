import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reproduce.analysis.comparison import kendall_tau, last_values, orders
from reproduce.analysis.curves import Curve
from reproduce.render.comparison import COLUMNS, key_of, order_sentence, orders_sentence, table, write_comparison


def curve(series, values, quantity="train error (%)", panel="", first_epoch=0):
    values = np.atleast_2d(np.array(values, float))
    return Curve(panel, series, quantity, np.arange(first_epoch, first_epoch + values.shape[1]), values)


REPORT = [curve("a", [50, 40, 30]), curve("b", [60, 55, 50]), curve("c", [80, 75, 70])]


def test_gaps_at_the_last_common_epoch_and_over_all_of_them():
    ours = [curve("a", [[52, 43], [54, 45]]), curve("b", [[60, 55]] * 2), curve("c", [[90, 70]] * 2)]
    row = last_values(REPORT, ours)[0]
    assert (row.epoch, row.ours, row.report, row.gap) == (1, 44.0, 40.0, 4.0)
    assert row.mean_absolute_gap == pytest.approx((3 + 4) / 2)
    assert row.spread == 1.0
    assert last_values(REPORT, ours)[2].mean_absolute_gap == pytest.approx((10 + 5) / 2)


def test_the_gap_of_a_curve_goes_on_after_the_last_epoch_that_the_others_have():
    row = last_values(REPORT, [curve("a", [52, 43, 36]), curve("b", [60, 55]), curve("c", [90, 70])])[0]
    assert (row.epoch, row.gap) == (1, 3.0)
    assert row.mean_absolute_gap == pytest.approx((2 + 3 + 6) / 3)


def test_a_report_s_curve_that_starts_at_1_is_compared_at_its_own_epochs():
    report = [curve("a", [40, 30], first_epoch=1), curve("b", [50, 45], first_epoch=1)]
    ours = [curve("a", [99, 41, 32]), curve("b", [99, 50, 45])]
    row = last_values(report, ours)[0]
    assert (row.epoch, row.gap, row.mean_absolute_gap) == (2, 2.0, 1.5)


@pytest.mark.parametrize(
    ("ours", "tau"), [((30, 50, 70), 1.0), ((70, 50, 30), -1.0), ((50, 30, 70), 1 / 3), ((50, 50, 50), math.nan)]
)
def test_kendall_s_tau_between_the_orders(ours, tau):
    rows = last_values(REPORT, [curve(name, [0, 0, value]) for name, value in zip("abc", ours, strict=True)])
    assert rows[0].tau == pytest.approx(tau, nan_ok=True)


@given(st.lists(st.tuples(st.sampled_from([10.0, 20.5, 30.0, math.inf]), st.integers(0, 4)), min_size=2, max_size=6))
def test_kendall_s_tau_is_scipy_s(pairs):
    first, second = zip(*pairs, strict=True)
    expected = stats.kendalltau(stats.rankdata(first), stats.rankdata(second)).statistic
    assert kendall_tau(first, second) == pytest.approx(expected, nan_ok=True)


def test_accuracy_is_ranked_from_the_top():
    report = [curve("a", [90], "test accuracy (%)"), curve("b", [80], "test accuracy (%)")]
    rows = last_values(report, [curve("a", [70], "test accuracy (%)"), curve("b", [60], "test accuracy (%)")])
    assert [(row.our_rank, row.report_rank) for row in rows] == [(1, 1), (2, 2)]
    assert rows[0].tau == 1.0


def test_series_that_tie_share_a_rank_and_are_no_agreement():
    rows = last_values(REPORT, [curve("a", [0, 0, 50]), curve("b", [0, 0, 50]), curve("c", [0, 0, 60])])
    assert [row.our_rank for row in rows] == [1, 1, 3]
    assert rows[0].tau == pytest.approx(kendall_tau([30, 50, 70], [50, 50, 60])) == pytest.approx(math.sqrt(2 / 3))
    assert not orders(rows)[0].agrees


def test_a_series_of_which_all_seeds_diverged_comes_last():
    ours = [curve("a", [[50, np.nan, np.nan]] * 2), curve("b", [60, 55, 50]), curve("c", [80, 75, 70])]
    rows = last_values(REPORT, ours)
    assert [(row.series, row.our_rank, row.diverged) for row in rows] == [("a", 3, 2), ("b", 1, 0), ("c", 2, 0)]
    assert math.isnan(rows[0].gap)
    assert "2 of 2 seeds diverged" in table(rows, is_report_scale=True)


def test_reduced_scales_show_the_order_and_no_gap(tmp_path):
    rows = last_values(REPORT, [curve("a", [50, 43]), curve("b", [60, 55]), curve("c", [90, 70])])
    assert "gap" in table(rows, is_report_scale=True)
    assert "gap" not in table(rows, is_report_scale=False)
    path = tmp_path / "comparison.csv"
    for is_report_scale, gap in ((True, "3.0000"), (False, "")):
        write_comparison(path, [(2, row) for row in rows], "quick", "some data", False, is_report_scale)
        with path.open(newline="") as stream:
            found = list(csv.DictReader(stream))
        assert tuple(found[0]) == COLUMNS
        assert (found[0]["figure"], found[0]["gap"], found[0]["profile"]) == ("2", gap, "quick")
        assert found[0]["kendall_tau"] == "1.0000"


def test_synthetic_results_say_so(tmp_path):
    rows = last_values(REPORT, [curve("a", [50, 43]), curve("b", [60, 55]), curve("c", [90, 70])])
    write_comparison(tmp_path / "c.csv", [(2, row) for row in rows], "quick", "synthetic images", True, False)
    with (tmp_path / "c.csv").open(newline="") as stream:
        assert all("synthetic" in row["quantity"] and "synthetic" in row["data"] for row in csv.DictReader(stream))


def test_the_key_explains_what_the_table_has():
    rows = last_values(REPORT, [curve("a", [[50, 43], [52, 45]]), curve("b", [60, 55]), curve("c", [90, 70])])
    assert "±1.0" in table(rows, False) and "±: half the distance" in key_of(rows, False)
    assert "mean |gap|" not in key_of(rows, False) and "mean |gap|: " in key_of(rows, True)
    assert "tau: Kendall's" in key_of(rows, False)
    assert "±" not in key_of(rows[1:], True)


def test_the_order_in_words():
    rows = last_values(REPORT, [curve("a", [0, 0, 55]), curve("b", [0, 0, 50]), curve("c", [0, 0, 60])])
    expected = "another order than in the report at epoch 2, best first: b, a, c; the report: a, b, c"
    assert [order_sentence(order) for order in orders(rows)] == [expected]


def test_where_the_report_s_own_curves_are_tied_it_has_no_order():
    """Two runs of one setting are 0.4 points of train error apart in the report, and 3.2 of test error."""
    found = []
    for quantity in ("train error (%)", "test error (%)"):
        report = [curve("a", [50, 40, 30], quantity), curve("b", [50, 45, 32], quantity)]
        found += orders(last_values(report, [curve("a", [50, 40, 30], quantity), curve("b", [60, 55, 50], quantity)]))
    assert [(order.agrees, order.report_is_tied) for order in found] == [(True, False), (True, True)]
    close = "curves are too close for an order"
    assert [order_sentence(order).endswith(f"a, b; its {close} there") for order in found] == [False, True]
    of_one = "The series come in the report's order in 1 of the 1 panel where it has one."
    assert orders_sentence(found) == f"{of_one} In 1 panel the report's {close}; ours agree in 1."
    assert orders_sentence(found[:1]) == of_one
    assert orders_sentence(found[1:]) == f"In 1 panel the report's {close}; ours agree in 1."
    assert orders_sentence([]) == ""


def test_a_series_that_the_report_lacks_is_in_the_table_and_in_no_order():
    ours = [curve("a", [50, 40, 30]), curve("b", [60, 55, 50]), curve("own", [10, 10, 10])]
    rows = last_values(REPORT, ours)
    assert [(row.series, row.our_rank, row.report_rank) for row in rows] == [
        ("a", 1, 1),
        ("b", 2, 2),
        ("own", None, None),
    ]
    assert orders(rows)[0].ours == ("a", "b")
    assert math.isnan(rows[2].gap)
    assert "not in the report" in table(rows, is_report_scale=True).splitlines()[3]


def test_a_figure_without_any_report_curve_is_compared_without_ranks():
    rows = last_values([], [curve("own", [10, 10, 9]), curve("other", [10, 10, 8])])
    assert [row.ours for row in rows] == [9, 8]
    assert orders(rows) == []
