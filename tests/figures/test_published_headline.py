"""README's numbers, worked out again from the published files and the report's curves.

On purpose nothing is imported from the package: NumPy and the published files alone.
"""

import csv
import math
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def curves_of(pattern):
    """Percent by (figure, panel, quantity), series and epoch, mean over seeds, of all `figure-N.csv` that fit."""
    values = defaultdict(list)
    for path in ROOT.glob(pattern):
        figure = int(path.stem.partition("-")[2])
        for row in rows(path):
            if figure > 1:
                panel = figure, row["panel"], row["quantity"]
                values[panel, row["series"], int(row["epoch"])].append(float(row["value"]))
    found = defaultdict(lambda: defaultdict(dict))
    for (panel, series, epoch), of_seeds in values.items():
        found[panel][series][epoch] = np.mean(of_seeds)
    return found


REPORT = curves_of("reproduce/analysis/report/figure-*.csv")


def distance(first, second):
    """Mean distance and mean difference over common epochs."""
    differences = np.array([first[epoch] - second[epoch] for epoch in first.keys() & second.keys()])
    return abs(differences).mean(), differences.mean()


def apart():
    """Points between two runs of the report that are probably of one setting."""
    before = {epoch: 100 - value for epoch, value in REPORT[10, "", "test accuracy (%)"]["before tuning"].items()}
    return distance(before, REPORT[5, "", "test error (%)"]["dropout 0.25"])[0]


def best_first(ends, quantity):
    return sorted(ends, key=ends.get, reverse="accuracy" in quantity)


def said(pattern):
    """The groups of a pattern in README, whatever its emphasis."""
    found = re.search(pattern, README.replace("**", ""))
    assert found, pattern
    return found.groups()


def test_the_orders():
    (profile,) = said(r"The profile is \[(\w+)\]")
    ours, table = curves_of(f"docs/results/{profile}/figure-*.csv"), README[: README.index("end of results")]
    agree = telling = 0
    guessed = 0.0
    panels = {panel: of_report for panel, of_report in REPORT.items() if len(of_report) > 1}
    for (figure, panel, quantity), of_report in panels.items():
        of_ours = ours[figure, panel, quantity]
        assert of_ours.keys() == of_report.keys()
        last = max(set.intersection(*(set(c) for c in (*of_report.values(), *of_ours.values()))))
        theirs, found = ({name: c[last] for name, c in curves.items()} for curves in (of_report, of_ours))
        order = best_first(theirs, quantity)
        agrees = order == best_first(found, quantity)
        steps = abs(np.diff(sorted(found.values())))
        is_far = any(abs(found[name] - theirs[name]) > 15 for name in order)
        is_close = steps.min() < apart()
        agree += agrees
        telling += agrees and not is_far and not is_close
        guessed += 1 / math.factorial(len(order))
        marks = (", *far*" if is_far else "") + (", *close*" if is_close else "")
        shown = f"the same{marks}" if agrees else ", ".join(best_first(found, quantity))
        assert re.search(rf"^\| {figure} [^|]*\| {', '.join(order)} \| {re.escape(shown)} \|", table, re.MULTILINE), (
            order
        )
    assert said(r"In (\d+) of (\d+) panels our curves are in the report's order; guessing would give (\d+)") == (
        str(agree),
        str(len(panels)),
        f"{guessed:.0f}",
    )
    assert said(r"In (\d+) of the (\d+) all curves .* more than ([\d.]+) points from each other") == (
        str(telling),
        str(agree),
        f"{apart():.1f}",
    )


def test_how_near():
    histories = defaultdict(dict)
    for row in rows(RESULTS / "full/histories.csv"):
        histories[row["key"]][int(row["epoch"])] = float(row["train_accuracy"]), float(row["test_accuracy"])
    near, gaps, is_chosen = 0, defaultdict(list), {}
    for row in rows(RESULTS / "full/nearness.csv"):
        of_report = REPORT[int(row["figure"]), row["panel"], row["quantity"]][row["series"]]
        place, sign = row["quantity"].startswith("test"), -1 if "error" in row["quantity"] else 1
        keys = row["runs"].split()
        epochs = set(of_report).intersection(*(histories[key] for key in keys))
        if 2 * len(epochs) < len(of_report) or not epochs:
            continue
        ours = {e: np.mean([histories[key][e][place] for key in keys]) * sign + 100 * (sign < 0) for e in epochs}
        size, signed = distance(ours, of_report)
        assert float(row["mean_absolute_gap"]) == pytest.approx(size, abs=1e-3)
        near += 1
        gaps[row["runs"]].append((size, -sign * signed))
        is_chosen[row["runs"]] = row["chosen_on"] == "yes"
    kept = [np.mean(of_run, axis=0) for runs, of_run in gaps.items() if not is_chosen[runs]]
    sizes = [size for size, _ in kept]
    curves = sum(len(of_panel) for of_panel in REPORT.values())
    assert said(r"(\d+) of the report's (\d+) curves .* come from (\d+) runs, and (\d+) of these helped") == (
        *map(str, (near, curves, len(gaps), sum(is_chosen.values()))),
    )
    gaps_in_words = r"a median gap of ([\d.]+) points .*?, from ([\d.]+) to ([\d.]+)(?:, \d+ more diverged)?"
    assert said(rf"The other (\d+): {gaps_in_words}; (\d+) of them do worse") == (
        str(len(kept)),
        *(f"{value:.1f}" for value in (np.median(sizes), min(sizes), max(sizes))),
        str(sum(worse > 0 for _, worse in kept)),
    )
    assert said(r"probably have one setting are ([\d.]+) points apart") == (f"{apart():.1f}",)


def test_which_claims_hold():
    """The verdicts themselves are worked out again by test_published_claims."""
    for profile in ("full", "overnight", "evening"):
        claims = rows(RESULTS / profile / "claims.csv")
        counts = Counter(claim["verdict"] for claim in claims if claim["report_decision"] != "arithmetic")
        if counts["reproduced"] + counts["contradicted"]:
            expected = [f"{counts[word]} {word}" for word in ("reproduced", "contradicted") if counts[word]]
            assert all(text in README.replace("**", "") for text in (*expected, f"of the {profile} profile:"))
            for claim in claims:
                is_decided = claim["verdict"] in ("reproduced", "contradicted")
                if is_decided and claim["report_decision"] != "arithmetic":
                    line = re.search(rf"^  - {claim['verdict']}: .*", README, re.MULTILINE)
                    assert line, claim["id"]
                    assert claim["statement"].rstrip(".") in line[0]
            return
    assert "Our runs decide none yet" in README


def test_the_train_errors_that_nearness_lists():
    """Every list of three or more numbers is the beginning of a published run, or of one of the report's curves."""
    text = re.sub(r"\s+", " ", (ROOT / "docs/nearness.md").read_text(encoding="utf-8").partition("<!-- results")[0])
    runs = defaultdict(list)
    for row in rows(RESULTS / "full/histories.csv"):
        runs[row["key"]].append(100 - float(row["train_accuracy"]))
    reports = [list(curve.values()) for panel in REPORT.values() for curve in panel.values()]
    beginnings = [[f"{value:.1f}" for value in values] for values in (*runs.values(), *reports)]
    lists = [found.split(", ") for found in re.findall(r"\d+\.\d(?:, \d+\.\d){2,}", text)]
    assert len(lists) > 10
    assert [numbers for numbers in lists if not any(one[: len(numbers)] == numbers for one in beginnings)] == []
