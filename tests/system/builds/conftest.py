"""What tests of builds share: an engine with a busybox image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.builds import Builder, running
from testbed.registry import Registry


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Builder]:
    """An engine that a module's tests share; at the end no build has left anything."""
    with running(tmp_path_factory.mktemp("builder"), registry.busybox) as builder:
        yield builder
        assert builder.left() == []
