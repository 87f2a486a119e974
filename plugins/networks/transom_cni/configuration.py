"""Configurations of CNI networks: lists of plugins (`*.conflist`), and single plugins (`*.conf`, `*.json`).

CNI specification 1.0.0, section 1, "Network configuration format".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transom.errors import InvalidParameter

__all__ = ["NetworkConfiguration", "find_configuration", "parse_configuration"]

Json = dict[str, Any]

_SUFFIXES = (".conflist", ".conf", ".json")
#: What plugins spoke before there were versions.
_OLDEST = "0.1.0"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*\Z")


@dataclass(frozen=True)
class NetworkConfiguration:
    """One network: its plugins, in the order in which they are added, as they are configured."""

    name: str
    version: str
    plugins: tuple[Json, ...]
    checked: bool = True

    @property
    def capabilities(self) -> frozenset[str]:
        """What plugins want to be told by the runtime."""
        return frozenset(
            name for plugin in self.plugins for name, wanted in (plugin.get("capabilities") or {}).items() if wanted
        )


def find_configuration(directory: Path, name: str) -> NetworkConfiguration:
    """Return the configuration of a name; of several, that of the first file by name.

    Raises `InvalidParameter` if there is none. Files that cannot be read count only where none is found.
    """
    known, broken = [], []
    for path in _files(directory):
        try:
            found = parse_configuration(path.read_bytes(), str(path))
        except (OSError, InvalidParameter) as error:
            broken.append(str(error))
            continue
        if found.name == name:
            return found
        known.append(found.name)
    there = f"it has {', '.join(known)}" if known else "there is none at all"
    raise InvalidParameter("; ".join([f"no CNI configuration in {directory} is named {name}: {there}", *broken]))


def _files(directory: Path) -> Iterator[Path]:
    try:
        yield from sorted(path for path in directory.iterdir() if path.suffix in _SUFFIXES)
    except OSError:
        return


def parse_configuration(content: bytes | str, place: str) -> NetworkConfiguration:
    """Return the configuration that a file's content is. Raises `InvalidParameter`, which names the place."""
    try:
        given = json.loads(content)
    except ValueError as error:
        raise InvalidParameter(f"the CNI configuration {place} is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise InvalidParameter(f"the CNI configuration {place} is no JSON object")
    plugins = given.get("plugins", [given])
    name, version = given.get("name"), given.get("cniVersion", _OLDEST)
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidParameter(f"the CNI configuration {place} has no name, or one that cannot be: {name!r}")
    if not isinstance(version, str):
        raise InvalidParameter(f"the CNI configuration {place} has a cniVersion that is no string")
    if not isinstance(plugins, list) or not plugins:
        raise InvalidParameter(f"the CNI configuration {place} has no plugins")
    for plugin in plugins:
        kind = plugin.get("type") if isinstance(plugin, dict) else None
        if not isinstance(kind, str) or not kind or "/" in kind:
            raise InvalidParameter(f"the CNI configuration {place} has a plugin without a type")
        if not isinstance(plugin.get("capabilities") or {}, dict):
            raise InvalidParameter(f"the CNI configuration {place} has capabilities that are no object")
    return NetworkConfiguration(name, version, tuple(plugins), not given.get("disableCheck"))
