"""`exec`: one more process in a running container."""

from __future__ import annotations

import os
from typing import Any

from transom_cli import values
from transom_cli.attach import copy_streams, sized
from transom_cli.client import Client, version_key
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, LIST, api_command, flag
from transom_cli.terminal import require_terminal, window_size

__all__ = ["exec_"]


@api_command(
    "exec",
    "CONTAINER COMMAND [ARG...]",
    about="Execute a command in a running container",
    least=2,
    most=None,
    interspersed=False,
    absent=("--privileged",),
)
@flag("--detach", "-d", kind=BOOL, about="Detached mode: run command in the background")
@flag("--detach-keys", about="Override the key sequence for detaching a container")
@flag("--env", "-e", kind=LIST._replace(parse=values.environment), about="Set environment variables", since="1.25")
@flag("--env-file", kind=LIST, about="Read in a file of environment variables", since="1.25")
@flag("--interactive", "-i", kind=BOOL, about="Keep STDIN open even if not attached")
@flag("--tty", "-t", kind=BOOL, about="Allocate a pseudo-TTY")
@flag("--user", "-u", about='Username or UID (format: "<name|uid>[:<group|gid>]")')
@flag("--workdir", "-w", about="Working directory inside the container", since="1.35")
def exec_(
    client: Client,
    arguments: list[str],
    *,
    detach: bool,
    detach_keys: str | None,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    interactive: bool,
    tty: bool,
    user: str | None,
    workdir: str | None,
) -> None:
    """Run a command in a container and end with its exit code."""
    container, command = arguments[0], arguments[1:]
    try:
        environment = values.read_environment(env_file, env, dict(os.environ))
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    stdin = interactive and not detach
    if stdin and tty and not os.isatty(0):
        # That there is no such container is the better answer; an exec instance would be left behind.
        client.get(f"/containers/{container}/json")
        require_terminal(stdin, tty)
    size = _console_size(client, tty)
    instance = client.post(
        f"/containers/{container}/exec",
        {
            "User": user or "",
            "Tty": tty,
            "AttachStdin": stdin,
            "AttachStdout": not detach,
            "AttachStderr": not detach,
            "DetachKeys": detach_keys or "",
            "Env": environment,
            "WorkingDir": workdir or "",
            "Cmd": command,
            **size,
        },
    )["Id"]
    if detach:
        client.post(f"/exec/{instance}/start", {"Detach": True, "Tty": tty, **size})
        return
    connection = client.upgrade(f"/exec/{instance}/start", {"Detach": False, "Tty": tty, **size})
    with sized(client, f"/exec/{instance}", tty):
        detached = copy_streams(connection, stdin=stdin, terminal=tty, detach_keys=detach_keys)
    connection.close()
    if detached:
        raise CommandFailed("read escape sequence")
    code = client.get(f"/exec/{instance}/json")["ExitCode"] or 0
    if code:
        raise CommandFailed("", code)


def _console_size(client: Client, terminal: bool) -> dict[str, Any]:
    """Return the size that a terminal starts with, where the daemon knows how to start with one."""
    rows, columns = window_size()
    if not terminal or not rows or version_key(client.version) < (1, 42):
        return {}
    return {"ConsoleSize": [rows, columns]}
