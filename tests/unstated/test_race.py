import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from reproduce.__main__ import main
from reproduce.analysis.curves import QUANTITIES, Series
from reproduce.analysis.report_curves import report_curve, report_curves
from reproduce.errors import Failure
from reproduce.experiment import Experiment
from reproduce.profiles import Options
from reproduce.study import Study
from reproduce.unstated.answers import answers_text, infer_command, markdown, verdict, write_answers
from reproduce.unstated.candidates import QUESTIONS, Question
from reproduce.unstated.known import INFERRED, KNOWN
from reproduce.unstated.race import answers_of, gap_to, last_epoch, race, rungs
from tests.helpers import made_up
from tests.helpers.made_up import DATASET
from tests.helpers.processes import ROOT, drawn, run_python

CURVE = Series(2, "", "x3", "train error (%)")
QUESTION = Question("rate", "Which rate?", (CURVE,), {f"rate {r}": {"learning_rate": r} for r in (0.1, 0.2, 0.3, 0.4)})


def off_by(points):
    """A history of 20 epochs whose train error is the report's x3 plus `points`."""
    return made_up.history(train_errors=report_curve(CURVE).values[0] + points)


@pytest.fixture
def store(tmp_path):
    """A race's store, the epochs asked of each candidate, and a training that ends `distances` from the report."""
    asked = {}
    distances = {0.1: 1.0, 0.2: 1.1, 0.3: 4.0, 0.4: 30.0}

    def train(jobs):
        for job in jobs:
            rate = job.experiment.learning_rate
            asked[rate] = job.epochs
            made_up.keep_history(tmp_path, job.experiment, off_by(distances[rate])[: job.epochs])

    return tmp_path, asked, train


def study_of(folder, **changes):
    """A study that ends with the report's curves, unless its epochs are given."""
    sizes = {"train_size": 20, "test_size": 10, "batch_size": 10, "width": 0.0625, "seeds": 1}
    return Study(Options(profile="full", data="synthetic", results=str(folder), **{**sizes, **changes}), DATASET)


def held(questions, study, train):
    """A race in which training, as always, makes the study forget what it has read."""

    def train_and_forget(jobs):
        train(jobs)
        study.forget()

    return race(questions, study, train_and_forget)


def test_every_question_is_of_curves_that_the_report_has_and_of_different_networks():
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)
    for question in QUESTIONS:
        for one in question.curves:
            assert (one.panel, one.name, one.quantity) in [c[:3] for c in report_curves(one.figure)]
            assert one.quantity in QUANTITIES
            runs = {Experiment(**{**settings, **one.settings}).key for settings in question.candidates.values()}
            assert len(runs) == len(question.candidates) > 1


def test_the_rungs_double_and_end_with_the_curve():
    assert rungs(16) == [1, 2, 4, 8, 16]
    assert rungs(20) == [1, 2, 4, 8, 16, 20]
    assert rungs(1) == [1]


def test_candidates_that_are_ruled_out_are_stopped_early_and_the_nearest_goes_to_the_end(store):
    folder, asked, train = store
    (answer,) = held([QUESTION], study_of(folder), train)
    # Not stopped on the first epoch alone, in which a slow start says little.
    assert asked == {0.1: 20, 0.2: 20, 0.3: 2, 0.4: 2}
    assert [one.candidate for one in answer.standings] == ["rate 0.1", "rate 0.2", "rate 0.3", "rate 0.4"]
    assert [one.gap for one in answer.standings] == pytest.approx([1.0, 1.1, 4.0, 30.0])
    assert [one.has_retired for one in answer.standings] == [False, False, True, True]
    assert [one.compared for one in answer.standings] == [20, 20, 2, 2]
    # 1.0 and 1.1 points differ by less than the report's curves could be read.
    assert [one.candidate for one in answer.leaders] == ["rate 0.1", "rate 0.2"]
    assert verdict(answer).startswith("Not decided: rate 0.1 and rate 0.2")


def test_the_race_read_from_the_store_ends_as_it_did(store):
    folder, _, train = store
    raced = held([QUESTION], study_of(folder), train)
    assert answers_of([QUESTION], study_of(folder)) == raced


def test_a_race_over_three_seeds_is_read_over_three_though_a_first_seed_went_on_for_another_reason(tmp_path):
    """Of a candidate that was ruled out, and of the nearest one, which a figure needed for longer."""

    def train(jobs):
        for job in jobs:
            more = 5 if job.experiment.seed == 0 else 0
            off = made_up.history(
                train_errors=np.pad(report_curve(CURVE).values[0], (0, 5), "edge")
                + {0.1: 1.0}.get(job.experiment.learning_rate, 30.0)
            )
            made_up.keep_history(tmp_path, job.experiment, off[: job.epochs + more])

    raced = held([QUESTION], study_of(tmp_path, seeds=3), train)
    assert raced[0].seeds == 3
    assert answers_of([QUESTION], study_of(tmp_path, seeds=3)) == raced


def test_a_question_is_read_over_the_seeds_that_all_of_its_candidates_have(tmp_path):
    """A further seed of one candidate takes the others out no more than a seed that has just begun does."""

    def keep(rate, seed, epochs, points):
        experiment = study_of(tmp_path, seeds=2).experiment({**CURVE.settings, "learning_rate": rate}, seed)
        made_up.keep_history(tmp_path, experiment, off_by(points)[:epochs])

    def read(seeds=3):
        (answer,) = answers_of([QUESTION], study_of(tmp_path, seeds=seeds))
        return answer

    keep(0.1, 0, 20, 1.0)
    keep(0.2, 0, 20, 3.0)
    alone = read(seeds=1)
    keep(0.1, 1, 20, 5.0)
    assert read() == alone
    assert verdict(alone).endswith("One seed: another may say otherwise.")
    keep(0.2, 1, 1, 4.0)
    assert read() == alone
    keep(0.2, 1, 20, 4.0)
    both = read()
    assert both.seeds == 2
    assert [one.gap for one in both.standings[:2]] == pytest.approx([3.0, 3.5])
    files = write_answers(tmp_path / "smoke", [alone, both], study_of(tmp_path, seeds=3))
    with files[0].open() as stream:
        assert [row["seeds"] for row in csv.DictReader(stream)] == ["1"] * 4 + ["2"] * 4
    page = files[1].read_text()
    assert "batch size 10, 1 to 2 seeds;" in page
    assert [line.split("--seeds=")[1].split()[0] for line in page.splitlines() if "--seeds=" in line] == ["1", "2"]


def test_only_epochs_that_all_running_candidates_have_are_compared(store):
    folder, _, train = store
    (answer,) = held([QUESTION], study_of(folder, epochs=2), train)
    assert {one.compared for one in answer.standings} == {2}

    def only_the_first(jobs):
        train([job for job in jobs if job.experiment.learning_rate == 0.1])

    (answer,) = held([QUESTION], study_of(folder), only_the_first)
    first, second = answer.standings[:2]
    assert (first.trained, first.compared) == (4, 2)
    assert (second.trained, second.compared) == (2, 2)


def test_candidates_that_nobody_has_trained_take_no_part(store):
    folder, _, train = store

    def two(jobs):
        rates = {0.1: 13, 0.4: 2}
        train([job._replace(epochs=rates[r]) for job in jobs if (r := job.experiment.learning_rate) in rates])

    (answer,) = held([QUESTION], study_of(folder), two)
    by_name = {one.candidate: one for one in answer.standings}
    # The other one is out after two epochs: what is left is compared over all that it has.
    assert (by_name["rate 0.1"].compared, by_name["rate 0.1"].gap) == (13, pytest.approx(1.0))
    assert (by_name["rate 0.4"].trained, by_name["rate 0.4"].all_gaps) == (2, pytest.approx((30.0,)))
    assert by_name["rate 0.4"].has_retired
    assert by_name["rate 0.2"].trained == by_name["rate 0.2"].compared == 0
    assert verdict(answer).startswith("Nearest to the report, of the 2 candidates trained: rate 0.1, 1.0 points")
    assert "up to epoch 12 (the report's curves go on)" in verdict(answer)


def test_a_candidate_that_stands_alone_is_set_beside_the_report_and_decides_nothing(store):
    folder, _, train = store
    (answer,) = held([QUESTION], study_of(folder), lambda jobs: train([jobs[0]._replace(epochs=3)] if jobs else []))
    assert (answer.standings[0].compared, answer.standings[0].gap) == (3, pytest.approx(1.0))
    away = "1.0 points away on average up to epoch 2 (the report's curves go on). One seed: another may say otherwise."
    assert verdict(answer) == f"Not decided: only rate 0.1 has all of its runs, {away}"


@pytest.mark.parametrize("curve", [CURVE, Series(6, "max pooling", "MomentumSGD", "train error (%)")])
@pytest.mark.parametrize("diverging", [0, 1])
def test_a_candidate_with_a_seed_that_diverges_is_stopped_and_does_not_stop_the_others(curve, diverging, tmp_path):
    """Also in its first epoch, and where the report's own first epoch is lost."""

    def train(jobs):
        for job in jobs:
            errors = np.concatenate([[60.0], report_curve(curve).values[0] + 1])[-(last_epoch(question) + 1) :]
            if job.experiment.learning_rate == 0.1 and job.experiment.seed == 1:
                errors[diverging] = np.nan
            made_up.keep_history(tmp_path, job.experiment, made_up.history(errors)[: job.epochs])

    question = replace(QUESTION, curves=(curve,))
    (answer,) = held([question], study_of(tmp_path, seeds=2), train)
    last = answer.standings[-1]
    assert last.candidate == "rate 0.1"
    assert last.has_retired
    assert math.isinf(last.gap)
    assert [one.gap for one in answer.standings[:-1]] == pytest.approx([1.0] * 3)
    assert "diverged" in answers_text([answer], study_of(tmp_path, seeds=2))


def test_where_every_candidate_diverges_it_says_so(tmp_path):
    def train(jobs):
        for job in jobs:
            made_up.keep_history(tmp_path, job.experiment, off_by(np.nan)[: job.epochs])

    (answer,) = held([QUESTION], study_of(tmp_path), train)
    assert verdict(answer) == "Not answered: every candidate diverged."


def test_where_the_nearest_diverges_after_the_others_were_ruled_out_it_says_so(tmp_path):
    def train(jobs):
        for job in jobs:
            errors = report_curve(CURVE).values[0] + (1.0 if job.experiment.learning_rate == 0.1 else 30.0)
            errors[5:] = np.nan
            made_up.keep_history(tmp_path, job.experiment, made_up.history(errors)[: job.epochs])

    (answer,) = held([QUESTION], study_of(tmp_path), train)
    assert verdict(answer) == "Not answered: every candidate diverged or was ruled out before."


def test_each_seed_and_curve_has_its_own_run(tmp_path):
    """Two curves and two seeds: four runs of each candidate, each with a distance of its own."""
    question = next(question for question in QUESTIONS if question.name == "depth")
    points = {(True, 0): 1.0, (True, 1): 3.0, (False, 0): -5.0, (False, 1): -6.0}

    def train(jobs):
        for job in jobs:
            e = job.experiment
            curve = question.curves[0 if e.batch_normalization else 1]
            more = 20.0 if e.optimizer == "Adam" else 0.0
            errors = report_curve(curve).values[0] + points[e.batch_normalization, e.seed] + more
            made_up.keep_history(tmp_path, e, made_up.history(errors)[: job.epochs])

    (answer,) = held([question], study_of(tmp_path, seeds=2), train)
    assert len(list((tmp_path / "runs").iterdir())) == 4 * len(question.candidates)
    assert answer.standings[0].gaps == pytest.approx((2.0, 5.5))
    assert next(one for one in answer.standings if one.candidate == "Adam").gaps == pytest.approx((22.0, 14.5))


def test_a_run_that_fails_does_not_stop_the_other_questions(tmp_path, monkeypatch, capsys):
    def train_missing(jobs, study):
        for job in jobs:
            if job.experiment.learning_rate != 0.01:
                made_up.keep_history(tmp_path, job.experiment, off_by(1.0)[: job.epochs])
        study.forget()
        raise Failure("1 of 2 runs failed, the others are kept: no memory")

    monkeypatch.setattr("reproduce.unstated.race.train_missing", train_missing)
    arguments = ["infer", "--question", "rmsprop", "adam-dropout", "--profile=smoke", "--data=synthetic", "--seeds=1"]
    arguments += ["--train-size=20", "--test-size=10", "--batch-size=10", "--epochs=4", f"--results={tmp_path}"]
    with pytest.raises(Failure, match="no memory"):
        main(arguments)
    printed = capsys.readouterr().out
    assert "Not decided: only rate 0.001 has all of its runs" in printed
    assert "up to epoch 3" in printed
    assert (drawn(tmp_path) / "settings.csv").exists()


def test_nothing_is_answered_where_nothing_is_trained(tmp_path):
    for answer in race(QUESTIONS, study_of(tmp_path)):
        assert answer.leaders == ()
        assert verdict(answer).startswith("Not answered")


def test_the_gap_is_taken_at_common_epochs_only():
    report = report_curve(Series(6, "max pooling", "Adam", "train error (%)"))
    assert report.epochs[0] == 1
    ours = report._replace(epochs=np.arange(4), values=np.concatenate([[[99.0]], report.values[:, :3] - 2], axis=1))
    assert gap_to(report, ours, 4) == pytest.approx(2)
    assert gap_to(report, ours, 2) == pytest.approx(2)
    assert math.isnan(gap_to(report, ours, 1))


def test_the_commands_are_for_any_machine():
    options = Options(profile="full", data="/home/somebody/my data.hdf5", seeds=1, results="/elsewhere", jobs=2)
    expected = ".venv/bin/python -m reproduce infer --question depth --data='my data.hdf5' --seeds=1"
    assert infer_command("depth", options, 1) == expected
    assert infer_command("depth", options, 2) == expected.replace("seeds=1", "seeds=2")


def test_where_the_report_s_first_epoch_is_lost_nothing_is_decided_on_it(tmp_path):
    question = replace(QUESTION, curves=(Series(6, "max pooling", "MomentumSGD", "train error (%)"),))

    def train(jobs):
        for job in jobs:
            made_up.keep_history(tmp_path, job.experiment, off_by(job.experiment.learning_rate * 100)[: job.epochs])

    (answer,) = held([question], study_of(tmp_path, epochs=1), train)
    assert not any(one.has_retired or one.compared for one in answer.standings)
    # A single epoch ranks, and stops nobody.
    (answer,) = held([question], study_of(tmp_path, epochs=2), train)
    assert not any(one.has_retired for one in answer.standings)
    assert {one.compared for one in answer.standings} == {2}
    (answer,) = held([question], study_of(tmp_path, epochs=4), train)
    assert any(one.has_retired for one in answer.standings)


def test_the_files_say_what_was_found_and_on_which_data(store):
    folder, _, train = store
    options = replace(made_up.options(folder, seeds=1), epochs=20)
    study = Study(options, DATASET)
    held([QUESTION], study, train)
    files = write_answers(folder / "smoke", race([QUESTION, QUESTIONS[0]], study), study)
    assert [path.name for path in files] == [f"settings.{suffix}" for suffix in ("csv", "md", "png", "svg", "pdf")]
    with files[0].open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["candidate"] for row in rows[:4]] == ["rate 0.1", "rate 0.2", "rate 0.3", "rate 0.4"]
    assert [row["standing"] for row in rows[:4]] == ["among the nearest"] * 2 + ["ruled out at epoch 1"] * 2
    assert float(rows[3]["gap"]) == pytest.approx(30)
    assert all("synthetic" in row["quantity"] for row in rows)
    assert {row["standing"] for row in rows[4:]} == {"not trained"}
    page = files[1].read_text()
    assert "SYNTHETIC DATA" in page
    assert "Which rate?" in page
    assert "30.0" in page
    assert "infer --question baseline" in page


def test_the_page_says_what_to_do_without_its_data(tmp_path):
    options = Options(profile="full", data="/home/somebody/mine.hdf5", seeds=1, results=str(tmp_path))

    def page(name):
        return markdown([], Study(options, replace(DATASET, name=name, is_synthetic=False)), "an engine", "")

    assert "`mine.hdf5` is not published. Leave `DATA=…` (`--data=…`) out to run the same" in page("My images")
    assert "is not published" not in page("CIFAR-10")


def test_the_command_trains_ranks_and_goes_on(tmp_path, capsys):
    arguments = ["infer", "--question", "rmsprop", "--profile=smoke", "--data=synthetic", "--seeds=1", "--width=0.03"]
    arguments += ["--train-size=100", "--test-size=50", "--epochs=2", f"--results={tmp_path}"]
    main(arguments)
    printed = capsys.readouterr().out
    assert "rate 0.001" in printed
    assert "synthetic images (not CIFAR-10)" in printed
    before = {path: path.read_bytes() for path in drawn(tmp_path).iterdir()}
    assert len(before) == 5
    main(arguments)
    assert "2 runs wanted, 2 already trained" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in drawn(tmp_path).iterdir()} == before
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_question_that_is_not_there_is_refused():
    found = run_python("-m", "reproduce", "infer", "--question", "rmsprob", cwd=ROOT)
    assert found.returncode == 2
    assert "did you mean rmsprop" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_what_is_called_inferred_was_chosen_among_published_candidates():
    with (ROOT / "docs" / "results" / "full" / "settings.csv").open(newline="") as stream:
        compared = {(row["question"], row["candidate"]) for row in csv.DictReader(stream) if row["mean_gap"]}
    for known in KNOWN:
        if known.kind == INFERRED:
            assert sum(question == known.source for question, _ in compared) > 1, known
