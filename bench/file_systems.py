"""The graph drivers that put layers together, and Debian's fuse-overlayfs where it is installed (apt install
fuse-overlayfs), beside each other: a container's files looked at, read, made and changed.

    python bench/file_systems.py        # as root

Figures are medians of runs in which the file systems take turns, and ratios to the first. `transom driver compare` does
more, for graph drivers alone.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from testbed.host import become_private, left_behind
from transom.drivers.graph import GraphDriver
from transom.errors import DriverUnavailable
from transom.runtime.syscalls.files import syncfs
from transom.runtime.syscalls.mounts import MNT_DETACH, umount2
from transom_fuse.driver import FuseDriver
from transom_overlay.driver import OverlayDriver

#: What the layer has: some thousand files that are on every machine, and a large one.
_TREES = ("usr/share/doc", "usr/lib/python3", "usr/share/perl", "usr/share/zoneinfo")
_LARGE = 256 << 20
_CHUNK = 1 << 20
#: How many files are made, renamed and deleted.
_FILES = 2000
_WRITTEN = 64 << 20
_RUNS = 5


def forget(_tree: Path) -> None:
    """Drop from memory all that the kernel knows of files, where that is allowed."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError as error:
        print(f"not cold: {error}", file=sys.stderr)


def walk(tree: Path) -> None:
    """Look at every file."""
    waiting = [str(tree)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def archive(tree: Path) -> None:
    """Read every small file, as tar does."""
    subprocess.run(["tar", "-C", str(tree), "-cf", "-", "usr"], check=True, stdout=subprocess.DEVNULL)


def read(tree: Path) -> None:
    """Read a large file."""
    buffer = bytearray(_CHUNK)
    with open(tree / "large", "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def copy_up(tree: Path) -> None:
    """Change a large file of the image for the first time."""
    with open(tree / "large", "ab", buffering=0) as file:
        file.write(b"x")


def write(tree: Path) -> None:
    """Write a new file to the disk."""
    data = bytes(_CHUNK)
    with open(tree / "new", "wb", buffering=0) as file:
        for _ in range(_WRITTEN // _CHUNK):
            file.write(data)
        os.fsync(file)


def create(tree: Path) -> None:
    """Make files."""
    (tree / "many").mkdir()
    for number in range(_FILES):
        (tree / "many" / f"{number}").touch()


def rename(tree: Path) -> None:
    """Give files other names."""
    for number in range(_FILES):
        (tree / "many" / f"{number}").rename(tree / "many" / f"{number}-")


def delete(tree: Path) -> None:
    """Delete the files."""
    shutil.rmtree(tree / "many")


def delete_below(tree: Path) -> None:
    """Delete files of the image."""
    shutil.rmtree(tree / _TREES[-1])


#: In this order on every fresh mount. Those without a name are not measured.
_WORKS: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("walk, new mount", walk),
    ("walk again", walk),
    ("", forget),
    ("walk, cold", walk),
    ("", forget),
    ("tar, cold", archive),
    ("tar, warm", archive),
    ("", forget),
    (f"read {_LARGE >> 20} MB, cold", read),
    (f"read {_LARGE >> 20} MB, warm", read),
    (f"copy up {_LARGE >> 20} MB", copy_up),
    (f"write {_WRITTEN >> 20} MB", write),
    (f"create {_FILES} files", create),
    (f"rename {_FILES} files", rename),
    (f"delete {_FILES} files", delete),
    ("delete a tree below", delete_below),
)


def fill(driver: GraphDriver, layer: str) -> Path:
    """Make an image's layer, and return the directory that has its files."""
    driver.create(layer, None)
    trees = [tree for tree in _TREES if Path("/", tree).is_dir()]
    with subprocess.Popen(["tar", "-C", "/", "-cf", "-", *trees], stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        driver.apply(layer, tar.stdout)
    files = driver.root / layer / "diff"
    with open(files / "large", "wb") as large:
        for _ in range(_LARGE // _CHUNK):
            large.write(os.urandom(_CHUNK))
        syncfs(large.fileno())
    return files


@contextmanager
def container(driver: GraphDriver) -> Iterator[Path]:
    """Mount a fresh layer on top of the image's."""
    driver.create("container", "image")
    try:
        with driver.mounted("container") as tree:
            yield tree
    finally:
        driver.remove("container")


@contextmanager
def fuse_overlayfs(directory: Path, lower: Path) -> Iterator[Path]:
    """Mount a fresh layer on top of the image's by fuse-overlayfs."""
    upper, work, target = (directory / name for name in ("upper", "work", "target"))
    for path in (upper, work, target):
        path.mkdir(parents=True)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["fuse-overlayfs", "-o", options, str(target)], check=True)
    try:
        yield target
    finally:
        umount2(target, MNT_DETACH)
        shutil.rmtree(directory)


def find_mounts(scratch: Path, stack: ExitStack) -> dict[str, Callable[[], AbstractContextManager[Path]]]:
    """Return how a container's files are mounted, by the name of what does it; what cannot work here is left out."""
    mounts: dict[str, Callable[[], AbstractContextManager[Path]]] = {}
    lower = Path()
    for kind in (OverlayDriver, FuseDriver):
        root, at = scratch / kind.name, scratch / f"{kind.name}-mounts"
        root.mkdir()
        at.mkdir()
        try:
            kind.probe(root)
        except DriverUnavailable as error:
            print(f"{kind.name} is left out: {error}", file=sys.stderr)
            continue
        driver = kind(root, at)
        stack.callback(driver.close)
        stack.callback(driver.recover, ())
        lower = fill(driver, "image")
        mounts[kind.name] = lambda driver=driver: container(driver)
    if shutil.which("fuse-overlayfs"):
        mounts["fuse-overlayfs"] = lambda: fuse_overlayfs(scratch / "peer", lower)
    else:
        print("fuse-overlayfs is left out: it is not installed", file=sys.stderr)
    return mounts


def measure(mounts: dict[str, Callable[[], AbstractContextManager[Path]]]) -> dict[tuple[str, str], list[float]]:
    """Return the seconds of each work on each file system, which take turns."""
    figures: dict[tuple[str, str], list[float]] = {}
    names = list(mounts)
    for number in range(_RUNS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            with mounts[name]() as tree:
                for work, act in _WORKS:
                    start = time.perf_counter()
                    act(tree)
                    if work:
                        figures.setdefault((work, name), []).append(time.perf_counter() - start)
    return figures


def main() -> int:
    """Measure, and print a table."""
    if os.geteuid() != 0:
        print("file systems are mounted: run it as root", file=sys.stderr)
        return 1
    become_private()
    with tempfile.TemporaryDirectory(prefix="transom-bench-", dir="/var/tmp") as scratch:
        with ExitStack() as stack:
            mounts = find_mounts(Path(scratch), stack)
            figures = measure(mounts)
        print(f"{'seconds':22}" + "".join(f"{name:>20}" for name in mounts))
        for work in dict.fromkeys(work for work, _ in _WORKS if work):
            medians = [statistics.median(figures[work, name]) for name in mounts]
            print(f"{work:22}" + "".join(f"{median:12.3f} {median / medians[0]:6.1f}x" for median in medians))
        left = left_behind(Path(scratch))
        if left:
            print("Left behind:", *left, sep="\n  ")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
