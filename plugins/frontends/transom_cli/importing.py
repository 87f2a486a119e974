"""`import`: an image from an archive of a file system."""

from __future__ import annotations

import sys
from typing import Any

from transom_cli.client import Client
from transom_cli.flags import LIST, api_command, flag
from transom_cli.input_file import open_input
from transom_cli.references import parse_reference

__all__ = ["import_"]


@api_command(
    "import",
    "file|URL|- [REPOSITORY[:TAG]]",
    about="Import the contents from a tarball to create a filesystem image",
    least=1,
    most=None,
)
@flag("changes", "--change", "-c", kind=LIST, about="Apply Dockerfile instruction to the created image")
@flag("--message", "-m", about="Set commit message for imported image")
@flag("--platform", about="Set platform if server is multi-platform capable", since="1.32")
def import_(
    client: Client,
    arguments: list[str],
    *,
    changes: tuple[str, ...],
    message: str | None,
    platform: str | None,
) -> None:
    """Send an archive to the daemon, or let it fetch one, and print the new image's ID."""
    from transom_cli.progress import show  # imports more than the rest of this

    source, name = arguments[0], arguments[1] if len(arguments) > 1 else None
    if name is not None:
        parse_reference(name)
    query: dict[str, Any] = {
        "repo": name,
        "message": message,
        "platform": platform,
        "changes": changes,
    }
    if source.startswith(("http://", "https://")):
        show(client.stream("POST", "/images/create", fromSrc=source, **query), sys.stdout)
        return
    with open_input(source) as chunks:
        show(client.upload("POST", "/images/create", chunks, fromSrc="-", **query), sys.stdout)
