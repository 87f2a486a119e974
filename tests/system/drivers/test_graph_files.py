"""Containers' files are, on each graph driver, as they are on a plain file system."""

from __future__ import annotations

from transom.testing.graph_files import GraphFilesSuite
from transom_fuse.driver import FuseDriver
from transom_overlay.driver import OverlayDriver
from transom_vfs.driver import VfsDriver


class TestFilesOfOverlay(GraphFilesSuite):
    driver_class = OverlayDriver


class TestFilesOfFuse(GraphFilesSuite):
    driver_class = FuseDriver


class TestFilesOfVfs(GraphFilesSuite):
    driver_class = VfsDriver
