"""--json: one document, which docs/json.md explains, on standard output, and nothing else there."""

import json
import math
import re
from types import SimpleNamespace

import pytest

from figures import __main__ as command
from figures.baseline import BASELINE
from figures.sections import CLAIMS, FIGURES, runs_for
from figures.summaries import comparison_summary, plan_summary, write_summary
from reproduce.analysis.report_curves import report_curves
from reproduce.errors import Failure
from reproduce.plan import step_times
from reproduce.plan.plan import Plan
from reproduce.profiles import PROFILES, Options
from reproduce.study import Study
from reproduce.sweep.jobs import without_repeats
from tests.figures.test_claims import errors_as_claimed, seconds_as_claimed
from tests.figures.test_commands import arguments
from tests.helpers import made_up
from tests.helpers.processes import ROOT, run_python

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")


def parsed(text):
    """A JSON document as strict readers take it."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def names_in(value):
    """Every name in a document, at any depth."""
    if isinstance(value, dict):
        return {*value, *(name for item in value.values() for name in names_in(item))}
    return {name for item in value for name in names_in(item)} if isinstance(value, list) else set()


def is_documented(document):
    explained = set(re.findall(r"`(\w+)`", PAGE))
    return names_in(document) - explained == set()


def kept(folder, target):
    chosen = made_up.options(folder, seeds=2)
    for experiment in {job.key: job.experiment for job in runs_for(target, Study(chosen, made_up.DATASET))}.values():
        made_up.keep(folder, experiment, errors_as_claimed(experiment))


def test_compare_writes_one_document(tmp_path):
    kept(tmp_path, "figure-6")
    done = run_python("-m", "figures", "compare", *arguments(tmp_path), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = parsed(done.stdout)
    assert is_documented(found)
    assert (found["command"], found["profile"], found["data"]["is_synthetic"]) == ("compare", "smoke", True)
    # Figure 7 is drawn from the runs of figure 6.
    assert [one["figure"] for one in found["figures"]] == [6, 7]
    assert found["figures_not_trained"] == [2, 3, 4, 5, 8, 9, 10]
    (adam,) = (one for one in found["figures"][0]["series"] if (one["panel"], one["series"]) == ("max pooling", "Adam"))
    assert (adam["epoch"], adam["seeds"], adam["gap_points"]) == (3, 2, None)
    assert 0 < adam["ours_percent"] < 100
    assert {order["panel"] for order in found["figures"][0]["orders"]} == {"average pooling", "max pooling"}
    # Progress, tables and the notices about the data.
    assert "Figure 6. Pooling" in done.stderr
    assert done.stderr.count("*** SYNTHETIC DATA") == 2


def test_plan_writes_one_document(tmp_path):
    options = arguments(tmp_path, seeds=1)
    done = run_python("-m", "figures", "plan", "--target=figure-9", *options, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = parsed(done.stdout)
    assert is_documented(found)
    assert (found["target"], found["runs_wanted"], found["runs_trained"]) == ("figure-9", 2, 0)
    # One has 20 images an epoch and the other four times as many, for four epochs.
    assert found["train_images"] == 4 * (20 + 80)
    assert [one["figures"] for one in found["runs"]] == [["figure-9"]] * 2
    assert found["flop"] == pytest.approx(sum(one["epochs"] * one["flop_per_epoch"] for one in found["runs"]))
    assert found["seconds_one_at_a_time"] == pytest.approx(sum(one["seconds"] for one in found["runs"]))
    assert found["memory_bytes_of_largest_run"] > 0 and found["networks_timed"] == 1
    assert "runs to train     2" in done.stderr


def test_a_plan_of_the_claims_says_which_of_them_need_a_run():
    study = Study(Options("quick", data="synthetic"), made_up.DATASET)
    wanted = without_repeats(runs_for("claims", study))
    (shared,) = (job for job in wanted if job.key == study.experiment(BASELINE, 0).key)
    needing = {
        claim.id
        for claim in CLAIMS
        for comparison in claim.comparisons
        for series in comparison.series
        if study.experiment(series.settings, 0).key == shared.key
    }
    assert len(needing) > 1
    assert all(job.needed_by for job in wanted)
    plan = Plan([shared], [shared], {shared.key: 0}, {shared.key: 1.0}, 1, 1, 1, 0.0)
    (found,) = plan_summary(plan, "claims", study)["runs"]
    assert (found["figures"], found["claims"]) == ([], sorted(needing))
    (found,) = plan_summary(plan, "all-figures", study)["runs"]
    assert found["claims"] == []


def test_claims_writes_one_document_where_runs_failed_too(tmp_path, monkeypatch, capsys):
    kept(tmp_path, "claims")

    def fails(jobs, study):
        raise Failure("1 of 2 runs failed")

    monkeypatch.setattr(command, "train_missing", fails)
    monkeypatch.setattr(command, "take_stdout", lambda: (tmp_path / "claims.json").open("w"))
    monkeypatch.setattr(
        step_times, "measure", lambda needed, *_: made_up.times(made_up.options(tmp_path, seeds=2), seconds_as_claimed)
    )
    with pytest.raises(Failure):
        command.main(["claims", *arguments(tmp_path), "--json"])
    found = parsed((tmp_path / "claims.json").read_text())
    assert is_documented(found)
    claims = {one["id"]: one for one in found["claims"]}
    assert len(claims) == 24
    assert claims["table-2"]["p_corrected"] is None
    time = claims["augmentation-time"]
    assert time["verdict"] == "reproduced"
    (one,) = time["comparisons"]
    assert (one["unit"], one["claimed_low"], one["claimed_high"], one["is_weakest"]) == ("times", 1.0, None, True)
    assert one["low"] < one["effect"] < one["high"]
    assert one["report_effect"] is None
    capsys.readouterr()


@pytest.mark.parametrize("is_report_scale", [True, False])
def test_gaps_are_there_at_the_reports_scale_alone(is_report_scale):
    rows = {9: command.compare(FIGURES[9], [curve._replace(values=curve.values + 2) for curve in report_curves(9)])}
    study = SimpleNamespace(
        dataset=made_up.DATASET, scale=PROFILES["full"], options=Options("full"), is_report_scale=is_report_scale
    )
    series = comparison_summary(rows, FIGURES, study)["figures"][0]["series"]
    gaps = [one[name] for one in series for name in ("gap_points", "mean_absolute_gap_points")]
    assert gaps == (pytest.approx([2.0] * 4) if is_report_scale else [None] * 4)


def test_no_number_that_json_lacks_is_written(tmp_path):
    with (tmp_path / "x.json").open("w") as out:
        write_summary(out, {"a": math.nan, "b": [math.inf, (1.5, -math.inf)], "c": {"d": 2}})
    assert parsed((tmp_path / "x.json").read_text()) == {"a": None, "b": [None, [1.5, None]], "c": {"d": 2}}


def test_bad_input_writes_no_document(tmp_path):
    done = run_python("-m", "figures", "compare", "--json", "--data=nothing.hdf5", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
