"""System calls about processes: namespaces, clone, capabilities, prctl."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

from transom.runtime.syscalls._libc import check, libc

__all__ = [
    "CLONE_FS",
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "capset",
    "clone3",
    "clear_ambient",
    "drop_bounding",
    "set_ambient",
    "set_child_subreaper",
    "set_command_line",
    "set_keep_capabilities",
    "set_name",
    "set_no_new_privileges",
    "set_parent_death_signal",
    "set_undumpable",
    "setdomainname",
    "sethostname",
    "setns",
    "unshare",
]

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_CLONE_INTO_CGROUP = 0x200000000

_SYS_CAPSET = {"x86_64": 126}.get(os.uname().machine, 91)
_SYS_CLONE3 = 435
_SIGCHLD = 17

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4


def unshare(flags: int) -> None:
    """unshare(2)."""
    check(libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int = 0) -> None:
    """setns(2)."""
    check(libc.setns(descriptor, kind), "setns")


class _CloneArguments(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


def clone3(flags: int = 0, cgroup: int | None = None) -> int:
    """clone3(2) as fork: return the child's ID in the parent, 0 in the child.

    `flags` are CLONE_NEW*; with `cgroup`, a descriptor of a cgroup v2 directory, the child is born there, which spares
    the system-wide lock that moving it would take. Only for single-threaded processes whose child soon executes
    another program: libc and the interpreter are not told of the fork.
    """
    arguments = _CloneArguments(flags=flags, exit_signal=_SIGCHLD)
    if cgroup is not None:
        arguments.flags |= _CLONE_INTO_CGROUP
        arguments.cgroup = cgroup
    return check(libc.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)), "clone3")


def sethostname(name: str) -> None:
    """sethostname(2)."""
    data = name.encode()
    check(libc.sethostname(data, len(data)), "sethostname", name)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    data = name.encode()
    check(libc.setdomainname(data, len(data)), "setdomainname", name)


def _prctl(operation: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    check(libc.prctl(operation, *values), f"prctl {operation}")


def set_child_subreaper(*, on: bool = True) -> None:
    """Become, or be no more, the parent of every descendant whose own parent ends (PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(on))


def set_undumpable() -> None:
    """Let no process of the same user look into or trace this one (PR_SET_DUMPABLE), until it executes a program."""
    _prctl(_PR_SET_DUMPABLE, 0)


def set_parent_death_signal(signal: int) -> None:
    """Be sent a signal when the parent ends (PR_SET_PDEATHSIG)."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def set_no_new_privileges() -> None:
    """Give up what set-user-ID bits and file capabilities would grant (PR_SET_NO_NEW_PRIVS)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_keep_capabilities(keep: bool) -> None:
    """Keep the permitted capabilities over setuid to another user (PR_SET_KEEPCAPS)."""
    _prctl(_PR_SET_KEEPCAPS, int(keep))


def set_name(name: str) -> None:
    """Set the name that ps shows, cut to 15 bytes (PR_SET_NAME)."""
    data = name.encode()[:15] + b"\0"
    check(libc.prctl(_PR_SET_NAME, data, 0, 0, 0), "prctl PR_SET_NAME")


def set_command_line(words: Sequence[str]) -> None:
    """Set the command line that ps shows, cut to the room that the process's own had (proc_pid_stat(5), arg_start)."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start - 1
    data = b"\0".join(word.encode() for word in words)[:room]
    ctypes.memset(start, 0, room)
    ctypes.memmove(start, data, len(data))


def drop_bounding(capability: int) -> None:
    """Drop a capability from the bounding set (PR_CAPBSET_DROP)."""
    _prctl(_PR_CAPBSET_DROP, capability)


def clear_ambient() -> None:
    """Empty the ambient capability set."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def set_ambient(capability: int) -> None:
    """Add a capability to the ambient set."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) on the calling thread; each set is a bit mask by capability number."""
    header = _CapabilityHeader(0x20080522, 0)
    data = (_CapabilityData * 2)()
    for index in (0, 1):
        shift = 32 * index
        data[index].effective = effective >> shift & 0xFFFFFFFF
        data[index].permitted = permitted >> shift & 0xFFFFFFFF
        data[index].inheritable = inheritable >> shift & 0xFFFFFFFF
    check(libc.syscall(_SYS_CAPSET, ctypes.byref(header), ctypes.byref(data)), "capset")
