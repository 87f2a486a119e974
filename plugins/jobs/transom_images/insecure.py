"""Which registries may be spoken to in plain HTTP, or in HTTPS without knowing who they are."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["InsecureRegistries", "is_loopback"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class InsecureRegistries:
    """Loopback, and what the configuration names: `host`, `host:port`, or a network (`10.1.0.0/16`)."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._hosts: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in configured:
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError:
                self._hosts.add(entry.removeprefix("http://").removeprefix("https://").rstrip("/"))

    def __contains__(self, host: str) -> bool:
        """Whether a server, `host` or `host:port`, is one of them. A name may be looked up for that."""
        if host in self._hosts or is_loopback(host):
            return True
        return bool(self._networks) and any(
            address in network for address in _addresses(_hostname(host)) for network in self._networks
        )


def is_loopback(host: str) -> bool:
    """Whether a server, `host` or `host:port`, is on this machine, as its name says."""
    hostname = _hostname(host)
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _addresses(hostname: str) -> list[_Address]:
    try:
        return [ipaddress.ip_address(hostname)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found]
