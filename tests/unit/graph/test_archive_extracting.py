"""Unpacking layers: what an archive says is in the tree, and nothing ever outside of it."""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from transom.errors import CorruptContent, StorageFull
from transom.graph.archive import Entry, Kind
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.extract import Extracted, extract

UID, GID = os.geteuid(), os.getegid()


def file(name: bytes, content: bytes = b"", mode: int = 0o644, **fields: object) -> bytes:
    entry = Entry(name, Kind.FILE, mode, UID, GID, len(content), **fields)  # type: ignore[arg-type]
    return encode_entry(entry) + content + padding(len(content))


def directory(name: bytes, mode: int = 0o755, **fields: object) -> bytes:
    return encode_entry(Entry(name, Kind.DIRECTORY, mode, UID, GID, **fields))  # type: ignore[arg-type]


def symlink(name: bytes, target: bytes) -> bytes:
    return encode_entry(Entry(name, Kind.SYMLINK, 0o777, UID, GID, link=target))


def hard_link(name: bytes, target: bytes) -> bytes:
    return encode_entry(Entry(name, Kind.HARD_LINK, 0o644, UID, GID, link=target))


def fifo(name: bytes) -> bytes:
    return encode_entry(Entry(name, Kind.FIFO, 0o644, UID, GID))


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory to unpack into, in one whose other content must not have changed at the end."""
    (tmp_path / "sentinel").write_text("untouched")
    tree = tmp_path / "tree"
    tree.mkdir()
    yield tree
    assert names(tmp_path) == ["sentinel", "tree"]
    assert (tmp_path / "sentinel").read_text() == "untouched"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def unpack(tree: Path, *entries: bytes) -> Extracted:
    return extract(io.BytesIO(b"".join(entries) + END), tree)


def test_files_directories_links_and_pipes_are_made(tree: Path) -> None:
    extracted = unpack(
        tree,
        directory(b"./"),
        directory(b"./bin/"),
        file(b"./bin/tool", b"#!", 0o755),
        hard_link(b"./bin/other", b"./bin/tool"),
        symlink(b"./bin/short", b"tool"),
        fifo(b"./bin/pipe"),
    )
    assert extracted == Extracted(size=len("#!") + len("tool"), entries=6)
    assert (tree / "bin/tool").read_bytes() == b"#!"
    assert (tree / "bin/tool").samefile(tree / "bin/other")
    assert str((tree / "bin/short").readlink()) == "tool"
    assert stat.S_ISFIFO((tree / "bin/pipe").stat().st_mode)


def test_the_stream_is_left_where_the_archive_ends_or_later(tree: Path) -> None:
    stream = io.BytesIO(file(b"a") + END + b"tail")
    extract(stream, tree)
    assert stream.tell() >= len(file(b"a")) + 512


def test_any_byte_may_be_in_a_name(tree: Path) -> None:
    name = bytes(byte for byte in range(1, 256) if byte != ord("/"))[:200]
    unpack(tree, file(name, b"x"))
    assert names(tree) == [os.fsdecode(name)]


@pytest.mark.parametrize("mode", [0o000, 0o600, 0o777, 0o4755, 0o2755, 0o6711, 0o1644])
def test_a_file_has_its_mode_whatever_the_umask(tree: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        unpack(tree, file(b"f", mode=mode), directory(b"d/", mode | 0o700), file(b"missing/f"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tree / "f").stat().st_mode) == mode
    assert stat.S_IMODE((tree / "d").stat().st_mode) == mode | 0o700
    assert stat.S_IMODE((tree / "missing").stat().st_mode) == 0o755


def test_times_are_kept_to_the_nanosecond_also_of_directories_that_are_filled_later(tree: Path) -> None:
    time = 1_600_000_000_123_456_789
    unpack(tree, directory(b"./", mtime=5), directory(b"d/", mtime=time), file(b"d/f", mtime=time + 1))
    assert (tree / "d").stat().st_mtime_ns == time
    assert (tree / "d/f").stat().st_mtime_ns == time + 1
    assert tree.stat().st_mtime_ns == 5


def test_the_root_entry_sets_the_roots_own_mode(tree: Path) -> None:
    unpack(tree, directory(b"./", 0o711))
    assert stat.S_IMODE(tree.stat().st_mode) == 0o711


def test_an_entry_replaces_an_earlier_one_of_any_kind(tree: Path) -> None:
    makers: dict[str, Callable[[bytes], bytes]] = {
        "file": lambda name: file(name, b"new"),
        "directory": lambda name: directory(name + b"/"),
        "symlink": lambda name: symlink(name, b"/nowhere"),
        "fifo": fifo,
        "hard link": lambda name: hard_link(name, b"origin"),
    }
    archive = [file(b"origin", b"origin")]
    for before, make_before in makers.items():
        for after, make_after in makers.items():
            name = f"{before} {after}".encode()
            archive.append(make_before(name))
            if before == "directory":
                archive.append(file(name + b"/inside/deep"))
            archive.append(make_after(name))
    unpack(tree, *archive)
    for before in makers:
        assert (tree / f"{before} file").read_bytes() == b"new"
        assert stat.S_ISDIR((tree / f"{before} directory").lstat().st_mode)
        assert str((tree / f"{before} symlink").readlink()) == "/nowhere"
        assert (tree / f"{before} hard link").samefile(tree / "origin")
    assert (tree / "directory directory/inside/deep").exists()
    assert (tree / "origin").read_bytes() == b"origin"


def test_a_second_entry_of_a_directory_changes_its_attributes_and_keeps_what_is_in_it(tree: Path) -> None:
    unpack(tree, directory(b"d/", 0o700), file(b"d/f"), directory(b"d/", 0o755, mtime=9))
    assert (tree / "d/f").exists()
    assert (stat.S_IMODE((tree / "d").stat().st_mode), (tree / "d").stat().st_mtime_ns) == (0o755, 9)


def test_extended_attributes_are_set_and_those_of_a_directory_replaced(tree: Path) -> None:
    unpack(
        tree,
        directory(b"d/", attributes={b"user.old": b"1"}),
        file(b"f", attributes={b"user.raw": b"\0\xff", b"user.overlay.opaque": b"y"}),
        directory(b"d/", attributes={b"user.new": b"2"}),
    )
    assert [(name, os.getxattr(tree / "f", name)) for name in os.listxattr(tree / "f")] == [("user.raw", b"\0\xff")]
    assert os.listxattr(tree / "d") == ["user.new"]


def test_zeros_become_a_hole(tree: Path) -> None:
    size = 64 << 20
    entry = Entry(b"zeros", Kind.FILE, 0o644, UID, GID, size + 3)
    archive = encode_entry(entry) + b"abc" + bytes(size) + padding(size + 3) + file(b"all", bytes(5 << 20)) + END
    extract(io.BytesIO(archive), tree)
    status = (tree / "zeros").stat()
    assert (status.st_size, (tree / "zeros").read_bytes()[:5]) == (size + 3, b"abc\0\0")
    assert status.st_blocks * 512 <= 2 << 20
    assert (tree / "all").stat().st_size == 5 << 20
    assert (tree / "all").stat().st_blocks * 512 <= 1 << 16


def test_a_sparse_file_is_unpacked_sparse(tree: Path) -> None:
    entry = Entry(b"sparse", Kind.FILE, 0o644, UID, GID, 4 << 30)
    extract(io.BytesIO(encode_entry(entry, ((1 << 30, 4),)) + b"data" + padding(4) + END), tree)
    with (tree / "sparse").open("rb") as unpacked:
        unpacked.seek(1 << 30)
        assert unpacked.read(5) == b"data\0"
    assert (tree / "sparse").stat().st_size == 4 << 30
    assert (tree / "sparse").stat().st_blocks < 100


@pytest.mark.parametrize("name", [b"../outside", b"a/../../outside", b"..", b"a/b/../../..", b"/../outside"])
def test_a_name_that_leads_out_of_the_layer_is_refused(tree: Path, name: bytes) -> None:
    with pytest.raises(CorruptContent, match="leads out of the layer"):
        unpack(tree, file(name, b"evil"))
    with pytest.raises(CorruptContent, match="leads out of the layer"):
        unpack(tree, hard_link(b"link", name))


def test_an_absolute_name_is_one_beneath_the_root(tree: Path) -> None:
    unpack(tree, file(b"/a//./b/../c", b"x"))
    assert (tree / "a/c").read_bytes() == b"x"


@pytest.mark.parametrize("target", [b"..", b"/", b"../..", b"/..", b"a/../../.."])
def test_a_symbolic_link_never_leads_out_of_the_tree(tree: Path, target: bytes) -> None:
    unpack(tree, directory(b"a/"), symlink(b"way", target), file(b"way/sentinel", b"evil"))
    assert (tree / "sentinel").read_bytes() == b"evil"


def test_a_name_goes_through_a_symbolic_link_as_it_would_in_the_container(tree: Path) -> None:
    unpack(
        tree,
        directory(b"usr/lib/"),
        symlink(b"lib", b"/usr/lib"),
        file(b"lib/x", b"1"),
        symlink(b"var", b"made/later"),
        file(b"var/x", b"2"),
        symlink(b"chain", b"../var/../deep/./er"),
        file(b"chain/x", b"3"),
    )
    assert (tree / "usr/lib/x").read_bytes() == b"1"
    assert (tree / "made/later/x").read_bytes() == b"2"
    assert (tree / "made/deep/er/x").read_bytes() == b"3"


def test_a_symbolic_link_that_an_entry_replaces_is_not_followed(tree: Path, tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "sentinel")
    unpack(
        tree,
        symlink(b"f", outside),
        file(b"f", b"mine"),
        symlink(b"d", b".."),
        directory(b"d/"),
        file(b"d/f"),
    )
    assert (tree / "f").read_bytes() == b"mine"
    assert not (tree / "d").is_symlink()


def test_a_hard_link_to_a_symbolic_link_is_another_name_of_the_link(tree: Path, tmp_path: Path) -> None:
    unpack(tree, symlink(b"s", os.fsencode(tmp_path / "sentinel")), hard_link(b"h", b"s"))
    assert (tree / "h").is_symlink()


@pytest.mark.parametrize(
    "entries",
    [
        [hard_link(b"h", b"missing")],
        [hard_link(b"h", b"h")],
        [directory(b"d/"), hard_link(b"h", b"d")],
        [file(b"f"), file(b"f/below")],
        [symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/f")],
        [symlink(b"a", b"a/x"), file(b"a/f")],
        [symlink(b"s", b"")],
        [file(b"n" * 256)],
        [file(b"/".join([b"n" * 200] * 30))],
        [file(b"./", b"root")],
        [symlink(b"/", b"root")],
        [file(b".wh.")],
        [file(b"d/.wh..")],
        [file(b"d/.wh...")],
        [encode_entry(Entry(b"f", Kind.FILE, 0o644, UID, GID, 1 << 62), ((0, 1),)) + b"x" + padding(1)],
    ],
)
def test_an_entry_that_cannot_be_is_corrupt_content(tree: Path, entries: list[bytes]) -> None:
    with pytest.raises(CorruptContent):
        unpack(tree, *entries)


def test_a_truncated_archive_is_corrupt_content(tree: Path) -> None:
    with pytest.raises(CorruptContent, match="cut off"):
        extract(io.BytesIO(file(b"f", b"x" * 5000)[:3000]), tree)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_the_name_of_the_entry(
    tree: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(StorageFull, match="'the/file'"):
        unpack(tree, file(b"the/file", b"x"))


def test_a_whiteout_removes_what_was_there_before(tree: Path) -> None:
    unpack(tree, file(b"d/f"), file(b"d/g"), file(b"d/sub/deep/f"), file(b".wh-is-a-name"))
    unpack(tree, file(b"d/.wh.f"), file(b"d/.wh.sub"), file(b"d/.wh.missing"), file(b"other/.wh.missing"))
    assert names(tree / "d") == ["g"]
    assert (tree / ".wh-is-a-name").exists()


@pytest.mark.parametrize("early", [True, False])
def test_a_whiteout_never_removes_what_its_own_layer_has(tree: Path, early: bool) -> None:
    unpack(tree, file(b"f", b"old"), file(b"d/old"), file(b"d/sub/old"))
    whiteouts = [file(b".wh.f"), file(b".wh.d")]
    new = [file(b"f", b"new"), directory(b"d/"), file(b"d/new"), file(b"d/sub/new")]
    unpack(tree, *(whiteouts + new if early else new + whiteouts))
    assert (tree / "f").read_bytes() == b"new"
    assert names(tree / "d") == ["new", "sub"]
    assert names(tree / "d/sub") == ["new"]


@pytest.mark.parametrize("early", [True, False])
def test_an_opaque_directory_hides_what_was_in_it_before(tree: Path, early: bool) -> None:
    unpack(tree, directory(b"d/"), file(b"d/old"), file(b"d/sub/old"))
    opaque = [file(b"d/.wh..wh..opq")]
    new = [file(b"d/new"), directory(b"d/sub/"), file(b"d/sub/new")]
    unpack(tree, directory(b"d/"), *(opaque + new if early else new + opaque))
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*")) == [
        "d",
        "d/new",
        "d/sub",
        "d/sub/new",
    ]


def test_an_opaque_root_hides_all(tree: Path) -> None:
    unpack(tree, file(b"old/f"), file(b"f"))
    unpack(tree, file(b"new"), file(b".wh..wh..opq"))
    assert names(tree) == ["new"]


def test_a_whiteout_in_a_directory_that_was_reached_through_a_link_spares_what_is_new(tree: Path) -> None:
    unpack(tree, file(b"real/old"), symlink(b"link", b"real"))
    unpack(tree, file(b"link/new"), file(b"real/.wh..wh..opq"))
    assert names(tree / "real") == ["new"]


def test_a_whiteout_does_not_follow_a_link(tree: Path, tmp_path: Path) -> None:
    unpack(tree, symlink(b"link", os.fsencode(tmp_path)))
    unpack(tree, file(b".wh.link"))
    assert names(tree) == []


def test_names_that_belong_to_aufs_are_passed_over(tree: Path) -> None:
    extracted = unpack(tree, file(b".wh..wh.plnk/123.456", b"x"), file(b".wh..wh.aufs"), file(b"d/.wh..wh.orph"))
    assert extracted.entries == 3
    assert [path.name for path in tree.rglob("*")] == ["d"]


def test_a_path_longer_than_the_system_allows_is_corrupt_content(tree: Path) -> None:
    down = b"/".join([b"d" * 50] * 60)
    for last in (directory(b"s/" + down), file(b"s/" + down + b"/f")):
        with pytest.raises(CorruptContent, match="too long"):
            unpack(tree, directory(down), symlink(b"s", down), last)


def test_a_tree_of_any_depth_is_removed(tree: Path) -> None:
    current = os.open(tree, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir(b"deep", dir_fd=current)
        below = os.open(b"deep", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    unpack(tree, file(b".wh.deep"))
    assert names(tree) == []


def test_many_directories_do_not_use_up_the_descriptors(tree: Path) -> None:
    archive = [directory(b"%d/" % number) + file(b"%d/f" % number) for number in range(1500)]
    unpack(tree, *archive)
    assert len(list(tree.iterdir())) == 1500
    open_now = len(names(Path("/proc/self/fd")))
    with pytest.raises(CorruptContent):
        unpack(tree, file(b"0/f/x"))
    assert len(names(Path("/proc/self/fd"))) == open_now
