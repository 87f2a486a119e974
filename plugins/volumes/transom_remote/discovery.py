"""Where plugins are: a socket NAME.sock, or a file that says where one listens, in one of a few directories.

`NAME.spec` has an address in one line: `unix:///path`, `tcp://host:port` or `https://host:port`. `NAME.json` is an
object with `Addr` and `TLSConfig` (`CAFile`, `CertFile`, `KeyFile`, `InsecureSkipVerify`). Each file may be in a
directory NAME. (Docker's documentation, "Docker plugin API", "Plugin discovery".)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from transom.errors import DriverUnavailable

__all__ = ["Address", "Place", "Tls", "find_place", "list_names"]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
#: In the order in which they are looked for: a plugin that runs goes before one that somebody wrote down.
_ENDINGS = (".sock", ".spec", ".json")


@dataclass(frozen=True)
class Tls:
    """How a plugin is spoken to over TLS; file names are empty where there is none."""

    authority: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True


@dataclass(frozen=True)
class Address:
    """Where a plugin listens: at the socket `path`, or at `host` and `port` (None for the protocol's own)."""

    text: str
    path: str = ""
    host: str = ""
    port: int | None = None
    tls: Tls | None = None


@dataclass(frozen=True)
class Place:
    """What was found of a plugin: the file, and what is in it where it is no socket."""

    file: Path
    content: str = ""

    def address(self) -> Address:
        """Return where the plugin listens. Raises `DriverUnavailable` for a file that does not say so."""
        if self.file.suffix == ".sock":
            return Address(f"unix://{self.file}", path=str(self.file))
        if self.file.suffix == ".spec":
            return self._parse(self.content.strip(), {})
        try:
            described = json.loads(self.content)
            text, options = described["Addr"], described.get("TLSConfig") or {}
            if not isinstance(text, str) or not isinstance(options, dict):
                raise TypeError("Addr is no string, or TLSConfig no object")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._wrong(f"is no description of a plugin ({error})") from error
        return self._parse(text, options)

    def _parse(self, text: str, options: dict[str, Any]) -> Address:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise self._wrong(f"has the address {text!r} ({error})") from error
        if parts.scheme == "unix" and parts.path:
            return Address(text, path=parts.netloc + parts.path)
        if parts.scheme not in ("tcp", "http", "https") or not host:
            raise self._wrong(f"has the address {text!r}")
        authority = str(options.get("CAFile") or "")
        tls = Tls(
            authority,
            str(options.get("CertFile") or ""),
            str(options.get("KeyFile") or ""),
            # As in Docker: who names no authority wants no verification.
            verify=bool(authority) and not options.get("InsecureSkipVerify"),
        )
        return Address(text, host=host, port=port, tls=tls if parts.scheme == "https" else None)

    def _wrong(self, what: str) -> DriverUnavailable:
        return DriverUnavailable(
            f"the file {self.file} {what}", "write unix:///PATH, tcp://HOST:PORT or https://HOST:PORT there"
        )


def find_place(directories: Sequence[Path], name: str) -> Place | None:
    """Return where a plugin is, None if it is nowhere."""
    if not _NAME.fullmatch(name):
        return None
    for ending in _ENDINGS:
        for directory in directories:
            for file in (directory / f"{name}{ending}", directory / name / f"{name}{ending}"):
                try:
                    if ending == ".sock":
                        if file.is_socket():
                            return Place(file)
                    elif file.is_file():
                        return Place(file, file.read_text(errors="replace"))
                except OSError:
                    continue
    return None


def list_names(directories: Sequence[Path]) -> set[str]:
    """Return the names of the plugins that there are."""
    return {
        file.stem
        for directory in directories
        for file in _files(directory)
        if file.suffix in _ENDINGS
        and _NAME.fullmatch(file.stem)
        and (file.is_socket() if file.suffix == ".sock" else file.is_file())
    }


def _files(directory: Path) -> Iterator[Path]:
    """Yield what may say of a plugin: what is in a directory, and in its directories the files of the same name."""
    try:
        entries = list(directory.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.suffix in _ENDINGS:
            yield entry
        else:
            yield from (entry / f"{entry.name}{ending}" for ending in _ENDINGS)
