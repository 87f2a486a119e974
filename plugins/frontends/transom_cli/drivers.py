"""`driver ls` and `driver inspect`: the drivers of the engine, and why those do not work that do not."""

from __future__ import annotations

import json
from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.inspection import FORMAT_HELP, inspect_all
from transom_cli.tables import Listing, parse_format

__all__ = ["inspect", "ls"]

LISTING = Listing(
    headings={
        "Kind": "KIND",
        "Name": "NAME",
        "Default": "DEFAULT",
        "From": "FROM",
        "Status": "STATUS",
        "Recommended": "RECOMMENDED",
        "Merit": "MERIT",
    },
    columns=("Kind", "Name", "Default", "From", "Status"),
)


@api_command("ls", about="List drivers, and why those do not work that do not")
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--kind", about="Show drivers of one kind: graph, exec, volume, network or log")
@flag("--quiet", "-q", kind=BOOL, about="Only display driver names")
def ls(
    client: Client,
    _arguments: list[str],
    *,
    template: str | None,
    kind: str | None,
    quiet: bool,
) -> None:
    """Print the drivers of all kinds, or of one."""
    shown = parse_format("{{.Name}}" if quiet else template or "")
    shown.print(LISTING, [_row(driver) for driver in _of_kind(client.get("/drivers"), kind)])


@api_command("inspect", "NAME [NAME...]", about="Display all that is known about a driver", least=1, most=None)
@flag("template", "--format", "-f", about=FORMAT_HELP)
@flag("--kind", about="Look among drivers of one kind: graph, exec, volume, network or log")
def inspect(client: Client, arguments: list[str], *, template: str | None, kind: str | None) -> None:
    """Print all that is known about drivers: origin, rank, limits, capabilities."""
    drivers = _of_kind(client.get("/drivers"), kind)

    def find(name: str) -> bytes:
        found = [driver for driver in drivers if driver["Name"] == name]
        if not found:
            raise CommandFailed(f"no driver is named {name!r}; {_hint(name, drivers)}")
        if len(found) > 1:
            kinds = " and ".join(driver["Kind"] for driver in found)
            raise CommandFailed(f"drivers of the kinds {kinds} are named {name!r}: choose one with --kind")
        return json.dumps(found[0], ensure_ascii=False).encode()

    inspect_all(arguments, find, template or "")


def _of_kind(drivers: list[dict[str, Any]], kind: str | None) -> list[dict[str, Any]]:
    """Return the drivers of a kind, or all. Raises `CommandFailed` for a kind that there is not."""
    kinds = {driver["Kind"]: None for driver in drivers}
    if kind is not None and kind not in kinds:
        raise CommandFailed(f"no drivers are of the kind {kind!r}: the kinds are {', '.join(kinds)}")
    return [driver for driver in drivers if kind in (None, driver["Kind"])]


def _hint(name: str, drivers: list[dict[str, Any]]) -> str:
    from difflib import get_close_matches  # rarely needed

    names = sorted({driver["Name"] for driver in drivers})
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"


def _row(driver: dict[str, Any]) -> dict[str, Any]:
    origin = f"{driver['Distribution']} {driver['Version']}".strip() or driver["Module"]
    return {
        "Default": "*" if driver["Default"] else "",
        "From": origin,
        "Kind": driver["Kind"],
        "Merit": driver["Merit"],
        "Name": driver["Name"],
        "Recommended": "*" if driver["Recommended"] else "",
        "Status": driver["Unavailable"] or "works",
    }
