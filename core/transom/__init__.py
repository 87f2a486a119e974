"""Transom, a Docker-compatible container engine in which every driver is a plugin.

What a plugin imports is listed here; `transom.hookspecs` documents every hook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transom.hookspecs import hookimpl

__all__ = ["hookimpl"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # pluggy is not worth its import in the command line, which has no hooks.
    if name == "hookimpl":
        from transom.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
