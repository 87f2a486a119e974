"""COPY and ADD: what they take, from where, and the layer that it makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from transom.containers.users import find_user
from transom.dockerfile.instructions import Add, Copy
from transom.errors import InvalidParameter
from transom.graph.archive import Entry, Kind
from transom.graph.tree_entries import BytesData
from transom_builder.additions import add_sources
from transom_builder.contexts import Context
from transom_builder.copying import Copied, Manner, copy_into
from transom_builder.download import is_url
from transom_builder.git import is_repository
from transom_builder.keys import key_of
from transom_builder.modes import parse_mode
from transom_builder.reports import Step
from transom_builder.sources import digest_entries, find, find_parents
from transom_builder.workplace import Workplace
from transom_builder.workshop import Stack

__all__ = ["Transfer"]


@dataclass(frozen=True)
class _Document:
    """A here-document, which is copied as a file of its name."""

    name: bytes
    content: bytes
    is_directory: bool = False
    below: bytes | None = None

    def entries(self, _excludes: tuple[str, ...] = ()) -> Iterator[Entry]:
        yield Entry(b"", Kind.FILE, 0o644, size=len(self.content), content=BytesData(self.content))


class Transfer:
    """One COPY or ADD."""

    def __init__(self, place: Workplace, step: Step) -> None:
        self._place = place
        self._workshop = place.workshop
        self._step = step

    def prepare(
        self, held: ExitStack, stack: Stack, instruction: Copy | Add
    ) -> tuple[Callable[[Stack], str], Callable[[], str | None]]:
        """Return what gives the key of an instruction on top of some layers, and what makes its layer.

        What it copies from stays mounted for as long as `held` is open.
        """
        found = self._find(held, instruction)
        on = Stack() if instruction.link else stack
        owner = self._owner(stack, instruction.chown)
        sources = [self._key(item, key, instruction.excludes) for item, key in found]

        def key(below: Stack) -> str:
            return key_of(
                "copy",
                parent="" if instruction.link else below.chain_id,
                destination=instruction.destination,
                owner=owner,
                mode=instruction.chmod,
                sources=sources,
            )

        mode = parse_mode(instruction.chmod) if instruction.chmod else None
        manner = Manner(owner, mode, instruction.excludes)

        def do() -> str | None:
            with self._workshop.writing(on) as layer, self._workshop.mounted(layer) as tree:
                copy_into(tree, (item for item, _ in found), instruction.destination, manner, self._workshop.check)
            return layer

        return key, do

    def _key(self, item: Copied, key: tuple[str, ...], excludes: tuple[str, ...]) -> list[object]:
        """Return what the key of a step has of something that it copies."""
        name = item.name if item.below is None else item.below
        digest = key or digest_entries(item.entries(excludes), self._workshop.check)
        return [
            type(item).__name__,
            name.decode("utf-8", "backslashreplace"),
            item.below is not None,
            item.is_directory,
            digest,
        ]

    def _find(self, held: ExitStack, instruction: Copy | Add) -> list[tuple[Copied, tuple[str, ...]]]:
        """Return what is copied, and what of it the key has where that is not its content."""
        found: list[tuple[Copied, tuple[str, ...]]] = []
        if isinstance(instruction, Add):
            local = any(not is_url(source) and not is_repository(source) for source in instruction.sources)
            root = self._root(held, "") if local else None
            found += [
                (addition.item, addition.key)
                for addition in add_sources(held, self._place.contexts, root, instruction, self._step)
            ]
        elif instruction.sources:
            root = self._root(held, instruction.from_)
            search = find_parents if instruction.parents else find
            found += [(item, ()) for source in instruction.sources for item in search(root, source)]
        found += [
            (_Document(os.fsencode(document.name), document.content.encode()), ()) for document in instruction.heredocs
        ]
        # With their parents all that is copied is below the destination.
        parents = isinstance(instruction, Copy) and instruction.parents
        if len(found) > 1 and not instruction.destination.endswith("/") and not parents:
            raise InvalidParameter(
                f"cannot copy several files to {instruction.destination}: the destination must be a directory and end"
                " with a /"
            )
        return found

    def _root(self, held: ExitStack, name: str) -> int:
        """Return the descriptor of the root of what is copied from."""
        source = self._place.source(name)
        tree = source.root if isinstance(source, Context) else held.enter_context(self._workshop.shown(source))
        descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        return descriptor

    def _owner(self, stack: Stack, text: str) -> tuple[int, int] | None:
        """Return the user's and the group's number of a `--chown`, found in the stage's own files."""
        if not text:
            return None
        name, _, group = text.partition(":")
        if name.isdecimal() and not group:
            return find_user(Path("/proc/self/fd"), f"{name}:{name}").uid, int(name)
        with self._workshop.shown(stack) as tree:
            user = find_user(tree, text)
        return user.uid, user.gid
