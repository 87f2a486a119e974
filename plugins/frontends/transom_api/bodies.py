"""The bodies of requests, from JSON to the engine's types. What the engine does not do is refused, never left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.containers.model import ContainerConfig, Device, ExecConfig, HostConfig, RestartPolicy, Ulimit
from transom.errors import InvalidParameter, Unsupported
from transom.graph.model import Healthcheck, RunConfig
from transom.runtime.streams import detach_sequence
from transom_api.endpoints import parse_bindings, parse_extra_hosts
from transom_api.fields import parse_object
from transom_api.mounts import parse_mounts
from transom_api.unsupported import (
    CONTAINER_FIELDS,
    HOST_FIELDS,
    IMAGE_FIELDS,
    UPDATE_FIELDS,
    refuse_unsupported,
)

if TYPE_CHECKING:
    from transom_api.fields import Fields

__all__ = ["parse_container", "parse_exec", "parse_image_config", "parse_update", "warnings_of"]

_DEFAULT_SHM_SIZE = HostConfig.shm_size


def parse_container(body: Fields) -> tuple[ContainerConfig, HostConfig]:
    """Return what `POST /containers/create` asks for. Raises `InvalidParameter` and `Unsupported`."""
    if "Image" not in body:
        raise InvalidParameter("Config cannot be empty in order to create a container: it needs at least an Image")
    refuse_unsupported(body, CONTAINER_FIELDS)
    host = _parse_host(body.object("HostConfig"))
    return _parse_config(body), host


def parse_update(body: Fields) -> RestartPolicy | None:
    """Return the restart policy that `POST /containers/{id}/update` asks for, None for none. Raises as above."""
    refuse_unsupported(body, UPDATE_FIELDS)
    restart = _parse_restart(body)
    return restart if body.object("RestartPolicy").string("Name") else None


def _parse_restart(host: Fields) -> RestartPolicy:
    policy = host.object("RestartPolicy")
    return RestartPolicy(policy.string("Name") or "no", policy.integer("MaximumRetryCount"))


def parse_image_config(content: bytes) -> RunConfig | None:
    """Return the configuration that `POST /commit` has for the new image, None if it has none."""
    if content.strip() in (b"", b"null"):
        return None
    body = parse_object(content)
    if body.empty:
        # The SDK for Python sends it when it means nothing.
        return None
    refuse_unsupported(body, IMAGE_FIELDS)
    return _parse_config(body).run


def _parse_config(body: Fields) -> ContainerConfig:
    return ContainerConfig(
        image=body.string("Image"),
        run=RunConfig(
            user=body.string("User"),
            env=body.strings("Env"),
            entrypoint=body.words("Entrypoint"),
            cmd=body.words("Cmd"),
            working_dir=body.string("WorkingDir"),
            labels=body.mapping("Labels"),
            exposed_ports=body.keys("ExposedPorts"),
            volumes=body.keys("Volumes"),
            stop_signal=body.string("StopSignal"),
            shell=body.words("Shell"),
            on_build=body.strings("OnBuild"),
            healthcheck=_parse_healthcheck(body.object("Healthcheck")) if "Healthcheck" in body else None,
        ),
        hostname=body.string("Hostname"),
        domainname=body.string("Domainname"),
        tty=body.boolean("Tty"),
        open_stdin=body.boolean("OpenStdin"),
        stdin_once=body.boolean("StdinOnce"),
        attach_stdin=body.boolean("AttachStdin"),
        attach_stdout=body.boolean("AttachStdout"),
        attach_stderr=body.boolean("AttachStderr"),
        stop_timeout=body.optional_integer("StopTimeout"),
    )


def _parse_healthcheck(check: Fields) -> Healthcheck:
    return Healthcheck(
        test=check.strings("Test"),
        interval=check.integer("Interval"),
        timeout=check.integer("Timeout"),
        retries=check.integer("Retries"),
        start_period=check.integer("StartPeriod"),
        start_interval=check.integer("StartInterval"),
    )


def _parse_host(host: Fields) -> HostConfig:
    refuse_unsupported(host, HOST_FIELDS)
    log = host.object("LogConfig")
    storage = _parse_storage(host)
    return HostConfig(
        graphdriver=storage.get("driver", ""),
        storage_size=storage.get("size", ""),
        execdriver=host.string("Runtime"),
        network=host.string("NetworkMode"),
        ports=parse_bindings(host),
        publish_all=host.boolean("PublishAllPorts"),
        dns=host.strings("Dns"),
        dns_search=host.strings("DnsSearch"),
        dns_options=host.strings("DnsOptions"),
        extra_hosts=parse_extra_hosts(host),
        links=host.strings("Links"),
        auto_remove=host.boolean("AutoRemove"),
        read_only=host.boolean("ReadonlyRootfs"),
        init=host.boolean("Init") if "Init" in host else None,
        mounts=parse_mounts(host),
        binds=host.strings("Binds"),
        volume_driver=host.string("VolumeDriver"),
        group_add=host.strings("GroupAdd"),
        ulimits=tuple(
            Ulimit(limit.string("Name"), limit.integer("Soft"), limit.integer("Hard"))
            for limit in host.objects("Ulimits")
        ),
        shm_size=host.integer("ShmSize") or _DEFAULT_SHM_SIZE,
        restart=_parse_restart(host),
        log_driver=log.string("Type"),
        log_options=log.mapping("Config"),
        console_size=host.size("ConsoleSize"),
        oom_score_adj=host.integer("OomScoreAdj"),
        annotations=host.mapping("Annotations"),
        isolation="default" if host.raw("Isolation") else "",
        ipc=host.string("IpcMode"),
        pid=host.string("PidMode"),
        uts=host.string("UTSMode"),
        cgroupns=host.string("CgroupnsMode"),
        sysctls=host.mapping("Sysctls"),
        devices=tuple(
            Device(
                device.string("PathOnHost"),
                device.string("PathInContainer") or device.string("PathOnHost"),
                device.string("CgroupPermissions") or Device.permissions,
            )
            for device in host.objects("Devices")
        ),
        volumes_from=host.strings("VolumesFrom"),
        container_id_file=host.string("ContainerIDFile"),
    )


def warnings_of(body: Fields) -> list[str]:
    """Return what a client should know about the options that mean nothing."""
    host = body.object("HostConfig")
    if host.string("NetworkMode") == "host" and (host.keys("PortBindings") or host.boolean("PublishAllPorts")):
        return ["Published ports are discarded when using host network mode"]
    return []


def _parse_storage(host: Fields) -> dict[str, str]:
    """Return the options of storage: `driver`, a graph driver, and `size`."""
    options = host.mapping("StorageOpt")
    for name in options:
        if name not in ("driver", "size"):
            raise Unsupported(f"the storage option {name!r} is not supported: there are driver=NAME and size=BYTES")
    return options


def parse_exec(body: Fields) -> ExecConfig:
    """Return what `POST /containers/{id}/exec` asks for. Raises `InvalidParameter` and `Unsupported`."""
    if body.boolean("Privileged"):
        raise Unsupported("a privileged exec is not supported: leave out Privileged (--privileged)")
    keys = body.string("DetachKeys")
    try:
        detach_sequence(keys)
    except ValueError as error:
        raise InvalidParameter(str(error)) from None
    return ExecConfig(
        cmd=body.words("Cmd") or (),
        env=body.strings("Env"),
        user=body.string("User"),
        working_dir=body.string("WorkingDir"),
        tty=body.boolean("Tty"),
        attach_stdin=body.boolean("AttachStdin"),
        attach_stdout=body.boolean("AttachStdout"),
        attach_stderr=body.boolean("AttachStderr"),
        detach_keys=keys,
        console_size=body.size("ConsoleSize"),
    )
