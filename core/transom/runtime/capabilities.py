"""Linux capabilities by name (capabilities(7)); a capability's number is its place in the list."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["CAPABILITIES", "DEFAULT_CAPABILITIES", "bounding_capabilities", "last_capability", "mask"]

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

#: What a container gets when nothing else is asked for: Docker's default set.
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

_NUMBERS = {name: number for number, name in enumerate(CAPABILITIES)}


def mask(names: Iterable[str]) -> int:
    """Return a capability set as a bit mask. Raises `KeyError` for a name that there is not."""
    bits = 0
    for name in names:
        bits |= 1 << _NUMBERS[name]
    return bits


def bounding_capabilities() -> tuple[str, ...]:
    """Return the most that this process may pass on: its bounding set, as far as we know its capabilities by name."""
    with open("/proc/self/status") as file:
        [text] = (line.partition(":")[2] for line in file if line.startswith("CapBnd:"))
    held = int(text, 16)
    return tuple(name for number, name in enumerate(CAPABILITIES) if held >> number & 1)


def last_capability() -> int:
    """Return the number of the last capability that the running kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())
