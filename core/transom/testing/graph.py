"""The conformance suite of graph drivers: `GraphDriverSuite`.

`transom.drivers.graph` is the contract; each test here is one of its sentences.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.graph import Change, ChangeKind, GraphDriver
from transom.errors import CorruptContent, TransomError, Unsupported
from transom.graph.archive import read_archive
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
from transom.testing.interruption import kill_while_applying
from transom.testing.trees import Description, describe, edit, mounts_below

__all__ = ["GraphDriverSuite"]

#: How deep a chain of layers every driver must carry.
_DEEP = 200

#: The bytes that a layer is limited to.
_LIMIT = 16 << 20

#: What a capability for binding low ports looks like on disk (capabilities(7), version 2).
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


class GraphDriverSuite:
    """Tests that every graph driver passes. A subclass names the driver.

    It may also override the fixture `storage`, a directory on the file system that the driver wants.
    """

    driver_class: ClassVar[type[GraphDriver]]
    open: list[GraphDriver]

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Path:
        """Where the driver's root is."""
        return tmp_path

    @pytest.fixture
    def driver(self, storage: Path, private_mounts: None) -> Iterator[GraphDriver]:  # noqa: ARG002
        """A driver without layers. At the end everything that it has is unmounted and removed."""
        root, mounts = storage / "root", storage / "mounts"
        root.mkdir()
        mounts.mkdir()
        self.driver_class.probe(root)
        assert list(root.iterdir()) == []
        driver = self.driver_class(root, mounts)
        self.open = [driver]
        yield driver
        driver.recover(())
        for each in self.open:
            each.close()
        assert mounts_below(storage) == []

    def reopened(self, driver: GraphDriver) -> GraphDriver:
        """Return a driver as another engine with the same directories would have it."""
        again = type(driver)(driver.root, driver.mounts)
        self.open.append(again)
        return again

    def make(self, driver: GraphDriver, layer: str, parent: str | None, *members: Member) -> None:
        """Make a layer from an archive."""
        driver.create(layer, parent)
        driver.apply(layer, layer_archive(*members))

    def tree(self, driver: GraphDriver, layer: str) -> dict[bytes, Description]:
        """Return what a layer shows."""
        with driver.mounted(layer, read_only=True) as path:
            return describe(path)

    def names(self, driver: GraphDriver, layer: str) -> set[bytes]:
        """Return the paths that a layer shows."""
        return set(self.tree(driver, layer)) - {b""}

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
        driver.seal("written", "sealed")
        assert self.tree(driver, "sealed") == self.tree(driver, "unpacked")
        assert b"".join(driver.diff("sealed")) == b"".join(driver.diff("unpacked"))
        assert driver.parent("sealed") == "parent"
        with pytest.raises(TransomError), driver.mounted("written"):
            pass

    def test_layers_stand_on_a_sealed_one(self, driver: GraphDriver) -> None:
        driver.create("written", None)
        with driver.mounted("written") as path:
            (path / "below").touch()
        driver.seal("written", "sealed")
        self.make(driver, "child", "sealed", file("above"))
        assert self.names(driver, "child") == {b"above", b"below"}
        driver.create("written", "child")
        assert self.names(driver, "written") == {b"above", b"below"}

    def test_a_layer_is_not_sealed_by_a_name_that_is_taken(self, driver: GraphDriver) -> None:
        self.make(driver, "taken", None, file("file"))
        driver.create("written", None)
        with pytest.raises(TransomError):
            driver.seal("written", "taken")
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
