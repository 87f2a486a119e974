"""The subnets of `network create`: each with the range, the gateway and the auxiliary addresses that belong to it."""

from __future__ import annotations

import ipaddress
from typing import Any

__all__ = ["ipam_pools"]


def ipam_pools(
    subnets: tuple[str, ...], ranges: tuple[str, ...], gateways: tuple[str, ...], auxiliary: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the API's `IPAM.Config`. Raises `ValueError` for what belongs to no subnet, or twice to one."""
    if len(subnets) < max(len(ranges), len(gateways)):
        raise ValueError("every ip-range or gateway must have a corresponding subnet")
    pools = [{"Subnet": text} for text in subnets]
    networks = [_network(text) for text in subnets]
    for one, network in enumerate(networks):
        for other in networks[:one]:
            if network.version == other.version and network.overlaps(other):
                raise ValueError("multiple overlapping subnet configuration is not supported")
    for text in ranges:
        pool = _find(pools, networks, _network(text).network_address, f"no matching subnet for range {text}")
        if "IPRange" in pool:
            raise ValueError(
                f"cannot configure multiple ranges ({text}, {pool['IPRange']}) on the same subnet ({pool['Subnet']})"
            )
        pool["IPRange"] = text
    for text in gateways:
        pool = _find(pools, networks, _address(text), f"no matching subnet for gateway {text}")
        if "Gateway" in pool:
            raise ValueError(
                f"cannot configure multiple gateways ({text}, {pool['Gateway']}) for the same subnet ({pool['Subnet']})"
            )
        pool["Gateway"] = text
    found: list[dict[str, Any]] = list(pools)
    for name, text in auxiliary.items():
        pool = _find(found, networks, _address(text), f"no matching subnet for aux-address {text}")
        pool.setdefault("AuxiliaryAddresses", {})[name] = text
    return found


def _find(pools: Any, networks: Any, address: Any, problem: str) -> Any:
    for pool, network in zip(pools, networks, strict=True):
        if address.version == network.version and address in network:
            return pool
    raise ValueError(problem)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"invalid CIDR address: {text}") from None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"invalid IP address: {text}") from None
