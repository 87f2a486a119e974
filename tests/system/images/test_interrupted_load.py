"""Loads and imports that are interrupted: a killed daemon, a client that goes away, a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.image_archives import ImageParts, oci_layout, pack
from testbed.registry import Registry
from transom.runtime.syscalls.mounts import MNT_DETACH, mount, umount2


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of an image of three layers of 10 MB each."""
    layers = [pack({f"file{index}": os.urandom(10 << 20)}) for index in range(3)]
    path = tmp_path_factory.mktemp("archive") / "large.tar"
    path.write_bytes(pack(oci_layout(ImageParts(layers, ["large:1"]))))
    return path


def stored(daemon: Daemon) -> tuple[set[str], set[str]]:
    """The names of all files in the content store, and of all layers of images."""
    content = {path.name for path in (daemon.data_root / "content").rglob("*") if path.is_file()}
    return content, {
        path.name for path in (daemon.data_root / "graph").glob(f"{GRAPHDRIVER}/*") if len(path.name) == 64
    }


def test_a_load_whose_daemon_is_killed_at_any_moment_leaves_all_or_nothing(
    own_daemon: Daemon, archive: Path, tmp_path: Path
) -> None:
    daemon = own_daemon
    before = stored(daemon)
    for delay in (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5):
        client = subprocess.Popen([TRANSOM, "-H", daemon.host, "load", "-i", archive], stderr=subprocess.DEVNULL)
        time.sleep(delay)
        daemon.kill()
        reported = client.wait(60) == 0
        daemon.start()
        listed = daemon.transom("images", "-q", "large:1").stdout.strip() != ""
        assert listed or not reported
        if listed:
            daemon.transom("save", "-o", str(tmp_path / "saved.tar"), "large:1")
            daemon.transom("rmi", "large:1")
        assert stored(daemon) == before


def test_a_load_that_its_client_leaves_leaves_nothing(own_daemon: Daemon, archive: Path) -> None:
    before = stored(own_daemon)
    content = archive.read_bytes()
    client = subprocess.Popen([TRANSOM, "-H", own_daemon.host, "load"], stdin=subprocess.PIPE)
    assert client.stdin is not None
    client.stdin.write(content[: 15 << 20])
    client.stdin.flush()
    client.send_signal(signal.SIGKILL)
    client.wait(30)
    client.stdin.close()
    end = time.monotonic() + 30
    while stored(own_daemon) != before:
        assert time.monotonic() < end, "what the client had sent is still there"
        time.sleep(0.02)
    assert "large" not in own_daemon.transom("images").stdout


@pytest.fixture
def small_daemon(tmp_path: Path, registry: Registry) -> Iterator[Daemon]:
    """A daemon whose data root is on a file system of 24 MB."""
    (tmp_path / "data").mkdir()
    mount("tmpfs", tmp_path / "data", "tmpfs", 0, "size=24m")
    with Daemon(tmp_path) as daemon:
        yield daemon
    umount2(tmp_path / "data", MNT_DETACH)


@pytest.mark.parametrize("command", [["load"], ["import", "-"]])
def test_a_full_disk_leaves_nothing_and_is_free_again(
    small_daemon: Daemon, registry: Registry, archive: Path, command: list[str]
) -> None:
    before = stored(small_daemon)
    done = small_daemon.transom(*command, input=archive.read_bytes(), check=False)
    assert done.returncode == 1
    assert "no space left on device" in done.stderr
    assert stored(small_daemon) == before
    small_daemon.transom("pull", "-q", registry.busybox)
