"""The database of nodes and edges."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import Conflict, CorruptContent, StorageFull
from transom.graph.db import GraphDB


@pytest.fixture
def db(tmp_path: Path) -> Iterator[GraphDB]:
    db = GraphDB(tmp_path / "graph.db")
    yield db
    db.close()


def names(nodes: object) -> list[str]:
    return [node.name for node in nodes]  # type: ignore[attr-defined]


def test_a_node_is_found_again_after_reopening(tmp_path: Path) -> None:
    db = GraphDB(tmp_path / "graph.db")
    made = db.put("image", "a", {"size": 1, "list": ["é", None]}, root=True)
    db.close()
    db = GraphDB(tmp_path / "graph.db")
    assert db.get("image", "a") == made
    db.close()


def test_putting_a_node_again_changes_its_data_and_keeps_its_edges(db: GraphDB) -> None:
    a, b = db.put("k", "a", 1), db.put("k", "b")
    db.link(a, "to", b)
    again = db.put("k", "a", 2, root=True)
    assert (again.id, again.data, again.root, again.created) == (a.id, 2, True, a.created)
    assert db.targets(a, "to") == (b,)


def test_kinds_do_not_share_names(db: GraphDB) -> None:
    db.put("image", "a", 1)
    db.put("tag", "a", 2)
    assert (db.get("image", "a").data, db.get("tag", "a").data) == (1, 2)  # type: ignore[union-attr]
    assert db.get("volume", "a") is None


def fresh_db() -> GraphDB:
    """A database for one of many examples, which nobody else can see."""
    with TemporaryDirectory() as directory:
        return GraphDB(Path(directory) / "graph.db")


@given(
    st.sets(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)),
    st.text("ab%_", max_size=2),
)
def test_find_gives_the_names_that_begin_with_a_prefix(found: set[str], prefix: str) -> None:
    db = fresh_db()
    for name in found:
        db.put("k", name)
        db.put("other", name)
    assert set(names(db.find("k", prefix))) == {name for name in found if name.startswith(prefix)}
    db.close()


def test_targets_come_in_the_order_of_their_positions(db: GraphDB) -> None:
    image = db.put("image", "i")
    for position, name in ((2, "x"), (0, "y"), (1, "z")):
        db.link(image, "layer", db.put("layer", name), position)
    assert names(db.targets(image, "layer")) == ["y", "z", "x"]


def test_linking_twice_makes_one_edge_and_unlinking_removes_it(db: GraphDB) -> None:
    a, b, c = (db.put("k", name) for name in "abc")
    for _ in range(2):
        db.link(a, "to", b)
    db.link(a, "to", c)
    db.unlink(a, "to", b)
    assert names(db.targets(a, "to")) == ["c"]
    db.link(a, "to", b)
    db.unlink(a, "to")
    assert db.targets(a, "to") == ()


def test_removing_a_node_removes_the_edges_at_both_ends(db: GraphDB) -> None:
    a, b, c = (db.put("k", name) for name in "abc")
    db.link(a, "to", b)
    db.link(b, "to", c)
    assert db.remove("k", "b")
    assert not db.remove("k", "b")
    assert (db.targets(a, "to"), db.sources(c, "to")) == ((), ())


@given(
    st.integers(1, 8).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.sets(st.integers(0, count - 1)),
            st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))),
        )
    )
)
def test_garbage_is_what_no_root_reaches(graph: tuple[int, set[int], set[tuple[int, int]]]) -> None:
    count, roots, edges = graph
    db = fresh_db()
    nodes = [db.put("k", str(number), root=number in roots) for number in range(count)]
    for source, target in edges:
        db.link(nodes[source], "to", nodes[target])
    reached = set(roots)
    while more := {target for source, target in edges if source in reached} - reached:
        reached |= more
    assert {int(name) for name in names(db.garbage())} == set(range(count)) - reached
    collected = db.collect()
    assert {int(name) for name in names(collected)} == set(range(count)) - reached
    assert {int(name) for name in names(db.list("k"))} == reached
    db.close()


def test_collecting_leaves_the_kinds_that_it_is_told_to_leave(db: GraphDB) -> None:
    db.put("snapshot", "a")
    db.put("blob", "b")
    assert names(db.collect(leave=("snapshot",))) == ["b"]
    assert names(db.garbage()) == ["a"]


def test_a_transaction_that_fails_changes_nothing(db: GraphDB) -> None:
    with pytest.raises(KeyError), db.transaction():
        db.put("k", "a")
        with db.transaction():
            db.put("k", "b")
        raise KeyError
    assert db.list("k") == ()
    db.put("k", "c")
    assert names(db.list("k")) == ["c"]


def test_a_durable_transaction_cannot_hide_in_one_that_is_not(db: GraphDB) -> None:
    with pytest.raises(RuntimeError), db.transaction(), db.transaction(durable=True):
        pass
    with db.transaction(durable=True), db.transaction(), db.transaction(durable=True):
        db.put("k", "a")
    assert names(db.list("k")) == ["a"]


def test_threads_take_turns(db: GraphDB) -> None:
    db.put("counter", "c", 0)

    def count() -> None:
        for _ in range(50):
            with db.transaction():
                node = db.get("counter", "c")
                assert node is not None
                db.put("counter", "c", node.data + 1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.get("counter", "c").data == 200  # type: ignore[union-attr]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "graph.db"
    GraphDB(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Conflict, match="newer version"):
        GraphDB(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


def test_a_damaged_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "graph.db"
    path.write_bytes(b"this is not a database, " * 1000)
    with pytest.raises(CorruptContent, match=str(path)):
        GraphDB(path)


def test_damage_inside_the_database_is_found_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "graph.db"
    db = GraphDB(path)
    for number in range(500):
        db.put("k", f"{number:050}")
    db.close()
    content = bytearray(path.read_bytes())
    content[8192:16384] = bytes(range(256)) * 32
    path.write_bytes(content)
    with pytest.raises(CorruptContent, match="damaged"):
        GraphDB(path)


def test_a_full_disk_is_said_and_changes_nothing(db: GraphDB) -> None:
    db.put("k", "before")
    db._execute("PRAGMA max_page_count = 12")
    with pytest.raises(StorageFull), db.transaction():
        for number in range(1000):
            db.put("k", f"{number:0100}")
    assert names(db.list("k")) == ["before"]


WRITER = """
import sys
from pathlib import Path
from transom.graph.db import GraphDB
db = GraphDB(Path(sys.argv[1]))
number = len(db.list("left"))
while True:
    with db.transaction(durable=number % 7 == 0):
        left = db.put("left", str(number), "x" * (number * 97 % 5000), root=True)
        db.link(left, "to", db.put("right", str(number)))
    print(number, flush=True)
    number += 1
"""


def test_the_database_survives_kill_9_at_any_instant(tmp_path: Path) -> None:
    path = tmp_path / "graph.db"
    for rounds in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline()) for _ in range(1 + 23 * rounds)]
            writer.kill()
        db = GraphDB(path)
        left, right = names(db.list("left")), names(db.list("right"))
        assert left == right
        assert {str(number) for number in acknowledged} <= set(left)
        assert db.garbage() == ()
        db.close()
