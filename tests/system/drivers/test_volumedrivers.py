"""The volume driver `local` keeps the contract of volume drivers, and mounts what its options say."""

from __future__ import annotations

from pathlib import Path

import pytest

from transom.drivers.volume import VolumeDriver
from transom.errors import Conflict, Unavailable
from transom.runtime.syscalls.mounts import is_mount_point, umount2
from transom.testing.volume import VolumeDriverSuite
from transom_named.driver import LocalDriver

TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=0711,noexec"}


class TestLocal(VolumeDriverSuite):
    driver_class = LocalDriver

    def test_a_volume_with_options_is_mounted_while_a_container_uses_it(self, driver: VolumeDriver) -> None:
        driver.create("scratch", TMPFS)
        path = driver.get("scratch").mountpoint
        assert path is not None
        assert not is_mount_point(path)
        assert driver.mount("scratch", "one") == path == driver.mount("scratch", "two")
        assert path.stat().st_mode & 0o777 == 0o711
        (path / "file").touch()
        driver.unmount("scratch", "one")
        assert (path / "file").exists()
        driver.unmount("scratch", "two")
        assert not is_mount_point(path)

    def test_users_are_remembered_by_the_next_engine(self, driver: VolumeDriver) -> None:
        driver.create("scratch", TMPFS)
        path = driver.mount("scratch", "one")
        again = LocalDriver(driver.root)
        again.mount("scratch", "one")
        again.mount("scratch", "two")
        again.unmount("scratch", "two")
        assert is_mount_point(path)
        again.unmount("scratch", "one")
        assert not is_mount_point(path)

    def test_users_of_before_a_restart_of_the_machine_are_forgotten(self, driver: VolumeDriver) -> None:
        driver.create("scratch", TMPFS)
        path = driver.mount("scratch", "gone")
        umount2(path)
        driver.mount("scratch", "one")
        driver.unmount("scratch", "one")
        assert not is_mount_point(path)

    def test_a_mounted_volume_in_use_is_not_removed(self, driver: VolumeDriver) -> None:
        driver.create("scratch", TMPFS)
        path = driver.mount("scratch", "one")
        with pytest.raises(Conflict, match="remove scratch: volume is in use"):
            driver.remove("scratch")
        assert is_mount_point(path)
        driver.unmount("scratch", "one")

    def test_a_read_only_bind_shows_a_directory_and_refuses_writes(self, driver: VolumeDriver, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.mkdir()
        (source / "file").write_text("content")
        driver.create("bound", {"type": "none", "device": str(source), "o": "bind,ro"})
        path = driver.mount("bound", "one")
        assert (path / "file").read_text() == "content"
        with pytest.raises(OSError, match="Read-only"):
            (path / "new").touch()
        driver.unmount("bound", "one")
        driver.remove("bound")
        assert (source / "file").exists()

    def test_what_cannot_be_mounted_is_said_and_leaves_no_user(self, driver: VolumeDriver) -> None:
        driver.create("broken", {"type": "ext4", "device": "/nonexistent", "o": "password=secret"})
        with pytest.raises(Unavailable, match="failed to mount local volume: mount /nonexistent:") as failure:
            driver.mount("broken", "one")
        assert "secret" not in str(failure.value)
        assert list((driver.root / "broken" / "users").iterdir()) == []
