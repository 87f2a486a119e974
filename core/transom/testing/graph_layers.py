"""What the tests of graph drivers stand on: `LayerSuite`, which makes layers and looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.graph import GraphDriver
from transom.testing.archives import Member, layer_archive
from transom.testing.trees import Description, describe, mounts_below

__all__ = ["LayerSuite"]


class LayerSuite:
    """A driver and its layers. A subclass names the driver.

    It may also override the fixture `storage`, a directory on the file system that the driver wants.
    """

    driver_class: ClassVar[type[GraphDriver]]
    open: list[GraphDriver]

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Path:
        """Where the driver's root is."""
        return tmp_path

    @pytest.fixture
    def driver(self, storage: Path, private_mounts: None) -> Iterator[GraphDriver]:  # noqa: ARG002
        """A driver without layers. At the end everything that it has is unmounted and removed."""
        root, mounts = storage / "root", storage / "mounts"
        root.mkdir()
        mounts.mkdir()
        self.driver_class.probe(root)
        assert list(root.iterdir()) == []
        driver = self.driver_class(root, mounts)
        self.open = [driver]
        yield driver
        driver.recover(())
        for each in self.open:
            each.close()
        assert mounts_below(storage) == []

    def reopened(self, driver: GraphDriver) -> GraphDriver:
        """Return a driver as another engine with the same directories would have it."""
        again = type(driver)(driver.root, driver.mounts)
        self.open.append(again)
        return again

    def make(self, driver: GraphDriver, layer: str, parent: str | None, *members: Member) -> None:
        """Make a layer from an archive."""
        driver.create(layer, parent)
        driver.apply(layer, layer_archive(*members))

    def tree(self, driver: GraphDriver, layer: str) -> dict[bytes, Description]:
        """Return what a layer shows."""
        with driver.mounted(layer, read_only=True) as path:
            return describe(path)

    def names(self, driver: GraphDriver, layer: str) -> set[bytes]:
        """Return the paths that a layer shows."""
        return set(self.tree(driver, layer)) - {b""}
