"""Those who follow logs are woken here: when files change, or what they follow does. None of them holds a thread."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from transom.errors import Unavailable
from transom.runtime.syscalls.inotify import inotify_add_watch, inotify_init1, inotify_rm_watch, read_watches

__all__ = ["Follower", "Followers"]


@dataclass(eq=False)
class Follower:
    """Somebody who wants to be woken. `wake` is called in any thread and must not block; it may be called too often."""

    container: str
    wake: Callable[[], None]
    watches: set[int] = field(default_factory=set)


class Followers:
    """All followers of one engine.

    `submit` does work in a thread; what listens to the kernel is one such work, from the first follower until `close`.
    """

    def __init__(self, submit: Callable[[Callable[[], None]], Future[None]]) -> None:
        self._submit = submit
        self._lock = threading.Lock()
        self._followers: set[Follower] = set()
        self._by_watch: dict[int, set[Follower]] = {}
        self._inotify: int | None = None
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._listening: Future[None] | None = None

    def add(self, container: str, directories: Iterable[Path], wake: Callable[[], None]) -> Follower:
        """Wake somebody whenever something changes in the directories, and when the container does.

        A directory that is not there is left out. Raises `Unavailable` if the kernel cannot watch more.
        """
        follower = Follower(container, wake)
        with self._lock:
            self._followers.add(follower)
            try:
                for directory in directories:
                    watch = inotify_add_watch(self._listen(), directory)
                    follower.watches.add(watch)
                    self._by_watch.setdefault(watch, set()).add(follower)
            except FileNotFoundError:
                pass
            except OSError as error:
                self._forget(follower)
                raise Unavailable(f"cannot follow the log of the container {container}: {error}") from error
        return follower

    def remove(self, follower: Follower) -> None:
        """Wake somebody no more; removing twice is harmless."""
        with self._lock:
            self._forget(follower)

    def wake(self, container: str) -> None:
        """Wake those who follow a container: it has ended, or is gone."""
        with self._lock:
            woken = [follower for follower in self._followers if follower.container == container]
        for follower in woken:
            follower.wake()

    def close(self) -> None:
        """Stop listening."""
        os.write(self._wake_writer, b"x")
        if self._listening is not None:
            self._listening.result()
        if self._inotify is not None:
            os.close(self._inotify)
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _listen(self) -> int:
        if self._inotify is None:
            self._inotify = inotify_init1()
            self._listening = self._submit(self._serve)
        return self._inotify

    def _forget(self, follower: Follower) -> None:
        self._followers.discard(follower)
        for watch in follower.watches:
            others = self._by_watch[watch]
            others.discard(follower)
            if not others:
                del self._by_watch[watch]
                try:
                    inotify_rm_watch(self._listen(), watch)
                except OSError:
                    # The directory is gone.
                    pass
        follower.watches.clear()

    def _serve(self) -> None:
        assert self._inotify is not None
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._wake_reader in ready:
                return
            changed = set(read_watches(self._inotify))
            with self._lock:
                if -1 in changed:
                    woken = set(self._followers)
                else:
                    woken = {follower for watch in changed for follower in self._by_watch.get(watch, ())}
            for follower in woken:
                follower.wake()
