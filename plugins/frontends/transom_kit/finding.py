"""Drivers that are installed on this machine, found without an engine."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path
from typing import Any

from transom.catalog import Catalog, Shelf
from transom.drivers.base import Driver
from transom.errors import NotFound

__all__ = ["KINDS", "find_driver", "load_driver"]

KINDS = ("graph", "exec", "volume", "network", "log")


def load_driver(kind: str, name: str, storage: Path | None = None) -> type[Any]:
    """Return a driver's class. Raises `NotFound`, and `DriverUnavailable` if it cannot work with files in `storage`."""
    with tempfile.TemporaryDirectory(prefix="transom-", dir=storage) as scratch:
        return _shelf(Catalog(Path(scratch)), kind).get(name)


def find_driver(name: str, kind: str = "", storage: Path | None = None) -> tuple[type[Driver], str]:
    """Return a driver's class and what distribution it is of.

    Raises `NotFound` for a name that no driver has, or that several have; it says of plugins that cannot be loaded why.
    """
    with tempfile.TemporaryDirectory(prefix="transom-", dir=storage) as scratch:
        catalog = Catalog(Path(scratch))
        shelves = [_shelf(catalog, kind)] if kind else list(catalog.shelves())
        found = [shelf for shelf in shelves if name in shelf.names()]
        if len(found) > 1:
            kinds = " and ".join(shelf.kind for shelf in found)
            raise NotFound(f"drivers of the kinds {kinds} are named {name!r}: choose one with --kind")
        if not found:
            raise NotFound(_nothing(catalog, shelves, name))
        (shelf,) = found
        driver: type[Driver] = shelf.get(name)
        info = next(info for info in shelf.describe() if info.name == name)
        return driver, f"{info.distribution} {info.version}".strip() or info.module


def _shelf(catalog: Catalog, kind: str) -> Shelf[Any]:
    if kind not in KINDS:
        raise NotFound(f"no drivers are of the kind {kind!r}: the kinds are {', '.join(KINDS)}")
    return next(shelf for shelf in catalog.shelves() if shelf.kind == kind)


def _nothing(catalog: Catalog, shelves: list[Shelf[Any]], name: str) -> str:
    names = sorted({known for shelf in shelves for known in shelf.names()})
    near = difflib.get_close_matches(name, names, n=1)
    text = f"no driver is named {name!r}"
    text += f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(names)}"
    broken = [f"{plugin.name} ({plugin.module}) {plugin.error}" for plugin in catalog.plugins if plugin.error]
    return f"{text}. Not loaded: {'; '.join(broken)}" if broken else text
