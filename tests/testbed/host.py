"""The private test host: network and mount namespaces for this process and all that it starts.

A run that is killed leaves its daemons, shims and containers running. Whose they are is in the name of their control
groups and in `TRANSOM_TEST_RUN` of their environments, so that the next run can end them (`end_dead_runs`).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from testbed.loop import loop_devices
from testbed.waiting import wait_for
from transom.runtime.syscalls.mounts import MNT_DETACH, MS_PRIVATE, MS_REC, mount, umount2
from transom.runtime.syscalls.processes import CLONE_NEWNET, CLONE_NEWNS, unshare

__all__ = [
    "CGROUP_PARENT",
    "become_private",
    "detach_mounts",
    "end_dead_runs",
    "groups_named",
    "left_behind",
    "outside",
]

_VARIABLE = "TRANSOM_TEST_RUN"
#: Where the machine's network namespace is found after this process has left it.
_OUTSIDE = "TRANSOM_TEST_OUTSIDE"
_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self")


def _start_of(process: Path) -> str:
    """Return when a process started, in the kernel's ticks, so that its ID is its own (proc_pid_stat(5), starttime).

    Raises `ProcessLookupError` for a zombie, which may stay for long where nobody reaps it.
    """
    state, *rest = process.joinpath("stat").read_text().rpartition(")")[2].split()
    if state in "ZX":
        raise ProcessLookupError(f"the process {process.name} has ended")
    return rest[18]


def _pids() -> str:
    """Return which namespace this process's ID is of."""
    return str(_OWN.joinpath("ns", "pid").stat().st_ino)


#: The parent cgroup of every container that the tests make; one per run, so that runs do not see each other.
CGROUP_PARENT = f"transom-test-{os.getpid()}-{_start_of(_OWN)}-{_pids()}"


def become_private() -> None:
    """Leave the machine's network and mounts. Call it before any thread exists."""
    os.environ[_VARIABLE] = CGROUP_PARENT
    if _OUTSIDE not in os.environ:
        # Of a worker, its parent's is the machine's.
        os.environ[_OUTSIDE] = f"/proc/{os.getpid()}/fd/{os.open('/proc/self/ns/net', os.O_RDONLY)}"
    unshare(CLONE_NEWNET | CLONE_NEWNS)
    mount("none", "/", None, MS_PRIVATE | MS_REC)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def outside(*command: str) -> list[str]:
    """Return the command line by which a command has the machine's network, to fetch what tests need."""
    return ["nsenter", f"--net={os.environ[_OUTSIDE]}", "--", *command]


def detach_mounts(directory: Path) -> None:
    """Take away what others have mounted below a directory and left, the last first."""
    for line in reversed(_lines("/proc/self/mountinfo")):
        place = line.split()[4]
        if place.startswith(f"{directory}/"):
            umount2(place, MNT_DETACH)


def end_dead_runs() -> None:
    """End what runs of the tests have left that were killed: first their processes, then their containers."""
    wait_for(lambda: not _kill_processes_of_dead_runs())
    for group in {path.name for path in [*_CGROUPS.glob("transom-test-*"), *_CGROUPS.glob("*/transom-test-*")]}:
        if _is_dead(group):
            _remove_groups(group)


def _kill_processes_of_dead_runs() -> bool:
    """Kill them, and return whether there were any."""
    found = False
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _is_dead(_run_of(process)):
            try:
                os.kill(int(process.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
            found = True
    return found


def _run_of(process: Path) -> str:
    """Return which run a process belongs to, empty if to none."""
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    start = f"{_VARIABLE}=".encode()
    return next((variable[len(start) :].decode() for variable in variables if variable.startswith(start)), "")


def _is_dead(run: str) -> bool:
    """Return whether the name is that of a run whose process, which this one could see, is not there any more."""
    name = re.match(r"transom-test-(\d+)-(\d+)-(\d+)(?:-peer|-podman)?$", run)
    if name is None or name[3] != _pids():
        return False
    try:
        return _start_of(Path("/proc", name[1])) != name[2]
    except (FileNotFoundError, ProcessLookupError):
        return True


def _remove_groups(name: str) -> None:
    """Kill what is in the groups of a name, in all hierarchies, and take them away. Another run may do so, too."""
    trees = [*_CGROUPS.glob(name), *_CGROUPS.glob(f"*/{name}")]
    groups = [Path(path) for tree in trees for path, _, _ in os.walk(tree, topdown=False)]
    wait_for(lambda: not any(_kill_group(group) for group in groups))
    for group in groups:
        with suppress(FileNotFoundError):
            group.rmdir()


def _kill_group(group: Path) -> bool:
    """Kill the processes of a group, and return whether there were any."""
    try:
        freezer = group / "freezer.state"
        if freezer.exists():
            # Version 1 keeps what was killed until it is thawed.
            freezer.write_text("THAWED")
        processes = (group / "cgroup.procs").read_text().split()
    except OSError:
        # It is gone.
        return False
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
    return bool(processes)


def groups_named(name: str) -> list[Path]:
    """Return the control groups of a name, in all hierarchies, while others may come and go."""
    return [Path(path) for path, _, _ in os.walk(_CGROUPS) if path.endswith(f"/{name}")]


def left_behind(directory: Path) -> list[str]:
    """Return what is still there of daemons whose roots were below a directory: one line per thing."""
    below = f"{directory}/"
    found = [f"mount {line.split()[4]}" for line in _lines("/proc/self/mountinfo") if below in line.split()[4]]
    found += [f"cgroup {path}" for path in groups_named(CGROUP_PARENT)]
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            command = _command(process)
            if below in command or (_name(process).startswith("transom-") and below in _directory(process)):
                found.append(f"process {process.name}: {command}")
    links = [line.split(":")[0].strip() for line in _lines("/proc/self/net/dev")[2:]]
    found += [f"link {name}" for name in links if name.startswith(("transom", "br-", "veth"))]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines()
    found += [f"firewall {line}" for line in tables if " transom" in line]
    found += [f"loop device of {file}" for file in loop_devices(directory)]
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
