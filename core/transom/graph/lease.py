"""Leases: they keep from garbage collection what no image refers to yet.

A job that makes an image opens a lease, says what it is about to make, makes it, and publishes the image that
refers to it all; then the lease goes. If the job fails or the engine is killed, a lease that is *resumable* stays
for a week, so that a second try finds what the first one made; any other goes at once, or at the next start.
"""

from __future__ import annotations

import time
from typing import Final

from transom.graph.content import Descriptor
from transom.graph.db import GraphDB, Node
from transom.graph.digest import Digest

__all__ = ["Lease", "end_old_leases"]

#: How long a lease whose job failed keeps what it holds, in nanoseconds: a week.
_LIFE: Final = 7 * 24 * 3600 * 10**9


class Lease:
    """A lease that is open. `ImageStore.lease` makes it."""

    def __init__(self, db: GraphDB, name: str, *, resumable: bool = True) -> None:
        self._db = db
        data = {"expires": time.time_ns() + _LIFE, "resumable": resumable}
        self._node = db.put("lease", name, data, root=True)

    def keep_blob(self, descriptor: Descriptor) -> None:
        """Keep a blob, which need not be there yet.

        Call it before looking whether the blob is there: from then on it stays.
        """
        data = {"media_type": descriptor.media_type, "size": descriptor.size}
        with self._db.transaction():
            self.keep(self._db.put("blob", descriptor.digest, data))

    def keep(self, node: Node) -> None:
        """Keep a node of the database and all that can be reached from it."""
        self._db.link(self._node, "keeps", node)

    def keep_if_known(self, digest: Digest) -> bool:
        """Keep a blob if the database knows it, and return whether it does. Then look whether it is there, whole."""
        with self._db.transaction():
            node = self._db.get("blob", digest)
            if node is not None:
                self.keep(node)
        return node is not None

    def blobs(self) -> tuple[Digest, ...]:
        """Return the digests of the blobs that it keeps."""
        return tuple(Digest(node.name) for node in self._db.targets(self._node, "keeps") if node.kind == "blob")

    def end(self) -> None:
        """Keep nothing any more."""
        self._db.remove("lease", self._node.name)


def end_old_leases(db: GraphDB, *, starting: bool = False) -> None:
    """End the leases whose time is over; when the engine is `starting`, also those that nobody can resume."""
    now = time.time_ns()
    for node in db.list("lease"):
        if node.data["expires"] < now or (starting and not node.data.get("resumable", True)):
            db.remove("lease", node.name)
