"""Ports as EXPOSE takes them: `80`, `53/udp`, `8000-8010/tcp`."""

from __future__ import annotations

import re
from typing import Final

from transom.errors import InvalidParameter

__all__ = ["parse_ports"]

_FORM: Final = re.compile(r"(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?(?:/(?P<protocol>\w*))?", re.ASCII)
_PROTOCOLS: Final = ("tcp", "udp", "sctp")


def parse_ports(text: str) -> tuple[str, ...]:
    """Return the ports of a word, each as `80/tcp`. Raises `InvalidParameter`.

    What `-p` takes in front of a port is read over, as BuildKit does: nothing of the machine is in an image.
    """
    port = text.rpartition(":")[2]
    match = _FORM.fullmatch(port)
    if match is None:
        raise InvalidParameter(f"invalid containerPort: {port}")
    protocol = (match["protocol"] or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise InvalidParameter(f"invalid proto: {protocol}")
    first = int(match["first"])
    last = int(match["last"] or first)
    if not first <= last < 2**16:
        raise InvalidParameter(f"invalid containerPort: {port}")
    return tuple(f"{number}/{protocol}" for number in range(first, last + 1))
