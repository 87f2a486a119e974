"""The jobs about what a container writes and reads."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from transom.containers.attachments import Attachment
from transom.containers.logs import LogStream, Wanted, logged
from transom.containers.model import Container, Status
from transom.containers.states import check_attachable, check_running
from transom.drivers.blame import expect
from transom.drivers.log import LogReader
from transom.errors import Cancelled, InvalidParameter, NotFound

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["attach", "logs", "resize"]


def logs(
    engine: Engine,
    job: Job,
    *,
    container: str,
    stdout: bool = True,
    stderr: bool = True,
    since: int | None = None,
    until: int | None = None,
    tail: int | None = None,
    follow: bool = False,
) -> LogStream:
    """Return a container's log as a stream of entries; with `follow` it goes on until the container ends.

    `since` and `until` are in nanoseconds, `tail` counts lines from the end. The caller closes the stream.
    """
    if not stdout and not stderr:
        raise InvalidParameter("Bad parameters: you must choose at least one stream")
    found = engine.containers.get(container)

    def goes_on() -> bool:
        return not job.cancelled and not engine.stopping.is_set() and _writes(engine, found.id)

    return LogStream(
        found.id,
        _reader(engine, found, since=since, tail=tail),
        Wanted(_chosen(stdout, stderr), since, until),
        engine.supervisor.followers,
        goes_on if follow else None,
    )


def attach(
    engine: Engine,
    job: Job,
    *,
    container: str,
    connection: int,
    stdin: bool = False,
    stdout: bool = False,
    stderr: bool = False,
    stream: bool = False,
    logs: bool = False,
    framed: bool | None = None,
    detach_keys: str = "",
    leftover: bytes = b"",
    begin: Callable[[], None] = lambda: None,
) -> None:
    """Connect a client to a container's streams. Its connection's descriptor stays the caller's to close.

    With `framed` each piece of output has the header of its stream; it has without a terminal, unless said otherwise.
    `logs` sends what was written so far first; `stream` goes on with what comes. `begin` tells the client that it is
    attached, so that it can start the container: it is called when nothing that the container writes can be missed, and
    before anything is sent. Raises `Conflict` for a container that
    is paused or restarting.
    """
    connection = os.dup(connection)
    handed_over = False
    try:
        found = engine.containers.get(container)
        check_attachable(found, container)
        names = tuple(
            name for name, wanted in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)) if wanted and stream
        )
        framed = not found.config.tty if framed is None else framed
        attachment = Attachment(connection, names, framed, detach_keys, leftover)
        attachment.check()
        if logs and found.state.started:
            begin()
            _send_log(engine, job, found, connection, _chosen(stdout, stderr), framed=framed)
        if not stream:
            begin()
            return
        # A start has the same lock: it comes before this and the container runs, or after it and finds the client.
        with engine.containers.locked(found.id) as current:
            begin()
            handed_over = True
            if current.state.running:
                engine.supervisor.attachments.give(found.id, attachment)
            else:
                engine.supervisor.attachments.wait(found.id, attachment)
        engine.supervisor.record(found, "attach")
    finally:
        if not handed_over:
            os.close(connection)


def resize(engine: Engine, _job: Job, *, container: str, height: int, width: int) -> None:
    """Set the size of a container's terminal, in characters."""
    found = engine.containers.get(container)
    check_running(found)
    engine.supervisor.shims.request(found.id, "resize", exec="", height=height, width=width)
    engine.supervisor.record(found, "resize", {"height": str(height), "width": str(width)})


def _reader(engine: Engine, container: Container, *, since: int | None = None, tail: int | None = None) -> LogReader:
    directory = engine.config.data_root / "containers" / container.id
    driver = engine.catalog.log.get(container.log_driver)(directory, container.host.log_options, logged(container))
    return expect(driver, "reader", LogReader, driver.reader(since=since, tail=tail))


def _chosen(stdout: bool, stderr: bool) -> frozenset[str]:
    return frozenset(name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted)


def _writes(engine: Engine, container_id: str) -> bool:
    """Return whether more may come into a container's log."""
    try:
        status = engine.containers.get(container_id).state.status
    except NotFound:
        return False
    return status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)


def _send_log(
    engine: Engine, job: Job, container: Container, connection: int, wanted: frozenset[str], *, framed: bool
) -> None:
    numbers = {"stdout": 1, "stderr": 2}
    with closing(_reader(engine, container)) as reader:
        for entry in reader.read():
            if entry.stream not in wanted:
                continue
            data = entry.line
            if framed:
                data = bytes((numbers[entry.stream], 0, 0, 0)) + len(data).to_bytes(4, "big") + data
            _send(engine, job, connection, data)


def _send(engine: Engine, job: Job, connection: int, data: bytes) -> None:
    """Write everything to a client, which may read slowly. Raises `Cancelled` if the job or the engine ends first."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    with socket.socket(fileno=os.dup(connection)) as client:
        while data:
            if job.cancelled or engine.stopping.is_set():
                raise Cancelled("the client did not read the log to its end")
            if poll.poll(200):
                try:
                    data = data[client.send(data, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    continue
