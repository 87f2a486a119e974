"""What a union promises beyond showing the right files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.unions import Tree, describe_union, make_tree, opaque_name, walk
from transom.testing.trees import describe
from transom_fuse.union import Directory, Union

Maker = Callable[..., Union]


@pytest.fixture
def union(tmp_path: Path) -> Iterator[Maker]:
    """Make a union of layers, topmost first; made again it has the same upper layer."""
    made: list[Union] = []

    def make(*lower: Tree, most_open: int = 512) -> Union:
        for number, tree in enumerate(lower):
            make_tree(tmp_path / str(number), tree)
        for name in ("upper", "work"):
            (tmp_path / name).mkdir(exist_ok=True)
        layers = [tmp_path / str(number) for number in range(len(lower))]
        made.append(Union(layers, tmp_path / "upper", tmp_path / "work", most_open=most_open))
        return made[-1]

    yield make
    for each in made:
        each.close()


def paths(union: Union) -> set[bytes]:
    return set(describe_union(union)) - {b""}


def write(union: Union, path: bytes, content: bytes) -> None:
    directory, name = walk(union, path)
    handle = union.create(directory, name, 0o644, os.O_WRONLY)
    handle.write(content, 0)
    union.close_handle(handle)


def test_layers_below_are_never_changed(union: Maker, tmp_path: Path) -> None:
    tree = union({"d": {"f": b"one", "g": b"two"}, "e": b"three"}, {"d": {"h": b"four"}})
    before = [describe(tmp_path / layer) for layer in "01"]
    handle = tree.open(tree.lookup(*walk(tree, b"d/f")), os.O_RDWR)
    handle.write(b"changed", 0)
    tree.close_handle(handle)
    tree.unlink(*walk(tree, b"d/g"))
    tree.set_mode(tree.lookup(*walk(tree, b"d/h")), 0o600)
    tree.rename(*walk(tree, b"d"), *walk(tree, b"moved"))
    tree.unlink(*walk(tree, b"e"))
    assert [describe(tmp_path / layer) for layer in "01"] == before
    assert paths(tree) == {b"moved", b"moved/f", b"moved/h"}


def test_what_is_on_disk_is_overlayfs_own_format(union: Maker, tmp_path: Path) -> None:
    tree = union({"gone": b"", "replaced": {"old": b""}, "merged": {"old": b""}})
    tree.unlink(*walk(tree, b"gone"))
    tree.unlink(*walk(tree, b"replaced/old"))
    tree.remove_directory(*walk(tree, b"replaced"))
    tree.make_directory(*walk(tree, b"replaced"), 0o755)
    write(tree, b"merged/new", b"")
    status = (tmp_path / "upper/gone").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0
    assert os.getxattr(tmp_path / "upper/replaced", opaque_name()) == b"y"
    assert os.listxattr(tmp_path / "upper/merged") == []


def test_a_renamed_directory_is_whole_in_the_upper_layer(union: Maker, tmp_path: Path) -> None:
    tree = union({"a": {"b": {"deep": b"1"}, "f": b"2"}}, {"a": {"b": {"lower": b"3"}}, "target": {"hidden": b""}})
    tree.unlink(*walk(tree, b"target/hidden"))
    tree.rename(*walk(tree, b"a"), *walk(tree, b"target"))
    wanted = {b"target", b"target/b", b"target/b/deep", b"target/b/lower", b"target/f"}
    assert paths(tree) == wanted
    assert {path for path in describe(tmp_path / "upper") if path.startswith(b"target")} == wanted
    assert paths(union({}, {})) == wanted


def test_inode_numbers_stay_when_a_file_is_copied_up(union: Maker) -> None:
    tree = union({"d": {"f": b"content"}})
    directory, name = walk(tree, b"d/f")
    node = tree.lookup(directory, name)
    before = {path: node.ino for path, node in ((b"d", directory), (b"f", node))}
    tree.set_mode(node, 0o600)
    assert {path: node.ino for path, node in ((b"d", directory), (b"f", node))} == before
    assert [ino for _, _, ino in tree.entries(directory)] == [before[b"f"]]


def test_names_of_one_file_are_one_node_in_the_upper_layer(union: Maker) -> None:
    tree = union({"f": b"content"})
    node = tree.lookup(tree.root, b"f")
    tree.link(node, tree.root, b"g")
    assert tree.lookup(tree.root, b"g") is node
    assert tree.status(node).st_nlink == 2
    again = union({})
    assert again.lookup(again.root, b"f") is again.lookup(again.root, b"g")


def test_names_of_one_file_below_part_when_it_is_changed(union: Maker, tmp_path: Path) -> None:
    make_tree(tmp_path / "0", {"f": b"content"})
    os.link(tmp_path / "0/f", tmp_path / "0/g")
    tree = union({})
    f, g = tree.lookup(tree.root, b"f"), tree.lookup(tree.root, b"g")
    assert f.ino == g.ino
    assert tree.link_count(f, tree.status(f)) == 2
    tree.truncate(f, 3)
    assert f.ino != g.ino
    assert [tree.status(node).st_size for node in (f, g)] == [3, 7]


def test_an_open_file_of_a_layer_below_has_one_name_less_when_it_is_removed(union: Maker, tmp_path: Path) -> None:
    make_tree(tmp_path / "0", {"f": b"content"})
    os.link(tmp_path / "0/f", tmp_path / "0/g")
    tree = union({})
    handle = tree.open(tree.lookup(tree.root, b"f"), os.O_RDONLY)
    tree.unlink(tree.root, b"f")
    assert tree.link_count(handle.node, tree.status(handle.node)) == 1
    assert handle.read(10, 0) == b"content"
    tree.close_handle(handle)


def test_what_nobody_holds_is_forgotten_and_found_again(union: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transom_fuse.union.tree._MOST_KNOWN", 3)
    monkeypatch.setattr("transom_fuse.union.tree._MANY_READ", 2)
    tree = union({"d": {"held": b"1", "copied": b"2", "idle": b"3", "removed": b"4"}})
    directory, _ = walk(tree, b"d/held")
    tree.close_handle(tree.create(directory, b"two", 0o600, os.O_WRONLY))
    tree.link(tree.lookup(directory, b"two"), directory, b"names")
    nodes = {name: tree.lookup(directory, name) for name in (b"held", b"copied", b"idle")}
    assert tree.crowded
    handle = tree.open(nodes[b"held"], os.O_RDONLY)
    tree.set_mode(nodes[b"copied"], 0o600)
    tree.unlink(directory, b"removed")
    before = sorted(tree.entries(directory))
    tree.trim(0)
    assert not tree.crowded
    assert directory.upper is None
    assert set(directory.children) == {b"held", b"copied"}
    assert sorted(tree.entries(directory)) == before
    assert [tree.lookup(directory, name) is node for name, node in nodes.items()] == [True, True, False]
    tree.close_handle(handle)


def test_a_copy_keeps_times_holes_and_attributes(union: Maker, tmp_path: Path) -> None:
    make_tree(tmp_path / "0", {"d": {"sparse": b""}})
    path = tmp_path / "0/d/sparse"
    with open(path, "r+b") as file:
        file.truncate(1 << 24)
        file.seek(1 << 23)
        file.write(b"data")
    os.setxattr(path, "user.test", b"value")
    os.utime(path, ns=(10**18, 10**18 + 1))
    os.utime(tmp_path / "0/d", ns=(10**18, 10**18 + 2))
    tree = union({})
    directory, name = walk(tree, b"d/sparse")
    node = tree.lookup(directory, name)
    tree.set_mode(node, 0o640)
    status = tree.status(node)
    assert (status.st_mtime_ns, tree.status(directory).st_mtime_ns) == (10**18 + 1, 10**18 + 2)
    assert (status.st_size, status.st_blocks * 512 < 1 << 20) == (1 << 24, True)
    assert tree.attribute(node, b"user.test") == b"value"


def test_a_file_that_was_opened_to_be_read_shows_what_others_write(union: Maker) -> None:
    tree = union({"f": b"before"})
    node = tree.lookup(tree.root, b"f")
    reader, writer = tree.open(node, os.O_RDONLY), tree.open(node, os.O_WRONLY)
    writer.write(b"after!", 0)
    assert reader.read(100, 0) == b"after!"
    assert reader.seek(0, os.SEEK_HOLE) == 6
    for handle in (reader, writer):
        tree.close_handle(handle)


def test_a_removed_file_lives_while_it_is_open(union: Maker) -> None:
    tree = union({"f": b"content"})
    node = tree.lookup(tree.root, b"f")
    handle = tree.open(node, os.O_RDONLY)
    tree.unlink(tree.root, b"f")
    assert handle.read(100, 0) == b"content"
    tree.set_mode(node, 0o600)
    assert stat.S_IMODE(tree.status(node).st_mode) == 0o600
    with pytest.raises(FileNotFoundError):
        tree.link(node, tree.root, b"again")
    tree.close_handle(handle)
    assert paths(tree) == set()


def test_unfinished_copies_of_a_killed_process_are_removed(union: Maker, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    make_tree(tmp_path / "work", {"0": {"deep": {"er": b""}}, "1": b"half"})
    tree = union({"f": b"content"})
    assert list((tmp_path / "work").iterdir()) == []
    tree.truncate(tree.lookup(tree.root, b"f"), 0)
    assert list((tmp_path / "work").iterdir()) == []


def test_links_in_layers_lead_nowhere(union: Maker, tmp_path: Path) -> None:
    make_tree(tmp_path / "outside", {"secret": b"of the machine"})
    make_tree(tmp_path / "0", {"d": {"f": b""}})
    tree = union({})
    directory, name = walk(tree, b"d/f")
    (tmp_path / "0/d/f").unlink()
    (tmp_path / "0/d/f").symlink_to(tmp_path / "outside/secret")
    with pytest.raises(OSError, match="symbolic") as failure:
        tree.open(tree.lookup(directory, name), os.O_RDONLY)
    assert failure.value.errno == errno.ELOOP
    again = union({})
    below = again.lookup(again.root, b"d")
    (tmp_path / "0/d/f").unlink()
    (tmp_path / "0/d").rmdir()
    (tmp_path / "0/d").symlink_to(tmp_path / "outside")
    with pytest.raises(NotADirectoryError):
        again.entries(below)


def test_what_vanishes_from_a_layer_is_missing_and_nothing_else(union: Maker, tmp_path: Path) -> None:
    tree = union({"d": {"f": b"", "g": b"kept"}})
    directory, name = walk(tree, b"d/f")
    node = tree.lookup(directory, name)
    (tmp_path / "0/d/f").unlink()
    for act in (lambda: tree.status(node), lambda: tree.open(node, os.O_RDWR), lambda: tree.set_mode(node, 0o600)):
        with pytest.raises(FileNotFoundError):
            act()
    tree.unlink(directory, name)
    assert paths(tree) == {b"d", b"d/g"}


@pytest.mark.parametrize("name", ["trusted.overlay.opaque", "user.overlay.opaque", "user.overlay.redirect"])
def test_attributes_of_the_union_belong_to_it_alone(union: Maker, name: str) -> None:
    tree = union({"d": {"f": b""}}, {"d": {"g": b""}})
    node = tree.lookup(tree.root, b"d")
    for act in (
        lambda: tree.set_attribute(node, name.encode(), b"y"),
        lambda: tree.attribute(node, name.encode()),
        lambda: tree.remove_attribute(node, name.encode()),
    ):
        with pytest.raises(OSError, match="not supported"):
            act()
    assert tree.attributes(node) == []


def test_a_whiteout_cannot_be_made(union: Maker) -> None:
    tree = union({"f": b""})
    with pytest.raises(PermissionError):
        tree.make_node(tree.root, b"new", stat.S_IFCHR | 0o600, 0)


def test_few_descriptors_are_enough_for_any_tree(union: Maker) -> None:
    deep: Tree = {"f": b"content"}
    for _ in range(300):
        deep = {"d": deep}
    tree = union(deep, deep, most_open=2)
    before = len(os.listdir("/proc/self/fd"))
    directory = tree.root
    for _ in range(300):
        below = tree.lookup(directory, b"d")
        assert isinstance(below, Directory)
        directory = below
    tree.truncate(tree.lookup(directory, b"f"), 1)
    assert len(os.listdir("/proc/self/fd")) <= before + 4


def test_names_that_are_too_long_are_refused_as_such(union: Maker) -> None:
    tree = union({})
    with pytest.raises(OSError, match="too long"):
        tree.lookup(tree.root, b"n" * 256)


def test_a_full_disk_is_an_error_and_changes_nothing(union: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = union({"d": {"f": b"content"}})
    before = describe_union(tree)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("transom_fuse.union.staging.copy_data", full)
    monkeypatch.setattr("transom_fuse.union.staging.share_data", lambda *_: False)
    with pytest.raises(OSError, match="No space"):
        tree.open(tree.lookup(*walk(tree, b"d/f")), os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        tree.rename(*walk(tree, b"d"), *walk(tree, b"e"))
    assert describe_union(tree) == before
