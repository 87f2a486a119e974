"""Lists of things: as a table in Docker's layout, through a template, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from transom_cli.template import Template

__all__ = ["Format", "Listing", "parse_format", "print_table"]

#: A column is at least so wide, and so many spaces stand between it and the next.
_MINIMUM, _PADDING = 10, 3


class Listing(NamedTuple):
    """The fields that a kind of thing shows, each with the heading of its column."""

    headings: Mapping[str, str]
    columns: Sequence[str]


class Format(NamedTuple):
    """How a list is shown: as a table or not, through a template or with the listing's own columns."""

    table: bool
    template: Template | None

    def uses(self, name: str) -> bool:
        """Return whether the template names a field, or all of them."""
        return self.template is not None and not self.template.names().isdisjoint((name, ""))

    def print(self, listing: Listing, rows: Iterable[Mapping[str, Any]]) -> None:
        """Print the rows. Raises `TemplateError` for a field that they do not have."""
        if self.template is None:
            headings = [listing.headings[column] for column in listing.columns]
            print_table([headings, *([row[column] for column in listing.columns] for row in rows)])
            return
        headings_row = _headings(listing)
        lines = [self.template.render(headings_row)] if self.table else []
        lines += [self.template.render(row, escape_html=True) for row in rows]
        if self.table:
            print_table([line.split("\t") for line in lines])
        else:
            for line in lines:
                print(line)


def parse_format(text: str) -> Format:
    """Return what `--format` means. Raises `TemplateError`."""
    table = text == "table" or text.startswith("table ")
    body = text.removeprefix("table").strip() if table else text.strip(" ")
    if not body:
        return Format(True, None)
    from transom_cli.template import TemplateError, parse  # most lists are shown without one

    body = "{{json .}}" if body == "json" else body.replace("\\t", "\t").replace("\\n", "\n")
    try:
        return Format(table, parse(body))
    except TemplateError as error:
        raise TemplateError(error.message) from error


def print_table(rows: Sequence[Sequence[str]], minimum: int = _MINIMUM, padding: int = _PADDING) -> None:
    """Print rows with their columns under each other; the last cell of a row is as wide as it is."""
    widths: list[int] = []
    for row in rows:
        for index, cell in enumerate(row[:-1]):
            if index == len(widths):
                widths.append(minimum)
            widths[index] = max(widths[index], len(cell) + padding)
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row[:-1], widths, strict=False)]
        print("".join([*cells, *row[-1:]]))


def _headings(listing: Listing) -> dict[str, str | Callable[[str], str]]:
    """Return the headings as a row; that of a label is its name."""
    return {**listing.headings, "Label": lambda name: name}
