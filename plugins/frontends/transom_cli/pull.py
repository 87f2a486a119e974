"""`pull`, and the pull that `run` and `create` begin when an image is missing."""

from __future__ import annotations

import sys

from transom_cli.client import Client
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.references import parse_reference

__all__ = ["pull", "pull_image"]


@api_command("pull", "NAME[:TAG|@DIGEST]", about="Download an image from a registry", least=1, most=1)
@flag("--platform", about="Set platform if server is multi-platform capable")
@flag("--quiet", "-q", kind=BOOL, about="Suppress verbose output")
def pull(client: Client, arguments: list[str], *, platform: str | None, quiet: bool) -> None:
    """Pull an image and print its whole name."""
    reference = parse_reference(arguments[0])
    if not reference.tag and not reference.digest and not quiet:
        print("Using default tag: latest", flush=True)
    pull_image(client, arguments[0], platform, quiet=quiet)
    print(reference.tagged())


def pull_image(client: Client, name: str, platform: str | None, *, quiet: bool, to_stderr: bool = False) -> None:
    """Have the daemon pull an image, and show its progress unless `quiet`. Raises `CommandFailed`."""
    from transom_cli.progress import show  # `run` pulls seldom

    reference = parse_reference(name).tagged()
    response = client.stream(
        "POST",
        "/images/create",
        fromImage=reference.familiar_name,
        tag=reference.digest or reference.tag,
        platform=platform,
    )
    show(response, sys.stderr if to_stderr else sys.stdout, quiet=quiet)
