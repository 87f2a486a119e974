"""A dockerd to compare with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.peer import Peer
from testbed.registry import Registry


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Peer]:
    """A dockerd with busybox pulled."""
    with Peer(tmp_path_factory.mktemp("peer")) as peer:
        peer.docker("pull", "-q", registry.busybox)
        yield peer
