"""What ADD takes besides files: archives, which it unpacks, files of the web, and Git repositories."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from transom.dockerfile.instructions import Add
from transom.errors import CorruptContent, InvalidParameter
from transom.graph.archive import Entry
from transom.graph.compression import decompress
from transom.graph.extract import extract_below
from transom.graph.header import BLOCK
from transom.runtime.syscalls.files import openat2
from transom_builder.contexts import Contexts, is_archive_start
from transom_builder.copying import Copied
from transom_builder.download import Remote, is_url, look_at, save
from transom_builder.git import fetch, is_repository, parse_repository
from transom_builder.reports import Step
from transom_builder.sources import Found, find

__all__ = ["Addition", "Packed", "add_sources"]


@dataclass(frozen=True)
class Addition:
    """Something that ADD takes: what is copied, and what of it a key has in place of its content, if that is known."""

    item: Copied
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Packed:
    """An archive whose content goes into a directory. `found` is the file."""

    found: Found
    name: bytes = b""
    below: bytes | None = None
    is_directory: bool = True

    def entries(self, excludes: tuple[str, ...] = ()) -> Iterator[Entry]:
        """Yield the archive itself."""
        return self.found.entries(excludes)

    def unpack(self, top: int, target: bytes, owner: tuple[int, int] | None, check: Callable[[], None]) -> None:
        """Unpack it into a directory below an open root. Raises `InvalidParameter` for one that is damaged."""
        with open(_open(self.found), "rb", buffering=0) as file:
            try:
                extract_below(decompress(file), top, target, owner=owner, check=check)
            except CorruptContent as error:
                name = os.fsdecode(self.found.path)
                raise InvalidParameter(f"failed to unpack {name}: {error}: say --unpack=false to copy it") from error


@dataclass(frozen=True)
class _Download:
    """A file of the web, which is downloaded when it is first looked into."""

    remote: Remote
    fetch: Callable[[], Found]
    below: bytes | None = None

    @property
    def name(self) -> bytes:
        return os.fsencode(self.remote.name)

    @property
    def is_directory(self) -> bool:
        return False

    def entries(self, excludes: tuple[str, ...] = ()) -> Iterator[Entry]:
        for entry in self.fetch().entries(excludes):
            yield replace(entry, mode=0o600, mtime=self.remote.mtime)


def add_sources(held: ExitStack, contexts: Contexts, root: int | None, add: Add, step: Step) -> Iterator[Addition]:
    """Yield what the sources of an ADD name; `root` is that of the context's files, None where none are named."""
    for source in add.sources:
        if is_repository(source):
            yield _repository(held, contexts, source, add, step)
        elif is_url(source):
            yield _download(held, contexts, source, add, step)
        else:
            if add.checksum:
                raise InvalidParameter("checksum can't be specified for non-HTTP(S) sources")
            assert root is not None
            for found in find(root, source):
                packed = add.unpack is not False and not found.is_directory and _is_archive(found)
                yield Addition(Packed(found) if packed else found)


def _repository(held: ExitStack, contexts: Contexts, source: str, add: Add, step: Step) -> Addition:
    repository = parse_repository(source)
    keep = bool(add.keep_git_dir)
    commits: list[str] = []
    step.status(f"fetching {repository.url}")
    context = contexts.fill(
        held, lambda tree, _: commits.append(fetch(repository, tree, contexts.check, keep_git_dir=keep))
    )
    step.status(f"fetching {repository.url}", done=True)
    if add.checksum and not commits[0].startswith(add.checksum):
        raise InvalidParameter(f"digest mismatch {commits[0]}: {add.checksum} was expected of {source}")
    top = os.open(context.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    held.callback(os.close, top)
    [found] = find(top, repository.directory, literally=True)
    if not found.is_directory:
        raise InvalidParameter(f"{repository.directory} of {repository.url} is no directory")
    return Addition(found, ("git", commits[0], repository.directory, str(keep)))


def _download(held: ExitStack, contexts: Contexts, url: str, add: Add, step: Step) -> Addition:
    remote = look_at(url)
    if not remote.name and add.destination.endswith("/"):
        raise InvalidParameter(f"cannot determine filename for source {url}")
    fetched: list[Found] = []

    def fetch_once() -> Found:
        if not fetched:
            fetched.append(_save(held, contexts, remote, add, step))
        return fetched[0]

    item: Copied = _Download(remote, fetch_once)
    if add.unpack:
        item = Packed(fetch_once())
    if add.checksum:
        return Addition(item, ("checksum", add.checksum, str(remote.mtime)))
    return Addition(item, ("http", url, *remote.validators) if remote.validators else ())


def _save(held: ExitStack, contexts: Contexts, remote: Remote, add: Add, step: Step) -> Found:
    def fill(_tree: object, top: int) -> None:
        descriptor = os.open("file", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=top)
        try:
            save(remote.url, descriptor, add.checksum, lambda count: _told(contexts, step, remote, count))
        finally:
            os.close(descriptor)

    context = contexts.fill(held, fill)
    top = os.open(context.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    held.callback(os.close, top)
    return find(top, "file", literally=True)[0]


def _told(contexts: Contexts, step: Step, remote: Remote, count: int) -> None:
    contexts.check()
    step.status(f"downloading {remote.url}", count)


def _open(found: Found) -> int:
    return openat2(found.root, found.path, os.O_RDONLY | os.O_NOFOLLOW)


def _is_archive(found: Found) -> bool:
    """Return whether a file is a tar archive, compressed or not."""
    with open(_open(found), "rb", buffering=0) as file:
        try:
            return is_archive_start(decompress(file).read(BLOCK))
        except CorruptContent:
            return False
