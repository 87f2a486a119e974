"""`search`."""

from __future__ import annotations

import json
from typing import Any

from transom.graph.reference import split_domain
from transom_cli.client import Client
from transom_cli.containers import collect_filters
from transom_cli.credentials import registry_auth
from transom_cli.flags import BOOL, FILTER, INT, api_command, flag
from transom_cli.tables import Listing, parse_format

__all__ = ["search"]

LISTING = Listing(
    headings={
        "Name": "NAME",
        "Description": "DESCRIPTION",
        "StarCount": "STARS",
        "IsOfficial": "OFFICIAL",
    },
    columns=("Name", "Description", "StarCount", "IsOfficial"),
)
_WIDTH = 45


@api_command("search", "TERM", about="Search Docker Hub for images", least=1, most=1)
@flag("filters", "--filter", "-f", kind=FILTER, about="Filter output based on conditions provided")
@flag("template", "--format", about="Pretty-print search using a Go template")
@flag("--limit", kind=INT, default=0, about="Max number of search results")
@flag("--no-trunc", kind=BOOL, about="Don't truncate output")
def search(
    client: Client,
    arguments: list[str],
    *,
    filters: tuple[tuple[str, str], ...],
    template: str | None,
    limit: int,
    no_trunc: bool,
) -> None:
    """Print the repositories that a registry finds, in its order."""
    term = arguments[0]
    shown = parse_format(template or "")
    response = client.stream(
        "GET",
        "/images/search",
        headers=registry_auth(client.file, split_domain(term)[0]),
        term=term,
        limit=limit if limit > 0 else None,
        filters=collect_filters(filters),
    )
    found = json.loads(response.read())
    response.connection.close()
    marks = ("false", "true") if shown.uses("") else ("", "[OK]")
    shown.print(LISTING, [_row(item, not no_trunc, marks) for item in found])


def _row(item: dict[str, Any], truncate: bool, marks: tuple[str, str]) -> dict[str, Any]:
    """Return what the fields of `--format` are for one repository; `marks` say that it is not official, or is."""
    description = item.get("description", "").replace("\n", " ").replace("\r", " ")
    if truncate and len(description) > _WIDTH:
        description = f"{description[: _WIDTH - 1]}…"
    return {
        "Description": description,
        "IsOfficial": marks[bool(item.get("is_official"))],
        "Name": item.get("name", ""),
        "StarCount": str(item.get("star_count", 0)),
    }
