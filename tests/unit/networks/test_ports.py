"""Published ports: what can be asked for, and the sockets that reserve them."""

from __future__ import annotations

import socket

import pytest

from transom.errors import Conflict, InvalidParameter
from transom.networks.firewall import Published, Routed
from transom.networks.ports import PortBinding, parse_exposed, parse_host_port, parse_port, reserve


def close(reservations):
    for item in reservations:
        item.socket.close()


def test_ports_and_ranges_are_read():
    assert (parse_port("80/tcp"), parse_port("53/UDP"), parse_port("80")) == ((80, "tcp"), (53, "udp"), (80, "tcp"))
    assert (parse_host_port(""), parse_host_port("8080"), parse_host_port("80-90")) == ((0, 0), (8080, 8080), (80, 90))
    assert parse_exposed(("80/tcp", "90-92/udp")) == {(80, "tcp"), (90, "udp"), (91, "udp"), (92, "udp")}


@pytest.mark.parametrize("text", ["", "0/tcp", "65536", "80/icmp", "x", "80/tcp/udp"])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(InvalidParameter, match="invalid port specification"):
        parse_port(text)


@pytest.mark.parametrize("text", ["x", "90-80", "70000", "80-70000"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(InvalidParameter, match="invalid port specification"):
        parse_host_port(text)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_free_port_is_found_and_is_taken_then(protocol):
    (reserved,) = reserve(PortBinding(80, protocol, "127.0.0.1"), ipv6=False)
    port = reserved.published.host_port
    with pytest.raises(Conflict, match=f"Bind for 127.0.0.1:{port} failed: port is already allocated"):
        reserve(PortBinding(80, protocol, "127.0.0.1", port, port), ipv6=False)
    (other,) = reserve(PortBinding(80, protocol, "127.0.0.1", port, port + 50), ipv6=False)
    assert port < other.published.host_port <= port + 50
    close([reserved, other])
    close(reserve(PortBinding(80, protocol, "127.0.0.1", port, port), ipv6=False))


def test_both_families_get_the_same_port():
    reservations = reserve(PortBinding(80), ipv6=True)
    assert [item.published.address for item in reservations] == ["0.0.0.0", "::"]
    assert len({item.published.host_port for item in reservations}) == 1
    assert [item.socket.family for item in reservations] == [socket.AF_INET, socket.AF_INET6]
    close(reservations)


def test_an_address_that_the_machine_does_not_have_is_refused():
    with pytest.raises(Conflict, match=r"Bind for 192.0.2.77:80 failed: Cannot assign requested address"):
        reserve(PortBinding(80, "tcp", "192.0.2.77", 80, 80), ipv6=False)


def test_rules_are_elements_of_sets_and_maps():
    assert Published("tcp", "", 8080, "10.9.0.2", 80).map == "any4"
    bound = Published("udp", "::1", 53, "fd00::2", 53)
    assert (bound.map, bound.key, bound.value) == ("bound6", "udp . ::1 . 53", "fd00::2 . 53")
    assert Routed("br-a", ("10.9.0.0/24", "fd00::/64"), internal=True).elements() == [
        ("bridges", '"br-a"'),
        ("same", '"br-a" . "br-a"'),
        ("internal", '"br-a"'),
        ("masquerade4", "10.9.0.0/24"),
        ("masquerade6", "fd00::/64"),
    ]
