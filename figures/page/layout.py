"""The report page: what each section of the report said, its figures, numbers and verdicts, from what is there."""

import math
from pathlib import Path
from types import ModuleType

from figures.claims.decide import ARITHMETIC, NO_CURVE, Decision
from figures.claims.tables import effect_text, interval_text, p_text
from figures.figure import arrangement, scale_sentence
from figures.page.content import Content
from figures.sections import FIGURES, SECTIONS
from figures.vgg_tables import tables
from reproduce.analysis.comparison import orders
from reproduce.analysis.significance import VERDICTS
from reproduce.render import html
from reproduce.render.comparison import cells_of, header, order_sentence, orders_sentence
from reproduce.render.html import Section
from reproduce.render.markdown import to_html
from reproduce.text import shown

TITLE = "A course report on convolutional networks for CIFAR-10, reproduced"
ERRATA = Path(__file__).resolve().parents[2] / "docs" / "errata.md"


def write(path: Path, content: Content) -> None:
    """Write the page."""
    sections = [
        Section("summary", "Summary", _summary(content)),
        *(_section(section, content) for section in SECTIONS),
        Section("provenance", "Where these numbers are from", _provenance(content)),
        Section("errata", "Errata of the report", _errata()),
    ]
    html.write_page(path, html.page(TITLE, _opening(content), sections))


def _opening(content: Content) -> list[str]:
    study = content.study
    dataset, options = study.dataset, study.options
    parts = []
    if dataset.is_synthetic:
        banner = "SYNTHETIC DATA. All results below are on a procedural stand-in: they say nothing about CIFAR-10."
        parts.append(html.paragraph(banner, "banner"))
    parts.append(
        html.paragraph(
            f"Every figure and claim of the report, made again with its own network in Chainer: {options.profile} "
            f"profile, {dataset.name}."
        )
    )
    if (sentence := scale_sentence(study)) and not dataset.is_synthetic:
        parts.append(html.paragraph(sentence, "notice"))
    return parts


def _summary(content: Content) -> list[str]:
    verdicts = [decision.verdict for decision in content.decisions]
    mark = " on synthetic data" if content.study.dataset.is_synthetic else ""
    done, all_figures = len(content.pictures), len(FIGURES) + 1
    counted = [(str(verdicts.count(verdict)), f"claims {verdict}{mark}") for verdict in VERDICTS]
    parts = [html.tiles([(f"{done} of {all_figures}", "figures made"), *counted])]
    if content.orders:
        parts.append(html.paragraph(orders_sentence(content.orders, "Our series")))
    if content.rows and content.study.is_report_scale:
        parts.append(_largest_gaps(content))
    elif content.rows:
        parts.append(html.paragraph("Gaps in points are given at the report's own scale only.", "soft"))
    parts += [html.paragraph(sentence, "notice") for sentence in content.origins.warnings()]
    parts.append(_verdicts_at_a_glance(content))
    parts.append(
        html.paragraph(
            "Our verdicts rest on intervals that all hold at once with 95 % confidence; the seeds of all comparisons "
            "together tell how wide they are. 'Inconclusive' is not 'wrong': these seeds cannot tell it from chance. "
            "'Out of regime': at this scale a network ends more than 15 points from the report's own train error, and "
            "nothing is said about the report. The report's own curves are single runs: what holds for them by less "
            "than two standard deviations of such runs is 'within run-to-run noise'.",
            "soft",
        )
    )
    return parts


def _largest_gaps(content: Content) -> str:
    rows = [(number, row) for number, rows in content.rows.items() for row in rows]
    rows.sort(key=lambda pair: -pair[1].mean_absolute_gap)
    cells = [
        (
            f"{n}",
            r.label,
            r.quantity,
            shown(r.mean_absolute_gap),
            shown(r.gap, "+.1f"),
        )
        for n, r in rows[:5]
    ]
    columns = ("figure", "series", "quantity", "mean |gap|, points", "last gap, points")
    return html.table(columns, cells, "The largest gaps to the report", numeric=(3, 4))


def _verdicts_at_a_glance(content: Content) -> str:
    rows = [(one.claim.statement, one.claim.section, one.verdict, one.report_decision) for one in content.decisions]
    study = content.study
    caption = f"The report's claims. Verdicts on our runs: {study.options.profile} profile, {study.dataset.name}"
    return html.table(("claim", "section", "our runs", "the report's own curves"), rows, caption, stacks=True)


def _section(section: ModuleType, content: Content) -> Section:
    number, decisions = section.NUMBER, [one for one in content.decisions if one.claim.section == section.NUMBER]
    statements = [one.claim.statement for one in decisions]
    parts = [html.heading("What the report says"), html.paragraph(section.SAYS)]
    parts += [html.paragraph("It states:"), html.bullets(statements)]
    for figure in section.FIGURES or (1,):
        parts += _figure(figure, content)
    if number == "background":
        parts += _tables()
    where = f"Our runs: {content.study.options.profile} profile, {content.study.dataset.name}."
    parts += [html.heading("Verdicts"), html.paragraph(where, "caption"), *map(_verdict, decisions)]
    return Section("background" if number == "background" else f"section-{number}", section.TITLE, parts)


def _figure(number: int, content: Content) -> list[str]:
    parts = [html.heading(f"Figure {number}")]
    if number not in content.pictures:
        missing = f"Figure {number} has not been made with these settings."
        return [*parts, html.missing(missing, content.study.options.make_command(f"figure-{number}"))]
    png = content.pictures[number].read_bytes()
    if number == 1:
        alternative = (
            "Table of the six VGG columns A, A-LRN, B, C, D and E, layer by layer, with A, D and E framed, the blocks "
            "that the report keeps for 32 x 32 images marked, and the exact parameter counts of each column."
        )
        return [*parts, html.picture(png, alternative, "Computed from one description of the networks.")]
    figure, rows = FIGURES[number], content.rows[number]
    values = "; ".join(f"{row.label}: report {shown(row.report)}, ours {shown(row.ours)}" for row in rows)
    alternative = (
        f"{figure.title}, over the epochs. {arrangement(figure, content.study)}. Values at the last common epoch in "
        f"percent: {values}."
    )
    caption = " ".join(
        [f"Figure {number}. {figure.title}. {arrangement(figure, content.study)}.", *content.captions[number]]
    )
    study = content.study
    columns = header(study.is_report_scale)
    numbers = range(2, len(columns) - 1)
    cells = [cells_of(row, study.dataset.name, study.is_report_scale) for row in rows]
    # The figure's quantity names the panel where there is but one.
    cells = [(line[0] or row.quantity, *line[1:]) for line, row in zip(cells, rows, strict=True)]
    units = "percent; gaps in points" if study.is_report_scale else "percent"
    return [
        *parts,
        html.picture(png, alternative, caption),
        html.table(columns, cells, f"At the last common epoch, {units}; ranks: 1 is the best", numeric=numbers),
        html.bullets([f"{order_sentence(order)}." for order in orders(rows)]),
    ]


def _tables() -> list[str]:
    parts = [html.heading("Tables")]
    for table in tables():
        columns = range(len(table.header))
        cells = [[table.shown(row, column) for column in columns] for row in range(len(table.rows))]
        numeric = [c for c in columns if all(isinstance(row[c], int) or not row[c] for row in table.rows)]
        notes = [html.paragraph(note, "soft") for note in table.notes]
        body = [html.table(table.header, cells, numeric=numeric), *notes]
        # The two that the report itself prints and gets judged by; the others are long.
        parts.append(html.folded(table.title, body, is_open=table.name in ("table-2", "memory-table-as-printed")))
    return parts


def _verdict(decision: Decision) -> str:
    """A claim with its verdicts, and the comparisons that they rest on."""
    columns = ("measured", "claimed", "effect", "95 % interval, all at once", "the report's curves")
    rows = []
    for outcome in decision.outcomes:
        comparison, found = outcome.comparison, outcome.estimate
        mark = ""
        if len(decision.outcomes) > 1 and outcome is decision.decisive:
            mark = " (the weakest: decides)"
        elif not comparison.decides:
            mark = " (shown beside it: does not decide)"
        rows.append(
            (
                comparison.measure + mark,
                comparison.claimed_in_words(),
                effect_text(found.effect, comparison.unit),
                interval_text(found, comparison.unit),
                effect_text(outcome.report, comparison.unit),
            )
        )
    p = "" if math.isnan(decision.p_corrected) else f", p = {p_text(decision.p_corrected)}".replace("= <", "<")
    repeats = decision.decisive.repeats
    stable = f", the same in {decision.stable} of {decision.left_out} cases with one left out" if p else ""
    verdicts = [
        ("Our runs", decision.verdict, f", {repeats}{p}{stable}"),
        ("The report's own curves", decision.report_decision, _basis_on_report(decision)),
    ]
    unit = decision.decisive.comparison.unit
    effects = "Effects are ratios of times." if unit == "times" else f"Effects in {unit}."
    deciding = sum(outcome.comparison.decides for outcome in decision.outcomes)
    all_of = " The claim holds if each of these does." if deciding > 1 else ""
    table = html.table(columns, rows, effects + all_of, numeric=(2, 3, 4), stacks=True)
    note = [html.paragraph(f"Note: {decision.note}.", "soft")] if decision.note else []
    return html.claim(decision.claim.statement, verdicts, [html.paragraph(decision.claim.decides), table, *note])


def _basis_on_report(decision: Decision) -> str:
    decisive = decision.report_decisive
    if decision.report_decision == ARITHMETIC:
        return ": it needs no curve"
    if decision.report_decision == NO_CURVE:
        return " shows it" if decisive.comparison.curves else ": it shows no times"
    return f", one run each, standard deviation from run to run {decisive.report_noise:.1f} {decisive.comparison.unit}"


def _provenance(content: Content) -> list[str]:
    scale, dataset, found = content.study.scale, content.study.dataset, content.origins
    epochs = str(scale.epochs) if scale.epochs else "as many as the report's curves"
    rows = [
        ("profile", content.study.options.profile),
        ("data", dataset.name),
        ("data fingerprint (SHA-256 of the decoded arrays)", dataset.fingerprint),
        ("images", f"{len(dataset.y_train):,} for training, {len(dataset.y_test):,} for the test"),
        ("network", f"width {scale.width:g} of the report's, batch size {scale.batch_size}"),
        ("epochs", epochs),
        ("seeds", ", ".join(map(str, range(scale.seeds))) if scale.seeds <= 20 else f"0 to {scale.seeds - 1}"),
        ("runs", f"{content.runs}"),
        ("time of all runs", _duration(content.seconds)),
        ("engine and device", found.engines_text or "no run yet"),
        ("machine", " and ".join(found.machines) or "no run yet"),
        ("commit", " and ".join(found.commits) or "not in a checkout"),
        *((name, " and ".join(versions)) for name, versions in found.versions),
        ("this page", content.study.options.make_command("report")),
    ]
    return [
        html.table(("what", "value"), rows, stacks=True),
        html.paragraph("The report's curves were read off its published figures, to about 0.3 points.", "soft"),
    ]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
    )


def _errata() -> list[str]:
    try:
        content = ERRATA.read_text(encoding="utf-8")
    except OSError:
        return [html.paragraph("The errata are kept in the project's repository, docs/errata.md; it is not installed.")]
    # The file's own title is this section's.
    body = "\n".join(line for line in content.splitlines() if not line.startswith("# "))
    return [to_html(body, top_level=2)]
