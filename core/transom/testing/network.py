"""The conformance suite of network drivers: `NetworkDriverSuite`. `transom.drivers.network` is the contract."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.network import Addressing, Endpoint, Network, NetworkDriver, Pool, Sandbox, SandboxKind
from transom.errors import InvalidParameter
from transom.networks.firewall import Firewall
from transom.networks.netlink import Netlink
from transom.networks.sandbox import Namespaces, inside
from transom.testing.interruption import count_steps, kill_at_step, spread

__all__ = ["NetworkDriverSuite", "addresses_in", "interfaces", "interfaces_in"]


def interfaces() -> set[str]:
    """Return the names of the interfaces of this process's network namespace."""
    with Netlink() as netlink:
        return {link.name for link in netlink.links()}


def interfaces_and_addresses() -> set[tuple[int, str, tuple[str, ...]]]:
    """Return the number, the name and the addresses of each interface of this process's network namespace.

    Those that interfaces give themselves (fe80::) are left out.
    """
    with Netlink() as netlink:
        return {
            (link.index, link.name, tuple(sorted(own for own in netlink.addresses(link.index) if own[:4] != "fe80")))
            for link in netlink.links()
        }


def interfaces_in(sandbox: Sandbox) -> set[str]:
    """Return the names of a sandbox's interfaces."""
    return inside(sandbox.path, interfaces)


def addresses_in(sandbox: Sandbox) -> set[str]:
    """Return the addresses of a sandbox's interfaces, with their prefix lengths."""

    def work() -> set[str]:
        with Netlink() as netlink:
            return set(netlink.addresses())

    return inside(sandbox.path, work)


def _settled(holds: Callable[[], bool]) -> bool:
    """Return whether something holds, at the latest in ten seconds: the kernel ends namespaces in its own time."""
    end = time.monotonic() + 10
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.01)
    return held


class NetworkDriverSuite:
    """Tests that every driver passes. A subclass names the driver, and overrides `options` where networks need any."""

    driver_class: ClassVar[type[NetworkDriver]]
    #: The options of the networks that the tests make.
    options: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def driver(self, tmp_path: Path, private_network: None) -> Iterator[NetworkDriver]:  # noqa: ARG002
        """A driver, with a firewall of its own."""
        firewall = Firewall(f"transom-{secrets.token_hex(4)}")
        self.driver_class.probe(tmp_path)
        driver = self.driver_class(tmp_path / "root", firewall)
        firewall.settle()
        yield driver
        driver.close()

    @pytest.fixture
    def network(self, driver: NetworkDriver) -> Iterator[Network]:
        """A network that is made. At the end it is removed, and nothing of it is left."""
        before = interfaces()
        network = self.make(driver)
        driver.check(network)
        driver.create(network)
        yield network
        driver.remove(network)
        driver.close()
        assert _settled(lambda: interfaces() <= before)

    @pytest.fixture
    def sandbox(self, tmp_path: Path, private_mounts: None, private_network: None) -> Iterator[Sandbox]:  # noqa: ARG002
        """A network namespace with nothing but a loopback interface."""
        namespaces = Namespaces(tmp_path / "netns")
        path, netlink = namespaces.create("container")
        netlink.close()
        yield Sandbox("container", str(path))
        namespaces.remove("container")

    def make(self, driver: NetworkDriver, octet: int = 1) -> Network:
        """Return a network that the driver can make."""
        pool = Pool(f"10.77.{octet}.0/24", "", f"10.77.{octet}.1")
        pools = (pool,) if driver.addressing is Addressing.CORE else ()
        identity = driver.name if driver.single else secrets.token_hex(32)
        name = driver.name if driver.single else f"net{octet}"
        return Network(identity, name, driver.name, pools=pools, options=self.options, builtin=driver.single)

    def endpoint(self, network: Network, last: int = 2) -> Endpoint:
        """Return an endpoint as the engine plans it."""
        return Endpoint(
            secrets.token_hex(32),
            network.id,
            network.name,
            interface=f"eth{last - 2}",
            address=f"10.77.1.{last}/24" if network.pools else "",
            gateway="10.77.1.1" if network.pools else "",
            mac=f"02:42:0a:4d:01:{last:02x}" if network.pools else "",
        )

    def test_a_network_that_is_there_is_left_as_it_is(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox
    ) -> None:
        endpoint = driver.connect(sandbox, network, self.endpoint(network))
        before, inner = interfaces_and_addresses(), interfaces_in(sandbox)
        driver.create(network)
        assert (interfaces_and_addresses(), interfaces_in(sandbox)) == (before, inner)
        driver.disconnect(sandbox, network, endpoint)

    def test_another_driver_object_goes_on_with_a_network(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox
    ) -> None:
        again = type(driver)(driver.root, driver.firewall)
        again.create(network)
        endpoint = again.connect(sandbox, network, self.endpoint(network))
        driver.disconnect(sandbox, network, endpoint)
        again.close()

    def test_removing_what_is_not_there_is_harmless(self, driver: NetworkDriver) -> None:
        before = interfaces()
        driver.remove(self.make(driver, 2))
        assert interfaces() == before

    def test_an_unknown_option_is_refused_and_nothing_is_made(self, driver: NetworkDriver) -> None:
        before = interfaces()
        wrong = replace(self.make(driver), options={**self.options, "no-such-option": "value"})
        if not driver.single:  # the engine makes the only network of such a driver, without options
            with pytest.raises(InvalidParameter, match="no-such-option"):
                driver.check(wrong)
        assert interfaces() == before

    def test_a_connected_sandbox_has_the_planned_interface_until_it_is_disconnected(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox
    ) -> None:
        # What the first connection needs may stay with the network.
        driver.disconnect(sandbox, network, driver.connect(sandbox, network, self.endpoint(network, 3)))
        empty, outside = interfaces_in(sandbox), interfaces_and_addresses()
        endpoint = driver.connect(sandbox, network, self.endpoint(network))
        planned = {endpoint.interface} if driver.sandbox is SandboxKind.PRIVATE else set()
        assert planned <= interfaces_in(sandbox)
        assert bool(planned) == (interfaces_in(sandbox) != empty)
        driver.disconnect(sandbox, network, endpoint)
        assert interfaces_in(sandbox) == empty
        assert interfaces_and_addresses() == outside

    def test_disconnecting_twice_and_what_was_never_connected_is_harmless(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox
    ) -> None:
        endpoint = self.endpoint(network)
        driver.disconnect(sandbox, network, endpoint)
        endpoint = driver.connect(sandbox, network, endpoint)
        driver.disconnect(sandbox, network, endpoint)
        driver.disconnect(sandbox, network, endpoint)

    def test_what_a_sandbox_that_is_gone_had_is_gone_too(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        before = interfaces()
        endpoint = driver.connect(sandbox, network, self.endpoint(network))
        Namespaces(tmp_path / "netns").remove("container")
        driver.disconnect(Sandbox("container"), network, endpoint)
        driver.close()
        assert _settled(lambda: interfaces() == before)

    def test_sandboxes_are_connected_side_by_side(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        other_path, netlink = Namespaces(tmp_path / "netns").create("other")
        netlink.close()
        other = Sandbox("other", str(other_path))
        one = driver.connect(sandbox, network, self.endpoint(network))
        two = driver.connect(other, network, replace(self.endpoint(network, 3), interface="eth0"))
        assert interfaces_in(sandbox) == interfaces_in(other)
        driver.disconnect(sandbox, network, one)
        driver.disconnect(other, network, two)
        Namespaces(tmp_path / "netns").remove("other")

    def test_what_a_killed_process_began_is_gone_on_with_and_taken_away(
        self, driver: NetworkDriver, sandbox: Sandbox
    ) -> None:
        before, inner = interfaces(), interfaces_in(sandbox)
        network = self.make(driver)
        endpoint = self.endpoint(network)

        def fresh() -> NetworkDriver:
            return type(driver)(driver.root, driver.firewall)

        def live() -> None:
            again = fresh()
            again.create(network)
            again.connect(sandbox, network, endpoint)

        steps = count_steps(live)
        for step in spread(steps, 8):
            again = fresh()
            again.disconnect(sandbox, network, endpoint)
            again.remove(network)
            again.close()
            assert (interfaces(), interfaces_in(sandbox)) == (before, inner), f"killed before step {step} of {steps}"
            kill_at_step(step, live)
        again = fresh()
        again.create(network)
        again.disconnect(sandbox, network, endpoint)
        connected = again.connect(sandbox, network, endpoint)
        again.disconnect(sandbox, network, connected)
        again.remove(network)
        again.close()
        assert (interfaces(), interfaces_in(sandbox)) == (before, inner)

    def test_a_connection_that_fails_leaves_nothing(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox
    ) -> None:
        before, inner = interfaces(), interfaces_in(sandbox)
        taken = replace(self.endpoint(network), interface="lo")
        if driver.sandbox is SandboxKind.PRIVATE:
            with pytest.raises(Exception):  # noqa: B017 whatever the driver says
                driver.connect(sandbox, network, taken)
        else:
            driver.connect(sandbox, network, taken)
        assert (interfaces(), interfaces_in(sandbox)) == (before, inner)
