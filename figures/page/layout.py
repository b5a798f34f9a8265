"""The report page: what each section of the report said, its figures, numbers and verdicts, from what is there."""

from pathlib import Path
from types import ModuleType

from figures.figure import arrangement
from figures.page import summary, verdicts
from figures.page.content import Content
from figures.page.place import Place
from figures.sections import FIGURES, SECTIONS
from figures.vgg_tables import tables
from reproduce.analysis.comparison import orders
from reproduce.render import html
from reproduce.render.comparison import cells_of, header, order_sentence
from reproduce.render.html import Section
from reproduce.render.tables import is_numeric
from reproduce.study import Study
from reproduce.text import counted_from, duration, listed, shown

TITLE = "A course report on convolutional networks for CIFAR-10, reproduced"


def write(path: Path, content: Content, place: Place) -> None:
    """Write the page."""
    sections = [Section("summary", "Summary", "Summary", summary.summary(content))]
    if content.study.is_report_scale:
        near, settings = summary.nearness(content, place), summary.settings(content, place)
        sections.append(Section("nearness", "How near: curves at the report's own scale", "How near", near))
        sections.append(Section("settings", "Settings that the report does not state", "Settings", settings))
    sections += [
        Section("claims", "The claims at a glance", "Claims", verdicts.at_a_glance(content)),
        *(_section(section, content, place) for section in SECTIONS),
        Section("provenance", "Where these numbers are from", "Provenance", _provenance(content, place)),
    ]
    html.write_page(path, html.page(TITLE, summary.opening(content), sections, place.has_pictures_inside))


def _section(section: ModuleType, content: Content, place: Place) -> Section:
    number, decisions = section.NUMBER, [one for one in content.decisions if one.claim.section == section.NUMBER]
    parts = [html.paragraph(section.SAYS)]
    for figure in section.FIGURES:
        parts += _figure(figure, content, place)
    if number == "background":
        parts += _tables()
    parts += [html.heading("What it claims"), *map(verdicts.claim, decisions)]
    anchor = number if number == "background" else f"section-{number}"
    return Section(anchor, section.TITLE, section.TITLE.removeprefix("Section "), parts)


def _figure(number: int, content: Content, place: Place) -> list[str]:
    anchor = f"figure-{number}"
    lacks = []
    if number in content.missing:
        lacking, wanted = content.missing[number]
        has = (
            f"With {counted_from(*content.seeds[number], 'seed')} a curve instead of {content.study.scale.seeds}"
            if number in content.seeds
            else "Not here"
        )
        missing = f"{has}: {lacking} of its {wanted} runs are missing or unfinished."
        to_do = "For all" if number in content.seeds else "To make it"
        command, remark = content.study.options.make_command(anchor), _data_remark(content.study, place)
        lacks = [html.missing(missing, f"{to_do}:", command, remark)]
    if number not in content.pictures:
        return [html.heading(f"Figure {number}. {FIGURES[number].title}", anchor=anchor), *lacks]
    picture = content.pictures[number]
    if number == 1:
        alternative = (
            "Table of the six VGG columns A, A-LRN, B, C, D and E, layer by layer, with A, D and E framed, the blocks "
            "that the report keeps for 32 x 32 images marked, and the exact parameter counts of each column."
        )
        caption = "Computed from one description of the networks."
        title = html.heading("Figure 1. Comparison of deep networks", anchor=anchor, look="unseen")
        return [title, html.picture(picture, alternative, caption, place.has_pictures_inside)]
    figure, rows, study = FIGURES[number], content.rows[number], content.study
    values = "; ".join(f"{row.label}: report {shown(row.report)}, ours {shown(row.ours)}" for row in rows)
    alternative = (
        f"{figure.title}, over the epochs. {arrangement(figure, study)}. Values at the last common epoch in "
        f"percent: {values}."
    )
    found = html.lines([f"{order_sentence(order)}." for order in orders(rows)])
    columns = header(study.is_report_scale)[:-1]
    cells = [cells_of(row, "", study.is_report_scale) for row in rows]
    # The figure's quantity names the panel where there is but one; what remains of the data's column is a remark.
    cells = [(line[0] or row.quantity, line[1] + line[-1], *line[2:-1]) for line, row in zip(cells, rows, strict=True)]
    units = "percent; gaps in points" if study.is_report_scale else "percent"
    about = f"At the last common epoch, {units}. Rank 1 is the best; tau is 1 where all series have the report's order."
    return [
        # The picture has the title already.
        html.heading(f"Figure {number}. {figure.title}", anchor=anchor, look="unseen"),
        html.picture(picture, alternative, found, place.has_pictures_inside),
        *lacks,
        html.folded(
            f"Figure {number} in numbers, and what they are from",
            [
                html.table(columns, cells, about, numeric=range(2, len(columns))),
                html.paragraph(" ".join(content.captions[number]), "soft"),
            ],
            is_on_paper=True,
        ),
    ]


def _data_remark(study: Study, place: Place) -> str:
    """What readers of a published page do without its data; empty where they have it."""
    if place.has_pictures_inside or not study.unpublished_file:
        return ""
    return (
        f"{study.unpublished_file} is not published. Leave DATA=… out to run the same on the real CIFAR-10; the "
        "numbers will differ a little."
    )


def _tables() -> list[str]:
    parts = [html.heading("Tables")]
    for table in tables():
        columns = range(len(table.header))
        cells = [[table.shown(row, column) for column in columns] for row in range(len(table.rows))]
        numeric = [column for column in columns if is_numeric(table, column)]
        notes = [html.paragraph(note, "soft") for note in table.notes]
        parts.append(html.folded(table.title, [html.table(table.header, cells, "", numeric=numeric), *notes]))
    return parts


def _provenance(content: Content, place: Place) -> list[str]:
    scale, dataset, found = content.study.scale, content.study.dataset, content.origins
    epochs = str(scale.epochs) if scale.epochs else "as many as the report's curves"
    drawn = content.study.draws
    rows = [
        ("profile", content.study.options.profile),
        ("data", dataset.name),
        (f"data fingerprint (SHA-256 of the decoded arrays){' of seed 0' if drawn else ''}", dataset.fingerprint),
        ("images", f"{len(dataset.y_train):,} for training{drawn}, {len(dataset.y_test):,} for the test"),
        ("network", f"width {scale.width:g} of the report's, batch size {scale.batch_size}"),
        ("epochs", epochs),
        (
            "seeds asked for",
            ", ".join(map(str, range(scale.seeds))) if scale.seeds <= 20 else f"0 to {scale.seeds - 1}",
        ),
        ("runs", f"{content.runs}"),
        ("time of all runs", duration(content.seconds)),
        ("engine and device", found.engines_text or "no run yet"),
        ("machine", listed(found.machines) or "no run yet"),
        ("commit", listed(found.commits) or "not in a checkout"),
        *([("code that decides numbers", listed(found.codes))] if found.codes else []),
        *((name, listed(versions)) for name, versions in found.versions),
        ("this page", content.study.options.make_command("report")),
    ]
    return [
        html.paragraph("The report's curves were read off its published figures, to about 0.3 points."),
        html.folded("Data, runs, machine and versions", [html.table(("what", "value"), rows, "", stacks=True)]),
        html.bullets(
            [
                place.document("errata.md", "What the report gets wrong or does not say"),
                place.document("claims.md", "How a claim is decided"),
            ]
        ),
    ]
