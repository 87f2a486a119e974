"""The conformance suite of volume drivers: `VolumeDriverSuite`. `transom.drivers.volume` is the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import InvalidParameter, NotFound
from transom.testing.trees import mounts_below

__all__ = ["VolumeDriverSuite"]


class VolumeDriverSuite:
    """Tests that every driver passes that makes volumes by name. A subclass names the driver.

    It may also override the fixture `storage`, a directory on the file system that the driver wants.
    """

    driver_class: ClassVar[type[VolumeDriver]]

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Path:
        """Where the driver's root is."""
        return tmp_path

    @pytest.fixture
    def driver(self, storage: Path, private_mounts: None) -> Iterator[VolumeDriver]:  # noqa: ARG002
        """A driver without volumes. At the end its volumes are removed."""
        root = storage / "root"
        root.mkdir()
        self.driver_class.probe(root)
        driver = self.driver_class(root)
        yield driver
        for volume in driver.list():
            driver.remove(volume.name)
        assert mounts_below(storage) == []

    def test_a_new_volume_is_an_empty_directory(self, driver: VolumeDriver) -> None:
        driver.create("data", {})
        path = driver.mount("data", "container")
        assert path.is_dir()
        assert list(path.iterdir()) == []
        driver.unmount("data", "container")

    def test_content_outlives_containers(self, driver: VolumeDriver) -> None:
        driver.create("data", {})
        (driver.mount("data", "one") / "file").write_text("content")
        driver.unmount("data", "one")
        assert (driver.mount("data", "two") / "file").read_text() == "content"
        driver.unmount("data", "two")

    def test_containers_share_a_volume(self, driver: VolumeDriver) -> None:
        driver.create("data", {})
        one, two = driver.mount("data", "one"), driver.mount("data", "two")
        (one / "file").write_text("of one")
        assert (two / "file").read_text() == "of one"
        driver.unmount("data", "one")
        assert (two / "file").read_text() == "of one"
        driver.unmount("data", "two")

    def test_a_second_mount_for_a_container_is_harmless(self, driver: VolumeDriver) -> None:
        driver.create("data", {})
        assert driver.mount("data", "one") == driver.mount("data", "one")
        driver.unmount("data", "one")
        driver.unmount("data", "one")

    def test_a_volume_that_exists_is_left_as_it_is(self, driver: VolumeDriver) -> None:
        driver.create("data", {})
        (driver.mount("data", "one") / "file").touch()
        driver.create("data", {})
        assert (driver.mount("data", "one") / "file").exists()
        driver.unmount("data", "one")

    def test_volumes_are_listed_by_name(self, driver: VolumeDriver) -> None:
        assert driver.list() == []
        for name in ("b", "a.1", "C_2"):
            driver.create(name, {})
        assert [volume.name for volume in driver.list()] == ["C_2", "a.1", "b"]
        assert isinstance(driver.get("b"), Volume)
        assert driver.get("b").name == "b"

    def test_a_removed_volume_leaves_nothing_behind(self, driver: VolumeDriver) -> None:
        before = set(driver.root.rglob("*"))
        driver.create("data", {})
        (driver.mount("data", "one") / "file").touch()
        driver.unmount("data", "one")
        driver.remove("data")
        assert set(driver.root.rglob("*")) == before
        assert driver.list() == []

    def test_removing_what_does_not_exist_is_harmless(self, driver: VolumeDriver) -> None:
        driver.remove("unknown")

    def test_a_volume_that_does_not_exist_is_not_found(self, driver: VolumeDriver) -> None:
        with pytest.raises(NotFound, match="unknown"):
            driver.get("unknown")
        with pytest.raises(NotFound, match="unknown"):
            driver.mount("unknown", "container")

    def test_a_wrong_option_is_refused_and_nothing_is_made(self, driver: VolumeDriver) -> None:
        with pytest.raises(InvalidParameter, match="no-such-option"):
            driver.create("data", {"no-such-option": "value"})
        assert driver.list() == []

    def test_another_driver_on_the_same_root_knows_the_volumes(self, driver: VolumeDriver) -> None:
        driver.create("data", {})
        (driver.mount("data", "one") / "file").touch()
        again = type(driver)(driver.root)
        assert (again.mount("data", "one") / "file").exists()
        again.unmount("data", "one")
        again.remove("data")
        assert again.list() == []
