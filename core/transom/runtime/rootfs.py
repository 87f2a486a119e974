"""A container's file system, built in its own mount namespace: what config.json mounts, /dev, and the new root.

OCI runtime specification, config.md ("Mounts") and config-linux.md ("Default Filesystems", "Devices", "Masked Paths").
Names in the image are untrusted: every target is opened beneath the root and mounted on by its descriptor, so no
symbolic link leads out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transom.errors import StartFailed
from transom.runtime.cgroups import Cgroup, layout
from transom.runtime.syscalls.files import openat2
from transom.runtime.syscalls.mounts import (
    MNT_DETACH,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_SHARED,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
    mount,
    mount_setattr,
    move_mount,
    open_tree,
    pivot_root,
    umount2,
)

__all__ = ["Rootfs"]

_FLAGS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "relatime": MS_RELATIME,
    "strictatime": MS_STRICTATIME,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "sync": MS_SYNCHRONOUS,
}
_NO_FLAGS = frozenset(("rw", "suid", "dev", "exec", "bind", "rbind", "async", "atime"))
_ATTRIBUTES = {
    "ro": MOUNT_ATTR_RDONLY,
    "nosuid": MOUNT_ATTR_NOSUID,
    "nodev": MOUNT_ATTR_NODEV,
    "noexec": MOUNT_ATTR_NOEXEC,
}
_PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE,
    "shared": MS_SHARED,
    "rshared": MS_SHARED,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE,
}
_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


class Rootfs:
    """The root file system of a container in the making; `config` is the whole config.json.

    Everything happens in the calling process, which must have a mount namespace of its own.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._path: str = config["root"]["path"]
        self._linux: Mapping[str, Any] = config.get("linux", {})
        self._root = -1

    def build(self) -> None:
        """Make the root a mount of its own, and mount everything in it."""
        propagation = self._linux.get("rootfsPropagation") or "rslave"
        mount("none", "/", None, _propagation(propagation))
        if propagation in ("shared", "rshared"):
            self._make_parent_private()
        mount(self._path, self._path, None, MS_BIND | MS_REC)
        # A shared mount cannot become the root (pivot_root(2)).
        mount("none", self._path, None, MS_PRIVATE)
        self._root = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for item in self._config.get("mounts", ()):
            self._mount(item)
        self._make_devices()
        if not any(item["destination"] == "/dev" and _is_bind(item) for item in self._config.get("mounts", ())):
            # Where the machine's own /dev is bound, its devices are there.
            for device in self._linux.get("devices", ()):
                self._make_device(device)

    def open(self, path: str, flags: int = os.O_PATH) -> int:
        """Open a path of the container."""
        return openat2(self._root, path, flags)

    @property
    def root(self) -> int:
        """The descriptor of the root that was built."""
        return self._root

    def close(self) -> None:
        """Close the root, for those who do not enter it."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def set_console(self, terminal: int) -> None:
        """Make the process's terminal the container's /dev/console."""
        with self._target("/dev/console", directory=False) as target:
            mount(f"/proc/self/fd/{terminal}", _through(target), None, MS_BIND)

    def protect(self) -> None:
        """Hide the masked paths, and make the read-only ones read-only."""
        for path in self._linux.get("readonlyPaths", ()):
            with self._existing(path) as target:
                if target is not None:
                    tree = open_tree(_through(target), recursive=True)
                    mount_setattr(tree, set=MOUNT_ATTR_RDONLY, recursive=True)
                    move_mount(tree, target)
                    os.close(tree)
        for path in self._linux.get("maskedPaths", ()):
            with self._existing(path) as target:
                if target is None:
                    continue
                if stat.S_ISDIR(os.fstat(target).st_mode):
                    mount("tmpfs", _through(target), "tmpfs", MS_RDONLY, "size=0k")
                else:
                    mount("/dev/null", _through(target), None, MS_BIND)

    def pivot(self) -> None:
        """Make it the root of this process's mount namespace, and leave the old one behind."""
        old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(self._root)
        pivot_root(".", ".")
        # The old root lies on top of the new one now; it must not carry its unmounting to the machine.
        os.fchdir(old)
        mount("none", ".", None, MS_SLAVE | MS_REC)
        umount2(".", MNT_DETACH)
        os.chdir("/")
        os.close(old)
        self._settle()

    def chroot(self) -> None:
        """Make it the root of this process alone."""
        os.fchdir(self._root)
        os.chroot(".")
        os.chdir("/")
        self._settle()

    def _settle(self) -> None:
        os.close(self._root)
        propagation = self._linux.get("rootfsPropagation")
        if propagation:
            mount("none", "/", None, _propagation(propagation))
        if self._config["root"].get("readonly"):
            descriptor = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            mount_setattr(descriptor, set=MOUNT_ATTR_RDONLY)
            os.close(descriptor)

    def _make_parent_private(self) -> None:
        """The mount that holds the root would otherwise pass the container's mounts on to the machine."""
        path = os.path.dirname(self._path)
        while True:
            try:
                mount("none", path, None, MS_PRIVATE)
                return
            except OSError as error:
                if error.errno != errno.EINVAL or path == "/":
                    raise
            path = os.path.dirname(path)

    # Mounts

    def _mount(self, item: Mapping[str, Any]) -> None:
        destination, kind = item["destination"], item.get("type", "none")
        try:
            if _is_bind(item):
                self._bind(item)
            elif kind == "cgroup":
                self._mount_cgroup(item)
            else:
                self._mount_filesystem(item)
        except OSError as error:
            source = item.get("source", kind)
            raise StartFailed(
                f'unable to start container process: cannot mount "{source}" at "{destination}": {error.strerror}'
            ) from error

    def _bind(self, item: Mapping[str, Any]) -> None:
        options = item.get("options", ())
        source = item["source"]
        recursive = "bind" not in options
        attributes, attributes_below, propagation = 0, 0, MS_PRIVATE
        for option in options:
            attributes |= _ATTRIBUTES.get(option, 0)
            # Those that start with r are for everything below, too.
            attributes_below |= _ATTRIBUTES.get(option[1:], 0) if option.startswith("r") else 0
            propagation = _PROPAGATION.get(option, propagation)
        tree = open_tree(source, recursive=recursive)
        try:
            with self._target(item["destination"], directory=os.path.isdir(source)) as target:
                mount_setattr(tree, set=attributes)
                if attributes_below:
                    mount_setattr(tree, set=attributes_below, recursive=True)
                move_mount(tree, target)
            mount_setattr(tree, propagation=propagation, recursive=recursive)
        finally:
            os.close(tree)

    def _mount_filesystem(self, item: Mapping[str, Any]) -> None:
        flags, propagation, data = 0, 0, []
        for option in item.get("options", ()):
            if option in _PROPAGATION:
                propagation = _PROPAGATION[option]
            elif option in _FLAGS:
                flags |= _FLAGS[option]
            elif option not in _NO_FLAGS and option != "tmpcopyup":
                data.append(option)
        kind = item["type"]
        with self._target(item["destination"], directory=True) as target:
            mount(item.get("source", kind), _through(target), kind, flags, ",".join(data))
        if propagation:
            with self._existing(item["destination"]) as mounted:
                if mounted is not None:
                    mount("none", _through(mounted), None, propagation)

    def _mount_cgroup(self, item: Mapping[str, Any]) -> None:
        """Show the container its own control group: v2's file system, or its directories of the hybrid layout."""
        read_only = "ro" in item.get("options", ())
        if layout() == "v2":
            self._mount_filesystem({**item, "type": "cgroup2", "source": "cgroup"})
            return
        group = Cgroup(self._linux.get("cgroupsPath", "/"))
        if group.directory is None or not group.directory.is_dir():
            return
        name = "unified" if layout() == "hybrid" else "freezer"
        tree = open_tree(group.directory)
        attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
        mount_setattr(tree, set=attributes | (MOUNT_ATTR_RDONLY if read_only else 0))
        with self._target(item["destination"], directory=True) as target:
            mount("tmpfs", _through(target), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=1m")
        with self._target(f"{item['destination']}/{name}", directory=True) as target:
            move_mount(tree, target)
        os.close(tree)
        if read_only:
            with self._existing(item["destination"]) as mounted:
                assert mounted is not None
                mount_setattr(mounted, set=MOUNT_ATTR_RDONLY)

    def _make_devices(self) -> None:
        """Fill /dev, if config.json mounts one (config-linux.md, "Default Devices")."""
        if not any(item["destination"] == "/dev" and item.get("type") == "tmpfs" for item in self._config["mounts"]):
            return
        dev = self.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
        mask = os.umask(0)
        for name, (major, minor) in _DEVICES.items():
            try:
                os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(major, minor), dir_fd=dev)
            except PermissionError:
                # A user namespace may not make devices; it may show the machine's.
                os.close(os.open(name, os.O_CREAT | os.O_CLOEXEC, 0o666, dir_fd=dev))
                with self._target(f"/dev/{name}", directory=False) as target:
                    mount(f"/dev/{name}", _through(target), None, MS_BIND)
        os.umask(mask)
        for name, value in _LINKS.items():
            os.symlink(value, name, dir_fd=dev)
        os.close(dev)

    def _make_device(self, device: Mapping[str, Any]) -> None:
        """Make a device that config.json asks for (config-linux.md, "Devices"); one that is there already is right."""
        path: str = device["path"]
        parent, _, name = path.rstrip("/").rpartition("/")
        number = os.makedev(device["major"], device["minor"])
        kind = stat.S_IFBLK if device["type"] == "b" else stat.S_IFCHR
        directory = self._open_or_make(parent or "/", True)
        try:
            try:
                os.mknod(name, kind | 0o600, number, dir_fd=directory)
            except FileExistsError:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:
                    raise
            os.chown(name, device.get("uid", 0), device.get("gid", 0), dir_fd=directory, follow_symlinks=False)
            os.chmod(name, device.get("fileMode", 0o666), dir_fd=directory)
        except OSError as error:
            raise StartFailed(
                f'unable to start container process: cannot make the device "{path}": {error.strerror}'
            ) from error
        finally:
            os.close(directory)

    # Targets

    @contextmanager
    def _existing(self, path: str) -> Iterator[int | None]:
        """Open a path of the container, or give None if it is not there."""
        try:
            descriptor = self.open(path)
        except (FileNotFoundError, NotADirectoryError):
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _target(self, path: str, *, directory: bool) -> Iterator[int]:
        """Open something to mount on, made if it is not there."""
        descriptor = self._open_or_make(path, directory)
        try:
            if directory != stat.S_ISDIR(os.fstat(descriptor).st_mode):
                kind = "directory" if directory else "file"
                raise StartFailed(
                    f'unable to start container process: cannot mount a {kind} at "{path}", which is not a {kind}:'
                    " Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path"
                    " exists and is the expected type"
                )
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_or_make(self, path: str, directory: bool, links: int = 40) -> int:
        """Open a path, made with all above it where missing; a link that leads nowhere gets what it leads to."""
        try:
            return self.open(path)
        except FileNotFoundError:
            pass
        parent_path, _, name = path.rstrip("/").rpartition("/")
        parent = self._open_or_make(parent_path or "/", True, links)
        try:
            if directory:
                os.mkdir(name, 0o755, dir_fd=parent)
            else:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
        except FileExistsError:
            if not links:
                raise
            target = os.readlink(name, dir_fd=parent)
            return self._open_or_make(os.path.join(parent_path or "/", target), directory, links - 1)
        finally:
            os.close(parent)
        return self.open(path)


def _is_bind(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(item.get("options", ()))


def _propagation(name: str) -> int:
    """Return the flags of a propagation; those that start with r are for everything below, too."""
    return _PROPAGATION[name] | (MS_REC if name.startswith("r") else 0)


def _through(descriptor: int) -> str:
    """Return a path that leads to the file of a descriptor and nowhere else."""
    return f"/proc/self/fd/{descriptor}"
