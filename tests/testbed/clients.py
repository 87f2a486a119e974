"""The clients that talk to an engine: `transom` and the stock `docker`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["TRANSOM", "Clients"]

#: The command of this source tree.
TRANSOM = Path(sys.executable).parent / "transom"


class Clients:
    """Runs clients against whatever engine listens at `host`, an address as DOCKER_HOST has it."""

    def __init__(self, host: str, directory: Path) -> None:
        self.host = host
        self.directory = directory

    def transom(
        self,
        *arguments: str,
        check: bool = True,
        input: str | bytes | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of `transom` against this engine."""
        return self._run([str(TRANSOM), "-H", self.host, *arguments], check, input, timeout)

    def docker(
        self,
        *arguments: str,
        check: bool = True,
        input: str | bytes | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the stock `docker` client against this engine."""
        docker = shutil.which("docker")
        assert docker, "the stock docker client is not installed: Debian's package is docker.io"
        return self._run([docker, "-H", self.host, *arguments], check, input, timeout)

    def environment(self) -> Mapping[str, str]:
        """Return the environment for a client of this engine."""
        return {
            **os.environ,
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.directory / "no-configuration"),
        }

    def log(self) -> str:
        """Return what the engine has complained about so far."""
        return (self.directory / "daemon.log").read_text()

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
