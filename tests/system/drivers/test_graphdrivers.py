"""The built-in graph drivers keep the contract of graph drivers."""

from __future__ import annotations

from transom.testing.graph_endurance import GraphEnduranceSuite
from transom_fuse.driver import FuseDriver
from transom_overlay.driver import OverlayDriver
from transom_vfs.driver import VfsDriver


class TestOverlay(GraphEnduranceSuite):
    driver_class = OverlayDriver


class TestFuse(GraphEnduranceSuite):
    driver_class = FuseDriver


class TestVfs(GraphEnduranceSuite):
    driver_class = VfsDriver
