"""What `run` and `create` say about networks: `--network` in both its forms, and the flags that go with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transom_cli import values
from transom_cli.flags import BOOL, LIST, Flag, Kind

__all__ = ["NETWORK_FLAGS", "endpoint_settings", "endpoints", "host_links", "network", "network_mode"]

#: Networks that containers have instead of others.
_MODES = ("none", "host", "bridge", "default")


def network(text: str) -> dict[str, Any]:
    """Return one `--network`: a name, or a line of `key=value` pairs, as `name` and the API's EndpointSettings.

    Raises `ValueError`.
    """
    if "=" not in text:
        return {"name": text}
    import csv  # few containers have one

    found: dict[str, Any] = {"name": "", "alias": [], "link-local-ip": [], "driver-opt": {}}
    for field in next(csv.reader([text], strict=True), []):
        key, equals, value = (part.strip() for part in field.partition("="))
        if not equals or not key:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        match key.lower():
            case "name" | "ip" | "ip6" | "mac-address":
                found[key.lower()] = value
            case "alias" | "link-local-ip":
                found[key.lower()].append(value)
            case "driver-opt":
                name, separator, option = value.partition("=")
                if not separator:
                    raise ValueError("invalid key value pair format in driver options")
                found["driver-opt"][name.lower()] = option
            case "gw-priority":
                found["gw-priority"] = values.integer(value)
            case _:
                raise ValueError(f"invalid field key {key}")
    if not found["name"]:
        raise ValueError("network name/id is not specified")
    return found


NETWORK_FLAGS = [
    Flag(["--add-host"], LIST._replace(parse=values.extra_host), about="Add a custom host-to-IP mapping (host:ip)"),
    Flag(["--dns"], LIST._replace(parse=values.ip_address), about="Set custom DNS servers"),
    Flag(["--dns-option", "--dns-opt"], LIST, about="Set DNS options"),
    Flag(["--dns-search"], LIST, about="Set custom DNS search domains"),
    Flag(["--ip"], about="IPv4 address (e.g., 172.30.100.104)"),
    Flag(["--ip6"], about="IPv6 address (e.g., 2001:db8::33)"),
    Flag(["--link"], LIST._replace(parse=values.link), about="Add link to another container"),
    Flag(["--link-local-ip"], LIST, about="Container IPv4/IPv6 link-local addresses"),
    Flag(["--mac-address"], about="Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag(["--network", "--net"], Kind("network", network, multiple=True), about="Connect a container to a network"),
    Flag(["--network-alias", "--net-alias"], LIST, about="Add network-scoped alias for the container"),
    Flag(["--publish", "-p"], LIST, about="Publish a container's port(s) to the host"),
    Flag(["--publish-all", "-P"], BOOL, about="Publish all exposed ports to random ports"),
]


def network_mode(flags: Mapping[str, Any]) -> str:
    """Return the name of the first network, which is the container's network mode."""
    return flags["network"][0]["name"] if flags["network"] else "default"


def host_links(flags: Mapping[str, Any]) -> list[str]:
    """Return the links that are not a network's own."""
    return [] if _is_users(network_mode(flags)) else list(flags["link"])


def _is_users(name: str) -> bool:
    """Return whether a network is one that users make, and so has names and links of its own."""
    return name not in _MODES and not name.startswith("container:")


def endpoints(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the API's `EndpointsConfig`: what is asked for on each network, where anything is.

    Flags of the container are for the first of its networks. Raises `ValueError` for what is said twice, or of networks
    that exclude each other.
    """
    networks = [dict(item) for item in flags["network"]] or [{"name": "default"}]
    names = [item["name"] for item in networks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'network "{name}" is specified multiple times')
    if len(names) > 1 and not all(map(_is_users, names)):
        raise ValueError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    _add_flags(networks[0], flags)
    found = {
        item["name"]: endpoint_settings(
            aliases=item.get("alias", ()),
            address=item.get("ip"),
            address6=item.get("ip6"),
            mac=item.get("mac-address"),
            links=item.get("links", ()),
            link_local=item.get("link-local-ip", ()),
            options=item.get("driver-opt", {}),
            priority=item.get("gw-priority", 0),
        )
        for item in networks
    }
    return found if len(found) > 1 or any(found.values()) else {}


def _add_flags(first: dict[str, Any], flags: Mapping[str, Any]) -> None:
    """Add the container's own flags to what is asked for on its first network."""
    if flags["network_alias"] and first.get("alias"):
        raise ValueError("conflicting options: cannot specify both --network-alias and per-network alias")
    if flags["network_alias"]:
        first["alias"] = list(flags["network_alias"])
    for name, key, words in (("ip", "ip", "IPv4 address"), ("ip6", "ip6", "IPv6 address")):
        if flags[name]:
            if first.get(key):
                raise ValueError(f"conflicting options: cannot specify both --{name} and per-network {words}")
            first[key] = flags[name]
    if flags["link_local_ip"]:
        if first.get("link-local-ip"):
            raise ValueError(
                "conflicting options: cannot specify both --link-local-ip and per-network link-local IP addresses"
            )
        first["link-local-ip"] = list(flags["link_local_ip"])
    if flags["link"] and _is_users(first["name"]):
        first["links"] = list(flags["link"])
    if flags["mac_address"]:
        if first.get("mac-address"):
            raise ValueError("conflicting options: cannot specify both --mac-address and per-network MAC address")
        first["mac-address"] = flags["mac_address"]


def endpoint_settings(
    *,
    aliases: Iterable[str] = (),
    address: str | None = None,
    address6: str | None = None,
    mac: str | None = None,
    links: Iterable[str] = (),
    link_local: Iterable[str] = (),
    options: Mapping[str, str] | None = None,
    priority: int = 0,
) -> dict[str, Any]:
    """Return the API's EndpointSettings, with what is asked for and nothing else."""
    ipam = {
        key: value
        for key, value in (
            ("IPv4Address", address),
            ("IPv6Address", address6),
            ("LinkLocalIPs", list(link_local)),
        )
        if value
    }
    settings = {
        "Aliases": list(aliases),
        "DriverOpts": dict(options or {}),
        "GwPriority": priority,
        "IPAMConfig": ipam,
        "Links": list(links),
        "MacAddress": mac,
    }
    return {key: value for key, value in settings.items() if value}
