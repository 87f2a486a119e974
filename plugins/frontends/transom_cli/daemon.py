"""`daemon`: the engine itself, in the foreground."""

from __future__ import annotations

from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import LIST, Kind, api_command, flag
from transom_cli.values import key_values

__all__ = ["daemon"]


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError("write a number of seconds") from None
    if not 0 <= seconds < float("inf"):
        raise ValueError("write a number of seconds that is not negative")
    return seconds


@api_command("daemon", about="Run the engine in the foreground, until SIGTERM")
@flag("--config", about="Read the configuration from this TOML file (default /etc/transom/daemon.toml)")
@flag("--data-root", about="Directory of all that lasts (default /var/lib/transom)")
@flag("--exec-root", about="Directory of all that a reboot ends (default /run/transom)")
@flag("--execdriver", about="Exec driver for containers that name none")
@flag("--graphdriver", about="Graph driver for containers that name none")
@flag("--host", "-H", kind=LIST, about="Socket to listen on, unix:///PATH (default unix:///run/transom.sock)")
@flag(
    "--idle-exit",
    kind=Kind("seconds", _seconds),
    about="End after so long without a client and a running container",
)
@flag("--log-driver", about="Log driver for containers that name none")
@flag("--log-opt", kind=LIST, about="Options of that driver's logs, name=value")
def daemon(
    _client: Client,
    _arguments: list[str],
    *,
    config: str | None,
    data_root: str | None,
    exec_root: str | None,
    execdriver: str | None,
    graphdriver: str | None,
    host: tuple[str, ...],
    idle_exit: float | None,
    log_driver: str | None,
    log_opt: tuple[str, ...],
) -> None:
    """Serve until told to stop. Raises `CommandFailed` for a configuration that cannot be."""
    from pathlib import Path

    from transom.config import Config
    from transom.daemon import main
    from transom.errors import TransomError

    overrides: dict[str, Any] = {
        "data_root": Path(data_root) if data_root else None,
        "exec_root": Path(exec_root) if exec_root else None,
        "execdriver": execdriver,
        "graphdriver": graphdriver,
        "hosts": host,
        "idle_exit": idle_exit,
        "log_driver": log_driver,
        "log_opts": key_values(log_opt),
    }
    try:
        status = main(Config.load(Path(config) if config else None, **overrides))
    except TransomError as error:
        raise CommandFailed(f"transom daemon: {error}") from error
    if status:
        raise CommandFailed("", status)
