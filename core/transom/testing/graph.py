"""The conformance suite of graph drivers: `GraphDriverSuite`.

`transom.drivers.graph` is the contract; each test here, and in the two suites that this one includes, is one of its
sentences.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from transom.drivers.graph import GraphDriver
from transom.errors import TransomError, Unsupported
from transom.testing.archives import directory, file, whiteout
from transom.testing.graph_archives import LayerArchiveSuite
from transom.testing.graph_changes import LayerChangesSuite
from transom.testing.interruption import kill_while_applying
from transom.testing.trees import Description

__all__ = ["GraphDriverSuite"]

#: How deep a chain of layers every driver must carry.
_DEEP = 200

#: The bytes that a layer is limited to.
_LIMIT = 16 << 20


class GraphDriverSuite(LayerChangesSuite, LayerArchiveSuite):
    """Tests that every graph driver passes. A subclass names the driver.

    It may also override the fixture `storage`, a directory on the file system that the driver wants.
    """

    # The life of a layer

    def test_a_new_layer_is_an_empty_directory(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        assert self.tree(driver, "one") == {b"": Description("d", 0o755, 0, 0, 0, b"0")}

    def test_what_is_written_is_there_after_the_next_mount(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        with driver.mounted("one") as path:
            (path / "directory").mkdir()
            (path / "directory" / "file").write_text("content")
        with driver.mounted("one") as path:
            assert (path / "directory" / "file").read_text() == "content"

    def test_a_child_shows_its_parents_files(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("inherited", b"of the parent"))
        self.make(driver, "child", "parent", file("own", b"of the child"))
        with driver.mounted("child") as path:
            assert (path / "inherited").read_bytes() == b"of the parent"
            assert (path / "own").read_bytes() == b"of the child"

    def test_what_a_child_changes_is_unchanged_in_its_parent(self, driver: GraphDriver) -> None:
        self.make(
            driver,
            "parent",
            None,
            file("changed", b"before"),
            file("deleted"),
            directory("d"),
            file("d/renamed"),
        )
        before = self.tree(driver, "parent")
        driver.create("child", "parent")
        with driver.mounted("child") as path:
            (path / "changed").write_text("after")
            (path / "changed").chmod(0o600)
            (path / "deleted").unlink()
            (path / "d" / "renamed").rename(path / "d" / "new")
        assert self.tree(driver, "parent") == before
        assert self.names(driver, "child") == {b"changed", b"d", b"d/new"}

    def test_siblings_do_not_see_each_other(self, driver: GraphDriver) -> None:
        driver.create("parent", None)
        for name in ("left", "right"):
            driver.create(name, "parent")
        with driver.mounted("left") as left, driver.mounted("right") as right:
            (left / "file").touch()
            assert list(right.iterdir()) == []

    def test_a_mounted_layer_stays_as_it_is_when_it_is_mounted_again(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        path = driver.mount("one")
        with open(path / "file", "w") as file_in_use:
            assert driver.mount("one") == path
            assert self.reopened(driver).mount("one") == path
            file_in_use.write("content")
        assert (path / "file").read_text() == "content"
        driver.unmount("one")

    def test_unmounting_what_is_not_mounted_is_harmless(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        driver.unmount("one")
        driver.unmount("unknown")

    def test_a_layer_that_does_not_exist_cannot_be_mounted(self, driver: GraphDriver) -> None:
        with pytest.raises(TransomError, match="unknown"):
            driver.mount("unknown")

    def test_a_removed_layer_leaves_nothing_behind(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("file"))
        # The driver may keep something of its own when it is first used.
        driver.mount("parent")
        driver.unmount("parent")
        before = set(driver.root.rglob("*"))
        self.make(driver, "child", "parent", directory("a/b"), file("a/b/c", b"content"))
        with driver.mounted("child") as path:
            (path / "file").unlink()
        driver.remove("child")
        assert set(driver.root.rglob("*")) == before
        assert self.names(driver, "parent") == {b"file"}

    def test_removing_what_does_not_exist_is_harmless(self, driver: GraphDriver) -> None:
        driver.remove("unknown")

    def test_a_removed_name_begins_anew(self, driver: GraphDriver) -> None:
        self.make(driver, "one", None, file("old"))
        driver.remove("one")
        driver.create("one", None)
        assert self.names(driver, "one") == set()

    def test_a_layer_remembers_its_parent(self, driver: GraphDriver) -> None:
        driver.create("parent", None)
        driver.create("child", "parent")
        again = self.reopened(driver)
        assert again.parent("child") == "parent"
        assert again.parent("parent") is None

    def test_a_layer_needs_its_parent_unless_the_driver_says_otherwise(self, driver: GraphDriver) -> None:
        if not driver.capabilities.independent_layers:
            before = set(driver.root.rglob("*"))
            with pytest.raises(TransomError, match="later"):
                driver.create("child", "later")
            assert set(driver.root.rglob("*")) == before
            return
        self.make(driver, "child", "later", whiteout("gone"), file("own"))
        self.make(driver, "later", None, file("gone"), file("inherited"))
        assert self.names(driver, "child") == {b"own", b"inherited"}

    @pytest.mark.parametrize("layer", ["a", "0", "a-b", "f" * 64, "0123456789abcdef" * 8])
    def test_layers_have_names_of_1_to_128_characters(self, driver: GraphDriver, layer: str) -> None:
        self.make(driver, layer, None, file("file"))
        assert self.names(driver, layer) == {b"file"}

    def test_a_layer_can_be_limited_to_a_size_if_the_driver_says_so(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("file", b"of the parent"))
        for layer in ("limited", "free"):
            driver.create(layer, "parent")
        if not driver.capabilities.quota:
            with pytest.raises(Unsupported, match="limited"):
                driver.limit("limited", _LIMIT)
            return
        driver.limit("limited", _LIMIT)
        with driver.mounted("limited") as path, driver.mounted("free") as free:
            with pytest.raises(OSError) as raised:
                _fill(path / "large", 4 * _LIMIT)
            assert raised.value.errno in (errno.EDQUOT, errno.ENOSPC)
            assert _LIMIT // 4 < (path / "large").stat().st_size <= _LIMIT
            assert (path / "file").read_bytes() == b"of the parent"
            _fill(free / "large", 2 * _LIMIT)
            (path / "large").unlink()
            (path / "small").write_bytes(bytes(4096))
        driver.remove("limited")
        assert self.names(driver, "parent") == {b"file"}

    # Many layers

    def test_a_chain_of_200_layers_can_be_mounted(self, driver: GraphDriver) -> None:
        layers = [f"{number:064x}" for number in range(_DEEP)]
        for number, layer in enumerate(layers):
            members = [file(f"file-{number}"), file("newest", b"%d" % number)]
            if number == _DEEP - 1:
                members.append(whiteout("file-0"))
            self.make(driver, layer, layers[number - 1] if number else None, *members)
        driver.create("container", layers[-1])
        with driver.mounted("container") as path:
            assert {item.name for item in path.iterdir()} == {
                "newest",
                *(f"file-{number}" for number in range(1, _DEEP)),
            }
            assert (path / "newest").read_text() == str(_DEEP - 1)
            (path / "newest").write_text("of the container")
        with driver.mounted(layers[-1], read_only=True) as path:
            assert (path / "newest").read_text() == str(_DEEP - 1)

    def test_many_threads_work_on_different_layers(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, *(file(f"file-{number}", b"shared") for number in range(20)))

        def live(number: int) -> set[bytes]:
            layer = f"child-{number}"
            self.make(driver, layer, "parent", whiteout(f"file-{number}"), file(f"own-{number}"))
            with driver.mounted(layer) as path:
                (path / "written").write_text(layer)
            names = self.names(driver, layer)
            driver.remove(layer)
            return names

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(live, range(20)))
        shared = {b"file-%d" % number for number in range(20)}
        assert results == [shared - {b"file-%d" % n} | {b"own-%d" % n, b"written"} for n in range(20)]

    # Recovery

    def test_recovery_removes_unknown_layers_and_keeps_known_ones(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("file"))
        driver.mount("parent")
        driver.unmount("parent")
        before = set(driver.root.rglob("*"))
        self.make(driver, "child", "parent", file("own"))
        driver.mount("child")
        again = self.reopened(driver)
        again.recover({"parent"})
        assert set(driver.root.rglob("*")) == before
        assert self.names(again, "parent") == {b"file"}
        again.create("child", "parent")
        assert self.names(again, "child") == {b"file"}

    def test_recovery_leaves_the_mount_of_a_known_layer(self, driver: GraphDriver) -> None:
        self.make(driver, "one", None, file("file"))
        path = driver.mount("one")
        again = self.reopened(driver)
        again.recover({"one"})
        assert (path / "file").exists()
        assert again.mount("one") == path
        again.unmount("one")

    def test_a_layer_whose_maker_was_killed_can_be_removed_or_recovered_from(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("file"))
        driver.mount("parent")
        driver.unmount("parent")
        before = set(driver.root.rglob("*"))
        for recovers in (True, False):
            kill_while_applying(driver, "half", "parent")
            again = self.reopened(driver)
            if recovers:
                again.recover({"parent"})
            else:
                again.remove("half")
            assert set(driver.root.rglob("*")) == before
        self.make(driver, "half", "parent", file("whole"))
        assert self.names(driver, "half") == {b"file", b"whole"}


def _fill(path: Path, size: int) -> None:
    """Write a file of so many bytes to the disk, which cannot be made smaller."""
    with open(path, "wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
            os.fsync(file)
