"""A container as an OCI runtime bundle: the config.json that its exec driver gets.

OCI runtime specification 1.1, config.md and config-linux.md; the defaults are Docker's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transom.containers.devices import Node, find_nodes
from transom.containers.model import Container, Device, ExecConfig, HostConfig, Mount, MountKind
from transom.containers.namespaces import NAMESPACES
from transom.containers.users import User, find_user
from transom.runtime.capabilities import DEFAULT_CAPABILITIES, bounding_capabilities
from transom.runtime.init import INIT_ANNOTATION
from transom.runtime.program import DEFAULT_PATH

__all__ = [
    "MASKED_PATHS",
    "PLACEHOLDERS",
    "READ_ONLY_PATHS",
    "Surroundings",
    "build_spec",
    "exec_process",
    "merge_environment",
    "view_mounts",
]

#: What of the kernel's a container does not see.
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
#: What of the kernel's a container sees and cannot change.
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
#: What a network of its own is set to, as in Docker: ports below 1024 and pings are for everybody.
_NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
#: What is made in a container's own layer for what every container mounts; it is not a change of the container's.
PLACEHOLDERS = frozenset((b"dev", b"etc", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf", b"proc", b"sys"))
#: What a privileged container has of devices.
_ALL_DEVICES = Device("/dev", "/dev", "rwm")


@dataclass(frozen=True)
class Surroundings:
    """What a container gets from the machine: where its root and its own files are, its cgroup, its namespaces.

    `files` are bind-mounted: path in the container → path outside. `private_network` says whether it gets a network
    namespace of its own, `namespaces` which others it has (`choose_namespaces`), and `shared_memory` is the /dev/shm
    that it has with others, if it does.
    """

    rootfs: Path
    cgroup: str
    files: Mapping[str, Path]
    private_network: bool
    namespaces: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(NAMESPACES, ""))
    shared_memory: Path | None = None
    #: What links put into its environment.
    variables: tuple[str, ...] = ()
    #: What its process gets besides, and no record of it has.
    confidential: tuple[str, ...] = ()


def build_spec(container: Container, around: Surroundings) -> dict[str, Any]:
    """Return the config.json of a container.

    Raises `InvalidParameter` for a user that the image does not have, and a device that the machine does not have.
    """
    run = container.config.run
    user = find_user(around.rootfs, run.user, container.host.group_add)
    process = _process(
        user,
        args=container.command,
        env=merge_environment((*_environment(container), *around.variables), (*run.env, *around.confidential)),
        cwd=run.working_dir or "/",
        terminal=container.config.tty,
        size=container.host.console_size,
        privileged=container.host.privileged,
    )
    if container.host.ulimits:
        process["rlimits"] = [
            {
                "type": f"RLIMIT_{limit.name.upper()}",
                "soft": _unsigned(limit.soft),
                "hard": _unsigned(limit.hard),
            }
            for limit in container.host.ulimits
        ]
    if container.host.oom_score_adj:
        process["oomScoreAdj"] = container.host.oom_score_adj
    namespaces = [{"type": kind, "path": path} if path else {"type": kind} for kind, path in around.namespaces.items()]
    if around.private_network and "network" not in around.namespaces:
        namespaces.append({"type": "network"})
    privileged = container.host.privileged
    devices = (_ALL_DEVICES, *container.host.devices) if privileged else container.host.devices
    nodes = [node for device in devices for node in find_nodes(device)]
    rules = [{"allow": True, "access": "rwm"}] if privileged else [_device_rule(node) for node in nodes]
    named = around.namespaces.get("uts") == ""
    return {
        "ociVersion": "1.1.0",
        "process": process,
        "root": {"path": str(around.rootfs), "readonly": container.host.read_only},
        "hostname": container.config.hostname if named else "",
        "domainname": container.config.domainname if named else "",
        "mounts": _mounts(container, around),
        "annotations": _annotations(container.host),
        "linux": {
            "cgroupsPath": around.cgroup,
            "namespaces": namespaces,
            "sysctl": {**(_network_sysctls() if around.private_network else {}), **container.host.sysctls},
            "devices": [_device(node) for node in nodes],
            "resources": {"devices": rules},
            "maskedPaths": [] if privileged else list(MASKED_PATHS),
            "readonlyPaths": [] if privileged else list(READ_ONLY_PATHS),
            "rootfsPropagation": _root_propagation(container.mounts),
        },
    }


def _network_sysctls() -> dict[str, str]:
    """Return what a network of its own is set to, as far as this kernel has it."""
    return {
        name: value for name, value in _NETWORK_SYSCTLS.items() if Path("/proc/sys", name.replace(".", "/")).exists()
    }


def _annotations(host: HostConfig) -> dict[str, str]:
    """Return the annotations; our own exec drivers find there that the program gets an init as its parent."""
    return {**host.annotations, **({INIT_ANNOTATION: "true"} if host.init else {})}


def _device(node: Node) -> dict[str, Any]:
    return {
        "path": node.path,
        "type": node.kind,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
    }


def _device_rule(node: Node) -> dict[str, Any]:
    return {"allow": True, "type": node.kind, "major": node.major, "minor": node.minor, "access": node.access}


def exec_process(
    container: Container, config: ExecConfig, root: Path, variables: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the `process` object of one more process in a running container, whose root is at `root`.

    `variables` are what links put into its environment.

    Raises `InvalidParameter` for a user that the image does not have.
    """
    run = container.config.run
    own_user = not config.user or config.user == run.user
    user = find_user(root, config.user or run.user, container.host.group_add if own_user else ())
    inherited = merge_environment((*_environment(container, tty=config.tty), *variables), run.env)
    return _process(
        user,
        args=config.cmd,
        env=merge_environment(inherited, config.env),
        cwd=config.working_dir or run.working_dir or "/",
        terminal=config.tty,
        size=config.console_size,
        privileged=container.host.privileged,
    )


def merge_environment(base: Sequence[str], changes: Sequence[str]) -> tuple[str, ...]:
    """Return an environment with changes: `NAME=value` sets, `NAME` alone removes. The order of `base` is kept."""
    merged = dict(_pair(item) for item in base)
    for item in changes:
        name, value = _pair(item)
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return tuple(f"{name}={value}" for name, value in merged.items() if value is not None)


def _pair(item: str) -> tuple[str, str | None]:
    name, separator, value = item.partition("=")
    return name, value if separator else None


def _environment(container: Container, *, tty: bool | None = None) -> tuple[str, ...]:
    terminal = container.config.tty if tty is None else tty
    base = (f"PATH={DEFAULT_PATH}", f"HOSTNAME={container.config.hostname}")
    return (*base, "TERM=xterm") if terminal else base


def _process(
    user: User,
    *,
    args: Sequence[str],
    env: Sequence[str],
    cwd: str,
    terminal: bool,
    size: tuple[int, int],
    privileged: bool,
) -> dict[str, Any]:
    capabilities = list(bounding_capabilities() if privileged else DEFAULT_CAPABILITIES)
    # A process that is not root has none but those that a program's file grants (capabilities(7)).
    held = capabilities if user.uid == 0 else []
    if not any(item.startswith("HOME=") for item in env):
        env = (*env, f"HOME={user.home}")
    process: dict[str, Any] = {
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(args),
        "env": list(env),
        "cwd": cwd,
        "terminal": terminal,
        "capabilities": {"bounding": capabilities, "effective": held, "permitted": held},
    }
    if terminal and all(size):
        process["consoleSize"] = {"height": size[0], "width": size[1]}
    return process


def _mounts(container: Container, around: Surroundings) -> list[dict[str, Any]]:
    """Return all mounts, outer ones first; what was asked for takes the place of a default at the same path."""
    host = container.host
    mounts = {item["destination"]: item for item in _default_mounts(host.shm_size, writable=host.privileged)}
    if container.host.ipc == "none":
        del mounts["/dev/shm"]
    elif around.shared_memory is not None:
        mounts["/dev/shm"] = {
            "destination": "/dev/shm",
            "type": "bind",
            "source": str(around.shared_memory),
            "options": ["rbind", "rprivate", "nosuid", "noexec", "nodev"],
        }
    mounts |= {path: _file(path, source) for path, source in around.files.items()}
    for mount in container.mounts:
        mounts[mount.destination] = _mount(mount)
    return _outer_first(mounts)


def view_mounts(mounts: Sequence[Mount], files: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return what of a container's mounts is there without its process: binds and volumes, and its own files."""
    shown = {path: _file(path, source) for path, source in files.items()}
    for mount in mounts:
        if mount.kind is not MountKind.TMPFS:
            # Nothing that happens in a view is for others.
            shown[mount.destination] = _mount(replace(mount, propagation="rprivate"))
    return _outer_first(shown)


def _outer_first(mounts: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(mounts.values(), key=lambda item: str(item["destination"]).rstrip("/").count("/"))


def _file(path: str, source: Path) -> dict[str, Any]:
    return {"destination": path, "type": "bind", "source": str(source), "options": ["rbind", "rprivate"]}


def _default_mounts(shm_size: int, *, writable: bool) -> list[dict[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    kernel = [*quiet, "rw" if writable else "ro"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": kernel},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*quiet, "mode=1777", f"size={shm_size}"],
        },
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": kernel},
    ]


def _mount(mount: Mount) -> dict[str, Any]:
    if mount.kind is MountKind.TMPFS:
        options = list(mount.tmpfs.options) or ["nosuid", "nodev", "noexec"]
        if mount.tmpfs.mode:
            options.append(f"mode={mount.tmpfs.mode:o}")
        if mount.tmpfs.size:
            options.append(f"size={mount.tmpfs.size}")
        return {
            "destination": mount.destination,
            "type": "tmpfs",
            "source": "tmpfs",
            "options": [*options, *(["ro"] if mount.read_only else [])],
        }
    access = "rw"
    if mount.read_only:
        access = "rro" if mount.recursive and not mount.writable_below else "ro"
    return {
        "destination": mount.destination,
        "type": "bind",
        "source": mount.part or mount.mountpoint,
        "options": ["rbind" if mount.recursive else "bind", access, mount.propagation or "rprivate"],
    }


def _root_propagation(mounts: Sequence[Mount]) -> str:
    """Return how the machine's mounts reach the container: as far as the most open of its binds needs it."""
    wanted = {mount.propagation for mount in mounts}
    if wanted & {"shared", "rshared"}:
        return "shared"
    return "rslave" if wanted & {"slave", "rslave"} else "rprivate"


def _unsigned(value: int) -> int:
    return value % 2**64
