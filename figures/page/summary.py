"""The top of the page: what is here and what is not, how near it comes, and what its settings are from."""

import math
from collections import Counter
from collections.abc import Sequence

from figures.claims.decide import ARITHMETIC, RIGHT, WRONG
from figures.figure import scale_sentence
from figures.nearness import Pair, trained_in_words
from figures.page.content import Content
from figures.page.place import Place
from figures.sections import FIGURE_NUMBERS
from reproduce.analysis.significance import CONTRADICTED, REPRODUCED, TOO_FEW_SEEDS, VERDICTS
from reproduce.render import html
from reproduce.render.comparison import orders_sentence
from reproduce.text import counted, counted_from, shown
from reproduce.unstated.answers import verdict
from reproduce.unstated.known import KNOWN


def opening(content: Content) -> list[str]:
    """Beneath the title: whose results these are, and what may be concluded from them."""
    study = content.study
    dataset, scale = study.dataset, study.scale
    parts = []
    if dataset.is_synthetic:
        banner = "SYNTHETIC DATA. All results below are on a procedural stand-in: they say nothing about CIFAR-10."
        parts.append(html.paragraph(banner, "banner"))
    decided = sum(one.verdict in (REPRODUCED, CONTRADICTED, RIGHT, WRONG) for one in content.decisions)
    width = "the report's width" if scale.width == 1 else f"width {scale.width:g} of the report's"
    parts.append(
        html.paragraph(
            f"{len(content.pictures)} of the report's {len(FIGURE_NUMBERS)} figures made again with its own network in "
            f"Chainer, and {decided} of its {len(content.decisions)} claims decided: {study.options.profile} profile, "
            f"{dataset.name}, {len(dataset.y_train):,} training{study.draws} and {len(dataset.y_test):,} test "
            f"images, {width}{_seeds_of_figures(content)}.",
            "lead",
        )
    )
    if (sentence := scale_sentence(study)) and not dataset.is_synthetic:
        parts.append(html.paragraph(sentence, "notice"))
    return parts


def _seeds_of_figures(content: Content) -> str:
    counts = [count for of_figure in content.seeds.values() for count in of_figure]
    return f", {counted_from(min(counts), max(counts), 'seed')}" if counts else ""


def summary(content: Content) -> list[str]:
    """What is here and what is not, counted and by name."""
    computed = [one for one in content.decisions if one.report_decision == ARITHMETIC]
    by_runs = Counter(one.verdict for one in content.decisions if one.report_decision != ARITHMETIC)
    mark = " on synthetic data" if content.study.dataset.is_synthetic else ""
    right = sum(one.verdict == RIGHT for one in computed)
    counts = [
        (f"{len(content.pictures)} of {len(FIGURE_NUMBERS)}", "figures made"),
        *((str(by_runs[word]), f"claims {'with ' * (word == TOO_FEW_SEEDS)}{word}{mark}") for word in VERDICTS),
        (f"{right} of {len(computed)}", "arithmetic claims right"),
    ]
    warnings = [html.paragraph(sentence, "notice") for sentence in content.origins.warnings()]
    return [html.tiles(counts), html.bullets(_here_and_not(content)), *warnings]


def _here_and_not(content: Content) -> list[str]:
    lines: list[str] = [html.joined(["Here: ", *_figures(sorted(content.pictures)), "."])]
    if fewer := sorted(content.missing.keys() & content.pictures.keys()):
        why = f"; each of their curves is the mean of those of {content.study.scale.seeds} seeds that are trained."
        lines.append(html.joined(["With fewer seeds: ", *_figures(fewer), why]))
    if absent := sorted(content.missing.keys() - content.pictures.keys()):
        why = ". Runs are missing or unfinished; the figure's place says how many, and which command makes it."
        lines.append(html.joined(["Not here: ", *_figures(absent), why]))
    # That of a curve with a seed that diverged is infinite.
    if near := [pair.gap for pair in content.pairs if pair.is_mostly_there and math.isfinite(pair.gap)]:
        trained = trained_in_words([(len(pair.common), len(pair.report.epochs)) for pair in content.pairs])
        sentence = f"{trained}, and lie {min(near):.1f} to {max(near):.1f} points from it on average: "
        lines.append(html.joined([sentence, html.link("how near", "#nearness"), "."]))
    if content.orders:
        lines.append(orders_sentence(content.orders, "Our series"))
    if content.rows and not content.study.is_report_scale:
        lines.append("Gaps in points are given at the report's own scale only.")
    return lines


def _figures(numbers: Sequence[int]) -> list[str]:
    links = [part for number in numbers for part in (", ", html.link(str(number), f"#figure-{number}"))]
    return [f"figure{'s' * (len(numbers) > 1)} ", *links[1:]]


def nearness(content: Content, place: Place) -> list[str]:
    """The curves at the report's scale, over the report's own."""
    if not content.nearness:
        return [html.paragraph("No run has half of the epochs of one of the report's curves yet.")]
    near = [pair for pair in content.pairs if pair.is_mostly_there]
    alternative = (
        "Curves at the report's own scale, ours solid and the report's dashed, over the epochs. Mean distances in "
        f"points: {'; '.join(f'{_name(pair)} {shown(pair.gap)}' for pair in near)}."
    )
    columns = ["curve", "quantity", "epochs", "mean gap", "signed", "report at the last", "ours"]
    has_interval = any(pair.in_prediction_interval is not None for pair in near)
    rows = [
        (
            _name(pair),
            pair.series.quantity,
            f"{len(pair.common)} of {len(pair.report.epochs)}",
            shown(pair.gap),
            shown(pair.signed_gap, "+.1f"),
            shown(float(pair.report_mean[-1])),
            shown(float(pair.ours.mean()[pair.common[-1]])),
            *[_inside(pair)] * has_interval,
        )
        for pair in near
    ]
    caption = "Gaps in points over the epochs that both have; the curves' values in percent"
    if has_interval:
        caption += "; in our 95 %: how many of the report's points lie where a further run of ours would with 95 %"
    drawn = f"The {counted(len(near), 'curve')} of which we have at least half of the report's epochs."
    columns += ["in our 95 %"] * has_interval
    gaps = html.table(columns, rows, caption, numeric=range(2, len(columns)))
    return [
        html.picture(content.nearness, alternative, drawn, place.has_pictures_inside),
        html.folded("The gaps in numbers", [gaps], is_on_paper=True),
        html.paragraph(place.document("nearness.md", "All curves, and which of them a setting was chosen on")),
    ]


def _inside(pair: Pair) -> str:
    inside = pair.in_prediction_interval
    return "" if inside is None else f"{inside} of {len(pair.common)}"


def _name(pair: Pair) -> str:
    return ", ".join(filter(None, (f"figure {pair.series.figure}", pair.series.panel, pair.series.name)))


def settings(content: Content, place: Place) -> list[str]:
    """Where each setting is from, and which candidates come nearest to the report's curves."""
    parts = []
    if content.settings:
        alternative = "For each setting that the report does not state, its candidates' curves over the report's own."
        caption = "Each candidate for a setting that the report does not state, and the report's curve."
        parts.append(html.picture(content.settings, alternative, caption, place.has_pictures_inside))
    found = [f"{answer.question.asks} {verdict(answer)}" for answer in content.answers]
    rows = [(known.setting, known.value, known.kind, known.source) for known in KNOWN]
    columns = ("setting", "value", "how it is known", "where")
    return [
        *parts,
        html.folded("What each comparison says", [html.bullets(found)]),
        html.folded("What is known, and how", [html.table(columns, rows, "Settings and their sources", stacks=True)]),
        html.paragraph(place.document("settings.md", "All candidates with their gaps")),
    ]
