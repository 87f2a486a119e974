"""How large the files of an archive are, counted while it passes by: less than reading it, and as quick as can be."""

from __future__ import annotations

import re
from typing import Final

from transom.graph.header import BLOCK

__all__ = ["SizeCounter"]

_FILES: Final = frozenset(b"0\x007")
_SYMLINK: Final = ord("2")
_EXTENDED: Final = ord("x")
_SIZE: Final = re.compile(rb"(?:^|\n)\d+ size=(\d+)\n")
_WHOLE: Final = re.compile(rb"(?:^|\n)\d+ GNU\.sparse\.realsize=(\d+)\n")
_LINK: Final = re.compile(rb"(?:^|\n)(\d+) linkpath=")


class SizeCounter:
    """Counts the bytes of regular files, holes included, and of the targets of symbolic links, as `extract` does.

    It is for archives as `archive_writer` makes them. Of others, which are unpacked, the count means nothing.
    """

    def __init__(self) -> None:
        self.size = 0
        self._skip = 0
        self._wanted = BLOCK
        self._waiting = b""
        self._records: bytes | None = None
        self._over = False

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the archive, of any length."""
        position, end = 0, len(piece)
        while position < end and not self._over:
            if self._skip:
                step = min(self._skip, end - position)
                self._skip -= step
                position += step
                continue
            taken = piece[position : position + self._wanted - len(self._waiting)]
            position += len(taken)
            block = self._waiting + taken if self._waiting else taken
            if len(block) < self._wanted:
                self._waiting = block
                return
            self._waiting = b""
            self._take(block)

    def _take(self, block: bytes) -> None:
        if self._wanted != BLOCK or self._records == b"":
            self._records, self._wanted = block, BLOCK
            return
        kind = block[156]
        try:
            size = int(block[124:136].rstrip(b"\0 ") or b"0", 8)
        except ValueError:
            # The end, or none of ours.
            self._over = True
            return
        if kind == _EXTENDED and size:
            self._records, self._wanted = b"", size + -size % BLOCK
            return
        records, self._records = self._records or b"", None
        # Few records have what is looked for, and to look for a word is quick.
        if b" size=" in records and (found := _SIZE.search(records)):
            size = int(found[1])
        if kind in _FILES:
            whole = _WHOLE.search(records) if b"realsize" in records else None
            self.size += int(whole[1]) if whole else size
            self._skip = size + -size % BLOCK
        elif kind == _SYMLINK:
            self.size += _length_of_link(records, block)


def _length_of_link(records: bytes, block: bytes) -> int:
    found = _LINK.search(records)
    if found is None:
        return len(block[157:257].partition(b"\0")[0])
    # A record is its length, which counts all of it, a blank, the keyword, and the value up to a line's end.
    return int(found[1]) - (found.end() - found.start(1)) - 1
