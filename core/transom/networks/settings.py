"""Whether a container can have on a network what it asks for."""

from __future__ import annotations

import re

from transom.errors import Forbidden, InvalidParameter
from transom.networks.ipam import parse_address
from transom.networks.model import EndpointSettings, Network
from transom.networks.options import interface_name, interface_sysctls
from transom.networks.pools import subnet_of

__all__ = ["check_settings", "parse_mac"]

#: The one network among those that are always there whose containers have interfaces on it.
_BRIDGE = "bridge"
_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}\Z", re.IGNORECASE)


def check_settings(network: Network, settings: EndpointSettings) -> None:
    """Raise `InvalidParameter` for what a network cannot give: everything that is wrong, in one message.

    Raises `Forbidden` for a network that is only a configuration.
    """
    if network.config_only:
        raise Forbidden("cannot create endpoint on configuration-only network")
    problems = []
    if network.builtin and settings.aliases:
        problems.append("network-scoped aliases are only supported for user-defined networks")
    if network.builtin and network.name != _BRIDGE and (settings.link_local or settings.driver_options):
        problems.append("link-local addresses and driver options are supported on networks with an interface only")
    if not network.builtin and not network.pools and settings.link_local:
        problems.append("the network's driver gives addresses itself: give none")
    problems += [f"invalid link-local IP address: {text}" for text in settings.link_local if not _is_address(text)]
    try:
        interface_name(settings)
        interface_sysctls(settings.driver_options)
    except InvalidParameter as error:
        problems.append(str(error))
    for version, address in ((4, settings.address), (6, settings.address6)):
        if address:
            problems += _address_problems(network, version, address)
    if problems:
        reasons = "\n".join(problems)
        raise InvalidParameter(f"invalid config for network {network.name}: invalid endpoint settings:\n{reasons}")


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except InvalidParameter:
        return False
    return True


def _address_problems(network: Network, version: int, text: str) -> list[str]:
    address = parse_address(text)
    if address.version != version:
        return [f"invalid IPv{version} address: {text}"]
    if network.builtin:
        return ["user specified IP address is supported on user defined networks only"]
    pools = [pool for pool in network.pools if subnet_of(pool).version == version]
    if not any(address in subnet_of(pool) for pool in pools):
        return [f"no configured subnet contains IP address {text}"]
    if all(pool.chosen for pool in pools if address in subnet_of(pool)):
        return ["user specified IP address is supported only when connecting to networks with user configured subnets"]
    return []


def parse_mac(text: str) -> str:
    """Return the address of an interface, written with colons. Raises `InvalidParameter`."""
    if not _MAC.match(text):
        raise InvalidParameter(f"invalid mac address: {text}")
    mac = text.lower().replace("-", ":")
    if int(mac[:2], 16) & 1:
        raise InvalidParameter(f"invalid mac address: {text} is that of a group, not of an interface")
    return mac
