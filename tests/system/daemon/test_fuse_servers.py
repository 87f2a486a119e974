"""Containers on the graph driver `fuse` live with the process that shows their files, not with the daemon."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.fuse import kill_server
from testbed.registry import Registry
from transom.runtime.syscalls.mounts import MNT_DETACH, mount, umount2


@pytest.fixture
def fuse_daemon(tmp_path: Path, registry: Registry) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--graphdriver", "fuse") as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        yield daemon


def first_line(daemon: Daemon, *arguments: str) -> str:
    """Return the first line of a command that would go on."""
    command = [str(TRANSOM), "-H", daemon.host, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.kill()
    return line


def test_a_container_outlives_the_daemon_and_is_started_again_when_its_server_was_killed(fuse_daemon: Daemon) -> None:
    daemon = fuse_daemon
    container = daemon.transom("run", "-d", "--name", "box", daemon.busybox, "sleep", "1000").stdout.strip()
    daemon.transom("exec", "box", "sh", "-c", "echo kept > /file")
    daemon.kill()
    daemon.start()
    assert daemon.transom("exec", "box", "cat", "/file").stdout == "kept\n"
    kill_server(daemon.exec_root / "mounts" / "fuse", container)
    failed = daemon.transom("exec", "box", "cat", "/file", check=False)
    assert failed.returncode == 126
    assert "endpoint is not connected" in failed.stdout
    event = json.loads(
        first_line(daemon, "events", "--format", "json", "--since", "1h", "--filter", "event=mount_lost")
    )
    assert (event["Type"], event["Actor"]["ID"]) == ("container", container)
    assert event["Actor"]["Attributes"] == {"name": "box", "driver": "fuse"}
    daemon.transom("restart", "-t", "0", "box")
    assert daemon.transom("exec", "box", "cat", "/file").stdout == "kept\n"
    # And if both were killed.
    daemon.kill()
    kill_server(daemon.exec_root / "mounts" / "fuse", container)
    daemon.start()
    daemon.transom("restart", "-t", "0", "box")
    assert daemon.transom("exec", "box", "cat", "/file").stdout == "kept\n"


def test_a_full_disk_is_an_error_to_the_writer_in_a_container(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "data").mkdir()
    mount("tmpfs", tmp_path / "data", "tmpfs", 0, "size=24m")
    with Daemon(tmp_path, "--graphdriver", "fuse") as daemon:
        script = "dd if=/dev/zero of=/large bs=64k; echo $?; rm /large; cp /bin/busybox /copy; echo $?; mv /etc /other"
        done = daemon.transom("run", "--rm", registry.busybox, "sh", "-c", f"{script}; echo $?")
        assert done.stdout == "1\n0\n0\n"
        assert done.stderr.count("No space left on device") == 1
    umount2(tmp_path / "data", MNT_DETACH)
