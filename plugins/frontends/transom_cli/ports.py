"""`--publish`: ports of a container and of the machine, in all of Docker's forms."""

from __future__ import annotations

import re
from collections.abc import Iterator

from transom_cli import values

__all__ = ["port_bindings"]

_PROTOCOLS = ("tcp", "udp", "sctp")
_LONG = ("published=", "target=", "protocol=", "mode=")

Bindings = dict[str, list[dict[str, str]]]


def port_bindings(given: tuple[str, ...]) -> tuple[Bindings, dict[str, dict[str, str]]]:
    """Return `-p`s as the API's `PortBindings`, and the ports that they expose. Raises `ValueError`."""
    bindings: Bindings = {}
    for text in given:
        for port, binding in _parse(_short(text) if any(key in text for key in _LONG) else text):
            bindings.setdefault(port, []).append(binding)
    return bindings, {port: {} for port in bindings}


def _short(text: str) -> str:
    """Return the long form `published=8080,target=80,protocol=tcp` as a short one."""
    fields = {"protocol": "tcp", "published": "", "target": ""}
    for field in text.split(","):
        key, equals, value = field.strip().partition("=")
        if not equals or not value:
            raise ValueError(f"invalid field {field}")
        if key not in (*fields, "mode"):
            raise ValueError(f"invalid field key {key}")
        fields[key] = value
    if not fields["target"]:
        raise ValueError("invalid field: a target port is needed")
    return f"{fields['published']}:{fields['target']}/{fields['protocol']}".lstrip(":")


def _parse(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the ports of `[[address:]published:]target[/protocol]` with where each is published."""
    rest, slash, protocol = text.rpartition("/")
    if not slash:
        rest, protocol = text, "tcp"
    protocol = protocol.lower()
    address, published, target = _split(rest)
    if not target:
        raise ValueError(f"no port specified: {text}<empty>")
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    first, last = _range(target, "containerPort")
    if not published:
        for port in range(first, last + 1):
            yield f"{port}/{protocol}", {"HostIp": address, "HostPort": ""}
        return
    start, end = _range(published, "hostPort")
    if end - start != last - first:
        if first != last:
            raise ValueError(f"invalid ranges specified for container and host Ports: {target} and {published}")
        # One port of the container takes any of the range.
        yield f"{first}/{protocol}", {"HostIp": address, "HostPort": f"{start}-{end}"}
        return
    for offset in range(last - first + 1):
        yield f"{first + offset}/{protocol}", {"HostIp": address, "HostPort": str(start + offset)}


def _split(text: str) -> tuple[str, str, str]:
    """Return the address, the machine's port and the container's, as far as they are there."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]:")
        if not bracket:
            raise ValueError(f"invalid IP address: {text}")
        values.ip_address(address)
        published, _, target = rest.rpartition(":")
        return address, published, target
    parts = text.split(":")
    if len(parts) > 3:
        address = ":".join(parts[:-2])
        raise ValueError(f"invalid hostPort: {text}") if not address else ValueError(f"invalid IP address: {address}")
    if len(parts) == 3 and parts[0]:
        values.ip_address(parts[0])
    address, published, target = ("", "", *parts)[-3:] if len(parts) < 3 else parts
    return address, published, target


def _range(text: str, what: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if match is None:
        raise ValueError(f"invalid {what}: {text}")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last or last > 0xFFFF:
        raise ValueError(f"invalid {what}: {text}")
    return first, last
