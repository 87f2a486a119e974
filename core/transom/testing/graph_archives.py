"""How layers are filled from archives: `LayerArchiveSuite`, a part of the conformance suite of graph drivers."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from transom.drivers.graph import GraphDriver
from transom.errors import CorruptContent
from transom.testing.archives import (
    MTIME,
    Member,
    device,
    directory,
    fifo,
    file,
    hard_link,
    layer_archive,
    opaque,
    symlink,
    whiteout,
)
from transom.testing.graph_layers import LayerSuite
from transom.testing.trees import describe

__all__ = ["LayerArchiveSuite"]

#: What a capability for binding low ports looks like on disk (capabilities(7), version 2).
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


class LayerArchiveSuite(LayerSuite):
    """Tests that every graph driver passes."""

    # Layer archives

    def test_apply_returns_the_bytes_of_files_and_links(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        archive = layer_archive(file("a", b"12345"), directory("d"), file("d/b", b"123"), symlink("c", "a"))
        assert driver.apply("one", archive) == 9

    def test_files_are_as_the_archive_says(self, driver: GraphDriver) -> None:
        self.make(
            driver,
            "one",
            None,
            directory("d", mode=0o2750, uid=1, gid=2, mtime=MTIME + 1),
            file("d/program", b"#!", mode=0o4755, uid=3, gid=4, mtime=MTIME + 2),
            symlink("d/link", "../outside", uid=5, gid=6),
            fifo("d/fifo", mode=0o620),
            device("d/null", 1, 3, mode=0o666),
            device("d/disk", 8, 1, block=True, mode=0o640),
        )
        tree = self.tree(driver, "one")
        shape = {path: (item.kind, item.mode, item.uid, item.gid) for path, item in tree.items() if path}
        assert shape == {
            b"d": ("d", 0o2750, 1, 2),
            b"d/program": ("-", 0o4755, 3, 4),
            b"d/link": ("l", 0o777, 5, 6),
            b"d/fifo": ("p", 0o620, 0, 0),
            b"d/null": ("c", 0o666, 0, 0),
            b"d/disk": ("b", 0o640, 0, 0),
        }
        assert tree[b"d/link"].content == b"../outside"
        assert tree[b"d/null"].content == b"%d" % os.makedev(1, 3)
        assert tree[b"d/disk"].content == b"%d" % os.makedev(8, 1)

    def test_times_keep_their_nanoseconds(self, driver: GraphDriver) -> None:
        self.make(driver, "one", None, directory("d"), file("d/f"), file("d/g", mtime=1), symlink("d/l", "f"))
        times = {path: item.mtime for path, item in self.tree(driver, "one").items() if path}
        assert times == {b"d": MTIME, b"d/f": MTIME, b"d/g": 1, b"d/l": MTIME}

    def test_names_may_be_any_bytes(self, driver: GraphDriver) -> None:
        names = {
            b"\xff\xfe",
            b"new\nline",
            b" ",
            "häß".encode(),
            b"a" * 255,
            b"colon:comma,back\\slash",
            b"-rf",
        }
        self.make(driver, "one", None, *(file(name, name) for name in sorted(names)))
        assert self.names(driver, "one") == names

    def test_hard_links_are_one_file(self, driver: GraphDriver) -> None:
        self.make(driver, "one", None, file("a", b"content"), directory("d"), hard_link("d/b", "a"))
        tree = self.tree(driver, "one")
        assert tree[b"a"] == tree[b"d/b"]
        assert tree[b"a"].names == (b"a", b"d/b")

    def test_extended_attributes_are_kept(self, driver: GraphDriver) -> None:
        attributes = {
            "user.text": b"value",
            "user.binary": bytes(range(256)),
            "security.capability": _CAPABILITY,
        }
        self.make(
            driver,
            "one",
            None,
            file("file", uid=7, xattrs=attributes),
            directory("directory", xattrs={"user.text": b"of a directory"}),
        )
        tree = self.tree(driver, "one")
        assert dict(tree[b"file"].xattrs) == attributes
        assert dict(tree[b"directory"].xattrs) == {"user.text": b"of a directory"}

    def test_a_whiteout_removes_what_the_layers_below_have(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("file"), directory("d"), file("d/inside"), file("kept"))
        self.make(driver, "child", "parent", whiteout("file"), whiteout("d"))
        assert self.names(driver, "child") == {b"kept"}
        assert self.names(driver, "parent") == {b"file", b"d", b"d/inside", b"kept"}

    def test_what_was_removed_can_come_back_as_something_else(self, driver: GraphDriver) -> None:
        self.make(driver, "bottom", None, file("a", b"old"), directory("d"), file("d/old"))
        self.make(driver, "middle", "bottom", whiteout("a"), whiteout("d"))
        self.make(driver, "top", "middle", directory("a"), directory("d"), file("d/new"))
        tree = self.tree(driver, "top")
        assert set(tree) == {b"", b"a", b"d", b"d/new"}
        assert tree[b"a"].kind == "d"

    def test_an_entry_replaces_one_of_another_kind_below(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("a"), directory("b"), file("b/inside"), symlink("c", "a"))
        self.make(driver, "child", "parent", directory("a"), file("b", b"now a file"), file("c", b"no link"))
        kinds = {path: item.kind for path, item in self.tree(driver, "child").items() if path}
        assert kinds == {b"a": "d", b"b": "-", b"c": "-"}
        assert self.tree(driver, "parent")[b"a"].content != self.tree(driver, "child")[b"c"].content

    @pytest.mark.parametrize("first", [True, False])
    def test_an_opaque_directory_hides_what_is_below_wherever_its_mark_stands(
        self, driver: GraphDriver, first: bool
    ) -> None:
        self.make(driver, "parent", None, directory("d"), directory("d/sub"), file("d/sub/old"), file("d/old"))
        own = [file("d/new"), directory("d/sub"), file("d/sub/new")]
        mark = opaque("d")
        self.make(driver, "child", "parent", directory("d"), *([mark, *own] if first else [*own, mark]))
        assert self.names(driver, "child") == {b"d", b"d/new", b"d/sub", b"d/sub/new"}

    def test_an_archive_cannot_hide_the_layers_below_by_attributes_of_the_driver(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, directory("d"), file("d/file"))
        self.make(driver, "child", "parent", directory("d", xattrs={"trusted.overlay.opaque": b"y"}))
        assert self.names(driver, "child") == {b"d", b"d/file"}

    @pytest.mark.parametrize(
        "members",
        [
            (file("../outside"),),
            (file("/../../outside"),),
            (symlink("link", "/"), file("link/outside")),
            (symlink("link", "../../../.."), file("link/outside")),
            (directory("d"), hard_link("d/link", "../../outside")),
            (whiteout("../canary"),),
            (file("../../outside"),),
            (symlink("link", "../.."), file("link/outside")),
            (whiteout("../../other"),),
        ],
    )
    def test_nothing_outside_the_layer_is_touched(
        self, driver: GraphDriver, storage: Path, members: tuple[Member, ...]
    ) -> None:
        (storage / "canary").touch()
        self.make(driver, "other", None, file("file"))
        driver.mount("other")
        driver.unmount("other")
        before = {path: item.content for path, item in describe(storage).items()}
        driver.create("one", None)
        try:
            driver.apply("one", layer_archive(*members))
        except CorruptContent:
            pass
        driver.remove("one")
        assert {path: item.content for path, item in describe(storage).items()} == before
        assert not Path("/outside").exists()

    def test_what_is_no_archive_is_refused(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        with pytest.raises(CorruptContent):
            driver.apply("one", io.BytesIO(b"this is no archive".ljust(2048)))
        driver.remove("one")

    def test_a_truncated_archive_is_refused(self, driver: GraphDriver) -> None:
        whole = layer_archive(file("file", bytes(range(256)) * 100)).read()
        driver.create("one", None)
        with pytest.raises(CorruptContent):
            driver.apply("one", io.BytesIO(whole[:5000]))
        driver.remove("one")
