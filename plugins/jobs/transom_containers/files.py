"""The jobs about the files of containers, running or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from transom.containers.model import Container, Mount, MountKind
from transom.containers.paths import PathStat, locate, resolve, stat_path
from transom.containers.spec import PLACEHOLDERS
from transom.containers.users import find_user
from transom.errors import InvalidParameter, NotFound
from transom.graph.compression import decompress
from transom.graph.extract import extract_below
from transom.graph.tree_archive import write_file, write_tree
from transom.runtime.syscalls.files import openat2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transom.drivers.graph import Change
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["archive_get", "archive_put", "archive_stat", "changes", "export"]

#: How much of what follows an archive is read at once, in bytes.
_CHUNK = 1 << 20


def archive_stat(engine: Engine, job: Job, *, container: str, path: bytes) -> PathStat:
    """Return what is at a path in a container. Raises `NotFound`."""
    with engine.supervisor.views.open(job, container) as (_, view):
        return view.run(lambda root: _stat(root, container, path))


def archive_get(engine: Engine, job: Job, *, container: str, path: bytes, output: IO[bytes]) -> None:
    """Write the archive of what is at a path in a container: a directory with all that is in it, or one file.

    Entries begin with the path's last part, which stands for a symbolic link itself unless a slash follows; with `/.`
    at the end they are what is in the directory. Raises `NotFound`.
    """
    with engine.supervisor.views.open(job, container) as (found, view):
        status = view.run(lambda root: _stat(root, container, path))
        engine.supervisor.record(found, "archive-path")
        view.run(lambda root: _write(job, _archive(root, container, path, status), output))


def archive_put(
    engine: Engine, job: Job, *, container: str, path: bytes, keep_kinds: bool = False, take_owner: bool = False
) -> None:
    """Unpack the archive that is the job's input, compressed or not, into a directory of a container.

    With `keep_kinds` no directory is replaced by something else, and nothing else by a directory. With `take_owner`
    what is unpacked belongs to the user that the container is configured for, if that is not the default.

    Raises `NotFound`, `InvalidParameter` for what is no directory or is read-only, `CorruptContent` for what is no
    archive or leads out of the directory. What was unpacked until then stays, as for tar.
    """
    assert job.input is not None
    source = job.input
    with engine.supervisor.views.open(job, container) as (found, view):

        def unpack(root: int) -> None:
            directory = _extraction_point(root, container, path)
            _check_writable(found, directory)
            user = found.config.run.user
            owner = find_user(Path(f"/proc/self/fd/{root}"), user) if take_owner and user else None
            archive = decompress(source)  # type: ignore[arg-type]
            extract_below(
                archive,
                root,
                directory,
                keep_kinds=keep_kinds,
                owner=None if owner is None else (owner.uid, owner.gid),
                check=job.check,
            )
            # What follows the archive is nobody's, and still has to be read before the answer.
            while archive.read(_CHUNK):
                job.check()

        view.run(unpack)
        engine.supervisor.record(found, "extract-to-dir")


def changes(engine: Engine, _job: Job, *, container: str) -> list[Change]:
    """Return what a container has changed of its image's files, what the engine itself mounts on left out."""
    found = engine.containers.get(container)
    return engine.layers.changes(found.graphdriver, found.id, PLACEHOLDERS)


def export(engine: Engine, job: Job, *, container: str, output: IO[bytes]) -> None:
    """Write the archive of a container's own file system. What is mounted in it shows as empty directories or files."""
    with engine.supervisor.views.layer(job, container) as (found, root):
        engine.supervisor.record(found, "export")
        _write(job, write_tree(root, b"", with_root=False), output)


def _stat(root: int, container: str, path: bytes) -> PathStat:
    try:
        return stat_path(root, locate(path))
    except FileNotFoundError as error:
        raise _not_found(container, path) from error


def _not_found(container: str, path: bytes) -> NotFound:
    name = path.decode("utf-8", "backslashreplace")
    return NotFound(f"Could not find the file {name} in container {container}")


def _write(job: Job, archive: Iterable[bytes], output: IO[bytes]) -> None:
    for piece in archive:
        job.check()
        output.write(piece)


def _archive(root: int, container: str, path: bytes, status: PathStat) -> Iterator[bytes]:
    """Yield the archive of what was seen at a path. What is there by now is not followed out of the root either."""
    location = locate(path)
    is_directory = stat.S_ISDIR(status.mode)
    try:
        opened = openat2(root, location.path if is_directory else location.above, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_found(container, path) from error
    try:
        if is_directory:
            yield from write_tree(Path(f"/proc/self/fd/{opened}"), location.name)
        else:
            yield from write_file(opened, location.name)
    finally:
        os.close(opened)


def _extraction_point(root: int, container: str, path: bytes) -> bytes:
    """Return the path of a directory without symbolic links. Raises `NotFound` and `InvalidParameter`."""
    directory = resolve(root, locate(path).path)
    try:
        os.close(openat2(root, directory, os.O_PATH | os.O_DIRECTORY))
    except FileNotFoundError as error:
        raise _not_found(container, path) from error
    except NotADirectoryError as error:
        raise InvalidParameter("extraction point is not a directory") from error
    return directory


def _check_writable(container: Container, directory: bytes) -> None:
    """Raise `InvalidParameter` for a directory in a read-only mount, or of a read-only container outside all mounts."""
    mount = _mount_of(container, os.fsdecode(directory))
    if mount is not None and mount.read_only:
        raise InvalidParameter("mounted volume is marked read-only")
    if mount is None and container.host.read_only:
        raise InvalidParameter("container rootfs is marked read-only")


def _mount_of(container: Container, path: str) -> Mount | None:
    """Return the innermost bind or volume that a path is in."""
    around = [
        mount
        for mount in container.mounts
        if mount.kind is not MountKind.TMPFS and f"{path.rstrip('/')}/".startswith(f"{mount.destination.rstrip('/')}/")
    ]
    return max(around, key=lambda mount: len(mount.destination), default=None)
