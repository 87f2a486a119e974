"""`push`."""

from __future__ import annotations

import sys

from transom_cli.client import Client
from transom_cli.credentials import registry_auth
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.notes import print_note
from transom_cli.platforms import parse_platform
from transom_cli.progress import show
from transom_cli.references import parse_reference
from transom_cli.trust import ABOUT, UNTRUSTED, refuse_trust

__all__ = ["push"]

_PLATFORM = (
    "Push a platform-specific manifest as a single-platform image to the registry. Image index won't be pushed, meaning"
    " that other manifests, including attestations won't be preserved. 'os[/arch[/variant]]': Explicit platform (eg."
    " linux/amd64)"
)
_NOTE = """\
Using --platform pushes only the specified platform manifest of a multi-platform image index.
Other components, like attestations, will not be included.
To push the complete multi-platform image, remove the --platform flag.
"""


@api_command("push", "NAME[:TAG]", about="Upload an image to a registry", least=1, most=1)
@flag("--all-tags", "-a", kind=BOOL, about="Push all tags of an image to the repository")
@flag("--disable-content-trust", kind=BOOL, default=UNTRUSTED, about=ABOUT)
@flag("--platform", about=_PLATFORM, since="1.46")
@flag("--quiet", "-q", kind=BOOL, about="Suppress verbose output")
def push(
    client: Client,
    arguments: list[str],
    *,
    all_tags: bool,
    disable_content_trust: bool,
    platform: str | None,
    quiet: bool,
) -> None:
    """Have the daemon push an image, and show its progress unless `quiet`."""
    refuse_trust(disable_content_trust)
    chosen = parse_platform(platform, f"Invalid platform {platform}")
    if chosen is not None:
        print_note(_NOTE, sys.stdout)
    reference = parse_reference(arguments[0])
    if reference.digest:
        raise CommandFailed("cannot push a digest reference")
    if all_tags and reference.tag:
        raise CommandFailed("tag can't be used with --all-tags/-a")
    if not all_tags and not reference.tag:
        reference = reference.tagged()
        if not quiet:
            print(f"Using default tag: {reference.tag}", flush=True)
    response = client.stream(
        "POST",
        f"/images/{reference.familiar_name}/push",
        headers=registry_auth(client.file, reference.domain),
        tag=reference.tag or "",
        platform=chosen,
    )
    show(response, sys.stdout, quiet=quiet)
    if quiet:
        print(reference)
