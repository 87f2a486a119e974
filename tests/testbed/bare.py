"""A machine on which nothing of the engine has run: /run and /var/lib are empty."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["on_a_bare_machine"]


def on_a_bare_machine(script: str, programs: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of a shell that finds `transom` in a directory of programs, and end the daemon that it left."""
    prepared = (
        "mount -t tmpfs run /run && mount -t tmpfs lib /var/lib && "
        f"{{ {script}; }}; code=$?; test ! -e /run/transom/daemon.pid || kill $(cat /run/transom/daemon.pid); "
        "while test -e /run/transom/daemon.pid; do sleep 0.05; done; exit $code"
    )
    environment = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["unshare", "--mount", "sh", "-c", prepared]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
