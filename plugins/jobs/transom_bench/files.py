"""Workloads of files and directories: reading what the image has, making new ones, changing large ones."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from transom_bench.places import TreePlace, flush
from transom_bench.samples import LARGE, SMALL, SMALL_COUNT
from transom_bench.workload import BYTES, Measure, Values, Workload, clock, each

__all__ = ["CopyUp", "Depth", "Disk", "Metadata", "Sharing", "SmallFiles", "Unpack", "drop_pages"]

_CHUNK = 1 << 20


def drop_pages(tree: Path) -> None:
    """Bring to the disk what a tree's file system has not written yet, and drop the pages of the tree's files.

    Names and attributes may stay in memory: only those of the whole machine could be dropped.
    """
    flush(tree)
    for above, _, names in os.walk(tree):
        for name in names:
            descriptor = os.open(f"{above}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def read_tree(tree: Path) -> int:
    """Read all files of a tree, and return how many bytes they have."""
    total = 0
    for above, _, names in os.walk(tree):
        for name in names:
            total += len(Path(above, name).read_bytes())
    return total


def read_file(path: Path) -> None:
    """Read a file from its beginning to its end."""
    with open(path, "rb", buffering=0) as file:
        while file.read(_CHUNK):
            pass


class Unpack(Workload[TreePlace]):
    """Unpacking an image."""

    name = "unpack"
    measures = (Measure("unpack", "unpack all layers and bring them to the disk"),)

    def run(self, place: TreePlace) -> Values:
        """Unpack them once more."""
        begun = place.unpacked()
        seconds = clock(begun.__enter__)
        begun.__exit__(None, None, None)
        return {"unpack": seconds}


class SmallFiles(Workload[TreePlace]):
    """The first look of a program at its many files, and the second one."""

    name = "small-files"
    measures = (
        Measure("cold", f"read {SMALL_COUNT} small files of the image, their pages not in memory"),
        Measure("warm", f"read {SMALL_COUNT} small files of the image again"),
    )

    def run(self, place: TreePlace) -> Values:
        """Read them twice."""
        with place.fresh() as tree:
            drop_pages(tree / SMALL)
            return {name: clock(lambda: read_tree(tree / SMALL)) for name in ("cold", "warm")}


class Metadata(Workload[TreePlace]):
    """Names of many files."""

    name = "metadata"
    count = 10_000
    measures = (
        Measure("create", f"create {count} empty files in 100 directories"),
        Measure("stat", f"stat {count} files"),
        Measure("rename", f"rename {count} files"),
        Measure("delete", f"delete {count} files"),
    )

    def run(self, place: TreePlace) -> Values:
        """Make files, look at them, rename and delete them."""
        with place.fresh() as tree:
            for number in range(100):
                (tree / f"new/{number}").mkdir(parents=True)
            names = [f"{tree}/new/{number % 100}/{number}" for number in range(self.count)]
            return {
                "create": clock(lambda: each(_create, names)),
                "stat": clock(lambda: each(os.stat, names)),
                "rename": clock(lambda: each(_rename, names)),
                "delete": clock(lambda: each(os.unlink, [f"{name}-" for name in names])),
            }


def _create(name: str) -> None:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))


def _rename(name: str) -> None:
    os.rename(name, f"{name}-")  # noqa: PTH104 a name, not a path


class CopyUp(Workload[TreePlace]):
    """Changing one byte of a large file of the image."""

    name = "copy-up"
    measures = (Measure("copy-up", "append one byte to a file of 32 MiB of the image"),)

    def run(self, place: TreePlace) -> Values:
        """Change it for the first time."""
        with place.fresh() as tree:
            return {"copy-up": clock(lambda: _append(tree / LARGE))}


def _append(path: Path) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(b"x")


class Depth(Workload[TreePlace]):
    """Many layers on top of each other."""

    name = "depth"
    depths = (1, 8, 32, 127)
    measures = tuple(
        Measure(f"{depth}", f"open and read 2000 files, spread over {depth} layer{'s' * (depth > 1)}")
        for depth in depths
    )

    def run(self, place: TreePlace) -> Values:
        """Read the files of each layer of several stacks."""
        found = {}
        for depth in self.depths:
            with place.stacked(depth) as tree:
                names = [tree / f"layer{number % depth}" for number in range(2000)]
                found[f"{depth}"] = clock(partial(each, Path.read_bytes, names))
        return found


class Sharing(Workload[TreePlace]):
    """Several trees of one image at the same time."""

    name = "sharing"
    count = 4
    measures = (
        Measure("second-read", "read in a second tree the file of 32 MiB that was just read in a first one"),
        Measure(
            "page-cache", f"memory for pages when {count} trees have read the file, by the machine's own count", BYTES
        ),
    )

    def run(self, place: TreePlace, trees: tuple[Path, ...] = ()) -> Values:
        """Read the same file in each tree."""
        if len(trees) < self.count:
            with place.fresh() as tree:
                return self.run(place, (*trees, tree))
        for tree in trees:
            drop_pages(tree / "sample")
        before = _cached()
        read_file(trees[0] / LARGE)
        second = clock(lambda: read_file(trees[1] / LARGE))
        for tree in trees[2:]:
            read_file(tree / LARGE)
        return {"second-read": second, "page-cache": max(0, _cached() - before)}


def _cached() -> int:
    """Return the bytes that the machine has of files in memory (proc(5), meminfo)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Cached:"))


class Disk(Workload[TreePlace]):
    """What it costs on the disk."""

    name = "disk"
    measures = (
        Measure("image", "space on the file system for all that is unpacked", BYTES),
        Measure("change", "space for a tree in which one byte of a file of 32 MiB was changed", BYTES),
    )

    def run(self, place: TreePlace) -> Values:
        """Look at the file system before and after. What others write to it at that time counts too."""
        before = _used(place.root)
        with place.unpacked():
            image = _used(place.root) - before
        before = _used(place.root)
        with place.fresh() as tree:
            _append(tree / LARGE)
            change = _used(place.root) - before
        return {"image": max(0, image), "change": max(0, change)}


def _used(root: Path) -> int:
    flush(root)
    status = os.statvfs(root)
    return (status.f_blocks - status.f_bfree) * status.f_frsize
