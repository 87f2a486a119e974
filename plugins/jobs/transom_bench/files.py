"""Workloads of files and directories: reading what the image has, making new ones, changing large ones."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from transom_bench.places import TreePlace
from transom_bench.samples import LARGE, SMALL
from transom_bench.scale import bytes_of
from transom_bench.storage import flush, forget, forgetting, settle, used
from transom_bench.workload import BYTES, Measure, Values, Workload, clock

__all__ = ["CopyUp", "Depth", "Disk", "Layer", "Metadata", "Sharing", "SmallFiles", "Unpack"]

_CHUNK = 1 << 20


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

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        return (Measure("unpack", "unpack all layers and bring them to the disk"),)

    def run(self, place: TreePlace) -> Values:
        """Unpack them once more."""
        begun = place.unpacked()
        seconds = clock(begun.__enter__)
        begun.__exit__(None, None, None)
        return {"unpack": seconds}


class Layer(Workload[TreePlace]):
    """What a container's files cost before and after its life."""

    name = "layer"

    def measures(self) -> tuple[Measure, ...]:
        """Return the times."""
        return (
            Measure("create", "make a writable layer on top of the image and mount it"),
            Measure("remove", "unmount and remove it"),
        )

    def run(self, place: TreePlace) -> Values:
        """Make one, and remove it."""
        layer = place.layer()
        create = clock(layer.__enter__)
        return {"create": create, "remove": clock(partial(layer.__exit__, None, None, None))}


class SmallFiles(Workload[TreePlace]):
    """The first look of a program at its many files, and the second one."""

    name = "small-files"

    def measures(self) -> tuple[Measure, ...]:
        """Return the times."""
        count = self.scale.small_files
        return (
            Measure("cold", f"read {count} small files of the image, cold"),
            Measure("warm", f"read {count} small files of the image again"),
        )

    def method(self) -> str:
        """Return what cold means."""
        return f"own code; {forgetting(self.scale)}"

    def run(self, place: TreePlace) -> Values:
        """Read them twice."""
        with place.fresh() as tree:
            forget(tree / SMALL, self.scale)
            return {name: clock(lambda: read_tree(tree / SMALL)) for name in ("cold", "warm")}


class Metadata(Workload[TreePlace]):
    """Names of many files."""

    name = "metadata"

    def measures(self) -> tuple[Measure, ...]:
        """Return the times."""
        count = self.scale.files
        return (
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
            names = [f"{tree}/new/{number % 100}/{number}" for number in range(self.scale.files)]
            return {
                "create": clock(lambda: self.each(_create, names)),
                "stat": clock(lambda: self.each(os.stat, names)),
                "rename": clock(lambda: self.each(_rename, names)),
                "delete": clock(lambda: self.each(os.unlink, [f"{name}-" for name in names])),
            }


def _create(name: str) -> None:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))


def _rename(name: str) -> None:
    os.rename(name, f"{name}-")  # noqa: PTH104 a name, not a path


class CopyUp(Workload[TreePlace]):
    """Changing one byte of a large file of the image."""

    name = "copy-up"

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        return (Measure("copy-up", f"append one byte to a file of {bytes_of(self.scale.large)} of the image"),)

    def run(self, place: TreePlace) -> Values:
        """Change it for the first time."""
        with place.fresh() as tree:
            flush(tree)
            return {"copy-up": clock(lambda: _append(tree / LARGE))}


def _append(path: Path) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(b"x")


class Depth(Workload[TreePlace]):
    """Many layers on top of each other."""

    name = "depth"

    def measures(self) -> tuple[Measure, ...]:
        """Return the times."""
        reads = self.scale.reads
        return tuple(
            Measure(f"{depth}", f"open and read {reads} files, spread over {depth} layer{'s' * (depth > 1)}")
            for depth in self.scale.depths
        )

    def run(self, place: TreePlace) -> Values:
        """Read the files of each layer of several stacks."""
        found = {}
        for depth in self.scale.depths:
            with place.stacked(depth) as tree:
                names = [tree / f"layer{number % depth}" for number in range(self.scale.reads)]
                found[f"{depth}"] = clock(partial(self.each, Path.read_bytes, names))
        return found


class Sharing(Workload[TreePlace]):
    """Several trees of one image at the same time."""

    name = "sharing"

    def measures(self) -> tuple[Measure, ...]:
        """Return a time and a size."""
        size, count = bytes_of(self.scale.large), self.scale.trees
        return (
            Measure("second-read", f"read in a second tree the file of {size} that was just read in a first one"),
            Measure(
                "page-cache",
                f"memory for pages when {count} trees have read the file, by the machine's own count",
                BYTES,
            ),
        )

    def method(self) -> str:
        """Return what is dropped before."""
        return f"own code; {forgetting(self.scale)}"

    def run(self, place: TreePlace, trees: tuple[Path, ...] = ()) -> Values:
        """Read the same file in each tree."""
        if len(trees) < self.scale.trees:
            with place.fresh() as tree:
                return self.run(place, (*trees, tree))
        for tree in trees:
            forget(tree / "sample", self.scale)
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

    def measures(self) -> tuple[Measure, ...]:
        """Return the sizes."""
        size = bytes_of(self.scale.large)
        return (
            Measure("image", "space on the file system for all that is unpacked", BYTES),
            Measure("change", f"space for a tree in which one byte of a file of {size} was changed", BYTES),
        )

    def run(self, place: TreePlace) -> Values:
        """Look at the file system before and after. What others write to it at that time counts too."""
        before = _used(place.root)
        with place.unpacked():
            image = max(0, _used(place.root) - before)
        if not place.layered:
            return {"image": image}
        before = _used(place.root)
        with place.fresh() as tree:
            _append(tree / LARGE)
            change = _used(place.root) - before
        return {"image": image, "change": max(0, change)}


def _used(root: Path) -> int:
    settle(root)
    return used(root)
