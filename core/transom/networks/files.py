"""The files of /etc that tell a container about its network: hosts, hostname, resolv.conf."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Resolution", "host_resolution", "hosts_file", "machine_file", "write_in_place"]

_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
#: What a container asks where the machine has nobody that it can reach.
_FALLBACK = ("8.8.8.8", "8.8.4.4")


@dataclass(frozen=True)
class Resolution:
    """How names are found: resolv.conf(5)."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def overridden(self, servers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> Resolution:
        """Return it with what was asked for in its place; a search list of `.` is an empty one."""
        wanted = () if tuple(search) == (".",) else tuple(search)
        return Resolution(
            tuple(servers) or self.servers,
            wanted if search else self.search,
            tuple(options) or self.options,
        )

    def reachable(self) -> Resolution:
        """Return it without servers on the machine's loopback interface, which is not a container's."""
        servers = tuple(server for server in self.servers if not _is_loopback(server))
        return Resolution(servers or _FALLBACK, self.search, self.options)

    def text(self) -> str:
        """Return the file's content."""
        lines = [f"nameserver {server}" for server in self.servers]
        if self.search:
            lines.append(f"search {' '.join(self.search)}")
        if self.options:
            lines.append(f"options {' '.join(self.options)}")
        return "".join(f"{line}\n" for line in lines)


def host_resolution() -> Resolution:
    """Return how the machine finds names."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in machine_file("/etc/resolv.conf").splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words[:1]:
            case ["nameserver"] if len(words) > 1:
                servers.append(words[1])
            case ["search"] | ["domain"]:
                search = tuple(words[1:])
            case ["options"]:
                options += words[1:]
    return Resolution(tuple(servers), search, tuple(options))


def machine_file(path: str) -> str:
    """Return one of the machine's own files, empty if there is none."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def hosts_file(own: Mapping[str, Sequence[str]], extra: Iterable[tuple[str, str]]) -> str:
    """Return a hosts(5) file: the container's own names by address, and more (name, address) pairs."""
    lines = [f"{address}\t{name}\n" for name, address in extra]
    lines += [f"{address}\t{' '.join(names)}\n" for address, names in own.items()]
    return _HOSTS + "".join(lines)


def write_in_place(path: Path, text: str) -> None:
    """Change a file that containers may have mounted: the file stays the same one."""
    if not path.exists() or path.read_text(errors="replace") != text:
        path.write_text(text)


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
