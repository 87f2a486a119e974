"""Containers as Docker's API shows them, complete with the fields that have only one value here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from transom.containers.model import Container, ExecRecord, HostConfig, Mount, MountKind, Status
from transom.containers.spec import MASKED_PATHS, READ_ONLY_PATHS
from transom_api.mounts import TMPFS_DEFAULTS
from transom_api.shapes_networks import network_options, network_settings, networks_of, port_list
from transom_api.times import format_time, human_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from transom.containers.model import ProcessList
    from transom.graph.model import RunConfig

__all__ = [
    "container_details",
    "container_summary",
    "exec_details",
    "process_table",
    "run_config",
    "status_line",
]

Json = dict[str, Any]

#: Fields of HostConfig for what the engine does not do; a container that asks for one is not created.
_HOST_DEFAULTS: Json = {
    "CapAdd": None,
    "CapDrop": None,
    "Cgroup": "",
    "SecurityOpt": None,
    "UsernsMode": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": [],
    "BlkioDeviceReadBps": [],
    "BlkioDeviceWriteBps": [],
    "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteIOps": [],
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": None,
    "PidsLimit": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
}


#: What the list says of a container that runs.
_HEALTH = {"starting": " (health: starting)", "healthy": " (healthy)", "unhealthy": " (unhealthy)"}


def status_line(container: Container, now: int) -> str:
    """Return a container's state in words, at a time in nanoseconds: "Up 5 minutes", "Exited (0) 2 hours ago"."""
    state = container.state

    def ago(moment: int) -> str:
        return human_duration((now - moment) / 1e9)

    match state.status:
        case Status.RUNNING:
            return f"Up {ago(state.started)}{_HEALTH[state.health.status] if state.health else ''}"
        case Status.PAUSED:
            return f"Up {ago(state.started)} (Paused)"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {ago(state.finished)} ago"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case Status.CREATED:
            return "Created"
        case Status.EXITED:
            return f"Exited ({state.exit_code}) {ago(state.finished)} ago"


def container_summary(
    container: Container, sizes: tuple[int, int] | None = None, link_names: Sequence[str] = ()
) -> Json:
    """Return a container for a list.

    `sizes` are the bytes of its own layer and of its whole file system, `link_names` its names by links.
    """
    summary: Json = {
        "Id": container.id,
        "Names": [f"/{name}" for name in sorted((container.name, *link_names))],
        "Image": container.config.image,
        "ImageID": container.image,
        "Command": " ".join(f"'{word}'" if " " in word else word for word in container.command),
        "Created": container.created // 1_000_000_000,
        "Ports": port_list(container),
        "Labels": dict(sorted(container.config.run.labels.items())),
        "State": container.state.status.value,
        "Status": status_line(container, time.time_ns()),
        "HostConfig": {"NetworkMode": container.host.network or "default"},
        "NetworkSettings": {"Networks": networks_of(container)},
        "Mounts": [_mount_point(mount) for mount in container.mounts if not _is_short_tmpfs(mount)],
    }
    if container.host.annotations:
        summary["HostConfig"]["Annotations"] = container.host.annotations
    if sizes is not None:
        summary["SizeRw"], summary["SizeRootFs"] = sizes
    return summary


def container_details(
    container: Container,
    directory: Path,
    execs: tuple[str, ...],
    linked: Mapping[str, Container],
    sizes: tuple[int, int] | None = None,
) -> Json:
    """Return all about a container.

    `directory` is its own, `execs` are the IDs of what `exec` runs in it, `linked` the containers that it is linked to
    and that are there, by alias.
    """
    command = container.command
    log = directory / f"{container.id}-json.log" if container.log_driver == "json-file" else ""
    details: Json = {
        "Id": container.id,
        "Created": format_time(container.created),
        "Path": command[0] if command else "",
        "Args": command[1:],
        "State": _state(container),
        "Image": container.image,
        "ResolvConfPath": str(directory / "resolv.conf"),
        "HostnamePath": str(directory / "hostname"),
        "HostsPath": str(directory / "hosts"),
        "LogPath": str(log),
        "Name": f"/{container.name}",
        "RestartCount": container.state.restarts,
        "Driver": container.graphdriver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": execs or None,
        "HostConfig": {**_host_config(container), "Links": _links(container, linked)},
        "GraphDriver": {"Name": container.graphdriver, "Data": {}},
        "Mounts": [_mount_point(mount) for mount in container.mounts if not _is_short_tmpfs(mount)],
        "Config": _config(container),
        "NetworkSettings": network_settings(container),
    }
    if sizes is not None:
        details["SizeRw"], details["SizeRootFs"] = sizes
    return details


def run_config(run: RunConfig) -> Json:
    """Return the part of a configuration that images and containers share."""
    config: Json = {
        "User": run.user,
        "Env": run.env,
        "Cmd": run.cmd,
        "Volumes": dict.fromkeys(run.volumes, _EMPTY) or None,
        "WorkingDir": run.working_dir,
        "Entrypoint": run.entrypoint,
        "OnBuild": run.on_build or None,
        "Labels": dict(sorted(run.labels.items())),
    }
    if run.exposed_ports:
        config["ExposedPorts"] = dict.fromkeys(run.exposed_ports, _EMPTY)
    if run.stop_signal:
        config["StopSignal"] = run.stop_signal
    if run.shell:
        config["Shell"] = run.shell
    check = run.healthcheck
    if check is not None:
        durations = {
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
        config["Healthcheck"] = {"Test": check.test, **{name: value for name, value in durations.items() if value}}
    return config


_EMPTY: Json = {}


def exec_details(record: ExecRecord) -> Json:
    """Return all about a process that was asked for with `exec`."""
    config = record.config
    process: Json = {
        "tty": config.tty,
        "entrypoint": config.cmd[0],
        "arguments": config.cmd[1:],
        "privileged": False,
    }
    if config.user:
        process["user"] = config.user
    return {
        "ID": record.id,
        "Running": record.running,
        "ExitCode": record.exit_code,
        "ProcessConfig": process,
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": False,
        "ContainerID": record.container,
        "DetachKeys": config.detach_keys,
        "Pid": record.pid,
    }


def process_table(table: ProcessList) -> Json:
    """Return the processes of a container."""
    return {"Titles": table.titles, "Processes": table.processes}


def _state(container: Container) -> Json:
    state = container.state
    shape: Json = {
        "Status": state.status.value,
        # Docker says that a container which waits to be started again runs.
        "Running": state.running or state.status is Status.RESTARTING,
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": format_time(state.started),
        "FinishedAt": format_time(state.finished),
    }
    if state.health is not None:
        shape["Health"] = {
            "Status": state.health.status,
            "FailingStreak": state.health.failing_streak,
            "Log": [
                {
                    "Start": format_time(result.start),
                    "End": format_time(result.end),
                    "ExitCode": result.exit_code,
                    "Output": result.output,
                }
                for result in state.health.log
            ],
        }
    return shape


def _config(container: Container) -> Json:
    config = container.config
    shape: Json = {
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Image": config.image,
        **run_config(config.run),
    }
    if config.stop_timeout is not None:
        shape["StopTimeout"] = config.stop_timeout
    return shape


def _links(container: Container, linked: Mapping[str, Container]) -> list[str] | None:
    """Return a container's links; one whose container is gone has the name that it had when the link was made."""
    names = {alias: linked[alias].name if alias in linked else link.name for alias, link in container.links.items()}
    return [f"/{name}:/{container.name}/{alias}" for alias, name in names.items()] or None


def _host_config(container: Container) -> Json:
    host = container.host
    in_short_form = {mount.destination: mount.mode for mount in host.mounts if _is_short_tmpfs(mount)}
    long_form = [_mount_request(mount) for mount in host.mounts if not _is_short_tmpfs(mount)]
    shape: Json = {
        "Binds": host.binds or None,
        "ContainerIDFile": host.container_id_file,
        "VolumeDriver": host.volume_driver,
        "VolumesFrom": host.volumes_from or None,
        **_HOST_DEFAULTS,
        "Privileged": host.privileged,
        "MaskedPaths": None if host.privileged else list(MASKED_PATHS),
        "ReadonlyPaths": None if host.privileged else list(READ_ONLY_PATHS),
        **network_options(container.host),
        "CgroupnsMode": host.cgroupns or "private",
        "IpcMode": host.ipc or "private",
        "PidMode": host.pid,
        "UTSMode": host.uts,
        "Devices": [
            {
                "PathOnHost": device.source,
                "PathInContainer": device.destination,
                "CgroupPermissions": device.permissions,
            }
            for device in host.devices
        ],
        "LogConfig": {"Type": container.log_driver, "Config": dict(sorted(host.log_options.items()))},
        "Isolation": host.isolation,
        "NetworkMode": host.network or "default",
        "RestartPolicy": {"Name": host.restart.name, "MaximumRetryCount": host.restart.maximum_retries},
        "AutoRemove": host.auto_remove,
        "ConsoleSize": host.console_size,
        "GroupAdd": host.group_add or None,
        "OomScoreAdj": host.oom_score_adj,
        "ReadonlyRootfs": host.read_only,
        "ShmSize": host.shm_size,
        "StorageOpt": _storage_options(host),
        "Runtime": container.execdriver,
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in host.ulimits],
    }
    if host.init is not None:
        shape["Init"] = host.init
    if host.sysctls:
        shape["Sysctls"] = host.sysctls
    if host.annotations:
        shape["Annotations"] = host.annotations
    if in_short_form:
        shape["Tmpfs"] = in_short_form
    if long_form:
        shape["Mounts"] = long_form
    return shape


def _storage_options(host: HostConfig) -> Mapping[str, str] | None:
    options = {"driver": host.graphdriver, "size": host.storage_size}
    return {name: value for name, value in options.items() if value} or None


def _is_short_tmpfs(mount: Mount) -> bool:
    """Return whether a mount came as `Tmpfs`: there the defaults are always spelled out."""
    return mount.kind is MountKind.TMPFS and bool(mount.mode or mount.tmpfs.options == TMPFS_DEFAULTS)


def _mount_request(mount: Mount) -> Json:
    shape: Json = {"Type": mount.kind.value}
    if mount.source:
        shape["Source"] = mount.source
    shape["Target"] = mount.destination
    if mount.read_only and mount.kind is not MountKind.IMAGE:
        shape["ReadOnly"] = True
    options: Json = {}
    match mount.kind:
        case MountKind.BIND:
            if mount.propagation:
                options["Propagation"] = mount.propagation
            if not mount.recursive:
                options["NonRecursive"] = True
            if mount.create_source:
                options["CreateMountpoint"] = True
            if mount.writable_below:
                options["ReadOnlyNonRecursive"] = True
            if mount.force_recursive:
                options["ReadOnlyForceRecursive"] = True
            name = "BindOptions"
        case MountKind.VOLUME:
            if not mount.copy:
                options["NoCopy"] = True
            if mount.labels:
                options["Labels"] = mount.labels
            if mount.driver or mount.driver_options:
                options["DriverConfig"] = {"Name": mount.driver, "Options": mount.driver_options}
            if mount.subpath:
                options["Subpath"] = mount.subpath
            name = "VolumeOptions"
        case MountKind.IMAGE:
            if mount.subpath:
                options["Subpath"] = mount.subpath
            name = "ImageOptions"
        case MountKind.TMPFS:
            if mount.tmpfs.size:
                options["SizeBytes"] = mount.tmpfs.size
            if mount.tmpfs.mode != 0o1777:
                options["Mode"] = mount.tmpfs.mode
            if mount.tmpfs.options:
                options["Options"] = [word.split("=", 1) for word in mount.tmpfs.options]
            name = "TmpfsOptions"
    if options:
        shape[name] = options
    return shape


def _mount_point(mount: Mount) -> Json:
    point: Json = {"Type": mount.kind.value}
    if mount.kind is MountKind.VOLUME:
        point["Name"] = mount.source
        point["Source"] = mount.mountpoint
    else:
        point["Source"] = mount.source
    point["Destination"] = mount.destination
    if mount.kind is MountKind.VOLUME:
        point["Driver"] = mount.driver or "local"
    point["Mode"] = mount.mode
    point["RW"] = not mount.read_only
    point["Propagation"] = mount.propagation or ("rprivate" if mount.kind is MountKind.BIND else "")
    return point
