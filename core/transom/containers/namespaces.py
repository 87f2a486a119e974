"""Whose namespaces a container has: new ones, the machine's, or another container's (`--ipc`, `--pid`, `--uts`, …).

The modes are Docker's. Empty is the default, which is `private` for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from transom.containers.model import Container, HostConfig
from transom.errors import Conflict, InvalidParameter, NotFound

__all__ = ["NAMESPACES", "check_modes", "check_support", "choose_namespaces", "find_shared_memory", "name_donors"]

#: By the names that config.json has for them. The network's is chosen by the network's driver.
NAMESPACES = ("mount", "pid", "ipc", "uts", "cgroup")
#: By field: what messages call it, its modes, and whether another container can be named.
_MODES = {
    "ipc": ("IPC", ("none", "private", "shareable", "host"), True),
    "pid": ("PID", ("host",), True),
    "uts": ("UTS", ("host",), False),
    "cgroupns": ("cgroup", ("private", "host"), True),
}
_DONOR = "container:"
#: By field: the namespace that a mode is about.
_KINDS = {"ipc": "ipc", "pid": "pid", "uts": "uts", "cgroupns": "cgroup"}

Find = Callable[[str], Container]


def check_modes(host: HostConfig) -> None:
    """Raise `InvalidParameter` for a mode that there is not."""
    for field, mode in _asked(host):
        word, modes, may_name = _MODES[field]
        if mode not in modes and not (may_name and _donor(mode)):
            raise InvalidParameter(f"invalid {word} mode: {mode}")


def check_support(host: HostConfig, driver: str, kept: frozenset[str]) -> None:
    """Raise `InvalidParameter` if an exec driver, which has the namespaces `kept`, cannot keep a mode."""
    for field, mode in _asked(host):
        if mode != "host" and _KINDS[field] not in kept:
            raise InvalidParameter(
                f"the exec driver {driver} has no {_KINDS[field]} namespaces, so --{field} {mode} cannot be kept: use"
                " another exec driver"
            )


def name_donors(host: HostConfig, find: Find) -> HostConfig:
    """Return what was asked for with other containers by ID, so that they can be renamed. Raises what `find` raises."""
    changes = {field: _DONOR + find(_donor(mode)).id for field, mode in _asked(host) if _donor(mode)}
    return replace(host, **changes)  # type: ignore[arg-type]


def choose_namespaces(host: HostConfig, find: Find) -> dict[str, str]:
    """Return the namespaces of a container that starts: empty for a new one, a path for one that it joins.

    One that is the machine's is left out. Raises `InvalidParameter` and `Conflict` for a container that cannot be
    joined.
    """
    chosen = dict.fromkeys(NAMESPACES, "")
    for field, mode in _asked(host):
        kind = _KINDS[field]
        if mode == "host":
            del chosen[kind]
        elif _donor(mode):
            donor = _running_donor(field, mode, find)
            chosen[kind] = f"/proc/{donor.state.pid}/ns/{kind}"
    return chosen


def find_shared_memory(host: HostConfig, find: Find, directory: Callable[[str], Path]) -> Path | None:
    """Return what a container that shares memory with others has at /dev/shm, or None if it shares with nobody.

    `directory` gives where a shareable container's is. Raises as `choose_namespaces` does.
    """
    if host.ipc == "host":
        return Path("/dev/shm")
    if not _donor(host.ipc):
        return None
    donor = _running_donor("ipc", host.ipc, find)
    place = directory(donor.id)
    if donor.host.ipc == "host" or _donor(donor.host.ipc):
        found = find_shared_memory(donor.host, find, directory)
        assert found is not None
        return found
    if donor.host.ipc != "shareable" or not place.is_dir():
        raise InvalidParameter(
            f"failed to join IPC namespace: container {donor.id}: non-shareable IPC (hint: use IpcMode:shareable for"
            " the donor container)"
        )
    return place


def _running_donor(field: str, mode: str, find: Find) -> Container:
    joining = f"failed to join {_MODES[field][0]} namespace"
    try:
        donor = find(_donor(mode))
    except NotFound as error:
        raise InvalidParameter(f"{joining}: {error}") from error
    if not donor.state.running:
        raise Conflict(f"{joining}: container {donor.id} is not running")
    return donor


def _asked(host: HostConfig) -> Iterator[tuple[str, str]]:
    """Give the fields that say something, with what they say."""
    return ((field, mode) for field in _MODES if (mode := getattr(host, field)))


def _donor(mode: str) -> str:
    """Return the container that a mode names, or an empty string."""
    return mode.removeprefix(_DONOR) if mode.startswith(_DONOR) else ""
