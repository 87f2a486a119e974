"""What network drivers share that make links of the machine with rtnetlink."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from transom.drivers.network import Network, NetworkDriver
from transom.errors import DriverUnavailable, InvalidParameter
from transom.networks.firewall import Firewall
from transom.networks.netlink import Netlink

__all__ = ["MTU", "LinkDriver", "mac_of", "mtu_of", "require_network_administration"]

MTU = "com.docker.network.driver.mtu"
_LARGEST_MTU = 65535


class LinkDriver(NetworkDriver):
    """A driver that makes links: it has a socket to the kernel, opened when it is first needed."""

    def __init__(self, root: Path, firewall: Firewall) -> None:
        super().__init__(root, firewall)
        self._lock = threading.Lock()
        self._opened: Netlink | None = None

    @classmethod
    def probe(cls, root: Path) -> None:
        """Return if this process may make links."""
        del root
        require_network_administration()

    @property
    def netlink(self) -> Netlink:
        """The socket to the machine's tables."""
        with self._lock:
            if self._opened is None:
                self._opened = Netlink()
            return self._opened


def require_network_administration() -> None:
    """Raise `DriverUnavailable` if this process may not configure the machine's network."""
    if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
        raise DriverUnavailable("the network cannot be configured", "run the daemon as root with CAP_NET_ADMIN")


def mac_of(network: Network) -> str:
    """Return an address for a network's bridge, which would have the lowest of its ports' otherwise and so change."""
    return ":".join(["02", "42", *(network.id[index : index + 2] for index in range(0, 8, 2))])


def mtu_of(network: Network) -> int:
    """Return the MTU that a network's options ask for, 0 for the kernel's choice. Raises `InvalidParameter`."""
    text = network.options.get(MTU, "")
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or not 68 <= int(text) <= _LARGEST_MTU:
        raise InvalidParameter(
            f"invalid value {text!r} for the option {MTU}: it should be a number from 68 to {_LARGEST_MTU}"
        )
    return int(text)
