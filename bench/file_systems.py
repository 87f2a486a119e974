"""The graph drivers beside each other, and beside Debian's fuse-overlayfs where it is installed (apt install
fuse-overlayfs): a container's files walked, archived and read.

    python bench/file_systems.py        # as root

Figures are medians of runs that alternate, and ratios to the first. Cold is the first run after a mount, with the
files themselves in memory.
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
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from testbed.host import become_private
from transom.drivers.graph import GraphDriver
from transom.runtime.syscalls.mounts import MNT_DETACH, umount2
from transom_fuse.driver import FuseDriver
from transom_overlay.driver import OverlayDriver

#: What the layer has: some thousand files that are on every machine, and a large one.
_TREES = ("usr/share/doc", "usr/lib/python3", "usr/share/perl", "usr/share/zoneinfo")
_LARGE = 256 << 20
_RUNS = 5


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
    buffer = bytearray(1 << 20)
    with open(tree / "large", "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


_WORKS: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("walk, cold", walk),
    ("walk", walk),
    ("tar", archive),
    ("read 256 MB", read),
)


def fill(driver: GraphDriver, layer: str) -> None:
    """Make an image's layer."""
    driver.create(layer, None)
    trees = [tree for tree in _TREES if Path("/", tree).is_dir()]
    with subprocess.Popen(["tar", "-C", "/", "-cf", "-", *trees], stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        driver.apply(layer, tar.stdout)
    diff = driver.root / layer / "diff"
    with open(diff / "large", "wb") as large:
        for _ in range(_LARGE >> 20):
            large.write(os.urandom(1 << 20))


@contextmanager
def fuse_overlayfs(directory: Path, lower: Path) -> Iterator[Path]:
    """Mount a layer by fuse-overlayfs."""
    upper, work, target = (directory / name for name in ("upper", "work", "target"))
    for path in (upper, work, target):
        path.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["fuse-overlayfs", "-o", options, str(target)], check=True)
    try:
        yield target
    finally:
        umount2(target, MNT_DETACH)


def main() -> None:
    """Measure, and print a table."""
    become_private()
    with tempfile.TemporaryDirectory(prefix="transom-bench-", dir="/var/tmp") as scratch, ExitStack() as stack:
        mounts: dict[str, Callable[[], object]] = {}
        lower = Path()
        for kind in (OverlayDriver, FuseDriver):
            root, at = Path(scratch, kind.name), Path(scratch, f"{kind.name}-mounts")
            root.mkdir()
            at.mkdir()
            driver = kind(root, at)
            stack.callback(driver.close)
            stack.callback(driver.recover, ())
            fill(driver, "image")
            driver.create("container", "image")
            mounts[kind.name] = lambda driver=driver: driver.mounted("container")
            lower = root / "image" / "diff"
        if shutil.which("fuse-overlayfs"):
            mounts["fuse-overlayfs"] = lambda: fuse_overlayfs(Path(scratch, "peer"), lower)
        figures: dict[tuple[str, str], list[float]] = {}
        for _ in range(_RUNS):
            for name, mounted in mounts.items():
                with mounted() as tree:  # type: ignore[attr-defined]
                    for work, act in _WORKS:
                        start = time.perf_counter()
                        act(tree)
                        figures.setdefault((work, name), []).append(time.perf_counter() - start)
        print(f"{'':14}" + "".join(f"{name:>24}" for name in mounts))
        for work, _ in _WORKS:
            medians = [statistics.median(figures[work, name]) for name in mounts]
            print(f"{work:14}" + "".join(f"{median:14.3f} s {median / medians[0]:6.1f}x" for median in medians))


if __name__ == "__main__":
    main()
