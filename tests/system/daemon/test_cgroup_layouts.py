"""Containers on each layout of control groups that machines have, made up in a mount namespace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.host import CGROUP_PARENT
from testbed.registry import Registry

LAYOUTS = {
    "v2": "mount -t cgroup2 none /sys/fs/cgroup",
    "v1": "mount -t tmpfs none /sys/fs/cgroup/unified",
    "none": "mount -t tmpfs none /sys/fs/cgroup",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("execdriver", ["namespaces", "chroot"])
def test_a_container_lives_and_ends_whole(tmp_path: Path, registry: Registry, layout: str, execdriver: str) -> None:
    wrapper = ["unshare", "--mount", "sh", "-c", f'{LAYOUTS[layout]} && exec "$@"', "sh"]
    with Daemon(tmp_path, "--execdriver", execdriver, wrapper=wrapper) as daemon:
        daemon.docker("pull", "-q", registry.busybox)
        script = "sleep 71000 & echo $! > /background; sleep 71000"
        daemon.docker("run", "-d", "--name", "one", registry.busybox, "sh", "-c", script)
        assert daemon.docker("exec", "one", "echo", "in").stdout == "in\n"
        daemon.docker("exec", "-d", "one", "sleep", "72000")
        init = json.loads(daemon.docker("inspect", "one").stdout)[0]["State"]["Pid"]
        groups = Path(f"/proc/{init}/cgroup").read_text()
        assert (CGROUP_PARENT in groups) is (layout != "none")
        daemon.docker("rm", "-f", "one")
        assert not [process for process in Path("/proc").iterdir() if _sleeps(process)]


def _sleeps(process: Path) -> bool:
    try:
        return (process / "cmdline").read_bytes() in (b"sleep\x0071000\x00", b"sleep\x0072000\x00")
    except OSError:
        return False
