"""What the daemon's configuration says about networks."""

from __future__ import annotations

import hashlib
import ipaddress

from transom.config import Config
from transom.errors import InvalidParameter
from transom.networks.model import Pool
from transom.networks.store import DefaultBridge

__all__ = ["default_bridge", "firewall_name"]


def default_bridge(config: Config) -> DefaultBridge:
    """Return how the network `bridge` is set up. Raises `InvalidParameter` for an address that is none."""
    pools = [
        _pool(name, address, fixed)
        for name, address, fixed in (
            ("bip", config.bip, config.fixed_cidr),
            ("bip6", config.bip6, config.fixed_cidr_v6),
        )
        if address or fixed
    ]
    options = {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": str(config.icc).lower(),
        "com.docker.network.bridge.enable_ip_masquerade": str(config.ip_masq).lower(),
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": _own_name(config, "transom0"),
    }
    if config.mtu:
        options["com.docker.network.driver.mtu"] = str(config.mtu)
    return DefaultBridge(tuple(pools), options, config.ipv6, config.default_address_pools)


def firewall_name(config: Config) -> str:
    """Return the name of the engine's table of firewall rules."""
    return _own_name(config, "transom")


def _own_name(config: Config, name: str) -> str:
    """Return a name in the machine's network that two engines, with two exec roots, do not share."""
    if config.exec_root == Config.exec_root:
        return name
    return f"transom-{hashlib.sha256(bytes(config.exec_root)).hexdigest()[:7]}"


def _pool(name: str, address: str, fixed: str) -> Pool:
    try:
        interface = ipaddress.ip_interface(address or fixed)
    except ValueError:
        raise InvalidParameter(f"invalid {name} {address or fixed!r}: it should be as 10.10.0.1/16") from None
    gateway = str(interface.ip) if address else ""
    return Pool(str(interface.network), fixed if fixed != str(interface.network) else "", gateway)
