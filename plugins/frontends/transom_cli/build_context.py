"""The context of a build: a local directory, an archive or a Dockerfile on standard input, or something elsewhere.

A directory is sent as an archive that is written while it is sent, in the order of names, without what `.dockerignore`
leaves out. First comes a directory that is for the builder alone, with the Dockerfile, which need not be in the
context, and the file that says what is left out: so the builder fetches what it needs while the rest is on its way.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from transom.dockerfile.ignore import Patterns, ignore_names
from transom_cli.errors import CommandFailed
from transom_cli.input_file import open_input
from transom_cli.local_archive import END, encode, encode_content

__all__ = ["Context", "find_context", "is_remote", "pack_directory"]

_DOCKERFILE = "Dockerfile"
_GIT = re.compile(r"(?:git://|git@|ssh://|github\.com/)|https?://[^#?]*\.git(?:#.*)?$|[^/@\s]+@[^/:\s]+:")
_URL = re.compile(r"https?://", re.IGNORECASE)
#: What compressed archives begin with: gzip, bzip2, xz, Zstandard.
_MAGIC = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_BLOCK = 512
#: The longest Dockerfile that is read from standard input.
_LONGEST = 4 << 20


class Context(NamedTuple):
    """What is sent to the daemon.

    `body` is the archive, or beside a `remote` context the Dockerfile. `dockerfile` is the Dockerfile's path in the
    context, empty for the usual one, and `hidden` the directory of the archive that does not belong to the context.
    """

    body: Iterable[bytes] = ()
    remote: str = ""
    dockerfile: str = ""
    hidden: str = ""


def is_remote(name: str) -> bool:
    """Return whether a context is a repository or the address of a file, and not a local directory."""
    return not os.path.isdir(name) and bool(_GIT.match(name) or _URL.match(name))


def find_context(name: str, file: str) -> Context:
    """Return the context of a name, with the Dockerfile `file`: a path, or a URL that the daemon fetches it from; empty
    for the usual one, `-` for standard input.

    Raises `CommandFailed` for what cannot be found; what cannot be read fails while it is sent.
    """
    if name == "-":
        if file == "-":
            raise CommandFailed("invalid argument: can't use stdin for both build context and dockerfile")
        return _from_input(file)
    if is_remote(name):
        return Context((_read_input(),) if file == "-" else (), name, "" if file == "-" else file)
    if not os.path.isdir(name):
        reason = "not a directory" if os.path.exists(name) else f'path "{name}" not found'
        raise CommandFailed(f"unable to prepare context: {reason}")
    return _from_directory(name, file)


def _from_input(file: str) -> Context:
    """Return what comes on standard input: an archive, or else a Dockerfile without a context."""
    if os.isatty(0):
        raise CommandFailed("stdin is a terminal: use `build - < Dockerfile`, or give a directory")
    head = _read_block()
    if _is_archive(head):
        return Context(_rest_of_input(head), dockerfile=file)
    if file:
        raise CommandFailed("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
    return _with_hidden(_DOCKERFILE, head + _read_input(), None, iter(()))


def _read_block() -> bytes:
    """Return the first block of standard input, all that there is if that is less."""
    head = b""
    while len(head) < _BLOCK and (data := os.read(0, _BLOCK - len(head))):
        head += data
    return head


def _rest_of_input(head: bytes) -> Iterator[bytes]:
    yield head
    with open_input("-") as chunks:
        yield from chunks


def _read_input() -> bytes:
    content = sys.stdin.buffer.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise CommandFailed("the Dockerfile on standard input is too long")
    return content


def _is_archive(head: bytes) -> bool:
    """Return whether bytes are the beginning of an archive, compressed or not; a header has a checksum (ustar)."""
    if head.startswith(_MAGIC):
        return True
    if len(head) < _BLOCK:
        return False
    try:
        wanted = int(head[148:156].strip(b" \0") or b"-1", 8)
    except ValueError:
        return False
    return bool(wanted == sum(head[:148]) + sum(head[156:512]) + 8 * ord(" ")) or not any(head)


def _from_directory(directory: str, file: str) -> Context:
    if file == "-":
        content, name = _read_input(), _DOCKERFILE
        ignored = _read_ignored([os.path.join(directory, ".dockerignore")])
        return _with_hidden(name, content, ignored, _walk(directory, ignored))
    if _URL.match(file):
        return Context(pack_directory(directory), dockerfile=file)
    path = file or _usual(directory)
    try:
        with open(path, "rb") as opened:
            content = opened.read()
    except OSError as error:
        shown = file or _DOCKERFILE
        raise CommandFailed(f"failed to read dockerfile: open {shown}: {(error.strerror or '').lower()}") from error
    beside = [os.path.join(os.path.dirname(path), name) for name in ignore_names(os.path.basename(path))[:-1]]
    ignored = _read_ignored([*beside, os.path.join(directory, ".dockerignore")])
    return _with_hidden(os.path.basename(path), content, ignored, _walk(directory, ignored))


def _usual(directory: str) -> str:
    """Return the path of the Dockerfile that no flag names, which may be written in lower case."""
    path = os.path.join(directory, _DOCKERFILE)
    lower = os.path.join(directory, _DOCKERFILE.lower())
    return lower if not os.path.lexists(path) and os.path.lexists(lower) else path


def _with_hidden(name: str, content: bytes, ignored: bytes | None, walk: Iterator[bytes]) -> Context:
    """Return a context with a Dockerfile that does not belong to it."""
    hidden = f".transom-{os.urandom(8).hex()}"
    path = f"{hidden}/{os.path.basename(name)}"

    def body() -> Iterator[bytes]:
        yield from encode_content(path, content)
        if ignored is not None:
            yield from encode_content(f"{path}.dockerignore", ignored)
        yield from _whole(walk)

    return Context(body(), dockerfile=path, hidden=hidden)


def _read_ignored(paths: Iterable[str]) -> bytes | None:
    """Return the first of some files that is there, None if none is. Raises `CommandFailed`."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise CommandFailed(f"failed to read {path}: {(error.strerror or str(error)).lower()}") from error
    return None


def _parse(ignored: bytes | None) -> Patterns:
    try:
        return Patterns.parse((ignored or b"").decode(errors="surrogateescape"))
    except ValueError as error:
        raise CommandFailed(f"failed to read .dockerignore: {error}") from error


def _whole(walk: Iterator[bytes]) -> Iterator[bytes]:
    yield from walk
    yield END


def pack_directory(directory: str) -> Iterator[bytes]:
    """Yield a local directory as an archive, without what its `.dockerignore` leaves out. Raises `CommandFailed`."""
    return _whole(_walk(directory, _read_ignored([os.path.join(directory, ".dockerignore")])))


def _walk(directory: str, ignored: bytes | None) -> Iterator[bytes]:
    """Yield the entries of what is in a directory and not left out, its directories before what is in them.

    Everything belongs to root, as the archive is the same for whoever sends it. Raises `CommandFailed`.
    """
    patterns = _parse(ignored)
    links: dict[tuple[int, int], str] = {}
    #: Directories that are left out, but for what is in them: they come before that, if anything does.
    above: list[tuple[str, str, os.stat_result]] = []
    waiting = [(os.path.join(directory, name), name) for name in _names(directory)]
    while waiting:
        path, name = waiting.pop()
        try:
            status = os.lstat(path)
        except OSError as error:
            raise _failed(path, error) from error
        is_directory = stat.S_ISDIR(status.st_mode)
        while above and not name.startswith(f"{above[-1][1]}/"):
            above.pop()
        if patterns.matches(name):
            if is_directory and patterns.may_hold_exceptions(name):
                above.append((path, name, status))
                waiting += [(os.path.join(path, below), f"{name}/{below}") for below in _names(path)]
            continue
        for outer in above:
            yield from _entry(*outer, links)
        above.clear()
        yield from _entry(path, name, status, links)
        if is_directory:
            waiting += [(os.path.join(path, below), f"{name}/{below}") for below in _names(path)]


def _entry(path: str, name: str, status: os.stat_result, links: dict[tuple[int, int], str]) -> Iterator[bytes]:
    if stat.S_ISDIR(status.st_mode):
        name += "/"
    try:
        yield from encode(path, name, status, links, anonymous=True)
    except OSError as error:
        raise _failed(path, error) from error


def _names(directory: str) -> list[str]:
    """Return what is in a directory, in such an order that the first name is popped first."""
    try:
        return sorted(os.listdir(directory), key=os.fsencode, reverse=True)
    except OSError as error:
        raise _failed(directory, error) from error


def _failed(path: str, error: OSError) -> CommandFailed:
    return CommandFailed(f"failed to read the build context: {path}: {(error.strerror or str(error)).lower()}")
