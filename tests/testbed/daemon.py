"""A Transom daemon of its own, and the clients that talk to it: `transom` and the stock `docker`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.host import CGROUP_PARENT

__all__ = ["Daemon"]

_TRANSOM = Path(sys.executable).parent / "transom"


class Daemon:
    """A daemon with its roots below a directory. Leaving the `with` block removes its containers and stops it."""

    def __init__(self, directory: Path, *arguments: str, configuration: str = "", wrapper: Sequence[str] = ()) -> None:
        """Prepare a daemon with more arguments, more configuration, or started by another command (`wrapper`)."""
        self.directory = directory
        self.data_root = directory / "data"
        self.exec_root = directory / "exec"
        self.socket = directory / "transom.sock"
        self.host = f"unix://{self.socket}"
        #: The reference of an image that was pulled; the fixtures set it.
        self.busybox = ""
        self._arguments = arguments
        self._wrapper = wrapper
        self._configuration = f'cgroup-parent = "{CGROUP_PARENT}"\n{configuration}'
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        self.start()
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
                    str(_TRANSOM),
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
        self._wait()

    def stop(self) -> int:
        """Stop the daemon as an init system would, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(60)
        self.process = None
        return code

    def kill(self) -> None:
        """Kill the daemon, as no daemon should be."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def log(self) -> str:
        """Return what the daemon has complained about so far."""
        return (self.directory / "daemon.log").read_text()

    def transom(
        self,
        *arguments: str,
        check: bool = True,
        input: str | bytes | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of `transom` against this daemon."""
        return self._run([str(_TRANSOM), "-H", self.host, *arguments], check, input, timeout)

    def docker(
        self,
        *arguments: str,
        check: bool = True,
        input: str | bytes | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the stock `docker` client against this daemon."""
        docker = shutil.which("docker")
        assert docker, "the stock docker client is not installed: Debian's package is docker.io"
        return self._run([docker, "-H", self.host, *arguments], check, input, timeout)

    def environment(self) -> Mapping[str, str]:
        """Return the environment for a client of this daemon."""
        return {
            **os.environ,
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.directory / "no-configuration"),
        }

    def _run(
        self, command: list[str], check: bool, data: str | bytes | None, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        content = data.encode() if isinstance(data, str) else data
        done = subprocess.run(
            command,
            input=content,
            stdin=subprocess.DEVNULL if content is None else None,
            capture_output=True,
            timeout=timeout,
            env=self.environment(),
        )
        result = subprocess.CompletedProcess(
            command,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)} exited with {result.returncode}: {result.stderr}\n{self.log()}")
        return result

    def _wait(self) -> None:
        assert self.process is not None
        end = time.monotonic() + 30
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
