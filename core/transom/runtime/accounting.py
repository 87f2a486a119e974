"""What a container has used, read from the files of its control groups and of its network namespace.

Version 1 and version 2 of control groups count the same things in files of other names and units (cgroups(7); the
kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2). A file that is not there counts nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from transom.drivers.exec import Counters, IoCounter
from transom.runtime.cgroups import Cgroup

__all__ = ["count", "interfaces"]

_TICKS = os.sysconf("SC_CLK_TCK")
#: Where v1 has no limit it shows the largest number of whole pages, which differs with the size of a page.
_UNLIMITED = 1 << 62
_OPERATIONS = {"Read": "read", "Write": "write"}
#: /proc/<pid>/net/dev has these after an interface's name: what was received, and what was sent.
_RECEIVED = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped")
_SENT = ("tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
_SENT_COLUMN = 8


def count(group: Cgroup) -> Counters:
    """Return what a group's processes, those that have ended too, have used."""
    if group.directory is None:
        return Counters()
    return _count_v1(group.counting) if group.counting else _count_v2(group.directory)


def interfaces(process: int) -> dict[str, dict[str, int]]:
    """Return what went over each network interface that a process has for itself, by name and by Docker's names.

    A process in the machine's own network namespace has none, and loopback is left out.
    """
    try:
        own, machines = (os.stat(f"/proc/{which}/ns/net").st_ino for which in (process, "self"))
        if own == machines:
            return {}
        lines = Path(f"/proc/{process}/net/dev").read_text().splitlines()[2:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    found = {}
    for line in lines:
        name, _, numbers = line.partition(":")
        columns = [int(number) for number in numbers.split()]
        if name.strip() != "lo":
            found[name.strip()] = {
                **dict(zip(_RECEIVED, columns, strict=False)),
                **dict(zip(_SENT, columns[_SENT_COLUMN:], strict=False)),
            }
    return found


def _count_v1(directories: dict[str, Path]) -> Counters:
    nothing = Path("/nonexistent")
    cpu, cpuacct, memory, pids, blkio = (
        directories.get(kind, nothing) for kind in ("cpu", "cpuacct", "memory", "pids", "blkio")
    )
    times, throttling = _table(cpuacct / "cpuacct.stat"), _table(cpu / "cpu.stat")
    return Counters(
        cpu=_number(cpuacct / "cpuacct.usage") or 0,
        cpu_user=times.get("user", 0) * 1_000_000_000 // _TICKS,
        cpu_system=times.get("system", 0) * 1_000_000_000 // _TICKS,
        cpu_per_processor=tuple(int(number) for number in _read(cpuacct / "cpuacct.usage_percpu").split()),
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled_time=throttling.get("throttled_time", 0),
        memory=_number(memory / "memory.usage_in_bytes"),
        memory_limit=_limit(memory / "memory.limit_in_bytes"),
        memory_peak=_number(memory / "memory.max_usage_in_bytes"),
        memory_failures=_number(memory / "memory.failcnt"),
        memory_details=_table(memory / "memory.stat"),
        oom_kills=_table(memory / "memory.oom_control").get("oom_kill", 0),
        processes=_number(pids / "pids.current"),
        processes_limit=_limit(pids / "pids.max"),
        io=_io_v1(blkio),
    )


def _count_v2(directory: Path) -> Counters:
    times, events = _table(directory / "cpu.stat"), _table(directory / "memory.events")
    return Counters(
        cpu=times.get("usage_usec", 0) * 1000,
        cpu_user=times.get("user_usec", 0) * 1000,
        cpu_system=times.get("system_usec", 0) * 1000,
        periods=times.get("nr_periods", 0),
        throttled_periods=times.get("nr_throttled", 0),
        throttled_time=times.get("throttled_usec", 0) * 1000,
        memory=_number(directory / "memory.current"),
        memory_limit=_limit(directory / "memory.max"),
        memory_details=_table(directory / "memory.stat"),
        oom_kills=events.get("oom_kill", 0),
        processes=_number(directory / "pids.current"),
        processes_limit=_limit(directory / "pids.max"),
        io=_io_v2(directory / "io.stat"),
    )


def _io_v1(directory: Path) -> tuple[IoCounter, ...]:
    """Return what blkio counts: lines of `major:minor Operation number`, and a total without a device."""
    amounts, numbers = (
        {
            (words[0], words[1]): int(words[2])
            for words in (line.split() for line in _read(directory / f"blkio.throttle.{name}_recursive").splitlines())
            if len(words) == 3 and words[1] in _OPERATIONS
        }
        for name in ("io_service_bytes", "io_serviced")
    )
    return tuple(
        IoCounter(*_device(device), _OPERATIONS[operation], amount, numbers.get((device, operation), 0))
        for (device, operation), amount in amounts.items()
    )


def _io_v2(path: Path) -> tuple[IoCounter, ...]:
    """Return what io.stat counts: lines of `major:minor rbytes=… wbytes=… rios=… wios=…`."""
    found = []
    for line in _read(path).splitlines():
        device, *pairs = line.split()
        values = {key: int(value) for key, _, value in (pair.partition("=") for pair in pairs) if value.isdecimal()}
        for operation in ("read", "write"):
            letter = operation[0]
            found.append(
                IoCounter(*_device(device), operation, values.get(f"{letter}bytes", 0), values.get(f"{letter}ios", 0))
            )
    return tuple(found)


def _device(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(":")
    return int(major), int(minor)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        # The kernel does not count this, or the group was taken away meanwhile (ENODEV).
        return ""


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _limit(path: Path) -> int | None:
    """Return a limit, None where there is none: v2 says `max`, and v1 a number that no machine has."""
    limit = _number(path)
    return None if limit is None or limit >= _UNLIMITED else limit


def _table(path: Path) -> dict[str, int]:
    """Return a file of lines `name number`."""
    pairs = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
