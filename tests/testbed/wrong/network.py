"""Network drivers that are wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from transom.drivers.network import Endpoint, Network, NetworkDriver, Sandbox
from transom.errors import NotFound
from transom.networks.firewall import Firewall
from transom_bridge.driver import BridgeDriver

__all__ = ["DRIVERS"]


class MakesNetworksAnew(BridgeDriver):
    noticed = "test_a_network_that_is_there_is_left_as_it_is"

    def create(self, network: Network) -> None:
        super().remove(network)
        super().create(network)


class ForgetsNetworks(BridgeDriver):
    noticed = "test_another_driver_object_goes_on_with_a_network"

    def __init__(self, root: Path, firewall: Firewall) -> None:
        super().__init__(root, firewall)
        self._made: dict[str, Endpoint] = {}

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        self._made[endpoint.id] = endpoint
        return super().connect(sandbox, network, endpoint)

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        super().disconnect(sandbox, network, self._made[endpoint.id])


class RemovesOnlyWhatIsThere(BridgeDriver):
    noticed = "test_removing_what_is_not_there_is_harmless"

    def remove(self, network: Network) -> None:
        if self.netlink.find_link(self.interface_of(network)) is None:
            raise NotFound(f"network {network.name} not found")
        super().remove(network)


class LeavesNetworks(BridgeDriver):
    noticed = "test_a_network_that_is_there_is_left_as_it_is"

    def remove(self, network: Network) -> None:
        """Leave it."""


class TakesAnyOption(BridgeDriver):
    noticed = "test_an_unknown_option_is_refused_and_nothing_is_made"

    def check(self, network: Network) -> None:
        """Take them all."""


class NamesInterfacesItself(BridgeDriver):
    noticed = "test_a_connected_sandbox_has_the_planned_interface_until_it_is_disconnected"

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        super().connect(sandbox, network, replace(endpoint, interface="net0"))
        return endpoint


class LeavesInterfaces(BridgeDriver):
    noticed = "test_a_connected_sandbox_has_the_planned_interface_until_it_is_disconnected"

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Leave it."""


class LeaksAddresses(BridgeDriver):
    noticed = "test_a_connected_sandbox_has_the_planned_interface_until_it_is_disconnected"

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        bridge = self.netlink.find_link(self.interface_of(network))
        assert bridge is not None
        self.netlink.configure(bridge.index, [endpoint.address], link_local=False)
        return super().connect(sandbox, network, endpoint)


class DisconnectsOnce(BridgeDriver):
    noticed = "test_disconnecting_twice_and_what_was_never_connected_is_harmless"

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        before = len(self.netlink.links())
        super().disconnect(sandbox, network, endpoint)
        if len(self.netlink.links()) == before:
            raise NotFound("it is not connected")


class Marked(BridgeDriver):
    """A right driver that makes one more interface per endpoint, for wrong ones to derive from."""

    def mark(self, endpoint: Endpoint) -> str:
        return f"mark{endpoint.id[:8]}"

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        self.make_mark(endpoint)
        try:
            return super().connect(sandbox, network, endpoint)
        except BaseException:
            self.netlink.delete_link(self.mark(endpoint))
            raise

    def make_mark(self, endpoint: Endpoint) -> None:
        if self.netlink.find_link(self.mark(endpoint)) is None:
            self.netlink.add_bridge(self.mark(endpoint), mac=endpoint.mac, mtu=0)

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        super().disconnect(sandbox, network, endpoint)
        self.netlink.delete_link(self.mark(endpoint))


class NeedsTheSandbox(Marked):
    noticed = "test_what_a_sandbox_that_is_gone_had_is_gone_too"

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        if sandbox.path:
            super().disconnect(sandbox, network, endpoint)


class LeavesWhatFailed(Marked):
    noticed = "test_a_connection_that_fails_leaves_nothing"

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        self.make_mark(endpoint)
        return BridgeDriver.connect(self, sandbox, network, endpoint)


class LeavesWhatAKilledOneBegan(Marked):
    noticed = "test_what_a_killed_process_began_is_gone_on_with_and_taken_away"

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        if not self.netlink.find_link(f"veth{endpoint.id[:7]}") and Path(sandbox.path).exists():
            return
        super().disconnect(sandbox, network, endpoint)


class ConnectsOne(BridgeDriver):
    noticed = "test_sandboxes_are_connected_side_by_side"

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        for link in self.netlink.links():
            if link.kind == "veth":
                self.netlink.delete_link(link.name)
        return super().connect(sandbox, network, endpoint)


DRIVERS: tuple[type[NetworkDriver], ...] = tuple(
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, NetworkDriver) and "noticed" in vars(kind)
)
