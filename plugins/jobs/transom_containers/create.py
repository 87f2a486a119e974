"""The job `create`: everything about a container is checked and chosen here, so that `start` finds it ready."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from transom.containers.model import (
    Container,
    ContainerConfig,
    CreatedContainer,
    HostConfig,
    Mount,
    MountKind,
)
from transom.containers.mounts import check_bind_source, check_mount, gather_mounts, inherit_mounts, parse_bind
from transom.containers.names import check_name, make_id, make_name
from transom.containers.namespaces import name_donors
from transom.containers.network_choice import choose_links, choose_networks, hostname_of
from transom.containers.rootfs import find_directory
from transom.drivers.network import EndpointSettings
from transom.errors import Conflict, InvalidParameter, NotFound, Unsupported
from transom.graph.model import Healthcheck, Image, Platform, RunConfig
from transom.logs.options import check_log
from transom.sizes import parse_size
from transom.volumes import ANONYMOUS_LABEL
from transom_containers.checks import check_kept, check_options

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["create", "merge_config"]


def create(
    engine: Engine,
    job: Job,
    *,
    config: ContainerConfig,
    host: HostConfig,
    name: str = "",
    platform: str = "",
    networks: Mapping[str, EndpointSettings] | None = None,
) -> CreatedContainer:
    """Make a container of an image that is here; return its ID.

    `networks` are the networks that it is to be on besides that of the network mode, and what it wants on each.

    Raises `NotFound` for the image and nothing else, `Conflict` for a name in use, `InvalidParameter` and
    `Unsupported` for what cannot be, and what the drivers raise. Nothing is left then.
    """
    image = engine.images.get(config.image)
    warnings = _check_platform(image, platform)
    try:
        return CreatedContainer(_create(engine, job, image, config, host, name, networks or {}), warnings)
    except NotFound as error:
        # A driver: only the image may be what is not found, since clients then pull it.
        raise InvalidParameter(str(error)) from error


def _create(
    engine: Engine,
    job: Job,
    image: Image,
    config: ContainerConfig,
    host: HostConfig,
    name: str,
    asked_networks: Mapping[str, EndpointSettings],
) -> str:
    """Make a container of an image, and return its ID."""
    chosen_name = check_name(name) if name else _free_name(engine)
    engine.containers.check_name(chosen_name)
    run = merge_config(image.config, config.run)
    if not run.entrypoint and not run.cmd:
        raise InvalidParameter("no command specified")
    check_options(run, config, host)
    execdriver = engine.execdriver(host.execdriver)
    log_driver, host = _choose_log(engine, host)
    identity = make_id()
    asked = [
        *(parse_bind(bind, host.volume_driver) for bind in host.binds),
        *(check_mount(mount) for mount in host.mounts),
    ]
    for mount in asked:
        check_bind_source(mount)
    inherited = inherit_mounts(host.volumes_from, engine.containers.get)
    host = name_donors(host, engine.containers.get)
    mode, networks = choose_networks(engine, config, host, asked_networks, execdriver)
    if mode == "bridge":
        host = replace(host, network=mode)
    container = Container(
        id=identity,
        name=chosen_name,
        created=time.time_ns(),
        image=image.id,
        config=replace(config, run=run, hostname=config.hostname or hostname_of(engine, identity, mode, host.uts)),
        host=host,
        graphdriver=engine.graphdriver(host.graphdriver),
        execdriver=execdriver,
        network=mode,
        networks=networks,
        links=choose_links(engine, host, mode),
        log_driver=log_driver,
        mounts=gather_mounts(asked, run.volumes, inherited),
    )
    check_kept(engine, container, config)
    size = _check_size(engine, container)
    with ExitStack() as undo:
        parent = engine.layers.ensure(image, container.graphdriver, lambda _: job.check())
        engine.layers.prepare(identity, container.graphdriver, parent, size)
        undo.callback(engine.layers.remove, container.graphdriver, identity)
        mounts = tuple(_find_image(engine, job, container, mount) for mount in container.mounts)
        container = replace(container, mounts=mounts)
        container = replace(container, mounts=_make_volumes(engine, container, undo))
        container = _add(engine, container, named=bool(name))
        undo.pop_all()
    engine.supervisor.record(container, "create")
    return identity


def _check_size(engine: Engine, container: Container) -> int:
    """Return how many bytes the container's files may have, 0 for any.

    Raises `InvalidParameter`, and `Unsupported` for a graph driver that knows no limit.
    """
    asked = container.host.storage_size
    if not asked:
        return 0
    size = parse_size(asked, 1024)
    if not size:
        raise InvalidParameter(f"invalid size: {asked!r}: a container's files need some space")
    if not engine.layers.driver(container.graphdriver).capabilities.quota:
        able = [driver.name for driver in engine.catalog.graph.describe() if "quota" in driver.capabilities]
        raise Unsupported(
            f"the graph driver {container.graphdriver!r} cannot limit the size of a container's files"
            f" (--storage-opt size={asked}): leave it out, or choose one that can ({', '.join(able) or 'none here'})"
        )
    return size


def _free_name(engine: Engine) -> str:
    while engine.containers.has_name(name := make_name()):
        pass
    return name


def _add(engine: Engine, container: Container, *, named: bool) -> Container:
    """Record a container; one whose name was made up gets another if somebody was quicker."""
    while True:
        try:
            engine.containers.add(container)
        except Conflict:
            if named or not engine.containers.has_name(container.name):
                raise
            container = replace(container, name=_free_name(engine))
        else:
            return container


def _check_platform(image: Image, wanted: str) -> tuple[str, ...]:
    """Return a warning if the image is for another platform than this machine. Raises `NotFound` for a wrong image."""
    if wanted:
        parts = wanted.split("/")
        have = [image.platform.os, image.platform.architecture, image.platform.variant]
        if any(part and part != own for part, own in zip(parts, have, strict=False)):
            raise NotFound(
                f"image with reference {image.id[7:19]} was found but its platform ({image.platform}) does not match"
                f" the specified platform ({wanted})"
            )
        return ()
    here = Platform.here()
    if (image.platform.os, image.platform.architecture) == (here.os, here.architecture):
        return ()
    return (
        f"The requested image's platform ({image.platform}) does not match the detected host platform ({here}) and no"
        " specific platform was requested",
    )


def merge_config(image: RunConfig, asked: RunConfig) -> RunConfig:
    """Return an image's defaults with a container's own choice on top.

    A new entrypoint leaves the image's arguments out, since they were meant for the old one.
    """
    entrypoint, cmd = asked.entrypoint, asked.cmd
    if not cmd and entrypoint is None:
        cmd = image.cmd
    if entrypoint is None:
        entrypoint = image.entrypoint
    elif entrypoint == ("",):
        entrypoint = ()
    return RunConfig(
        user=asked.user or image.user,
        env=_environment(image.env, asked.env),
        entrypoint=entrypoint,
        cmd=cmd,
        working_dir=asked.working_dir or image.working_dir,
        labels={**image.labels, **asked.labels},
        exposed_ports=tuple(sorted({*image.exposed_ports, *asked.exposed_ports})),
        volumes=tuple(dict.fromkeys((*image.volumes, *asked.volumes))),
        stop_signal=asked.stop_signal or image.stop_signal,
        shell=asked.shell or image.shell,
        on_build=asked.on_build,
        healthcheck=_merge_healthcheck(image.healthcheck, asked.healthcheck),
    )


def _merge_healthcheck(image: Healthcheck | None, asked: Healthcheck | None) -> Healthcheck | None:
    """Return an image's health check with what was asked for on top."""
    if image is None or asked is None:
        return asked or image
    values = {name: value or getattr(image, name) for name, value in vars(asked).items()}
    return Healthcheck(**values)


def _environment(image: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """Return a container's environment in Docker's order: what was asked for, then what only the image has.

    A name without a value stays, so that it takes away what a container has by itself (`build_spec`).
    """
    names = {item.partition("=")[0] for item in asked}
    return (*asked, *(item for item in image if item.partition("=")[0] not in names))


def _choose_log(engine: Engine, host: HostConfig) -> tuple[str, HostConfig]:
    """Return the log driver, and what was asked for with the log's options as they are: the daemon's are its driver's
    defaults."""
    name = host.log_driver or engine.config.log_driver
    options = host.log_options
    if name == engine.config.log_driver:
        options = {**engine.config.log_opts, **options}
    check_log(engine.catalog.log, name, options)
    return name, replace(host, log_options=options)


def _find_image(engine: Engine, job: Job, container: Container, mount: Mount) -> Mount:
    """Return a mount of an image with the image that it names, whose layers are there."""
    # What is inherited knows its image; it may be in another graph driver, or have another name now.
    if mount.kind is not MountKind.IMAGE:
        return mount
    image = engine.images.get(mount.image or mount.source)
    layer = engine.layers.ensure(image, container.graphdriver, lambda _: job.check())
    if layer is None:
        raise InvalidParameter(f"the image {mount.source} has no files that could be mounted at {mount.destination}")
    return replace(mount, image=image.id, layer=layer)


def _make_volumes(engine: Engine, container: Container, undo: ExitStack) -> tuple[Mount, ...]:
    """Make the volumes that are not there, and fill the new ones with the image's content at their path."""
    mounts: list[Mount] = []
    for mount in container.mounts:
        if mount.kind is not MountKind.VOLUME:
            mounts.append(mount)
            continue
        if engine.volumes.exists(mount.source):
            record = engine.volumes.get(mount.source)
            if mount.driver and mount.driver != record.driver:
                raise Conflict(f"the volume {record.name} is of the driver {record.driver}, not {mount.driver}")
        else:
            labels = {**mount.labels, ANONYMOUS_LABEL: ""} if mount.anonymous else mount.labels
            record = engine.volumes.create(mount.source, mount.driver or "local", mount.driver_options, labels)
            undo.callback(engine.volumes.remove, record.name)
            engine.events.record("volume", "create", record.name, {"driver": record.driver})
        read_only = mount.read_only or engine.catalog.volume.get(record.driver).read_only
        mounts.append(replace(mount, driver=record.driver, read_only=read_only))
    _fill(
        engine,
        container,
        [mount for mount in mounts if mount.kind is MountKind.VOLUME and mount.copy and not mount.subpath],
    )
    return tuple(mounts)


def _fill(engine: Engine, container: Container, mounts: list[Mount]) -> None:
    """Give empty volumes the image's content at their path."""
    mounts = [mount for mount in mounts if engine.catalog.volume.get(mount.driver).copies_image_content]
    if not mounts:
        return
    with engine.layers.mounted(container.graphdriver, container.id) as rootfs:
        for mount in mounts:
            source = find_directory(rootfs, mount.destination)
            if source is None:
                continue
            try:
                place = engine.volumes.mount(mount.source, container.id)
                engine.volumes.populate(place, source)
            finally:
                engine.volumes.unmount(mount.source, container.id)
