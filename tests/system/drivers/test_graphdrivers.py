"""The built-in graph drivers keep the contract of graph drivers."""

from __future__ import annotations

from transom.testing.graph import GraphDriverSuite
from transom_overlay.driver import OverlayDriver
from transom_vfs.driver import VfsDriver


class TestOverlay(GraphDriverSuite):
    driver_class = OverlayDriver


class TestVfs(GraphDriverSuite):
    driver_class = VfsDriver
