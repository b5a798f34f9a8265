"""Every effect, interval, p-value and verdict in docs/results, worked out again from the published runs.

On purpose nothing is imported from the package: NumPy, SciPy and the published files alone. The rules are in
docs/claims.md.
"""

import csv
import json
import math
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special, stats

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "docs" / "results").glob("*/claims.csv"))
CLOSE = {"rel": 2e-3, "abs": 2e-3}


def rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def fields(text):
    return [part for part in text.split("; ") if part]


def histories(folder):
    """By key, train and test accuracy of each epoch."""
    found = defaultdict(list)
    for row in rows(folder / "histories.csv"):
        found[row["key"]].append((float(row["train_accuracy"]), float(row["test_accuracy"])))
    return found


class Published:
    """One published folder, read."""

    def __init__(self, folder):
        self.summary = json.loads((folder / "summary.json").read_text())
        self.claims, self.effects = rows(folder / "claims.csv"), rows(folder / "effects.csv")
        self.histories = histories(folder)
        self.times = defaultdict(list)
        if (folder / "times.csv").exists():
            for row in rows(folder / "times.csv"):
                self.times[row["name"]].append(float(row["seconds"]))

    def curve(self, quantity, epochs, keys):
        """(S, E) percent; NaN from where a run diverged."""
        column = 0 if quantity.startswith("train") else 1
        values = np.full((len(keys), epochs), np.nan)
        for seed, key in enumerate(keys):
            found = [accuracies[column] for accuracies in self.histories[key][:epochs]]
            values[seed, : len(found)] = found
        return 100 - values if "error" in quantity else values


def report_curve(figure, panel, series, quantity):
    """Epochs and values of one of the report's curves, or None."""
    path = ROOT / "reproduce" / "analysis" / "report" / f"figure-{int(figure):02d}.csv"
    of_it = [r for r in rows(path) if (r["panel"], r["series"], r["quantity"]) == (panel, series, quantity)]
    points = sorted((int(row["epoch"]), float(row["value"])) for row in of_it)
    return np.array(points).T if points else None


# A curve is (quantity, epochs (E,), values (S, E)).


def together(curves, fill=True):
    """At their common epochs; a run that diverged guesses, or does as badly as the worst of the others."""
    common = sorted(set.intersection(*(set(c[1].astype(int).tolist()) for c in curves.values())))
    cut = {role: c[2][:, np.isin(c[1], common)] for role, c in curves.items()}
    if not fill:
        return cut
    errors = [v for role, v in cut.items() if "error" in curves[role][0]]
    accuracies = [v for role, v in cut.items() if "accuracy" in curves[role][0]]
    worst = {
        "error": max([90.0, *(float(np.nanmax(v)) for v in errors if np.isfinite(v).any())]),
        "accuracy": min([10.0, *(float(np.nanmin(v)) for v in accuracies if np.isfinite(v).any())]),
    }
    return {
        role: np.where(np.isnan(v), worst["error" if "error" in curves[role][0] else "accuracy"], v)
        for role, v in cut.items()
    }


def end(values):
    return values[:, -3:].mean(axis=1)


def crossing(values, level):
    """Where a falling curve first reaches a level, by linear interpolation; its length if it does not."""
    for i, value in enumerate(values):
        if value <= level:
            return float(i) if i == 0 else i - (level - value) / (values[i - 1] - value)
    return float(len(values))


def difference(curves):
    values = together(curves)
    return end(values["more"]) - end(values["less"])


def change_difference(curves):
    ends = {role: end(v) for role, v in together(curves).items()}
    without, with_it = (ends[f"{side} larger"] - ends[f"{side} smaller"] for side in ("without", "with"))
    return without * np.sign(without.mean()) - with_it * np.sign(with_it.mean())


def error_level(curves):
    """Three quarters of the way down."""
    values = together(curves)
    first = max(v[:, 0].mean() for v in values.values())
    last = max(v[:, -3:].mean() for v in values.values())
    return first - 0.75 * (first - last)


def epochs_gained(curves, level=None):
    values, level = together(curves), error_level(curves) if level is None else level
    return np.array(
        [crossing(s, level) - crossing(f, level) for s, f in zip(values["slower"], values["faster"], strict=True)]
    )


def difference_at_equal_updates(curves):
    more, less = curves["more"], curves["less"]
    filled = {role: together({role: c})[role] for role, c in curves.items()}
    usable = [e for e in more[1].astype(int) if set(range(4 * e, 4 * e + 4)) <= set(less[1].astype(int).tolist())]
    if not usable:
        return np.full(len(more[2]), np.nan)
    e = usable[-1]
    four = filled["less"][:, np.isin(less[1], range(4 * e, 4 * e + 4))].mean(axis=1)
    return filled["more"][:, more[1] == e][:, 0] - four


def gap_difference(curves):
    values = together(curves, fill=False)
    smooth = {}
    for role, v in values.items():
        accuracy = 100 - v if "error" in curves[role][0] else v
        width = min(3, accuracy.shape[1])
        smooth[role] = np.array([np.convolve(row, np.ones(width) / width, "valid") for row in accuracy])
    level = min(np.nanmean(smooth[f"{side} train"][:, -1]) for side in ("more", "less"))

    def gaps(side):
        found = []
        for train, test in zip(smooth[f"{side} train"], smooth[f"{side} test"], strict=True):
            if np.isnan(train).any() or train[0] > level:
                found.append(np.nan)
                continue
            at = min(crossing(100 - train, 100 - level), len(train) - 1)
            below, part = int(at), at - int(at)
            above = min(below + 1, len(train) - 1)
            found.append((1 - part) * (train - test)[below] + part * (train - test)[above])
        return np.array(found)

    return gaps("more") - gaps("less")


def time_ratio(times):
    roles = [role for role in times if role.startswith("more")]
    return np.prod([times[r] / times["less" + r[4:]] for r in roles], axis=0) ** (1 / len(roles))


def growth_ratio(times):
    without = times["deeper without"] / times["shallower without"]
    return without * times["shallower with"] / times["deeper with"]


MEASURES = {
    f.__name__: f
    for f in (
        *(difference, change_difference, epochs_gained, difference_at_equal_updates, gap_difference),
        *(time_ratio, growth_ratio),
    )
}


def noise(measure, curves, deviations):
    """The variance of an effect, each curve moved in turn by its standard deviation up and down."""
    if measure is epochs_gained:
        level = error_level(curves)  # it stays where it is
        measure = lambda moved: epochs_gained(moved, level)  # noqa: E731
    total = 0.0
    for role, (quantity, epochs, values) in curves.items():
        moved = [measure({**curves, role: (quantity, epochs, values + s * deviations[role])}) for s in (1, -1)]
        change = (moved[0] - moved[1]) / 2
        total += float(np.nanmean(change**2)) if np.isfinite(change).any() else 0.0
    return total


def measured(published, row):
    """Effects (as logarithms where they are ratios), claimed range, variance of counting, curves; None if missing."""
    arms = [part.split("=") for part in fields(row["arms"])]
    claimed = tuple(float(row[f"claimed_{side}"] or sign) for side, sign in (("low", "-inf"), ("high", "inf")))
    measure = MEASURES.get(row["function"])
    if row["repeats"].endswith(("round", "rounds")):
        times = {role: np.array(published.times[name]) for role, _, _, name in arms}
        if not all(map(len, times.values())):
            return None
        return np.log(measure(times)), tuple(math.log(bound) for bound in claimed), 0.0, None
    if row["repeats"].startswith("0 "):
        return None
    curves = {
        role: (quantity, np.arange(int(epochs)), published.curve(quantity, int(epochs), keys.split()))
        for role, quantity, epochs, keys in arms
    }
    images = {"train": published.summary["train_images"], "test": published.summary["test_images"]}

    def of(curves):
        deviations = {
            role: np.sqrt(np.clip(v, 0, 100) * (100 - np.clip(v, 0, 100)) / images[quantity.split()[0]])
            for role, (quantity, _, v) in curves.items()
        }
        return measure(curves), claimed, noise(measure, curves, deviations)

    return *of(curves), (curves, of)


def prior(variances, degrees):
    """Smyth 2004: the scaled inverse chi-square that variances are drawn from, by moments of their logarithms."""
    v, d = np.array(variances), np.array(degrees, float)
    if len(v) < 2:
        return 1.0, 0.0
    v = np.maximum(v, 1e-5 * (np.median(v) or 1.0))
    e = np.log(v) - special.digamma(d / 2) + np.log(d / 2)
    left = e.var(ddof=1) - special.polygamma(1, d / 2).mean()
    if left <= 0:
        return math.exp(e.mean()), math.inf
    d0 = 2 * optimize.brentq(lambda y: special.polygamma(1, y) - left, 1e-6, 1e9, xtol=1e-12, maxiter=1000)
    return math.exp(e.mean() + special.digamma(d0 / 2) - math.log(d0 / 2)), d0


def group_of(row):
    """Comparisons whose variances are shared: of train curves, or also of test curves, of the runs that are judged."""
    compared = {key for part in fields(row["arms"]) for key in part.split("=")[3].split()}
    judged = {key for part in fields(row["regime"]) for key in part.split("|")[0].split()}
    if row["unit"] != "points" or row["in_regime"] == "no" or not judged <= compared:
        return ""
    return "test" if "=test " in row["arms"] else "train"


def estimated(found, groups, number, fewest):
    """By question: effect, interval, one-sided p-values for and against, standard error, degrees of freedom."""
    members = {
        group: [
            q
            for q, (effects, _, count) in found.items()
            if groups[q] == group and count > 0 and len(effects) > 1 and np.isfinite(effects).all()
        ]
        for group in ("train", "test")
    }
    priors = {
        group: prior([found[q][0].var(ddof=1) / found[q][2] for q in of], [len(found[q][0]) - 1 for q in of])
        for group, of in members.items()
    }
    results = {}
    for q, (effects, claimed, count) in found.items():
        pooled = members.get(groups[q], [])
        most = sum(len(found[one][0]) - 1 for one in pooled)
        common, d0 = priors.get(groups[q], (1.0, 0.0))
        d0 = min(d0, 4.0)
        n, mean = len(effects), float(np.nanmean(effects)) if np.isfinite(effects).any() else math.nan
        if n < fewest or not np.isfinite(effects).all():
            results[q] = (mean, math.nan, math.nan, 1.0, 1.0, math.nan, math.nan)
            continue
        variance, degrees = effects.var(ddof=1), n - 1.0
        if q in pooled:
            variance = ((n - 1) * variance + d0 * common * count) / (n - 1 + d0)
            degrees = min(n - 1 + d0, most) if d0 else degrees
        error = math.sqrt(max(variance, count) / n)
        half = error * stats.t.ppf(1 - 0.05 / number / 2, degrees)
        bounds = [b for b in claimed if math.isfinite(b)]
        away = [(mean - b if b == claimed[0] else b - mean) / error for b in bounds]
        p_for, p_against = max(stats.t.sf(x, degrees) for x in away), min(stats.t.cdf(x, degrees) for x in away)
        results[q] = (mean, mean - half, mean + half, p_for, p_against, error, degrees)
    return results


def question(row):
    """What makes two comparisons the same."""
    return row["function"], row["claimed_low"], row["claimed_high"], tuple(sorted(fields(row["arms"])))


def verdict_of(claim_rows, results, number):
    """From the intervals alone."""
    if any(question(row) not in results for row in claim_rows):
        return "not tested"
    if any(row["in_regime"] == "no" for row in claim_rows):
        return "out of regime"
    if any(row["unit"] != "times" and int(row["repeats"].split()[0]) < 3 for row in claim_rows):
        return "too few seeds"
    inside, outside = [], []
    for row in claim_rows:
        _, low, high, *_ = results[question(row)]
        bounds = [float(row[f"claimed_{side}"] or sign) for side, sign in (("low", "-inf"), ("high", "inf"))]
        if row["unit"] == "times":
            bounds = [math.log(b) for b in bounds]
        inside.append(low > bounds[0] and high < bounds[1])
        outside.append(low > bounds[1] or high < bounds[0])
    if all(inside) and any(row["leans"] == "yes" for row in claim_rows):
        return "inconclusive"
    return "reproduced" if all(inside) else "contradicted" if any(outside) else "inconclusive"


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def published(request):
    return Published(request.param)


@pytest.fixture(scope="module")
def recomputed(published):
    """Samples by question, which are in the regime, the number of questions, and estimates of them."""
    samples, groups, curves = {}, {}, {}
    counted = [row for row in published.effects if row["repeats"] != "exact"]
    number = len({question(row) for row in counted})
    for row in counted:
        found = measured(published, row)
        if found is not None:
            samples[question(row)] = found[:3]
            curves[question(row)] = found[3]
            groups[question(row)] = group_of(row)
    return samples, groups, number, curves, estimated(samples, groups, number, 3)


def number_of(text):
    return float(text) if text else math.nan


def test_effects_and_intervals(published, recomputed):
    _, _, number, _, results = recomputed
    assert {row["corrected_for"] for row in published.claims} == {str(number)}
    for row in published.effects:
        if question(row) in results:
            effect, low, high, _, _, error, degrees = results[question(row)]
            if row["unit"] == "times":
                effect, low, high = (math.exp(one) for one in (effect, low, high))
            found = [number_of(row[name]) for name in ("effect", "low", "high", "standard_error", "degrees_of_freedom")]
            assert found == pytest.approx([effect, low, high, error, degrees], nan_ok=True, **CLOSE), row["claim"]
        elif row["repeats"] != "exact":
            assert row["effect"] == ""


def test_p_values_and_verdicts(published, recomputed):
    _, _, number, _, results = recomputed
    for claim in published.claims:
        of_claim = [row for row in published.effects if row["claim"] == claim["id"] and row["decides"] == "yes"]
        if claim["repeats"] == "exact":
            right = all(
                float(r["claimed_low"] or "-inf") <= float(r["effect"]) <= float(r["claimed_high"] or "inf")
                for r in of_claim
            )
            assert claim["verdict"] == ("right" if right else "wrong")
            continue
        assert claim["verdict"] == verdict_of(of_claim, results, number), claim["id"]
        if claim["verdict"] == "not tested" or claim["low"] == "":
            assert claim["p_corrected"] == ""
            continue
        found = [results[question(row)] for row in of_claim]
        p = min(1, 2 * min(max(one[3] for one in found), min(one[4] for one in found)))
        assert float(claim["p_for_this_claim"]) == pytest.approx(p, rel=0.02, abs=1e-9), claim["id"]
        assert float(claim["p_corrected"]) == pytest.approx(min(1, number * p), rel=0.02, abs=1e-9)
        # Intervals and p-values agree.
        if claim["verdict"] in ("reproduced", "contradicted"):
            assert float(claim["p_corrected"]) < 0.05


def test_verdicts_without_one_seed(published, recomputed):
    samples, groups, number, curves, _ = recomputed
    most = max((len(effects) for effects, _, _ in samples.values()), default=0)
    without = []
    for left_out in range(most):
        reduced = {}
        for q, (effects, claimed, count) in samples.items():
            if left_out >= len(effects):
                reduced[q] = (effects, claimed, count)
            elif curves[q] is None:
                reduced[q] = (np.delete(effects, left_out), claimed, count)
            elif len(effects) > 1:
                of_fewer = {r: (n, e, np.delete(v, left_out, axis=0)) for r, (n, e, v) in curves[q][0].items()}
                reduced[q] = curves[q][1](of_fewer)
            else:
                reduced[q] = (np.zeros(0), claimed, 0.0)
        without.append(estimated(reduced, groups, number, 2))
    for claim in published.claims:
        of_claim = [row for row in published.effects if row["claim"] == claim["id"] and row["decides"] == "yes"]
        if claim["repeats"] != "exact" and claim["verdict"] != "not tested":
            repeats = min(len(samples[question(row)][0]) for row in of_claim)
            assert int(claim["left_out"]) == repeats
            same = sum(verdict_of(of_claim, one, number) == claim["verdict"] for one in without[:repeats])
            assert int(claim["stable"]) == same, claim["id"]


def test_the_regime(published):
    for row in published.effects:
        arms = [part.split("|") for part in fields(row["regime"])]
        for keys, figure, panel, series, epoch, ours, report in arms:
            errors = published.curve("train error", int(epoch) + 1, keys.split())
            assert float(ours) == pytest.approx(np.where(np.isnan(errors), 90, errors)[:, -1].mean(), abs=1e-3)
            error, accuracy = (report_curve(figure, panel, series, f"train {one} (%)") for one in ("error", "accuracy"))
            epochs, values = error if error is not None else (accuracy[0], 100 - accuracy[1])
            assert float(report) == pytest.approx(values[epochs == int(epoch)][0], abs=1e-3)
        far = any(abs(float(ours) - float(report)) > 15 for *_, ours, report in arms)
        assert row["in_regime"] == (("no" if far or is_too_early(row) else "yes") if arms else "")


def is_too_early(row):
    """Whether the report's own curves, cut after as many epochs as ours have, decide otherwise than at their end."""
    epochs = dict(part.split("=")[::2][:2] for part in fields(row["arms"]))
    return on_report(row, {role: int(count) for role, count in epochs.items()})[0] != on_report(row)[0]


def on_report(row, epochs=None):
    """What the report's own curves decide, over all or so many epochs, by which effect, and within which margin."""
    roles = [part.split("=")[0] for part in fields(row["arms"])]
    named = dict(part.split("=") for part in fields(row["report_curves"]))
    curves = {role: report_curve(*names.split("|")) for role, names in named.items()}
    if set(curves) != set(roles) or any(curve is None for curve in curves.values()):
        return "no curve", None, None
    kept = {role: c[:, c[0] < (epochs[role] if epochs else np.inf)] for role, c in curves.items()}
    if not all(c.size for c in kept.values()):
        return "no curve", None, None
    curves = {role: (named[role].split("|")[3], c[0], c[1][None]) for role, c in kept.items()}
    measure = MEASURES[row["function"]]
    effect = float(measure(curves)[0])
    if math.isnan(effect):
        return "no curve", None, None
    spread = dict(zip(("train", "test"), run_to_run(), strict=True))
    apart = {role: math.hypot(spread[c[0].split()[0]], 0.1) for role, c in curves.items()}
    margin = 2 * math.sqrt(noise(measure, curves, apart))
    low, high = float(row["claimed_low"] or "-inf"), float(row["claimed_high"] or "inf")
    holds, fails = low + margin < effect < high - margin, effect < low - margin or effect > high + margin
    return "holds" if holds else "does not hold" if fails else "within run-to-run noise", effect, margin


@cache
def run_to_run():
    """Train and test: from three or more of the figures' full-scale settings that have three seeds, else the pairs'."""
    folder = ROOT / "docs" / "results" / "full"
    groups = defaultdict(set)
    for row in rows(folder / "runs.csv"):
        if "figure-" not in row["used_by"]:
            continue
        groups[row["data_fingerprint"], re.sub(r"--seed=\d+ ", "", row["settings"])].add(row["key"])
    full = histories(folder)
    deviations = []
    for keys in groups.values():
        runs = [np.array(full[key]) for key in keys]
        runs = [run for run in runs if len(run) >= 8 and np.isfinite(run).all()]
        if len(runs) >= 3:
            last = min(map(len, runs))
            deviations.append(np.std([run[last - 3 : last].mean(axis=0) for run in runs], axis=0, ddof=1))
    if len(deviations) >= 3:
        return np.median(deviations, axis=0)
    return of_the_report_s_pairs()


def of_the_report_s_pairs():
    found = []
    for one, other in (
        ((2, "", "x3", "train error (%)"), (4, "", "no dropout", "train error (%)")),
        ((5, "", "dropout 0.25", "test error (%)"), (10, "", "before tuning", "test accuracy (%)")),
    ):
        first, second = (dict(zip(*report_curve(*names), strict=True)) for names in (one, other))
        if "accuracy" in other[3]:
            second = {epoch: 100 - value for epoch, value in second.items()}
        apart = [first[epoch] - second[epoch] for epoch in set(first) & set(second)]
        found.append(math.sqrt(np.mean(np.square(apart)) / 2))
    return np.array(found)


def test_how_many_claims_hold_by_each_of_the_two_noises(monkeypatch):
    """README and docs/claims.md say it by hand."""

    def holding():
        decided = defaultdict(list)
        for row in rows(ROOT / "docs/results/overnight/effects.csv"):
            if row["decides"] == "yes" and row["repeats"] != "exact":
                decided[row["claim"]].append(on_report(row)[0])
        return sum(set(of_claim) == {"holds"} for of_claim in decided.values())

    assert run_to_run() == pytest.approx(0.4, abs=0.05)
    by_seeds = holding()
    monkeypatch.setattr("tests.figures.test_published_claims.run_to_run", of_the_report_s_pairs)
    by_pairs = holding()
    readme, page = (
        " ".join((ROOT / name).read_text(encoding="utf-8").split()) for name in ("README.md", "docs/claims.md")
    )
    assert "Three seeds of one of our networks scatter by 0.4 points of train and test error (median" in readme
    assert f"By this, {by_seeds} claims hold on the report's own curves" in readme
    assert f"that may be of one setting, {by_pairs} do" in readme
    assert f"With the pairs, {by_pairs} claims hold on the report's own curves" in page


def test_the_report_s_own_curves(published):
    for row in published.effects:
        if row["repeats"] == "exact":
            assert row["report_decision"] == "arithmetic"
            continue
        expected, effect, margin = on_report(row)
        if effect is None:
            assert (row["report_decision"], row["report_effect"]) == ("no curve", "")
            continue
        assert float(row["report_effect"]) == pytest.approx(effect, **CLOSE)
        assert 2 * float(row["report_noise"]) == pytest.approx(margin, **CLOSE)
        assert row["report_decision"] == expected, row["claim"]
