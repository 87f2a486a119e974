"""Names of images as people write them: what is left out, and what is wrong before the daemon is asked."""

from __future__ import annotations

from dataclasses import replace

from transom.errors import InvalidParameter
from transom.graph.reference import Reference
from transom_cli.errors import CommandFailed

__all__ = ["familiar", "parse_reference"]


def parse_reference(text: str) -> Reference:
    """Return a reference with Docker's defaults for the registry. Raises `CommandFailed`."""
    try:
        return Reference.parse(text)
    except InvalidParameter as error:
        raise CommandFailed(str(error)) from None


def familiar(text: str) -> str:
    """Return an image's name without its digest and its defaults; unchanged if it is no reference."""
    try:
        return replace(Reference.parse(text), digest=None).familiar
    except InvalidParameter:
        return text
