"""Where a syslog server is: `--log-opt syslog-address` and what belongs to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from transom.errors import InvalidParameter

__all__ = ["Address", "parse_address"]

_SOCKETS = ("unix", "unixgram")
_NETWORKS = ("tcp", "tcp+tls", "udp")
_PORT = 514


@dataclass(frozen=True)
class Address:
    """How a server is reached. Without a `protocol` it is this machine's, wherever that listens."""

    protocol: str = ""
    path: str = ""
    host: str = ""
    port: int = 0
    #: Files of certificates and keys, empty for the machine's own.
    ca_cert: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


def parse_address(options: Mapping[str, str]) -> Address:
    """Return the server that a log's options name. Raises `InvalidParameter`."""
    text = options.get("syslog-address", "")
    if not text:
        return Address()
    protocol, separator, _ = text.partition("://")
    if not separator or protocol not in (*_SOCKETS, *_NETWORKS):
        raise InvalidParameter(f"syslog-address should be in form proto://address, got {text}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError as error:
        raise InvalidParameter(f"invalid syslog-address {text!r}: {error}") from error
    if protocol in _SOCKETS:
        if not os.path.exists(parts.path):  # noqa: PTH110 this is loaded beside shims
            raise InvalidParameter(f"stat {parts.path}: no such file or directory")
        return Address(protocol, path=parts.path)
    if not host:
        raise InvalidParameter(f"syslog-address should be in form proto://address, got {text}")
    return Address(
        protocol,
        host=host,
        port=port,
        ca_cert=options.get("syslog-tls-ca-cert", ""),
        cert=options.get("syslog-tls-cert", ""),
        key=options.get("syslog-tls-key", ""),
        verify="syslog-tls-skip-verify" not in options,
    )
