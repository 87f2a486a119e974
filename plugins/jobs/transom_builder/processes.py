"""The process of a RUN step: a container on the step's own layer, whose output goes to whoever builds."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transom.containers.attachments import Attachment
from transom.containers.model import Container, ContainerConfig, HostConfig, Mount, Ulimit
from transom.containers.names import make_name
from transom.containers.network_choice import choose_networks
from transom.errors import NotFound
from transom.graph.digest import Digest
from transom.graph.model import RunConfig

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Process", "remove_process", "run_process"]

#: The same in every build, so that a result does not depend on it.
_HOSTNAME = "buildkitsandbox"
#: Seconds between two looks whether the build goes on.
_TURN = 0.1
_CHUNK = 1 << 16
_HEADER = 8


@dataclass(frozen=True)
class Process:
    """What is run: in the words of a container. `image` is what `ps` shows for it."""

    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    #: Variables that nothing is to keep.
    confidential: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = "/"
    image: str = ""
    privileged: bool = False
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    mounts: tuple[Mount, ...] = ()
    execdriver: str = ""
    labels: dict[str, str] = field(default_factory=dict)


def run_process(
    engine: Engine,
    driver: str,
    layer: str,
    process: Process,
    output: Callable[[int, bytes], None],
    check: Callable[[], None],
    started: Callable[[str], None] = lambda _: None,
) -> int:
    """Run a process in a layer and return its exit code; the layer stays, and is mounted as it was before.

    `output` gets what it writes, with the number of the stream; `started` the ID of the container, which is removed
    by `remove_process`. `check` is called often, and what it raises ends the process. Raises `StartFailed`.
    """
    container = _container(engine, driver, layer, process)
    engine.containers.add(container)
    engine.supervisor.record(container, "create")
    ours, theirs = socket.socketpair()
    with ours:
        engine.supervisor.attachments.wait(container.id, Attachment(theirs.detach(), ("stdout", "stderr"), framed=True))
        ended = engine.supervisor.wait(container.id, "next-exit")
        if process.confidential:
            engine.supervisor.confide(container.id, process.confidential)
        engine.supervisor.start(container.id)
        started(container.id)
        _read(ours, output, check)
    while True:
        try:
            return ended.result(_TURN).status_code
        except TimeoutError:
            check()


def remove_process(engine: Engine, container: str) -> None:
    """End and remove the container of a process. Harmless if it is gone."""
    try:
        engine.supervisor.remove(container, force=True, volumes=True)
    except NotFound:
        return


def _container(engine: Engine, driver: str, layer: str, process: Process) -> Container:
    config = ContainerConfig(
        image=process.image,
        run=RunConfig(
            user=process.user,
            env=process.environment,
            entrypoint=(),
            cmd=process.arguments,
            working_dir=process.working_dir,
            labels=process.labels,
        ),
        hostname=_HOSTNAME,
        attach_stdout=True,
        attach_stderr=True,
    )
    host = HostConfig(
        graphdriver=driver,
        execdriver=process.execdriver,
        privileged=process.privileged,
        network=process.network,
        extra_hosts=process.extra_hosts,
        shm_size=process.shm_size or HostConfig.shm_size,
        ulimits=process.ulimits,
        log_driver="none",
    )
    execdriver = engine.execdriver(process.execdriver)
    mode, networks = choose_networks(engine, config, host, {}, execdriver)
    while engine.containers.has_name(name := make_name()):
        pass
    return Container(
        id=layer,
        name=name,
        created=time.time_ns(),
        image=Digest(""),
        config=config,
        host=host,
        graphdriver=driver,
        execdriver=execdriver,
        network=mode,
        networks=networks,
        log_driver="none",
        mounts=process.mounts,
        temporary=True,
    )


def _read(connection: socket.socket, output: Callable[[int, bytes], None], check: Callable[[], None]) -> None:
    """Pass on the framed output of a process (`runtime.streams.Client`) until it has ended."""
    connection.settimeout(_TURN)
    waiting = bytearray()
    while True:
        try:
            data = connection.recv(_CHUNK)
        except TimeoutError:
            check()
            continue
        except OSError:
            # Its shim was killed; the exit code says so.
            return
        if not data:
            return
        check()
        waiting += data
        while len(waiting) >= _HEADER:
            end = _HEADER + int.from_bytes(waiting[4:_HEADER], "big")
            if len(waiting) < end:
                break
            output(waiting[0], bytes(waiting[_HEADER:end]))
            del waiting[:end]
