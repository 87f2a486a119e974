"""Which graph driver is recommended, and by itself chosen, on the file systems that a data root may be on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.loop import file_system, mounted
from testbed.registry import Registry
from transom.catalog import Catalog, Recommendation

NO_OVERLAY = {
    "overlay": "is on overlayfs itself, which cannot hold the layers of another one: put the data root on",
    "ramfs": "(ramfs) cannot keep what a layer deletes: put the data root on a local file system such as ext4",
}


@contextmanager
def data_root(kind: str, directory: Path) -> Iterator[Path]:
    """A directory on a file system of a kind."""
    if kind in ("ext4", "xfs", "btrfs"):
        with file_system(kind, directory) as root:
            yield root
        return
    for name in ("lower", "upper", "work", kind):
        (directory / name).mkdir()
    layers = [f"{name}dir={directory / name}" for name in ("lower", "upper", "work")] if kind == "overlay" else []
    with mounted(kind, kind, directory / kind, *layers) as root:
        yield root


def recommend(kind: str, directory: Path) -> Recommendation:
    with data_root(kind, directory) as root:
        return Catalog(root).graph.recommend()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_overlay_is_recommended_where_it_works(kind: str, tmp_path: Path) -> None:
    found = recommend(kind, tmp_path)
    assert (found.name, found.others) == ("overlay", ())
    assert str(found) == "overlay: the kernel puts shared layers together, and copies a file when it is first changed"


@pytest.mark.parametrize("kind", ["overlay", "ramfs"])
def test_elsewhere_copies_are_recommended_and_it_is_said_why_no_better_driver_is(kind: str, tmp_path: Path) -> None:
    found = recommend(kind, tmp_path)
    assert found.name == "vfs"
    reasons = dict(found.others)
    assert list(reasons) == ["overlay", "btrfs", "fuse"]
    assert NO_OVERLAY[kind] in reasons["overlay"]
    assert "not on Btrfs" in reasons["btrfs"]
    assert "cannot keep what a layer deletes" in reasons["fuse"]


def test_where_no_better_driver_works_containers_run_on_copies_unasked(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Also where all tests are to run with another driver.
    monkeypatch.setattr("testbed.daemon._CHOSEN", "")
    with data_root("overlay", tmp_path) as root, Daemon(root) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        assert daemon.transom("run", "--rm", registry.busybox, "echo", "here").stdout == "here\n"
        info = json.loads(daemon.transom("info", "--format", "{{json .}}").stdout)
        assert info["Driver"] == "vfs"
        assert info["RecommendedDriver"]["Name"] == "vfs"
        said = daemon.transom("info").stdout
        assert "Recommended Driver: vfs: it works on every file system, by copying; overlay cannot work here: " in said
        refused = daemon.transom("run", "--graphdriver", "overlay", registry.busybox, "true", check=False)
        assert "the graph driver 'overlay' cannot work here: " in refused.stderr
