"""`network ls` and `network inspect`."""

from __future__ import annotations

from typing import Any

from transom_cli.client import Client
from transom_cli.containers import collect_filters
from transom_cli.flags import BOOL, FILTER, api_command, flag
from transom_cli.inspection import FORMAT_HELP, inspect_all
from transom_cli.tables import Listing, parse_format, quiet_format

__all__ = ["inspect", "ls"]

LISTING = Listing(
    headings={
        "ID": "NETWORK ID",
        "Name": "NAME",
        "Driver": "DRIVER",
        "Scope": "SCOPE",
        "IPv4": "IPV4",
        "IPv6": "IPV6",
        "Internal": "INTERNAL",
        "Labels": "LABELS",
        "CreatedAt": "CREATED AT",
    },
    columns=("ID", "Name", "Driver", "Scope"),
    raw="network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}",
)


@api_command("ls", about="List networks")
@flag("filters", "--filter", "-f", kind=FILTER, about='Provide filter values (e.g. "driver=bridge")')
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--no-trunc", kind=BOOL, about="Do not truncate the output")
@flag("--quiet", "-q", kind=BOOL, about="Only display network IDs")
def ls(
    client: Client,
    _arguments: list[str],
    *,
    filters: tuple[tuple[str, str], ...],
    template: str | None,
    no_trunc: bool,
    quiet: bool,
) -> None:
    """Print the networks, sorted by name."""
    if not quiet and not template:
        template = client.setting("networksFormat")
    shown = parse_format(quiet_format(template, "{{.ID}}", "network_id: {{.ID}}") if quiet else template or "")
    networks = client.get("/networks", filters=collect_filters(filters))
    shown.print(LISTING, [_row(network, not no_trunc) for network in sorted(networks, key=lambda one: one["Name"])])


@api_command(
    "inspect",
    "NETWORK [NETWORK...]",
    about="Display detailed information on one or more networks",
    least=1,
    most=None,
)
@flag("template", "--format", "-f", about=FORMAT_HELP)
@flag("--verbose", "-v", kind=BOOL, about="Verbose output for diagnostics")
def inspect(client: Client, arguments: list[str], *, template: str | None, verbose: bool) -> None:
    """Print all that is known about networks."""
    inspect_all(arguments, lambda name: client.get_text(f"/networks/{name}", verbose=verbose), template or "")


def _row(network: dict[str, Any], truncate: bool) -> dict[str, Any]:
    """Return what the fields of `--format` are for one network of `GET /networks`."""
    labels = network.get("Labels") or {}
    return {
        "CreatedAt": _moment(network.get("Created", "")),
        "Driver": network["Driver"],
        "ID": network["Id"][:12] if truncate else network["Id"],
        "IPv4": _truth(network.get("EnableIPv4")),
        "IPv6": _truth(network.get("EnableIPv6")),
        "Internal": _truth(network.get("Internal")),
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(sorted(f"{key}={value}" for key, value in labels.items())),
        "Name": network["Name"],
        "Scope": network["Scope"],
    }


def _moment(text: str) -> str:
    """Return an RFC 3339 time as Go shows one: `2026-01-31 23:59:59.5 +0100 +0100`."""
    date, _, clock = text.partition("T")
    if clock.endswith("Z"):
        return f"{date} {clock[:-1]} +0000 UTC"
    zone = clock[-6:].replace(":", "")
    return f"{date} {clock[:-6]} {zone} {zone}"


def _truth(value: Any) -> str:
    return "true" if value else "false"
