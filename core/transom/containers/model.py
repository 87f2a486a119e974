"""What a container is: what was asked for, what was chosen for it, and the state that it is in."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from transom.graph.digest import Digest
from transom.graph.model import RunConfig
from transom.networks.model import Endpoint, EndpointSettings
from transom.networks.ports import PortBinding, PublishedPort

__all__ = [
    "Container",
    "ContainerConfig",
    "CreatedContainer",
    "Device",
    "ExecConfig",
    "ExecRecord",
    "Health",
    "HostConfig",
    "Link",
    "Mount",
    "MountKind",
    "ProbeResult",
    "ProcessList",
    "RestartPolicy",
    "State",
    "Status",
    "Tmpfs",
    "Ulimit",
    "WaitResult",
]


class Status(enum.Enum):
    """The states of a container, named as Docker's API names them."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class MountKind(enum.Enum):
    """What is mounted into a container."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"
    IMAGE = "image"


@dataclass(frozen=True)
class Tmpfs:
    """Options of a tmpfs mount: bytes (0 is the kernel's default), octal mode, and mount options by name."""

    size: int = 0
    mode: int = 0o1777
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mount:
    """Something mounted at `destination`, an absolute path in the container.

    `source` is a path of the machine for a bind, a volume's name for a volume, and a reference for an image, whose
    content cannot be written to. `copy` says whether a new volume starts with the image's content, `create_source`
    whether a bind's source is made if it is not there (`-v`) or must be there (`--mount`), `anonymous` that the volume
    was made for this container.
    """

    kind: MountKind
    destination: str
    source: str = ""
    driver: str = ""
    driver_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False
    propagation: str = ""
    recursive: bool = True
    #: What is mounted below a read-only bind can be written to; `force_recursive` says that it must not.
    writable_below: bool = False
    force_recursive: bool = False
    #: What of a volume or an image is mounted: a relative path, empty for all of it.
    subpath: str = ""
    copy: bool = True
    create_source: bool = False
    anonymous: bool = False
    mode: str = ""
    tmpfs: Tmpfs = field(default_factory=Tmpfs)
    #: Where the driver has its content, while a container uses it; empty before the first start.
    mountpoint: str = ""
    #: Where the part that `subpath` names is outside, while the container runs.
    part: str = ""
    #: The image that is mounted and its topmost layer, as they were when the container was created.
    image: str = ""
    layer: str = ""


@dataclass(frozen=True)
class Device:
    """A device of the machine that a container gets: its path, the path in the container, and of `rwm` what it may."""

    source: str
    destination: str
    permissions: str = "rwm"


@dataclass(frozen=True)
class Link:
    """A container, by ID, that another one knows by an alias; `name` is the name that it had then."""

    container: str
    name: str


@dataclass(frozen=True)
class RestartPolicy:
    """When a container is started again by itself: `no`, `always`, `unless-stopped`, `on-failure`."""

    name: str = "no"
    maximum_retries: int = 0


@dataclass(frozen=True)
class Ulimit:
    """A resource limit, by the name that Docker gives it (`nofile`)."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class ContainerConfig:
    """What a client asked for that an image could also say, and how its streams are connected."""

    image: str
    run: RunConfig = field(default_factory=RunConfig)
    hostname: str = ""
    domainname: str = ""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    stop_timeout: int | None = None


@dataclass(frozen=True)
class HostConfig:
    """What a client asked for that depends on the machine. Empty strings mean the engine's default."""

    graphdriver: str = ""
    #: How many bytes its files may have, as the client wrote it; empty is without limit.
    storage_size: str = ""
    execdriver: str = ""
    network: str = ""
    #: The ports that are to be published, and whether all others that are exposed are too, at ports that are free.
    ports: tuple[PortBinding, ...] = ()
    publish_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    #: More lines of /etc/hosts: `name:address`, where the address may be `host-gateway`.
    extra_hosts: tuple[str, ...] = ()
    #: The containers that it knows on the default bridge: `name:alias`.
    links: tuple[str, ...] = ()
    auto_remove: bool = False
    read_only: bool = False
    #: Whether the program gets an init process as its parent; None where nothing was said.
    init: bool | None = None
    mounts: tuple[Mount, ...] = ()
    binds: tuple[str, ...] = ()
    #: The driver of volumes that `binds` name and that are not there yet.
    volume_driver: str = ""
    group_add: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 64 << 20
    #: Whether it has all capabilities and devices, and may change what of the kernel's others see.
    privileged: bool = False
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)
    console_size: tuple[int, int] = (0, 0)
    oom_score_adj: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    #: Windows' kinds of isolation, of which Linux has the one that is called `default`; kept for `inspect`.
    isolation: str = ""
    #: Whose namespaces it has, as Docker says it: `host`, `private`, `container:<ID>`, …; empty is the default.
    ipc: str = ""
    pid: str = ""
    uts: str = ""
    cgroupns: str = ""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    #: Containers whose mounts it has too: `<name or ID>[:<mode>]`.
    volumes_from: tuple[str, ...] = ()
    #: Where the client wrote the ID. The engine only keeps it.
    container_id_file: str = ""


@dataclass(frozen=True)
class ProbeResult:
    """How one health check went. Times are nanoseconds since the epoch; `output` is the beginning of what it wrote."""

    start: int
    end: int
    exit_code: int
    output: str = ""


@dataclass(frozen=True)
class Health:
    """What the health checks of a container found: `starting`, `healthy` or `unhealthy`, and the latest of them."""

    status: str = "starting"
    failing_streak: int = 0
    log: tuple[ProbeResult, ...] = ()


@dataclass(frozen=True)
class State:
    """The state of a container. Times are nanoseconds since the epoch; 0 means not yet."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started: int = 0
    finished: int = 0
    oom_killed: bool = False
    #: A client asked it to stop, so it is not started again by its restart policy.
    stopped_by_user: bool = False
    restarts: int = 0
    #: None for a container without health checks, or one that was never started.
    health: Health | None = None

    @property
    def running(self) -> bool:
        """Whether it has a process."""
        return self.status in (Status.RUNNING, Status.PAUSED)


@dataclass(frozen=True)
class ExecConfig:
    """A process that a client wants to run in a running container."""

    cmd: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    console_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ExecRecord:
    """A process that was added to a container; `exit_code` is None until it has ended."""

    id: str
    container: str
    config: ExecConfig
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    #: Whether the engine runs it to check the container's health, for no client.
    probe: bool = False


@dataclass(frozen=True)
class CreatedContainer:
    """The ID of a new container, and what its creator should know."""

    id: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class WaitResult:
    """How a wait for a container ended; `error` is a sentence if it could not be known."""

    status_code: int
    error: str = ""


@dataclass(frozen=True)
class ProcessList:
    """A table of processes: the headings of its columns, and a row for each process."""

    titles: tuple[str, ...]
    processes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Container:
    """One container. The value is replaced as a whole when something changes (`with_state`).

    `config.run` is complete: the image's defaults with the client's choice on top. `mounts` are all mounts: the
    client's, and a volume for each path that the image declares. The drivers are the chosen ones, by name. `network` is
    the network mode: the name of the first of its networks, or `container:<ID>` of the container whose network it has.
    A `temporary` one is a job's own, a step of a build, and goes with it; it may have no image, and its layer is the
    job's.
    """

    id: str
    name: str
    created: int
    image: Digest
    config: ContainerConfig
    host: HostConfig
    graphdriver: str
    execdriver: str
    network: str
    log_driver: str
    #: What it wants on the networks that it is on, by their names; none where it shares another's network.
    networks: Mapping[str, EndpointSettings] = field(default_factory=dict)
    #: What it has on them while it runs, by their names.
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    #: The containers that it is linked to on the default bridge, by alias.
    links: Mapping[str, Link] = field(default_factory=dict)
    #: Its ports that are published while it runs.
    published: tuple[PublishedPort, ...] = ()
    #: The path of its network namespace while it runs, where the engine made that.
    sandbox: str = ""
    mounts: tuple[Mount, ...] = ()
    state: State = field(default_factory=State)
    temporary: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """The program that it runs, with its arguments."""
        return (*(self.config.run.entrypoint or ()), *(self.config.run.cmd or ()))

    def with_state(self, **changes: object) -> Container:
        """Return the container in another state."""
        return replace(self, state=replace(self.state, **changes))  # type: ignore[arg-type]
