import csv
import itertools
import json
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figures.figure import made_from
from figures.nearness import nearness_picture, overlay_picture, pairs_of, trained_in_words, write_nearness
from figures.publish import exchange, headline
from figures.publish import folder as publication
from figures.publish.runs import restore_runs
from figures.sections import CLAIMS, FIGURES
from reproduce import study
from reproduce.analysis.curves import is_accuracy, part_of
from reproduce.analysis.report_curves import report_curves
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.files import csv_bytes
from reproduce.pattern import THREE_BLOCKS
from reproduce.plan import step_times
from reproduce.profiles import Options
from reproduce.render import html
from reproduce.study import Study
from reproduce.sweep.jobs import Job
from reproduce.unstated.candidates import QUESTIONS
from reproduce.unstated.race import last_epoch, race, settings_of
from tests.figures.test_claims import errors_as_claimed, seconds_as_claimed
from tests.helpers import made_up
from tests.helpers.made_up import DATASET
from tests.helpers.pictures import assert_names_lie_clear, assert_readable, texts_of
from tests.helpers.processes import ROOT, child_environment, run_python

REAL = replace(DATASET, name="CIFAR-10 | made up", is_synthetic=False)
PUBLISHED = sorted(path.parent.name for path in (ROOT / "docs/results").glob("*/runs.csv"))


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A results store of made-up runs that calls itself CIFAR-10, published; the options, and where."""
    folder = tmp_path_factory.mktemp("published")
    options = replace(made_up.options(folder / "results", seeds=2), data="/home/somebody/my data.hdf5")
    made_up.fill(options, errors_as_claimed, REAL)
    times = Study(options, REAL).folder / "times.json"
    times.parent.mkdir()
    step_times.write_times(times, made_up.times(options, seconds_as_claimed), REAL, -1, "chainer")
    publication.publish(folder / "docs" / "quick", Study(options, REAL))
    return options, folder / "docs" / "quick"


def test_everything_that_was_made_is_published(published):
    _, out = published
    for number in range(1, 11):
        assert (out / f"figure-{number}.png").stat().st_size > 10_000
        assert (out / f"figure-{number}.csv").exists()
    for name in ("report.html", "claims.csv", "comparison.csv", "tables/table-2.csv", "runs.csv", "histories.csv"):
        assert (out / name).exists(), name
    # Its tables are on the page: no pictures of them.
    assert {path.suffix for path in (out / "tables").iterdir()} == {".csv", ".md", ".tex"}
    page = (out / "report.html").read_text()
    assert re.findall(r'<img src="([^"]*)"', page) == [f"figure-{number}.png" for number in range(1, 11)]
    # A settings page is of the report's scale only.
    assert "settings" not in re.findall(r'<section id="([^"]*)"', page)
    assert not (out / "settings.csv").exists()
    assert not (out / "missing.csv").exists()
    assert len(rows(out / "claims.csv")) == len(CLAIMS)


def test_every_run_is_there_with_its_settings_and_where_it_is_from(published):
    options, out = published
    wanted = {job.key for jobs in publication.targets(Study(options, REAL), []).values() for job in jobs}
    runs, epochs = rows(out / "runs.csv"), rows(out / "histories.csv")
    assert {row["key"] for row in runs} == {row["key"] for row in epochs} == wanted
    assert all(
        row["engine"] == "chainer" and row["data"] == REAL.name and "chainer 7.8.1" in row["packages"] for row in runs
    )
    of_figure_6 = [row for row in runs if "figure-6" in row["used_by"].split()]
    assert len({row["settings"] for row in of_figure_6}) == 2 * len({s.name + s.panel for s in FIGURES[6].series})
    assert "--optimizer=RMSprop" in "".join(row["settings"] for row in of_figure_6)
    assert float(epochs[0]["train_accuracy"]) == pytest.approx(10, abs=90)


def test_no_path_of_this_machine_is_published(published):
    options, out = published
    for path in out.rglob("*"):
        if path.suffix in (".csv", ".json", ".md", ".html"):
            text = path.read_text(encoding="utf-8")
            assert options.results not in text, path
            assert "/home/somebody" not in text, path
    assert "DATA='my data.hdf5'" in json.loads((out / "summary.json").read_text())["command"]


def test_what_an_earlier_publication_had_does_not_stay_and_the_user_s_own_files_do(published, tmp_path):
    options, out = published
    again = tmp_path / "out"
    shutil.copytree(out, again)
    for name in ("figure-11.png", "figure-12.png"):
        (again / name).write_text("mine")
    listed = json.loads((again / "manifest.json").read_text())
    (again / "manifest.json").write_text(json.dumps([*listed, "figure-11.png"]))
    publication.publish(again, Study(options, REAL))
    assert not (again / "figure-11.png").exists()
    assert (again / "figure-12.png").read_text() == "mine"
    assert (again / "figure-6.png").read_bytes() == (out / "figure-6.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]


def test_a_user_s_file_under_the_name_of_one_of_ours_is_not_overwritten(published, tmp_path):
    options, _ = published
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "figure-6.png").write_text("mine")
    with pytest.raises(BadInput, match=r"figure-6\.png: expected a file that `publish` wrote, or none"):
        publication.publish(tmp_path / "out", Study(options, REAL))
    assert (tmp_path / "out" / "figure-6.png").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]


@pytest.mark.parametrize("changes", [{"width": 0.25}, {"epochs": 3}, {"batch_size": 5}])
def test_results_of_other_sizes_are_not_published_over_these(published, tmp_path, changes):
    options, out = published
    shutil.copytree(out, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    with pytest.raises(BadInput, match=f"published there is {next(iter(changes)).replace('_', ' ')}"):
        publication.publish(tmp_path / "out", Study(replace(options, **changes), REAL))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()} == before


def test_fewer_seeds_are_not_published_over_more(published, tmp_path):
    options, out = published
    shutil.copytree(out, tmp_path / "out")
    with pytest.raises(BadInput, match=r"the runs of 2 seeds; found SEEDS=1, .*; SEEDS=2 keeps them all"):
        publication.publish(tmp_path / "out", Study(replace(options, seeds=1), REAL))
    assert (tmp_path / "out" / "runs.csv").read_bytes() == (out / "runs.csv").read_bytes()


@pytest.mark.parametrize("moment", ["filling", "moved aside", "new in place"])
def test_a_publication_that_is_killed_leaves_a_whole_one(tmp_path, moment):
    """A real process, killed while it fills the new folder, and between and after the two renames."""
    out = tmp_path / "out"
    with exchange.replacing(out) as new:
        (new / "runs.csv").write_text("old")
    (out / "notes.txt").write_text("mine")
    code = (
        "import os, signal, sys; from pathlib import Path; from figures.publish import exchange\n"
        "moment, renames, rename = sys.argv[2], [], Path.rename\n"
        "def counted(self, target):\n"
        "    result = rename(self, target); renames.append(1)\n"
        "    is_now = (moment, len(renames)) in (('moved aside', 1), ('new in place', 2))\n"
        "    if is_now: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return result\n"
        "Path.rename = counted\n"
        "with exchange.replacing(Path(sys.argv[1])) as new:\n"
        "    (new / 'runs.csv').write_text('new')\n"
        "    if moment == 'filling': os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_python("-c", code, out, moment, cwd=tmp_path).returncode == -9
    assert not out.exists() or (out / "runs.csv").read_text() == ("new" if moment == "new in place" else "old")
    with exchange.replacing(out) as new:
        (new / "claims.csv").write_text("newest")
    assert sorted(path.name for path in out.iterdir()) == ["claims.csv", "manifest.json", "notes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]


def test_of_two_that_publish_at_once_the_second_waits(tmp_path):
    out = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from figures.publish import exchange\n"
        "with exchange.replacing(Path(sys.argv[1])) as new:\n"
        "    (new / 'second.csv').write_text((Path(sys.argv[1]) / 'first.csv').read_text())\n"
    )
    with exchange.replacing(out) as new:
        second = subprocess.Popen(
            [sys.executable, "-c", code, out], env=child_environment(), stdout=subprocess.PIPE, text=True
        )
        assert second.stdout.readline() == f"waiting for another command, which publishes into {out}\n"
        (new / "first.csv").write_text("of the first")
    assert second.wait(60) == 0
    assert (out / "second.csv").read_text() == "of the first"
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "second.csv"]


def test_only_what_a_killed_publication_of_this_folder_left_is_removed(tmp_path):
    left = [".[ab].new-0123456789ab", ".[ab].old-0123456789ab"]
    others = [".[ab].new-ideas", ".[ab].old-2016", ".a.new-0123456789ab", ".a.old-0123456789ab"]
    for name in left + others:
        (tmp_path / name).mkdir()
    with exchange.replacing(tmp_path / "[ab]"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".[ab].lock", "[ab]", *others])


def test_a_link_to_a_folder_stays_a_link_whenever_it_is_published_into(tmp_path):
    (tmp_path / "other disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "other disk")
    for text in ("first", "second"):
        with exchange.replacing(tmp_path / "out") as new:
            (new / "runs.csv").write_text(text)
        assert (tmp_path / "other disk" / "runs.csv").read_text() == text
    assert (tmp_path / "out").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other disk.lock", "other disk", "out"]


def test_an_error_without_a_reason_of_the_system_is_said_in_its_own_words(tmp_path):
    """As Python's where what a killed publication left is a link."""
    (tmp_path / "out").mkdir()
    (tmp_path / ".out.old-0123456789ab").symlink_to(tmp_path)
    with (
        pytest.raises(BadInput, match="expected a folder that can be written to: Cannot call rmtree on a symbolic"),
        exchange.replacing(tmp_path / "out"),
    ):
        pass


def test_what_is_missing_is_listed_with_its_command_and_time(tmp_path):
    options = made_up.options(tmp_path / "results", seeds=1)
    made_up.fill(options, errors_as_claimed, REAL)
    for job in made_up.jobs(options, REAL):
        if job.experiment.augmentation == "report" and (Path(options.results) / "runs" / job.key).exists():
            made_up.lose(Path(options.results), job.experiment)
    publication.publish(tmp_path / "out", Study(options, REAL))
    missing = rows(tmp_path / "out" / "missing.csv")
    assert {"figure-9", "figure-10", "claims"} == {row["target"] for row in missing}
    figure_9 = next(row for row in missing if row["target"] == "figure-9")
    assert (figure_9["runs_wanted"], figure_9["runs_missing"]) == ("2", "1")
    assert figure_9["command"].startswith("make figure-9 PROFILE=smoke")
    assert not (tmp_path / "out" / "figure-9.png").exists()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["runs_missing"] == 2


def test_at_the_report_s_scale_the_candidates_are_published_too(tmp_path, monkeypatch):
    options = made_up.options(tmp_path / "results", seeds=1)
    as_large_as_the_report = {"full": replace(options.scale(), epochs=None)}
    monkeypatch.setattr(study, "PROFILES", as_large_as_the_report)
    # Nothing is trained: every candidate is wanted to its end.
    wanted = publication.targets(Study(options, REAL), race(QUESTIONS, Study(options, REAL)))
    assert all(job.epochs == 4 for name, jobs in wanted.items() if name.startswith("infer ") for job in jobs)
    for job in itertools.chain.from_iterable(wanted.values()):
        if job.experiment.blocks == THREE_BLOCKS and job.experiment.optimizer == "RMSprop":
            made_up.keep_history(tmp_path / "results", job.experiment, made_up.history([1.0, 1.0]), REAL)
        else:
            made_up.keep(tmp_path / "results", job.experiment, errors_as_claimed(job.experiment), REAL)
    docs = tmp_path / "docs"
    publication.publish(docs / "results" / "full", Study(options, REAL), docs / "settings.md")
    settings = rows(docs / "results" / "full" / "settings.csv")
    assert {row["question"] for row in settings} == {question.name for question in QUESTIONS}
    assert {row["epochs_trained"] for row in settings} == {"4", "2"}
    # Another machine trained one more seed of one candidate: it is published, and nothing more is wanted for it.
    question, options = next(one for one in QUESTIONS if one.name == "rmsprop"), replace(options, seeds=2)
    further = Study(options, REAL).experiment(settings_of("rate 0.001", question, question.curves[0]), 1)
    made_up.keep(tmp_path / "results", further, errors_as_claimed(further), REAL)
    publication.publish(tmp_path / "two" / "full", Study(options, REAL))
    assert further.key in {row["key"] for row in rows(tmp_path / "two" / "full" / "runs.csv")}
    lacking = {row["target"] for row in rows(tmp_path / "two" / "full" / "missing.csv")}
    assert not any(target.startswith("infer ") for target in lacking)
    # Candidates that were stopped on the way are not missing.
    assert any(row["standing"].startswith("ruled out at epoch ") for row in settings)
    assert not (docs / "results" / "full" / "missing.csv").exists()
    assert json.loads((docs / "results" / "full" / "summary.json").read_text())["runs_missing"] == 0
    assert not (docs / "results" / "full" / "settings.md").exists()
    assert "](results/full/settings.png)" in (docs / "settings.md").read_text()
    assert (docs / "results" / "full" / "settings.png").exists()
    assert float(rows(docs / "results" / "full" / "comparison.csv")[0]["gap"])
    # No run has half of the epochs of the report's curves.
    near = rows(docs / "results" / "full" / "nearness.csv")
    assert len(near) == sum(len(report_curves(number)) for number in FIGURES)
    assert {row["epochs_compared"] for row in near} == {"3", "4"}
    assert "No run has half of the epochs" in headline.headline(docs / "results")
    assert not (docs / "results" / "full" / "nearness.png").exists()
    page = (docs / "results" / "full" / "report.html").read_text()
    assert "No run has half of the epochs" in page
    assert '<img src="settings.png"' in page
    assert 'href="../../errata.md"' in page
    assert all(html.text(question.asks) in page for question in QUESTIONS)


def test_the_report_s_points_are_counted_in_the_interval_of_a_further_run(tmp_path, monkeypatch):
    """Three seeds 1 point apart: 95 % reach 4.3 x sqrt(4 / 3) = 4.97 points to either side of their mean."""
    options = made_up.options(tmp_path / "results", seeds=3)
    monkeypatch.setattr(study, "PROFILES", {"full": replace(options.scale(), epochs=None)})
    report = next(curve for curve in report_curves(4) if curve.series == "dropout 0.4")
    errors = np.interp(np.arange(report.epochs[-1] + 1), report.epochs, report.mean()) + 4.9
    errors[:3] += 0.2
    inside = sum(report.epochs >= 3)
    settings = FIGURES[4].curve("", "dropout 0.4").settings
    for seed in range(3):
        experiment = Study(options, REAL).experiment(settings, seed)
        made_up.keep_history(tmp_path / "results", experiment, made_up.history(errors + seed - 1), REAL)
    out = tmp_path / "docs" / "full"
    publication.publish(out, Study(options, REAL), tmp_path / "settings.md")
    found = {row["series"]: row for row in rows(out / "nearness.csv") if row["figure"] == "4"}
    assert found["dropout 0.4"]["in_prediction_interval"] == str(inside) != str(len(report.epochs))
    assert found["dropout 0.3"]["in_prediction_interval"] == ""
    # A seed that has just begun does not cut the curve of those that are further.
    fourth = Study(replace(options, seeds=4), REAL)
    made_up.keep_history(tmp_path / "results", fourth.experiment(settings, 3), made_up.history(errors[:2]), REAL)
    (pair,) = (one for one in pairs_of(fourth) if one.series == FIGURES[4].curve("", "dropout 0.4"))
    assert (len(pair.ours.values), len(pair.common)) == (3, len(report.epochs))
    # Nor does a first seed that went on after the end of the report's curve leave the others out.
    longer = made_up.history([*errors, 5.0, 4.0])
    made_up.keep_history(tmp_path / "results", fourth.experiment(settings, 0), longer, REAL)
    (pair,) = (one for one in pairs_of(Study(options, REAL)) if one.series == FIGURES[4].curve("", "dropout 0.4"))
    assert (len(pair.ours.values), len(pair.common)) == (3, len(report.epochs))
    row = re.search(r"\| figure 4, dropout 0.4 .*", headline.nearness_table(out.parent))[0]
    assert f"| {inside} of {len(report.epochs)} |" in row
    assert f">{inside} of {len(report.epochs)}<" in (out / "report.html").read_text()
    # README counts none of a run by whose curves a setting was chosen.
    near = [row for row in rows(out / "nearness.csv") if row["in_prediction_interval"] and row["chosen_on"] == "no"]
    said = r"Where at least 3 seeds are trained \((\d+) curves? of \d+ networks?\), \d+ of the report's \d+ points lie "
    found = re.search(said, headline.headline(out.parent))
    assert (int(found[1]) if found else 0) == len(near)


def test_a_network_whose_second_seed_comes_to_the_end_of_some_of_its_curves_is_one_network(tmp_path, monkeypatch):
    """The baseline's: figures 6, 7 and 9 end before figures 5 and 10."""
    options = made_up.options(tmp_path, seeds=2)
    monkeypatch.setattr(study, "PROFILES", {"full": replace(options.scale(), epochs=None)})
    works = Study(options, REAL)
    for seed, epochs in enumerate((21, 16)):
        experiment = works.experiment(FIGURES[9].curve("", "baseline").settings, seed)
        made_up.keep_history(tmp_path, experiment, made_up.history([50.0] * epochs), REAL)
    write_nearness(tmp_path / "nearness.csv", pairs_of(works), works)
    assert {row["seeds"] for row in rows(tmp_path / "nearness.csv") if row["runs"].count(" ") == 1} == {"2"}
    assert "they come from 1 network (2 runs), and 0 of these" in headline._near_in_words(tmp_path)


def test_curves_at_the_report_s_scale_are_compared_with_the_report_s_own(tmp_path, monkeypatch):
    options = made_up.options(tmp_path / "results", seeds=1)
    monkeypatch.setattr(study, "PROFILES", {"full": replace(options.scale(), epochs=None)})
    # Ours are the report's curves of figure 6, one of them not to half of its end, and all of them two points off.
    for report in report_curves(6):
        ours = next(s for s in FIGURES[6].series if (s.panel, s.name) == report[:2])
        length = 8 if report[:2] == ("average pooling", "Adam") else 20
        errors = np.interp(np.arange(length), report.epochs, report.mean()) + 2
        experiment = Study(options, REAL).experiment(ours.settings, 0)
        made_up.keep_history(tmp_path / "results", experiment, made_up.history(errors), REAL)
    out, page = tmp_path / "docs" / "full", tmp_path / "settings.md"
    publication.publish(out, Study(options, REAL), page)
    assert "## RMSprop in figures 6 and 7" in page.read_text()
    of_6 = [row for row in rows(out / "nearness.csv") if row["figure"] == "6"]
    assert {row["mean_absolute_gap"] for row in of_6} == {"2.0000"}
    assert [row["epochs_compared"] for row in of_6 if row["series"] == "Adam"] == ["8", "15"]
    # Every curve of the README's table is drawn, with its gap, and none that has fewer epochs.
    near = [
        row for row in rows(out / "nearness.csv") if 2 * int(row["epochs_compared"]) >= int(row["epochs_in_report"])
    ]
    picture = nearness_picture(pairs_of(Study(options, REAL)), Study(options, REAL))
    assert_readable(picture)
    assert_names_lie_clear(picture)
    gaps = [text.words for text in texts_of(picture) if text.words.startswith("gap ")]
    assert sorted(gap.split()[1] for gap in gaps) == sorted(f"{float(row['mean_absolute_gap']):.1f}" for row in near)
    assert sorted(path.name for path in out.glob("nearness.*")) == ["nearness.csv", "nearness.png"]
    shown = (out / "report.html").read_text()
    sections = re.findall(r'<section id="([^"]*)"', shown)
    assert sections[:4] == ["summary", "nearness", "settings", "claims"]
    assert '<img src="nearness.png"' in shown
    trained = (
        f"{len(near)} of the report&#x27;s 39 curves are trained at its own scale, to at least half of their epochs"
    )
    assert trained in shown
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*figure 6, max pooling, Adam<(?:(?!</tr>).)*</tr>", shown)
    assert re.findall(r">([^<]+)<", row) == [
        *("figure 6, max pooling, Adam", "train error (%)", "15 of 15", "2.0", "+2.0", "10.0", "12.0"),
    ]
    text = headline.headline(out.parent)
    assert "](docs/results/full/overlay.png)" in text
    # The figure with the most curves alone.
    overlay = overlay_picture(pairs_of(Study(options, REAL)), Study(options, REAL))
    assert_readable(overlay)
    assert_names_lie_clear(overlay)
    assert {text.words for text in texts_of(overlay)} >= {"average pooling", "max pooling"}
    assert (out / "overlay.png").exists()
    near = [r for r in rows(out / "nearness.csv") if int(r["epochs_compared"]) >= int(r["epochs_in_report"]) / 2]
    assert f"{len(near)} of the report's 39 curves" in text
    chosen = {row["runs"] for row in near if row["chosen_on"] == "yes"}
    by_run = {}
    for row in near:
        if row["runs"] not in chosen:
            by_run.setdefault(row["runs"], []).append(float(row["mean_absolute_gap"]))
    median = statistics.median(map(statistics.mean, by_run.values()))
    assert f"curves decided, or will decide. The other {len(by_run)}: a median gap" in text
    assert f"**{median:.1f} points** of error or accuracy" in text
    assert "differ by 2.9 points of test error on average" in text
    assert "Above" not in text
    table = headline.nearness_table(out.parent)
    row = "| figure 6, max pooling, Adam | train error | 15 of 15 | 2.0 | +2.0 | 10.0 | 12.0 | yes |"
    assert row in table
    summary = json.loads((out / "summary.json").read_text())
    assert f" {summary['runs_missing']} runs of the full profile are missing or unfinished" in table
    (out / "summary.json").write_text(json.dumps({**summary, "runs_missing": 1}))
    assert " 1 run of the full profile is missing or unfinished" in headline.nearness_table(out.parent)
    (out / "summary.json").write_text(json.dumps({**summary, "runs_missing": 0}))
    assert "missing or unfinished" not in headline.nearness_table(out.parent)
    # Another scale has no candidates, and leaves their page alone.
    monkeypatch.undo()
    publication.publish(tmp_path / "docs" / "smoke", Study(options, REAL), page)
    assert "## RMSprop in figures 6 and 7" in page.read_text()


@pytest.mark.parametrize("lengths, said", [([1], "1 epoch"), ([8, 8], "8 epochs"), ([25, 8], "8 to 25 epochs")])
def test_a_picture_says_how_many_epochs_and_seeds_its_curves_have(lengths, said):
    study = Study(made_up.options(Path("results"), seeds=1), REAL)
    assert f" test images, {said}, 1 seed." in made_from(study, lengths, [1])
    assert ", 1 to 25 epochs, 1 seed." in made_from(study, [25, 3, 1], [1, 1, 1])
    assert ", 2 epochs, 1 to 3 seeds (band: lowest to highest)." in made_from(study, [2, 2], [3, 1])


def test_of_figures_with_as_many_curves_the_most_complete_is_the_overlay():
    study = Study(made_up.options(Path("results"), seeds=1), REAL)
    empty = {pair.report[:3]: pair for pair in pairs_of(study)}

    def overlay(lengths):
        pairs = []
        for pair in empty.values():
            begun = int(len(pair.report.epochs) * lengths.get(pair.series.figure, 0))
            epochs = np.arange(begun + pair.report.epochs[0])
            pairs.append(pair._replace(ours=pair.ours._replace(epochs=epochs, values=np.full((1, len(epochs)), 50.0))))
        return {text.words for text in texts_of(overlay_picture(pairs, study))}

    assert "Figure 3" in " ".join(overlay({3: 0.8, 6: 0.7}))
    assert "Figure 6" in " ".join(overlay({3: 0.8, 6: 1.0}))
    # Of as many that are as complete, the one of which the fewest were chosen by the report's curves.
    assert "Figure 6" in " ".join(overlay({3: 1.0, 6: 1.0}))
    # More curves come first, however far they are.
    assert "Figure 3" in " ".join(overlay({3: 0.6, 4: 1.0}))


def test_a_run_that_is_long_enough_for_one_target_is_not_missing_there(tmp_path, monkeypatch):
    """As the baseline's, which figure 10 wants for longer than figure 6."""
    options = made_up.options(tmp_path / "results", seeds=1)
    made_up.fill(options, errors_as_claimed, REAL)
    real = publication.targets

    def longer_for_figure_10(*arguments):
        wanted = real(*arguments)
        return {**wanted, "figure-10": [job._replace(epochs=8) for job in wanted["figure-10"]]}

    monkeypatch.setattr(publication, "targets", longer_for_figure_10)
    publication.publish(tmp_path / "out", Study(options, REAL))
    (missing,) = rows(tmp_path / "out" / "missing.csv")
    assert (missing["target"], missing["runs_wanted"], missing["runs_missing"]) == ("figure-10", "2", "2")


def test_the_seconds_of_a_missing_run_are_those_up_to_the_epochs_that_a_target_wants(tmp_path, monkeypatch):
    study = Study(made_up.options(tmp_path / "results", seeds=1), REAL)
    one, other = (study.experiment(FIGURES[9].series[0].settings, seed) for seed in (0, 2))
    made_up.keep_history(tmp_path / "results", one, made_up.history([50.0, 40.0]), REAL)
    made_up.keep_history(tmp_path / "results", other, made_up.history([50.0, 40.0]), REAL)
    wanted = {
        "figure-9": [Job(one, 8, ""), Job(other, 2, "")],
        "figure-10": [Job(one, 5, ""), Job(other, 2, "")],
        "claims": [Job(one, 2, "")],
        "infer filters": [Job(one, 5, ""), Job(other, 8, "")],
    }
    real = publication.make_plan
    # As much as a run of the report's size may take.
    monkeypatch.setattr(publication, "make_plan", lambda *given: replace(real(*given), seconds=hours))
    hours = {one.key: 3600.0, other.key: 7200.0}
    assert publication._write_missing(tmp_path / "missing.csv", wanted, study) == 2
    columns = "target", "runs_wanted", "runs_missing", "seconds_predicted"
    missing = rows(tmp_path / "missing.csv")
    assert [tuple(row[name] for name in columns) for row in missing] == [
        ("figure-9", "2", "1", "3600"),
        ("figure-10", "2", "1", "1800"),
        ("infer filters", "2", "2", "9000"),
    ]
    # A question's command trains the seeds that are compared in it, whatever the other commands train.
    assert "--question filters --" in missing[2]["command"]
    assert "--seeds=3" in missing[2]["command"].split()


@pytest.mark.parametrize("lacks", ["a GPU", "a scheduler"])
def test_missing_runs_that_cannot_be_timed_are_listed_without_seconds(tmp_path, monkeypatch, capsys, lacks):
    """Nothing is trained, so that all else is published."""
    study = Study(made_up.options(tmp_path / "results", seeds=1, device=999 if lacks == "a GPU" else -1), REAL)
    if lacks == "a scheduler":
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    wanted = {"figure-9": [Job(study.experiment(FIGURES[9].series[0].settings, 0), 2, "")]}
    assert publication._write_missing(tmp_path / "missing.csv", wanted, study) == 1
    (row,) = rows(tmp_path / "missing.csv")
    assert (row["target"], row["runs_missing"], row["seconds_predicted"]) == ("figure-9", "1", "")
    (said,) = capsys.readouterr().err.splitlines()
    reason = "device 999" if lacks == "a GPU" else "scheduler tcp://127.0.0.1:1: expected the address of a running"
    assert said.startswith(f"missing.csv: says no seconds, since the missing runs cannot be timed: {reason}")


def test_a_run_with_a_damaged_side_file_is_not_missing(tmp_path):
    study = Study(made_up.options(tmp_path / "results", seeds=1), REAL)
    run = study.experiment(FIGURES[9].series[0].settings, 0)
    made_up.keep(tmp_path / "results", run, (30.0, 40.0), REAL)
    (tmp_path / "results" / "runs" / run.key / "provenance.json").write_text("spoilt")
    assert study.state(run).damaged
    assert publication._write_missing(tmp_path / "missing.csv", {"figure-9": [Job(run, 4, "")]}, study) == 0
    assert not (tmp_path / "missing.csv").exists()


def test_each_curve_of_a_figure_is_drawn_from_its_complete_seeds(tmp_path):
    options = made_up.options(tmp_path / "results", seeds=3)
    made_up.fill(options, errors_as_claimed, REAL)
    # Of figure 8, seed 0 is whole, and 2; of figure 9 no seed is.
    study = Study(options, REAL)
    lost = [
        (FIGURES[8].curve("test accuracy", "7x7"), [1]),
        (FIGURES[9].curve("", "4x augmentation"), range(3)),
    ]
    for series, seeds in lost:
        for seed in seeds:
            shutil.rmtree(tmp_path / "results/runs" / study.experiment(series.settings, seed).key)
    out = tmp_path / "results" / "quick"
    publication.publish(out, Study(options, REAL))
    assert {row["seed"] for row in rows(out / "figure-6.csv")} == {"0", "1", "2"}
    assert {row["seed"] for row in rows(out / "figure-8.csv") if row["series"] == "7x7"} == {"0"}
    assert {row["seed"] for row in rows(out / "figure-8.csv") if row["series"] != "7x7"} == {"0", "1", "2"}
    seeds = {(row["figure"], row["series"]): row["seeds"] for row in rows(out / "comparison.csv")}
    assert (seeds["6", "Adam"], seeds["8", "5x5"], seeds["8", "7x7"]) == ("3", "3", "1")
    assert not any(figure == "9" for figure, _ in seeds)
    page = html_text(out / "report.html")
    assert "1 to 3 seeds" in page
    assert (
        "With 1 to 3 seeds a curve instead of 3: 1 of its 9 runs are missing or unfinished. For all: make figure-8 "
        in page
    )
    assert "Not here: 3 of its 6 runs are missing or unfinished. To make it: make figure-9 " in page
    assert "With fewer seeds: figure 8 ; each of their curves is the mean of those of 3 seeds that are trained." in page
    # All pictures lie in the folder of what was asked for.
    assert len(list((tmp_path / "results").glob("*/figure-8.png"))) == 2


def test_seeds_that_no_figure_has_are_not_told_of(tmp_path):
    options = made_up.options(tmp_path / "results", seeds=3)
    made_up.fill(replace(options, seeds=1), errors_as_claimed, REAL)
    publication.publish(tmp_path / "evening", Study(options, REAL))
    assert {row["seeds"] for row in rows(tmp_path / "evening" / "comparison.csv")} == {"1"}
    assert "of the report&#x27;s, 1 seed." in html_text(tmp_path / "evening" / "report.html")
    text = headline.headline(tmp_path)
    assert "(docs/results/evening), our curves come in the report's order in all 13 panels" in text
    assert ", 1 seed, at epoch 3." in text


def html_text(path):
    """What a page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", path.read_text()))


def test_synthetic_results_are_not_published(tmp_path):
    with pytest.raises(BadInput, match="only results on CIFAR-10"):
        publication.publish(tmp_path / "out", Study(made_up.options(tmp_path), DATASET))
    assert not (tmp_path / "out").exists()


def test_the_pages_are_written_from_the_published_files(published, tmp_path):
    _, out = published
    docs = tmp_path / "docs"
    shutil.copytree(out, docs / "results" / "overnight")
    summary = docs / "results" / "overnight" / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "profile": "overnight"}))
    pages = tmp_path / "README.md", docs / "claims.md", docs / "nearness.md"
    for page in pages:
        page.write_text(f"before\n{headline.BEGIN}\nwas here before\n{headline.END}\nafter\n")
    headline.update(docs)
    for page in pages:
        text = page.read_text()
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "was here before" not in text
    claims = rows(docs / "results" / "overnight" / "claims.csv")
    tried = [row for row in claims if row["verdict"] != "not tested"]
    assert sum(line.startswith("| ") for line in pages[1].read_text().splitlines()) == len(tried) + 2
    decided = [row for row in tried if row["verdict"] == "reproduced" and row["report_decision"] != "arithmetic"]
    readme = pages[0].read_text()
    assert "Our runs are of the overnight profile: 0.0625 of the width, 4 epochs" in readme
    # Of times alone: one seed decides nothing else.
    (line,) = re.findall(r"^  - reproduced.*", readme, re.MULTILINE)
    named = [
        f"{row['statement'].rstrip('.')} ({row['repeats']}; with one left out the verdict stays in "
        f"{row['stable']} of {row['left_out']} cases)"
        for row in decided
    ]
    engine = "this package's engine on one machine, not the report's GPU"
    assert line == f"  - reproduced, of times ({engine}): {'; '.join(named)}"


def test_a_demonstration_decides_nothing(published, tmp_path):
    _, out = published
    shutil.copytree(out, tmp_path / "quick")
    summary = tmp_path / "quick" / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "profile": "quick"}))
    assert headline.claims_tables(tmp_path) == ""
    assert "Our runs decide none yet" in headline.headline(tmp_path)


def test_the_headline_has_the_orders_of_the_profile_where_most_are_trained_and_what_is_there_at_full_scale(tmp_path):
    header = "figure,panel,series,quantity,epoch,ours,report,our_rank,report_rank,kendall_tau"
    comparisons = {
        "evening": [
            *("2,,x1,train error (%),7,20,36,2,2,1", "2,,x2,train error (%),7,19,20,1,1,1"),
            *(
                "8,test accuracy,3x3,test accuracy (%),6,70,70,1,2,-1",
                "8,test accuracy,5x5,test accuracy (%),6,60,71,2,1,-1",
            ),
            *("4,,a,train error (%),7,30,16,1,1,1", "4,,b,train error (%),7,33,47,2,2,1"),
            *("5,,a,test error (%),7,30,16,1,1,1", "5,,b,test error (%),7,32,47,2,2,1"),
            # One of ours has diverged in either.
            *("3,x1,a,train error (%),7,30,30,1,1,1", "3,x1,b,train error (%),7,,80,2,2,1"),
            *("3,x2,batch norm,train error (%),7,30,30,1,2,", "3,x2,no batch norm,train error (%),7,,20,1,1,"),
        ],
        "full": ["2,,x1,train error (%),7,20,36,2,2,1", "2,,x2,train error (%),7,19,20,1,1,1"],
    }
    for profile, lines in comparisons.items():
        (tmp_path / profile).mkdir()
        with_seeds = [f"{line},{3 if line.startswith('8') else 2}" for line in lines]
        (tmp_path / profile / "comparison.csv").write_text("\n".join([f"{header},seeds", *with_seeds]))
        summary = {"train_images": 50_000, "width": 0.25, "batch_size": 100, "seeds": 3, "data": "some data"}
        (tmp_path / profile / "summary.json").write_text(json.dumps(summary))
    near = "figure,panel,series,quantity,epochs_compared,epochs_in_report,last_epoch_compared"
    near += ",mean_absolute_gap,mean_gap,runs,chosen_on,seeds,in_prediction_interval"
    runs = [
        *("2,,x1,train error (%),16,20,15,18.9,-18.9,a,no", "2,,x2,train error (%),11,20,10,1.0,1.0,b,yes"),
        # Not half of its epochs; and a run with a curve that a setting was chosen on.
        *("4,,a,train error (%),9,20,8,1.0,1.0,c,no", "9,,baseline,train accuracy (%),12,12,11,50.0,50.0,b,yes"),
        *("3,x2,batch norm,train error (%),20,20,19,2.0,2.0,f g,yes",),
        *("3,x2,no batch norm,train error (%),20,20,19,nan,nan,e,yes",),
    ]
    with_seeds = [f"{line},{len(line.split(',')[-2].split())}," for line in runs]
    (tmp_path / "full" / "nearness.csv").write_text("\n".join([near, *with_seeds]))
    histories = ["key,epoch,train_accuracy,test_accuracy", "a,15,99,1", "a,10,80,1", "b,10,70,1"]
    histories += ["f,19,90,0", "g,19,80,0", "e,19,nan,nan"]
    (tmp_path / "full" / "histories.csv").write_text("\n".join(histories))
    text = headline.headline(tmp_path)
    # At epoch 10, the last one of both, x1 is ahead. Of x2's runs in figure 3 one has diverged.
    for words in (
        "**At the report's own scale, our curves come in the report's order in 1 of the 2 panels where it has one** "
        "(by chance: about 1), in 0 of them clearly. That is 1 to 2 seeds, on the some data,",
        "of the panels with an order and without such a setting, 0 of 0 agree (by chance: about 0).",
        "**In the smaller profile [evening](docs/results/evening), our curves come in the report's order in 4 of the 5 "
        "panels where it has one** (by chance: about 2), in 1 of them clearly. In 1 more its own curves are tied; ours "
        "agree in 0. That is 50,000 images, 0.25 of the width, batches of 100, 2 to 3 seeds, at epoch 6 or 7.",
        "0.4 points of train error, 3.2 of test error",
    ):
        assert words in text, words
    for line in (
        "| % | the report at the epoch compared, best first | ours, at the report's scale | mean gap, points "
        "| ours, `evening` |",
        "| 2 depth: train error | x2 27.6, x1 29.5 | x1 20.0, x2 30.0; epoch 10 of 19 | 1.0 to 18.9 "
        "| the same, *far* |",
        "| 3 batch normalization, x1: train error | a 30.0, b 80.0 |  |  | the same, *far* |",
        # evening disagrees with the report's order at its epoch, which is another than at the end.
        "| 3 batch normalization, x2: train error | batch norm 19.6, no batch norm 44.8 | the same: 15.0, –, *far* "
        "| 2.0 | batch norm, no batch norm, *far* |",
        "| 4 dropout: train error | a 16.0, b 47.0 |  |  | the same |",
        "| 5 dropout: test error | a 16.0, b 47.0 |  |  | the same, *tied* |",
        "| 8 filter size: test accuracy | 5x5 71.0, 3x3 70.0, *tied*; at its end 3x3, 5x5 |  |  | 3x3, 5x5 |",
    ):
        assert f"{line}\n" in text, line
    assert (
        "4 networks (5 runs), and 3 of these networks have a setting that the report's curves decided, or will decide. "
        "The other 1: a median gap of **18.9 points**" in text
    )
    assert "0 of them do worse" in text
    assert "Above 10 points: x1." in text


def test_a_curve_that_diverged_has_dashes_for_numbers(tmp_path):
    shutil.copytree(ROOT / "docs/results/full", tmp_path / "full", ignore=shutil.ignore_patterns("*.png"))
    near = rows(tmp_path / "full" / "nearness.csv")
    near[0] |= {"mean_absolute_gap": "inf", "mean_gap": "nan", "ours": "nan"}
    (tmp_path / "full" / "nearness.csv").write_bytes(csv_bytes([near[0], *(row.values() for row in near)]))
    first = headline.nearness_table(tmp_path).splitlines()[2]
    assert f"| – | – | {float(near[0]['report']):.1f} | – |" in first


def test_a_page_without_a_place_for_them_is_refused():
    with pytest.raises(BadInput, match=r"README\.md"):
        headline.with_results("nothing here", "", "README.md")


@pytest.mark.parametrize(
    ("page", "results"),
    [
        ("README.md", headline.headline),
        ("docs/claims.md", headline.claims_tables),
        ("docs/nearness.md", headline.nearness_table),
    ],
)
def test_the_pages_say_what_the_published_files_say(page, results):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert headline.with_results(text, results(ROOT / "docs" / "results"), page) == text


def test_times_are_published_round_by_round_and_serve_a_machine_that_has_none(published, tmp_path):
    options, out = published
    times = rows(out / "times.csv")
    assert {row["round"] for row in times} == {"0", "1", "2", "3", "4"}
    assert {row["timed"] for row in times} == {"step", "epoch"}
    assert {row["engine"] for row in times} == {"chainer"}
    shutil.copytree(out, tmp_path / "out")
    publication.publish(tmp_path / "out", Study(replace(options, results=str(tmp_path / "elsewhere")), REAL))
    assert (tmp_path / "out" / "times.csv").read_bytes() == (out / "times.csv").read_bytes()
    assert (tmp_path / "out" / "effects.csv").read_bytes() == (out / "effects.csv").read_bytes()


@pytest.mark.parametrize("profile", PUBLISHED)
def test_published_figures_have_the_numbers_of_the_published_runs(profile):
    """Whoever edits a number of one file leaves it at odds with the others."""
    folder = ROOT / "docs" / "results" / profile
    summary = json.loads((folder / "summary.json").read_text())
    epochs = {(row["key"], int(row["epoch"])): row for row in rows(folder / "histories.csv")}
    assert len({key for key, _ in epochs}) == summary["runs"] == len({row["key"] for row in rows(folder / "runs.csv")})
    study = Study(Options(profile=profile, seeds=summary["seeds"]), made_up.of_fingerprint(summary["data_fingerprint"]))
    for number in set(summary["figures"]) - {1}:
        for row in rows(folder / f"figure-{number}.csv"):
            series = FIGURES[number].curve(row["panel"], row["series"])
            key = study.experiment(series.settings, int(row["seed"])).key
            accuracy = float(epochs[key, int(row["epoch"])][f"{part_of(row['quantity'])}_accuracy"])
            expected = accuracy if is_accuracy(row["quantity"]) else 100 - accuracy
            assert float(row["value"]) == pytest.approx(expected, abs=1e-3, nan_ok=True), row


def test_the_full_profile_takes_the_nearest_candidates():
    """Where candidates were compared to the end of the report's curves, the figures' settings are the nearest one's."""
    ends = {question.name: str(last_epoch(question)) for question in QUESTIONS}
    decided = [
        row
        for row in rows(ROOT / "docs" / "results" / "full" / "settings.csv")
        if row["standing"] == "nearest" and row["compared_up_to_epoch"] == ends[row["question"]]
    ]
    images = made_up.of_fingerprint("none")
    full = Study(Options(profile="full", seeds=1), images)
    for row in decided:
        series = FIGURES[int(row["figure"])].curve(row["panel"], row["series"])
        experiment = Experiment.from_settings(
            {"data_fingerprint": images.fingerprint, "batch_size": full.scale.batch_size, **json.loads(row["settings"])}
        )
        # Keys leave out what an optimizer does not have, as SGD has no momentum.
        assert experiment.key == full.experiment(series.settings, 0).key, (row["question"], row["candidate"])


def test_a_publication_gathers_what_several_machines_have_made(published, tmp_path):
    """A store that has one run alone, published over the publication of all: every run stays, the longer one counts."""
    options, out = published
    shutil.copytree(out, tmp_path / "out")
    elsewhere = replace(options, results=str(tmp_path / "other machine"))
    longer = made_up.jobs(options, REAL)[0].experiment
    history = made_up.history([60.0, 50.0, 40.0, 30.0, 20.0])
    made_up.keep_history(Path(elsewhere.results), longer, history, REAL, cpu="another processor")
    publication.publish(tmp_path / "out", Study(elsewhere, REAL))
    before, after = rows(out / "histories.csv"), rows(tmp_path / "out" / "histories.csv")
    assert [row for row in after if row["key"] != longer.key] == [row for row in before if row["key"] != longer.key]
    assert [float(row["train_accuracy"]) for row in after if row["key"] == longer.key] == [40, 50, 60, 70, 80]
    cpus = {row["key"]: row["cpu"] for row in rows(tmp_path / "out" / "runs.csv")}
    assert cpus[longer.key] == "another processor"
    others = {row["key"]: row for row in rows(out / "runs.csv") if row["key"] != longer.key}
    assert {row["key"]: row for row in rows(tmp_path / "out" / "runs.csv") if row["key"] != longer.key} == others


def edit(path, change):
    """Change a published file as a hand or a merge would."""
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)


def a_digit(text):
    """The second epoch's train loss, its last digit another one."""
    lines = text.splitlines(keepends=True)
    cells = lines[2].split(",")
    cells[2] = cells[2][:-1] + str((int(cells[2][-1]) + 1) % 10)
    lines[2] = ",".join(cells)
    return "".join(lines)


def line(number, change):
    def changed(text):
        lines = text.splitlines(keepends=True)
        lines[number : number + 1] = change(lines[number])
        return "".join(lines)

    return changed


CHECKSUM = "its checksum does not hold: these files were changed"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("histories.csv", a_digit, CHECKSUM),
        ("histories.csv", line(2, lambda text: [text, text]), CHECKSUM),
        ("histories.csv", line(2, lambda text: []), CHECKSUM),
        ("histories.csv", line(2, lambda text: [text.replace(",1,", ",inf,", 1)]), CHECKSUM),
        ("histories.csv", line(2, lambda text: [text.rstrip() + ",9\n"]), "row 2: expected 7 cells; found 8"),
        ("histories.csv", line(2, lambda text: ["x" * 200_000 + "\n"]), "expected a table"),
        ("histories.csv", lambda text: text.replace("train_loss", "loss", 1), "expected a column train_loss"),
        ("histories.csv", lambda text: "", "expected a table with a heading"),
        ("histories.csv", lambda text: text.splitlines(keepends=True)[0], "is in one of the two files and not in the"),
        ("runs.csv", line(1, lambda text: []), "is in one of the two files and not in the other"),
        ("runs.csv", line(1, lambda text: [text, text]), CHECKSUM),
        ("runs.csv", lambda text: text.replace("--seed=0", "--seed=7", 1), CHECKSUM),
        ("runs.csv", lambda text: text.replace("--seed=0", "--help", 1), CHECKSUM),
        ("runs.csv", lambda text: text.replace(",fast,", ",x,").replace(",chainer,CPU", ",fast,CPU", 1), CHECKSUM),
        ("runs.csv", lambda text: text.replace("chainer 7.8.1", "chainer 7.8.2", 1), CHECKSUM),
        ("runs.csv", lambda text: text.replace(REAL.fingerprint, "0123456789abcdef", 1), CHECKSUM),
        ("runs.csv", line(1, lambda text: [text.rsplit(",", 1)[0] + ",\n"]), CHECKSUM),
    ],
)
def test_what_was_changed_in_published_runs_is_refused_and_named(published, tmp_path, name, change, message):
    options, out = published
    shutil.copytree(out, tmp_path / "out")
    edit(tmp_path / "out" / name, change)
    with pytest.raises(BadInput, match=message) as refused:
        publication.publish(tmp_path / "out", Study(replace(options, results=str(tmp_path / "results")), REAL))
    assert str(tmp_path / "out") in str(refused.value)
    assert "\n" not in str(refused.value)
    # Not one of the runs is taken.
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("runs.csv", lambda text: text.replace("--seed=0", "--help", 1), "no such option: --help"),
        ("runs.csv", lambda text: text.replace("--seed=0", "--seed=7", 1), "the run of these settings is"),
        (
            "runs.csv",
            line(1, lambda text: [",".join([*text.split(",")[:3], "9", *text.split(",")[4:]])]),
            "expected parts that begin at epochs",
        ),
        ("histories.csv", line(2, lambda text: [text, text]), "expected epoch 2; found 1"),
        ("histories.csv", line(2, lambda text: [text.replace(",1,", ",inf,", 1)]), "expected epoch 1; found inf"),
        ("histories.csv", line(2, lambda text: [",".join([*text.split(",")[:3], "130", *text.split(",")[4:]])]),
         "expected train_accuracy from 0 to 100; found 130"),
    ],
)  # fmt: skip
def test_published_runs_are_looked_through_where_there_is_no_checksum_yet(published, tmp_path, name, change, message):
    """Publications of earlier versions have none, and are published again with one."""
    options, out = published
    shutil.copytree(out, tmp_path / "out")
    again = Study(replace(options, results=str(tmp_path / "results")), REAL)
    runs = tmp_path / "out" / "runs.csv"
    earlier = [[*row[:14], *row[15:-1]] for row in csv.reader(runs.read_text().splitlines())]
    runs.write_bytes(csv_bytes(earlier))
    before = (tmp_path / "out" / name).read_text()
    edit(tmp_path / "out" / name, change)
    with pytest.raises(BadInput, match=f"run [0-9a-f]{{16}}: {message}"):
        restore_runs(tmp_path / "out", again.store, REAL.fingerprint_of_seed)
    (tmp_path / "out" / name).write_text(before)
    restore_runs(tmp_path / "out", again.store, REAL.fingerprint_of_seed)


def test_published_runs_published_again_are_the_same_to_the_last_digit(tmp_path):
    """First from the runs themselves, then on fresh machines from what was published."""
    options = made_up.options(tmp_path / "results", seeds=1)
    made_up.fill(options, lambda one: made_up.noisy(one, (100 / 3, 200 / 7)), REAL)
    # One of them went on in the middle of its first epoch.
    stopped = made_up.jobs(options, REAL)[0].experiment
    part = Study(options, REAL).state(stopped).provenance
    made_up.keep(tmp_path / "results", stopped, (30.0, 40.0), REAL, earlier=[part])
    first, *others = (tmp_path / name for name in ("first", "second", "third"))
    publication.publish(first, Study(options, REAL))
    assert max(len(row["train_accuracy"]) for row in rows(first / "histories.csv")) > 14
    for out in others:
        shutil.copytree(first, out)
        publication.publish(out, Study(replace(options, results=str(tmp_path / f"of {out.name}")), REAL))
    for path in first.rglob("*"):
        if path.is_file():
            second, third = ((out / path.relative_to(first)).read_bytes() for out in others)
            assert second == third, path
            if path.suffix == ".csv":
                assert path.read_bytes() == second, path


def test_runs_on_each_seed_s_own_images_are_published_again_from_what_is_published(tmp_path):
    images = replace(made_up.synthetic(30, 10), name=REAL.name, is_synthetic=False).first(20, None)
    options = made_up.options(tmp_path / "results", seeds=2)
    for one in {job.key: job.experiment for job in made_up.jobs(options, images)}.values():
        made_up.keep(tmp_path / "results", one, errors_as_claimed(one), images.of_seed(one.seed))
    first, second = tmp_path / "first", tmp_path / "second"
    publication.publish(first, Study(options, images))
    assert {row["data_fingerprint"] for row in rows(first / "runs.csv")} == {
        images.fingerprint_of_seed(0),
        images.fingerprint_of_seed(1),
    }
    page = (first / "report.html").read_text()
    assert "20 training (each seed draws its own) and 10 test images" in page
    assert "data fingerprint (SHA-256 of the decoded arrays) of seed 0" in page
    shutil.copytree(first, second)
    again = replace(options, results=str(tmp_path / "empty"))
    publication.publish(second, Study(again, images))
    assert (second / "runs.csv").read_bytes() == (first / "runs.csv").read_bytes()
    # Of these 20 images alone, seed 1 would have the same as seed 0.
    with pytest.raises(BadInput, match="run [0-9a-f]{16}: is of other images than runs of seed 1 are now"):
        publication.publish(second, Study(again, replace(images, whole=None)))
    assert (second / "runs.csv").read_bytes() == (first / "runs.csv").read_bytes()


def test_how_far_curves_are_trained_is_told_in_words():
    where = "trained at its own scale, to"
    assert trained_in_words([(20, 20), (12, 12)]) == f"All 2 of the report's curves are {where} their ends"
    some = f"2 of the report's 3 curves are {where} at least half of their epochs"
    assert trained_in_words([(20, 20), (10, 20), (9, 20)]) == some


@pytest.mark.parametrize("profile", PUBLISHED)
def test_what_is_published_has_checksums_that_hold(profile, tmp_path):
    folder = ROOT / "docs" / "results" / profile
    fingerprint = json.loads((folder / "summary.json").read_text())["data_fingerprint"]
    assert all(row["checksum"] for row in rows(folder / "runs.csv"))
    restore_runs(folder, tmp_path, lambda seed: fingerprint)
    assert len(list((tmp_path / "runs").iterdir())) == json.loads((folder / "summary.json").read_text())["runs"]
