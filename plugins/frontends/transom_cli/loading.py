"""`load`: images from an archive."""

from __future__ import annotations

import os
import sys

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.input_file import open_input
from transom_cli.platforms import parse_platform

__all__ = ["load"]


@api_command("load", about="Load an image from a tar archive or STDIN")
@flag("source", "--input", "-i", about="Read from tar archive file, instead of STDIN")
@flag("--platform", about="Load only the given platform (os[/arch[/variant]])", since="1.48")
@flag("--quiet", "-q", kind=BOOL, about="Suppress the load output")
def load(client: Client, _arguments: list[str], *, source: str | None, platform: str | None, quiet: bool) -> None:
    """Send an archive to the daemon, and print which images it had."""
    from transom_cli.progress import show  # imports more than the rest of this

    wanted = parse_platform(platform)
    if not source and os.isatty(0):
        raise CommandFailed("requested load from stdin, but stdin is empty")
    with open_input(source or "-") as chunks:
        response = client.upload(
            "POST", "/images/load", chunks, quiet=quiet or not sys.stdout.isatty(), platform=wanted
        )
        show(response, sys.stdout)
