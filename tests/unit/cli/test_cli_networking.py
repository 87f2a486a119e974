"""What the command line says about networks."""

from __future__ import annotations

import pytest

from transom_cli.networking import endpoint_settings, endpoints, host_links, network, network_mode
from transom_cli.subnets import ipam_pools

NOTHING = {
    "network": (),
    "link": (),
    "link_local_ip": (),
    "network_alias": (),
    "ip": None,
    "ip6": None,
    "mac_address": None,
}


def flags(*networks, **more):
    return {**NOTHING, "network": tuple(network(text) for text in networks), **more}


def test_a_container_that_says_nothing_is_on_the_default_network():
    assert (network_mode(flags()), endpoints(flags())) == ("default", {})
    assert (network_mode(flags("app")), endpoints(flags("app"))) == ("app", {})


def test_the_containers_flags_are_for_its_first_network():
    asked = flags("app", "other", network_alias=("db",), ip="10.9.0.9", mac_address="92:d0:c6:0a:29:33")
    assert network_mode(asked) == "app"
    assert endpoints(asked) == {
        "app": {
            "Aliases": ["db"],
            "IPAMConfig": {"IPv4Address": "10.9.0.9"},
            "MacAddress": "92:d0:c6:0a:29:33",
        },
        "other": {},
    }
    assert endpoints(flags(ip="10.9.0.9")) == {"default": {"IPAMConfig": {"IPv4Address": "10.9.0.9"}}}


def test_links_are_the_first_networks_if_users_made_it():
    assert endpoints(flags("app", link=("web:db",))) == {"app": {"Links": ["web:db"]}}
    assert host_links(flags("app", link=("web:db",))) == []
    assert host_links(flags("container:web", link=("web:db",))) == ["web:db"]
    assert (endpoints(flags(link=("web:db",))), host_links(flags(link=("web:db",)))) == ({}, ["web:db"])


def test_the_long_form_has_all_of_them_for_each_network():
    asked = network("name=app,alias=db,alias=sql,ip=10.9.0.9,driver-opt=A=b,gw-priority=2,link-local-ip=169.254.1.1")
    assert endpoints({**NOTHING, "network": (asked,)}) == {
        "app": {
            "Aliases": ["db", "sql"],
            "DriverOpts": {"a": "b"},
            "GwPriority": 2,
            "IPAMConfig": {"IPv4Address": "10.9.0.9", "LinkLocalIPs": ["169.254.1.1"]},
        }
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alias=db", "network name/id is not specified"),
        ("name=app,alias", "invalid field 'alias' must be a key=value pair"),
        ("name=app,colour=red", "invalid field key colour"),
        ("name=app,driver-opt=x", "invalid key value pair format in driver options"),
    ],
)
def test_a_long_form_that_says_nothing_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        network(text)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (flags("app", "app"), 'network "app" is specified multiple times'),
        (flags("app", "host"), "cannot attach both user-defined and non-user-defined network-modes"),
        (flags("container:web", "app"), "cannot attach both"),
        (flags("name=app,ip=10.9.0.9", ip="10.9.0.8"), "both --ip and per-network IPv4 address"),
        (flags("name=app,alias=a", network_alias=("b",)), "both --network-alias and per-network alias"),
        (flags("name=app,mac-address=x", mac_address="y"), "both --mac-address and per-network MAC address"),
    ],
)
def test_what_excludes_each_other_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        endpoints(asked)


def test_settings_have_what_is_asked_for_and_nothing_else():
    assert endpoint_settings() == {}


def test_ranges_gateways_and_addresses_go_to_their_subnets():
    assert ipam_pools(
        ("10.9.0.0/24", "fd00::/64"), ("10.9.0.128/25",), ("fd00::1", "10.9.0.1"), {"router": "10.9.0.3"}
    ) == [
        {
            "Subnet": "10.9.0.0/24",
            "IPRange": "10.9.0.128/25",
            "Gateway": "10.9.0.1",
            "AuxiliaryAddresses": {"router": "10.9.0.3"},
        },
        {"Subnet": "fd00::/64", "Gateway": "fd00::1"},
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), ("10.9.0.0/25",), (), {}), "every ip-range or gateway must have a corresponding subnet"),
        ((("10.9.0.0/24",), ("10.8.0.0/25",), (), {}), "no matching subnet for range 10.8.0.0/25"),
        ((("10.9.0.0/24",), (), ("10.8.0.1",), {}), "no matching subnet for gateway 10.8.0.1"),
        ((("10.9.0.0/24",), (), (), {"a": "10.8.0.1"}), "no matching subnet for aux-address 10.8.0.1"),
        ((("10.9.0.0/24", "10.9.0.0/25"), (), (), {}), "multiple overlapping subnet configuration"),
        ((("10.9.0.0/24", "10.8.0.0/24"), (), ("10.9.0.1", "10.9.0.2"), {}), "cannot configure multiple gateways"),
        ((("10.9.0.0/24", "10.8.0.0/24"), ("10.9.0.0/25", "10.9.0.0/26"), (), {}), "cannot configure multiple ranges"),
        ((("nonsense",), (), (), {}), "invalid CIDR address: nonsense"),
        ((("10.9.0.0/24",), (), ("nonsense",), {}), "invalid IP address: nonsense"),
    ],
)
def test_what_belongs_to_no_subnet_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ipam_pools(*arguments)


def test_link_local_addresses_are_the_first_networks():
    asked = flags("app", "other", link_local_ip=("169.254.1.1",))
    assert endpoints(asked)["app"] == {"IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}}
    with pytest.raises(ValueError, match="cannot specify both --link-local-ip and per-network"):
        endpoints(flags("name=app,link-local-ip=169.254.1.2", link_local_ip=("169.254.1.1",)))
