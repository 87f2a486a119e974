"""`pull`, and the pull that `run` and `create` begin when an image is missing."""

from __future__ import annotations

import sys
from typing import IO

from transom.graph.reference import Reference
from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.references import parse_reference
from transom_cli.trust import ABOUT, UNTRUSTED, refuse_trust

__all__ = ["pull", "pull_image"]


@api_command("pull", "NAME[:TAG|@DIGEST]", about="Download an image from a registry", least=1, most=1)
@flag("--all-tags", "-a", kind=BOOL, about="Download all tagged images in the repository")
@flag("--disable-content-trust", kind=BOOL, default=UNTRUSTED, about=ABOUT)
@flag("--platform", about="Set platform if server is multi-platform capable", since="1.32")
@flag("--quiet", "-q", kind=BOOL, about="Suppress verbose output")
def pull(
    client: Client,
    arguments: list[str],
    *,
    all_tags: bool,
    disable_content_trust: bool,
    platform: str | None,
    quiet: bool,
) -> None:
    """Pull an image, or all of a repository, and print its whole name."""
    refuse_trust(disable_content_trust)
    reference = parse_reference(arguments[0])
    if all_tags and (reference.tag or reference.digest):
        raise CommandFailed("tag can't be used with --all-tags/-a")
    if not all_tags and not reference.tag and not reference.digest:
        reference = reference.tagged()
        if not quiet:
            print(f"Using default tag: {reference.tag}", flush=True)
    _pull(client, reference, platform, sys.stdout, quiet=quiet)
    print(reference)


def pull_image(client: Client, name: str, platform: str | None, *, quiet: bool, to_stderr: bool = False) -> None:
    """Have the daemon pull an image, and show its progress unless `quiet`. Raises `CommandFailed`."""
    target = sys.stderr if to_stderr else sys.stdout
    _pull(client, parse_reference(name).tagged(), platform, target, quiet=quiet)


def _pull(client: Client, reference: Reference, platform: str | None, target: IO[str], *, quiet: bool) -> None:
    from transom_cli.credentials import registry_auth  # `run` pulls seldom
    from transom_cli.progress import show

    response = client.stream(
        "POST",
        "/images/create",
        headers=registry_auth(client.file, reference.domain),
        fromImage=reference.familiar_name,
        tag=reference.digest or reference.tag,
        platform=platform,
    )
    show(response, target, quiet=quiet)
