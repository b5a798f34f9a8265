"""The report page: what each section of the report said, its figures, numbers and verdicts, from what is there."""

import math
from pathlib import Path

from figures import walk
from figures.background_tables import tables
from figures.claims import SECTION_NUMBERS
from figures.claims.decisions import Decision
from figures.claims.tables import effect_text, interval_text, p_text
from figures.page_content import SECTIONS, Content
from figures.sections import FIGURES
from reproduce import report
from reproduce.comparison import Row, cells_of, header, order_sentences, shown
from reproduce.markdown import to_html
from reproduce.profiles import Options
from reproduce.report import Section
from reproduce.statistics import VERDICTS

TITLE = "A course report on convolutional networks for CIFAR-10, reproduced"
ERRATA = Path(__file__).resolve().parent.parent / "docs" / "errata.md"


def command(target: str, options: Options) -> str:
    """The command that makes a target with these settings."""
    given = options.differing_from(Options())
    return " ".join(["make", target, *(f"{name.upper()}={value}" for name, value in given.items())])


def write(path: Path, content: Content) -> None:
    """Write the page."""
    sections = [
        Section("summary", "Summary", _summary(content)),
        *(_section(number, content) for number in SECTION_NUMBERS),
        Section("provenance", "Where these numbers are from", _provenance(content)),
        Section("errata", "Errata of the report", _errata()),
    ]
    report.write_page(path, report.page(TITLE, _opening(content), sections))


def _opening(content: Content) -> list[str]:
    dataset, options = content.dataset, content.options
    parts = []
    if dataset.is_synthetic:
        banner = "SYNTHETIC DATA. All results below are on a procedural stand-in: they say nothing about CIFAR-10."
        parts.append(report.paragraph(banner, "banner"))
    parts.append(
        report.paragraph(
            f"Every figure and claim of the report, made again with its own network in Chainer: {options.profile} "
            f"profile, {dataset.name}."
        )
    )
    if (sentence := walk.scale_sentence(options, dataset)) and not dataset.is_synthetic:
        parts.append(report.paragraph(sentence, "notice"))
    return parts


def _summary(content: Content) -> list[str]:
    verdicts = [decision.verdict for decision in content.decisions]
    mark = " on synthetic data" if content.dataset.is_synthetic else ""
    done, all_figures = len(content.pictures), len(FIGURES) + 1
    counted = [(str(verdicts.count(verdict)), f"claims {verdict}{mark}") for verdict in VERDICTS]
    parts = [report.tiles([(f"{done} of {all_figures}", "figures made"), *counted])]
    orders = [sentence for rows in content.rows.values() for sentence in order_sentences(rows)]
    if orders:
        same = sum("same order" in sentence for sentence in orders)
        parts.append(report.paragraph(f"Our series come in the report's order in {same} of {len(orders)} panels."))
    if content.rows and walk.is_report_scale(content.options, content.dataset):
        parts.append(_largest_gaps(content))
    elif content.rows:
        parts.append(report.paragraph("Gaps in points are given at the report's own scale only.", "soft"))
    parts += [report.paragraph(sentence, "notice") for sentence in content.origins.warnings()]
    parts.append(_verdicts_at_a_glance(content))
    parts.append(
        report.paragraph(
            "Our verdicts rest on 95 % confidence intervals over seeds (Student's t on paired differences) and on "
            "p-values corrected over all claims (Holm). With few seeds and small networks most differences cannot be "
            "told from chance: 'inconclusive' is not 'wrong'. The report's own curves are single runs, read off its "
            "pictures: what holds for them may be chance, too.",
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
            ", ".join(filter(None, (r.panel, r.series))),
            r.quantity,
            shown(r.mean_absolute_gap),
            shown(r.gap, "+.1f"),
        )
        for n, r in rows[:5]
    ]
    columns = ("figure", "series", "quantity", "mean |gap|, points", "last gap, points")
    return report.table(columns, cells, "The largest gaps to the report", numeric=(3, 4))


def _name(row: Row) -> str:
    return ", ".join(filter(None, (row.panel, row.series)))


def _verdicts_at_a_glance(content: Content) -> str:
    rows = [(one.claim.statement, one.claim.section, one.verdict, one.report_decision) for one in content.decisions]
    caption = f"The report's claims. Verdicts on our runs: {content.options.profile} profile, {content.dataset.name}"
    return report.table(("claim", "section", "our runs", "the report's own curves"), rows, caption, stacks=True)


def _section(number: str, content: Content) -> Section:
    title, figures, said = SECTIONS[number]
    decisions = [one for one in content.decisions if one.claim.section == number]
    statements = [one.claim.statement for one in decisions]
    parts = [report.heading("What the report says"), report.paragraph(said)]
    parts += [report.paragraph("It states:"), report.bullets(statements)]
    for figure in figures:
        parts += _figure(figure, content)
    if number == "background":
        parts += _tables()
    where = f"Our runs: {content.options.profile} profile, {content.dataset.name}."
    parts += [report.heading("Verdicts"), report.paragraph(where, "caption"), *map(_verdict, decisions)]
    return Section("background" if number == "background" else f"section-{number}", title, parts)


def _figure(number: int, content: Content) -> list[str]:
    parts = [report.heading(f"Figure {number}")]
    if number not in content.pictures:
        missing = f"Figure {number} has not been made with these settings."
        return [*parts, report.missing(missing, command(f"figure-{number}", content.options))]
    png = content.pictures[number].read_bytes()
    if number == 1:
        alternative = (
            "Table of the six VGG columns A, A-LRN, B, C, D and E, layer by layer, with A, D and E framed, the blocks "
            "that the report keeps for 32 x 32 images marked, and the exact parameter counts of each column."
        )
        return [*parts, report.picture(png, alternative, "Computed from one description of the networks.")]
    figure, rows = FIGURES[number], content.rows[number]
    values = "; ".join(f"{_name(row)}: report {shown(row.report)}, ours {shown(row.ours)}" for row in rows)
    alternative = (
        f"{figure.title}, over the epochs. Above the report's own curves, below ours in the same axes. Values at the "
        f"last common epoch in percent: {values}."
    )
    caption = f"Figure {number}. {figure.title}. Above: the report's own curves. Below: ours, {content.dataset.name}."
    is_full_scale = walk.is_report_scale(content.options, content.dataset)
    columns = header(is_full_scale)
    numbers = range(2, len(columns) - 1)
    cells = [cells_of(row, content.dataset.name, is_full_scale) for row in rows]
    # The figure's quantity names the panel where there is but one.
    cells = [(line[0] or row.quantity, *line[1:]) for line, row in zip(cells, rows, strict=True)]
    units = "percent; gaps in points" if is_full_scale else "percent"
    return [
        *parts,
        report.picture(png, alternative, caption),
        report.table(columns, cells, f"At the last common epoch, {units}; ranks: 1 is the best", numeric=numbers),
        report.bullets([f"{sentence}." for sentence in order_sentences(rows)]),
    ]


def _tables() -> list[str]:
    parts = [report.heading("Tables")]
    for table in tables():
        columns = range(len(table.header))
        cells = [[table.shown(row, column) for column in columns] for row in range(len(table.rows))]
        numeric = [c for c in columns if all(isinstance(row[c], int) or not row[c] for row in table.rows)]
        notes = [report.paragraph(note, "soft") for note in table.notes]
        body = [report.table(table.header, cells, numeric=numeric), *notes]
        # The two that the report itself prints and gets judged by; the others are long.
        parts.append(report.folded(table.title, body, is_open=table.name in ("table-2", "memory-table-as-printed")))
    return parts


def _verdict(decision: Decision) -> str:
    """A claim with its verdicts, and the comparisons that they rest on."""
    columns = ("measured", "claimed", "effect", "95 % interval", "the report's curves")
    rows = []
    for outcome in decision.outcomes:
        comparison, found = outcome.comparison, outcome.estimate
        decides = len(decision.outcomes) > 1 and outcome is decision.decisive
        rows.append(
            (
                comparison.measure + (" (the weakest: decides)" if decides else ""),
                comparison.claimed_in_words(),
                effect_text(found.effect, comparison.unit),
                interval_text(found, comparison.unit),
                effect_text(outcome.report, comparison.unit),
            )
        )
    p = "" if math.isnan(decision.p_corrected) else f", p = {p_text(decision.p_corrected)}".replace("= <", "<")
    verdicts = [
        ("Our runs", decision.verdict, f", {decision.decisive.repeats}{p}"),
        ("The report's own curves", decision.report_decision, _basis_on_report(decision)),
    ]
    unit = decision.decisive.comparison.unit
    effects = "Effects are ratios of times." if unit == "times" else f"Effects in {unit}."
    all_of = " The claim holds if each of these does." if len(rows) > 1 else ""
    table = report.table(columns, rows, effects + all_of, numeric=(2, 3, 4), stacks=True)
    note = [report.paragraph(f"Note: {decision.note}.", "soft")] if decision.note else []
    return report.claim(decision.claim.statement, verdicts, [table, *note])


def _basis_on_report(decision: Decision) -> str:
    if decision.decisive.repeats == "exact":
        return ", computed"
    if any(line.figure is None for o in decision.outcomes for line in o.comparison.curves.values()):
        return ", since it shows no curve for it" if decision.report_decision == "cannot be told" else ""
    return ", one run each" if decision.decisive.comparison.curves else ", since it shows no times"


def _provenance(content: Content) -> list[str]:
    scale, dataset, found = content.options.scale(), content.dataset, content.origins
    epochs = str(scale.epochs) if scale.epochs else "as many as the report's curves"
    rows = [
        ("profile", content.options.profile),
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
        ("this page", command("report", content.options)),
    ]
    return [
        report.table(("what", "value"), rows, stacks=True),
        report.paragraph("The report's curves were read off its published figures, to about 0.3 points.", "soft"),
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
        return [
            report.paragraph("The errata are kept in the project's repository, docs/errata.md; it is not installed.")
        ]
    # The file's own title is this section's.
    body = "\n".join(line for line in content.splitlines() if not line.startswith("# "))
    return [to_html(body, top_level=2)]
