"""A Transom daemon of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.clients import TRANSOM, Clients
from testbed.host import CGROUP_PARENT

__all__ = ["GRAPHDRIVER", "Daemon"]

_CHOSEN = os.environ.get("TRANSOM_TEST_GRAPHDRIVER", "")
#: The graph driver of daemons for which a test chooses none: the engine's default, or what a variable says.
GRAPHDRIVER = _CHOSEN or "overlay"


class Daemon(Clients):
    """A daemon with its roots below a directory. Leaving the `with` block removes its containers and stops it."""

    def __init__(self, directory: Path, *arguments: str, configuration: str = "", wrapper: Sequence[str] = ()) -> None:
        """Prepare a daemon with more arguments, more configuration, or started by another command (`wrapper`)."""
        self.socket = directory / "transom.sock"
        super().__init__(f"unix://{self.socket}", directory)
        self.data_root = directory / "data"
        self.exec_root = directory / "exec"
        #: The reference of an image that was pulled; the fixtures set it.
        self.busybox = ""
        self._arguments = arguments
        self._wrapper = wrapper
        chosen = f'graphdriver = "{_CHOSEN}"\n' if _CHOSEN else ""
        self._configuration = f'cgroup-parent = "{CGROUP_PARENT}"\n{chosen}{configuration}'
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        try:
            self.start()
        except BaseException:
            if self.process is not None:
                self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is None:
            self.start()
        containers = self.transom("ps", "-aq", check=False).stdout.split()
        if containers:
            self.transom("rm", "-fv", *containers, check=False)
        self.stop()

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        configuration = self.directory / "daemon.toml"
        configuration.write_text(self._configuration)
        with open(self.directory / "daemon.log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    *self._wrapper,
                    str(TRANSOM),
                    "daemon",
                    "--config",
                    str(configuration),
                    "--data-root",
                    str(self.data_root),
                    "--exec-root",
                    str(self.exec_root),
                    "-H",
                    self.host,
                    *self._arguments,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait()
        except BaseException:
            # Nobody leaves a `with` block that was not entered.
            self.kill()
            raise

    def stop(self) -> int:
        """Stop the daemon as an init system would, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(60)
        self.process = None
        return code

    def kill(self) -> None:
        """Kill the daemon, as no daemon should be. Another thread may start it again at once."""
        killed, self.process = self.process, None
        assert killed is not None
        killed.send_signal(signal.SIGKILL)
        killed.wait()

    def _wait(self) -> None:
        assert self.process is not None
        # A machine with much to do takes its time: the patience is for a daemon that hangs.
        end = time.monotonic() + 120
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.socket))
                return
            except OSError:
                if self.process.poll() is not None:
                    raise AssertionError(f"the daemon did not start:\n{self.log()}") from None
                assert time.monotonic() < end, f"the daemon does not answer:\n{self.log()}"
                time.sleep(0.01)
