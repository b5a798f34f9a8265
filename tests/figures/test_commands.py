import csv
from pathlib import Path

import numpy as np
import pytest

from figures import __main__ as command
from figures import background, figure, sections
from figures.figure import run_time_sentence
from figures.page import content
from figures.sections import FIGURES
from reproduce.errors import BadInput, Failure
from reproduce.plan import step_times
from reproduce.profiles import Options
from reproduce.store import runs
from reproduce.study import Study
from tests.figures.test_claims import errors_as_claimed, seconds_as_claimed
from tests.helpers import made_up
from tests.helpers.made_up import DATASET
from tests.helpers.processes import drawn, run_python


def arguments(folder, **changes):
    given = {"profile": "smoke", "data": "synthetic", "train-size": 20, "test-size": 10, "batch-size": 10}
    given |= {"seeds": 2, "epochs": 4, "results": folder, **changes}
    return [f"--{name}={value}" for name, value in given.items()]


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A results store that 'training' fills with made-up runs; the sets of runs that were asked for."""
    asked = []

    def train_missing(jobs, study):
        asked.append(list(jobs))
        study.forget()
        for experiment in {job.experiment.key: job.experiment for job in asked[-1]}.values():
            made_up.keep(tmp_path, experiment, errors_as_claimed(experiment))

    monkeypatch.setattr(command, "train_missing", train_missing)
    monkeypatch.setattr(
        step_times, "measure", lambda needed, *_: made_up.times(made_up.options(tmp_path, seeds=2), seconds_as_claimed)
    )
    return asked


@pytest.fixture
def no_ink(monkeypatch):
    """Pictures that take no time to draw; the names of those drawn."""
    drawn = []

    def draw(picture, path):
        drawn.append(path.name)
        path.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(16))
        return [path.with_suffix(".png")]

    monkeypatch.setattr(figure, "save_picture", draw)
    monkeypatch.setattr(background, "save_picture", draw)
    return drawn


def test_a_figure_s_run_time_names_the_batch_that_was_timed(tmp_path):
    """As many images as there are, where a batch has more."""
    figure, path = FIGURES[3], tmp_path / "times.json"
    study = Study(Options("smoke", data="synthetic", train_size=20, test_size=10), DATASET)
    assert study.scale.batch_size > len(study.dataset.y_train) == 20
    assert run_time_sentence(figure, study, path) == ""
    slower, faster = np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 2.0])
    sides = {figure.timed["x1"][0]: slower, figure.timed["x1"][1]: faster}
    seconds = {study.experiment(one.settings, 0).key: sides[one.name] for one in figure.series}
    step_times.write_times(path, step_times.Times(seconds), study.dataset, -1, "chainer")
    assert run_time_sentence(figure, study, path) == (
        f"Time of a training step of 20 images, {' over '.join(sides)}, median and range of 3 rounds: "
        "x1 2.00 (1.50 to 2.00), x2 2.00 (1.50 to 2.00), x3 2.00 (1.50 to 2.00)."
    )


def test_all_figures_are_trained_in_one_go_and_drawn(tmp_path, trained, no_ink, capsys):
    command.main(["all", *arguments(tmp_path)])
    assert len(trained) == 1
    wanted = {job.experiment.key for one in FIGURES.values() for job in jobs_of(one, tmp_path)}
    assert {job.experiment.key for job in trained[0]} == wanted
    assert no_ink == [f"figure-{number}" for number in range(1, 11)]
    # No run stands behind figure 1: it lies where `make figure-1` puts it, whatever the data.
    assert (tmp_path / "smoke" / "figure-1.png").exists()
    for number in range(2, 11):
        assert (drawn(tmp_path) / f"figure-{number}.csv").stat().st_size > 100
    assert "Figure 10. Before and after tuning" in capsys.readouterr().out


def jobs_of(wanted, folder):
    return figure.jobs_of(wanted, Study(made_up.options(folder, seeds=2), DATASET))


def test_one_figure_that_fails_does_not_stop_the_others(tmp_path, trained, no_ink, monkeypatch, capsys):
    draw = figure.save_picture

    def fails_at_4(picture, path):
        if path.name == "figure-4":
            raise ValueError("no ink\nand more")
        return draw(picture, path)

    monkeypatch.setattr(figure, "save_picture", fails_at_4)
    monkeypatch.setattr(background, "make_figure_1", lambda options: 1 / 0)
    with pytest.raises(Failure, match=r"^2 of 10 figures could not be made, the others are: figure 1, figure 4$"):
        command.main(["all", *arguments(tmp_path)])
    said = capsys.readouterr().err
    assert "figure 4 could not be made: no ink\n" in said
    assert "in fails_at_4\n" in said
    assert (drawn(tmp_path) / "figure-10.png").exists()
    assert not (drawn(tmp_path) / "figure-4.png").exists()


def test_figures_whose_runs_failed_are_named_and_the_others_made(tmp_path, trained, no_ink, monkeypatch, capsys):
    fill = command.train_missing

    def two_runs_fail(jobs, *rest, **more):
        fill([job for job in jobs if job.experiment.filter_size != 7], *rest, **more)
        raise Failure("2 of 50 runs failed")

    monkeypatch.setattr(command, "train_missing", two_runs_fail)
    with pytest.raises(Failure, match="1 of 10 figures could not be made, the others are: figure 8"):
        command.main(["all", *arguments(tmp_path)])
    said = capsys.readouterr().err
    assert "figure 8 could not be made: 2 of its runs are missing" in said
    assert "Traceback" not in said


def test_claims_are_decided_printed_and_written(tmp_path, trained, capsys):
    command.main(["claims", *arguments(tmp_path, seeds=2)])
    printed = capsys.readouterr().out
    assert len(trained) == 1
    assert "others-max" in printed
    assert "SYNTHETIC DATA" in printed
    # Once, above the table.
    assert printed.count(DATASET.name) == 1
    with (drawn(tmp_path) / "claims.csv").open(newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert len(rows) == 24
    assert rows["augmentation-time"]["verdict"] == "reproduced"
    assert rows["table-2"]["repeats"] == "exact"
    assert (drawn(tmp_path) / "times.json").exists()


def test_claims_whose_runs_failed_are_not_tested_and_the_command_fails(tmp_path, trained, monkeypatch, capsys):
    fill = command.train_missing

    def adam_fails(jobs, *rest, **more):
        fill([job for job in jobs if job.experiment.optimizer != "Adam"], *rest, **more)
        raise Failure("runs failed")

    monkeypatch.setattr(command, "train_missing", adam_fails)
    with pytest.raises(Failure, match="runs failed"):
        command.main(["claims", *arguments(tmp_path)])
    with (drawn(tmp_path) / "claims.csv").open(newline="") as stream:
        verdicts = {row["id"]: row["verdict"] for row in csv.DictReader(stream)}
    assert verdicts["adam-best"] == "not tested"
    assert verdicts["dropout-train-error"] != "not tested"
    capsys.readouterr()


def test_compare_prints_every_figure_that_is_there(tmp_path, trained, no_ink, capsys):
    with pytest.raises(Failure, match="no figure has been trained"):
        command.main(["compare", *arguments(tmp_path)])
    command.main(["all", *arguments(tmp_path)])
    # Both seeds of figure 10's last curve, and one of figure 9's.
    for number, place in ((10, 1), (10, 3), (9, 3)):
        made_up.lose(tmp_path, jobs_of(FIGURES[number], tmp_path)[place].experiment)
    capsys.readouterr()
    command.main(["compare", *arguments(tmp_path)])
    printed = capsys.readouterr().out
    assert "Figure 2. Depth" in printed
    # Once above each figure's table; what its columns mean, once for all.
    assert printed.count(DATASET.name) == 8
    assert printed.count("±: half") == printed.count("tau: Kendall's") == 1
    assert "Figure 10 has not been trained with these settings: make figure-10 PROFILE=smoke" in printed
    assert "Figure 9 has 1 to 2 seeds a curve instead of 2; for all: make figure-9 PROFILE=smoke" in printed
    with (drawn(tmp_path) / "comparison.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["figure"] for row in rows} == {str(number) for number in range(2, 10)}
    seeds = {row["series"]: row["seeds"] for row in rows if row["figure"] == "9"}
    assert seeds == {"baseline": "2", "4x augmentation": "1"}
    assert {row["gap"] for row in rows} == {""}
    assert all("synthetic" in row["quantity"] for row in rows)


def test_runs_on_other_data_are_refused(tmp_path, trained, no_ink):
    command.main(["all", *arguments(tmp_path)])
    experiment = jobs_of(FIGURES[2], tmp_path)[0].experiment
    data = runs.examine(runs.run_folder(tmp_path, experiment), experiment).provenance["data"]
    made_up.keep(tmp_path, experiment, (30.0, 40.0), data={**data, "fingerprint": "0123456789abcdef"})
    # 'claims' would have the run made anew by our stand-in for training; tests/figures/test_claims.py has it.
    for name in ("compare", "report"):
        with pytest.raises(BadInput, match="0123456789abcdef"):
            command.main([name, *arguments(tmp_path)])


def test_the_report_is_written_from_what_is_there(tmp_path, trained, no_ink, capsys):
    command.main(["all", *arguments(tmp_path)])
    command.main(["report", *arguments(tmp_path)])
    assert "report: " in capsys.readouterr().out
    content = (drawn(tmp_path) / "report.html").read_text()
    assert "10 of 10" in content
    assert len(trained) == 1


def test_wrong_usage_is_one_line_and_exit_2(tmp_path):
    done = run_python("-m", "figures", "claim", cwd=tmp_path)
    assert done.returncode == 2
    names = "all, plan, claims, compare, own-run, publish, report or figure-1 to figure-10"
    expected = f"expected {names} (did you mean claims?); found 'claim'"
    assert done.stderr == f"python -m figures: {expected}\n"


@pytest.mark.parametrize("wrong", ["--sedes=2", "--seeds=0"])
def test_options_are_checked(wrong):
    with pytest.raises(BadInput, match=wrong.split("=")[0]):
        command.main(["claims", wrong])


def test_a_results_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="expected a folder"):
        command.main(["report", *arguments(Path(tmp_path / "file"))])


def test_the_whole_walk_on_tiny_networks(tmp_path, no_ink, monkeypatch, capsys):
    """Real training and timing, from claims to the page, for the claims of three networks and of one pair's times."""
    some = {"table-2", "dropout-train-error", "dropout-speed", "augmentation-time"}
    chosen = [claim for claim in sections.CLAIMS if claim.id in some]
    for module in (sections, command, content):
        monkeypatch.setattr(module, "CLAIMS", chosen)
    monkeypatch.setattr(step_times, "SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(step_times, "ROUNDS", 2)
    tiny = arguments(tmp_path, seeds=1, epochs=1)
    for name in ("claims", "compare", "report"):
        command.main([name, *tiny])
    page = (drawn(tmp_path) / "report.html").read_text()
    assert "2 of 10" in page
    assert "make figure-2 " in page
    assert "not tested" not in capsys.readouterr().out.replace("0 not tested", "")
