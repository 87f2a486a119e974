"""`save`: images as an archive."""

from __future__ import annotations

import os

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import api_command, flag
from transom_cli.output_file import check_path, write_output, write_to_standard_output
from transom_cli.platforms import parse_platform

__all__ = ["save"]


@api_command(
    "save",
    "IMAGE [IMAGE...]",
    about="Save one or more images to a tar archive (streamed to STDOUT by default)",
    least=1,
    most=None,
)
@flag("--output", "-o", about="Write to a file, instead of STDOUT")
@flag("--platform", about="Save only the given platform (os[/arch[/variant]])", since="1.48")
def save(client: Client, arguments: list[str], *, output: str | None, platform: str | None) -> None:
    """Write images to a file or to standard output."""
    wanted = parse_platform(platform)
    if output:
        try:
            check_path(output)
        except CommandFailed as failure:
            raise CommandFailed(f"failed to save image: {failure.message}") from None
    elif os.isatty(1):
        raise CommandFailed("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    response = client.stream("GET", "/images/get", names=arguments, platform=wanted)
    if output:
        write_output(output, response.chunks())
    else:
        write_to_standard_output(response.chunks())
    response.connection.close()
