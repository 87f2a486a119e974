"""The two network drivers that have one network each."""

from __future__ import annotations

from pathlib import Path

import pytest

from transom.drivers.network import Endpoint, NetworkDriver, Sandbox, SandboxKind
from transom.errors import Forbidden, InvalidParameter
from transom_host.driver import HostDriver
from transom_none.driver import NoneDriver

DRIVERS = pytest.mark.parametrize("kind", [NoneDriver, HostDriver])


def make(kind: type[NetworkDriver], root: Path) -> NetworkDriver:
    kind.probe(root)
    return kind(root)


def test_a_container_has_its_own_namespace_or_the_machines() -> None:
    assert NoneDriver.sandbox is SandboxKind.PRIVATE
    assert HostDriver.sandbox is SandboxKind.HOST


@DRIVERS
def test_containers_connect_without_an_address(kind: type[NetworkDriver], tmp_path: Path) -> None:
    driver = make(kind, tmp_path)
    driver.create(kind.name, {})
    endpoint = Endpoint(kind.name)
    assert driver.connect(Sandbox("container"), endpoint) == endpoint
    driver.disconnect(Sandbox("container"), endpoint)
    driver.disconnect(Sandbox("container"), endpoint)


@DRIVERS
def test_there_is_one_network_which_stays(kind: type[NetworkDriver], tmp_path: Path) -> None:
    driver = make(kind, tmp_path)
    with pytest.raises(Forbidden, match="only one network"):
        driver.create("second", {})
    with pytest.raises(Forbidden, match="pre-defined network and cannot be removed"):
        driver.remove(kind.name)
    driver.remove("unknown")
    with pytest.raises(InvalidParameter, match="has no option 'mtu'"):
        driver.create(kind.name, {"mtu": "1500"})
