"""The jobs about processes that are added to running containers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from transom.containers.attachments import Attachment
from transom.containers.model import ExecConfig, ExecRecord
from transom.containers.states import check_executable
from transom.errors import InvalidParameter

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["exec_create", "exec_inspect", "exec_resize", "exec_start"]


def exec_create(engine: Engine, _job: Job, *, container: str, config: ExecConfig) -> str:
    """Record a process to be started in a running container, and return its ID."""
    if not config.cmd:
        raise InvalidParameter("No exec command specified")
    found = engine.containers.get(container)
    check_executable(found, container)
    exec_id = engine.supervisor.execs.create(found, config)
    engine.supervisor.record(found, f"exec_create: {' '.join(config.cmd)}", {"execID": exec_id})
    return exec_id


def exec_start(
    engine: Engine,
    _job: Job,
    *,
    exec: str,
    connection: int | None = None,
    leftover: bytes = b"",
    framed: bool = True,
    detach: bool = False,
    begin: Callable[[], None] = lambda: None,
    console_size: tuple[int, int] = (0, 0),
) -> None:
    """Start a recorded process, connected to a client, whose descriptor stays the caller's to close, or to nobody.

    `framed` says whether the client gets frames, one stream's or the other's, as it does not expect from a terminal.
    `begin` is called before anything is sent to the client.
    Raises `StartFailed` if its program cannot be executed.
    """
    connection = None if connection is None else os.dup(connection)
    try:
        record = engine.supervisor.execs.get(exec)
        if detach != (connection is None):
            raise InvalidParameter("an exec instance is started either detached or with a connection")
        container = engine.containers.get(record.container)
        check_executable(container, container.id)
        attachment = None
        if connection is not None:
            config = record.config
            streams = tuple(
                name
                for name, wanted in (
                    ("stdin", config.attach_stdin),
                    ("stdout", config.attach_stdout),
                    ("stderr", config.attach_stderr),
                )
                if wanted
            )
            attachment = Attachment(connection, streams, framed, config.detach_keys, leftover)
            attachment.check()
            begin()
    except BaseException:
        if connection is not None:
            os.close(connection)
        raise
    engine.supervisor.record(container, f"exec_start: {' '.join(record.config.cmd)}", {"execID": exec})
    engine.supervisor.execs.start(exec, attachment, console_size)


def exec_resize(engine: Engine, _job: Job, *, exec: str, height: int, width: int) -> None:
    """Set the size of the terminal of a process, in characters."""
    engine.supervisor.execs.resize(exec, height, width)


def exec_inspect(engine: Engine, _job: Job, *, exec: str) -> ExecRecord:
    """Return what is known of a process."""
    return engine.supervisor.execs.get(exec)
