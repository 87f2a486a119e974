"""`network create`, `ls`, `inspect`, `rm`, `connect` and `disconnect`."""

from __future__ import annotations

from typing import Any

from transom_cli import values
from transom_cli.client import Client
from transom_cli.containers import collect_filters
from transom_cli.errors import CommandFailed, DaemonError, report_failures
from transom_cli.flags import BOOL, FILTER, INT, LIST, Kind, api_command, flag
from transom_cli.inspection import FORMAT_HELP, inspect_all
from transom_cli.networking import endpoint_settings
from transom_cli.tables import Listing, parse_format, quiet_format

__all__ = ["connect", "create", "disconnect", "inspect", "ls", "rm"]

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


_MAP = Kind("map", str, multiple=True)
_STRINGS = Kind("strings", str, multiple=True)


@api_command("create", "NETWORK", about="Create a network", least=1, most=1)
@flag("--attachable", kind=BOOL, about="Enable manual container attachment")
@flag("--aux-address", kind=_MAP, about="Auxiliary IPv4 or IPv6 addresses used by Network driver")
@flag("--config-from", about="The network from which to copy the configuration")
@flag("--config-only", kind=BOOL, about="Create a configuration only network")
@flag("--driver", "-d", default="bridge", about="Driver to manage the Network")
@flag("--gateway", kind=_STRINGS, about="IPv4 or IPv6 Gateway for the master subnet")
@flag("--internal", kind=BOOL, about="Restrict external access to the network")
@flag("--ip-range", kind=_STRINGS, about="Allocate container ip from a sub-range")
@flag("--ipam-driver", default="default", about="IP Address Management Driver")
@flag("--ipam-opt", kind=_MAP, about="Set IPAM driver specific options")
@flag("--ipv4", kind=BOOL, default=True, about="Enable or disable IPv4 address assignment")
@flag("--ipv6", kind=BOOL, about="Enable or disable IPv6 address assignment")
@flag("--label", kind=LIST._replace(parse=values.label), about="Set metadata on a network")
@flag("--opt", "-o", kind=_MAP, about="Set driver specific options")
@flag("--scope", about="Control the network's scope")
@flag("--subnet", kind=_STRINGS, about="Subnet in CIDR format that represents a network segment")
def create(client: Client, arguments: list[str], **flags: Any) -> None:
    """Create a network and print its ID."""
    from transom_cli.subnets import ipam_pools  # few commands need addresses

    try:
        pools = ipam_pools(
            flags["subnet"], flags["ip_range"], flags["gateway"], values.key_values(flags["aux_address"])
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    body = {
        "Name": arguments[0],
        "Driver": flags["driver"],
        "Scope": flags["scope"] or "",
        "EnableIPv4": flags["ipv4"],
        "EnableIPv6": flags["ipv6"],
        "IPAM": {
            "Driver": flags["ipam_driver"],
            "Options": values.key_values(flags["ipam_opt"]),
            "Config": pools,
        },
        "Internal": flags["internal"],
        "Attachable": flags["attachable"],
        "ConfigOnly": flags["config_only"],
        "ConfigFrom": {"Network": flags["config_from"]} if flags["config_from"] else None,
        "Options": values.key_values(flags["opt"]),
        "Labels": values.key_values(flags["label"]),
    }
    answer = client.post("/networks/create", body)
    if answer.get("Warning"):
        CommandFailed(f"WARNING: {answer['Warning']}").show()
    print(answer["Id"])


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


@api_command("rm", "NETWORK [NETWORK...]", about="Remove one or more networks", least=1, most=None)
@flag("--force", "-f", kind=BOOL, about="Do not error if the network does not exist")
def rm(client: Client, arguments: list[str], *, force: bool) -> None:
    """Remove networks that no container is on."""
    failures: list[CommandFailed] = []
    for name in arguments:
        try:
            client.delete(f"/networks/{name}")
            print(name, flush=True)
        except DaemonError as failure:
            if not (force and failure.status == 404):
                failures.append(failure)
    if failures:
        # The stock client's own last word.
        failures.append(CommandFailed("exit status 1"))
    report_failures(failures)


@api_command("connect", "NETWORK CONTAINER", about="Connect a container to a network", least=2, most=2)
@flag("--alias", kind=_STRINGS, about="Add network-scoped alias for the container")
@flag("--driver-opt", kind=_STRINGS, about="driver options for the network")
@flag("--gw-priority", kind=INT, default=0, about="Highest gw-priority provides the default gateway")
@flag("--ip", about='IPv4 address (e.g., "172.30.100.104")')
@flag("--ip6", about='IPv6 address (e.g., "2001:db8::33")')
@flag("--link", kind=LIST._replace(parse=values.link), about="Add link to another container")
@flag("--link-local-ip", kind=_STRINGS, about="Add a link-local address for the container")
def connect(client: Client, arguments: list[str], **flags: Any) -> None:
    """Connect a container to a network."""
    network, container = arguments
    settings = endpoint_settings(
        aliases=flags["alias"],
        address=flags["ip"],
        address6=flags["ip6"],
        links=flags["link"],
        link_local=flags["link_local_ip"],
        options=values.key_values(flags["driver_opt"]),
        priority=flags["gw_priority"],
    )
    client.post(f"/networks/{network}/connect", {"Container": container, "EndpointConfig": settings})


@api_command("disconnect", "NETWORK CONTAINER", about="Disconnect a container from a network", least=2, most=2)
@flag("--force", "-f", kind=BOOL, about="Force the container to disconnect from a network")
def disconnect(client: Client, arguments: list[str], *, force: bool) -> None:
    """Take a container off a network."""
    network, container = arguments
    client.post(f"/networks/{network}/disconnect", {"Container": container, "Force": force})


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
