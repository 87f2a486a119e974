"""What all pages have: a head, styles, scripts with their data, and pieces of HTML.

A page is one file. It loads nothing, which its own security policy makes sure of, so that names of files, which are
untrusted, can do no harm even where one were not escaped. It follows the browser's choice of a dark or light theme.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["escape", "page", "section", "table", "tiles"]

_DIRECTORY = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def escape(text: object) -> str:
    """Return text for HTML, in an element or in an attribute."""
    return html.escape(str(text))


def page(title: str, body: Iterable[str], *, scripts: Sequence[str] = (), data: Mapping[str, Any] | None = None) -> str:
    """Return a page. `scripts` are names of files here, which find `data` in the element of the ID `data`."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_read('page.css')}</style>",
        "</head>",
        "<body>",
        *body,
    ]
    if data is not None:
        # No `<` is left that could end the element.
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        parts.append(f'<script type="application/json" id="data">{text}</script>')
    parts += [f"<script>\n{_read(name)}</script>" for name in scripts]
    return "\n".join([*parts, "</body>", "</html>", ""])


def section(identity: str, heading: str, *content: str) -> str:
    """Return a part of a page with a heading."""
    return "\n".join(
        [
            f'<section aria-labelledby="{identity}">',
            f'<h2 id="{identity}">{escape(heading)}</h2>',
            *content,
            "</section>",
        ]
    )


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numeric: Iterable[int] = (),
    identity: str = "",
) -> str:
    """Return a table; the cells are HTML. The columns of the `numeric` indices are set to the right.

    `identity` is the ID by which a script finds it.
    """
    right = frozenset(numeric)

    def line(tag: str, cells: Sequence[str]) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        return "".join(
            f"<{tag}{scope}{' class=number' if index in right else ''}>{cell}</{tag}>"
            for index, cell in enumerate(cells)
        )

    named = f' id="{identity}"' if identity else ""
    body = "\n".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">\n'
        f"<table{named}><caption>{escape(caption)}</caption>\n<thead><tr>{line('th', headings)}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def tiles(values: Mapping[str, str]) -> str:
    """Return numbers that a page begins with, by what they are."""
    items = "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
    return f'<dl class="tiles">\n{items}\n</dl>'


def _read(name: str) -> str:
    return (_DIRECTORY / name).read_text()
