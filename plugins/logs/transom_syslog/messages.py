"""The form of messages: what Docker sends by default, RFC 3164, and RFC 5424 with seconds or microseconds."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Callable, Mapping
from datetime import datetime

from transom.errors import InvalidParameter
from transom_syslog.address import Address

__all__ = ["Formatter", "make_formatter", "parse_facility", "parse_format"]

#: Makes a message of a stream, a time in nanoseconds, and a line.
Formatter = Callable[[str, int, bytes], bytes]

_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("", "", "", ""),
    *(f"local{number}" for number in range(8)),
)
_FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: Standard output is information, standard error an error (RFC 5424, section 6.2.1).
_SEVERITIES = {"stdout": 6, "stderr": 3}


def parse_facility(options: Mapping[str, str]) -> int:
    """Return the number of `syslog-facility`. Raises `InvalidParameter`."""
    text = options.get("syslog-facility", "") or "daemon"
    if text in _FACILITIES:
        return _FACILITIES.index(text)
    if text.isascii() and text.isdigit() and int(text) <= 23:
        return int(text)
    raise InvalidParameter("invalid syslog facility")


def parse_format(options: Mapping[str, str]) -> str:
    """Return `syslog-format`. Raises `InvalidParameter`."""
    text = options.get("syslog-format", "")
    if text not in _FORMATS:
        raise InvalidParameter("Invalid syslog format")
    return text


def make_formatter(options: Mapping[str, str], tag: str, address: Address) -> Formatter:
    """Return what makes the messages of one log."""
    facility, form = parse_facility(options), parse_format(options)
    host, process = os.uname().nodename, os.getpid()
    heads: dict[tuple[str, int], bytes] = {}
    # Microseconds make every head another one; otherwise a second's messages have the same.
    unit = 1_000 if form == "rfc5424micro" else 1_000_000_000
    counted = address.protocol == "tcp+tls" and form.startswith("rfc5424")

    def make_head(stream: str, time: int) -> bytes:
        priority = facility << 3 | _SEVERITIES[stream]
        if form.startswith("rfc5424"):
            stamp = _rfc3339(time, "microseconds" if form == "rfc5424micro" else "seconds")
            return f"<{priority}>1 {stamp} {host} {tag} {process} {tag} - ".encode()
        sender = f"{host} {tag}" if form == "rfc3164" else tag
        return f"<{priority}>{_rfc3164(time)} {sender}[{process}]: ".encode()

    def make(stream: str, time: int, line: bytes) -> bytes:
        key = stream, time // unit
        head = heads.get(key)
        if head is None:
            heads.clear()
            head = heads[key] = make_head(stream, time)
        message = b"%b%b\n" % (head, line)
        # RFC 5425, section 4.3: over TLS a message has its length before it.
        return b"%d %b" % (len(message), message) if counted else message

    return make


def _rfc3164(time: int) -> str:
    moment = clock.localtime(time // 1_000_000_000)
    return f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {clock.strftime('%H:%M:%S', moment)}"


def _rfc3339(time: int, precision: str) -> str:
    seconds, rest = divmod(time, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds).astimezone().replace(microsecond=rest // 1000)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
