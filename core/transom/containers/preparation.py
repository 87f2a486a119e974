"""What must be there before a container's process, and goes after it: file system, volumes, network, bundle, shim."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transom.containers.logs import logged
from transom.containers.model import Container, Mount, MountKind
from transom.containers.mounts import check_bind_source, check_propagation
from transom.containers.namespaces import choose_namespaces, find_shared_memory
from transom.containers.networking import Networking
from transom.containers.rootfs import make_directory
from transom.containers.spec import Surroundings, build_spec
from transom.containers.staging import SHARED_MEMORY, stage_part, stage_shared_memory, unstage
from transom.drivers.base import Driver
from transom.drivers.exec import ExecDriver
from transom.errors import Conflict, InvalidParameter, NotFound, TransomError
from transom.runtime.cgroups import Cgroup, announce_move
from transom.runtime.classes import name_of
from transom.runtime.shim import publish
from transom.runtime.shims import Shims

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Preparation"]

log = logging.getLogger(__name__)

#: In the shim's directory: what `staging` mounts.
_STAGING = "mounts"
#: The files that each container has of its own.


class Preparation:
    """Makes containers ready to start, and undoes that. The caller holds the container's lock."""

    def __init__(self, engine: Engine, shims: Shims, networking: Networking) -> None:
        self._engine = engine
        self._shims = shims
        self._networking = networking
        #: Variables that are in no container's record, by the container's ID, for its next start.
        self._confidential: dict[str, tuple[str, ...]] = {}

    def confide(self, container: str, variables: tuple[str, ...]) -> None:
        """Keep variables for a container's next start: they are in memory and the exec root alone."""
        self._confidential[container] = variables

    def make(self, container: Container) -> Container:
        """Make everything up to the shim, which waits for `start`; return the container with its mounts' places.

        Nothing is left if this raises.
        """
        with ExitStack() as undo:
            directory = self._shims.directory(container.id)
            undo.callback(_remove_directory, directory)
            # It is the record of all that follows: the next engine looks here first.
            _remove_directory(directory)
            (directory / "driver").mkdir(mode=0o700, parents=True)
            (directory / "execs").mkdir(mode=0o700)
            group = Cgroup(self._cgroup(container.id))
            undo.callback(group.remove)
            group.create()
            # The shim moves the init into the group at the end of all this.
            self._engine.submit(announce_move)
            rootfs = self._engine.layers.mount(container.graphdriver, container.id)
            undo.callback(self._engine.layers.unmount, container.graphdriver, container.id)
            undo.callback(self._release_mounts, container)
            prepared = replace(container, mounts=tuple(self._locate(mount, container) for mount in container.mounts))
            undo.callback(self._networking.close, container.id)
            network = self._networking.open(container)
            prepared = replace(
                prepared, endpoints=network.endpoints, sandbox=network.sandbox, published=network.published
            )
            _make_working_directory(rootfs, container.config.run.working_dir)
            around = Surroundings(
                rootfs=rootfs,
                cgroup=self._cgroup(container.id),
                files=self._networking.files(prepared),
                private_network=network.private,
                namespaces={**choose_namespaces(container.host, self._engine.containers.get), **network.namespaces},
                shared_memory=self._share_memory(container),
                confidential=self._confidential.pop(container.id, ()),
                variables=network.variables,
            )
            publish(directory / "config.json", json.dumps(build_spec(prepared, around)))
            publish(directory / "log.json", json.dumps(self._log_settings(prepared)))
            self._spawn(prepared)
            undo.pop_all()
        return prepared

    def undo(self, container: Container) -> None:
        """Take away what `make` made, in reverse. Harmless where something is gone already."""
        with ExitStack() as undo:
            # Each step is taken whatever the others raise, and the last error is raised.
            undo.callback(_remove_directory, self._shims.directory(container.id))
            undo.callback(Cgroup(self._cgroup(container.id)).remove)
            undo.callback(self._engine.layers.unmount, container.graphdriver, container.id)
            undo.callback(self._release_mounts, container)
            undo.callback(self._networking.end, container)

    def close(self, container: Container) -> None:
        """Unmount what an engine that was killed while it looked at the files of a container without a process left."""
        try:
            self._engine.layers.unmount(container.graphdriver, container.id)
        except Exception as error:  # noqa: BLE001 a driver of anybody's must not stop the engine
            # The driver may not work here any more; the container can still be seen and removed.
            log.warning("the layer of the container %s stays mounted: %s", container.id, error)

    def adopt(self, container: Container, *, was_running: bool) -> Container:
        """Count what a running container uses, after an earlier engine made it; return it with what it has.

        `was_running` says that the earlier engine had recorded that it runs.
        """
        self._engine.layers.mount(container.graphdriver, container.id)
        for mount in container.mounts:
            if mount.kind is MountKind.VOLUME:
                self._engine.volumes.mount(mount.source, container.id)
            elif mount.kind is MountKind.IMAGE:
                self._engine.layers.mount(container.graphdriver, mount.layer, container.id)
        return self._networking.adopt(container, was_running=was_running)

    def kill(self, container: Container) -> None:
        """End what is left of a container whose shim is gone."""
        directory = self._shims.directory(container.id)
        if (directory / "config.json").exists():
            self._execdriver(container.execdriver)(container.id, directory, directory / "driver").delete()

    def discard(self, directory: Path) -> None:
        """Take away the shim's directory of a container that is not known, and end what is left of it."""
        Cgroup(self._cgroup(directory.name)).remove()
        self._networking.close(directory.name)
        _remove_directory(directory)

    def directory(self, container: Container) -> Path:
        """Return the directory that lasts as long as the container: its log, and its own files in /etc."""
        return self._networking.directory(container)

    def modules(self) -> list[str]:
        """Return the modules that shims of default containers need."""
        modules = ["transom.runtime.native"]
        choices: tuple[Callable[[], type[Driver]], ...] = (
            lambda: self._execdriver(self._engine.execdriver()),
            lambda: self._engine.catalog.log.get(self._engine.config.log_driver),
        )
        for choose in choices:
            try:
                driver = choose()
                modules += [driver.__module__, *driver.shim_modules]
            except TransomError as error:
                # The engine has more uses than containers, and a container may name another driver.
                log.warning("the default driver cannot be used: %s", error)
        return modules

    def remove_anonymous_volumes(self, container: Container) -> None:
        """Delete the volumes that were made for this container alone."""
        for mount in container.mounts:
            if mount.kind is MountKind.VOLUME and mount.anonymous:
                try:
                    self._engine.volumes.remove(mount.source)
                except (Conflict, NotFound) as error:
                    # Another container uses it, or somebody removed it: both are theirs to do.
                    log.info("the anonymous volume %s stays: %s", mount.source, error)

    def leave(self) -> None:
        """Take away what all containers share, if none runs."""
        if not self._engine.containers.running():
            self._engine.networks.leave()
        Cgroup(self._cgroup("")).remove_if_empty()

    # Volumes, images and binds

    @contextmanager
    def located(self, container: Container) -> Iterator[tuple[Mount, ...]]:
        """Give a container's mounts, each with the place where its content is for the length of a `with` block.

        A running container's have it for as long as that runs.
        """
        if container.state.running:
            yield container.mounts
            return
        with ExitStack() as undo:
            directory = self._shims.directory(container.id)
            undo.callback(_remove_directory, directory)
            # It is the record of all that follows, as for a start.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            undo.callback(self._release_mounts, container)
            yield tuple(self._locate(mount, container) for mount in container.mounts)

    def _locate(self, mount: Mount, container: Container) -> Mount:
        """Return a mount with the place where its content is."""
        if mount.kind is MountKind.TMPFS:
            return mount
        if mount.kind is MountKind.VOLUME:
            place = self._engine.volumes.mount(mount.source, container.id)
            self._record_volume("mount", mount, container)
            return replace(mount, mountpoint=str(place), part=self._part(mount, place, container))
        if mount.kind is MountKind.IMAGE:
            place = self._engine.layers.mount(container.graphdriver, mount.layer, container.id)
            return replace(mount, mountpoint=str(place), part=self._part(mount, place, container))
        check_bind_source(mount)
        if not os.path.lexists(mount.source):
            try:
                Path(mount.source).mkdir(0o755, parents=True, exist_ok=True)
            except OSError as error:
                raise InvalidParameter(
                    f"error while creating mount source path '{mount.source}': {error.strerror}"
                ) from error
        check_propagation(mount)
        driver = self._engine.catalog.volume.get("bind")(self._engine.catalog.volume.root("bind"))
        return replace(mount, mountpoint=str(driver.mount(mount.source, container.id)))

    def _part(self, mount: Mount, place: Path, container: Container) -> str:
        """Return where the part of a volume or an image is that is to be mounted, empty for all of it."""
        return str(stage_part(self._staging(container), place, mount.subpath)) if mount.subpath else ""

    def _share_memory(self, container: Container) -> Path | None:
        """Return the /dev/shm that a container has with others, made if it is the first; None if it has its own."""
        if container.host.ipc == "shareable":
            return stage_shared_memory(self._staging(container), container.host.shm_size)
        return find_shared_memory(
            container.host,
            self._engine.containers.get,
            lambda donor: self._shims.directory(donor) / _STAGING / SHARED_MEMORY,
        )

    def _staging(self, container: Container) -> Path:
        return self._shims.directory(container.id) / _STAGING

    def _release_mounts(self, container: Container) -> None:
        # Parts of volumes and images hold what they are parts of.
        unstage(self._staging(container))
        for mount in container.mounts:
            if mount.kind is MountKind.VOLUME:
                self._engine.volumes.unmount(mount.source, container.id)
                self._record_volume("unmount", mount, container)
            elif mount.kind is MountKind.IMAGE:
                self._engine.layers.unmount(container.graphdriver, mount.layer, container.id)

    def _record_volume(self, action: str, mount: Mount, container: Container) -> None:
        attributes = {"driver": mount.driver, "container": container.id}
        if action == "mount":
            attributes |= {
                "destination": mount.destination,
                "read/write": str(not mount.read_only).lower(),
                "propagation": mount.propagation,
            }
        self._engine.events.record("volume", action, mount.source, attributes)

    # Shim

    def _cgroup(self, container: str) -> str:
        return f"/{self._engine.config.cgroup_parent.strip('/')}/{container}".rstrip("/")

    def files(self, container: Container) -> dict[str, Path]:
        """Return the files of /etc that a container has of its own since its first start, by their path in it."""
        return self._networking.existing_files(container)

    def _spawn(self, container: Container) -> None:
        config = container.config
        self._shims.spawn(
            container.id,
            {
                "exec": name_of(self._execdriver(container.execdriver)),
                "terminal": config.tty,
                "stdin": config.open_stdin,
                "stdin_once": config.stdin_once,
            },
        )

    def _log_settings(self, container: Container) -> dict[str, object]:
        return {
            "driver": name_of(self._engine.catalog.log.get(container.log_driver)),
            "directory": str(self.directory(container)),
            "options": dict(container.host.log_options),
            "container": dataclasses.asdict(logged(container)),
        }

    def _execdriver(self, name: str) -> type[ExecDriver]:
        return self._engine.catalog.exec.get(name)


def _remove_directory(directory: Path) -> None:
    """Remove a shim's directory with what is mounted in it."""
    unstage(directory / _STAGING)
    shutil.rmtree(directory, ignore_errors=True)


def _make_working_directory(rootfs: Path, path: str) -> None:
    if not path:
        return
    try:
        make_directory(rootfs, path)
    except NotADirectoryError as error:
        raise InvalidParameter(f"cannot make the working directory {path}: Not a directory") from error
