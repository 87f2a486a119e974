"""What a layer holds beyond its parent: `LayerChangesSuite`, a part of the conformance suite of graph drivers."""

from __future__ import annotations

import io
import os
import shutil

import pytest

from transom.drivers.graph import Change, ChangeKind, GraphDriver
from transom.errors import TransomError
from transom.graph.archive import read_archive
from transom.testing.archives import directory, file, hard_link
from transom.testing.comparing import difference
from transom.testing.graph_layers import LayerSuite
from transom.testing.trees import edit

__all__ = ["LayerChangesSuite"]


class LayerChangesSuite(LayerSuite):
    """Tests that every graph driver passes."""

    # What a layer holds

    def build(self, driver: GraphDriver) -> None:
        """Make a layer `base`, and `changed` on top of it, as a container would."""
        self.make(
            driver,
            "base",
            None,
            directory("etc"),
            file("etc/changed", b"before"),
            file("etc/kept", b"kept"),
            file("etc/deleted"),
            directory("replaced"),
            file("replaced/old"),
            directory("deleted"),
            file("deleted/file"),
        )
        driver.create("changed", "base")
        with driver.mounted("changed") as path:
            edit(path)

    @pytest.mark.parametrize("layer", ["base", "changed"])
    def test_a_layer_made_from_the_diff_of_another_is_like_it(self, driver: GraphDriver, layer: str) -> None:
        self.build(driver)
        driver.create("copy", driver.parent(layer))
        driver.apply("copy", io.BytesIO(b"".join(driver.diff(layer))))
        assert self.tree(driver, "copy") == self.tree(driver, layer)

    def test_new_names_of_a_file_below_are_links_in_a_layer_made_from_the_diff(self, driver: GraphDriver) -> None:
        self.make(
            driver,
            "base",
            None,
            directory("a", mode=0o700, uid=3),
            file("a/one", b"content"),
            hard_link("a/two", "a/one"),
            file("b", b"content"),
            hard_link("c", "b"),
        )
        driver.create("changed", "base")
        with driver.mounted("changed") as path:
            os.link(path / "a" / "one", path / "new")
        driver.create("copy", "base")
        driver.apply("copy", io.BytesIO(b"".join(driver.diff("changed"))))
        tree = self.tree(driver, "copy")
        assert tree == self.tree(driver, "changed")
        assert {b"a/one", b"new"} <= set(tree[b"new"].names)
        assert tree[b"b"].names == (b"b", b"c")

    def test_a_sealed_layer_is_what_its_diff_would_have_made(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, directory("d"), file("d/changed"), file("deleted"), directory("replaced"))
        driver.create("written", "parent")
        with driver.mounted("written") as path:
            (path / "d" / "changed").write_text("after")
            (path / "deleted").unlink()
            (path / "replaced").rmdir()
            (path / "replaced").symlink_to("d")
            (path / "new").mkdir(mode=0o700)
            (path / "new" / "file").touch()
            os.link(path / "new" / "file", path / "new" / "link")
        self.make_like(driver, "unpacked", "written")
        driver.seal("written", "sealed", "parent")
        driver.remove("written")
        assert self.tree(driver, "sealed") == self.tree(driver, "unpacked")
        assert difference(b"".join(driver.diff("sealed")), b"".join(driver.diff("unpacked"))) is None
        assert driver.parent("sealed") == "parent"
        with pytest.raises(TransomError), driver.mounted("written"):
            pass

    def test_layers_stand_on_a_sealed_one(self, driver: GraphDriver) -> None:
        driver.create("written", None)
        with driver.mounted("written") as path:
            (path / "below").touch()
        driver.seal("written", "sealed", None)
        driver.remove("written")
        self.make(driver, "child", "sealed", file("above"))
        assert self.names(driver, "child") == {b"above", b"below"}
        driver.create("written", "child")
        assert self.names(driver, "written") == {b"above", b"below"}

    def test_layers_that_stand_on_each_other_are_sealed_one_after_the_other(self, driver: GraphDriver) -> None:
        names = ("one", "two", "three")
        parent: str | None = None
        for name in names:
            driver.create(name, parent)
            with driver.mounted(name) as path:
                (path / name).touch()
                (path / "last").write_text(name)
            parent = name
        archives = [b"".join(driver.diff(name)) for name in names]
        parent = None
        for name in names:
            driver.seal(name, f"sealed-{name}", parent)
            parent = f"sealed-{name}"
        for name in reversed(names):
            driver.remove(name)
        assert [driver.parent(f"sealed-{name}") for name in names] == [None, "sealed-one", "sealed-two"]
        for name, archive in zip(names, archives, strict=True):
            assert difference(b"".join(driver.diff(f"sealed-{name}")), archive) is None
        assert self.names(driver, "sealed-three") == {b"one", b"two", b"three", b"last"}

    def test_a_layer_is_not_sealed_by_a_name_that_is_taken(self, driver: GraphDriver) -> None:
        self.make(driver, "taken", None, file("file"))
        driver.create("written", None)
        with pytest.raises(TransomError):
            driver.seal("written", "taken", None)
        assert self.names(driver, "taken") == {b"file"}

    def make_like(self, driver: GraphDriver, layer: str, other: str) -> None:
        """Make a layer from the diff of another with the same parent."""
        driver.create(layer, driver.parent(other))
        driver.apply(layer, io.BytesIO(b"".join(driver.diff(other))))

    def test_the_diff_of_an_empty_layer_changes_nothing(self, driver: GraphDriver) -> None:
        self.build(driver)
        driver.create("empty", "changed")
        driver.create("copy", "base")
        driver.apply("copy", io.BytesIO(b"".join(driver.diff("empty"))))
        assert self.tree(driver, "copy") == self.tree(driver, "base")

    def test_changes_are_listed_with_parents_first(self, driver: GraphDriver) -> None:
        self.build(driver)
        changes = driver.changes("changed")
        assert changes == [
            Change(b"/deleted", ChangeKind.DELETED),
            Change(b"/etc", ChangeKind.MODIFIED),
            Change(b"/etc/added", ChangeKind.ADDED),
            Change(b"/etc/changed", ChangeKind.MODIFIED),
            Change(b"/etc/deleted", ChangeKind.DELETED),
            Change(b"/etc/linked", ChangeKind.ADDED),
            Change(b"/fifo", ChangeKind.ADDED),
            Change(b"/link", ChangeKind.ADDED),
            Change(b"/null", ChangeKind.ADDED),
            Change(b"/replaced", ChangeKind.MODIFIED),
            Change(b"/replaced/new", ChangeKind.ADDED),
            Change(b"/replaced/old", ChangeKind.DELETED),
            Change(b"/sparse", ChangeKind.ADDED),
        ]

    def test_a_new_layer_has_no_changes(self, driver: GraphDriver) -> None:
        self.build(driver)
        driver.create("empty", "changed")
        assert driver.changes("empty") == []

    def test_placeholders_are_no_changes_and_what_is_in_them_is(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, directory("there"), directory("etc"), file("etc/file"))
        driver.create("child", "parent")
        with driver.mounted("child") as path:
            for name in ("proc", "run", "etc"):
                (path / name).mkdir(exist_ok=True)
            for name in ("etc/hosts", "run/used", "full"):
                (path / name).touch()
            (path / "full").write_text("content")
            (path / "there").chmod(0o700)
        placeholders = (b"proc", b"run", b"etc", b"etc/hosts", b"full", b"there", b"etc/file", b"missing")
        changed = {b"/run", b"/run/used", b"/full", b"/there"}
        assert {change.path for change in driver.changes("child", placeholders)} == changed
        archive = b"".join(driver.diff("child", placeholders))
        driver.create("copy", "parent")
        driver.apply("copy", io.BytesIO(archive))
        assert {change.path for change in driver.changes("copy")} == changed
        names = {b"/" + entry.name.strip(b"/.") for entry in read_archive(io.BytesIO(archive))}
        assert names - {b"/"} == changed

    def test_a_directory_that_was_made_again_hides_what_was_in_it(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, directory("d"), directory("d/sub"), file("d/sub/old"), file("d/old"))
        driver.create("child", "parent")
        with driver.mounted("child") as path:
            status = (path / "d").stat()
            shutil.rmtree(path / "d")
            (path / "d" / "sub").mkdir(parents=True)
            (path / "d").chmod(status.st_mode)
            (path / "d" / "sub").chmod(status.st_mode)
        for placeholders in ((), (b"proc",)):
            driver.create("copy", "parent")
            driver.apply("copy", io.BytesIO(b"".join(driver.diff("child", placeholders))))
            assert self.names(driver, "copy") == {b"d", b"d/sub"}
            driver.remove("copy")

    def test_usage_counts_the_layer_and_not_its_parent(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("large", os.urandom(1 << 20)))
        self.make(driver, "child", "parent", file("small", os.urandom(1 << 16)))
        assert 1 << 20 <= driver.usage("parent").size < 3 << 19
        assert 1 << 16 <= driver.usage("child").size < 1 << 18
        assert 1 <= driver.usage("child").inodes <= 3
