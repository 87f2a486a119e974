"""Descriptors of the directories of a union, in each of its layers."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from transom.graph.trees import DIRECTORY
from transom_fuse.union.failures import failure
from transom_fuse.union.nodes import Directory

__all__ = ["Descriptors"]


class Descriptors:
    """Opens directories one part at a time from their layer's root, and keeps up to `most` open.

    A descriptor is valid until `most` others have been asked for.
    """

    def __init__(self, root: Directory, layers: Mapping[int, int], most: int) -> None:
        self._roots = {(root, layer): descriptor for layer, descriptor in layers.items()}
        self._open: dict[tuple[Directory, int], int] = {}
        self._most = most

    def find(self, directory: Directory, layer: int) -> int:
        """Return the descriptor of a directory's part in a layer. Raises `OSError`."""
        key = (directory, layer)
        if (root := self._roots.get(key)) is not None:
            return root
        descriptor = self._open.pop(key, -1)
        if descriptor >= 0:
            self._open[key] = descriptor
            return descriptor
        missing = [directory]
        while True:
            parent = missing[-1].names[0][0] if missing[-1].names else None
            if parent is None:
                raise failure(errno.ENOENT)
            descriptor = self._roots.get((parent, layer), self._open.get((parent, layer), -1))
            if descriptor >= 0:
                break
            missing.append(parent)
        for below in reversed(missing):
            descriptor = os.open(below.names[0][1], DIRECTORY, dir_fd=descriptor)
            self._keep((below, layer), descriptor)
        return descriptor

    def forget(self, directory: Directory) -> None:
        """Close what is open of a directory: it is gone, or has other layers now."""
        for layer in directory.layers:
            descriptor = self._open.pop((directory, layer), -1)
            if descriptor >= 0:
                os.close(descriptor)

    def close(self) -> None:
        """Close all, the layers' roots too."""
        for descriptor in (*self._open.values(), *self._roots.values()):
            os.close(descriptor)
        self._open.clear()
        self._roots.clear()

    def _keep(self, key: tuple[Directory, int], descriptor: int) -> None:
        self._open[key] = descriptor
        if len(self._open) > self._most:
            os.close(self._open.pop(next(iter(self._open))))
