"""The graph driver `fuse` keeps its contract where there is libfuse 2 alone."""

from __future__ import annotations

import pytest

from transom.testing.graph import GraphDriverSuite
from transom_fuse.driver import FuseDriver


@pytest.fixture(autouse=True)
def libfuse_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSE_LIBRARY_PATH", "libfuse.so.2")


@pytest.mark.exhaustive
class TestFuseOnLibfuse2(GraphDriverSuite):
    driver_class = FuseDriver
