"""The container store: names, IDs, and what lasts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from transom.containers.model import Container, ContainerConfig, HostConfig, RestartPolicy, Status, Ulimit
from transom.containers.store import ContainerStore
from transom.errors import Conflict, InvalidParameter, NotFound
from transom.graph.db import GraphDB
from transom.graph.digest import Digest

IMAGE = Digest.of(b"image")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[GraphDB]:
    db = GraphDB(tmp_path / "graph.db")
    db.put("image", IMAGE, root=True)
    yield db
    db.close()


@pytest.fixture
def store(db: GraphDB) -> ContainerStore:
    return ContainerStore(db)


def add(db: GraphDB, store: ContainerStore, identity: str, name: str, created: int = 0) -> Container:
    identity = identity.ljust(64, "0")
    host = HostConfig(restart=RestartPolicy("always", 3), ulimits=(Ulimit("core", 1, 2),), console_size=(3, 4))
    db.put("snapshot", f"vfs/{identity}")
    container = Container(
        identity, name, created, IMAGE, ContainerConfig("image"), host, "vfs", "chroot", "none", "json-file"
    )
    store.add(container)
    return container


def test_a_container_is_found_by_id_name_and_beginning(db: GraphDB, store: ContainerStore) -> None:
    container = add(db, store, "abc", "web")
    for name in (container.id, "web", "/web", "abc", "a"):
        assert store.get(name) == container


def test_an_ambiguous_beginning_is_refused(db: GraphDB, store: ContainerStore) -> None:
    add(db, store, "abc", "one")
    add(db, store, "abd", "two")
    with pytest.raises(InvalidParameter, match="Multiple IDs found with provided prefix: ab"):
        store.get("ab")


@pytest.mark.parametrize("name", ["nobody", "", "/"])
def test_an_unknown_name_is_not_found(store: ContainerStore, name: str) -> None:
    with pytest.raises(NotFound, match=f"No such container: {name}"):
        store.get(name)


def test_a_name_in_use_is_refused_with_its_user(db: GraphDB, store: ContainerStore) -> None:
    first = add(db, store, "abc", "web")
    with pytest.raises(Conflict, match=f'"/web" is already in use by container "{first.id}"'):
        add(db, store, "def", "web")
    assert store.list() == [first]


def test_containers_last(db: GraphDB, store: ContainerStore) -> None:
    container = add(db, store, "abc", "web").with_state(status=Status.EXITED, exit_code=7)
    store.replace(container)
    assert ContainerStore(db).get("web") == container


def test_a_removed_container_is_gone_and_its_name_free(db: GraphDB, store: ContainerStore) -> None:
    store.remove(add(db, store, "abc", "web"))
    assert ContainerStore(db).list() == []
    assert db.list("name") == ()
    add(db, store, "def", "web")


def test_the_newest_container_is_first(db: GraphDB, store: ContainerStore) -> None:
    old, new = add(db, store, "abc", "old", 1), add(db, store, "def", "new", 2)
    assert store.list() == [new, old]


def test_a_removed_container_cannot_be_changed(db: GraphDB, store: ContainerStore) -> None:
    container = add(db, store, "abc", "web")
    store.remove(container)
    with pytest.raises(NotFound):
        store.replace(container)


def test_a_renamed_container_is_found_by_its_new_name_alone(db: GraphDB, store: ContainerStore) -> None:
    container = add(db, store, "abc", "old")
    renamed = store.rename(container, "new")
    for containers in (store, ContainerStore(db)):
        assert containers.get("new") == renamed
        with pytest.raises(NotFound):
            containers.get("old")
    add(db, store, "def", "old")


def test_a_container_is_not_renamed_to_what_another_is_called(db: GraphDB, store: ContainerStore) -> None:
    container = add(db, store, "abc", "one")
    add(db, store, "def", "two")
    with pytest.raises(Conflict, match='name "/two" is already in use'):
        store.rename(container, "two")
    assert ContainerStore(db).get("one") == container
