"""`diff` and `export`: what a container has changed, and all of its files as an archive."""

from __future__ import annotations

import sys

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import api_command, flag
from transom_cli.output_file import check_path, write_output, write_to_standard_output

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
    if output:
        try:
            check_path(output)
        except CommandFailed as failure:
            raise CommandFailed(f"failed to export container: {failure.message}") from None
    elif sys.stdout.isatty():
        raise CommandFailed("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    response = client.stream("GET", f"/containers/{arguments[0]}/export")
    if output:
        write_output(output, response.chunks())
    else:
        write_to_standard_output(response.chunks())
    response.connection.close()
