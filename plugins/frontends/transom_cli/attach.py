"""`attach` and `start`, and what they share with `run`: a container's streams, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed, Unreachable, report_failures
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.signals import proxied_signals
from transom_cli.streams import exchange
from transom_cli.terminal import (
    DEFAULT_DETACH_KEYS,
    DetachKeys,
    follow_size,
    raw_mode,
    require_terminal,
    window_size,
)
from transom_cli.transport import Connection, Response

__all__ = ["Exit", "attach", "attached", "copy_streams", "sized", "start"]

_KEYS_HELP = "Override the key sequence for detaching a container"


class Exit:
    """The wait for a container's end, begun before the container is started so that no end is missed."""

    def __init__(self, client: Client, container: str, condition: str) -> None:
        self._response: Response = client.stream("POST", f"/containers/{container}/wait", condition=condition)

    def code(self) -> int:
        """Wait, and return the exit code. Raises `CommandFailed` if the daemon could not wait."""
        answer = json.loads(self._response.read())
        problem = (answer.get("Error") or {}).get("Message")
        if problem:
            raise CommandFailed(f"Error waiting for container: {problem}", 125)
        return int(answer["StatusCode"])

    def close(self) -> None:
        """Wait no more."""
        self._response.connection.close()


@contextmanager
def attached(
    client: Client,
    container: str,
    *,
    stdin: bool,
    stdout: bool = True,
    stderr: bool = True,
    detach_keys: str | None = None,
) -> Iterator[Connection]:
    """Give the raw stream of a container's standard streams as long as the block lasts."""
    connection = client.upgrade(
        f"/containers/{container}/attach",
        stream=True,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        detachKeys=detach_keys,
    )
    try:
        yield connection
    finally:
        connection.close()


def copy_streams(connection: Connection, *, stdin: bool, terminal: bool, detach_keys: str | None) -> bool:
    """Connect our streams to an attached process until its output ends. Returns whether its user detached."""
    keys = DetachKeys(detach_keys or DEFAULT_DETACH_KEYS) if stdin and terminal else None
    with ExitStack() as undo:
        if keys is not None:
            undo.enter_context(raw_mode())
        return exchange(connection, terminal=terminal, stdin=stdin, detach_keys=keys)


@contextmanager
def sized(client: Client, path: str, wanted: bool, redraw: bool = False) -> Iterator[None]:
    """Keep the terminal of a container or an exec instance, which `path` names, as large as ours.

    Nothing is done unless `wanted`, or if ours is no terminal. `redraw` gives it another size first: programs
    draw their prompt again when the size changes, and at a second attach it has the right one.
    """

    def resize(rows: int, columns: int) -> None:
        try:
            client.post(f"{path}/resize", h=rows, w=columns)
        except Unreachable:
            raise
        except CommandFailed:
            # The process has ended already: nobody looks at its window any more.
            return

    with ExitStack() as undo:
        rows, columns = window_size()
        if wanted and rows and columns:
            if redraw:
                resize(rows + 1, columns + 1)
            undo.enter_context(follow_size(resize))
        yield


@api_command(
    "attach",
    "CONTAINER",
    about="Attach local standard input, output, and error streams to a running container",
    least=1,
    most=1,
)
@flag("--detach-keys", about=_KEYS_HELP)
@flag("--no-stdin", kind=BOOL, about="Do not attach STDIN")
@flag("--sig-proxy", kind=BOOL, default=True, about="Proxy all received signals to the process")
def attach(client: Client, arguments: list[str], *, detach_keys: str | None, no_stdin: bool, sig_proxy: bool) -> None:
    """Attach to a running container and end with its exit code."""
    container = client.get(f"/containers/{arguments[0]}/json")
    state = container["State"]
    for problem, stopped, remedy in (
        ("stopped", not state["Running"], "start it first"),
        ("paused", state.get("Paused"), "unpause it first"),
        ("restarting", state.get("Restarting"), "wait until it is running"),
    ):
        if stopped:
            raise CommandFailed(f"You cannot attach to a {problem} container, {remedy}")
    name, terminal = container["Id"], container["Config"]["Tty"]
    stdin = not no_stdin and container["Config"]["OpenStdin"]
    require_terminal(not no_stdin, terminal)
    end = Exit(client, name, "not-running")
    with (
        attached(client, name, stdin=stdin, detach_keys=detach_keys) as connection,
        proxied_signals(client, name, sig_proxy and not terminal),
        sized(client, f"/containers/{name}", terminal, redraw=True),
    ):
        detached = copy_streams(connection, stdin=stdin, terminal=terminal, detach_keys=detach_keys)
    if detached:
        raise CommandFailed("read escape sequence")
    _finish(end.code())


@api_command("start", "CONTAINER [CONTAINER...]", about="Start one or more stopped containers", least=1, most=None)
@flag("--attach", "-a", kind=BOOL, about="Attach STDOUT/STDERR and forward signals")
@flag("--detach-keys", about=_KEYS_HELP)
@flag("--interactive", "-i", kind=BOOL, about="Attach container's STDIN")
def start(client: Client, arguments: list[str], *, attach: bool, detach_keys: str | None, interactive: bool) -> None:
    """Start containers; with `-a` or `-i` one, and attach to it."""
    if not attach and not interactive:
        _start_all(client, arguments)
        return
    if len(arguments) > 1:
        raise CommandFailed("you cannot start and attach multiple containers at once")
    _start_attached(client, client.get(f"/containers/{arguments[0]}/json"), interactive, detach_keys)


def _start_all(client: Client, names: list[str]) -> None:
    failures: list[CommandFailed] = []
    failed: list[str] = []
    for name in names:
        try:
            client.post(f"/containers/{name}/start")
            print(name, flush=True)
        except Unreachable:
            raise
        except CommandFailed as failure:
            failures.append(failure)
            failed.append(name)
    if failed:
        failures.append(CommandFailed(f"Error: failed to start containers: {', '.join(failed)}"))
    report_failures(failures)


def _start_attached(client: Client, container: dict[str, Any], interactive: bool, detach_keys: str | None) -> None:
    name, terminal = container["Id"], container["Config"]["Tty"]
    stdin = interactive and container["Config"]["OpenStdin"]
    removed = container["HostConfig"].get("AutoRemove")
    with (
        proxied_signals(client, name, not terminal),
        attached(client, name, stdin=stdin, detach_keys=detach_keys) as connection,
    ):
        end = Exit(client, name, "removed" if removed else "next-exit")
        client.post(f"/containers/{name}/start")
        with sized(client, f"/containers/{name}", terminal):
            detached = copy_streams(connection, stdin=stdin, terminal=terminal, detach_keys=detach_keys)
    if not detached:
        _finish(end.code())


def _finish(code: int) -> None:
    """End the command with a container's exit code."""
    if code:
        raise CommandFailed("", code)
