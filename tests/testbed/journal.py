"""A systemd-journald of its own, on the private test host."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from transom.runtime.syscalls.mounts import MNT_DETACH, mount, umount2

__all__ = ["Journal"]

_CONFIGURATION = "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nReadKMsg=no\nAudit=no\n"


def _listens() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex("/run/systemd/journal/socket") == 0


class Journal:
    """A journald that keeps everything in memory, below a /run that this process and its children have for its time."""

    def __enter__(self) -> Journal:
        mount(Path("none"), Path("/run"), "tmpfs", 0)
        for directory in ("/run/systemd/journal", "/run/systemd/journald.conf.d", "/run/log/journal"):
            Path(directory).mkdir(parents=True)
        Path("/run/systemd/journald.conf.d/test.conf").write_text(_CONFIGURATION)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        umount2(Path("/run"), MNT_DETACH)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = subprocess.Popen(["/lib/systemd/systemd-journald"], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not (_listens() and list(Path("/run/log/journal").glob("*/*"))):
            assert self.process.poll() is None, "journald did not start"
            assert time.monotonic() < end, "journald does not listen"
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(30)

    def entries(self, *matches: str) -> str:
        """Return the entries with the fields, as journalctl writes them for export."""
        command = ["journalctl", "--quiet", "--output=export", "--all", *matches]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
