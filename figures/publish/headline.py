"""The results in README and docs/claims.md, written from the published CSVs (docs/results) and from nothing else."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from figures.claims.decide import ARITHMETIC, DOES_NOT_HOLD, HOLDS, NO_CURVE, REPORT_DECISIONS, RIGHT, WITHIN_NOISE
from figures.nearness import is_mostly_there, overlay_figure, trained_in_words
from figures.publish.orders import ON_ALL_IMAGES, seeds_in_words, table_of_orders
from figures.sections import CLAIMS, FIGURE_NUMBERS, SECTIONS
from reproduce.analysis.curves import is_accuracy, without_unit
from reproduce.analysis.report_spread import report_test_distance, two_runs_apart
from reproduce.analysis.significance import (
    CONTRADICTED,
    FEWEST_SEEDS,
    NOT_TESTED,
    OUT_OF_REGIME,
    REPRODUCED,
    SIGNIFICANCE,
    VERDICTS,
)
from reproduce.errors import BadInput
from reproduce.files import csv_rows, write_atomically
from reproduce.render.tables import markdown_rows
from reproduce.text import counted, listed, shown

BEGIN = "<!-- results: written by `make publish` from docs/results; edit nothing here -->"
END = "<!-- end of results -->"


# Of one claim, and of several.
IN_WORDS = {
    HOLDS: ("holds", "hold"),
    DOES_NOT_HOLD: ("does not hold", "do not hold"),
    WITHIN_NOISE: ("is within run-to-run noise", "are within run-to-run noise"),
    NO_CURVE: ("has no curve", "have no curve"),
    ARITHMETIC: ("is arithmetic", "are arithmetic"),
}
OF_TIMES = ", of times (this package's engine on one machine, not the report's GPU)"
# Points from which on a gap is named.
FAR = 10


def headline(published: Path) -> str:
    """What the published results say, in a picture, a table and three sentences, as Markdown.

    Args:
        published: a folder with one folder a profile, as `publish` writes them.
    """
    full = published / "full"
    parts = []
    if (full / "overlay.png").exists():
        parts += [
            "![Curves at the report's own scale: dashed the report, solid ours, with the gap in points]"
            "(docs/results/full/overlay.png)",
            "",
            f"*Dashed: the report. Solid: this package, at the report's own scale. {_chosen_in_the_overlay(full)}"
            "[All curves](docs/nearness.md).*",
            "",
        ]
    parts += table_of_orders(published)
    if (full / "nearness.csv").exists():
        parts.append(f"- **How near?** {_near_in_words(full)} [Every curve](docs/nearness.md).")
    figures, claims = len(FIGURE_NUMBERS), len(CLAIMS)
    in_words, *named = _claims_in_words(published)
    parts += [
        f"- **Which claims hold?** {in_words}",
        *(f"  - {line}" for line in named),
        f"- **How do I get it?** One command makes each of the {figures} figures, one all 3 tables, and one all "
        f"{claims} verdicts. A command that was stopped goes on where it was.",
        "",
    ]
    return "\n".join(parts)


def _chosen_in_the_overlay(full: Path) -> str:
    """How many of the curves of README's picture are near since a setting was chosen by them."""
    rows = csv_rows(full / "nearness.csv")
    curves = [
        (int(row["figure"]), int(row["epochs_compared"]), int(row["epochs_in_report"]), row["chosen_on"] == "yes")
        for row in rows
    ]
    figure = overlay_figure(curves)
    chosen = [is_chosen for number, *_, is_chosen in curves if number == figure]
    if not any(chosen):
        return ""
    return f"In {sum(chosen)} of these {len(chosen)} curves a setting of ours was chosen by the report's curves. "


def _claims_in_words(published: Path) -> list[str]:
    """The verdicts of the scale at which the most claims have enough runs, and the claims that are decided there."""
    for profile, claims in _claims_by_profile(published).items():
        decided = {
            verdict: [claim for claim in _decided_by_runs(claims) if claim["verdict"] == verdict]
            for verdict in (REPRODUCED, CONTRADICTED)
        }
        if any(map(_has_enough, claims)):
            # Those on times have none.
            seeds = [number for claim in claims if (number := _seeds_of(claim))]
            of_seeds = f", {seeds_in_words(seeds)}" if seeds else ""
            summary = json.loads((published / profile / "summary.json").read_text(encoding="utf-8"))
            epochs = counted(summary["epochs"], "epoch") if summary["epochs"] else "the report's epochs"
            return [
                f"{counts_in_words(claims)} Our runs are of the {profile} profile: {summary['width']:g} of the width, "
                f"{epochs}{of_seeds}. *{OUT_OF_REGIME.capitalize()}*: networks of ours end too far from the report's, "
                "or stop before its own curves have settled; nothing follows about the report. [Each "
                f"claim](docs/claims.md#the-{profile}-profile).",
                *(
                    f"{verdict}{about}: {'; '.join(map(_with_basis, of_verdict))}"
                    for verdict, of_both in decided.items()
                    for about, of_verdict in zip(("", OF_TIMES), _learning_and_times(of_both), strict=True)
                    if of_verdict
                ),
                *_on_the_report_s_curves(claims),
            ]
    # What the report's own curves say is the same at every scale.
    claims = next(filter(None, (csv_rows(published / profile / "claims.csv") for profile in ON_ALL_IMAGES)), [])
    counts = Counter(claim["report_decision"] for claim in claims)
    said = _in_words(counts, IN_WORDS)
    alone = f" By the report's own curves alone, of its {len(claims)} claims {said}." if counts else ""
    return [f"Our runs decide none yet: that takes {FEWEST_SEEDS} runs of each network.{alone} [More](docs/claims.md)."]


def _claims_by_profile(published: Path) -> dict[str, list[dict[str, str]]]:
    """Each profile's claims: first those of which the most have enough runs, and of as many those of the larger scale.

    How many of them are decided, and how, has no part in it: that would be to choose by the outcome.
    """
    found = {profile: csv_rows(published / profile / "claims.csv") for profile in reversed(ON_ALL_IMAGES)}
    return dict(sorted(found.items(), key=lambda item: -sum(map(_has_enough, item[1]))))


def _has_enough(claim: dict[str, str]) -> bool:
    """Whether a claim has the seeds, or rounds of timing, that a verdict needs."""
    return _repeats(claim)[0] >= FEWEST_SEEDS


def _decided_by_runs(claims: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return [
        claim
        for claim in claims
        if claim["report_decision"] != ARITHMETIC and claim["verdict"] in (REPRODUCED, CONTRADICTED)
    ]


def _learning_and_times(claims: Iterable[dict[str, str]]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The claims on what networks learn, and those on how long they take."""
    claims = list(claims)
    return [one for one in claims if _repeats(one)[1] != "round"], [
        one for one in claims if _repeats(one)[1] == "round"
    ]


def _with_basis(claim: dict[str, str]) -> str:
    """A claim, what its verdict rests on, and how often that stays with less."""
    basis, stays = [], _stable(claim)
    if claim["repeats"] != "exact":
        basis += [claim["repeats"]]
    if stays:
        basis += [f"with one left out the verdict stays in {stays} cases"]
    return claim["statement"].rstrip(".") + (f" ({'; '.join(basis)})" if basis else "")


def _on_the_report_s_curves(claims: Iterable[dict[str, str]]) -> list[str]:
    """The claims that the report's own curves support, and those that they contradict."""
    claims = list(claims)
    lines = []
    for decision, words in ((HOLDS, "support"), (DOES_NOT_HOLD, "contradict")):
        found = [claim["statement"].rstrip(".") for claim in claims if claim["report_decision"] == decision]
        lines += [f"the report's own curves {words}: {'; '.join(found)}"] if found else []
    return lines


def _near_in_words(full: Path) -> str:
    """How near our networks come, by network and signed, and how near the report comes to itself."""
    rows = csv_rows(full / "nearness.csv")
    lengths = [(int(row["epochs_compared"]), int(row["epochs_in_report"])) for row in rows]
    near = [row for row, length in zip(rows, lengths, strict=True) if is_mostly_there(*length)]
    by_network: dict[str, list[dict[str, str]]] = {}
    for row in near:
        # Curves of one network may have unlike numbers of seeds; all of them have the first.
        by_network.setdefault(row["runs"].split()[0], []).append(row)
    runs = {key for row in near for key in row["runs"].split()}
    kept = [of_network for of_network in by_network.values() if of_network[0]["chosen_on"] == "no"]
    gaps = [statistics.mean(float(row["mean_absolute_gap"]) for row in of_network) for of_network in kept]
    finite = [gap for gap in gaps if math.isfinite(gap)]
    if not finite:
        return "No run has half of the epochs of a curve of the report yet."
    worse = sum(not statistics.mean(map(_shortfall, of_network)) <= 0 for of_network in kept)
    diverged = f", {len(gaps) - len(finite)} more diverged" if len(finite) < len(gaps) else ""
    far = dict.fromkeys(
        row["panel"] or row["series"]
        for of_network in kept
        for row in of_network
        if float(row["mean_absolute_gap"]) > FAR
    )
    where = f" Above {FAR} points: {', '.join(far)}." if far else ""
    chosen = len(by_network) - len(kept)
    with_interval = [row for of_network in kept for row in of_network if row["in_prediction_interval"]]
    points = sum(int(row["epochs_compared"]) for row in with_interval)
    inside = sum(int(row["in_prediction_interval"]) for row in with_interval)
    share, networks = 1 - SIGNIFICANCE, len({row["runs"].split()[0] for row in with_interval})
    of_points = (
        f" Where at least {FEWEST_SEEDS} seeds are trained ({counted(len(with_interval), 'curve')} of "
        f"{counted(networks, 'network')}), {inside} of the report's {points} points lie where a further run of ours "
        f"would with {100 * share:.0f} %; about {share * points:.0f} would if the report's runs were such runs."
    )
    return (
        f"{trained_in_words(lengths)}; they come from {counted(len(by_network), 'network')} "
        f"({counted(len(runs), 'run')}), and {chosen} of these networks have a setting that the report's curves "
        f"decided, or will decide. The other {len(kept)}: a median gap of "
        f"**{statistics.median(finite):.1f} points** of error or accuracy, from {min(finite):.1f} to "
        f"{max(finite):.1f}{diverged}; {worse} of them do worse than the report. "
        f"Two curves of the report that may be of one setting differ by {report_test_distance():.1f} points of test "
        f"error on average ({two_runs_apart('test'):.1f} root mean square, the limit for *tied* above)."
        f"{of_points if with_interval else ''}{where}"
    )


def _shortfall(row: dict[str, str]) -> float:
    """Points by which ours is worse than the report's: a higher error, or a lower accuracy."""
    return float(row["mean_gap"]) * (-1 if is_accuracy(row["quantity"]) else 1)


def _scale(summary: dict[str, Any], seeds: str) -> str:
    """`quick profile, ..., 2,000 training images, ..., 3 seeds`."""
    engines = f", {listed(summary['engines'])}" if summary["engines"] else ""
    return (
        f"{summary['profile']} profile, {summary['data']}, {summary['train_images']:,} training and "
        f"{summary['test_images']:,} test images, width {summary['width']:g}, batch size {summary['batch_size']}, "
        f"{seeds}{engines}"
    )


def _in_words(found: Counter[str], decisions: Iterable[str]) -> str:
    """`5 hold, 1 does not hold`: how often each decision was found, without those that were not."""
    return ", ".join(f"{found[one]} {IN_WORDS[one][found[one] > 1]}" for one in decisions if found[one])


def counts_in_words(claims: list[dict[str, str]]) -> str:
    """How many claims there are of each verdict, those that are counted without a run apart."""
    counting = [c["verdict"] for c in claims if c["report_decision"] == ARITHMETIC]
    ours = Counter(c["verdict"] for c in claims if c["report_decision"] != ARITHMETIC)
    reports = Counter(c["report_decision"] for c in claims)
    of_times = Counter(c["verdict"] for c in _learning_and_times(claims)[1])
    counted = ", ".join(
        f"**{ours[verdict]} {verdict}**"
        + (
            f" ({of_times[verdict]} of them of times)"
            if verdict in (REPRODUCED, CONTRADICTED) and of_times[verdict]
            else ""
        )
        for verdict in VERDICTS
        if ours[verdict]
    )
    decisions = _in_words(reports, [one for one in REPORT_DECISIONS if one != ARITHMETIC])
    return (
        f"Of the report's {len(claims)} claims, {len(counting)} are arithmetic ({counting.count(RIGHT)} of them "
        f"right). Of the other {sum(ours.values())}, our runs find {counted}. By the report's own curves, {decisions}."
    )


def claims_tables(published: Path) -> str:
    """All claims with the verdicts of every profile that has tried any, in README's order, as Markdown."""
    tried = {
        profile: claims
        for profile, claims in _claims_by_profile(published).items()
        if any(c["verdict"] != NOT_TESTED for c in claims if c["report_decision"] != ARITHMETIC)
    }
    parts = []
    for profile, claims in tried.items():
        summary = json.loads((published / profile / "summary.json").read_text(encoding="utf-8"))
        sections = [section.NUMBER for section in SECTIONS]
        claims.sort(key=lambda claim: sections.index(claim["section"]))
        cells = [
            (
                c["section"],
                _cell(c["statement"]),
                _on_its_own_curves(c),
                f"**{c['verdict']}**",
                _measured(c),
                _stable(c),
            )
            for c in claims
        ]
        columns = ("section", "the report claims", "its own curves", "our runs", "measured (claimed)", "stable")
        parts += [
            *(f"### The {profile} profile", "", counts_in_words(claims), "", *markdown_rows(columns, cells, ()), ""),
            f"*{_scale(summary, seeds_in_words(map(_seeds_of, claims)))}. All comparisons: "
            f"[effects.csv](results/{profile}/effects.csv).*",
            "",
        ]
    return "\n".join(parts)


def _on_its_own_curves(claim: dict[str, str]) -> str:
    """`holds: +21.4, SD 0.4`."""
    if not claim["report_noise"] or not float(claim["report_noise"]):
        return claim["report_decision"]
    effect, noise = float(claim["report_effect"]), float(claim["report_noise"])
    return f"{claim['report_decision']}: {effect:+.1f}, SD {noise:.1f}"


def _seeds_of(claim: dict[str, str]) -> int:
    """How many seeds decide a claim; 0 for one that needs none, or was not tested."""
    number, what = _repeats(claim)
    return number if what == "seed" else 0


def _repeats(claim: dict[str, str]) -> tuple[int, str]:
    """`3 seeds` as 3 and `seed`; 0 for what is exact."""
    number, _, what = claim["repeats"].partition(" ")
    return (int(number.replace(",", "")), what.removesuffix("s")) if what else (0, "")


def _stable(claim: dict[str, str]) -> str:
    """In how many of so many cases a verdict of several seeds stays when one is left out."""
    return f"{claim['stable']} of {claim['left_out']}" if int(claim["left_out"] or 0) > 1 else ""


def _measured(claim: dict[str, str]) -> str:
    """The comparison that decides a claim, on our runs: `x2: +21.4 points [+12.0, +30.8] (above 0)`."""
    if not claim["effect"]:
        return ""
    exact = claim["repeats"] == "exact"
    form = ",.0f" if exact else ".2f" if claim["unit"] == "times" else "+.1f"
    effect, low, high = (format(float(claim[name]), form) if claim[name] else "" for name in ("effect", "low", "high"))
    interval = "" if exact or not low else f" [{low}, {high}]"
    name = f"{claim['comparison']}: " if claim["comparison"] else ""
    return _cell(f"{name}{effect} {claim['unit']}{interval} ({claim['claimed']})")


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def nearness_table(published: Path) -> str:
    """Every curve at the report's scale of which an epoch can be compared, as Markdown."""
    folder = published / "full"
    if not (folder / "nearness.csv").exists():
        return ""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rows = csv_rows(folder / "nearness.csv")
    has_interval = any(row["in_prediction_interval"] for row in rows)
    cells = [
        (
            ", ".join(filter(None, (f"figure {row['figure']}", row["panel"], row["series"]))),
            without_unit(row["quantity"]),
            f"{row['epochs_compared']} of {row['epochs_in_report']}",
            shown(float(row["mean_absolute_gap"])),
            shown(float(row["mean_gap"]), "+.1f"),
            shown(float(row["report"])),
            shown(float(row["ours"])),
            *[_inside(row)] * has_interval,
            row["chosen_on"],
        )
        for row in rows
        if row["mean_absolute_gap"]
    ]
    seeds = seeds_in_words(int(row["seeds"]) for row in rows if row["mean_absolute_gap"])
    header = (
        *("curve", "quantity, %", "epochs", "mean gap", "signed", "report at the last", "ours"),
        *["in our 95 %"] * has_interval,
        "chosen on it",
    )
    left = summary["runs_missing"]
    missing = (
        f" {counted(left, 'run')} of the full profile {'is' if left == 1 else 'are'} missing or unfinished: "
        "[missing.csv](results/full/missing.csv) has the commands and how long they take."
    )
    return "\n".join(
        [
            *markdown_rows(header, cells, (2, 3, 4, 5, 6)),
            "",
            f"*{_scale(summary, seeds)}. All curves: [nearness.csv](results/full/nearness.csv). Again: "
            f"`{summary['figure_command']}`, with the figure's number."
            f"{missing if left else ''}*",
            "",
        ]
    )


def _inside(row: dict[str, str]) -> str:
    """`14 of 20`: the report's points in the prediction interval of our seeds; empty for fewer than three."""
    return f"{row['in_prediction_interval']} of {row['epochs_compared']}" if row["in_prediction_interval"] else ""


def with_results(page: str, results: str, name: str) -> str:
    """A page with what stands between its two marks written anew.

    Raises:
        BadInput: it has no place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise BadInput(f"{name}: expected the lines {BEGIN!r} and {END!r} around the results; found no such place")
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"


def update(docs: Path) -> None:
    """Write the results in README, docs/claims.md and docs/nearness.md anew.

    Args:
        docs: the folder that has the published results in `results`; README is beside it.
    """
    published = docs / "results"
    for page, results in (
        (docs.parent / "README.md", headline(published)),
        (docs / "claims.md", claims_tables(published)),
        (docs / "nearness.md", nearness_table(published)),
    ):
        write_atomically(page, with_results(page.read_text(encoding="utf-8"), results, page.name).encode())
