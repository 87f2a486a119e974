"""The built-in graph drivers keep the contract of graph drivers."""

from __future__ import annotations

from transom.testing.graph_endurance import GraphEnduranceSuite
from transom_overlay.driver import OverlayDriver
from transom_vfs.driver import VfsDriver


class TestOverlay(GraphEnduranceSuite):
    driver_class = OverlayDriver


class TestVfs(GraphEnduranceSuite):
    driver_class = VfsDriver
