"""Which of an index's images runs on a platform, by containerd's rules of compatibility."""

from __future__ import annotations

import re

from transom.errors import InvalidParameter
from transom.graph.model import Platform

__all__ = ["compatible", "normalize", "parse_platform"]

_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")
_SYSTEMS = frozenset(("darwin", "freebsd", "linux", "netbsd", "openbsd", "solaris", "windows"))
_ARCHITECTURES = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x", "wasm")
)
_SYSTEM_NAMES = {"macos": "darwin"}
_ARCHITECTURE_NAMES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}


def normalize(platform: Platform) -> Platform:
    """Return the platform in Go's names and variants: `aarch64` is `arm64/v8`, `amd64/v1` is `amd64`."""
    system = platform.os.lower()
    architecture, variant = platform.architecture.lower(), platform.variant.lower()
    if architecture in _ARCHITECTURE_NAMES:
        architecture, implied = _ARCHITECTURE_NAMES[architecture]
        variant = implied or variant
    if architecture in ("arm", "arm64"):
        variant = variant or {"arm": "v7", "arm64": "v8"}[architecture]
        variant = f"v{variant}" if variant.isdigit() else variant
    elif architecture == "amd64" and variant == "v1":
        variant = ""
    return Platform(_SYSTEM_NAMES.get(system, system), architecture, variant)


def parse_platform(text: str) -> Platform:
    """Return the platform that a user wrote: `linux/arm64/v8`, `linux/amd64`, `linux`, or `arm64`.

    What is left out is that of this machine. Raises `InvalidParameter`.
    """
    parts = text.split("/")
    if len(parts) > 3 or not all(_PART.match(part) for part in parts):
        raise InvalidParameter(f"invalid platform {text!r}: it should be like linux/amd64 or linux/arm64/v8")
    here = Platform.here()
    if len(parts) > 1:
        return normalize(Platform(*parts))
    alone = normalize(Platform(text, text))
    if alone.os in _SYSTEMS:
        return normalize(Platform(alone.os, here.architecture, here.variant))
    if alone.architecture in _ARCHITECTURES:
        return Platform(here.os, alone.architecture, alone.variant)
    raise InvalidParameter(f"invalid platform {text!r}: it is neither a system nor an architecture that is known")


def compatible(wanted: Platform) -> tuple[Platform, ...]:
    """Return the platforms whose programs run on the wanted one, the best first."""
    wanted = normalize(wanted)
    system, architecture, variant = wanted.os, wanted.architecture, wanted.variant
    pairs: list[tuple[str, str]] = [(architecture, variant)]
    if architecture == "arm64":
        if variant != "v8":
            pairs.append(("arm64", "v8"))
        pairs += [("arm", older) for older in ("v8", "v7", "v6", "v5")]
    elif architecture == "arm" and variant in ("v6", "v7", "v8"):
        pairs += [("arm", f"v{number}") for number in range(int(variant[1:]) - 1, 4, -1)]
    elif architecture == "amd64":
        if variant in ("v2", "v3", "v4"):
            pairs += [("amd64", f"v{number}" if number > 1 else "") for number in range(int(variant[1:]) - 1, 0, -1)]
        pairs.append(("386", ""))
    return tuple(Platform(system, *pair) for pair in pairs)
