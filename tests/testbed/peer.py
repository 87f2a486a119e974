"""A real dockerd to compare with: Debian's, or one of another version whose packages are unpacked somewhere."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from testbed.clients import Clients
from testbed.host import CGROUP_PARENT, detach_mounts, groups_named

__all__ = ["Peer"]

_CGROUP_PARENT = f"{CGROUP_PARENT}-peer"
#: Where a plugin of the client is, such as buildx, below the root of its package.
_PLUGINS = "usr/libexec/docker/cli-plugins"


class Peer(Clients):
    """A dockerd with its roots below a directory, without a bridge. Leaving the `with` block takes away all of it.

    Its programs, and those of the client that belongs to it, are below `root` where their packages have them.
    """

    def __init__(self, directory: Path, root: Path = Path("/")) -> None:
        super().__init__(f"unix://{directory / 'docker.sock'}", directory)
        self._root = root
        #: The client of the same version, which speaks to its BuildKit.
        self.client = root / "usr/bin/docker"

    def __enter__(self) -> Peer:
        configuration = self.directory / "daemon.json"
        configuration.write_text("{}")
        client = Path(self.environment()["DOCKER_CONFIG"])
        client.mkdir()
        (client / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(self._root / _PLUGINS)]}))
        # fmt: off
        command = [
            str(self._root / "usr/sbin/dockerd"), "--config-file", str(configuration), "--host", self.host,
            "--iptables=false", "--ip6tables=false",
            "--bridge=none", "--cgroup-parent", _CGROUP_PARENT, "--pidfile", str(self.directory / "docker.pid"),
            "--data-root", str(self.directory / "data"), "--exec-root", str(self.directory / "exec"),
        ]
        # fmt: on
        with open(self.directory / "daemon.log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.environment())
        end = time.monotonic() + 60
        while self.docker("version", check=False).returncode:
            assert self._process.poll() is None, f"dockerd did not start:\n{self.log()}"
            assert time.monotonic() < end, f"dockerd does not answer:\n{self.log()}"
            time.sleep(0.05)
        return self

    def environment(self) -> Mapping[str, str]:
        """Return the environment for the daemon and its clients, in which its own programs come first."""
        inherited = super().environment()
        return {**inherited, "PATH": f"{self._root / 'usr/sbin'}:{self._root / 'usr/bin'}:{inherited['PATH']}"}

    def __exit__(self, *_: object) -> None:
        containers = self.docker("ps", "-aq", check=False).stdout.split()
        if containers:
            self.docker("rm", "-fv", *containers, check=False)
        self._process.terminate()
        self._process.wait(60)
        # dockerd leaves its data root, and the machine's network namespace, mounted.
        detach_mounts(self.directory)
        for cgroup in groups_named(_CGROUP_PARENT):
            # Those of BuildKit's steps may be left in it.
            for below in cgroup.glob("*/"):
                below.rmdir()
            cgroup.rmdir()
