"""Leases: they keep from garbage collection what no image refers to yet.

A job that makes an image opens a lease, says what it is about to make, makes it, and publishes the image that
refers to it all; then the lease goes. If the job fails or the engine is killed, the lease stays for a week, so
that a second try finds what the first one made.
"""

from __future__ import annotations

from typing import Final

from transom.graph.content import Descriptor
from transom.graph.db import GraphDB, Node

__all__ = ["LEASE_LIFE", "Lease"]

#: How long a lease whose job failed keeps what it holds, in nanoseconds: a week.
LEASE_LIFE: Final = 7 * 24 * 3600 * 10**9


class Lease:
    """A lease that is open. `ImageStore.lease` makes it."""

    def __init__(self, db: GraphDB, name: str) -> None: ...

    def keep_blob(self, descriptor: Descriptor) -> None:
        """Keep a blob, which need not be there yet.

        Call it before looking whether the blob is there: from then on it stays.
        """

    def keep(self, node: Node) -> None:
        """Keep a node of the database and all that can be reached from it."""
