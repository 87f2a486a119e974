"""Platforms as people write them, `os[/arch[/variant]]`, and as the API wants them."""

from __future__ import annotations

import os
import re

from transom_cli.errors import CommandFailed

__all__ = ["parse_platform"]

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_SYSTEMS = ("darwin", "freebsd", "linux", "netbsd", "openbsd", "solaris", "windows")
#: Names of architectures besides Go's, with Go's and their variants.
_ARCHITECTURES = {
    "i386": ("386", ""),
    "i686": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}


def parse_platform(text: str | None) -> dict[str, str] | None:
    """Return a platform in the form of the API, None for none. What is left out is this machine's."""
    if text is None:
        return None
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(map(_PART.fullmatch, parts)):
        raise CommandFailed(f"invalid platform: {text!r} is not os[/arch[/variant]]")
    if len(parts) == 1:
        system, architecture = (parts[0], os.uname().machine) if parts[0] in _SYSTEMS else ("linux", parts[0])
        parts = [system, architecture]
    architecture, variant = _ARCHITECTURES.get(parts[1], (parts[1], ""))
    variant = parts[2] if len(parts) == 3 else variant
    return {"architecture": architecture, "os": parts[0], **({"variant": variant} if variant else {})}
