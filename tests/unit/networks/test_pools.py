"""Subnets: checked where they are given, chosen free of everything else where they are not."""

from __future__ import annotations

import ipaddress

import pytest

from transom.errors import Forbidden, InvalidParameter
from transom.networks.model import Pool
from transom.networks.pools import check_overlap, check_pool, choose_pool, parse_default_pools

POOLS = parse_default_pools(())


def network(text):
    return ipaddress.ip_network(text)


def test_the_first_default_pool_is_dockers():
    pool = choose_pool(POOLS, [], 4, "engine")
    assert (pool.subnet, pool.gateway, pool.chosen) == ("172.17.0.0/16", "172.17.0.1", True)


def test_what_is_taken_is_stepped_over():
    taken = [network("172.17.4.0/24"), network("172.18.0.0/15"), network("10.0.0.0/8")]
    assert choose_pool(POOLS, taken, 4, "engine").subnet == "172.20.0.0/16"


def test_after_the_large_pools_come_the_small_ones():
    taken = [network("172.16.0.0/12"), network("192.168.1.0/24")]
    assert choose_pool(POOLS, taken, 4, "engine").subnet == "192.168.16.0/20"


def test_a_default_route_takes_nothing():
    assert choose_pool(POOLS, [network("0.0.0.0/0")], 4, "engine").subnet == "172.17.0.0/16"


def test_where_everything_is_taken_it_is_said():
    with pytest.raises(Forbidden, match="could not find an available, non-overlapping IPv4 address pool"):
        choose_pool(POOLS, [network("172.16.0.0/12"), network("192.168.0.0/16")], 4, "engine")


def test_ipv6_subnets_are_unique_local_and_the_engines_own():
    one, other = (choose_pool(POOLS, [], 6, engine) for engine in ("one", "other"))
    assert network(one.subnet).prefixlen == 64
    assert network(one.subnet).subnet_of(network("fd00::/8"))
    assert one.subnet != other.subnet
    again = choose_pool(POOLS, [network(one.subnet)], 6, "one")
    assert again.subnet != one.subnet
    assert again.subnet[:14] == one.subnet[:14]


def test_configured_pools_take_the_place_of_the_default_ones():
    pools = parse_default_pools(("base=10.10.0.0/16,size=24", "base=fd00:1::/48,size=64"))
    assert choose_pool(pools, [network("10.10.0.0/24")], 4, "engine").subnet == "10.10.1.0/24"
    assert choose_pool(pools, [], 6, "engine").subnet == "fd00:1::/64"


@pytest.mark.parametrize("text", ["10.0.0.0/8", "base=10.0.0.0/8", "base=x,size=24", "base=10.0.0.0/16,size=8", "a=b"])
def test_wrong_default_pools_are_refused(text):
    with pytest.raises(InvalidParameter, match="invalid default address pool"):
        parse_default_pools((text,))


def test_a_pool_gets_its_first_address_as_gateway():
    assert check_pool(Pool("10.9.0.0/24")).gateway == "10.9.0.1"
    assert check_pool(Pool("10.9.0.0/24", ip_range="10.9.0.128/25")).gateway == "10.9.0.128"
    assert check_pool(Pool("10.9.0.0/24", reserved={"router": "10.9.0.1"})).gateway == "10.9.0.2"
    assert check_pool(Pool("fd00::/64")).gateway == "fd00::1"


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (Pool("nonsense"), "invalid subnet nonsense"),
        (Pool("10.9.0.5/24"), "invalid subnet 10.9.0.5/24: it should be 10.9.0.0/24"),
        (Pool("10.9.0.0/31"), "no address for a container"),
        (Pool("10.9.0.0/24", ip_range="10.8.0.0/25"), "invalid ip-range 10.8.0.0/25"),
        (Pool("10.9.0.0/24", ip_range="nonsense"), "invalid ip-range nonsense"),
        (Pool("10.9.0.0/24", gateway="10.8.0.1"), "invalid gateway address 10.8.0.1"),
        (Pool("10.9.0.0/24", gateway="10.9.0.255"), "not an address of a host"),
        (Pool("10.9.0.0/24", reserved={"a": "1.2.3.4"}), "invalid auxiliary address 1.2.3.4"),
        (Pool("10.9.0.0/24", gateway="10.9.0.1", reserved={"a": "10.9.0.1"}), "it is the gateway's"),
        (Pool("10.9.0.0/30", reserved={"a": "10.9.0.1", "b": "10.9.0.2"}), "leave none for the gateway"),
    ],
)
def test_what_cannot_be_is_refused(pool, message):
    with pytest.raises(InvalidParameter, match=message):
        check_pool(pool)


def test_overlapping_subnets_are_refused_with_the_others_name():
    with pytest.raises(Forbidden, match=r"Pool overlaps with other one on this address space: .*the network app"):
        check_overlap(network("10.9.1.0/24"), [(network("10.9.0.0/16"), "app")])
    check_overlap(network("10.8.0.0/24"), [(network("10.9.0.0/16"), "app"), (network("fd00::/64"), "six")])
