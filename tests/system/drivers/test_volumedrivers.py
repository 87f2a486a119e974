"""The built-in volume drivers keep the contract of volume drivers, and mount what their options say."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

import transom_images
import transom_jsonfile
import transom_overlay
from testbed.image_archives import pack
from testbed.volume_plugin import VolumePlugin
from transom.config import Config
from transom.drivers.volume import VolumeDriver
from transom.engine import Engine
from transom.errors import Conflict, DriverFailed, InvalidParameter, NotFound, TransomError, Unavailable
from transom.runtime.syscalls.mounts import is_mount_point, umount2
from transom.testing.volume import VolumeDriverSuite
from transom_image.driver import ImageDriver, image_driver
from transom_named.driver import LocalDriver
from transom_remote.driver import RemoteDrivers
from transom_tmpfs.driver import TmpfsDriver

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


class TestTmpfs(VolumeDriverSuite):
    driver_class = TmpfsDriver

    def test_a_volume_has_the_size_the_mode_and_the_owner_that_were_asked_for(self, driver: VolumeDriver) -> None:
        driver.create("small", {"size": "64k", "mode": "1770", "uid": "12", "gid": "34"})
        path = driver.mount("small", "one")
        status = path.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1770, 12, 34)
        with pytest.raises(OSError, match="No space left"):
            (path / "file").write_bytes(os.urandom(1 << 17))

    def test_a_volume_that_was_lost_with_the_machine_is_empty_again(self, driver: VolumeDriver) -> None:
        driver.create("data", {"mode": "0700"})
        path = driver.mount("data", "one")
        (path / "file").touch()
        umount2(path)
        again = TmpfsDriver(driver.root).mount("data", "two")
        assert (list(again.iterdir()), again.stat().st_mode & 0o777) == ([], 0o700)

    def test_a_volume_that_somebody_works_in_is_not_removed(self, driver: VolumeDriver) -> None:
        driver.create("data", {})
        path = driver.mount("data", "one")
        with open(path / "file", "w"), pytest.raises(Conflict, match="remove data: volume is in use"):
            driver.remove("data")
        assert (path / "file").exists()

    @pytest.mark.parametrize(
        "options", [{"size": "0"}, {"size": "much"}, {"size": "1m,exec"}, {"mode": "9"}, {"uid": "root"}, {"gid": "-1"}]
    )
    def test_wrong_values_are_refused(self, driver: VolumeDriver, options: Mapping[str, str]) -> None:
        with pytest.raises(InvalidParameter, match=f"the option {next(iter(options))} of the volume driver tmpfs"):
            driver.create("data", options)
        assert driver.list() == []


class TestImage(VolumeDriverSuite):
    options: ClassVar[Mapping[str, str]] = {"image": "files:1"}

    #: A database must not be used in a process that was forked from its own.
    test_a_volume_whose_maker_was_killed_can_be_removed_and_made_again = None

    @pytest.fixture
    def engine(self, tmp_path: Path, private_mounts: None) -> Iterator[Engine]:
        """An engine that has an image."""
        config = Config(data_root=tmp_path / "data", exec_root=tmp_path / "run", graphdriver="overlay")
        with Engine(config, [transom_images, transom_jsonfile, transom_overlay]) as engine:
            archive = pack({"etc/name": b"of the image"})
            engine.job("image_import", input=io.BytesIO(archive), repository="files", tag="1").run()
            yield engine

    @pytest.fixture
    def driver(self, engine: Engine, tmp_path: Path) -> Iterator[VolumeDriver]:
        """The driver, whose volumes are recorded as the engine does it."""

        class Recorded(image_driver(engine)):  # type: ignore[misc] # a class that is made when it is asked for
            def create(self, name: str, options: Mapping[str, str]) -> None:
                engine.db.put("volume", name, {}, root=True)
                super().create(name, options)

            def remove(self, name: str) -> None:
                super().remove(name)
                engine.db.remove("volume", name)

        root = tmp_path / "root"
        root.mkdir()
        driver: ImageDriver = Recorded(root)
        yield driver
        for volume in driver.list():
            driver.remove(volume.name)

    def test_a_volume_has_the_images_files_and_keeps_them_without_the_image(
        self, driver: VolumeDriver, engine: Engine
    ) -> None:
        driver.create("data", self.options)
        engine.run("image_remove", name="files:1")
        engine.images.collect_garbage()
        path = driver.mount("data", "one")
        assert (path / "etc/name").read_text() == "of the image"
        with pytest.raises(OSError, match="Read-only"):
            (path / "etc/name").write_text("changed")
        driver.unmount("data", "one")
        assert not is_mount_point(path)
        driver.remove("data")
        engine.images.collect_garbage()
        assert engine.db.list("snapshot") == ()

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({}, InvalidParameter, "needs the option image: -o image=NAME"),
            ({"image": "unknown"}, NotFound, "No such image: unknown"),
            ({"image": "files:1", "graphdriver": "overlai"}, NotFound, "did you mean 'overlay'"),
        ],
    )
    def test_wrong_options_are_refused(
        self, driver: VolumeDriver, options: Mapping[str, str], error: type[TransomError], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            driver.create("data", options)
        assert driver.list() == []


class TestRemote(VolumeDriverSuite):
    #: A plugin answers every error in the same way.
    refusal = DriverFailed
    options: ClassVar[Mapping[str, str]] = {"colour": "red"}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Iterator[VolumePlugin]:
        """A plugin that runs."""
        with VolumePlugin(tmp_path / "plugin", tmp_path / "plugins" / "paint.sock") as plugin:
            yield plugin

    @pytest.fixture
    def storage(self, tmp_path: Path, plugin: VolumePlugin) -> Path:
        found = RemoteDrivers([tmp_path / "plugins"]).find("paint")
        assert found is not None
        type(self).driver_class = found
        return tmp_path

    def test_a_plugin_is_told_once_of_a_volume_and_once_of_each_user(
        self, driver: VolumeDriver, plugin: VolumePlugin
    ) -> None:
        for _ in range(2):
            driver.create("data", self.options)
        for container in ("one", "two", "one"):
            driver.mount("data", container)
        assert (plugin.called("Plugin.Activate"), plugin.called("VolumeDriver.Create")) == (1, 1)
        assert ("VolumeDriver.Create", {"Name": "data", "Opts": {"colour": "red"}}) in plugin.calls
        assert plugin.users == {"data": {"one", "two"}}
        for container in ("one", "two"):
            driver.unmount("data", container)
        assert plugin.users == {"data": set()}
