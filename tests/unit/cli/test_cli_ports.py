"""`--publish` in all its forms."""

from __future__ import annotations

import pytest

from transom_cli.ports import port_bindings
from transom_cli.values import extra_host, ip_address


@pytest.mark.parametrize(
    ("text", "bindings"),
    [
        ("80", {"80/tcp": [("", "")]}),
        ("8080:80", {"80/tcp": [("", "8080")]}),
        ("8080:80/udp", {"80/udp": [("", "8080")]}),
        ("127.0.0.1:8080:80", {"80/tcp": [("127.0.0.1", "8080")]}),
        ("127.0.0.1::80", {"80/tcp": [("127.0.0.1", "")]}),
        ("[::1]:8080:80", {"80/tcp": [("::1", "8080")]}),
        ("[::1]::80/sctp", {"80/sctp": [("::1", "")]}),
        ("8000-8001:80-81", {"80/tcp": [("", "8000")], "81/tcp": [("", "8001")]}),
        ("8000-8010:80", {"80/tcp": [("", "8000-8010")]}),
        ("80-81", {"80/tcp": [("", "")], "81/tcp": [("", "")]}),
        ("published=8080,target=80,protocol=udp", {"80/udp": [("", "8080")]}),
        ("target=80", {"80/tcp": [("", "")]}),
    ],
)
def test_bindings_are_read(text, bindings):
    found, exposed = port_bindings((text,))
    assert {port: [(item["HostIp"], item["HostPort"]) for item in items] for port, items in found.items()} == bindings
    assert exposed == {port: {} for port in bindings}


def test_a_port_is_published_twice():
    found, _ = port_bindings(("8080:80", "8081:80"))
    assert [item["HostPort"] for item in found["80/tcp"]] == ["8080", "8081"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no port specified"),
        ("8080:", "no port specified"),
        ("x:80", "invalid hostPort: x"),
        ("80:x", "invalid containerPort: x"),
        ("90000:80", "invalid hostPort: 90000"),
        ("80/icmp", "invalid proto: icmp"),
        ("8000-8002:80-81", "invalid ranges specified for container and host Ports"),
        ("1.2.3:80:80", "not correctly formatted: 1.2.3"),
        ("[::1:80:80", "invalid IP address"),
        ("::1:80:80", "invalid IP address: ::1"),
        ("published=8080,protocol=tcp", "a target port is needed"),
        ("target=80,colour=red", "invalid field key colour"),
    ],
)
def test_what_publishes_nothing_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        port_bindings((text,))


def test_addresses_and_hosts_are_checked():
    assert ip_address(" 192.0.2.1 ") == "192.0.2.1"
    assert ip_address("::1") == "::1"
    assert extra_host("db:192.0.2.9") == extra_host("db=192.0.2.9") == "db:192.0.2.9"
    assert extra_host("db:[::1]") == "db:::1"
    assert extra_host("db:host-gateway") == "db:host-gateway"
    for wrong in ("db", ":1.2.3.4", "db:nonsense"):
        with pytest.raises(ValueError, match="add-host"):
            extra_host(wrong)
