"""The members of an archive of images, kept as drafts of blobs until it is known what they are.

A stream says what is in it only at its end, and cannot be read again. So each file goes to the content store's
drafts as it comes, is hashed on the way, and stays there only if an image turns out to be made of it. The archive
is untrusted: no name in it becomes a name of anything here.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Final

from transom.errors import CorruptContent
from transom.graph.archive import Data, Entry, Kind, read_archive, shown
from transom.graph.content import ContentStore
from transom.graph.digest import Digest
from transom.graph.draft import Draft
from transom.graph.lease import Lease

__all__ = ["Member", "Members"]

_BLOB: Final = re.compile(r"blobs/sha256/([0-9a-f]{64})")
#: An image has at most a few hundred parts.
_MOST_MEMBERS: Final = 20_000
#: How many links may lead from a name to a file.
_MOST_LINKS: Final = 16
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Member:
    """One file: what is in it is in a draft, or, where that is None, in the blob that was here before."""

    name: str
    digest: Digest
    size: int
    draft: Draft | None
    content: ContentStore

    def open(self) -> io.FileIO:
        """Open it for reading, unbuffered."""
        return self.content.open(self.digest) if self.draft is None else self.draft.open()

    def read(self, limit: int) -> bytes:
        """Return a small file. Raises `CorruptContent` for a longer one."""
        if self.size > limit:
            raise CorruptContent(f"its {self.name} has {self.size} bytes, which is more than the {limit} allowed")
        with self.open() as file:
            return io.BufferedReader(file).read()


class Members:
    """Reads an archive, whose drafts go when `stack` is closed. `check` is called often and may raise."""

    def __init__(self, content: ContentStore, lease: Lease, stack: ExitStack, check: Callable[[], None]) -> None:
        self._content = content
        self._lease = lease
        self._stack = stack
        self._check = check
        self._files: dict[str, Member] = {}
        #: By name, the name that a link leads to.
        self._links: dict[str, str] = {}

    def read(self, archive: IO[bytes]) -> None:
        """Read all of an uncompressed archive. Raises `CorruptContent` and `StorageFull`."""
        for entry in read_archive(archive):
            self._check()
            self._add(entry)
        while archive.read(_CHUNK):
            # What is behind the end of an archive means nothing, but its sender wants to get rid of it.
            self._check()

    def find(self, name: str) -> Member | None:
        """Return the file of a name, through links, or None if there is none. Raises `CorruptContent`."""
        path = _inside(name, name)
        for _ in range(_MOST_LINKS):
            if path not in self._links:
                return self._files.get(path)
            path = self._links[path]
        raise CorruptContent(f"its {name} is a link that leads to no file")

    def need(self, name: str) -> Member:
        """Return the file of a name. Raises `CorruptContent` if there is none."""
        member = self.find(name)
        if member is None:
            raise CorruptContent(f"it has no {name}, which one of its images needs")
        return member

    def _add(self, entry: Entry) -> None:
        name = shown(entry.name)
        path = _inside(_text(entry.name), name)
        if entry.kind is Kind.DIRECTORY:
            return
        if path in self._files or path in self._links:
            raise CorruptContent(f"it has two members of the name {name!r}")
        if len(self._files) + len(self._links) >= _MOST_MEMBERS:
            raise CorruptContent(f"it has more than {_MOST_MEMBERS} members")
        if entry.kind is Kind.FILE and entry.content is not None:
            self._files[path] = self._keep(path, entry.size, entry.content)
        elif entry.kind is Kind.HARD_LINK:
            self._links[path] = _inside(_text(entry.link), name)
        elif entry.kind is Kind.SYMLINK:
            self._links[path] = _inside(posixpath.join(posixpath.dirname(path), _text(entry.link)), name)
        else:
            raise CorruptContent(f"its member {name!r} is neither a file nor a directory nor a link")

    def _keep(self, path: str, size: int, content: Data) -> Member:
        if size and tuple(content.segments) != ((0, size),):
            raise CorruptContent(f"its member {path!r} is a sparse file")
        blob = _BLOB.fullmatch(path)
        known = Digest(f"sha256:{blob[1]}") if blob else None
        if known is not None and self._lease.keep_if_known(known) and self._content.has(known):
            digest, draft = self._hash(content), None
        else:
            draft = self._stack.enter_context(self._content.draft())
            for _, data in content.pieces():
                self._check()
                draft.write(data)
            draft.seal()
            digest = draft.digest
        if known is not None and digest != known:
            raise CorruptContent(f"its member {path} has the digest {digest}: it is damaged")
        return Member(path, digest, size, draft, self._content)

    def _hash(self, content: Data) -> Digest:
        found = hashlib.sha256()
        for _, data in content.pieces():
            self._check()
            found.update(data)
        return Digest(f"sha256:{found.hexdigest()}")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _inside(path: str, name: str) -> str:
    """Return a path within the archive in its shortest form. Raises `CorruptContent` if it leads out of it."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise CorruptContent(f"its member {name!r} leads out of it")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
