"""Whatever is done to a union and to a plain directory with the same files, they stay the same.

The union has three layers below, with whiteouts, opaque directories, and directories and files in each other's place.
Now and then it is closed and opened again, so that what is on disk says all.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from testbed.unions import describe_union, make_tree, walk
from transom.runtime.syscalls.files import RENAME_EXCHANGE, RENAME_NOREPLACE, fallocate, renameat2
from transom.testing.trees import describe
from transom_fuse.union import Handle, Union

#: Times that were set are long ago, others are now: only those that were set are compared.
_LONG_AGO = 1_000_000_000_000_000_000

#: Others have no attributes of users (xattr(7)).
_WITH_ATTRIBUTES = (stat.S_IFREG, stat.S_IFDIR)

names = st.sampled_from([b"a", b"b", b"c", b"d"])
paths = st.one_of(names, st.tuples(names, names).map(b"/".join), st.tuples(names, names, names).map(b"/".join))
datas = st.binary(min_size=1, max_size=40)
offsets = st.integers(0, 5000)


class UnionModel(RuleBasedStateMachine):
    """One union and one plain directory."""

    handles = Bundle("handles")

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.open: list[tuple[Handle, int]] = []

    @initialize()
    def make(self) -> None:
        self.plain = self.base / "plain"
        for name in ("plain", "upper", "work"):
            (self.base / name).mkdir()
        make_tree(self.base / "1", {"a": {"a": b"first", "b": None, "c": {"d": b"deep"}}, "b": b"file", "c": None})
        make_tree(
            self.base / "2",
            {"a": {"b": b"hidden", "d": b"second"}, "c": {"a": b"hidden"}, "d": {"!": b"", "b": b"own"}},
        )
        make_tree(
            self.base / "3", {"a": {"c": {"a": b"third"}}, "b": {"a": b"under a file"}, "d": {"a": b"under"}, "c": b"x"}
        )
        make_tree(
            self.plain,
            {
                "a": {"a": b"first", "c": {"d": b"deep", "a": b"third"}, "d": b"second"},
                "b": b"file",
                "d": {"b": b"own"},
            },
        )
        self.mount()

    def mount(self) -> None:
        lower = [self.base / name for name in "123"]
        self.union = Union(lower, self.base / "upper", self.base / "work", most_open=4)

    def teardown(self) -> None:
        for handle, descriptor in self.open:
            self.union.close_handle(handle)
            os.close(descriptor)
        if hasattr(self, "union"):
            self.union.close()
        shutil.rmtree(self.base)

    def both(self, union: Callable[[], object], plain: Callable[[], object]) -> None:
        """Do the same to both; what fails, fails in the same way."""
        results: list[object] = []
        for act in (plain, union):
            try:
                results.append(act())
            except OSError as error:
                results.append(error.errno)
        assert results[1] == results[0]

    def at(self, path: bytes) -> bytes:
        return os.fsencode(self.plain) + b"/" + path

    # Names

    @rule(path=paths, data=datas, mode=st.sampled_from([0o644, 0o755, 0o600]))
    def create(self, path: bytes, data: bytes, mode: int) -> None:
        def union() -> None:
            handle = self.union.create(*walk(self.union, path), mode, os.O_WRONLY)
            handle.write(data, 0)
            self.union.close_handle(handle)

        def plain() -> None:
            descriptor = os.open(self.at(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
            os.write(descriptor, data)
            os.close(descriptor)

        self.both(union, plain)

    @rule(path=paths, mode=st.sampled_from([0o755, 0o700]))
    def make_directory(self, path: bytes, mode: int) -> None:
        self.both(
            lambda: drop(self.union.make_directory(*walk(self.union, path), mode)),
            lambda: os.mkdir(self.at(path), mode),
        )

    @rule(path=paths, leads_to=st.integers(1, 5).map(lambda number: b"/" * number + b"dev/null"))
    def make_link(self, path: bytes, leads_to: bytes) -> None:
        self.both(
            lambda: drop(self.union.make_link(*walk(self.union, path), leads_to)),
            lambda: os.symlink(leads_to, self.at(path)),
        )

    @rule(path=paths)
    def make_fifo(self, path: bytes) -> None:
        self.both(
            lambda: drop(self.union.make_node(*walk(self.union, path), stat.S_IFIFO | 0o620, 0)),
            lambda: os.mkfifo(self.at(path), 0o620),
        )

    @rule(path=paths)
    def unlink(self, path: bytes) -> None:
        self.both(lambda: self.union.unlink(*walk(self.union, path)), lambda: os.unlink(self.at(path)))

    @rule(path=paths)
    def remove_directory(self, path: bytes) -> None:
        self.both(lambda: self.union.remove_directory(*walk(self.union, path)), lambda: os.rmdir(self.at(path)))

    @rule(path=paths)
    def remove_all(self, path: bytes) -> None:
        """Make room, so that whiteouts are many and directories are found empty."""

        def empty(directory: bytes) -> None:
            node = self.union.lookup(*walk(self.union, directory))
            if stat.S_ISDIR(node.kind):
                for name, _, _ in self.union.entries(node):
                    empty(directory + b"/" + name)
                self.union.remove_directory(*walk(self.union, directory))
            else:
                self.union.unlink(*walk(self.union, directory))

        def plain() -> None:
            if os.path.isdir(self.at(path)) and not os.path.islink(self.at(path)):
                shutil.rmtree(self.at(path))
            else:
                os.unlink(self.at(path))

        self.both(lambda: empty(path), plain)

    @rule(old=paths, new=paths, flags=st.sampled_from([0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE]))
    def rename(self, old: bytes, new: bytes, flags: int) -> None:
        self.both(
            lambda: self.union.rename(*walk(self.union, old), *walk(self.union, new), flags),
            lambda: renameat2(-100, self.at(old), -100, self.at(new), flags),
        )

    @rule(old=paths, new=paths)
    def link(self, old: bytes, new: bytes) -> None:
        self.both(
            lambda: self.union.link(self.union.lookup(*walk(self.union, old)), *walk(self.union, new)),
            lambda: os.link(self.at(old), self.at(new), follow_symlinks=False),
        )

    # Attributes

    @rule(path=paths, mode=st.sampled_from([0o644, 0o755, 0o700, 0o4755, 0o1777]))
    def set_mode(self, path: bytes, mode: int) -> None:
        node = self.find(path)
        if node is not None and not stat.S_ISLNK(node.kind):
            mode |= 0o700 if stat.S_ISDIR(node.kind) else 0
            self.both(lambda: self.union.set_mode(node, mode), lambda: os.chmod(self.at(path), mode))

    @rule(path=paths, times=st.tuples(st.integers(0, _LONG_AGO), st.integers(0, _LONG_AGO)))
    def set_times(self, path: bytes, times: tuple[int, int]) -> None:
        node = self.find(path)
        if node is not None:
            self.both(
                lambda: self.union.set_times(node, *times),
                lambda: os.utime(self.at(path), ns=times, follow_symlinks=False),
            )

    @rule(path=paths, name=st.sampled_from(["user.a", "user.b"]), value=datas)
    def set_attribute(self, path: bytes, name: str, value: bytes) -> None:
        node = self.find(path)
        if node is not None and node.kind in _WITH_ATTRIBUTES:
            self.both(
                lambda: self.union.set_attribute(node, name.encode(), value),
                lambda: os.setxattr(self.at(path), name, value, follow_symlinks=False),
            )

    @rule(path=paths, name=st.sampled_from(["user.a", "user.b"]))
    def remove_attribute(self, path: bytes, name: str) -> None:
        node = self.find(path)
        if node is not None and node.kind in _WITH_ATTRIBUTES:
            self.both(
                lambda: self.union.remove_attribute(node, name.encode()),
                lambda: os.removexattr(self.at(path), name, follow_symlinks=False),
            )

    @rule(path=paths, size=offsets)
    def truncate(self, path: bytes, size: int) -> None:
        node = self.find(path)
        if node is not None and stat.S_ISREG(node.kind):
            self.both(lambda: self.union.truncate(node, size), lambda: os.truncate(self.at(path), size))

    # Open files

    @rule(
        target=handles,
        path=paths,
        access=st.sampled_from([os.O_RDONLY, os.O_RDWR]),
        more=st.sampled_from([0, 0, os.O_TRUNC, os.O_APPEND]),
    )
    def open_file(self, path: bytes, access: int, more: int) -> tuple[Handle, int] | None:
        node = self.find(path)
        if node is None or not stat.S_ISREG(node.kind):
            return None
        pair = (self.union.open(node, access | more), os.open(self.at(path), access | more | os.O_NOFOLLOW))
        self.open.append(pair)
        return pair

    @rule(target=handles, data=datas)
    def make_nameless(self, data: bytes) -> tuple[Handle, int]:
        handle = self.union.make_nameless(self.union.root, 0o640, os.O_RDWR)
        pair = (handle, os.open(self.plain, os.O_TMPFILE | os.O_RDWR, 0o640))
        self.open.append(pair)
        return pair

    @rule(pair=handles, path=paths)
    def link_open(self, pair: tuple[Handle, int] | None, path: bytes) -> None:
        if pair in self.open:
            handle, descriptor = pair
            self.both(
                lambda: self.union.link(handle.node, *walk(self.union, path)),
                lambda: os.link(
                    f"/proc/self/fd/{descriptor}", self.at(path), dst_dir_fd=descriptor, follow_symlinks=True
                ),
            )

    @rule(pair=handles, data=datas, offset=offsets)
    def write(self, pair: tuple[Handle, int] | None, data: bytes, offset: int) -> None:
        if pair in self.open:
            self.both(lambda: pair[0].write(data, offset), lambda: os.pwrite(pair[1], data, offset))

    @rule(pair=handles, offset=offsets, mode=st.sampled_from([0, 1, 3]))
    def allocate(self, pair: tuple[Handle, int] | None, offset: int, mode: int) -> None:
        if pair in self.open:
            self.both(lambda: pair[0].allocate(mode, offset, 100), lambda: fallocate(pair[1], mode, offset, 100))

    @rule(pair=handles, mode=st.sampled_from([0o600, 0o644]))
    def set_mode_of_open(self, pair: tuple[Handle, int] | None, mode: int) -> None:
        if pair in self.open:
            self.both(lambda: self.union.set_mode(pair[0].node, mode), lambda: os.fchmod(pair[1], mode))

    @rule(pair=consumes(handles))
    def close(self, pair: tuple[Handle, int] | None) -> None:
        if pair in self.open:
            self.open.remove(pair)
            self.union.close_handle(pair[0])
            os.close(pair[1])

    @rule(most=st.integers(0, 5))
    def trim(self, most: int) -> None:
        self.union.trim(most)

    @rule()
    def remount(self) -> None:
        for handle, descriptor in self.open:
            self.union.close_handle(handle)
            os.close(descriptor)
        self.open.clear()
        self.union.close()
        self.mount()

    # What must hold

    @invariant()
    def same_tree(self) -> None:
        if hasattr(self, "union"):
            wanted = describe(self.plain)
            assert describe_union(self.union, _LONG_AGO) == {
                path: item.__class__(**{**vars(item), "mtime": item.mtime if item.mtime <= _LONG_AGO else 0})
                for path, item in wanted.items()
            }

    @invariant()
    def same_content_of_open_files(self) -> None:
        for handle, descriptor in self.open:
            assert handle.read(100_000, 0) == os.pread(descriptor, 100_000, 0)
            ours, theirs = self.union.status(handle.node), os.fstat(descriptor)
            assert (ours.st_mode, ours.st_size) == (theirs.st_mode, theirs.st_size)
            assert self.union.link_count(handle.node, ours) == theirs.st_nlink

    @invariant()
    def nothing_is_left_in_the_working_directory(self) -> None:
        if hasattr(self, "union"):
            assert list((self.base / "work").iterdir()) == []

    def find(self, path: bytes) -> object:
        try:
            return self.union.lookup(*walk(self.union, path))
        except OSError:
            return None


def drop(_: object) -> None:
    """Make nothing of what a call has returned."""


UnionModel.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestUnionModel = UnionModel.TestCase


@pytest.mark.exhaustive
def test_many_long_lives() -> None:
    run_state_machine_as_test(
        UnionModel, settings=settings(UnionModel.TestCase.settings, max_examples=600, stateful_step_count=80)
    )
