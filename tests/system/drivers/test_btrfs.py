"""The graph driver `btrfs` keeps the contract of graph drivers, and what is particular to it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.loop import btrfs
from testbed.registry import Registry
from testbed.waiting import wait_for
from transom.drivers.graph import GraphDriver
from transom.errors import DriverUnavailable
from transom.graph.trees import DIRECTORY
from transom.runtime.syscalls.btrfs import create_subvolume, is_subvolume, start_cleaning, subvolume_id
from transom.testing.archives import file
from transom.testing.graph_endurance import GraphEnduranceSuite
from transom.testing.graph_files import GraphFilesSuite
from transom_btrfs.driver import BtrfsDriver


@pytest.fixture(scope="module")
def file_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Btrfs file system."""
    with btrfs(tmp_path_factory.mktemp("loop")) as path:
        yield path


class TestFilesOfBtrfs(GraphFilesSuite):
    driver_class = BtrfsDriver

    @pytest.fixture(scope="class")
    @classmethod
    def file_storage(cls, file_system: Path, private_mounts: None) -> Path:
        storage = file_system / "files"
        storage.mkdir()
        return storage


class TestBtrfs(GraphEnduranceSuite):
    driver_class = BtrfsDriver

    @pytest.fixture
    def storage(self, file_system: Path, tmp_path: Path) -> Path:
        storage = file_system / tmp_path.name
        storage.mkdir()
        return storage

    def test_a_layer_is_a_subvolume_and_shares_what_its_parent_has(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("file", os.urandom(1 << 20)))
        driver.create("child", "parent")
        paths = [driver.mount(layer) / "file" for layer in ("parent", "child")]
        assert all(is_subvolume(path.parent.stat()) for path in paths)
        assert len({path.stat().st_dev for path in paths}) == 2

    def test_subvolumes_that_a_container_made_go_with_its_layer(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        tree = driver.mount("one")
        directories = [tree, tree / "a" / "b", tree / "a" / "b" / "sub0", tree / "a" / "b" / "sub0" / "sub0"]
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory, DIRECTORY)
            for number in range(300 if directory == tree else 2):
                create_subvolume(descriptor, b"sub%d" % number)
                (directory / f"sub{number}" / "file").touch()
            os.close(descriptor)
        driver.remove("one")
        assert list(driver.root.iterdir()) == []

    def test_what_a_build_puts_into_subvolumes_of_its_own_is_in_the_layers_above(self, driver: GraphDriver) -> None:
        driver.create("written", None)
        tree = driver.mount("written")
        descriptor = os.open(tree, DIRECTORY)
        create_subvolume(descriptor, b"own")
        os.close(descriptor)
        (tree / "own" / "file").write_text("content")
        driver.create("next", "written")
        assert (driver.mount("next") / "own" / "file").read_text() == "content"
        driver.seal("written", "sealed", None)
        driver.create("child", "sealed")
        assert (driver.mount("child") / "own" / "file").read_text() == "content"

    def test_the_qgroup_of_a_limited_layer_goes_with_it(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        driver.limit("one", 1 << 20)
        descriptor = os.open(driver.mount("one"), DIRECTORY)
        number = subvolume_id(descriptor)
        os.close(descriptor)
        driver.remove("one")
        wait_for(lambda: number not in qgroups(driver.root))

    def test_a_limited_layer_that_was_half_made_goes_at_the_next_start(self, driver: GraphDriver) -> None:
        driver.create("one", None)
        driver.limit("one", 1 << 20)
        driver.recover(())
        assert list(driver.root.iterdir()) == []


def qgroups(path: Path) -> set[int]:
    """Return the numbers of the subvolumes that a file system has qgroups of, without those that are gone for good."""
    root = os.open(path, DIRECTORY)
    start_cleaning(root)
    os.close(root)
    command = ["btrfs", "qgroup", "show", "--raw", str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {int(line.split()[0].partition("/")[2]) for line in lines if line.startswith("0/")}


def test_elsewhere_it_says_where_it_works(tmp_path: Path) -> None:
    with pytest.raises(DriverUnavailable, match=r"not on Btrfs: put the data root on a Btrfs file system"):
        BtrfsDriver.probe(tmp_path)


def test_containers_run_on_it_and_leave_nothing(file_system: Path, registry: Registry) -> None:
    directory = file_system / "daemon"
    directory.mkdir()
    with Daemon(directory, "--graphdriver", "btrfs") as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.transom("run", "--name", "one", registry.busybox, "sh", "-c", "echo new > /file; rm /etc/passwd")
        assert set(daemon.transom("diff", "one").stdout.split("\n")) >= {"A /file", "D /etc/passwd"}
        daemon.transom("commit", "one", "changed")
        daemon.transom("rm", "one")
        assert daemon.transom("run", "--rm", "changed", "cat", "/file").stdout == "new\n"
        info = json.loads(daemon.transom("info", "--format", "{{json .}}").stdout)
        assert info["Driver"] == "btrfs"
        status = dict(info["DriverStatus"])
        assert status["Backing Filesystem"] == "btrfs"
        # overlayfs works on Btrfs too, and is the better choice for most.
        assert (info["RecommendedDriver"]["Name"], info["RecommendedDriver"]["Others"]) == ("overlay", [])
        assert status["Recommended Driver"].startswith("overlay: ")
        check_sizes(daemon, registry.busybox)
        daemon.transom("rmi", "-f", "changed", registry.busybox)
        assert list((daemon.data_root / "graph" / "btrfs").iterdir()) == []


def check_sizes(daemon: Daemon, image: str) -> None:
    """Check what `--storage-opt size=` does, and does not."""
    write = ["sh", "-c", "dd if=/dev/urandom of=/large bs=1M count=40 conv=fsync; echo small > /small && cat /small"]
    limited = daemon.transom("run", "--name", "limited", "--storage-opt", "size=20m", image, *write, check=False)
    assert "Disk quota exceeded" in limited.stderr
    shown = json.loads(daemon.transom("inspect", "limited").stdout)[0]
    assert shown["HostConfig"]["StorageOpt"] == {"size": "20m"}
    daemon.transom("rm", "limited")
    for size, message in (("much", "invalid size: 'much'"), ("0", "need some space")):
        refused = daemon.transom("create", "--storage-opt", f"size={size}", image, check=False)
        assert (refused.returncode, message in refused.stderr) == (1, True)
    other = daemon.transom("create", "--storage-opt", "size=20m", "--graphdriver", "vfs", image, check=False)
    assert "the graph driver 'vfs' cannot limit the size of a container's files" in other.stderr
    assert "choose one that can (btrfs)" in other.stderr
    assert daemon.transom("ps", "-aq").stdout == ""
