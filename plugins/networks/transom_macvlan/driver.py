"""Interfaces on top of one of the machine's, each with an address of its own there: macvlan."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import ClassVar

from transom.drivers.network import Addressing, Endpoint, Network, Sandbox, SandboxKind
from transom.errors import InvalidParameter, Unavailable
from transom.networks.firewall import Firewall
from transom.networks.link_driver import MTU, LinkDriver, mac_of, mtu_of
from transom.networks.netlink import Link, Netlink
from transom.networks.sandbox import inside

__all__ = ["MacvlanDriver"]

_PARENT, _MODE = "parent", "macvlan_mode"
#: How the aliases of interfaces begin that were made for a network.
_OWN = "transom:"
_LAST_VLAN = 4094
_MODES = ("bridge", "vepa", "private", "passthru")


class MacvlanDriver(LinkDriver):
    """The network driver `macvlan`. A network is an interface, its parent: one of the machine, a VLAN, or its own."""

    name: ClassVar[str] = "macvlan"
    limits: ClassVar[tuple[str, ...]] = ("Containers and the machine itself do not reach each other.",)
    sandbox = SandboxKind.PRIVATE
    addressing = Addressing.CORE
    resolves_names = True

    def __init__(self, root: Path, firewall: Firewall) -> None:
        super().__init__(root, firewall)
        #: The parents of the networks that there are, by network.
        self._parents: dict[str, str] = {}

    def check(self, network: Network) -> None:
        """Raise `InvalidParameter` for a wrong option, or a parent that is not there."""
        for name in network.options:
            if name not in (_PARENT, _MODE, MTU):
                raise InvalidParameter(f"the network driver macvlan has no option {name!r}")
        mode = network.options.get(_MODE, _MODES[0])
        if mode not in _MODES:
            raise InvalidParameter(f"invalid macvlan mode {mode!r}: it should be one of {', '.join(_MODES)}")
        mtu_of(network)
        parent = network.options.get(_PARENT, "")
        if parent and self.netlink.find_link(parent) is None:
            base, _ = _split(parent)
            if self.netlink.find_link(base) is None:
                raise InvalidParameter(
                    f"the parent {base} of the network {network.name} is no interface of the machine"
                )

    def create(self, network: Network) -> None:
        """Make the parent if it is a VLAN that is not there, or none was named: then it leads nowhere."""
        name = _parent_name(network)
        if self.netlink.find_link(name) is None:
            self._make_parent(network, name)
        with self._lock:
            self._parents[network.id] = name

    def _make_parent(self, network: Network, name: str) -> None:
        try:
            if _PARENT in network.options:
                base, number = _split(name)
                below = self.netlink.find_link(base)
                if below is None:
                    raise Unavailable(f"the parent {base} of the network {network.name} is gone")
                self.netlink.add_vlan(name, parent=below.index, number=number, alias=_alias(network))
            else:
                self._make_dummy(network, name)
        except OSError as error:
            known = {errno.EOPNOTSUPP: "the kernel has no VLANs (CONFIG_VLAN_8021Q)"}
            raise Unavailable(
                f"cannot make the parent {name} of the network {network.name}:"
                f" {known.get(error.errno or 0, error.strerror)}"
            ) from error

    def _make_dummy(self, network: Network, name: str) -> None:
        try:
            self.netlink.add_dummy(name)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            # A bridge without ports leads nowhere too, and more kernels have it.
            self.netlink.add_bridge(name, mac=mac_of(network), mtu=0)
            made = self.netlink.find_link(name)
            if made is not None:
                self.netlink.set_up(made.index, link_local=False)

    def remove(self, network: Network) -> None:
        """Take the parent away if it was made for the network, unless others are on it by now."""
        name = _parent_name(network)
        with self._lock:
            self._parents.pop(network.id, None)
            shared = name in self._parents.values()
        found = self.netlink.find_link(name)
        if found is not None and not shared and (_PARENT not in network.options or found.alias.startswith(_OWN)):
            self.netlink.delete_link(name)

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        """Make an interface on the parent, in the sandbox."""
        parent = self._parent(network)
        namespace = os.open(sandbox.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.netlink.add_macvlan(
                endpoint.interface,
                parent=parent.index,
                mode=network.options.get(_MODE, _MODES[0]),
                namespace=namespace,
                mac=endpoint.mac,
                mtu=mtu_of(network),
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
        return _parent_name(network)

    def _parent(self, network: Network) -> Link:
        name = _parent_name(network)
        found = self.netlink.find_link(name)
        if found is None:
            raise Unavailable(f"the parent {name} of the network {network.name} is gone: restart the daemon")
        return found


def _parent_name(network: Network) -> str:
    """Return the interface that a network's are on top of: the one that it names, or one of its own."""
    return network.options.get(_PARENT, "") or f"dm-{network.id[:12]}"


def _alias(network: Network) -> str:
    return f"{_OWN}{network.id}"


def _split(name: str) -> tuple[str, int]:
    """Return the interface and the VLAN of `eth0.50`. Raises `InvalidParameter`."""
    base, dot, number = name.rpartition(".")
    if not dot:
        raise InvalidParameter(f"the parent {name} is no interface of the machine, nor a VLAN of one as eth0.10 is")
    if not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= _LAST_VLAN:
        raise InvalidParameter(f"invalid VLAN {number!r} of the parent {name}: it should be from 1 to {_LAST_VLAN}")
    return base, int(number)


def _delete(endpoint: Endpoint) -> None:
    with Netlink() as netlink:
        found = netlink.find_link(endpoint.interface)
        # Another driver may have brought an interface of this name; ours has the planned address.
        if found is not None and found.kind == "macvlan" and found.mac == endpoint.mac:
            netlink.delete_link(endpoint.interface)
