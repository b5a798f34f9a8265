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
from scipy import stats

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


def two_runs_apart(quantity):
    """Root mean square distance of the report's two runs that are probably of one setting, in train or test error."""
    if quantity.startswith("train"):
        first, second = REPORT[2, "", "train error (%)"]["x3"], REPORT[4, "", "train error (%)"]["no dropout"]
    else:
        first = REPORT[5, "", "test error (%)"]["dropout 0.25"]
        second = {e: 100 - value for e, value in REPORT[10, "", "test accuracy (%)"]["before tuning"].items()}
    return np.sqrt(np.mean([(first[epoch] - second[epoch]) ** 2 for epoch in first.keys() & second.keys()]))


def best_first(ends, quantity):
    return sorted(ends, key=ends.get, reverse="accuracy" in quantity)


def said(pattern):
    """The groups of a pattern in README, whatever its emphasis."""
    found = re.search(pattern, README.replace("**", ""))
    assert found, pattern
    return found.groups()


def own_scale():
    """Percent by panel, series and epoch of the published full profile, of curves with half of the report's epochs."""
    histories = defaultdict(dict)
    for row in rows(RESULTS / "full/histories.csv"):
        histories[row["key"]][int(row["epoch"])] = float(row["train_accuracy"]), float(row["test_accuracy"])
    found = defaultdict(lambda: defaultdict(dict))
    for row in rows(RESULTS / "full/nearness.csv"):
        panel = int(row["figure"]), row["panel"], row["quantity"]
        of_report = REPORT[panel][row["series"]]
        place, keys = row["quantity"].startswith("test"), row["runs"].split()
        epochs = set(of_report).intersection(*(histories[key] for key in keys))
        if keys and 2 * len(epochs) >= len(of_report):
            for epoch in epochs:
                value = np.mean([histories[key][epoch][place] for key in keys])
                found[panel][row["series"]][epoch] = 100 - value if "error" in row["quantity"] else value
    return found


def is_tied(ends, quantity):
    return abs(np.diff(sorted(ends.values()))).min() < two_runs_apart(quantity)


def compared(ours):
    """By panel at the last epoch of all its curves: the report's values, ours, and where the report's go on."""
    found = {}
    for panel, of_report in REPORT.items():
        of_ours = ours[panel]
        if len(of_report) < 2 or of_ours.keys() != of_report.keys():
            continue
        last = max(set.intersection(*(set(c) for c in (*of_report.values(), *of_ours.values()))))
        theirs, mine = ({name: c[last] for name, c in curves.items()} for curves in (of_report, of_ours))
        end = min(max(curve) for curve in of_report.values())
        found[panel] = theirs, mine, f"; epoch {last} of {end}" if last < end else ""
    return found


def test_the_orders():
    """No smaller profile is told of: each panel has all of its curves at the report's own scale."""
    full = compared(own_scale())
    table = README[: README.index("end of results")]
    assert len(full) == 14 and "In the smaller profile" not in table
    chosen, seeds = set(), set()
    for row in rows(RESULTS / "full/nearness.csv"):
        seeds.add(row["seeds"])
        if row["chosen_on"] == "yes":
            chosen.add((int(row["figure"]), row["panel"], row["quantity"]))
    agree, clear, by_chance, among_tied, alone, alone_by_chance = [], 0, 0.0, [], [], 0.0
    for panel, (theirs, mine, cut) in full.items():
        order, ours = best_first(theirs, panel[2]), best_first(mine, panel[2])
        is_far = any(abs(mine[name] - theirs[name]) > 15 for name in mine)
        marks = (", *far*" if is_far else "") + (", *tied*" if is_tied(mine, panel[2]) else "")
        values = ", ".join(f"{mine[name]:.1f}" if ours == order else f"{name} {mine[name]:.1f}" for name in ours)
        cell = ("the same: " if ours == order else "") + values + marks + cut
        end = min(max(curve) for curve in REPORT[panel].values())
        at_the_end = best_first({name: curve[end] for name, curve in REPORT[panel].items()}, panel[2])
        report = ", ".join(f"{name} {theirs[name]:.1f}" for name in order)
        report += ", *tied*" if is_tied(theirs, panel[2]) else ""
        report += f"; at its end {', '.join(at_the_end)}" if at_the_end != order else ""
        form = rf"^\| {panel[0]} [^|]*\| {re.escape(report)} \| {re.escape(cell)} \| [^|]* \|$"
        assert re.search(form, table, re.MULTILINE), form
        if is_tied(theirs, panel[2]):
            among_tied.append(ours == order)
        else:
            agree.append(ours == order)
            clear += ours == order and not marks
            by_chance += 1 / math.factorial(len(theirs))
            alone += [ours == order] * (panel not in chosen)
            alone_by_chance += (panel not in chosen) / math.factorial(len(theirs))
    how_many = "all" if all(agree) else f"{sum(agree)} of the"
    said(
        rf"At the report's own scale, our curves come in the report's order in {how_many} {len(agree)} panels where it "
        rf"has one \(by chance: about {by_chance:.0f}\), in {clear} of them clearly\. In {len(among_tied)} more its "
        rf"own curves are tied; ours agree in {sum(among_tied)}\."
    )
    fewest_and_most = dict.fromkeys((min(seeds, key=int), max(seeds, key=int)))
    assert said(r"ours agree in \d+\. That is ([\d to]+) seeds?,") == (" to ".join(fewest_and_most),)
    by_chance = rf"\(by chance: about {alone_by_chance:.0f}\)"
    said(rf"an order and without such a setting, {sum(alone)} of {len(alone)} agree {by_chance}\.")
    assert said(r"that may be of one setting \(([\d.]+) points of train error, ([\d.]+) of test") == (
        f"{two_runs_apart('train'):.1f}",
        f"{two_runs_apart('test'):.1f}",
    )


def test_the_picture_is_of_the_figure_with_the_fewest_chosen_curves():
    """Of those with the most curves, all of which are whole."""
    by_figure = defaultdict(list)
    for row in rows(RESULTS / "full/nearness.csv"):
        assert row["epochs_compared"] == row["epochs_in_report"]
        by_figure[int(row["figure"])].append(row["chosen_on"] == "yes")
    best = min(by_figure, key=lambda number: (-len(by_figure[number]), sum(by_figure[number]), number))
    chosen = by_figure[best]
    said(rf"In {sum(chosen)} of these {len(chosen)} curves a setting of ours was chosen by the report's curves\.")


def test_how_near():
    histories = defaultdict(dict)
    for row in rows(RESULTS / "full/histories.csv"):
        histories[row["key"]][int(row["epoch"])] = float(row["train_accuracy"]), float(row["test_accuracy"])
    near, whole, gaps, is_chosen, inside, networks, runs_near = 0, 0, defaultdict(list), {}, [], set(), set()
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
        if len(keys) > 2:
            runs = [[histories[key][e][place] * sign + 100 * (sign < 0) for e in epochs] for key in keys]
            low, high = stats.t.interval(0.95, len(keys) - 1, np.mean(runs, axis=0),
                                         np.std(runs, axis=0, ddof=1) * math.sqrt(1 + 1 / len(keys)))  # fmt: skip
            points = np.array([of_report[e] for e in epochs])
            covered = int(((low <= points) & (points <= high)).sum())
            assert row["in_prediction_interval"] == str(covered)
            if row["chosen_on"] == "no":
                inside.append((covered, len(epochs)))
                networks.add(keys[0])
        else:
            assert row["in_prediction_interval"] == ""
        near += 1
        whole += len(epochs) == len(of_report)
        runs_near |= {*keys}
        gaps[keys[0]].append((size, -sign * signed))
        assert is_chosen.setdefault(keys[0], row["chosen_on"] == "yes") == (row["chosen_on"] == "yes")
    if inside:
        within, points = (sum(numbers) for numbers in zip(*inside, strict=True))
        where = r"Where at least 3 seeds are trained \((\d+) curves? of (\d+) networks?\)"
        points_in_words = r"(\d+) of the report's (\d+) points lie where .* with 95 %; about (\d+) would if"
        assert said(rf"{where}, {points_in_words}") == (
            *map(str, (len(inside), len(networks), within, points)),
            f"{0.95 * points:.0f}",
        )
    kept = [np.mean(of_network, axis=0) for first, of_network in gaps.items() if not is_chosen[first]]
    sizes = [size for size, _ in kept]
    curves = sum(len(of_panel) for of_panel in REPORT.values())
    trained = f"All {curves} of the report's curves" if whole == curves else f"{near} of the report's {curves} curves"
    assert said(
        rf"{trained} .* come from (\d+) networks \((\d+) runs\), and (\d+) of these networks have a setting"
    ) == (*map(str, (len(gaps), len(runs_near), sum(is_chosen.values()))),)
    gaps_in_words = r"a median gap of ([\d.]+) points .*?, from ([\d.]+) to ([\d.]+)(?:, \d+ more diverged)?"
    assert said(rf"The other (\d+): {gaps_in_words}; (\d+) of them do worse") == (
        str(len(kept)),
        *(f"{value:.1f}" for value in (np.median(sizes), min(sizes), max(sizes))),
        str(sum(worse > 0 for _, worse in kept)),
    )
    assert said(r"differ by ([\d.]+) points of test error on average \(([\d.]+) root mean square") == (
        f"{apart():.1f}",
        f"{two_runs_apart('test'):.1f}",
    )


def test_which_claims_hold():
    """The verdicts themselves are worked out again by test_published_claims."""

    def has_enough(claim):
        number, _, what = claim["repeats"].partition(" ")
        return what in ("seeds", "rounds") and int(number) >= 3

    def number_with_enough(profile):
        return sum(map(has_enough, rows(RESULTS / profile / "claims.csv")))

    for profile in sorted(("full", "overnight", "evening"), key=number_with_enough, reverse=True):
        claims = rows(RESULTS / profile / "claims.csv")
        counts = Counter(claim["verdict"] for claim in claims if claim["report_decision"] != "arithmetic")
        if any(map(has_enough, claims)):
            words = ("reproduced", "contradicted", "inconclusive", "too few seeds", "out of regime", "not tested")
            expected = [f"{counts[word]} {word}" for word in words if counts[word]]
            assert all(text in README.replace("**", "") for text in (*expected, f"of the {profile} profile:"))
            for claim in claims:
                is_decided = claim["verdict"] in ("reproduced", "contradicted")
                if is_decided and claim["report_decision"] != "arithmetic":
                    of_times = ", of times" * ("round" in claim["repeats"])
                    line = re.search(rf"^  - {claim['verdict']}{of_times}\b.*", README, re.MULTILINE)
                    assert line, claim["id"]
                    assert claim["statement"].rstrip(".") in line[0]
                    basis = claim["repeats"]
                    stays = f"with one left out the verdict stays in {claim['stable']} of {claim['left_out']} cases"
                    assert f"{claim['statement'].rstrip('.')} ({basis}; {stays})" in line[0]
                for decision, words in (
                    ("holds", "the report's own curves support"),
                    ("does not hold", "the report's own curves contradict"),
                ):
                    line = re.search(rf"^  - {words}: .*", README, re.MULTILINE)
                    is_named = bool(line) and claim["statement"].rstrip(".") in line[0]
                    assert is_named == (claim["report_decision"] == decision), claim["id"]
            return
    assert "Our runs decide none yet" in README


def test_what_is_said_in_short():
    """The table that is written by hand rests on these verdicts."""
    claims = {profile: rows(RESULTS / profile / "claims.csv") for profile in ("evening", "overnight", "full")}
    verdicts = {claim: {c["verdict"] for of in claims.values() for c in of if c["id"] == claim} for claim in (
        "bn-accuracy", "dropout-train-error", "filter-train", "adam-best", "others-max",
    )}  # fmt: skip
    by_the_report = {c["id"]: c["report_decision"] for c in claims["evening"]}
    said(r"Wherever the report's curves have a clear order, ours come in the same one\.")
    said(r"come in the report's order in all \d+ panels where it has one")
    said(
        r"training error \| Yes: at the report's scale in one seed of x1 and x2 and in three of x3, and in three of the"
    )
    depths = {row["comparison"]: row for row in rows(RESULTS / "full/effects.csv") if row["claim"] == "bn-accuracy"}
    assert {depth: row["repeats"] for depth, row in depths.items()} == {"x1": "1 seed", "x2": "1 seed", "x3": "3 seeds"}
    assert min(float(row["effect"]) for row in depths.values()) > 0
    of = {p: {row["id"]: row["verdict"] for row in rows(RESULTS / p / "claims.csv")} for p in ("evening", "overnight")}
    assert [of[profile]["bn-accuracy"] for profile in of] == ["reproduced", "out of regime"]
    (beyond,) = said(r"ends ([\d.]+) points outside of our limit")
    (effect,) = (
        row
        for row in rows(RESULTS / "overnight/effects.csv")
        if row["claim"] == "bn-accuracy" and row["comparison"] == "x2"
    )
    arms = [arm.split("|")[-2:] for arm in effect["regime"].split("; ")]
    assert float(beyond) == pytest.approx(max(abs(float(a) - float(b)) for a, b in arms) - 15, abs=0.05)
    said(r"Dropout raises the training error \| Yes, as the report measures it")
    said(r"filters train about equally well \| Yes: they end within about a point of each other")
    for claim in ("bn-accuracy", "dropout-train-error", "filter-train"):
        assert "reproduced" in verdicts[claim] and "contradicted" not in verdicts[claim]
    learning = said(
        r"learns with it \(about (\d+) % train error\) and not at all without\. At full width all three runs "
        r"without it diverge, but those with it hardly learn either: (\d+), (\d+) and (\d+) % train error"
    )
    assert [
        ends_of_x3_at_a_high_rate("overnight", "yes")[1],
        *ends_of_x3_at_a_high_rate("full", "yes"),
    ] == pytest.approx([float(number) for number in learning], abs=0.6)
    assert min(ends_of_x3_at_a_high_rate("overnight", "no")) > 89
    assert all(map(math.isnan, ends_of_x3_at_a_high_rate("full", "no")))
    high_rate = {
        p: next(c["verdict"] for c in claims[p] if c["id"] == "bn-learning-rate") for p in ("overnight", "full")
    }
    assert high_rate == {"overnight": "reproduced", "full": "inconclusive"}
    said(
        r"raises the training accuracy \| Yes at equal epochs. At equal numbers of updates it is 3 points lower, in "
        r"the report's curves and in ours \(one seed\)"
    )
    for row in rows(RESULTS / "full/effects.csv"):
        if row["claim"] == "augmentation-train":
            is_lower = row["function"] == "difference_at_equal_updates"
            assert (float(row["effect"]) < 0) == (float(row["report_effect"]) < 0) == is_lower
            if is_lower:
                assert [float(row["effect"]), float(row["report_effect"])] == pytest.approx([-3, -3], abs=0.5)
    (lead,) = said(
        r"Adam is best on the test set \| Not shown\. In the report it leads MomentumSGD by ([\d.]+) points under"
    )
    (best,) = (one for one in rows(RESULTS / "full/claims.csv") if one["id"] == "adam-best")
    assert float(lead) == pytest.approx(float(best["report_effect"]), abs=0.05)
    assert float(lead) < 2 * float(best["report_noise"])
    assert "reproduced" not in verdicts["adam-best"]
    assert by_the_report["adam-best"] == "within run-to-run noise"
    said(r"Max pooling beats average pooling[^|]+\| The report's own curves say otherwise")
    assert [claim for claim, decision in by_the_report.items() if decision == "does not hold"] == ["others-max"]


def ends_of_x3_at_a_high_rate(profile, with_batch_normalization):
    """Train errors over the last three epochs, of each seed, smallest first."""
    errors = defaultdict(list)
    for row in rows(RESULTS / profile / "histories.csv"):
        errors[row["key"]].append(100 - float(row["train_accuracy"]))
    wanted = "--blocks=2x64,2x128,2x256 ", f"--batch-normalization={with_batch_normalization} ", "--learning-rate=0.1 "
    keys = {row["key"] for row in rows(RESULTS / profile / "runs.csv") if all(one in row["settings"] for one in wanted)}
    ends = sorted(float(np.mean(errors[key][-3:])) for key in keys)
    assert len(ends) == 3
    return ends


def test_how_many_curves_are_worse_than_the_report_s():
    text = " ".join((ROOT / "docs/nearness.md").read_text(encoding="utf-8").split())
    up_to_3 = r"(\d+) of our (\d+) curves at the report's scale are up to 3 points worse"
    found = re.search(rf"{up_to_3} .*?; (\d+) are worse by more and (\d+) are better", text)
    worse = [
        float(row["mean_gap"]) * (1 if "error" in row["quantity"] else -1)
        for row in rows(RESULTS / "full/nearness.csv")
    ]
    counts = (
        sum(0 < one <= 3 for one in worse),
        len(worse),
        sum(one > 3 for one in worse),
        sum(one <= 0 for one in worse),
    )
    assert found.groups() == (*map(str, counts),)


def test_the_numbers_that_nearness_lists():
    """Every list of three or more numbers is the beginning of a published run, or of one of the report's curves."""
    text = re.sub(r"\s+", " ", (ROOT / "docs/nearness.md").read_text(encoding="utf-8").partition("<!-- results")[0])
    runs = defaultdict(list)
    for row in rows(RESULTS / "full/histories.csv"):
        runs[row["key"]].append(100 - float(row["train_accuracy"]))
        runs[row["key"], "test"].append(float(row["test_accuracy"]))
    reports = [list(curve.values()) for panel in REPORT.values() for curve in panel.values()]
    beginnings = [[f"{value:.1f}" for value in values] for values in (*runs.values(), *reports)]
    lists = [found.split(", ") for found in re.findall(r"\d+\.\d(?:, \d+\.\d){2,}", text)]
    assert len(lists) > 10
    assert [numbers for numbers in lists if not any(one[: len(numbers)] == numbers for one in beginnings)] == []
