"""`images`, `rmi` and `tag`."""

from __future__ import annotations

import json
import time
from typing import Any

from transom_cli.client import Client
from transom_cli.containers import collect_filters
from transom_cli.errors import CommandFailed, DaemonError, report_failures
from transom_cli.flags import BOOL, FILTER, Kind, api_command, flag
from transom_cli.platforms import parse_platform
from transom_cli.references import parse_reference
from transom_cli.tables import Listing, parse_format, quiet_format
from transom_cli.times import local_time
from transom_cli.units import decimal_size, human_duration

__all__ = ["LISTING", "image_row", "images", "rmi", "tag"]

LISTING = Listing(
    headings={
        "Repository": "REPOSITORY",
        "Tag": "TAG",
        "Digest": "DIGEST",
        "ID": "IMAGE ID",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "Size": "SIZE",
        "Containers": "CONTAINERS",
        "VirtualSize": "SIZE",
        "SharedSize": "SHARED SIZE",
        "UniqueSize": "UNIQUE SIZE",
    },
    columns=("Repository", "Tag", "ID", "CreatedSince", "Size"),
    raw=(
        "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\n"
        "created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}"
    ),
)
_PLATFORM = 'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'
_WITH_DIGESTS = LISTING._replace(
    columns=("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"),
    raw=LISTING.raw.replace("image_id", "digest: {{.Digest}}\nimage_id"),
)
_NONE = "<none>"


@api_command("images", "[REPOSITORY[:TAG]]", about="List images", most=1)
@flag("everything", "--all", "-a", kind=BOOL, about="Show all images (default hides intermediate images)")
@flag("--digests", kind=BOOL, about="Show digests")
@flag("filters", "--filter", "-f", kind=FILTER, about="Filter output based on conditions provided")
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--no-trunc", kind=BOOL, about="Don't truncate output")
@flag("--quiet", "-q", kind=BOOL, about="Only show image IDs")
@flag(
    "--tree",
    kind=BOOL,
    about="List images as a tree of their platforms, which is not supported: they have one",
    since="1.47",
)
def images(
    client: Client,
    arguments: list[str],
    *,
    everything: bool,
    digests: bool,
    filters: tuple[tuple[str, str], ...],
    template: str | None,
    no_trunc: bool,
    quiet: bool,
    tree: bool,
) -> None:
    """Print the images, a line for each name that one has."""
    if tree:
        raise CommandFailed("--tree is not supported: images have one platform here, so there is no tree to show")
    if not quiet and not template:
        template = client.setting("imagesFormat")
    shown = parse_format(quiet_format(template, "{{.ID}}", "image_id: {{.ID}}") if quiet else template or "")
    pairs = (*filters, *(("reference", name) for name in arguments))
    found = client.get("/images/json", all=everything, filters=collect_filters(pairs))
    by_digest = digests or "{{.Digest}}" in (template or "")
    now = time.time()
    rows = [
        image_row(image, repository, tag, digest, not no_trunc, now)
        for image in found
        for repository, tag, digest in _names(image, by_digest)
    ]
    shown.print(_WITH_DIGESTS if digests else LISTING, rows)


@api_command("rmi", "IMAGE [IMAGE...]", about="Remove one or more images", least=1, most=None)
@flag("--force", "-f", kind=BOOL, about="Force removal of the image")
@flag("--no-prune", kind=BOOL, about="Do not delete untagged parents")
@flag("--platform", kind=Kind("strings", str, multiple=True), about=_PLATFORM, since="1.50")
def rmi(client: Client, arguments: list[str], *, force: bool, no_prune: bool, platform: tuple[str, ...]) -> None:
    """Remove names of images, and images that have none left."""
    platforms = [json.dumps(parse_platform(text, "")) for texts in platform for text in texts.split(",")]
    failures: list[CommandFailed] = []
    for name in arguments:
        try:
            for removed in client.delete(f"/images/{name}", force=force, noprune=no_prune, platforms=platforms or None):
                for what in ("Deleted", "Untagged"):
                    if removed.get(what):
                        print(f"{what}: {removed[what]}", flush=True)
        except DaemonError as failure:
            if force and failure.status == 404:
                failure.show()
            else:
                failures.append(failure)
    report_failures(failures)


@api_command(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about="Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    least=2,
    most=2,
)
def tag(client: Client, arguments: list[str]) -> None:
    """Give an image one more name."""
    source, target = arguments
    try:
        reference = parse_reference(target)
    except CommandFailed as failure:
        raise CommandFailed(
            f'Error parsing reference: "{target}" is not a valid repository/tag: {failure.message}'
        ) from None
    if reference.digest:
        raise CommandFailed("refusing to create a tag with a digest reference")
    client.post(f"/images/{source}/tag", repo=reference.familiar_name, tag=reference.tagged().tag)


def _names(image: dict[str, Any], by_digest: bool) -> list[tuple[str, str, str]]:
    """Return the lines of one image: repository, tag and digest, `<none>` for what it does not have."""
    tags: dict[str, list[str]] = {}
    digests: dict[str, list[str]] = {}
    for text in image.get("RepoTags") or []:
        if text != f"{_NONE}:{_NONE}":
            reference = parse_reference(text)
            tags.setdefault(reference.familiar_name, []).append(reference.tag or "")
    for text in image.get("RepoDigests") or []:
        if text != f"{_NONE}@{_NONE}":
            reference = parse_reference(text)
            digests.setdefault(reference.familiar_name, []).append(reference.digest or "")
    lines = []
    for repository, names in tags.items():
        own = digests.pop(repository, [])
        lines += [(repository, tag, digest) for digest in (own if by_digest and own else [_NONE]) for tag in names]
    for repository, own in digests.items():
        lines += [(repository, _NONE, digest) for digest in (own if by_digest else [_NONE])]
    return lines or [(_NONE, _NONE, _NONE)]


def image_row(
    image: dict[str, Any], repository: str, tag: str, digest: str, truncate: bool, now: float
) -> dict[str, Any]:
    """Return what the fields of `--format` are for one line."""
    identity = image["Id"].removeprefix("sha256:")[:12] if truncate else image["Id"]
    shared, size = image.get("SharedSize", -1), image["Size"]
    containers = image.get("Containers", -1)
    return {
        "Containers": "N/A" if containers == -1 else str(containers),
        "CreatedAt": local_time(image["Created"]),
        "CreatedSince": f"{human_duration(now - image['Created'])} ago",
        "Digest": digest,
        "ID": identity,
        "Repository": repository,
        "SharedSize": "N/A" if shared == -1 else decimal_size(shared),
        "Size": decimal_size(size, 3),
        "Tag": tag,
        "UniqueSize": "N/A" if shared == -1 else decimal_size(size - shared),
        "VirtualSize": decimal_size(size),
    }
