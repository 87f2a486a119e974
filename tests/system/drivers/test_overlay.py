"""What is particular to the graph driver `overlay`: how it mounts, and where it says that it cannot work."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from transom.drivers.graph import GraphDriver
from transom.errors import DriverUnavailable
from transom.runtime.syscalls.mounts import is_mount_point, mount, umount2
from transom.testing.archives import file, layer_archive
from transom.testing.graph import GraphDriverSuite
from transom_overlay import mounting, probe
from transom_overlay.driver import OverlayDriver


@pytest.fixture
def driver(tmp_path: Path, private_mounts: None) -> OverlayDriver:
    return make(tmp_path)


def make(directory: Path) -> OverlayDriver:
    root, mounts = directory / "root", directory / "mounts"
    root.mkdir()
    mounts.mkdir()
    OverlayDriver.probe(root)
    return OverlayDriver(root, mounts)


class TestOverlayOnOldKernels(GraphDriverSuite):
    """The whole suite on the way that kernels before 6.8 go."""

    driver_class = OverlayDriver

    @pytest.fixture(autouse=True)
    def old_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        forget_lowerdir_by_fsconfig(monkeypatch)


def forget_lowerdir_by_fsconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel answer as one before 6.8."""

    def unknown(_filesystem: int, key: str, _value: object) -> None:
        raise OSError(errno.EINVAL, f"fsconfig {key}: Invalid argument")

    monkeypatch.setattr(mounting, "fsconfig_string", unknown)


def test_a_read_only_mount_refuses_writes(driver: GraphDriver) -> None:
    driver.create("one", None)
    with driver.mounted("one", read_only=True) as path, pytest.raises(OSError, match="Read-only"):
        (path / "file").touch()


def test_a_layer_that_was_left_mounted_read_only_becomes_writable_when_asked(driver: GraphDriver) -> None:
    driver.create("one", None)
    driver.mount("one", read_only=True)
    (driver.mount("one") / "file").touch()
    driver.unmount("one")


@pytest.mark.parametrize("name", ["comma,colon:back\\slash", "n" * 200, "space and ☃"])
def test_any_data_root_will_do(tmp_path: Path, private_mounts: None, name: str) -> None:
    directory = tmp_path / name / name
    directory.mkdir(parents=True)
    driver = make(directory)
    driver.create("parent", None)
    driver.apply("parent", layer_archive(file("inherited")))
    driver.create("child", "parent")
    with driver.mounted("child") as path:
        (path / "own").touch()
        assert {item.name for item in path.iterdir()} == {"inherited", "own"}


def test_questions_about_a_mounted_layer_leave_it_mounted(driver: GraphDriver) -> None:
    driver.create("parent", None)
    driver.create("child", "parent")
    path = driver.mount("child")
    (path / "file").touch()
    assert [change.path for change in driver.changes("child")] == [b"/file"]
    assert b"".join(driver.diff("child"))
    assert driver.usage("child").inodes == 1
    assert is_mount_point(path)
    assert [item.name for item in driver.mounts.iterdir()] == ["child"]
    driver.unmount("child")


def test_a_working_directory_is_not_changed_by_a_mount(driver: GraphDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Path.cwd()
    directories = [driver.root / name for name in ("a", "b")]
    for directory in directories:
        directory.mkdir()
    target = driver.mounts / "target"
    target.mkdir()
    mounting.mount_by_page(target, directories, None, None)
    umount2(target)
    assert Path.cwd() == before

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "mount: Input/output error")

    monkeypatch.setattr(mounting, "mount", failing)
    with pytest.raises(OSError, match="Input/output"):
        mounting.mount_by_page(target, directories, None, None)
    assert Path.cwd() == before
    assert [path.name for path in driver.mounts.iterdir()] == ["target"]


def test_recovery_takes_away_what_killed_mounts_and_probes_left(driver: OverlayDriver) -> None:
    driver.create("one", None)
    view = driver.mounts / ".view-left"
    view.mkdir()
    mount("tmpfs", view, "tmpfs", 0)
    links = driver.mounts / ".links-left"
    links.mkdir()
    (links / "0").symlink_to("nowhere")
    probed = driver.root / ".probe-left" / "target"
    probed.mkdir(parents=True)
    mount("tmpfs", probed, "tmpfs", 0)
    driver.recover({"one"})
    assert list(driver.mounts.iterdir()) == []
    assert [path.name for path in driver.root.iterdir()] == ["one"]


def test_a_root_on_overlayfs_is_refused_with_the_reason(driver: GraphDriver) -> None:
    driver.create("one", None)
    with driver.mounted("one") as path:
        with pytest.raises(DriverUnavailable, match=r"is on overlayfs itself.*data root"):
            OverlayDriver.probe(path)
        assert list(path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (errno.ENODEV, "the kernel has no overlayfs: run modprobe overlay"),
        (errno.EPERM, "no permission to mount overlayfs: run as root"),
        (errno.EINVAL, r"overlayfs cannot be mounted on .* \(extfs|tmpfs|xfs|btrfs\): "),
    ],
)
def test_what_stands_in_the_way_is_said_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int, reason: str
) -> None:
    def refuse(_target: Path, _lower: Sequence[Path], _upper: Path, _work: Path) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(probe, "mount_overlay", refuse)
    with pytest.raises(DriverUnavailable, match=reason) as failure:
        OverlayDriver.probe(tmp_path)
    assert failure.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("old", [False, True], ids=["lowerdir+", "short names"])
def test_a_layer_that_replaces_the_root_hides_all_below_it(
    driver: GraphDriver, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    if old:
        forget_lowerdir_by_fsconfig(monkeypatch)
    driver.create("below", None)
    driver.apply("below", layer_archive(file(b"hidden", b"old")))
    driver.create("replacing", "below")
    driver.apply("replacing", layer_archive(file(b".wh..wh..opq", b""), file(b"shown", b"new")))
    driver.create("above", "replacing")
    with driver.mounted("above") as path:
        assert [item.name for item in path.iterdir()] == ["shown"]
