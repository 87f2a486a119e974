"""The options of bridge networks, by the names that Docker gives them."""

from __future__ import annotations

from dataclasses import dataclass

from transom.drivers.network import Network
from transom.errors import InvalidParameter
from transom.networks.link_driver import MTU, mtu_of
from transom.networks.model import option_boolean
from transom.networks.options import check_interface_name

__all__ = ["Options"]

_PREFIX = "com.docker.network.bridge."
_NAME = f"{_PREFIX}name"
_ICC = f"{_PREFIX}enable_icc"
_MASQUERADE = f"{_PREFIX}enable_ip_masquerade"
#: Taken by the engine itself.
_ENGINES = (
    f"{_PREFIX}default_bridge",
    f"{_PREFIX}host_binding_ipv4",
    "com.docker.network.container_iface_prefix",
    "com.docker.network.enable_ipv4",
    "com.docker.network.enable_ipv6",
)


@dataclass(frozen=True)
class Options:
    """What a network's options say: its bridge, whether its containers reach each other, its MTU (0: the kernel's)."""

    bridge: str
    between_containers: bool
    masquerade: bool
    mtu: int

    @classmethod
    def of(cls, network: Network) -> Options:
        """Return a network's options. Raises `InvalidParameter` for one that there is not, or a wrong value."""
        options = network.options
        for name in options:
            if name not in (_NAME, _ICC, _MASQUERADE, MTU, *_ENGINES):
                raise InvalidParameter(f"the network driver bridge has no option {name!r}")
        bridge = options.get(_NAME, "") or f"br-{network.id[:12]}"
        check_interface_name(bridge)
        return cls(
            bridge,
            option_boolean(options, _ICC, True),
            option_boolean(options, _MASQUERADE, True),
            mtu_of(network),
        )
