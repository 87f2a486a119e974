"""Networks are recorded before they are made, and forgotten after they are taken away."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from transom.catalog import Shelf
from transom.drivers.network import Addressing, Network, NetworkDriver, Pool, SandboxKind
from transom.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unavailable
from transom.graph.db import GraphDB
from transom.networks.store import DefaultBridge, NetworkStore
from transom.plugins import Plugin


class Recorder(NetworkDriver):
    """A driver that keeps its networks in memory."""

    name = "bridge"
    rank = 1
    made: dict[str, Network]
    refuses = ""

    def create(self, network):
        if network.name == type(self).refuses:
            raise Unavailable("not today")
        type(self).made[network.id] = network

    def remove(self, network):
        type(self).made.pop(network.id, None)

    def connect(self, sandbox, network, endpoint):
        return endpoint

    def disconnect(self, sandbox, network, endpoint):
        pass


class Nothing(Recorder):
    name = "none"
    sandbox = SandboxKind.ISOLATED
    addressing = Addressing.NONE
    single = True


@pytest.fixture
def open_store(tmp_path, monkeypatch):
    monkeypatch.setattr("transom.networks.store._routes", list)
    monkeypatch.setattr(Recorder, "made", {}, raising=False)
    monkeypatch.setattr(Recorder, "refuses", "")
    databases = []

    def opened(**settings):
        for db in databases:
            db.close()
        databases[:] = [GraphDB(tmp_path / "graph.db")]
        shelf = Shelf("network", tmp_path / "networks")
        for driver in (Recorder, Nothing):
            shelf.add(driver, Plugin(driver.name, "tests", "", ""))
        firewall = SimpleNamespace(settle=lambda: None, missing="")
        return NetworkStore(databases[0], shelf, firewall, DefaultBridge(**settings), Path("/engine"))

    yield opened
    for db in databases:
        db.close()


@pytest.fixture
def store(open_store):
    return open_store()


def asked(name="app", **fields):
    return Network("", name, fields.pop("driver", "bridge"), **fields)


def nobody(_network):
    return ""


def test_the_predefined_networks_are_there_and_keep_their_ids(open_store):
    before = {network.name: network.id for network in open_store().list()}
    assert set(before) == {"bridge", "none"}
    assert {network.name: network.id for network in open_store().list()} == before


def test_a_network_gets_a_subnet_an_id_and_lasts(open_store):
    network = open_store().create(asked(labels={"a": "b"}))
    assert len(network.id) == 64
    assert [pool.subnet for pool in network.pools] == ["172.18.0.0/16"]
    again = open_store()
    assert again.get("app") == network
    assert again.get(network.id[:8]) == network
    assert again.create(asked("other")).pools[0].subnet == "172.19.0.0/16"


def test_a_network_of_both_families_gets_two_subnets(store):
    network = store.create(asked(ipv6=True, pools=(Pool("10.9.0.0/24"),)))
    assert network.pools[0] == Pool("10.9.0.0/24", gateway="10.9.0.1")
    assert network.pools[1].chosen


def test_names_are_given_once(store):
    store.create(asked())
    with pytest.raises(Conflict, match="network with name app already exists"):
        store.create(asked())
    with pytest.raises(Forbidden, match="operation is not permitted on predefined none network"):
        store.create(asked("none"))
    with pytest.raises(InvalidParameter, match="invalid network name"):
        store.create(asked("a/b"))
    with pytest.raises(InvalidParameter, match="name is empty"):
        store.create(asked(""))


def test_subnets_of_two_networks_do_not_overlap(store):
    store.create(asked(pools=(Pool("10.9.0.0/16"),)))
    with pytest.raises(Forbidden, match="Pool overlaps"):
        store.create(asked("other", pools=(Pool("10.9.1.0/24"),)))
    with pytest.raises(Forbidden, match="Pool overlaps"):
        store.create(asked("third", pools=(Pool("10.8.0.0/24"), Pool("10.8.0.0/25"))))
    assert [network.name for network in store.list()] == ["app", "bridge", "none"]


def test_a_family_that_is_not_enabled_has_no_subnet(store):
    with pytest.raises(InvalidParameter, match="network without IPv6"):
        store.create(asked(pools=(Pool("fd00::/64"),)))
    with pytest.raises(InvalidParameter, match="IPv4 or IPv6 must be enabled"):
        store.create(asked(ipv4=False))


def test_a_driver_that_does_not_exist_or_has_one_network_is_refused(store):
    with pytest.raises(NotFound, match="no network driver is named 'brigde'; did you mean 'bridge'"):
        store.create(asked(driver="brigde"))
    with pytest.raises(Forbidden, match="only one instance"):
        store.create(asked(driver="none"))


def test_what_its_driver_could_not_make_is_forgotten(store, monkeypatch):
    monkeypatch.setattr(Recorder, "refuses", "app")
    with pytest.raises(Unavailable, match="not today"):
        store.create(asked())
    with pytest.raises(NotFound):
        store.get("app")
    monkeypatch.setattr(Recorder, "refuses", "")
    assert store.create(asked()).pools[0].subnet == "172.18.0.0/16"


def test_a_network_that_is_used_or_predefined_stays(store):
    network = store.create(asked())
    with pytest.raises(Forbidden, match=r'network app has active endpoints \(name:"web" id:"1"\)'):
        store.remove("app", lambda _: 'name:"web" id:"1"')
    assert store.get("app") == network
    with pytest.raises(Forbidden, match="none is a pre-defined network and cannot be removed"):
        store.remove("none", nobody)
    assert store.remove("app", nobody).id == network.id
    assert Recorder.made == {}
    with pytest.raises(NotFound, match="network app not found"):
        store.remove("app", nobody)


def test_what_was_being_made_when_the_engine_was_killed_is_taken_away(open_store, monkeypatch):
    store = open_store()
    monkeypatch.setattr(store, "_make", lambda network: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(store, "_forget", lambda network: None)
    with pytest.raises(KeyboardInterrupt):
        store.create(asked())
    again = open_store()
    with pytest.raises(NotFound):
        again.get("app")
    again.recover()
    assert again.create(asked()).pools[0].subnet == "172.18.0.0/16"


def test_a_new_engine_tells_the_drivers_of_the_networks_that_need_it(open_store):
    app = open_store().create(asked())
    Recorder.made.clear()
    store = open_store()
    store.resume(lambda _: False)
    assert set(Recorder.made) == {app.id}
    store.resume(lambda network: network.name == "bridge")
    assert {network.name for network in Recorder.made.values()} == {"app", "bridge"}
    store.leave()
    assert Recorder.made == {}
    assert store.get("app") == app


def test_the_default_bridge_is_as_configured_and_its_subnet_is_chosen_when_it_is_first_used(open_store):
    store = open_store(options={"com.docker.network.bridge.name": "transom0"})
    assert store.get("bridge").pools == ()
    store.ensure(store.get("bridge"))
    assert store.get("bridge").pools[0].subnet == "172.17.0.0/16"
    assert open_store().get("bridge").pools[0].subnet == "172.17.0.0/16"
    moved = open_store(pools=(Pool("10.1.0.0/24", gateway="10.1.0.254"),)).get("bridge")
    assert moved.pools == (Pool("10.1.0.0/24", gateway="10.1.0.254"),)


def test_a_network_is_made_of_a_configuration(store):
    pool = Pool("10.9.0.0/24")
    base = store.create(Network("", "base", "bridge", pools=(pool,), options={"a": "b"}, config_only=True))
    assert (base.driver, base.pools, Recorder.made) == ("none", (pool,), {})
    made = store.create(Network("", "app", "bridge", config_from="base"))
    assert (made.driver, made.pools[0].subnet, made.options) == ("bridge", "10.9.0.0/24", {"a": "b"})
    with pytest.raises(Forbidden, match='configuration network "base" is in use'):
        store.remove("base", lambda _: "")
    store.remove("app", lambda _: "")
    store.remove("base", lambda _: "")
    assert "base" not in {network.name for network in store.list()}


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"config_from": "nobody"}, NotFound, 'configuration network "nobody" does not exist'),
        ({"config_from": "plain"}, NotFound, 'configuration network "plain" does not exist'),
        ({"config_from": "base", "pools": (Pool("10.8.0.0/24"),)}, Forbidden, "user specified configurations"),
        ({"config_from": "base", "config_only": True}, Forbidden, "cannot depend on another"),
        ({"config_only": True, "internal": True}, Forbidden, "can only contain network specific fields"),
        ({"config_only": True, "pools": (Pool("nonsense"),)}, InvalidParameter, "invalid subnet nonsense"),
    ],
)
def test_what_cannot_be_made_of_a_configuration_is_refused(store, fields, error, message):
    store.create(Network("", "plain", "bridge"))
    store.create(Network("", "base", "bridge", config_only=True))
    before = store.list()
    with pytest.raises(error, match=message):
        store.create(Network("", "app", "bridge", **fields))
    assert store.list() == before
