"""The unix sockets that the API listens on."""

from __future__ import annotations

import errno
import grp
import os
import shutil
import socket
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from transom.errors import Conflict, InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GROUP", "listening"]

#: Members of this group may use the API, if the group exists.
GROUP = "transom"
BACKLOG = 4096


@contextmanager
def listening(host: str) -> Iterator[socket.socket]:
    """Give a listening socket at `unix:///path`, and take its file away at the end of the block.

    The file appears at once with its final owner, group and mode (0660); one that nobody listens on any more is
    replaced. Raises `InvalidParameter` for another kind of address or a path that cannot be used, `Conflict` for a
    socket that somebody listens on.
    """
    path = _path(host)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _check_free(path)
        listener, identity = _bind(path)
    except OSError as error:
        raise InvalidParameter(f"cannot listen on {host}: {error.strerror}") from error
    try:
        yield listener
    finally:
        listener.close()
        if _identity(path) == identity:
            path.unlink()


def _path(host: str) -> Path:
    scheme, _, rest = host.partition("://")
    if scheme != "unix":
        raise InvalidParameter(f"cannot listen on {host}: only unix:///path addresses are supported")
    if not rest.startswith("/") or rest.endswith("/") or "\0" in rest:
        raise InvalidParameter(f"cannot listen on {host}: the path should be absolute, as in unix:///run/transom.sock")
    return Path(rest)


def _check_free(path: Path) -> None:
    """Raise `Conflict` if somebody listens at a path, `InvalidParameter` if something else than a socket is there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidParameter(f"cannot listen on unix://{path}: there is a file which is not a socket; remove it")
    with socket.socket(socket.AF_UNIX) as probe, _reachable(path.parent) as parent:
        probe.setblocking(False)
        try:
            probe.connect(f"{parent}/{path.name}")
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return
    raise Conflict(f"cannot listen on unix://{path}: another process does; stop it, or choose another path with -H")


def _bind(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """Return a listening socket and its file's identity.

    It is made in a directory that nobody else can enter and moved to its place when its owner and mode are right, since
    bind(2) makes it with a mode that depends on the umask, which belongs to the whole process.
    """
    workshop = path.parent / f".{path.name}.new"
    shutil.rmtree(workshop, ignore_errors=True)
    workshop.mkdir(mode=0o700)
    listener = socket.socket(socket.AF_UNIX)
    try:
        made = workshop / "socket"
        with _reachable(workshop) as directory:
            listener.bind(f"{directory}/socket")
        listener.listen(BACKLOG)
        listener.setblocking(False)
        _give_to_group(made)
        made.chmod(0o660)
        identity = _identity(made)
        assert identity is not None
        made.rename(path)
    except BaseException:
        listener.close()
        raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return listener, identity


def _give_to_group(path: Path) -> None:
    try:
        group = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return
    os.chown(path, -1, group)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """Give a short path of a directory, since a socket's address has 108 bytes and the path may be longer."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
