"""Bridges, and pairs of interfaces between them and sandboxes; what crosses a bridge's edge is the firewall's.

Nothing is kept on disk: a bridge's name follows from its network, a pair's from its endpoint.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from transom.drivers.network import Addressing, Endpoint, Network, Sandbox, SandboxKind
from transom.errors import Conflict, Unavailable
from transom.networks.firewall import Firewall, Routed
from transom.networks.link_driver import LinkDriver, mac_of
from transom.networks.netlink import Link
from transom.networks.pools import subnet_of
from transom_bridge.options import Options

__all__ = ["BridgeDriver"]

_SYSCTL = Path("/proc/sys/net")


class BridgeDriver(LinkDriver):
    """The network driver `bridge`."""

    name: ClassVar[str] = "bridge"
    rank: ClassVar[int] = 100
    limits: ClassVar[tuple[str, ...]] = (
        "It sets the machine's net.ipv4.ip_forward, and net.ipv6.conf.all.forwarding for networks with IPv6.",
        "Rules of others that drop what is forwarded (dockerd's, a firewall's) stop traffic between networks too.",
    )
    sandbox = SandboxKind.PRIVATE
    addressing = Addressing.CORE
    publishes_ports = True
    resolves_names = True

    def __init__(self, root: Path, firewall: Firewall) -> None:
        super().__init__(root, firewall)
        self._reaper = ThreadPoolExecutor(1, thread_name_prefix="transom-bridge")

    def check(self, network: Network) -> None:
        """Raise `InvalidParameter` for a wrong option, `Conflict` for a name that another interface has."""
        options = Options.of(network)
        found = self.netlink.find_link(options.bridge)
        if found is not None and found.kind != "bridge":
            raise Conflict(f"cannot make the bridge {options.bridge}: an interface of that name is there already")

    def create(self, network: Network) -> None:
        """Make the bridge with the gateways' addresses, and the rules for it."""
        options = Options.of(network)
        found = self.netlink.find_link(options.bridge)
        if found is None:
            self._make(network, options)
        else:
            self._set_addresses(network, found)
        try:
            self._route(network, options)
        except BaseException:
            if found is None:
                self.netlink.delete_link(options.bridge)
            raise

    def _make(self, network: Network, options: Options) -> None:
        try:
            self.netlink.add_bridge(options.bridge, mac=mac_of(network), mtu=options.mtu)
        except OSError as error:
            remedy = "the kernel has no bridges (CONFIG_BRIDGE)" if error.errno == errno.EOPNOTSUPP else error.strerror
            raise Unavailable(f"cannot make the bridge {options.bridge}: {remedy}") from error
        try:
            made = self.netlink.find_link(options.bridge)
            if made is None:
                raise Unavailable(f"cannot make the bridge {options.bridge}: it was taken away meanwhile")
            self._set_addresses(network, made)
        except BaseException:
            self.netlink.delete_link(options.bridge)
            raise

    def _set_addresses(self, network: Network, bridge: Link) -> None:
        wanted = [f"{pool.gateway}/{subnet_of(pool).prefixlen}" for pool in network.pools]
        missing = [address for address in wanted if address not in self.netlink.addresses(bridge.index)]
        if missing or not bridge.up:
            self.netlink.configure(bridge.index, missing, link_local=False)

    def _route(self, network: Network, options: Options) -> None:
        if self.firewall.missing:
            # Without rules nothing would keep networks apart: the machine must not forward for them.
            return
        subnets = tuple(pool.subnet for pool in network.pools) if options.masquerade and not network.internal else ()
        apart = not options.between_containers
        self.firewall.add_network(Routed(options.bridge, subnets, network.internal, apart))
        _write(_SYSCTL / "ipv4/ip_forward", "1")
        # What is sent to 127.0.0.1 of the machine can then lead to a container; the firewall lets nothing in by that.
        _write(_SYSCTL / "ipv4/conf" / options.bridge / "route_localnet", "1")
        if apart:
            # The machine answers for the containers, which do not hear each other, and so the firewall decides.
            _write(_SYSCTL / "ipv4/conf" / options.bridge / "proxy_arp_pvlan", "1")
            _write(_SYSCTL / "ipv4/neigh" / options.bridge / "proxy_delay", "0")
        if network.ipv6:
            _write(_SYSCTL / "ipv6/conf/all/forwarding", "1")

    def remove(self, network: Network) -> None:
        """Take the bridge and its rules away."""
        options = Options.of(network)
        self.firewall.remove_network(options.bridge)
        self.netlink.delete_link(options.bridge)

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        """Make a pair of interfaces between the bridge and the sandbox."""
        options = Options.of(network)
        bridge = self.netlink.find_link(options.bridge)
        if bridge is None:
            raise Unavailable(f"the bridge {options.bridge} of the network {network.name} is gone: restart the daemon")
        namespace = os.open(sandbox.path, os.O_RDONLY | os.O_CLOEXEC)
        name = _pair_name(endpoint)
        try:
            self.netlink.add_pair(
                name,
                master=bridge.index,
                namespace=namespace,
                peer=endpoint.interface,
                peer_mac=endpoint.mac,
                mtu=options.mtu,
            )
            if not options.between_containers:
                made = self.netlink.find_link(name)
                if made is not None:
                    self.netlink.isolate_port(made.index)
        except OSError as error:
            self.netlink.delete_link(name)
            raise Unavailable(
                f"cannot connect the container to the network {network.name}: {error.strerror}"
            ) from error
        finally:
            os.close(namespace)
        return endpoint

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Delete the pair. A namespace that is gone takes its end with it, and so the other."""
        del network
        if sandbox.path:
            self.netlink.delete_link(_pair_name(endpoint))
        else:
            # The kernel does it by itself, unless somebody holds the namespace; it takes its time for either.
            self._reaper.submit(self.netlink.delete_link, _pair_name(endpoint))

    def close(self) -> None:
        """Wait for what is being deleted."""
        self._reaper.shutdown(wait=True)

    def interface_of(self, network: Network) -> str:
        """Return the bridge."""
        return Options.of(network).bridge


def _pair_name(endpoint: Endpoint) -> str:
    return f"veth{endpoint.id[:7]}"


def _write(path: Path, value: str) -> None:
    """Set a variable of sysctl(8), unless it has the value already."""
    if path.read_text().strip() != value:
        path.write_text(value)
