"""Lists of things: as a table in Docker's layout, through a template, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from transom_cli.errors import CommandFailed

if TYPE_CHECKING:
    from transom_cli.template import Template

__all__ = ["Format", "Listing", "natural_key", "parse_format", "print_table", "quiet_format"]

#: A column is at least so wide, and so many spaces stand between it and the next.
_MINIMUM, _PADDING = 10, 3


class Listing(NamedTuple):
    """The fields that a kind of thing shows, each with the heading of its column.

    `raw` is the template of the format of that name, without the line's end of each row.
    """

    headings: Mapping[str, str]
    columns: Sequence[str]
    raw: str = ""


class Format(NamedTuple):
    """How a list is shown: as a table or not, through a template, with the listing's own columns or its raw form."""

    table: bool
    template: Template | None
    raw: bool = False

    def uses(self, name: str) -> bool:
        """Return whether the template names a field, or all of them."""
        return self.template is not None and not self.template.names().isdisjoint((name, ""))

    def print(self, listing: Listing, rows: Iterable[Mapping[str, Any]]) -> None:
        """Print the rows. Raises `TemplateError` for a field that they do not have."""
        template = self.template
        if self.raw and listing.raw:
            from transom_cli.template import parse  # for this form alone

            template = parse(f"{listing.raw}\n")
        if template is None:
            headings = [listing.headings[column] for column in listing.columns]
            print_table([headings, *([row[column] for column in listing.columns] for row in rows)])
            return
        try:
            lines = [template.render(_headings(listing), heading=True)] if self.table else []
            lines += [template.render(row, escape_html=True) for row in rows]
        except CommandFailed as error:
            raise CommandFailed(f"template parsing error: {error.message}") from error
        if self.table:
            print_table([line.split("\t") for line in lines])
        else:
            for line in lines:
                print(line)


def parse_format(text: str) -> Format:
    """Return what `--format` means. Raises `TemplateError`."""
    if text == "raw":
        return Format(False, None, raw=True)
    table = text.startswith("table")
    body = text.removeprefix("table").strip(" ") if table else text.strip(" ")
    if not body and (table or not text):
        return Format(True, None)
    from transom_cli.template import TemplateError, parse  # most lists are shown without one

    body = "{{json .}}" if text == "json" else body.replace("\\t", "\t").replace("\\n", "\n")
    try:
        return Format(table, parse(body))
    except TemplateError as error:
        raise TemplateError(error.message) from error


def quiet_format(given: str | None, plain: str, raw: str) -> str:
    """Return the format of `--quiet`: it has one for tables and one for `raw`, and a template that was given stays."""
    return {"": plain, "table": plain, "raw": raw}.get(given or "", given or "")


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


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which numbers in names sort as numbers."""
    import re  # for the few lists that are sorted here

    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _headings(listing: Listing) -> dict[str, str | Callable[[str], str]]:
    """Return the headings as a row; that of a label is its name."""
    return {**listing.headings, "Label": lambda name: name}
