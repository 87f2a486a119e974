"""`run` and `create`."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import Any

from transom_cli.attach import Exit, attached, copy_streams, sized
from transom_cli.client import Client
from transom_cli.creation import ABSENT_FLAGS, CREATE_FLAGS, Specification, create_container, specify
from transom_cli.errors import CommandFailed, DaemonError
from transom_cli.flags import BOOL, ApiCommand, Flag
from transom_cli.signals import proxied_signals
from transom_cli.terminal import require_terminal

__all__ = ["create", "run"]

_USAGE = "IMAGE [COMMAND] [ARG...]"
_NOT_FOUND = ("executable file not found", "no such file or directory")
_NOT_EXECUTABLE = tuple(os.strerror(number).lower() for number in (errno.EACCES, errno.EISDIR))


def _run(client: Client, arguments: list[str], **flags: Any) -> None:
    """Create a container, start it, and end with its exit code; with `-d`, print its ID and end."""
    detach = flags["detach"]
    try:
        wanted = specify(arguments, flags)
    except ValueError as error:
        raise _refused("run", str(error)) from error
    body = wanted.body
    if detach:
        if flags["attach"]:
            raise CommandFailed("conflicting options: cannot specify both --attach and --detach")
        body.update(AttachStdin=False, AttachStdout=False, AttachStderr=False, StdinOnce=False)
    else:
        require_terminal(body["AttachStdin"], body["Tty"])
    try:
        container = create_container(client, wanted)
    except CommandFailed as failure:
        raise _refused("run", failure.message, _start_status(failure.message)) from failure
    with proxied_signals(client, container, flags["sig_proxy"] and not detach):
        _start(client, container, wanted, flags["detach_keys"])


def _start(client: Client, container: str, wanted: Specification, detach_keys: str | None) -> None:
    body = wanted.body
    stdin, stdout, stderr = body["AttachStdin"], body["AttachStdout"], body["AttachStderr"]
    watched = stdout or stderr
    with ExitStack() as undo:
        if not watched:
            print(container, flush=True)
        connection = None
        if stdin or watched:
            connection = undo.enter_context(
                attached(client, container, stdin=stdin, stdout=stdout, stderr=stderr, detach_keys=detach_keys)
            )
        removed = wanted.host["AutoRemove"]
        end = Exit(client, container, "removed" if removed else "next-exit")
        undo.callback(end.close)
        try:
            client.post(f"/containers/{container}/start")
        except DaemonError as failure:
            if removed:
                end.code()
            raise _refused("run", failure.message, _start_status(failure.reason)) from failure
        if connection is None:
            return
        with sized(client, f"/containers/{container}", body["Tty"]):
            detached = copy_streams(connection, stdin=stdin, terminal=body["Tty"], detach_keys=detach_keys)
        if watched and not detached:
            code = end.code()
            if code:
                raise CommandFailed("", code)


def _start_status(reason: str) -> int:
    """Return the exit status for a container that could not be started; 126 and 127 are a shell's."""
    lowered = reason.lower()
    if any(words in lowered for words in _NOT_FOUND):
        return 127
    if any(words in lowered for words in _NOT_EXECUTABLE):
        return 126
    return 125


def _create(client: Client, arguments: list[str], **flags: Any) -> None:
    """Create a container and print its ID."""
    try:
        wanted = specify(arguments, flags)
    except ValueError as error:
        raise _refused("create", str(error)) from error
    print(create_container(client, wanted))


def _refused(name: str, problem: str, status: int = 125) -> CommandFailed:
    return CommandFailed(f"transom: {problem}\n\nRun 'transom {name} --help' for more information", status)


_RUN_FLAGS = [
    Flag(["--detach", "-d"], BOOL, about="Run container in background and print container ID"),
    Flag(["--detach-keys"], about="Override the key sequence for detaching a container"),
    Flag(["--sig-proxy"], BOOL, default=True, about="Proxy received signals to the process"),
]

run = ApiCommand(
    "run",
    _run,
    usage=_USAGE,
    about="Create and run a new container from an image",
    flags=sorted([*CREATE_FLAGS, *_RUN_FLAGS], key=lambda option: option.long),
    least=1,
    most=None,
    interspersed=False,
    absent=ABSENT_FLAGS,
)
create = ApiCommand(
    "create",
    _create,
    usage=_USAGE,
    about="Create a new container",
    flags=sorted(CREATE_FLAGS, key=lambda option: option.long),
    least=1,
    most=None,
    interspersed=False,
    absent=ABSENT_FLAGS,
)
