"""Pulls that are interrupted: a killed daemon, a client that goes away, a full disk."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.registry import Registry
from transom.runtime.syscalls.mounts import MNT_DETACH, mount, umount2


@pytest.fixture(scope="module")
def large(registry: Registry) -> tuple[str, str]:
    """An image with 60 MB in three layers that do not compress: its reference, and the checksum of what is in it."""
    content = b"".join(os.urandom(20 << 20) for _ in range(3))
    layers = [content[start : start + (20 << 20)] for start in range(0, len(content), 20 << 20)]
    return registry.push_files("large", layers), hashlib.sha256(content).hexdigest()


def checksum(daemon: Daemon, image: str) -> str:
    return daemon.docker("run", "--rm", image, "sh", "-c", "cat /file0 /file1 /file2 | sha256sum").stdout.split()[0]


def test_a_pull_whose_daemon_is_killed_at_any_moment_goes_on_and_is_whole(
    own_daemon: Daemon, large: tuple[str, str]
) -> None:
    daemon, (image, expected) = own_daemon, large
    for delay in (0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        client = subprocess.Popen(["docker", "-H", daemon.host, "pull", "-q", image], stderr=subprocess.DEVNULL)
        time.sleep(delay)
        daemon.kill()
        reported = client.wait(60) == 0
        daemon.start()
        listed = daemon.docker("images", "-q", image).stdout.strip() != ""
        assert listed or not reported
        if listed:
            assert checksum(daemon, image) == expected
            daemon.docker("rmi", image)
    daemon.docker("pull", "-q", image)
    assert checksum(daemon, image) == expected
    assert list((daemon.data_root / "content" / "ingest").iterdir()) == []
    daemon.docker("rmi", image, daemon.busybox)
    assert list((daemon.data_root / "content" / "blobs" / "sha256").iterdir()) == []
    layers = [path.name for path in (daemon.data_root / "graph" / GRAPHDRIVER).iterdir() if len(path.name) == 64]
    assert layers == []


def test_a_pull_that_its_client_leaves_goes_on_where_it_stopped(own_daemon: Daemon, large: tuple[str, str]) -> None:
    daemon, (image, expected) = own_daemon, large
    client = subprocess.Popen(["docker", "-H", daemon.host, "pull", image], stdout=subprocess.DEVNULL)
    time.sleep(0.15)
    client.send_signal(signal.SIGINT)
    client.wait(30)
    daemon.docker("pull", "-q", image)
    assert checksum(daemon, image) == expected


@pytest.fixture
def small_daemon(tmp_path: Path, registry: Registry) -> Iterator[Daemon]:
    """A daemon whose data root is on a file system of 24 MB."""
    (tmp_path / "data").mkdir()
    mount("tmpfs", tmp_path / "data", "tmpfs", 0, "size=24m")
    try:
        with Daemon(tmp_path) as daemon:
            daemon.busybox = registry.busybox
            daemon.docker("pull", "-q", daemon.busybox)
            yield daemon
    finally:
        umount2(tmp_path / "data", MNT_DETACH)


def test_a_full_disk_is_said_and_what_was_there_still_works(small_daemon: Daemon, large: tuple[str, str]) -> None:
    daemon = small_daemon
    refused = daemon.docker("pull", "-q", large[0], check=False)
    assert refused.returncode == 1
    assert "no space left" in refused.stderr.lower()
    assert daemon.docker("images", "-q", large[0]).stdout == ""
    disk = os.statvfs(daemon.data_root)
    assert disk.f_bavail * disk.f_frsize > 15 << 20, "what the pull brought still fills the disk"
    assert daemon.docker("run", "--rm", daemon.busybox, "echo", "fine").stdout == "fine\n"


def test_a_container_that_fills_the_disk_with_its_log_runs_on(small_daemon: Daemon) -> None:
    daemon = small_daemon
    script = "yes 0123456789 | head -c 40000000 >&2; echo done"
    done = daemon.docker("run", "--name", "loud", daemon.busybox, "sh", "-c", script)
    assert done.stdout == "done\n"
    assert len(done.stderr) == 40_000_000
    daemon.docker("rm", "loud")
    assert daemon.docker("run", "--rm", daemon.busybox, "echo", "fine").stdout == "fine\n"
