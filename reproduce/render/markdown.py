"""As much Markdown as docs/errata.md uses, as HTML. Whatever else stands in the text is shown as text."""

import html
import re

INLINE = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*\*(?P<strong>[^*]+)\*\*"
    r"|(?<![\w*])\*(?P<emphasis>[^*\s][^*]*)\*(?![\w*])"
    r"|\[(?P<text>[^\]]+)\]\((?P<target>https?://[^\s)\"]+)\)"
)
BULLET = re.compile(r"(?:[-*]|\d+[.)])\s+(?P<text>.*)")
HEADING = re.compile(r"(?P<level>#{1,6})\s+(?P<text>.*)")
FENCE = "```"


def to_html(text: str, top_level: int = 1) -> str:
    """Headings, paragraphs, lists of one level, fenced code, code, emphasis and web links; everything else is escaped.

    Args:
        text: the Markdown.
        top_level: the HTML level, 1 to 6, that `#` becomes; deeper headings follow.
    """
    parts: list[str] = []
    block: list[list[str]] = []
    is_list = False
    lines = iter([*text.splitlines(), ""])

    def close() -> None:
        nonlocal is_list
        if block:
            items = [inline(" ".join(item)) for item in block]
            listed = "".join(f"<li>{item}</li>" for item in items)
            parts.append(f"<ul>{listed}</ul>" if is_list else f"<p>{items[0]}</p>")
        block.clear()
        is_list = False

    for line in lines:
        stripped = line.strip()
        if stripped.startswith(FENCE):
            close()
            code = []
            for inside in lines:
                if inside.strip().startswith(FENCE):
                    break
                code.append(inside)
            parts.append(f"<pre><code>{html.escape(chr(10).join(code))}</code></pre>")
        elif not stripped:
            close()
        elif found := HEADING.fullmatch(stripped):
            close()
            level = min(top_level + len(found["level"]) - 1, 6)
            parts.append(f"<h{level}>{inline(found['text'])}</h{level}>")
        elif found := BULLET.fullmatch(stripped):
            if not is_list:
                close()
            is_list = True
            block.append([found["text"]])
        elif block:
            block[-1].append(stripped)
        else:
            block.append([stripped])
    close()
    return "\n".join(parts)


def inline(text: str) -> str:
    """One paragraph's text."""
    shown, end = [], 0
    for found in INLINE.finditer(text):
        shown.append(html.escape(text[end : found.start()]))
        end = found.end()
        if found["code"]:
            shown.append(f"<code>{html.escape(found['code'])}</code>")
        elif found["strong"]:
            shown.append(f"<strong>{inline(found['strong'])}</strong>")
        elif found["emphasis"]:
            shown.append(f"<em>{inline(found['emphasis'])}</em>")
        else:
            shown.append(f'<a href="{html.escape(found["target"])}">{html.escape(found["text"])}</a>')
    return "".join(shown) + html.escape(text[end:])
