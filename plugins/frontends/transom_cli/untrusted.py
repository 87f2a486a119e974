"""Text that others wrote, such as names of files in an image."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return text without what would do something to a terminal, or would not be seen: that is written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
