"""Nothing can tell a copied tree from its original."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transom.graph import copy
from transom.graph.copy import copy_tree
from transom.graph.trees import clear_directory
from transom.testing.trees import describe

names = st.binary(min_size=1, max_size=20).filter(
    lambda name: name not in (b".", b"..") and not set(b"/\0") & set(name)
)
files = st.tuples(st.just("file"), st.binary(max_size=200), st.sampled_from([0o644, 0o600, 0o755, 0o4755]))
links = st.tuples(st.just("link"), names, st.just(0))
trees = st.recursive(
    st.dictionaries(names, files | links, max_size=4),
    lambda inner: st.dictionaries(names, files | links | inner, max_size=4),
    max_leaves=20,
)


def build(path: bytes, tree: dict[bytes, object], time: int = 1_000_000_001) -> None:
    os.mkdir(path)  # noqa: PTH102 a name of any bytes
    for name, item in tree.items():
        below = path + b"/" + name
        if isinstance(item, dict):
            build(below, item, time + 1)
            continue
        assert isinstance(item, tuple)
        kind, content, mode = item
        if kind == "link":
            os.symlink(content, below)  # noqa: PTH211
        else:
            with open(below, "wb") as file:
                file.write(content)
            os.chmod(below, mode)  # noqa: PTH101
        os.utime(below, ns=(time, time + len(name)), follow_symlinks=False)
    os.utime(path, ns=(time, time))


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    copy_tree(source, target)
    return target


@settings(max_examples=50)
@given(trees)
def test_a_copy_is_like_its_original(tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, object]) -> None:
    directory = tmp_path_factory.mktemp("copy")
    source = directory / "source"
    build(os.fsencode(source), tree)
    assert describe(copied(source, directory / "target")) == describe(source)


def test_links_attributes_pipes_and_sockets_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "a").write_text("content")
    os.setxattr(source / "a", "user.test", b"value")
    os.link(source / "a", source / "d" / "b")
    os.mkfifo(source / "fifo", 0o620)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket"))
    os.utime(source, ns=(5, 7))
    target = copied(source, tmp_path / "target")
    assert describe(target) == describe(source)
    assert target.stat().st_mtime_ns == 7


def test_holes_stay_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as file:
        file.write(b"begin")
        file.seek(32 << 20)
        file.write(b"middle")
        file.truncate(64 << 20)
    target = copied(source, tmp_path / "target")
    assert describe(target) == describe(source)
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


def test_a_tree_deeper_than_descriptors_and_stack_is_copied(tmp_path: Path) -> None:
    deepest = source = tmp_path / "source"
    source.mkdir()
    for _ in range(1200):
        deepest = deepest / "d"
        deepest.mkdir()
    (deepest / "file").write_text("deep")
    try:
        target = copied(source, tmp_path / "target")
        assert (target / deepest.relative_to(source) / "file").read_text() == "deep"
    finally:
        directory = os.open(tmp_path, os.O_DIRECTORY)
        clear_directory(directory)
        os.close(directory)


@pytest.mark.parametrize("answer", [errno.EOPNOTSUPP, errno.EXDEV])
def test_data_is_copied_where_it_cannot_be_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    asked = []

    def refuse(_reader: int, _writer: int) -> None:
        asked.append(True)
        raise OSError(answer, "no")

    monkeypatch.setattr(copy, "clone_file", refuse)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        (source / f"file-{number}").write_bytes(os.urandom(100_000))
    assert describe(copied(source, tmp_path / "target")) == describe(source)
    assert len(asked) == 1


def test_data_is_shared_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = []

    def share(reader: int, writer: int) -> None:
        shared.append(os.fstat(reader).st_size)
        os.sendfile(writer, reader, 0, os.fstat(reader).st_size)

    monkeypatch.setattr(copy, "clone_file", share)
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"12345")
    (source / "empty").touch()
    assert describe(copied(source, tmp_path / "target")) == describe(source)
    assert shared == [5]
