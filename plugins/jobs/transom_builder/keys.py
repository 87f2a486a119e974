"""Keys of steps: what a step's result depends on, as a digest. Steps with the same key have the same result."""

from __future__ import annotations

from typing import Any

import orjson

from transom.graph.digest import Digest

__all__ = ["key_of"]

#: Changes when the same key would not stand for the same result any more.
_VERSION = 1


def key_of(kind: str, **parts: Any) -> str:
    """Return the key of a step of a kind; `parts` are values that JSON has."""
    content = orjson.dumps({"version": _VERSION, "kind": kind, **parts}, option=orjson.OPT_SORT_KEYS)
    return Digest.of(content).hex
