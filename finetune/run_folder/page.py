"""Texts, tables and pictures → one HTML page that needs nothing else (pure).

Everything that goes in as text comes out as text: what a model wrote is untrusted. The page has no script, names no address, and
forbids the browser to fetch anything.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape

Html = str
"""Text that is markup already. Made only here."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #59636e; --line: #d1d9e0; --box: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --paper: #14171a; --faint: #9aa4ae; --line: #3a424a; --box: #1e2328; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { line-height: 1.2; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--faint); font-weight: 600; }
pre { margin: 0; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--box); border-radius: 6px;
  font: 14px/1.45 ui-monospace, monospace; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .6rem; margin: .6rem 0; }
.sides h4 { margin: .2rem 0; color: var(--faint); }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
.faults li { border-left: 4px solid #d55e00; padding-left: .6rem; list-style: none; margin: .3rem 0; } .faults { padding: 0; }
@media print { :root { --ink: #000; --paper: #fff; --faint: #444; --line: #bbb; --box: #f4f4f4; }
  body { max-width: none; padding: 0; } figure, tr, .sides { break-inside: avoid; } }
""".strip()

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def text(value: object) -> Html:
    """A value as text; control characters, which HTML can't hold, become a replacement character."""
    return escape(_UNSEEN.sub("\ufffd", str(value).replace("\r\n", "\n")), quote=True)


def paragraph(value: object) -> Html:
    """A paragraph of text."""
    return f"<p>{text(value)}</p>"


def preformatted(value: object) -> Html:
    """Text with its line breaks, in the direction in which its script is written."""
    return f'<pre dir="auto">\n{text(value)}</pre>'  # HTML drops a first line break: this one, not the text's own


def bullets(values: Iterable[object], *, style: str = "plain") -> Html:
    """A list of texts."""
    return f'<ul class="{style}">' + "".join(f"<li>{text(value)}</li>" for value in values) + "</ul>"


def table(rows: Iterable[Sequence[object]], *, head: Sequence[object] = ()) -> Html:
    """Rows of texts; without a head the first cell of each is its name."""
    titles = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    lines = [f"<tr>{titles}</tr>"] if head else []
    for first, *rest in rows:
        cells = "".join(f'<td dir="auto">{text(cell)}</td>' for cell in rest)
        lines.append(f'<tr><th scope="row">{text(first)}</th>{cells}</tr>')
    return f"<table>{''.join(lines)}</table>"


def side_by_side(parts: Iterable[tuple[str, object]]) -> Html:
    """Texts with a title each, beside one another where there is room."""
    return (
        '<div class="sides">' + "".join(f"<div><h4>{text(name)}</h4>{preformatted(one)}</div>" for name, one in parts) + "</div>"
    )


def picture(png: bytes, *, said: str) -> Html:
    """A PNG inside the page, with what it shows for who can't see it."""
    return f'<figure><img alt="{text(said)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></figure>'


def page(title: str, sections: Iterable[tuple[str, Html]]) -> bytes:
    """A whole page: a title, and sections with a heading each; one without content is left out, one without heading has none."""
    body = "\n".join(
        f"<section>{f'<h2>{text(heading)}</h2>' if heading else ''}\n{content}\n</section>"
        for heading, content in sections
        if content
    )
    document = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{text(title)}</h1>
{body}
</body>
</html>
"""
    return document.encode()
