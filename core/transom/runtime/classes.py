"""Driver classes by name, for processes that get the name in a message."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["find_class", "name_of"]


def name_of(driver: type[object]) -> str:
    """Return the name of a class as `find_class` takes it: "module:qualified name"."""
    return f"{driver.__module__}:{driver.__qualname__}"


def find_class(name: str) -> Any:
    """Return the class that "module:qualified name" names."""
    module, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
