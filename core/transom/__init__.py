"""Transom, a Docker-compatible container engine in which every driver is a plugin.

What a plugin imports is listed here; `transom.hookspecs` documents every hook.
"""

from transom.hookspecs import hookimpl

__all__ = ["hookimpl"]

__version__ = "0.1.0"
