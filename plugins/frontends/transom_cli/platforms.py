"""Platforms as people write them, `os[/arch[/variant]]`, and as the API wants them.

The names, and the words for what is none, are those of containerd's platform specifiers, which Docker's client takes.
"""

from __future__ import annotations

import os
import re

from transom_cli.errors import CommandFailed

__all__ = ["parse_platform"]

_SYSTEM = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$"
_PART = r"^[A-Za-z0-9_.-]+$"
_SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows"
    " zos".split()
)
_ARCHITECTURES = frozenset(
    "386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ppc ppc64"
    " ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm".split()
)
#: Other names of architectures, with Go's and, where that is in the name, their variants.
_ALIASES = {
    "aarch64": ("arm64", None),
    "armel": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "i386": ("386", ""),
    "x86-64": ("amd64", None),
    "x86_64": ("amd64", None),
}
#: Variants by architecture that are written in another way or mean nothing.
_VARIANTS = {
    "amd64": {"v1": ""},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
    "arm64": {"8": "", "v8": ""},
}


def parse_platform(text: str | None, problem: str = "invalid platform: ") -> dict[str, str] | None:
    """Return a platform in the form of the API, None for none. What is left out is this machine's.

    Raises `CommandFailed`, which begins with `problem`, for what is no platform.
    """
    if not text:
        return None
    try:
        return _parse(text)
    except ValueError as error:
        raise CommandFailed(f"{problem}{error}: invalid argument") from None


def _parse(text: str) -> dict[str, str]:
    if "*" in text:
        raise ValueError(f"{_quoted(text)}: wildcards not yet supported")
    first, *parts = text.split("/")
    system = re.match(_SYSTEM, first)
    if system is None:
        raise ValueError(
            f"{_quoted(first)} is an invalid OS component of {_quoted(text)}: OSAndVersion specifier component must"
            f" match {_quoted(_SYSTEM)}"
        )
    for part in parts:
        if not re.match(_PART, part):
            raise ValueError(
                f"{_quoted(part)} is an invalid component of {_quoted(text)}: platform specifier component must match"
                f" {_quoted(_PART)}"
            )
    if len(parts) > 2:
        raise ValueError(f"{_quoted(text)}: cannot parse platform specifier")
    name, version = _system(system[1]), system[2] or ""
    if not parts and name not in _SYSTEMS:
        if _architecture(first, "")[0] not in _ARCHITECTURES:
            raise ValueError(f"{_quoted(text)}: unknown operating system or architecture")
        name, version, parts = "linux", "", [first]
    architecture, variant = _architecture(*(parts or [os.uname().machine]))
    if len(parts) < 2 and (architecture, variant) == ("arm", "v7"):
        variant = ""
    if len(parts) == 2 and (architecture, variant) == ("arm64", ""):
        variant = "v8"
    found = {"architecture": architecture, "os": name, "os.version": version, "variant": variant}
    return {key: value for key, value in found.items() if value}


def _system(name: str) -> str:
    name = name.lower()
    return "darwin" if name == "macos" else name


def _architecture(name: str, variant: str = "") -> tuple[str, str]:
    """Return Go's name of an architecture, and its variant; empty is the usual one."""
    name, own = _ALIASES.get(name.lower(), (name.lower(), None))
    variant = variant.lower() if own is None else own
    return name, _VARIANTS.get(name, {}).get(variant, variant)


def _quoted(text: str) -> str:
    from transom_cli.template_lexer import quoted  # for what is wrong alone

    return quoted(text)
