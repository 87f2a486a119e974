"""`system df`: what images, containers and volumes occupy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from transom_cli import containers, images, volumes
from transom_cli.client import Client
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.references import parse_reference
from transom_cli.tables import Format, Listing, parse_format
from transom_cli.times import parse_time
from transom_cli.units import decimal_size, human_duration

__all__ = ["df"]

LISTING = Listing(
    headings={
        "Type": "TYPE",
        "TotalCount": "TOTAL",
        "Active": "ACTIVE",
        "Size": "SIZE",
        "Reclaimable": "RECLAIMABLE",
    },
    columns=("Type", "TotalCount", "Active", "Size", "Reclaimable"),
    raw=(
        "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n"
    ),
)
_IMAGES = images.LISTING._replace(
    columns=("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
)
_CONTAINERS = containers.LISTING._replace(
    columns=("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
)
_VOLUMES = volumes.LISTING._replace(columns=("Name", "Links", "Size"))
_BUILDS = Listing(
    headings={
        "ID": "CACHE ID",
        "CacheType": "CACHE TYPE",
        "Size": "SIZE",
        "CreatedSince": "CREATED",
        "LastUsedSince": "LAST USED",
        "UsageCount": "USAGE",
        "Shared": "SHARED",
    },
    columns=("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"),
)
_ACTIVE = ("running", "paused", "restarting")
_TABLE = Format(True, None)

Json = Mapping[str, Any]


@api_command("df", about="Show disk usage")
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--verbose", "-v", kind=BOOL, about="Show detailed information on space usage")
def df(client: Client, _arguments: list[str], *, template: str | None, verbose: bool) -> None:
    """Print a line for each kind of thing, or with `--verbose` one for each thing."""
    shown = parse_format(template or "")
    usage = client.get("/system/df")
    if not verbose:
        shown.print(LISTING, _summary(usage))
    elif shown.template is None:
        _print_details(usage)
    else:
        details = {
            "Images": list(_image_rows(usage, truncate=False)),
            "Containers": list(_container_rows(usage, truncate=False)),
            "Volumes": [volumes.volume_row(volume) for volume in usage["Volumes"] or []],
            "BuildCache": usage.get("BuildCache") or [],
        }
        shown.print(LISTING, [details])


def _summary(usage: Json) -> list[Json]:
    return [
        _images(usage["Images"] or [], usage["LayersSize"]),
        _containers(usage["Containers"] or []),
        _volumes(usage["Volumes"] or []),
        _builds(usage.get("BuildCache") or []),
    ]


def _images(found: list[Json], layers: int) -> Json:
    """Return the line of images; what a container uses and no other image has is not reclaimable."""
    used = [image for image in found if image["Containers"]]
    held = sum(image["Size"] - image["SharedSize"] for image in used if -1 not in (image["Size"], image["SharedSize"]))
    return _line("Images", len(found), len(used), layers, layers - held)


def _containers(found: list[Json]) -> Json:
    active = [container for container in found if container["State"] in _ACTIVE]
    idle = sum(container.get("SizeRw", 0) for container in found if container not in active)
    return _line("Containers", len(found), len(active), sum(item.get("SizeRw", 0) for item in found), idle)


def _volumes(found: list[Json]) -> Json:
    sizes = [(volume["UsageData"]["RefCount"], max(volume["UsageData"]["Size"], 0)) for volume in found]
    active = sum(users > 0 for users, _ in sizes)
    idle = sum(size for users, size in sizes if users == 0)
    return _line("Local Volumes", len(found), active, sum(size for _, size in sizes), idle)


def _builds(found: list[Json]) -> Json:
    idle = sum(item["Size"] for item in found if not item["InUse"] and not item["Shared"])
    whole = sum(item["Size"] for item in found if not item["Shared"])
    line = _line("Build Cache", len(found), sum(item["InUse"] for item in found), whole, idle)
    return {**line, "Reclaimable": decimal_size(idle)}


def _line(kind: str, total: int, active: int, size: int, reclaimable: int) -> Json:
    share = f" ({reclaimable * 100 // size}%)" if size > 0 else ""
    return {
        "Active": str(active),
        "Reclaimable": f"{decimal_size(reclaimable)}{share}",
        "Size": decimal_size(size),
        "TotalCount": str(total),
        "Type": kind,
    }


def _print_details(usage: Json) -> None:
    print("Images space usage:\n")
    _TABLE.print(_IMAGES, _image_rows(usage, truncate=True))
    print("\nContainers space usage:\n")
    _TABLE.print(_CONTAINERS, _container_rows(usage, truncate=True))
    print("\nLocal Volumes space usage:\n")
    _TABLE.print(_VOLUMES, [volumes.volume_row(volume) for volume in usage["Volumes"] or []])
    builds = usage.get("BuildCache") or []
    own = sum(item["Size"] for item in builds if not item["Shared"])
    print(f"\nBuild cache usage: {decimal_size(own)}\n")
    _TABLE.print(_BUILDS, map(_build_row, builds))


def _build_row(record: Json) -> Json:
    """Return the line of one thing that is kept of builds; what a build uses has a star."""
    now = time.time()
    used = record.get("LastUsedAt")
    return {
        "ID": record["ID"].removeprefix("sha256:")[:12] + "*" * bool(record["InUse"]),
        "CacheType": record["Type"],
        "Size": decimal_size(record["Size"], 3),
        "CreatedSince": f"{human_duration(now - parse_time(record['CreatedAt']))} ago",
        "LastUsedSince": f"{human_duration(now - parse_time(used))} ago" if used else "",
        "UsageCount": str(record["UsageCount"]),
        "Shared": str(record["Shared"]).lower(),
    }


def _image_rows(usage: Json, *, truncate: bool) -> Iterable[Json]:
    """Return a row for each image, with the first of its tags."""
    now = time.time()
    for image in usage["Images"] or []:
        repository = tag = "<none>"
        for text in (image.get("RepoTags") or [])[:1]:
            if not text.startswith("<none>"):
                reference = parse_reference(text)
                repository, tag = reference.familiar_name, reference.tag or "<none>"
        yield images.image_row(image, repository, tag, "<none>", truncate, now)


def _container_rows(usage: Json, *, truncate: bool) -> Iterable[Json]:
    now = time.time()
    for container in usage["Containers"] or []:
        yield containers.container_row({**container, "SizeRootFs": 0}, truncate, now)
