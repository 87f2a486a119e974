"""The private test host: network and mount namespaces for this process and all that it starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from transom.runtime.syscalls.mounts import MS_PRIVATE, MS_REC, mount
from transom.runtime.syscalls.processes import CLONE_NEWNET, CLONE_NEWNS, unshare

__all__ = ["CGROUP_PARENT", "become_private", "left_behind"]

#: The parent cgroup of every container that the tests make; one per run, so that runs do not see each other.
CGROUP_PARENT = f"transom-test-{os.getpid()}"


def become_private() -> None:
    """Leave the machine's network and mounts. Call it before any thread exists."""
    unshare(CLONE_NEWNET | CLONE_NEWNS)
    mount("none", "/", None, MS_PRIVATE | MS_REC)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def left_behind(directory: Path) -> list[str]:
    """Return what is still there of daemons whose roots were below a directory: one line per thing."""
    below = f"{directory}/"
    found = [f"mount {line.split()[4]}" for line in _lines("/proc/self/mountinfo") if below in line.split()[4]]
    found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"**/{CGROUP_PARENT}")]
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            command = _command(process)
            if below in command or (_name(process).startswith("transom-") and below in _directory(process)):
                found.append(f"process {process.name}: {command}")
    links = [line.split(":")[0].strip() for line in _lines("/proc/self/net/dev")[2:]]
    found += [f"link {name}" for name in links if name.startswith(("transom", "br-", "veth"))]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines()
    found += [f"firewall {line}" for line in tables if " transom" in line]
    loops = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], capture_output=True, text=True
    )
    found += [f"loop device of {line}" for line in loops.stdout.splitlines() if line.startswith(below)]
    return found


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text()
    except OSError:
        return ""


def _directory(process: Path) -> str:
    """Return where a shim's complaints go, which tells whose shim it is."""
    try:
        return str((process / "fd" / "2").readlink())
    except OSError:
        return ""
