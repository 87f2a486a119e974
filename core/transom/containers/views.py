"""The files of containers, running or not, as jobs read and change them: who looks at which, and for how long.

A container's lock is held only while its file system is brought together, so that whoever reads slowly does not keep it
from being started or stopped. One that is removed is taken from those who look at it: their jobs are cancelled.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from transom.containers.model import Container, Status
from transom.containers.preparation import Preparation
from transom.containers.spec import view_mounts
from transom.errors import Conflict
from transom.runtime.view import View

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["Views"]


class Views:
    """All who look at containers' files in one engine."""

    def __init__(self, engine: Engine, preparation: Preparation) -> None:
        self._engine = engine
        self._preparation = preparation
        self._changed = threading.Condition()
        self._jobs: dict[str, list[Job]] = {}

    @contextmanager
    def layer(self, job: Job, name: str) -> Iterator[tuple[Container, Path]]:
        """Give a container and the root of its own file system, in which nothing is mounted.

        Raises `NotFound`, and `Conflict` if it is being removed.
        """
        with ExitStack() as stack:
            with self._engine.containers.locked(name) as container:
                root = self._enter(stack, job, container)
            yield container, root

    @contextmanager
    def open(self, job: Job, name: str) -> Iterator[tuple[Container, View]]:
        """Give a container and a view of its files with its binds and volumes; what only its process has, as a tmpfs
        or /proc, is not there.

        Raises `NotFound`, and `Conflict` if it is being removed or its mounts cannot be mounted.
        """
        with ExitStack() as stack:
            with self._engine.containers.locked(name) as container:
                root = self._enter(stack, job, container)
                # The view's own mounts keep the volumes' content there.
                with self._preparation.located(container) as mounts:
                    view = stack.enter_context(View(root, view_mounts(mounts, self._preparation.files(container))))
            yield container, view

    def end(self, container_id: str) -> None:
        """Cancel the jobs that look at a container's files, and wait until none does. The caller holds its lock."""
        with self._changed:
            for job in self._jobs.get(container_id, ()):
                job.cancel()
            self._changed.wait_for(lambda: container_id not in self._jobs)

    def _enter(self, stack: ExitStack, job: Job, container: Container) -> Path:
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(f"the files of the container {container.id} are being removed with it")
        with self._changed:
            self._jobs.setdefault(container.id, []).append(job)
        stack.callback(self._leave, job, container)
        root = self._engine.layers.mount(container.graphdriver, container.id)
        stack.callback(self._engine.layers.unmount, container.graphdriver, container.id)
        return root

    def _leave(self, job: Job, container: Container) -> None:
        with self._changed:
            jobs = self._jobs[container.id]
            jobs.remove(job)
            if not jobs:
                del self._jobs[container.id]
                self._changed.notify_all()
