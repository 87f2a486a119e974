"""Layers with all that needs root: owners, devices, capabilities, and overlayfs's form, as overlayfs itself sees it."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings

from testbed.trees import build, picture, trees
from transom.errors import Unsupported
from transom.graph.archive import Entry, Kind
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.difference import find_changes, find_upper_changes, write_difference, write_upper
from transom.graph.extract import extract
from transom.graph.whiteouts import Whiteouts
from transom.runtime.syscalls.mounts import MNT_DETACH, mount, umount2

#: `cap_net_bind_service=ep` as the kernel keeps it (struct vfs_cap_data, revision 2).
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def file(name: bytes, content: bytes = b"", **fields: Any) -> bytes:
    return encode_entry(Entry(name, Kind.FILE, size=len(content), **fields)) + content + padding(len(content))


def directory(name: bytes) -> bytes:
    return encode_entry(Entry(name, Kind.DIRECTORY, 0o755))


def device(name: bytes, kind: Kind, major: int, minor: int) -> bytes:
    return encode_entry(Entry(name, kind, 0o660, 0, 6, major=major, minor=minor))


def unpack(tree: Path, *entries: bytes, whiteouts: Whiteouts = Whiteouts.APPLY) -> None:
    extract(io.BytesIO(b"".join(entries) + END), tree, whiteouts=whiteouts)


def copy_of(tree: Path, copy: Path) -> None:
    extract(io.BytesIO(b"".join(write_difference(None, tree))), copy)


@contextmanager
def overlay(*lower: Path, upper: Path | None = None) -> Iterator[Path]:
    """Mount layers, the topmost first."""
    with TemporaryDirectory() as name:
        target = Path(name)
        options = "lowerdir=" + ":".join(map(str, lower)) + ",redirect_dir=off,metacopy=off,index=off"
        if upper is not None:
            work = upper.with_name(upper.name + ".work")
            work.mkdir(exist_ok=True)
            options += f",upperdir={upper},workdir={work}"
        mount("overlay", target, "overlay", 0, options)
        try:
            yield target
        finally:
            umount2(target, MNT_DETACH)


@contextmanager
def directories(*names: str) -> Iterator[list[Path]]:
    with TemporaryDirectory() as name:
        paths = [Path(name) / part for part in names]
        for path in paths:
            path.mkdir()
        yield paths


def test_owners_set_user_id_bits_and_capabilities_are_kept(tmp_path: Path) -> None:
    unpack(
        tmp_path,
        file(b"suid", b"x", mode=0o6755, uid=1000, gid=2_000_000),
        file(b"ping", b"x", mode=0o755, uid=7, attributes={b"security.capability": CAPABILITY}),
        encode_entry(Entry(b"link", Kind.SYMLINK, uid=8, gid=9, link=b"suid")),
        encode_entry(Entry(b"d/", Kind.DIRECTORY, 0o2775, 10, 11)),
        file(b"d/f", uid=12, gid=13),
    )
    suid, link, setgid, inside = ((tmp_path / name).lstat() for name in ("suid", "link", "d", "d/f"))
    assert (stat.S_IMODE(suid.st_mode), suid.st_uid, suid.st_gid) == (0o6755, 1000, 2_000_000)
    assert os.getxattr(tmp_path / "ping", "security.capability") == CAPABILITY
    assert (link.st_uid, link.st_gid) == (8, 9)
    assert (stat.S_IMODE(setgid.st_mode), setgid.st_uid, setgid.st_gid) == (0o2775, 10, 11)
    assert (inside.st_uid, inside.st_gid) == (12, 13)


def test_devices_are_made_and_archived(tmp_path: Path) -> None:
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    tree.mkdir()
    copy.mkdir()
    unpack(tree, device(b"null", Kind.CHARACTER_DEVICE, 1, 3), device(b"disk", Kind.BLOCK_DEVICE, 259, 65_536))
    assert (tree / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK((tree / "disk").stat().st_mode)
    copy_of(tree, copy)
    assert picture(copy) == picture(tree)


def test_overlays_own_attributes_in_an_archive_are_not_set(tmp_path: Path) -> None:
    attributes = {b"trusted.overlay.redirect": b"/etc", b"trusted.overlay.opaque": b"y", b"trusted.other": b"kept"}
    unpack(tmp_path, encode_entry(Entry(b"d/", Kind.DIRECTORY, 0o755, attributes=attributes)))
    assert os.listxattr(tmp_path / "d") == ["trusted.other"]


@settings(max_examples=40)
@given(trees, trees)
def test_a_layer_in_overlays_form_shows_what_applying_it_shows(before: Any, after: Any) -> None:
    with directories("before", "after", "low", "high", "copy") as (lower, upper, low, high, copy):
        build(lower, before)
        build(upper, after)
        base, layer = b"".join(write_difference(None, lower)), b"".join(write_difference(lower, upper))
        extract(io.BytesIO(base), low, whiteouts=Whiteouts.OVERLAY)
        unpack(high, encode_entry(Entry(b"./", Kind.DIRECTORY, 0o755)), whiteouts=Whiteouts.OVERLAY)
        shutil.copystat(low, high)
        extract(io.BytesIO(layer), high, whiteouts=Whiteouts.OVERLAY)
        with overlay(high, low) as merged:
            assert picture(merged) == picture(upper)
            assert list(find_upper_changes(high, low)) == list(find_changes(low, merged))
            assert b"".join(write_upper(high, low)) == b"".join(write_difference(low, merged))
        extract(io.BytesIO(base), copy)
        extract(io.BytesIO(b"".join(write_upper(high))), copy)
        assert picture(copy) == picture(upper)


WHITEOUTS = [
    [file(b".wh.f"), file(b"f", b"new")],
    [file(b".wh.d"), directory(b"d/"), file(b"d/new")],
    [file(b".wh.d"), file(b"d/new")],
    [file(b".wh.d"), file(b"d/sub/new")],
    [file(b"d/.wh..wh..opq"), directory(b"d/"), file(b"d/new")],
    [file(b"d/.wh.old"), directory(b"d/"), file(b"d/new")],
    [file(b".wh.f"), file(b".wh.d")],
    [file(b".wh.f"), directory(b"f/"), file(b"f/below")],
]


@pytest.mark.parametrize("whiteout", ["first", "last"])
@pytest.mark.parametrize("entries", WHITEOUTS, ids=range(len(WHITEOUTS)))
def test_whiteouts_show_the_same_in_both_forms_wherever_they_stand(
    tmp_path: Path, entries: list[bytes], whiteout: str
) -> None:
    low, high, applied = (tmp_path / name for name in ("low", "high", "applied"))
    for path in (low, high, applied):
        path.mkdir()
    base = [file(b"f", b"old"), directory(b"d/"), file(b"d/old"), directory(b"d/sub/"), file(b"d/sub/old")]
    unpack(low, *base, whiteouts=Whiteouts.OVERLAY)
    ordered = entries if whiteout == "first" else entries[1:] + entries[:1]
    unpack(high, *ordered, whiteouts=Whiteouts.OVERLAY)
    unpack(applied, *base)
    unpack(applied, *ordered)
    with overlay(high, low) as merged:
        assert seen(merged) == seen(applied)


def test_an_opaque_root_is_marked_as_such(tmp_path: Path) -> None:
    unpack(tmp_path, file(b".wh..wh..opq"), file(b"only"), whiteouts=Whiteouts.OVERLAY)
    assert os.getxattr(tmp_path, "trusted.overlay.opaque") == b"y"


def seen(tree: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(tree)): path.read_bytes() if path.is_file() else None for path in sorted(tree.rglob("*"))
    }


def test_what_a_container_did_is_read_from_the_upper_directory(tmp_path: Path) -> None:
    low, upper, copy, whole = (tmp_path / name for name in ("low", "upper", "copy", "whole"))
    for path in (low, upper, copy, whole):
        path.mkdir()
    for name in ("gone/f", "again/old/f", "again/same", "changed/f", "kept/f", "touched", "swapped/f"):
        (low / name).parent.mkdir(parents=True, exist_ok=True)
        (low / name).write_text(name)
    copy_of(low, copy)
    copy_of(low, whole)
    with overlay(low, upper=upper) as tree:
        shutil.rmtree(tree / "gone")
        shutil.rmtree(tree / "again")
        (tree / "again/new").mkdir(parents=True)
        (tree / "again/same").write_text("again/same")
        (tree / "changed/f").write_text("other")
        (tree / "changed/hard").hardlink_to(tree / "changed/f")
        (tree / "linked").hardlink_to(tree / "kept/f")
        with (tree / "touched").open("r+"):
            pass
        shutil.rmtree(tree / "swapped")
        (tree / "swapped").symlink_to("kept")
        (tree / "made").mkdir(mode=0o700)
        os.mknod(tree / "made/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        changes = list(find_upper_changes(upper, low))
        assert changes == list(find_changes(low, tree))
        paths = [change.path for change in changes]
        assert b"/gone" in paths
        assert b"/again/old" in paths
        assert b"/touched" not in paths
        # Whatever driver a layer is made with, it is the same.
        assert b"".join(write_upper(upper, low)) == b"".join(write_difference(low, tree))
        extract(io.BytesIO(b"".join(write_upper(upper, low))), whole)
        assert picture(whole) == picture(tree)
        assert (whole / "linked").samefile(whole / "kept/f")
        extract(io.BytesIO(b"".join(write_upper(upper))), copy)
        assert picture(copy) == picture(tree)
        assert (copy / "changed/hard").samefile(copy / "changed/f")


@pytest.mark.parametrize("attribute", ["trusted.overlay.redirect", "trusted.overlay.metacopy"])
def test_an_upper_directory_that_is_not_whole_is_refused(tmp_path: Path, attribute: str) -> None:
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", attribute, b"/elsewhere")
    with pytest.raises(Unsupported, match="redirect_dir=off"):
        list(write_upper(tmp_path))
