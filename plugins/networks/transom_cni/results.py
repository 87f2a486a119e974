"""What plugins answer to ADD (CNI specification 1.0.0, section 5, "Result Types"), as an endpoint has it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transom.drivers.network import Endpoint
from transom.errors import Unavailable

__all__ = ["endpoint_of"]

_DEFAULTS = {4: "0.0.0.0/0", 6: "::/0"}


def endpoint_of(planned: Endpoint, result: Mapping[str, Any]) -> Endpoint:
    """Return an endpoint with the first address of each family, the gateways of default routes, and the MAC address.

    Raises `Unavailable` for a result that is none.
    """
    try:
        found: dict[str, str] = {}
        for version, address, gateway in ((4, "address", "gateway"), (6, "address6", "gateway6")):
            item = next((item for item in result.get("ips") or () if _version(item) == version), None)
            if item is not None:
                found[address] = item["address"]
                found[gateway] = _default_gateway(result, version, item.get("gateway", ""))
        inner = [item for item in result.get("interfaces") or () if item.get("sandbox")]
        own = next((item for item in inner if item["name"] == planned.interface), None)
        if own is not None and own.get("mac"):
            found["mac"] = own["mac"].lower()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(
            f"the CNI plugins of the network {planned.network_name} answered no result: {error}"
        ) from None
    return replace(planned, **found)  # type: ignore[arg-type]


def _version(item: Mapping[str, Any]) -> int:
    return ipaddress.ip_interface(item["address"]).version


def _default_gateway(result: Mapping[str, Any], version: int, gateway: str) -> str:
    """Return the gateway of a default route, empty where the plugins made none."""
    for route in result.get("routes") or ():
        if route["dst"] == _DEFAULTS[version]:
            return str(ipaddress.ip_address(route.get("gw") or gateway))
    return ""
