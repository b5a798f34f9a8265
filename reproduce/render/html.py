"""The look of the report page: one HTML file that needs nothing beside it. All text that comes in is escaped here."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reproduce.files import write_atomically

# Nothing may be fetched and nothing run, whatever text gets into the page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { --ink: #1c1e21; --soft: #5a6068; --line: #d9dde2; --paper: #ffffff; --tint: #f4f6f8;
  --good: #0b6b45; --bad: #a6321b; --open: #6a5200; --none: #5a6068; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1rem 1.1rem 4rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .6rem 0 .4rem; }
h2 { font-size: 1.35rem; margin: 2.6rem 0 .6rem; padding-top: .8rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.08rem; margin: 1.6rem 0 .4rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, ul, ol { margin: .5rem 0; max-width: 46rem; }
ul, ol { padding-left: 1.3rem; }
a { color: #0b5394; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
code { background: var(--tint); padding: .05em .25em; }
pre { background: var(--tint); padding: .7rem; overflow-x: auto; }
pre code { padding: 0; }
.soft { color: var(--soft); font-size: .92rem; }
.banner { border: 3px solid var(--bad); color: var(--bad); padding: .6rem .9rem; font-weight: 700; max-width: none; }
.notice { border-left: 4px solid var(--open); background: var(--tint); padding: .5rem .9rem; }
.missing { border: 2px dashed var(--line); padding: 1rem; color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; padding: 0; list-style: none; max-width: none; }
.tiles li { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .8rem; min-width: 8rem; flex: 1; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; }
nav ol { columns: 2; column-gap: 2rem; }
figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 46rem; }
.scroll { overflow-x: auto; }
img { display: block; max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .92rem; }
.caption { color: var(--soft); font-size: .92rem; margin: .9rem 0 0; }
details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; }
.claim { border-left: 3px solid var(--line); padding-left: .9rem; margin: 1.3rem 0; }
.claim h4 { margin: 0 0 .2rem; }
th, td { padding: .28rem .6rem .28rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { border-bottom: 2px solid var(--ink); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good, .bad, .open, .none { font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); } .none { color: var(--none); }
@media (max-width: 46rem) {
  body { padding: .6rem .8rem 3rem; }
  nav ol { columns: 1; }
  .scroll img { max-width: none; }
  table:not(.stacks) td { white-space: nowrap; }
  table.stacks thead { display: none; }
  table.stacks, table.stacks tbody, table.stacks tr, table.stacks td { display: block; width: 100%; }
  table.stacks tr { border: 1px solid var(--line); border-radius: .4rem; padding: .3rem .6rem; margin: .5rem 0; }
  table.stacks td { border: 0; padding: .12rem 0; text-align: left; white-space: normal; }
  table.stacks td:empty { display: none; }
  table.stacks td::before { content: attr(data-label) ": "; color: var(--soft); font-weight: 400; }
  table.stacks td:first-child { font-weight: 600; }
  table.stacks td:first-child::before { content: ""; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  a { color: inherit; text-decoration: none; }
  h2 { break-before: page; } #summary, #contents { break-before: auto; }
  h2, h3, h4, .caption { break-after: avoid; }
  figure, tr, .tiles, .claim { break-inside: avoid; }
  details::details-content { content-visibility: visible; }
  .scroll { overflow: visible; }
  figure img { max-height: 22cm; width: auto; }
}
"""
# How a verdict's cell is coloured; the word itself always says it, too.
LOOKS = {
    **{"reproduced": "good", "holds": "good", "yes": "good"},
    **{"contradicted": "bad", "does not hold": "bad", "no": "bad"},
    **{"inconclusive": "open", "not tested": "none", "out of regime": "none"},
    **{"within run-to-run noise": "open", "no curve": "none", "arithmetic": "none"},
}


@dataclass(frozen=True)
class Section:
    """One part of the page, already HTML; its title is text.

    Attributes:
        anchor: its name in links.
    """

    anchor: str
    title: str
    parts: Sequence[str] = field(default_factory=tuple)


def text(value: object) -> str:
    """Text as HTML shows it."""
    return html.escape(str(value), quote=True)


def paragraph(value: str, look: str = "") -> str:
    return f'<p class="{text(look)}">{text(value)}</p>' if look else f"<p>{text(value)}</p>"


def bullets(values: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{text(value)}</li>' for value in values)}</ul>"


def tiles(values: Sequence[tuple[str, str]]) -> str:
    """Large numbers, each above what it counts."""
    return f'<ul class="tiles">{"".join(f"<li><b>{text(n)}</b> {text(what)}</li>" for n, what in values)}</ul>'


def heading(value: str, level: int = 3) -> str:
    return f"<h{level}>{text(value)}</h{level}>"


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
    # Not a <caption>, which would scroll sideways with its table.
    title = paragraph(caption, "caption") if caption else ""
    look = ' class="stacks"' if stacks else ""
    content = f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>"
    return f'{title}<div class="scroll" tabindex="0"><table{look}>{content}</table></div>'


def _cell(tag: str, value: str, is_number: bool, label: str) -> str:
    looks = [*(["number"] if is_number else []), *([LOOKS[value]] if value in LOOKS and tag == "td" else [])]
    look = f' class="{" ".join(looks)}"' if looks else ""
    named = f' data-label="{text(label)}"' if label else ""
    return f"<{tag}{look}{named}>{text(value)}</{tag}>"


def verdict(value: str) -> str:
    """A verdict's word in its colour."""
    return f'<span class="{LOOKS[value]}">{text(value)}</span>'


def claim(statement: str, verdicts: Sequence[tuple[str, str, str]], parts: Sequence[str]) -> str:
    """A claim and what becomes of it.

    Args:
        verdicts: whose, the verdict, and what it rests on.
        parts: HTML that follows.
    """
    lines = "".join(f"<li>{text(whose)}: {verdict(word)}{text(basis)}</li>" for whose, word, basis in verdicts)
    return f'<div class="claim">{heading(statement, 4)}<ul>{lines}</ul>{"".join(parts)}</div>'


def folded(title: str, parts: Sequence[str], is_open: bool) -> str:
    """Parts that can be folded away under their title."""
    return f"<details{' open' if is_open else ''}><summary>{text(title)}</summary>{''.join(parts)}</details>"


def picture(png: bytes, alternative: str, caption: str) -> str:
    """A PNG inside of the page.

    Args:
        alternative: what it shows, in words, for those who cannot see it.
    """
    # A PNG's width stands in its header; at two thirds of its pixels its text is as large as the page's.
    width = round(int.from_bytes(png[16:20], "big") / 1.5)
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    image = f'<img src="{source}" width="{width}" alt="{text(alternative)}">'
    return f'<figure><div class="scroll" tabindex="0">{image}</div><figcaption>{text(caption)}</figcaption></figure>'


def missing(what: str, command: str) -> str:
    """In place of what has not been made: the command that makes it."""
    return f'<div class="missing">{text(what)} To make it: <code>{text(command)}</code></div>'


def page(title: str, opening: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
        opening: HTML before the table of contents.
    """
    contents = "".join(f'<li><a href="#{text(one.anchor)}">{text(one.title)}</a></li>' for one in sections)
    body = "\n".join(
        f'<section id="{text(one.anchor)}"><h2>{text(one.title)}</h2>\n{chr(10).join(one.parts)}\n</section>'
        for one in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<header><h1>{text(title)}</h1>\n{chr(10).join(opening)}\n</header>\n"
        f'<nav id="contents" aria-label="Contents"><h3>Contents</h3><ol>{contents}</ol></nav>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def write_page(path: Path, content: str) -> None:
    write_atomically(path, content.encode())
