"""The look of the report page: one HTML file that fetches nothing. All text that comes in is escaped here."""

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reproduce.files import write_atomically
from reproduce.render.looks import PNG_DOTS_PER_INCH

STYLE_SHEET = Path(__file__).with_name("page.css")
# How a verdict's cell is coloured; the word itself always says it, too.
LOOKS = {
    **{"reproduced": "good", "holds": "good", "yes": "good"},
    **{"contradicted": "bad", "does not hold": "bad", "no": "bad"},
    **{"inconclusive": "open", "too few seeds": "none", "not tested": "none", "out of regime": "none"},
    **{"within run-to-run noise": "open", "no curve": "none", "arithmetic": "none", "right": "none", "wrong": "none"},
}
# A CSS pixel is a 96th of an inch.
PIXELS_OF_PICTURES = PNG_DOTS_PER_INCH / 96


@dataclass(frozen=True)
class Section:
    """One part of the page, already HTML; its title is text.

    Attributes:
        anchor: its name in links.
        short: its title in the contents.
    """

    anchor: str
    title: str
    short: str
    parts: Sequence[str] = field(default_factory=tuple)


class Html(str):
    """What is HTML already, and is not escaped again."""


def text(value: object) -> str:
    """Text as HTML shows it."""
    return value if isinstance(value, Html) else html.escape(str(value), quote=True)


def link(shown: str, target: str) -> Html:
    """A link to an anchor of the page, or to a file beside it."""
    return Html(f'<a href="{text(target)}">{text(shown)}</a>')


def joined(parts: Sequence[str]) -> Html:
    """Text and HTML, one after the other."""
    return Html("".join(map(text, parts)))


def lines(values: Sequence[str]) -> Html:
    """One beneath the other."""
    return Html("<br>".join(map(text, values)))


def paragraph(value: str, look: str = "") -> str:
    return f'<p class="{text(look)}">{text(value)}</p>' if look else f"<p>{text(value)}</p>"


def bullets(values: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{text(value)}</li>' for value in values)}</ul>"


def tiles(values: Sequence[tuple[str, str]]) -> str:
    """Large numbers, each above what it counts."""
    return f'<ul class="tiles">{"".join(f"<li><b>{text(n)}</b> {text(what)}</li>" for n, what in values)}</ul>'


def heading(value: str, level: int = 3, anchor: str = "", look: str = "") -> str:
    """A heading; with the look `unseen` it is there for those who jump from heading to heading, and in links."""
    named = f' id="{text(anchor)}"' if anchor else ""
    looks = f' class="{text(look)}"' if look else ""
    return f"<h{level}{named}{looks}>{text(value)}</h{level}>"


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str = "",
    numeric: Sequence[int] = (),
    stacks: bool = False,
) -> str:
    """A table; the words of verdicts are coloured.

    Args:
        numeric: columns set flush right.
        stacks: on a phone each row becomes a card, in place of scrolling sideways.
    """
    head = "".join(_cell("th", name, i in numeric, "") for i, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(_cell("td", cell, i in numeric, header[i]) for i, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    look = ' class="stacks"' if stacks else ""
    content = f"<table{look}><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    # Not a <caption>, which would scroll sideways with its table.
    title = paragraph(caption, "caption") if caption else ""
    return title + _frame(content, caption or "table")


def _cell(tag: str, value: str, is_number: bool, label: str) -> str:
    looks = [*(["number"] if is_number else []), *([LOOKS[value]] if value in LOOKS and tag == "td" else [])]
    look = f' class="{" ".join(looks)}"' if looks else ""
    named = f' data-label="{text(label)}"' if label else ""
    return f"<{tag}{look}{named}>{text(value)}</{tag}>"


def _frame(content: str, label: str) -> str:
    """A frame in which what is wider than the page scrolls, with the keyboard, too."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{text(label)}">{content}</div>'


def verdict(value: str) -> str:
    """A verdict's word in its colour."""
    return f'<span class="{LOOKS[value]}">{text(value)}</span>'


def claim(statement: str, anchor: str, verdicts: Sequence[tuple[str, str]], parts: Sequence[str]) -> str:
    """A claim and what becomes of it.

    Args:
        verdicts: whose, and the verdict.
        parts: HTML that is folded away beneath.
    """
    words = "".join(f"<span>{text(whose)}: {verdict(word)}</span> " for whose, word in verdicts)
    shown = f'{heading(statement, 4)}<span class="verdicts">{words}</span>'
    return f'<details class="claim" id="{text(anchor)}"><summary>{shown}</summary>{"".join(parts)}</details>'


def folded(title: str, parts: Sequence[str], is_on_paper: bool = False) -> str:
    """Parts that are folded away under their title.

    Args:
        is_on_paper: whether they are printed even so.
    """
    look = ' class="on-paper"' if is_on_paper else ""
    return f"<details{look}><summary>{text(title)}</summary>{''.join(parts)}</details>"


def picture(path: Path, alternative: str, caption: str, is_inside: bool) -> str:
    """A PNG inside of the page, or the file of that name beside it, which a click then opens.

    Args:
        alternative: what it shows, in words, for those who cannot see it.
    """
    png = path.read_bytes()
    # A PNG's size stands in its header, in pixels.
    width, height = (round(int.from_bytes(png[at : at + 4], "big") / PIXELS_OF_PICTURES) for at in (16, 20))
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}" if is_inside else path.name
    image = f'<img src="{text(source)}" width="{width}" height="{height}" alt="{text(alternative)}">'
    frame = _frame(image if is_inside else f'<a href="{text(path.name)}">{image}</a>', "picture")
    return f"<figure>{frame}<figcaption>{text(caption)}</figcaption></figure>"


def missing(what: str, to_do: str, command: str, remark: str = "") -> str:
    """What has not been made, or not whole, and the command that makes it, with a remark on the command."""
    more = f"<br>{text(remark)}" if remark else ""
    return f'<p class="missing">{text(what)} {text(to_do)} <code>{text(command)}</code>{more}</p>'


def page(title: str, opening: Sequence[str], sections: Sequence[Section], has_pictures_inside: bool) -> str:
    """The whole page.

    Args:
        opening: HTML beneath its title.
        has_pictures_inside: whether it needs no file beside it.
    """
    style = STYLE_SHEET.read_text(encoding="utf-8")
    contents = "".join(f'<li><a href="#{text(one.anchor)}">{text(one.short)}</a></li>' for one in sections)
    body = "\n".join(
        f'<section id="{text(one.anchor)}"><h2>{text(one.title)}</h2>\n{chr(10).join(one.parts)}\n</section>'
        for one in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(policy(style, has_pictures_inside))}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n<body>\n'
        '<a class="skip" href="#summary">Skip the contents</a>\n'
        f"<header><h1>{text(title)}</h1>\n{chr(10).join(opening)}\n</header>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def policy(style: str, has_pictures_inside: bool) -> str:
    """What the browser may do, whatever text gets into the page: use this style sheet, and show pictures."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # A page that is opened from disk has an origin of its own, which the files beside it do not share.
    pictures = "data:" if has_pictures_inside else "'self' file: data:"
    return f"default-src 'none'; img-src {pictures}; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def write_page(path: Path, content: str) -> None:
    write_atomically(path, content.encode())
