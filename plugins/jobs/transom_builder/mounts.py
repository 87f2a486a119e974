"""`RUN --mount`: files that are there for one command and in no layer."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transom.containers.model import Mount, MountKind, Tmpfs
from transom.containers.names import make_id
from transom.containers.paths import resolve
from transom.containers.staging import stage_part, unstage
from transom.dockerfile.heredocs import Heredoc
from transom.dockerfile.mounts import RunMount
from transom.errors import InvalidParameter, NotFound
from transom.runtime.syscalls.files import RESOLVE_IN_ROOT
from transom_builder.agents import Agent
from transom_builder.contexts import Context
from transom_builder.copying import Manner, copy_into
from transom_builder.keys import key_of
from transom_builder.sources import Found, digest_entries, find
from transom_builder.workplace import Workplace
from transom_builder.workshop import Stack

__all__ = ["Mounts", "Opened"]

_SCRIPTS = "/dev/pipes"
_NO_AGENT = "no SSH key {!r} forwarded from the client: give it with --ssh"
_AGENTS = "/run/buildkit/ssh_agent."


@dataclass
class Opened:
    """Mounts that are ready for a container, variables that come with them, and what they are mounted on."""

    mounts: list[Mount]
    environment: list[str]
    targets: list[tuple[str, bool]]

    def bind(self, source: Path, target: str, *, read_only: bool) -> None:
        """Add a file or directory of the machine."""
        self.mounts.append(Mount(MountKind.BIND, target, str(source), read_only=read_only))
        self.targets.append((target, stat.S_ISDIR(source.lstat().st_mode)))


class Mounts:
    """The mounts of one RUN.

    What they need is there for as long as the stack is open that `key` and `open` get.
    """

    def __init__(self, place: Workplace, mounts: tuple[RunMount, ...], script: Heredoc | None) -> None:
        self._place = place
        self._workshop = place.workshop
        self._mounts = mounts
        self._script = script

    def key(self, held: ExitStack) -> list[Any]:
        """Return what the result of a command depends on: what is bound, and of all else how it is asked for."""
        parts: list[Any] = [self._key(held, mount) for mount in self._mounts]
        return [*parts, self._script.text] if self._script is not None else parts

    def open(self, held: ExitStack) -> Opened:
        """Make everything ready. Raises `InvalidParameter` for what is not there."""
        opened = Opened([], [], [])
        room: Path | None = None
        if self._script is not None or any(mount.type in ("secret", "ssh", "cache") for mount in self._mounts):
            room = held.enter_context(self._place.engine.rooms.open(make_id()))
        for number, mount in enumerate(self._mounts):
            if mount.type == "bind":
                self._bind(held, opened, mount)
            elif mount.type == "tmpfs":
                tmpfs = Tmpfs(mount.size, options=("nosuid", "nodev"))
                opened.mounts.append(Mount(MountKind.TMPFS, mount.target, tmpfs=tmpfs))
                opened.targets.append((mount.target, True))
            else:
                assert room is not None
                place = room / str(number)
                if mount.type == "cache":
                    self._cache(held, opened, mount, place)
                elif mount.type == "secret":
                    self._secret(opened, mount, place)
                else:
                    self._agent(held, opened, mount, place)
        if self._script is not None:
            assert room is not None
            _write(room / "script", self._script.text.encode(), 0o755)
            target = f"{_SCRIPTS}/{self._script.name}"
            opened.mounts.append(Mount(MountKind.BIND, target, str(room / "script"), read_only=True))
        return opened

    def _key(self, held: ExitStack, mount: RunMount) -> list[Any]:
        common = [mount.type, mount.target, mount.readonly]
        if mount.type == "bind":
            found = self._found(held, mount)
            return [*common, found.is_directory, digest_entries(found.entries(), self._workshop.check)]
        if mount.type == "cache":
            return [*common, mount.id, mount.source, mount.sharing, self._beginning(mount).chain_id]
        return [*common, mount.id, mount.env, mount.size, mount.mode, mount.uid, mount.gid]

    # Files of the context, of stages and images

    def _root(self, held: ExitStack, mount: RunMount, *, writable: bool = False) -> Path:
        """Return where the files are mounted that a mount is of; with `writable` in a layer that goes afterwards."""
        source = self._place.source(mount.from_)
        if isinstance(source, Context):
            if not writable:
                return source.root
            layer = held.enter_context(self._workshop.writable_on(source.layer))
            return held.enter_context(self._workshop.mounted(layer)) / source.base
        if not writable:
            return held.enter_context(self._workshop.shown(source))
        return held.enter_context(self._workshop.mounted(held.enter_context(self._workshop.writable(source))))

    def _found(self, held: ExitStack, mount: RunMount) -> Found:
        top = os.open(self._root(held, mount), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, top)
        return find(top, mount.source, literally=True)[0]

    def _bind(self, held: ExitStack, opened: Opened, mount: RunMount) -> None:
        root = self._root(held, mount, writable=not mount.readonly)
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Nobody changes these trees, so the path stays what it is.
            path = os.fsdecode(resolve(top, os.fsencode(mount.source)))
        finally:
            os.close(top)
        opened.bind(root / path.strip("/"), mount.target, read_only=mount.readonly)

    # Directories that stay

    def _cache(self, held: ExitStack, opened: Opened, mount: RunMount, place: Path) -> None:
        cache = self._place.engine.build_cache
        base = self._beginning(mount)
        key = key_of("directory", id=mount.id, base=base.chain_id)
        description = f"cached mount {mount.target} with id {mount.id!r}"
        if mount.sharing == "locked":
            held.enter_context(cache.locked(key, self._workshop.check))
        private = mount.sharing == "private"
        directory, new = held.enter_context(cache.directory(key, description, private=private))
        if new:
            self._fill(directory, mount, base)
        if mount.source in ("", "/") or mount.from_:
            opened.bind(directory, mount.target, read_only=mount.readonly)
            return
        # Others may change what is in there meanwhile, so it is opened once, beneath the directory.
        held.callback(unstage, place)
        part = stage_part(place, directory, mount.source, resolve=RESOLVE_IN_ROOT)
        opened.bind(part, mount.target, read_only=mount.readonly)

    def _beginning(self, mount: RunMount) -> Stack:
        """Return the layers that the first content of a cache is in."""
        source = self._place.named(mount.from_) if mount.from_ else Stack()
        if isinstance(source, Context):
            raise InvalidParameter(f"a cache cannot begin with the files of the context {mount.from_}: copy them")
        return source

    def _fill(self, directory: Path, mount: RunMount, base: Stack) -> None:
        """Give a new directory its first content, and its owner and mode."""
        if mount.from_:
            with self._workshop.shown(base) as tree:
                top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    found = find(top, mount.source, literally=True)
                    copy_into(directory, found, "/", Manner(), self._workshop.check)
                finally:
                    os.close(top)
        os.chown(directory, mount.uid or 0, mount.gid or 0)
        directory.chmod(0o755 if mount.mode is None else mount.mode)

    # What only the client has

    def _secret(self, opened: Opened, mount: RunMount, place: Path) -> None:
        content = None if self._place.options.session is None else self._place.options.session.secret(mount.id)
        if content is None:
            if mount.required:
                raise InvalidParameter(f"secret {mount.id}: not found: give it with --secret id={mount.id},src=FILE")
            return
        if mount.env is not None:
            try:
                text = content.decode()
            except UnicodeDecodeError:
                raise InvalidParameter(f"secret {mount.id}: it is not UTF-8, and so cannot be a variable") from None
            if "\0" in text:
                raise InvalidParameter(f"secret {mount.id}: it has a NUL byte, and so cannot be a variable")
            opened.environment.append(f"{mount.env or mount.id}={text}")
        if mount.target:
            _write(place, content, 0o400 if mount.mode is None else mount.mode, (mount.uid or 0, mount.gid or 0))
            opened.bind(place, mount.target, read_only=True)

    def _agent(self, held: ExitStack, opened: Opened, mount: RunMount, place: Path) -> None:
        session = self._place.options.session
        if session is None:
            if mount.required:
                raise InvalidParameter(_NO_AGENT.format(mount.id))
            return
        try:
            session.open_ssh(mount.id).close()
        except NotFound as error:
            if mount.required:
                raise InvalidParameter(_NO_AGENT.format(mount.id)) from error
            return
        target = mount.target or f"{_AGENTS}{sum(item.startswith('SSH_AUTH_SOCK=') for item in opened.environment)}"
        owner = (mount.uid or 0, mount.gid or 0)
        mode = 0o600 if mount.mode is None else mount.mode
        agent = Agent(place, partial(session.open_ssh, mount.id), owner, mode)
        served = self._place.engine.submit(agent.serve)
        held.callback(served.result)
        held.callback(agent.close)
        opened.bind(place, target, read_only=True)
        if not any(item.startswith("SSH_AUTH_SOCK=") for item in opened.environment):
            opened.environment.append(f"SSH_AUTH_SOCK={target}")


def _write(path: Path, content: bytes, mode: int, owner: tuple[int, int] = (0, 0)) -> None:
    path.write_bytes(content)
    os.chown(path, *owner)
    path.chmod(mode)
