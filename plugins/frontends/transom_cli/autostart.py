"""Starting a daemon for a command that finds none on the default socket."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from transom_cli.errors import Unreachable
from transom_cli.transport import Address

__all__ = ["start_daemon"]

#: The daemon ends by itself after so many seconds without a client and without a running container.
IDLE_EXIT = 300
#: How long a daemon may take to open its stores and listen, in seconds.
PATIENCE = 30.0
EXEC_ROOT = Path("/run/transom")


def start_daemon(address: Address, command: Sequence[str] = (), exec_root: Path = EXEC_ROOT) -> None:
    """Start a daemon that outlives this process, and return when it listens on `address`, a Unix socket.

    Its words go to `daemon.log` in the exec root. Of two commands at the same time one starts a daemon, and
    the other waits for it. Raises `Unreachable` with the daemon's last words if it ends and nothing listens.
    """
    words = exec_root / "daemon.log"
    with ExitStack() as files:
        try:
            exec_root.mkdir(mode=0o711, parents=True, exist_ok=True)
            log = files.enter_context(open(words, "ab"))
            turn = files.enter_context(open(words, "rb"))
        except OSError as error:
            raise Unreachable(
                f"Cannot connect to the Transom daemon at {address.host}, and cannot start one: {words}:"
                f" {error.strerror}. Run the command as root, or name a daemon's socket with -H"
            ) from error
        # The daemon inherits `log`, and would hold a lock on it for as long as it lives.
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not _listens(address):
            _launch(address, command, exec_root, log)


def _launch(address: Address, command: Sequence[str], exec_root: Path, log: IO[bytes]) -> None:
    """Start the daemon and wait until it listens."""
    daemon = subprocess.Popen(
        command or [sys.executable, "-m", "transom_cli", "daemon", "--idle-exit", str(IDLE_EXIT)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        cwd="/",
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not _listens(address):
        if daemon.poll() is not None and not _another_lives(exec_root):
            raise Unreachable(f"the daemon could not be started: {_last_line(log.name)}")
        if time.monotonic() > deadline:
            raise Unreachable(
                f"the daemon did not listen on {address.host} within {PATIENCE:.0f} seconds: see {log.name}"
            )
        time.sleep(0.01)


def _listens(address: Address) -> bool:
    try:
        address.connect().close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def _another_lives(exec_root: Path) -> bool:
    """Return whether the process that wrote its number into the exec root's lock is there."""
    try:
        owner = int((exec_root / "lock").read_text())
        os.kill(owner, 0)
    except (OSError, ValueError):
        return False
    return True


def _last_line(path: str) -> str:
    lines = Path(path).read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"it said nothing in {path}")
