"""Interfaces on top of one of the machine's, each with an address of its own there: macvlan."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import ClassVar

from transom.drivers.network import Addressing, Endpoint, Network, NetworkDriver, Sandbox, SandboxKind
from transom.errors import DriverUnavailable, InvalidParameter, Unavailable
from transom.networks.firewall import Firewall
from transom.networks.netlink import Link, Netlink
from transom.networks.sandbox import inside

__all__ = ["MacvlanDriver"]

_PARENT, _MODE, _MTU = "parent", "macvlan_mode", "com.docker.network.driver.mtu"
_MODES = ("bridge", "vepa", "private", "passthru")


class MacvlanDriver(NetworkDriver):
    """The network driver `macvlan`. A network is an interface of the machine, its parent; nothing is made for it."""

    name: ClassVar[str] = "macvlan"
    limits: ClassVar[tuple[str, ...]] = (
        "Containers and the machine itself do not reach each other.",
        "The parent must be there: it makes neither VLANs nor dummy interfaces.",
    )
    sandbox = SandboxKind.PRIVATE
    addressing = Addressing.CORE
    resolves_names = True

    def __init__(self, root: Path, firewall: Firewall) -> None:
        super().__init__(root, firewall)
        self._lock = threading.Lock()
        self._opened: Netlink | None = None

    @classmethod
    def probe(cls, root: Path) -> None:
        """Return if this process may make links."""
        del root
        if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
            raise DriverUnavailable("the network cannot be configured", "run the daemon as root with CAP_NET_ADMIN")

    def check(self, network: Network) -> None:
        """Raise `InvalidParameter` for a wrong option, or a parent that is not there."""
        for name in network.options:
            if name not in (_PARENT, _MODE, _MTU):
                raise InvalidParameter(f"the network driver macvlan has no option {name!r}")
        mode = network.options.get(_MODE, _MODES[0])
        if mode not in _MODES:
            raise InvalidParameter(f"invalid macvlan mode {mode!r}: it should be one of {', '.join(_MODES)}")
        mtu = network.options.get(_MTU, "0")
        if not mtu.isdecimal():
            raise InvalidParameter(f"invalid value {mtu!r} for the option {_MTU}: it should be a number")
        self._parent(network)

    def create(self, network: Network) -> None:
        """There is nothing to make: the parent is the machine's."""

    def remove(self, network: Network) -> None:
        """There is nothing to take away."""

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        """Make an interface on the parent, in the sandbox."""
        parent = self._parent(network)
        namespace = os.open(sandbox.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._netlink.add_macvlan(
                endpoint.interface,
                parent=parent.index,
                mode=network.options.get(_MODE, _MODES[0]),
                namespace=namespace,
                mac=endpoint.mac,
                mtu=int(network.options.get(_MTU, "0")),
            )
        except OSError as error:
            known = {
                errno.EOPNOTSUPP: "the kernel has no macvlan (CONFIG_MACVLAN)",
                errno.EBUSY: f"the interface {parent.name} is in use, in a bridge say",
            }
            raise Unavailable(
                f"cannot connect the container to the network {network.name}:"
                f" {known.get(error.errno or 0, error.strerror)}"
            ) from error
        finally:
            os.close(namespace)
        return endpoint

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Delete the interface. It goes by itself with the namespace."""
        del network
        if sandbox.path:
            inside(sandbox.path, lambda: _delete(endpoint))

    def interface_of(self, network: Network) -> str:
        """Return the parent."""
        return network.options.get(_PARENT, "")

    def _parent(self, network: Network) -> Link:
        name = network.options.get(_PARENT, "")
        if not name:
            raise InvalidParameter(f"a macvlan network needs an interface of the machine: give -o {_PARENT}=NAME")
        found = self._netlink.find_link(name)
        if found is None:
            raise InvalidParameter(f"the parent {name} of the network {network.name} is no interface of the machine")
        return found

    @property
    def _netlink(self) -> Netlink:
        with self._lock:
            if self._opened is None:
                self._opened = Netlink()
            return self._opened


def _delete(endpoint: Endpoint) -> None:
    with Netlink() as netlink:
        found = netlink.find_link(endpoint.interface)
        # Another driver may have brought an interface of this name; ours has the planned address.
        if found is not None and found.kind == "macvlan" and found.mac == endpoint.mac:
            netlink.delete_link(endpoint.interface)
