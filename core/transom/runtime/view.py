"""A container's file system as the engine itself looks at it: the root with what is mounted in it, unseen by others.

The mounts are made in a mount namespace of one thread (namespaces belong to threads, clone(2)), and go with it: nothing
is left on the machine, whatever becomes of the engine, and a running container notices nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from transom.errors import Conflict, StartFailed
from transom.runtime.rootfs import Rootfs
from transom.runtime.syscalls.processes import CLONE_NEWNS, setns, unshare

__all__ = ["View"]

T = TypeVar("T")


class View:
    """A view, which is there for the length of a `with` block, in a thread of its own.

    `mounts` are as in an OCI runtime's config.json; what they need to be mounted on is made in the root where it is
    missing. Entering raises `Conflict` if something cannot be mounted.
    """

    def __init__(self, rootfs: Path, mounts: Sequence[Mapping[str, Any]]) -> None:
        self._rootfs = Rootfs(
            {"root": {"path": str(rootfs)}, "linux": {"rootfsPropagation": "rprivate"}, "mounts": mounts}
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transom-view")
        self._outside = -1

    def __enter__(self) -> View:
        try:
            self._thread.submit(self._open).result()
        except BaseException as error:
            self.__exit__()
            if isinstance(error, StartFailed):
                raise Conflict(f"cannot look into the container: {error}") from error
            raise
        return self

    def run(self, work: Callable[[int], T]) -> T:
        """Call `work` in the view with a descriptor of its root, to be used with openat2(2), and return its result."""
        return self._thread.submit(work, self._rootfs.root).result()

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _open(self) -> None:
        self._outside = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        unshare(CLONE_NEWNS)
        self._rootfs.build()

    def _close(self) -> None:
        """Leave the namespace, so that its mounts are gone now and not only some time after the thread."""
        self._rootfs.close()
        if self._outside >= 0:
            setns(self._outside, CLONE_NEWNS)
            os.close(self._outside)
