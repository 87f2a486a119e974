"""A real dockerd, Debian's, to compare with."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from testbed.clients import Clients
from testbed.host import CGROUP_PARENT
from transom.runtime.syscalls.mounts import MNT_DETACH, umount2

__all__ = ["Peer"]

_CGROUP_PARENT = f"{CGROUP_PARENT}-peer"
_DAEMON = "/usr/sbin/dockerd"


class Peer(Clients):
    """A dockerd with its roots below a directory, without a bridge. Leaving the `with` block takes away all of it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"unix://{directory / 'docker.sock'}", directory)

    def __enter__(self) -> Peer:
        configuration = self.directory / "daemon.json"
        configuration.write_text("{}")
        # fmt: off
        command = [
            _DAEMON, "--config-file", str(configuration), "--host", self.host, "--iptables=false", "--ip6tables=false",
            "--bridge=none", "--cgroup-parent", _CGROUP_PARENT, "--pidfile", str(self.directory / "docker.pid"),
            "--data-root", str(self.directory / "data"), "--exec-root", str(self.directory / "exec"),
        ]
        # fmt: on
        with open(self.directory / "daemon.log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while self.docker("version", check=False).returncode:
            assert self._process.poll() is None, f"dockerd did not start:\n{self.log()}"
            assert time.monotonic() < end, f"dockerd does not answer:\n{self.log()}"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        containers = self.docker("ps", "-aq", check=False).stdout.split()
        if containers:
            self.docker("rm", "-fv", *containers, check=False)
        self._process.terminate()
        self._process.wait(60)
        # dockerd leaves its data root, and the machine's network namespace, mounted.
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        for place in reversed([line.split()[4] for line in lines]):
            if place.startswith(f"{self.directory}/"):
                umount2(place, MNT_DETACH)
        for cgroup in Path("/sys/fs/cgroup").glob(f"**/{_CGROUP_PARENT}"):
            # Those of BuildKit's steps may be left in it.
            for below in cgroup.glob("*/"):
                below.rmdir()
            cgroup.rmdir()
