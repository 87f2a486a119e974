"""`cp`: files from a container to here and from here to a container, as tar archives over the API."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from transom_cli.client import Client
from transom_cli.copy_paths import (
    End,
    absolute_path,
    check_output,
    follow_link,
    link_target,
    local_destination,
    local_source,
    plan_copy,
    split_argument,
    split_path,
)
from transom_cli.errors import CommandFailed, DaemonError
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.transport import Response

__all__ = ["cp"]

#: Go's bits of a file's mode.
_DIRECTORY, _LINK, _DEVICE, _IRREGULAR = 1 << 31, 1 << 27, 1 << 26, 1 << 19
_READ = 256 << 10


class _Remote(NamedTuple):
    """What is at a path in a container."""

    mode: int
    target: str


@api_command(
    "cp",
    "CONTAINER:SRC_PATH DEST_PATH|-\n\ttransom cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about="Copy files/folders between a container and the local filesystem\n\n"
    "With '-' as the source, a tar archive is read from stdin and unpacked\n"
    "in a directory of the container. With '-' as the destination, a tar\n"
    "archive of what is in the container is written to stdout.",
    least=2,
    most=2,
)
@flag("--archive", "-a", kind=BOOL, about="Archive mode (copy all uid/gid information)")
@flag("--follow-link", "-L", kind=BOOL, about="Always follow symbol link in SRC_PATH")
@flag(
    "--quiet",
    "-q",
    kind=BOOL,
    default="",
    about="Suppress progress output during copy. "
    "Progress output is automatically suppressed if no terminal is attached",
)
def cp(client: Client, arguments: list[str], *, archive: bool, follow_link: bool, quiet: bool | str) -> None:
    """Copy in the direction that the arguments say."""
    for end, argument in zip(("source", "destination"), arguments, strict=True):
        if not argument:
            raise CommandFailed(f"{end} can not be empty")
    quiet = not sys.stdout.isatty() if quiet == "" else bool(quiet)
    (source_container, source), (container, destination) = map(split_argument, arguments)
    if source_container and container:
        raise CommandFailed("copying between containers is not supported")
    if source_container:
        _from_container(client, source_container, source, destination, follow=follow_link, quiet=quiet)
    elif container:
        _to_container(client, container, source, destination, follow=follow_link, owner=archive, quiet=quiet)
    else:
        raise CommandFailed("must specify at least one container source")


def _from_container(
    client: Client, container: str, source: str, destination: str, *, follow: bool, quiet: bool
) -> None:
    if destination != "-":
        destination = absolute_path(destination)
    check_output(destination)
    rename = ""
    if follow and (found := _stat(client, container, source)) and found.mode & _LINK:
        source, rename = follow_link(source, link_target(source, found.target))
    response = client.stream("GET", f"/containers/{container}/archive", path=source)
    if destination == "-":
        for data in response.chunks():
            _write_out(data)
        return
    from transom_cli.local_archive import Chunks, unpack  # tarfile takes longer to import than most commands run

    content = Chunks(response.chunks())
    end = End(source, True, bool(_stat_header(response).mode & _DIRECTORY), rename)
    with _progress("Copying from container - ", destination, content, quiet):
        plan = plan_copy(end, local_destination(destination))
        unpack(content, plan.directory, lambda name: plan.name(_renamed(end, name)))


def _to_container(
    client: Client, container: str, source: str, destination: str, *, follow: bool, owner: bool, quiet: bool
) -> None:
    if source != "-":
        source = absolute_path(source)
    end = _destination(client, container, destination)
    if source == "-":
        if not end.is_directory:
            raise CommandFailed(f'destination "{container}:{destination}" must be a directory')
        directory: str = end.path
        body: Iterable[bytes] = iter(lambda: os.read(0, _READ), b"")
    else:
        from transom_cli.local_archive import pack  # as above

        local = local_source(source, follow)
        plan = plan_copy(local, end)
        above, name = split_path(local.path)
        directory = plan.directory
        body = pack(above, name, lambda entry: plan.name(_renamed(local, entry)))
    counted = _Counted(body, count=source != "-")
    with _progress("Copying to container - ", f"{container}:{end.path}", counted, quiet):
        response = client.upload(
            "PUT",
            f"/containers/{container}/archive",
            counted,
            path=directory,
            noOverwriteDirNonDir="true",
            copyUIDGID="true" if owner else None,
        )
        response.read()


def _destination(client: Client, container: str, path: str) -> End:
    """Return what is at a path in a container that is copied to, or where a link there leads.

    What cannot be found out is taken for missing: the daemon says then what is wrong.
    """
    found = _stat(client, container, path)
    end = End(path)
    if found is not None and found.mode & _LINK:
        end = End(link_target(path, found.target))
        found = _stat(client, container, end.path)
    if found is None:
        return end
    if found.mode & _DEVICE or found.mode & _IRREGULAR:
        kind = "a device" if found.mode & _DEVICE else "an irregular file"
        raise CommandFailed(f'destination "{container}:{path}" must be a directory or a regular file: got {kind}')
    return End(end.path, True, bool(found.mode & _DIRECTORY))


def _renamed(source: End, name: str) -> str:
    """Return an entry's name with the one that the source was asked for by."""
    if not source.rename:
        return name
    return name.replace(split_path(source.path)[1], "" if source.rename == "/" else source.rename, 1)


def _stat(client: Client, container: str, path: str) -> _Remote | None:
    try:
        response = client.stream("HEAD", f"/containers/{container}/archive", path=path)
    except DaemonError:
        return None
    response.connection.close()
    return _stat_header(response)


def _stat_header(response: Response) -> _Remote:
    value: dict[str, Any] = json.loads(base64.b64decode(response.headers.get("x-docker-container-path-stat", "e30=")))
    return _Remote(int(value.get("mode", 0)), str(value.get("linkTarget", "")))


def _write_out(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


class _Counted:
    """Chunks on their way, counted."""

    def __init__(self, chunks: Iterable[bytes], count: bool) -> None:
        self._chunks = chunks
        self._count = count
        self.total = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self._count:
                self.total += len(chunk)
            yield chunk


@contextmanager
def _progress(header: str, destination: str, counted: Any, quiet: bool) -> Iterator[None]:
    """Show on standard error how many bytes have been copied, and at the end where to."""
    if quiet:
        yield
        return
    from transom_cli.copy_progress import CopyProgress  # for terminals alone

    progress = CopyProgress(header, lambda: int(counted.total))
    try:
        with progress:
            yield
    finally:
        progress.summarize(destination)
