"""`diff` and `export`: what a container has changed, and all of its files as an archive."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from transom_cli.client import Client
from transom_cli.copy_paths import check_output
from transom_cli.errors import CommandFailed
from transom_cli.flags import api_command, flag

__all__ = ["diff", "export"]

_KINDS = {0: "C", 1: "A", 2: "D"}


@api_command(
    "diff", "CONTAINER", about="Inspect changes to files or directories on a container's filesystem", least=1, most=1
)
def diff(client: Client, arguments: list[str]) -> None:
    """Print each path that a container has changed, after a letter that says how."""
    for change in client.get(f"/containers/{arguments[0]}/changes") or ():
        print(_KINDS[change["Kind"]], change["Path"])


@api_command("export", "CONTAINER", about="Export a container's filesystem as a tar archive", least=1, most=1)
@flag("--output", "-o", about="Write to a file, instead of STDOUT")
def export(client: Client, arguments: list[str], *, output: str | None) -> None:
    """Write the archive of a container's files to standard output, or to a file that is there only if it is whole."""
    if not output and sys.stdout.isatty():
        raise CommandFailed("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    if output:
        try:
            check_output(output)
        except CommandFailed as failure:
            raise CommandFailed(f"failed to export container: {failure.message}") from failure
    response = client.stream("GET", f"/containers/{arguments[0]}/export")
    if output:
        _write_file(output, response.chunks())
    else:
        for data in response.chunks():
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _write_file(path: str, chunks: Iterable[bytes]) -> None:
    """Write a file beside its place first, so that what was there stays until the new one is whole."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=Path(path).parent)
        try:
            with open(descriptor, "wb") as file:
                for data in chunks:
                    file.write(data)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise CommandFailed(f"{error.filename or path}: {(error.strerror or '').lower()}") from error
