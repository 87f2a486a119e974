"""What a container mounts: Docker's short form (`-v`), and how the short, the long and the image's own add up."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from transom.containers.model import Container, Mount, MountKind
from transom.containers.names import make_id
from transom.errors import InvalidParameter

__all__ = [
    "check_bind_source",
    "check_mount",
    "check_propagation",
    "gather_mounts",
    "inherit_mounts",
    "parse_bind",
]

_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_PROPAGATIONS = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
#: Labels of SELinux and consistency hints of other systems: accepted by Docker without effect where there is no use.
_WITHOUT_EFFECT = frozenset(("z", "Z", "consistent", "cached", "delegated", "default"))


def parse_bind(text: str, driver: str = "") -> Mount:
    """Return the mount that `[SOURCE:]DESTINATION[:OPTIONS]` asks for. Raises `InvalidParameter`."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidParameter(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return check_mount(Mount(MountKind.VOLUME, parts[0], make_id(), driver=driver, anonymous=True), text)
    source, destination = parts[0], parts[1]
    options = parts[2].split(",") if len(parts) == 3 else []
    is_path = source.startswith("/")
    if not is_path and not _VOLUME_NAME.match(source):
        raise InvalidParameter(
            f'create {source}: "{source}" includes invalid characters for a local volume name, only'
            ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    chosen = [option for option in options if option in ("ro", "rw", "readonly")]
    propagations = [option for option in options if option in _PROPAGATIONS]
    known = {*chosen, *propagations, *(("nocopy",) if not is_path else ()), *_WITHOUT_EFFECT}
    if len(chosen) > 1 or len(propagations) > 1 or not set(options) <= known or (propagations and not is_path):
        raise InvalidParameter(f"invalid mode: {parts[2]}: invalid volume specification: '{text}'")
    return check_mount(
        Mount(
            MountKind.BIND if is_path else MountKind.VOLUME,
            destination,
            posixpath.normpath(source) if is_path else source,
            driver="" if is_path else driver,
            read_only="ro" in options or "readonly" in options,
            propagation=propagations[0] if propagations else "",
            copy="nocopy" not in options,
            create_source=is_path,
            mode=parts[2] if len(parts) == 3 else "",
        ),
        text,
    )


def check_mount(mount: Mount, text: str = "") -> Mount:
    """Return a mount with its destination cleaned. Raises `InvalidParameter` for one that cannot be mounted."""
    what = f'invalid mount config for type "{mount.kind.value}"'
    if text:
        what = f"invalid volume specification: '{text}': {what}"
    if not mount.destination.startswith("/"):
        raise InvalidParameter(f"{what}: invalid mount path: '{mount.destination}' mount path must be absolute")
    destination = posixpath.normpath(mount.destination)
    if destination.lstrip("/") == "":
        raise InvalidParameter(f"{what}: invalid specification: destination can't be '/'")
    if mount.propagation and mount.propagation not in _PROPAGATIONS:
        raise InvalidParameter(f"{what}: invalid propagation mode: {mount.propagation}")
    if mount.kind is MountKind.BIND and not mount.source.startswith("/"):
        raise InvalidParameter(f"{what}: invalid mount path: '{mount.source}' mount path must be absolute")
    if mount.subpath:
        if not mount.source:
            raise InvalidParameter(f"{what}: must not set Subpath when using anonymous volumes")
        if mount.subpath.startswith("/") or posixpath.normpath(mount.subpath).split("/")[0] == "..":
            raise InvalidParameter(f"{what}: subpath must be a relative path within the volume")
    return replace(mount, destination="/" + destination.lstrip("/"))


def check_bind_source(mount: Mount) -> None:
    """Raise `InvalidParameter` if what a mount binds is not there and is not to be made."""
    if mount.kind is MountKind.BIND and not mount.create_source and not os.path.lexists(mount.source):
        raise InvalidParameter(f'invalid mount config for type "bind": bind source path does not exist: {mount.source}')


def check_propagation(mount: Mount) -> None:
    """Raise `InvalidParameter` if what is bound has no mounts to share, and the container is to have them."""
    wanted = mount.propagation.removeprefix("r")
    if wanted not in ("shared", "slave"):
        return
    below, options = _mount_of(os.path.realpath(mount.source))
    if not any(option.startswith(("shared:", *(("master:",) if wanted == "slave" else ()))) for option in options):
        kind = "shared" if wanted == "shared" else "shared or slave"
        raise InvalidParameter(f"path {mount.source} is mounted on {below} but it is not a {kind} mount")


def _mount_of(path: str) -> tuple[str, list[str]]:
    """Return where the mount that holds a path is, and its optional fields (proc_pid_mountinfo(5))."""
    found, options = "/", list[str]()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        # Of two mounts at one place the later is on top.
        if len(place) >= len(found) and (path == place or path.startswith(f"{place.rstrip('/')}/")):
            found, options = place, fields[6 : fields.index("-")]
    return found, options


def inherit_mounts(specifications: Iterable[str], find: Callable[[str], Container]) -> list[Mount]:
    """Return the mounts of other containers, which `--volumes-from NAME[:MODE]` asks for.

    Raises `InvalidParameter` for a specification that cannot be, and what `find` raises.
    """
    mounts: dict[str, Mount] = {}
    for text in specifications:
        name, _, mode = text.partition(":")
        if not name:
            raise InvalidParameter("volumes-from specification cannot be an empty string")
        words = mode.split(",") if mode else []
        accesses = [word for word in words if word in ("ro", "rw")]
        if len(accesses) > 1 or not set(words) <= {"ro", "rw", *_WITHOUT_EFFECT}:
            raise InvalidParameter(f"invalid mode: {mode}")
        for mount in find(name).mounts:
            if mount.kind is MountKind.TMPFS and mount.tmpfs.options:
                # As in Docker, one of --tmpfs is the other container's alone; one of --mount makes another.
                continue
            read_only = mount.read_only or "ro" in words
            mounts[mount.destination] = replace(mount, read_only=read_only, copy=False, mode="", mountpoint="", part="")
    return list(mounts.values())


def gather_mounts(
    asked: Iterable[Mount], image_volumes: Iterable[str], inherited: Iterable[Mount] = ()
) -> tuple[Mount, ...]:
    """Return all mounts of a container: what was asked for, what it has from others, and what the image declares.

    What was asked for goes before what is inherited; a path that the image declares and nobody mentions is an anonymous
    volume. They are in the order of their paths, whatever order a client sends them in (the stock one: any). Raises
    `InvalidParameter` for two mounts at one path.
    """
    mounts: dict[str, Mount] = {}
    for mount in asked:
        if mount.destination in mounts:
            raise InvalidParameter(f"Duplicate mount point: {mount.destination}")
        if mount.kind is MountKind.VOLUME and not mount.source:
            mount = replace(mount, source=make_id(), anonymous=True)
        elif mount.kind is MountKind.VOLUME and not mount.anonymous and not mount.mode:
            # What Docker shows: as far as SELinux is concerned, the volume is for all containers.
            mount = replace(mount, mode="z")
        mounts[mount.destination] = mount
    mounts = {**{mount.destination: mount for mount in inherited}, **mounts}
    for path in image_volumes:
        mount = check_mount(Mount(MountKind.VOLUME, path, make_id(), anonymous=True))
        mounts.setdefault(mount.destination, mount)
    return tuple(mounts[path] for path in sorted(mounts))
