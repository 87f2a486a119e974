"""The conformance suite of volume drivers: `VolumeDriverSuite`. `transom.drivers.volume` is the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import InvalidParameter, NotFound, TransomError
from transom.testing.interruption import count_steps, kill_at_step, spread
from transom.testing.trees import mounts_below

__all__ = ["VolumeDriverSuite"]


class VolumeDriverSuite:
    """Tests that every driver passes that makes volumes by name. A subclass names the driver.

    It may also override the fixture `storage`, a directory on the file system that the driver wants.
    """

    driver_class: ClassVar[type[VolumeDriver]]
    #: The options of the volumes that the tests make.
    options: ClassVar[Mapping[str, str]] = {}
    #: What a wrong option raises: another process may not say what kind of error it has.
    refusal: ClassVar[type[TransomError]] = InvalidParameter

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

    def make(self, driver: VolumeDriver, name: str) -> None:
        """Make a volume."""
        driver.create(name, self.options)

    def mark(self, driver: VolumeDriver, path: Path, name: str = "file") -> set[str]:
        """Write a file into a volume, which is refused where it can only be read, and return what is in it."""
        if driver.read_only:
            with pytest.raises(OSError, match="Read-only"):
                (path / name).touch()
        else:
            (path / name).write_text(name)
        return self.names(path)

    def names(self, path: Path) -> set[str]:
        """Return the names in a directory."""
        return {item.name for item in path.iterdir()}

    # The life of a volume

    def test_a_new_volume_is_a_directory_and_empty_where_it_can_be_filled(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        path = driver.mount("data", "container")
        assert path.is_dir()
        assert driver.read_only or self.names(path) == set()
        driver.unmount("data", "container")

    def test_content_outlives_containers(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        content = self.mark(driver, driver.mount("data", "one"))
        driver.unmount("data", "one")
        assert self.names(driver.mount("data", "two")) == content
        driver.unmount("data", "two")

    def test_containers_share_a_volume(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        one, two = driver.mount("data", "one"), driver.mount("data", "two")
        content = self.mark(driver, one)
        assert self.names(two) == content
        driver.unmount("data", "one")
        assert self.names(two) == content
        driver.unmount("data", "two")

    def test_volumes_do_not_share(self, driver: VolumeDriver) -> None:
        self.make(driver, "one")
        self.make(driver, "two")
        before = self.names(driver.mount("two", "container"))
        self.mark(driver, driver.mount("one", "container"))
        assert self.names(driver.mount("two", "container")) == before
        driver.unmount("one", "container")
        driver.unmount("two", "container")

    def test_a_second_mount_for_a_container_is_harmless(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        path = driver.mount("data", "one")
        content = self.mark(driver, path)
        assert driver.mount("data", "one") == path
        assert self.names(path) == content
        driver.unmount("data", "one")
        driver.unmount("data", "one")

    def test_unmounting_what_was_not_mounted_is_harmless(self, driver: VolumeDriver) -> None:
        driver.unmount("unknown", "container")
        self.make(driver, "data")
        driver.unmount("data", "container")
        path = driver.mount("data", "one")
        content = self.mark(driver, path)
        driver.unmount("data", "another")
        assert self.names(path) == content
        driver.unmount("data", "one")

    def test_a_volume_that_exists_is_left_as_it_is(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        content = self.mark(driver, driver.mount("data", "one"))
        self.make(driver, "data")
        assert self.names(driver.mount("data", "one")) == content
        driver.unmount("data", "one")

    def test_a_mountpoint_that_is_known_is_where_it_is_mounted(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        path = driver.mount("data", "one")
        assert driver.get("data").mountpoint == path
        driver.unmount("data", "one")

    @pytest.mark.parametrize("name", ["aa", "0.1", "Data_1-x", "0123456789abcdef" * 15])
    def test_volumes_have_names_of_2_to_240_characters(self, driver: VolumeDriver, name: str) -> None:
        self.make(driver, name)
        assert driver.mount(name, "container").is_dir()
        driver.unmount(name, "container")

    def test_volumes_are_listed_by_name(self, driver: VolumeDriver) -> None:
        assert driver.list() == []
        for name in ("b", "a.1", "C_2"):
            self.make(driver, name)
        assert [volume.name for volume in driver.list()] == ["C_2", "a.1", "b"]
        assert isinstance(driver.get("b"), Volume)
        assert driver.get("b").name == "b"

    def test_a_removed_volume_leaves_nothing_behind(self, driver: VolumeDriver) -> None:
        before = set(driver.root.rglob("*"))
        self.make(driver, "data")
        self.mark(driver, driver.mount("data", "one"))
        driver.unmount("data", "one")
        driver.remove("data")
        assert set(driver.root.rglob("*")) == before
        assert driver.list() == []

    def test_a_removed_name_begins_anew(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        before = self.names(driver.mount("data", "one"))
        self.mark(driver, driver.mount("data", "one"))
        driver.unmount("data", "one")
        driver.remove("data")
        self.make(driver, "data")
        assert self.names(driver.mount("data", "one")) == before
        driver.unmount("data", "one")

    def test_removing_what_does_not_exist_is_harmless(self, driver: VolumeDriver) -> None:
        driver.remove("unknown")

    # What is refused

    def test_a_volume_that_does_not_exist_is_not_found(self, driver: VolumeDriver) -> None:
        with pytest.raises(NotFound, match="unknown"):
            driver.get("unknown")
        with pytest.raises(NotFound, match="unknown"):
            driver.mount("unknown", "container")

    def test_a_wrong_option_is_refused_and_nothing_is_made(self, driver: VolumeDriver) -> None:
        with pytest.raises(self.refusal, match="no-such-option"):
            driver.create("data", {**self.options, "no-such-option": "value"})
        assert driver.list() == []

    # Many, and other engines

    def test_another_driver_on_the_same_root_knows_the_volumes(self, driver: VolumeDriver) -> None:
        self.make(driver, "data")
        content = self.mark(driver, driver.mount("data", "one"))
        again = type(driver)(driver.root)
        assert self.names(again.mount("data", "one")) == content
        again.unmount("data", "one")
        again.remove("data")
        assert again.list() == []

    def test_many_threads_work_on_different_volumes(self, driver: VolumeDriver) -> None:
        def live(number: int) -> bool:
            name = f"volume-{number}"
            self.make(driver, name)
            content = self.mark(driver, driver.mount(name, "container"), name)
            there = self.names(driver.mount(name, "container")) == content
            driver.unmount(name, "container")
            driver.remove(name)
            return there

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(live, range(16)))
        assert driver.list() == []

    def test_a_volume_whose_maker_was_killed_can_be_removed_and_made_again(self, driver: VolumeDriver) -> None:
        def live() -> None:
            self.make(driver, "half")
            driver.mount("half", "container")
            driver.unmount("half", "container")
            driver.remove("half")

        before = set(driver.root.rglob("*"))
        for step in spread(count_steps(live), 12):
            kill_at_step(step, live)
            again = type(driver)(driver.root)
            # What the engine does at its next start: nothing uses the volume, and it was not made.
            again.unmount("half", "container")
            again.remove("half")
            assert set(driver.root.rglob("*")) == before, f"killed at step {step}"
            assert again.list() == []
