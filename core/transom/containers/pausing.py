"""Containers that stand still: paused by a client, or held for a moment by the engine itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.containers.model import Container, Status
from transom.containers.recording import Recorder
from transom.containers.states import check_running
from transom.containers.store import ContainerStore
from transom.errors import Conflict, NotFound, Unsupported
from transom.runtime.shims import Shims

__all__ = ["Pausing"]

log = logging.getLogger(__name__)

#: In a shim's directory: the engine itself has paused the container, for as long as this is there.
_HELD = "held"


class Pausing:
    """Stops the processes of one engine's containers where they are. `change` and `record` are the supervisor's."""

    def __init__(
        self, store: ContainerStore, shims: Shims, change: Callable[[Container], None], record: Recorder
    ) -> None:
        self._store = store
        self._shims = shims
        self._change = change
        self._record = record

    def pause(self, name: str) -> None:
        """Stop all processes of a container where they are. Raises `Conflict` if it does not run or is paused."""
        with self._store.locked(name) as container:
            check_running(container)
            if container.state.status is Status.PAUSED:
                raise Conflict(f"container {container.id} is already paused")
            self._shims.request(container.id, "pause")
            self._change(container.with_state(status=Status.PAUSED))
            self._record(container, "pause")

    def unpause(self, name: str) -> None:
        """Let the processes of a paused container go on. Raises `Conflict` if it is not paused."""
        with self._store.locked(name) as container:
            if container.state.status is not Status.PAUSED:
                raise Conflict(f"Container {container.id} is not paused")
            self._shims.request(container.id, "resume")
            self._change(container.with_state(status=Status.RUNNING))
            self._record(container, "unpause")

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Pause a container for the length of a `with` block, if it runs and processes can be stopped here.

        If the engine is killed meanwhile, the next one lets it go on (`recover`).
        """
        container = self._store.get(name)
        held = self._hold(container.id)
        try:
            yield
        finally:
            if held:
                self._let_go(container.id)

    def recover(self, container_id: str) -> None:
        """Let a container go on that an earlier engine held."""
        if self._mark(container_id).exists():
            self._let_go(container_id)

    def _hold(self, container_id: str) -> bool:
        """Pause a container if it runs; return whether it was."""
        with self._store.locked(container_id) as container:
            if container.state.status is not Status.RUNNING:
                return False
            mark = self._mark(container_id)
            mark.touch()
            try:
                self.pause(container_id)
            except (Conflict, Unsupported) as error:
                # It has ended just now, or nothing here can pause it.
                log.info("the container %s is not held while its files are read: %s", container_id, error)
                mark.unlink(missing_ok=True)
                return False
        return True

    def _let_go(self, container_id: str) -> None:
        """Let a container go on that was held, unless somebody did, or ended it."""
        try:
            with self._store.locked(container_id) as container:
                self._mark(container_id).unlink(missing_ok=True)
                if container.state.status is Status.PAUSED:
                    self.unpause(container_id)
        except (NotFound, Conflict) as error:
            log.info("the container %s was held and is not any more: %s", container_id, error)

    def _mark(self, container_id: str) -> Path:
        return self._shims.directory(container_id) / _HELD
