"""What Transom does, shown on this machine: pull an image from a real registry, run it on every pair of drivers.

    make demo

It starts Debian's docker-registry on loopback with an image that umoci made and skopeo brought, and a daemon of its
own, all on a private host (network and mount namespaces of its own), and takes everything away at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from testbed.daemon import Daemon
from testbed.host import become_private, left_behind
from testbed.registry import Registry

_COMMAND = "read line; echo $line; cat /data/from-image; id -un; echo complaint >&2; exit 7"
_EXPECTED = ("hello\ncontent of the image\nroot\n", "complaint\n", 7)


def main() -> int:
    """Run the demonstration and return the exit code: 0 if everything was as it should be."""
    if os.geteuid() != 0:
        print("the demonstration mounts file systems and makes namespaces: run it as root", file=sys.stderr)
        return 1
    become_private()
    directory = Path(tempfile.mkdtemp(prefix="transom-demo-"))
    try:
        well = _demonstrate(directory)
    finally:
        left = left_behind(directory)
        shutil.rmtree(directory, ignore_errors=True)
    print(f"Left behind: {', '.join(left) or 'nothing'}")
    return 0 if well and not left else 1


def _demonstrate(directory: Path) -> bool:
    (directory / "registry").mkdir()
    with Registry(directory / "registry") as registry, Daemon(directory) as daemon:
        print(f"A registry listens on {registry.address}; umoci makes an image, skopeo brings it there.")
        registry.push_busybox()
        print(f"\n$ transom pull {registry.busybox}")
        print(daemon.transom("pull", registry.busybox).stdout)
        print("$ transom driver ls")
        print(daemon.transom("driver", "ls").stdout)
        pairs = _pairs(daemon)
        print(
            f"$ echo hello | transom run --rm -i --graphdriver … --execdriver … {registry.busybox} sh -c '{_COMMAND}'\n"
        )
        rows = [_run(daemon, registry.busybox, graph, execdriver) for graph, execdriver in pairs]
    _print_table(("GRAPH", "EXEC", "EXIT CODE", "STDOUT", "STDERR", "TIME", "AS EXPECTED"), rows)
    return bool(rows) and all(row[-1] == "yes" for row in rows)


def _pairs(daemon: Daemon) -> list[tuple[str, str]]:
    drivers = [json.loads(line) for line in daemon.transom("driver", "ls", "--format", "json").stdout.splitlines()]
    working = [driver for driver in drivers if driver["Status"] == "works"]
    names = {kind: [driver["Name"] for driver in working if driver["Kind"] == kind] for kind in ("graph", "exec")}
    return [(graph, execdriver) for graph in names["graph"] for execdriver in names["exec"]]


def _run(daemon: Daemon, image: str, graph: str, execdriver: str) -> tuple[str, ...]:
    command = ["run", "--rm", "-i", "--graphdriver", graph, "--execdriver", execdriver, image, "sh", "-c", _COMMAND]
    begin = time.perf_counter()
    done = daemon.transom(*command, input="hello\n", check=False)
    milliseconds = (time.perf_counter() - begin) * 1000
    found = (done.stdout, done.stderr, done.returncode)
    return (
        graph,
        execdriver,
        str(done.returncode),
        done.stdout.replace("\n", " "),
        done.stderr.replace("\n", " "),
        f"{milliseconds:.0f} ms",
        "yes" if found == _EXPECTED else "NO",
    )


def _print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
