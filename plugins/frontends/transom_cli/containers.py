"""`ps`: the list of containers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, FILTER, INT, api_command, flag
from transom_cli.references import familiar
from transom_cli.tables import Format, Listing, parse_format
from transom_cli.times import local_time
from transom_cli.units import decimal_size, human_duration

__all__ = ["LISTING", "collect_filters", "container_row", "ps"]

LISTING = Listing(
    headings={
        "ID": "CONTAINER ID",
        "Image": "IMAGE",
        "Command": "COMMAND",
        "RunningFor": "CREATED",
        "Status": "STATUS",
        "Ports": "PORTS",
        "Names": "NAMES",
        "Size": "SIZE",
        "State": "STATE",
        "CreatedAt": "CREATED AT",
        "Labels": "LABELS",
        "Mounts": "MOUNTS",
        "LocalVolumes": "LOCAL VOLUMES",
        "Networks": "NETWORKS",
        "Platform": "PLATFORM",
    },
    columns=("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"),
    raw=(
        "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"
        "state: {{.State}}\nstatus: {{.Status}}\nnames: {{.Names}}\nlabels: {{.Labels}}\n"
        "ports:{{with .Ports}} {{.}}{{end}}"
    ),
)


#: What `-q` shows in the formats that have a name.
_QUIET = {"raw": "container_id: {{.ID}}"}


def collect_filters(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]] | None:
    """Return `--filter`s as the API's object of lists, or None if there are none."""
    filters: dict[str, list[str]] = {}
    for name, value in pairs:
        filters.setdefault(name, []).append(value)
    return filters or None


@api_command("ps", about="List containers")
@flag("everything", "--all", "-a", kind=BOOL, about="Show all containers (default shows just running)")
@flag("filters", "--filter", "-f", kind=FILTER, about="Filter output based on conditions provided")
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--last", "-n", kind=INT, default=-1, about="Show n last created containers (includes all states)")
@flag("--latest", "-l", kind=BOOL, about="Show the latest created container (includes all states)")
@flag("--no-trunc", kind=BOOL, about="Don't truncate output")
@flag("--quiet", "-q", kind=BOOL, about="Only display container IDs")
@flag("--size", "-s", kind=BOOL, about="Display total file sizes")
def ps(
    client: Client,
    _arguments: list[str],
    *,
    everything: bool,
    filters: tuple[tuple[str, str], ...],
    template: str | None,
    last: int,
    latest: bool,
    no_trunc: bool,
    quiet: bool,
    size: bool,
) -> None:
    """Print the containers."""
    if quiet and template:
        print("WARNING: Ignoring custom format, because both --format and --quiet are set.", file=sys.stderr)
    elif template:
        _try(template)
    if not quiet and not template:
        template = client.setting("psFormat")
    shown = parse_format(_QUIET.get(template or "", "{{.ID}}") if quiet else template or "")
    size = size or (template != "json" and shown.uses("Size"))
    found = client.get(
        "/containers/json",
        all=everything,
        limit=1 if latest and last == -1 else last if last > 0 else None,
        size=size,
        filters=collect_filters(filters),
    )
    listing = LISTING
    if size and not shown.template:
        listing = listing._replace(columns=(*listing.columns, "Size"), raw=f"{listing.raw}\nsize: {{{{.Size}}}}")
    _print(shown, listing, found, not no_trunc)


def _try(source: str) -> None:
    """Carry a format out for a container of which nothing is known, before the daemon is asked, as Docker does.

    Raises `CommandFailed` for what is wrong with it, with its position in what was given.
    """
    from transom_cli.template import TemplateError, parse  # where there is a format

    row = {**dict.fromkeys(LISTING.headings, ""), "Label": lambda _name: ""}
    try:
        parsed = parse(source)
    except TemplateError as error:
        reason = error.message.removeprefix("template parsing error: ")
        raise CommandFailed(f"failed to parse template: {reason}") from error
    try:
        parsed.render(row)
    except TemplateError as error:
        raise CommandFailed(f"failed to execute template: {error.message}") from error


def _print(shown: Format, listing: Listing, found: list[dict[str, Any]], truncate: bool) -> None:
    now = time.time()
    shown.print(listing, (container_row(container, truncate, now) for container in found))


def container_row(container: Mapping[str, Any], truncate: bool, now: float) -> dict[str, Any]:
    """Return what the fields of `--format` are for one container of `GET /containers/json`."""
    labels = container.get("Labels") or {}
    mounts = container.get("Mounts") or []
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    names = [mount.get("Name") or mount.get("Source", "") for mount in mounts]
    command = container["Command"]
    return {
        "Command": json.dumps(_ellipsis(command, 20) if truncate else command, ensure_ascii=False),
        "CreatedAt": local_time(container["Created"]),
        "ID": container["Id"][:12] if truncate else container["Id"],
        "Image": _image(container, truncate),
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(sorted(f"{key}={value}" for key, value in labels.items())),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in mounts)),
        "Mounts": ",".join(_ellipsis(name, 15) if truncate else name for name in names),
        "Names": _names(container.get("Names") or [], truncate),
        "Networks": ",".join(sorted(networks)),
        "Platform": (container.get("ImageManifestDescriptor") or {}).get("platform"),
        "Ports": _ports(container.get("Ports") or []),
        "RunningFor": f"{human_duration(now - container['Created'])} ago",
        "Size": _size(container),
        "State": container["State"],
        "Status": container["Status"],
    }


def _names(names: list[str], truncate: bool) -> str:
    """Return the names; those of links, which have a slash within, are left out where output is truncated."""
    bare = [name.removeprefix("/") for name in names]
    return next((name for name in bare if "/" not in name), "") if truncate else ",".join(bare)


def _image(container: Mapping[str, Any], truncate: bool) -> str:
    image: str = container["Image"]
    if not image:
        return "<no image>"
    if not truncate:
        return image
    short: str = container.get("ImageID", "").removeprefix("sha256:")[:12]
    if short and short == image.removeprefix("sha256:")[:12]:
        return short
    return familiar(image)


def _size(container: Mapping[str, Any]) -> str:
    own = decimal_size(container.get("SizeRw") or 0, 3)
    whole = container.get("SizeRootFs") or 0
    return f"{own} (virtual {decimal_size(whole, 3)})" if whole else own


def _ellipsis(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _ports(ports: list[dict[str, Any]]) -> str:
    """Return the ports; those that follow each other and are published unchanged are shown as a range."""
    groups: dict[str, list[int]] = {}
    closed: list[str] = []
    moved: list[str] = []
    order = sorted(
        ports,
        key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]),
    )
    for port in order:
        private, address, protocol = port["PrivatePort"], port.get("IP", ""), port["Type"]
        if address and port.get("PublicPort", 0) != private:
            moved.append(f"{_with_port(address, port.get('PublicPort', 0))}->{private}/{protocol}")
            continue
        key = f"{address}/{protocol}" if address else protocol
        if key in groups and private == groups[key][1] + 1:
            groups[key][1] = private
            continue
        if key in groups:
            closed.append(_range(key, *groups[key]))
        groups[key] = [private, private]
    return ", ".join([*closed, *(_range(key, *group) for key, group in groups.items()), *moved])


def _range(key: str, first: int, last: int) -> str:
    address, _, protocol = key.rpartition("/")
    ports = str(first) if first == last else f"{first}-{last}"
    return f"{_with_port(address, ports)}->{ports}/{protocol}" if address else f"{ports}/{protocol}"


def _with_port(address: str, port: int | str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
