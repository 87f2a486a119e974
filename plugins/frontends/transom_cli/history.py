"""`history`: the steps in which an image was made."""

from __future__ import annotations

import time
from typing import Any

from transom_cli.client import Client
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.platforms import parse_platform
from transom_cli.tables import Listing, parse_format
from transom_cli.times import second_time
from transom_cli.units import decimal_size, human_duration

__all__ = ["history"]

LISTING = Listing(
    headings={
        "ID": "IMAGE",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "CreatedBy": "CREATED BY",
        "Size": "SIZE",
        "Comment": "COMMENT",
    },
    columns=("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
)
#: So many characters of what made a step are shown.
_WIDTH = 45


@api_command("history", "IMAGE", about="Show the history of an image", least=1, most=1)
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--human", "-H", kind=BOOL, default=True, about="Print sizes and dates in human readable format")
@flag("--no-trunc", kind=BOOL, about="Don't truncate output")
@flag("--platform", about="Show history for the given platform (os[/arch[/variant]])", since="1.48")
@flag("--quiet", "-q", kind=BOOL, about="Only show image IDs")
def history(
    client: Client,
    arguments: list[str],
    *,
    template: str | None,
    human: bool,
    no_trunc: bool,
    platform: str | None,
    quiet: bool,
) -> None:
    """Print the steps in which an image was made, the last one first."""
    shown = parse_format("{{.ID}}" if quiet else template or "")
    steps = client.get(f"/images/{arguments[0]}/history", platform=parse_platform(platform))
    now = time.time()
    shown.print(LISTING, [_row(step, human, not no_trunc, now) for step in steps])


def _row(step: dict[str, Any], human: bool, truncate: bool, now: float) -> dict[str, Any]:
    """Return what the fields of `--format` are for one step."""
    created, size = step["Created"], step["Size"]
    identity, made_by = step["Id"], step["CreatedBy"].replace("\t", " ")
    if truncate:
        identity = identity.removeprefix("sha256:")[:12]
        made_by = made_by if len(made_by) <= _WIDTH else f"{made_by[: _WIDTH - 1]}…"
    age = "N/A" if created <= 0 else f"{human_duration(now - created)} ago"
    return {
        "Comment": step["Comment"],
        "CreatedAt": second_time(created),
        "CreatedBy": made_by,
        "CreatedSince": age if human else second_time(created),
        "ID": identity,
        "Size": decimal_size(size, 3) if human else str(size),
    }
