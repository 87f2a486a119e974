"""Parameters of the kernel that a container may set for itself (`--sysctl`): those that its own namespaces have."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from transom.errors import InvalidParameter

__all__ = ["check_sysctls"]

_OF_IPC = frozenset(
    f"kernel.{name}" for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split()
)
_NAME = re.compile(r"[\w-]+([./][\w-]+)+", re.ASCII)


def check_sysctls(names: Iterable[str], namespaces: Container[str], *, private_network: bool) -> None:
    """Raise `InvalidParameter` for a parameter that is not the container's alone, given the namespaces that it has."""
    for name in names:
        dotted = name.replace("/", ".")
        if not _NAME.fullmatch(name):
            raise InvalidParameter(f'invalid sysctl "{name}"')
        if dotted.startswith("net."):
            if not private_network:
                raise InvalidParameter(f'sysctl "{name}" not allowed in host network namespace')
        elif dotted in _OF_IPC or dotted.startswith("fs.mqueue."):
            if "ipc" not in namespaces:
                raise InvalidParameter(f'sysctl "{name}" is not allowed in the hosts ipc namespace')
        elif dotted == "kernel.domainname":
            if "uts" not in namespaces:
                raise InvalidParameter(f'sysctl "{name}" is not allowed in the hosts uts namespace')
        elif dotted == "kernel.hostname":
            raise InvalidParameter(f'sysctl "{name}" is not allowed: use --hostname')
        else:
            raise InvalidParameter(f'sysctl "{name}" is not in a separate kernel namespace')
