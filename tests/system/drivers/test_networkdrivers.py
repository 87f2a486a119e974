"""The built-in network drivers keep the contract of network drivers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from transom.drivers.network import Network, NetworkDriver, Sandbox
from transom.errors import Conflict, InvalidParameter, Unavailable
from transom.networks.netlink import Netlink
from transom.networks.sandbox import Namespaces, inside
from transom.testing.network import NetworkDriverSuite, addresses_in, interfaces, interfaces_in
from transom_bridge.driver import BridgeDriver
from transom_cni.driver import CniDriver
from transom_host.driver import HostDriver
from transom_macvlan.driver import MacvlanDriver
from transom_none.driver import NoneDriver


class TestNone(NetworkDriverSuite):
    driver_class = NoneDriver


class TestHost(NetworkDriverSuite):
    driver_class = HostDriver


class TestBridge(NetworkDriverSuite):
    driver_class = BridgeDriver

    def test_the_bridge_has_the_gateways_address(self, driver: NetworkDriver, network: Network) -> None:
        with Netlink() as netlink:
            bridge = netlink.find_link(driver.interface_of(network))
            assert bridge is not None
            assert (bridge.kind, bridge.up) == ("bridge", True)
            assert netlink.addresses(bridge.index) == ["10.77.1.1/24"]

    def test_an_address_that_was_taken_away_comes_back(self, driver: NetworkDriver, network: Network) -> None:
        with Netlink() as netlink:
            bridge = netlink.find_link(driver.interface_of(network))
            assert bridge is not None
            netlink.delete_address(bridge.index, "10.77.1.1/24")
            driver.create(network)
            assert netlink.addresses(bridge.index) == ["10.77.1.1/24"]

    def test_options_choose_the_name_and_the_mtu(self, driver: NetworkDriver, sandbox: Sandbox) -> None:
        options = {"com.docker.network.bridge.name": "transom-test", "com.docker.network.driver.mtu": "1400"}
        network = replace(self.make(driver), options=options)
        driver.create(network)
        endpoint = driver.connect(sandbox, network, self.endpoint(network))
        with Netlink() as netlink:
            assert {link.mtu for link in netlink.links() if link.name.startswith(("transom", "veth"))} == {1400}
        driver.disconnect(sandbox, network, endpoint)
        driver.remove(network)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("com.docker.network.bridge.name", "a name"),
            ("com.docker.network.bridge.name", "longer-than-15-bytes"),
            ("com.docker.network.driver.mtu", "12"),
            ("com.docker.network.bridge.enable_icc", "maybe"),
        ],
    )
    def test_wrong_values_of_options_are_refused(self, driver: NetworkDriver, name: str, value: str) -> None:
        with pytest.raises(InvalidParameter):
            driver.check(replace(self.make(driver), options={name: value}))

    def test_the_name_of_another_interface_is_refused(self, driver: NetworkDriver) -> None:
        before = interfaces()
        with pytest.raises(Conflict, match="an interface of that name is there already"):
            driver.check(replace(self.make(driver), options={"com.docker.network.bridge.name": "lo"}))
        assert interfaces() == before

    def test_without_nftables_the_machine_does_not_forward(
        self, driver: NetworkDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forward = Path("/proc/sys/net/ipv4/ip_forward")
        forward.write_text("0")
        monkeypatch.setattr(driver.firewall, "_reason", "nftables cannot be used")
        network = self.make(driver)
        driver.create(network)
        assert forward.read_text().strip() == "0"
        driver.remove(network)


class TestMacvlan(NetworkDriverSuite):
    driver_class = MacvlanDriver
    options: ClassVar[dict[str, str]] = {"parent": "mac0"}

    @pytest.fixture(autouse=True)
    def parent(self, private_network: None) -> Iterator[None]:
        """An interface to be the parent."""
        subprocess.run("ip link add mac0 type veth peer name mac1".split(), check=True)
        for name in ("mac0", "mac1"):
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield
        subprocess.run("ip link del mac0".split(), check=True)

    @pytest.mark.parametrize(
        "options",
        [
            {"parent": "nosuch"},
            {"parent": "nosuch.5"},
            {"parent": "mac0.5000"},
            {"parent": "mac0.x"},
            {"parent": "mac0", "macvlan_mode": "x"},
            {"parent": "mac0", "a": "b"},
        ],
    )
    def test_wrong_options_are_refused(self, driver: NetworkDriver, options: dict[str, str]) -> None:
        with pytest.raises(InvalidParameter):
            driver.check(replace(self.make(driver), options=options))

    def test_the_parent_is_a_vlan_where_the_kernel_has_them_and_goes_with_the_last_network(
        self, driver: NetworkDriver, sandbox: Sandbox
    ) -> None:
        before = interfaces()
        one, two = (replace(self.make(driver, octet), options={"parent": "mac0.50"}) for octet in (1, 2))
        driver.check(one)
        if subprocess.run("ip link add link mac0 name probe type vlan id 7".split(), capture_output=True).returncode:
            with pytest.raises(Unavailable, match="the kernel has no VLANs"):
                driver.create(one)
            assert interfaces() == before
            return
        subprocess.run("ip link del probe".split(), check=True)
        for network in (one, two):
            driver.create(network)
        endpoint = driver.connect(sandbox, one, self.endpoint(one))
        driver.disconnect(sandbox, one, endpoint)
        driver.remove(one)
        assert interfaces() - before == {"mac0.50"}
        driver.remove(two)
        assert interfaces() == before

    def test_an_interface_that_was_there_stays(self, driver: NetworkDriver) -> None:
        before = interfaces()
        network = self.make(driver)
        driver.create(network)
        driver.remove(network)
        assert interfaces() == before


class TestMacvlanWithoutParent(NetworkDriverSuite):
    driver_class = MacvlanDriver


class CniSuite(NetworkDriverSuite):
    """Configurations of the plugins that Debian has."""

    driver_class = CniDriver
    plugin: ClassVar[dict[str, Any]]

    @pytest.fixture(autouse=True)
    def configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A configuration of the plugin with addresses of its own."""
        ranges = [[{"subnet": "10.77.1.0/24"}]]
        ipam = {"type": "host-local", "dataDir": str(tmp_path / "ipam"), "ranges": ranges}
        content = {"cniVersion": "1.0.0", "name": "suite", "plugins": [{**self.plugin, "ipam": ipam}]}
        (tmp_path / "suite.conflist").write_text(json.dumps(content))
        monkeypatch.setattr(type(self), "options", {"config": "suite", "config-dir": str(tmp_path)}, raising=False)

    def test_check_finds_an_address_that_somebody_took(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox
    ) -> None:
        endpoint = driver.connect(sandbox, network, self.endpoint(network))
        assert addresses_in(sandbox) >= {endpoint.address}
        driver.verify(sandbox, network, endpoint)

        def take() -> None:
            with Netlink() as netlink:
                link = netlink.find_link(endpoint.interface)
                assert link is not None
                netlink.delete_address(link.index, endpoint.address)

        inside(sandbox.path, take)
        with pytest.raises(Unavailable, match="failed at CHECK for the network suite"):
            driver.verify(sandbox, network, endpoint)
        driver.disconnect(sandbox, network, endpoint)

    def test_what_nobody_is_connected_by_is_given_back(
        self, driver: NetworkDriver, network: Network, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        before = interfaces_in(sandbox)
        endpoint = driver.connect(sandbox, network, self.endpoint(network))
        driver.recover(lambda known: known == endpoint.id)
        assert interfaces_in(sandbox) != before
        Namespaces(tmp_path / "netns").remove("container")
        driver.recover(lambda _: False)
        assert list(tmp_path.glob("ipam/suite/10.*")) == []


class TestCniPointToPoint(CniSuite):
    plugin: ClassVar[dict[str, Any]] = {"type": "ptp"}


class TestCniBridge(CniSuite):
    plugin: ClassVar[dict[str, Any]] = {"type": "bridge", "bridge": "cni-suite", "isGateway": True}

    @pytest.fixture(autouse=True)
    def bridge(self, private_network: None) -> Iterator[None]:
        """The bridge, which the plugin would make and leave."""
        subprocess.run("ip link add cni-suite type bridge".split(), check=True)
        yield
        subprocess.run("ip link del cni-suite".split(), check=True)
