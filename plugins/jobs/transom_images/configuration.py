"""What a pull must know of an image's configuration beforehand (OCI image specification, config.md)."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from transom.errors import CorruptContent, InvalidParameter
from transom.graph.digest import Digest
from transom.graph.model import Platform

__all__ = ["Configuration", "parse_configuration"]


@dataclass(frozen=True)
class Configuration:
    """The platform that an image is for, and its layers' diff IDs, lowest first."""

    platform: Platform
    diff_ids: tuple[Digest, ...]


def parse_configuration(content: bytes) -> Configuration:
    """Return an image's configuration. Raises `CorruptContent` for what is not one."""
    try:
        document = orjson.loads(content)
        names = [document.get(name) or "" for name in ("os", "architecture", "variant")]
        diff_ids = tuple(Digest.parse(item) for item in document["rootfs"]["diff_ids"] or ())
    except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError, InvalidParameter) as error:
        raise CorruptContent("its configuration is not an image configuration") from error
    if not all(isinstance(name, str) for name in names):
        raise CorruptContent("its configuration names its platform with something else than strings")
    return Configuration(Platform(*names), diff_ids)
