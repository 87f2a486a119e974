"""The caches of `build` (`--cache-from`, `--cache-to`): in images, in registries, and in directories of this side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from transom_cli.build_context import pack_directory
from transom_cli.build_options import fields_of, taking_directory
from transom_cli.errors import CommandFailed

__all__ = ["parse_exports", "parse_imports"]

Stores = list[dict[str, str]]


def parse_imports(given: Iterable[str]) -> tuple[Stores, dict[str, Callable[[], Iterable[bytes]]]]:
    """Return what `--cache-from` names, and what makes archives of directories, by the `stream` of each.

    A directory without a cache is no error, but said. Raises `CommandFailed`.
    """
    stores: Stores = []
    sources: dict[str, Callable[[], Iterable[bytes]]] = {}
    for index, store in enumerate(_parse(given)):
        if store["type"] == "local":
            path = _place(store, "src")
            if not (content := Path(path, "index.json")).is_file():
                print(f"WARNING: local cache import at {path} not found: could not read {content}", file=sys.stderr)
                continue
            store["stream"] = f"cache-from-{index}"
            sources[store["stream"]] = partial(pack_directory, path)
        stores.append(store)
    return stores, sources


def parse_exports(given: Iterable[str]) -> tuple[Stores, dict[str, Callable[[Iterator[bytes]], None]]]:
    """Return what `--cache-to` names, and what fills directories, by the `stream` of each. Raises `CommandFailed`."""
    stores = list(_parse(given))
    destinations: dict[str, Callable[[Iterator[bytes]], None]] = {}
    for index, store in enumerate(stores):
        if store["type"] == "local":
            store["stream"] = f"cache-to-{index}"
            destinations[store["stream"]] = taking_directory(_place(store, "dest"))
    return stores, destinations


def _place(store: dict[str, str], name: str) -> str:
    """Take the directory out of what the daemon is told."""
    path = store.pop(name, "")
    if not path:
        raise CommandFailed(f"{name} is required for a cache of the type local: give a directory")
    return path


def _parse(given: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the attributes of each cache, a `type` among them."""
    for text in given:
        if "=" not in text:
            yield from ({"type": "registry", "ref": name} for name in text.split(","))
            continue
        try:
            fields = fields_of(text)
        except ValueError as error:
            raise CommandFailed(f"invalid value {text!r} of a cache: {error}") from error
        if not fields.get("type"):
            raise CommandFailed(f"type required form> {text!r}")
        yield fields
