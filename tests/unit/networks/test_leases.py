"""Addresses are given to one container at a time, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from transom.errors import Conflict, Forbidden, InvalidParameter
from transom.graph.db import GraphDB
from transom.networks.ipam import Leases
from transom.networks.model import Network, Pool


@pytest.fixture
def db(tmp_path):
    db = GraphDB(tmp_path / "graph.db")
    yield db
    db.close()


def app(*pools, **fields):
    given = pools or (Pool("10.9.0.0/24", gateway="10.9.0.1"),)
    return Network("a" * 64, "app", "bridge", pools=tuple(given), ready=True, **fields)


def test_addresses_follow_each_other_and_are_not_soon_given_again(db):
    leases, network = Leases(db), app()
    assert leases.give(network, "one", 4) == ("10.9.0.2/24", "10.9.0.1")
    assert leases.give(network, "two", 4)[0] == "10.9.0.3/24"
    leases.release(network.id, ["10.9.0.3"])
    assert leases.give(network, "three", 4)[0] == "10.9.0.4/24"


def test_an_internal_network_has_no_way_out(db):
    assert Leases(db).give(app(internal=True), "one", 4) == ("10.9.0.2/24", "")


def test_reserved_addresses_and_the_gateways_are_left_out(db):
    pool = Pool("10.9.0.0/29", gateway="10.9.0.3", reserved={"router": "10.9.0.1"})
    leases = Leases(db)
    given = [leases.give(app(pool), f"c{number}", 4)[0] for number in range(4)]
    assert given == ["10.9.0.2/29", "10.9.0.4/29", "10.9.0.5/29", "10.9.0.6/29"]
    with pytest.raises(Conflict, match=r"no available IPv4 addresses on this network's address pools: app"):
        leases.give(app(pool), "more", 4)
    leases.release("a" * 64, ["10.9.0.4"])
    assert leases.give(app(pool), "more", 4)[0] == "10.9.0.4/29"


def test_containers_get_addresses_of_the_range(db):
    pool = Pool("10.9.0.0/24", ip_range="10.9.0.128/30", gateway="10.9.0.1")
    leases = Leases(db)
    given = [leases.give(app(pool), f"c{number}", 4)[0] for number in range(4)]
    assert given == [f"10.9.0.{last}/24" for last in (128, 129, 130, 131)]


def test_a_wanted_address_is_given_once(db):
    leases, network = Leases(db), app()
    assert leases.give(network, "one", 4, "10.9.0.77")[0] == "10.9.0.77/24"
    with pytest.raises(Forbidden, match=r"Address already in use: 10.9.0.77"):
        leases.give(network, "two", 4, "10.9.0.77")
    with pytest.raises(Forbidden, match="not for containers"):
        leases.give(network, "two", 4, "10.9.0.1")
    with pytest.raises(Forbidden, match="not for containers"):
        leases.give(network, "two", 4, "10.9.0.255")
    with pytest.raises(InvalidParameter, match="no configured subnet"):
        leases.give(network, "two", 4, "10.8.0.1")
    with pytest.raises(InvalidParameter, match="invalid IP address"):
        leases.give(network, "two", 4, "nonsense")


def test_both_families_have_addresses_of_their_own(db):
    network = app(Pool("10.9.0.0/24", gateway="10.9.0.1"), Pool("fd00::/64", gateway="fd00::1"))
    leases = Leases(db)
    assert leases.give(network, "one", 6) == ("fd00::2/64", "fd00::1")
    assert leases.give(app(), "one", 6) == ("", "")


def test_a_small_ipv6_subnet_stays_ipv6(db):
    network = app(Pool("::/64", gateway="::1"))
    assert Leases(db).give(network, "one", 6)[0] == "::2/64"


def test_a_hundred_that_ask_at_once_get_a_hundred(db):
    leases, network = Leases(db), app()
    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(lambda number: leases.give(network, f"c{number}", 4)[0], range(100)))
    assert len(set(given)) == 100


def test_another_engine_knows_what_was_given_and_takes_back_what_nobody_uses(db):
    network = app()
    first = Leases(db)
    kept, lost = (first.give(network, name, 4)[0].partition("/")[0] for name in ("kept", "lost"))
    again = Leases(db)
    with pytest.raises(Forbidden, match="in use"):
        again.give(network, "other", 4, lost)
    again.retain({(network.id, kept)})
    assert again.give(network, "other", 4, lost)[0] == f"{lost}/24"
    assert [node.name for node in db.list("address")] == [f"{network.id}/{kept}", f"{network.id}/{lost}"]
