"""What programs may rely on in a container's files: `GraphFilesSuite`.

Every act is done to a mounted layer and to a plain directory with the same files, and must come to the same: the same
answer, the same tree. The files are in the layer itself, in one of two layers below, merged from several, or hidden;
so the acts meet whiteouts and opaque directories in every place. Where a driver's files are otherwise, it says so in
`deviations`, and then they must be so.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.graph import GraphDriver
from transom.graph.copy import copy_tree
from transom.runtime.syscalls.files import RENAME_EXCHANGE, fallocate, renameat2
from transom.runtime.syscalls.mounts import MNT_DETACH, mount, umount2
from transom.testing.archives import MTIME, Member, directory, file, hard_link, layer_archive
from transom.testing.file_acts import ACTS, CASES, RENAMES, change_layer, lowest_layer, middle_layer
from transom.testing.trees import Description, describe, mounts_below

__all__ = ["GraphFilesSuite", "Place"]

#: What was set is as old as archives are; later times are those of the moment.
_LATEST = MTIME + 1000


@dataclass(frozen=True)
class Place:
    """A mounted layer, with a directory for each case, and a plain directory on the same file system."""

    driver: GraphDriver
    mount: Path
    plain: Path

    def case(self, number: int) -> tuple[Path, Path]:
        """Return the directory of a case in the layer, and a plain copy of it."""
        ours, plain = self.mount / str(number) / "case", self.plain / str(number) / "case"
        plain.mkdir(parents=True)
        copy_tree(ours, plain)
        return ours, plain


class GraphFilesSuite:
    """Tests that every graph driver passes. A subclass names the driver.

    It may also override the fixture `file_storage`, a directory on the file system that the driver wants.
    """

    driver_class: ClassVar[type[GraphDriver]]

    @pytest.fixture(scope="class")
    @classmethod
    def file_storage(cls, tmp_path_factory: pytest.TempPathFactory, private_mounts: None) -> Iterator[Path]:  # noqa: ARG003
        """Where the driver's root is: in memory, where that has the attributes that files of users have (Linux 6.6)."""
        storage = tmp_path_factory.mktemp("files")
        mount("tmpfs", storage, "tmpfs", 0)
        try:
            os.setxattr(storage, "user.test", b"")
        except OSError:
            umount2(storage)
            yield storage
        else:
            yield storage
            umount2(storage, MNT_DETACH)

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, file_storage: Path) -> Iterator[Place]:
        """A layer on top of two others, mounted."""
        root, mounts, plain = (file_storage / name for name in ("root", "mounts", "plain"))
        for path in (root, mounts, plain):
            path.mkdir()
        cls.driver_class.probe(root)
        driver = cls.driver_class(root, mounts)
        driver.create("lowest", None)
        driver.apply("lowest", layer_archive(*lowest_layer(), *_more()))
        driver.create("middle", "lowest")
        driver.apply("middle", layer_archive(*middle_layer()))
        driver.create("layer", "middle")
        mount = driver.mount("layer")
        change_layer(mount)
        yield Place(driver, mount, plain)
        driver.recover(())
        driver.close()
        assert mounts_below(mounts) == []

    @pytest.mark.parametrize(
        ("number", "act", "target"),
        [pytest.param(number, *case, id=f"{case[0]}: {case[1]}") for number, case in enumerate(CASES)],
    )
    def test_an_act_comes_to_what_it_does_on_a_plain_file_system(
        self, place: Place, number: int, act: str, target: str
    ) -> None:
        ours, plain = place.case(number)
        moves = act.startswith("rename") and self.stays(ours / target)
        self.compare(ACTS[act], [os.fsencode(ours / target)], [os.fsencode(plain / target)], ours, plain, moves)

    @pytest.mark.parametrize(
        ("number", "source", "target", "flags"),
        [
            pytest.param(
                len(CASES) + number, *case, id=f"{case[0]} to {case[1]} {('', 'noreplace', 'exchange')[case[2]]}"
            )
            for number, case in enumerate(RENAMES)
        ],
    )
    def test_a_rename_comes_to_what_it_does_on_a_plain_file_system(
        self, place: Place, number: int, source: str, target: str, flags: int
    ) -> None:
        ours, plain = place.case(number)
        moves = source != target and (
            self.stays(ours / source) or (flags == RENAME_EXCHANGE and self.stays(ours / target))
        )

        def rename(old: bytes, new: bytes) -> None:
            renameat2(-100, old, -100, new, flags)

        pairs = [[os.fsencode(tree / name) for name in (source, target)] for tree in (ours, plain)]
        self.compare(rename, pairs[0], pairs[1], ours, plain, moves)

    # Open files

    def test_a_file_that_was_removed_lives_while_it_is_open(self, place: Place) -> None:
        path = place.mount / "open" / "removed"
        descriptor = os.open(path, os.O_RDWR)
        path.unlink()
        os.pwrite(descriptor, b"more", 7)
        os.fchmod(descriptor, 0o600)
        status = os.fstat(descriptor)
        assert (status.st_nlink, status.st_size, stat.S_IMODE(status.st_mode)) == (0, 11, 0o600)
        assert os.pread(descriptor, 100, 0) == b"contentmore"
        os.close(descriptor)
        assert not path.exists()

    def test_a_directory_can_be_removed_when_only_removed_files_are_open_in_it(self, place: Place) -> None:
        path = place.mount / "open" / "directory"
        with open(path / "file", "rb") as opened:
            (path / "file").unlink()
            path.rmdir()
            assert opened.read() == b"content"

    def test_a_file_that_was_replaced_lives_while_it_is_open(self, place: Place) -> None:
        path = place.mount / "open" / "replaced"
        with open(path, "rb") as opened:
            path.with_name("new").write_bytes(b"new")
            path.with_name("new").rename(path)
            assert (opened.read(), path.read_bytes()) == (b"content", b"new")
        assert {item.name for item in path.parent.iterdir() if item.name.startswith(".")} == set()

    def test_whoever_reads_sees_what_others_write(self, place: Place) -> None:
        path = place.mount / "open" / "shared"
        reader = os.open(path, os.O_RDONLY)
        assert os.pread(reader, 100, 0) == b"content"
        path.write_bytes(b"changed, and longer")
        assert os.pread(reader, 100, 0) == b"changed, and longer"
        os.close(reader)

    def test_appending_is_atomic(self, place: Place) -> None:
        path = place.mount / "open" / "appended"
        writers = [os.open(path, os.O_WRONLY | os.O_APPEND) for _ in range(2)]
        for number in range(10):
            os.write(writers[number % 2], b"%d" % number)
        for writer in writers:
            os.close(writer)
        assert path.read_bytes() == b"content0123456789"

    def test_files_can_be_mapped(self, place: Place) -> None:
        path = place.mount / "open" / "mapped"
        with open(path, "r+b") as opened, mmap.mmap(opened.fileno(), 0) as memory:
            assert memory[:] == b"content"
            memory[:3] = b"CON"
            memory.flush()
            assert path.read_bytes() == b"CONtent"

    def test_holes_are_kept_made_and_found(self, place: Place) -> None:
        path = place.mount / "open" / "sparse"
        with open(path, "r+b") as opened:
            opened.truncate(1 << 22)
            os.pwrite(opened.fileno(), b"d" * 65536, 1 << 21)
            os.fsync(opened.fileno())
            assert os.lseek(opened.fileno(), 65536, os.SEEK_DATA) == 1 << 21
            # FALLOC_FL_PUNCH_HOLE, FALLOC_FL_KEEP_SIZE
            fallocate(opened.fileno(), 3, 1 << 21, 65536)
            assert os.pread(opened.fileno(), 4, 1 << 21) == bytes(4)
        assert path.stat().st_size == 1 << 22
        assert path.stat().st_blocks * 512 < 1 << 20

    def test_locks_hold_others_off(self, place: Place) -> None:
        path = place.mount / "open" / "locked"
        with open(path, "r+b") as one, open(path, "r+b") as other:
            fcntl.flock(one, fcntl.LOCK_EX)
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_all_of_a_directory_can_be_removed_while_it_is_read(self, place: Place) -> None:
        path = place.mount / "open" / "many"
        path.mkdir()
        for number in range(500):
            (path / str(number)).touch()
        with os.scandir(path) as entries:
            for entry in entries:
                os.unlink(entry.path)  # noqa: PTH108
        path.rmdir()

    def test_a_file_keeps_its_number_when_it_is_changed(self, place: Place) -> None:
        path = place.mount / "open" / "numbered"
        before = path.stat().st_ino
        path.write_bytes(b"changed")
        assert path.stat().st_ino == before

    def test_programs_can_be_run(self, place: Place) -> None:
        path = place.mount / "open" / "program"
        shutil.copy("/bin/true", path)
        assert os.waitstatus_to_exitcode(os.spawnv(os.P_WAIT, path, ["true"])) == 0

    # Names of one file

    def test_names_of_one_file_below_stay_together_unless_the_driver_says_otherwise(self, place: Place) -> None:
        one, two = (place.mount / "linked" / name for name in ("one", "two"))
        assert one.stat().st_ino == two.stat().st_ino
        one.write_bytes(b"changed")
        assert two.read_bytes() == (b"linked" if self.driver_class.deviations.hard_links_part else b"changed")

    def test_new_names_of_one_file_share_all(self, place: Place) -> None:
        one, two = (place.mount / "linked" / name for name in ("new", "newer"))
        one.write_bytes(b"content")
        two.hardlink_to(one)
        two.chmod(0o600)
        with open(one, "ab") as opened:
            opened.write(b", more")
        status = one.stat()
        assert (status.st_nlink, stat.S_IMODE(status.st_mode), two.read_bytes()) == (2, 0o600, b"content, more")
        one.unlink()
        assert two.stat().st_nlink == 1

    def test_names_of_one_file_share_locks_unless_the_driver_says_otherwise(self, place: Place) -> None:
        one, two = (place.mount / "linked" / name for name in ("lock", "locker"))
        one.touch()
        two.hardlink_to(one)
        with open(one, "r+b") as first, open(two, "r+b") as second:
            fcntl.flock(first, fcntl.LOCK_EX)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
                apart = True
            except BlockingIOError:
                apart = False
        assert apart == self.driver_class.deviations.hard_links_are_apart

    # Permissions

    @pytest.mark.parametrize(
        ("act", "answer"),
        [
            (lambda path: (path / "secret").read_bytes(), errno.EACCES),
            (lambda path: (path / "secret").chmod(0o666), errno.EPERM),
            (lambda path: (path / "new").touch(), errno.EACCES),
            (lambda path: (path / "closed" / "file").stat(), errno.EACCES),
            (lambda path: (path / "sticky" / "file").unlink(), errno.EPERM),
            (lambda path: (path / "sticky" / "file").rename(path / "sticky" / "renamed"), errno.EPERM),
            (lambda path: os.mknod(path / "sticky" / "device", stat.S_IFBLK | 0o666, os.makedev(8, 0)), errno.EPERM),
            (lambda path: os.chown(path / "mine", 0, 0), errno.EPERM),
            (lambda path: (path / "mine").chmod(0o4711), 0),
            (lambda path: (path / "sticky" / "of mine").write_bytes(b""), 0),
        ],
        ids=[
            "read",
            "chmod",
            "create",
            "search",
            "unlink from sticky",
            "rename in sticky",
            "mknod",
            "chown",
            "chmod own",
            "create in sticky",
        ],
    )
    def test_who_may_do_what(self, place: Place, act: Callable[[Path], object], answer: int) -> None:
        assert _as_user(1000, place.mount / "rights", act) == answer

    def test_new_files_belong_to_their_maker_and_to_the_group_that_the_directory_says(self, place: Place) -> None:
        path = place.mount / "rights" / "group"
        assert _as_user(1000, path, _make_both) == 0
        found = [(path / name).stat() for name in ("directory", "file")]
        assert [(status.st_uid, status.st_gid) for status in found] == [(1000, 50), (1000, 50)]
        assert [bool(status.st_mode & stat.S_ISGID) for status in found] == [True, False]

    def test_who_writes_takes_away_the_set_user_id(self, place: Place) -> None:
        path = place.mount / "rights" / "program"
        assert _as_user(1000, path.parent, lambda here: (here / "program").write_bytes(b"other")) == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o777

    def stays(self, path: Path) -> bool:
        """Return whether a driver has declared that this cannot be renamed: a directory with something below it."""
        below = ("d-low", "d-merged", "d-opaque", "d-empty", "d-emptied")
        return self.driver_class.deviations.directories_stay and path.name in below and path.is_dir()

    def compare(
        self,
        act: Callable[..., object],
        ours: list[bytes],
        plain: list[bytes],
        our_tree: Path,
        plain_tree: Path,
        refused: bool,
    ) -> None:
        """Act on both trees, and compare the answers and what became of the trees."""
        before = _seen(plain_tree) if refused else {}
        wanted, got = _answer(act, plain), _answer(act, ours)
        if refused and (not isinstance(wanted, OSError) or wanted.errno == errno.ENOTEMPTY):
            assert isinstance(got, OSError)
            assert got.errno == errno.EXDEV
            assert _seen(our_tree) == before
            return
        assert repr(got) == repr(wanted)
        assert _seen(our_tree) == _seen(plain_tree)


def _more() -> list[Member]:
    """Return what the lowest layer has for tests of their own."""
    opened = ("removed", "directory/file", "replaced", "shared", "appended", "mapped", "sparse", "locked", "numbered")
    return [
        directory("open"),
        directory("open/directory"),
        *(file(f"open/{name}", b"content") for name in opened),
        directory("linked"),
        file("linked/one", b"linked"),
        hard_link("linked/two", "linked/one"),
        directory("rights"),
        file("rights/secret", mode=0o600),
        directory("rights/closed", mode=0o700),
        file("rights/closed/file"),
        directory("rights/sticky", mode=0o1777),
        file("rights/sticky/file"),
        file("rights/mine", uid=1000, gid=1000),
        directory("rights/group", mode=0o2777, gid=50),
        file("rights/program", mode=0o4777),
    ]


def _make_both(here: Path) -> None:
    (here / "directory").mkdir()
    (here / "file").touch()


def _as_user(user: int, directory: Path, act: Callable[[Path], object]) -> int:
    """Do something in a directory as a user without rights, in a process of its own; return the number of its error.

    What is above the directory need not be the user's.
    """
    process = os.fork()
    if process == 0:
        code = 255
        try:
            os.chdir(directory)
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            act(Path())
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _answer(act: Callable[..., object], arguments: list[bytes]) -> object:
    try:
        return act(*arguments)
    except OSError as error:
        return OSError(error.errno, os.strerror(error.errno or 0))


def _seen(tree: Path) -> dict[bytes, Description]:
    """Return what a tree shows, without the times of what was changed just now."""
    seen = describe(tree)
    for above, directories, files in os.walk(tree):
        with os.scandir(above) as entries:
            listed = {entry.name: (entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in entries}
        for name in (*directories, *files):
            status = os.lstat(f"{above}/{name}")
            assert listed[name] == (status.st_ino, stat.S_ISDIR(status.st_mode))
    return {path: replace(item, mtime=min(item.mtime, _LATEST)) for path, item in seen.items()}
