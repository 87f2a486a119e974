"""Subnets: what was asked for is checked, and what was not is chosen, free of the machine's routes."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from transom.errors import Forbidden, InvalidParameter
from transom.networks.model import Pool

__all__ = ["DEFAULT_POOLS", "Subnet", "check_pool", "choose_pool", "first_address", "parse_default_pools", "subnet_of"]

Subnet: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Where subnets are taken from where none is given, as Docker has them: base and prefix length.
DEFAULT_POOLS = (
    *((f"172.{second}.0.0/16", 16) for second in range(17, 32)),
    ("192.168.0.0/16", 20),
)
_V6_LENGTH = 64


def parse_default_pools(given: Sequence[str]) -> tuple[tuple[Subnet, int], ...]:
    """Return the pools of the configuration (`base=10.10.0.0/16,size=24`), or Docker's. Raises `InvalidParameter`."""
    if not given:
        return tuple((ipaddress.ip_network(base), size) for base, size in DEFAULT_POOLS)
    pools = []
    for text in given:
        fields = dict(item.partition("=")[::2] for item in text.split(","))
        try:
            base, size = ipaddress.ip_network(fields.pop("base")), int(fields.pop("size"))
        except (KeyError, ValueError):
            raise _wrong_pool(text) from None
        if fields or not base.prefixlen <= size < base.max_prefixlen:
            raise _wrong_pool(text)
        pools.append((base, size))
    return tuple(pools)


def _wrong_pool(text: str) -> InvalidParameter:
    return InvalidParameter(
        f"invalid default address pool {text!r}: it should be as base=10.10.0.0/16,size=24, with a size that is longer"
        " than the base's prefix"
    )


def subnet_of(pool: Pool) -> Subnet:
    """Return a pool's subnet."""
    return ipaddress.ip_network(pool.subnet)


def check_pool(pool: Pool) -> Pool:
    """Return a pool as it was asked for, complete with a gateway. Raises `InvalidParameter`."""
    try:
        subnet = ipaddress.ip_network(pool.subnet, strict=False)
    except ValueError:
        raise InvalidParameter(f"invalid subnet {pool.subnet}: invalid CIDR block notation") from None
    if str(subnet) != pool.subnet and ipaddress.ip_interface(pool.subnet).ip != subnet.network_address:
        raise InvalidParameter(f"invalid subnet {pool.subnet}: it should be {subnet}")
    if subnet.num_addresses < 4:
        raise InvalidParameter(f"invalid subnet {subnet}: it has no address for a container beside the gateway's")
    inner = subnet
    if pool.ip_range:
        try:
            inner = ipaddress.ip_network(pool.ip_range)
        except ValueError:
            raise InvalidParameter(f"invalid ip-range {pool.ip_range}: invalid CIDR block notation") from None
        if not _within(inner, subnet):
            raise InvalidParameter(f"invalid ip-range {pool.ip_range}: it is not within the subnet {subnet}")
    gateway = pool.gateway and str(_host(pool.gateway, subnet, "gateway address"))
    reserved = {name: str(_host(address, subnet, "auxiliary address")) for name, address in pool.reserved.items()}
    if gateway in reserved.values():
        raise InvalidParameter(f"invalid auxiliary address {gateway}: it is the gateway's")
    checked = replace(pool, subnet=str(subnet), reserved=reserved, gateway=gateway)
    return checked if gateway else replace(checked, gateway=str(first_address(checked)))


def _host(text: str, subnet: Subnet, what: str) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidParameter(f"invalid {what}: {text}") from None
    if address not in subnet:
        raise InvalidParameter(f"invalid {what} {text}: it is not within the subnet {subnet}")
    if address == subnet.network_address or (subnet.version == 4 and address == subnet.broadcast_address):
        raise InvalidParameter(f"invalid {what} {text}: it is not an address of a host in the subnet {subnet}")
    return address


def first_address(pool: Pool) -> Address:
    """Return the first address of a pool that is nobody's, for its gateway."""
    subnet = subnet_of(pool)
    inner = ipaddress.ip_network(pool.ip_range or pool.subnet)
    taken = set(pool.reserved.values())
    address = max(inner.network_address, subnet.network_address + 1)
    while str(address) in taken:
        address += 1
    if address not in inner or (subnet.version == 4 and address == subnet.broadcast_address):
        raise InvalidParameter(f"invalid subnet {subnet}: its auxiliary addresses leave none for the gateway")
    return address


def choose_pool(pools: Iterable[tuple[Subnet, int]], used: Iterable[Subnet], version: int, engine: str) -> Pool:
    """Return a pool of a family that overlaps with nothing that is used. Raises `Forbidden`.

    IPv6 has no pools by default: subnets are of the engine's own prefix of unique local addresses (RFC 4193).
    """
    taken = [network for network in used if network.version == version]
    own = [item for item in pools if item[0].version == version]
    if version == 6 and not own:
        own = [(_local_prefix(engine), _V6_LENGTH)]
    for base, size in own:
        for subnet in _free(base, size, taken):
            pool = Pool(str(subnet), chosen=True)
            return replace(pool, gateway=str(first_address(pool)))
    raise Forbidden(
        f"could not find an available, non-overlapping IPv{version} address pool among the defaults to assign to the"
        " network: give one with --subnet, or more in default-address-pools"
    )


def _free(base: Subnet, size: int, taken: list[Subnet]) -> Iterator[Subnet]:
    """Yield the subnets of a size in a base that overlap with nothing; what is taken is stepped over in one step."""
    step = 1 << (base.max_prefixlen - size)
    address, end = int(base.network_address), int(base.broadcast_address)
    kind: Any = type(base)
    while address <= end:
        candidate: Subnet = kind((address, size))
        other = next((network for network in taken if overlaps(candidate, network)), None)
        if other is None:
            yield candidate
            address += step
        else:
            address = max(address, int(other.broadcast_address)) // step * step + step


def overlaps(one: Subnet, other: Subnet) -> bool:
    """Return whether two subnets have addresses in common; a default route's counts for nothing."""
    return one.version == other.version and other.prefixlen > 0 and bool(_within(one, other) or _within(other, one))


def check_overlap(subnet: Subnet, others: Iterable[tuple[Subnet, str]]) -> None:
    """Raise `Forbidden` if a subnet overlaps with another network's."""
    for other, name in others:
        if overlaps(subnet, other):
            raise Forbidden(
                f"invalid pool request: Pool overlaps with other one on this address space: {subnet} is within reach of"
                f" {other} of the network {name}"
            )


def _within(inner: Subnet, outer: Subnet) -> bool:
    return (
        inner.version == outer.version
        and int(inner.network_address) >= int(outer.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )


def _local_prefix(engine: str) -> Subnet:
    """Return the /48 of unique local addresses that an engine's ID chooses."""
    digest = hashlib.sha256(f"transom {engine}".encode()).digest()
    return ipaddress.IPv6Network((b"\xfd" + digest[:5] + bytes(10), 48))
