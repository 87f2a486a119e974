"""What removes all that is not used, of one kind (`container prune` …) or of all (`system prune`)."""

from __future__ import annotations

import sys

from transom_cli.client import Client, version_key
from transom_cli.containers import collect_filters
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, BYTES, FILTER, api_command, flag
from transom_cli.tables import natural_key
from transom_cli.units import decimal_size

__all__ = [
    "confirm",
    "prune_builds",
    "print_reclaimed",
    "print_removed_images",
    "prune_containers",
    "prune_images",
    "prune_networks",
    "prune_system",
    "prune_volumes",
]

Pairs = tuple[tuple[str, str], ...]
#: The filters that the question before `system prune` shows.
_SHOWN = ("label", "label!", "until")


def confirm(warning: str, between: str = "\n") -> None:
    """Ask whether to do what the warning says; ends the command quietly if the answer is not yes."""
    print(f"{warning}{between}Are you sure you want to continue? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() != "y":
        raise CommandFailed("", 0)


def print_removed_images(steps: list[dict[str, str]]) -> None:
    """Print what became of images, under a heading, if anything did."""
    if steps:
        print("Deleted Images:")
        for step in steps:
            print(f"untagged: {step['Untagged']}" if step.get("Untagged") else f"deleted: {step['Deleted']}")
        print()


def print_removed(heading: str, names: list[str] | None) -> None:
    """Print what was removed, under a heading, if anything was."""
    if names:
        print("\n".join([heading, *names]), end="\n\n")


def print_reclaimed(size: int) -> None:
    """Print how much space a prune has made."""
    print(f"Total reclaimed space: {decimal_size(size)}")


@api_command("prune", about="Remove unused images")
@flag("everything", "--all", "-a", kind=BOOL, about="Remove all unused images, not just dangling ones")
@flag("filters", "--filter", kind=FILTER, about='Provide filter values (e.g. "until=<timestamp>")')
@flag("--force", "-f", kind=BOOL, about="Do not prompt for confirmation")
def prune_images(
    client: Client, _arguments: list[str], *, everything: bool, filters: tuple[tuple[str, str], ...], force: bool
) -> None:
    """Remove the images that no container uses and that have no tag, or with `--all` those that have one too."""
    if not force:
        which = (
            "all images without at least one container associated to them." if everything else "all dangling images."
        )
        confirm(f"WARNING! This will remove {which}")
    print_reclaimed(_prune_images(client, filters, everything))


@api_command("prune", about="Remove all stopped containers")
@flag("filters", "--filter", kind=FILTER, about='Provide filter values (e.g. "until=<timestamp>")')
@flag("--force", "-f", kind=BOOL, about="Do not prompt for confirmation")
def prune_containers(client: Client, _arguments: list[str], *, filters: Pairs, force: bool) -> None:
    """Remove the containers that do not run."""
    if not force:
        confirm("WARNING! This will remove all stopped containers.")
    print_reclaimed(_prune_containers(client, filters))


@api_command("prune", about="Remove unused local volumes")
@flag("everything", "--all", "-a", kind=BOOL, about="Remove all unused volumes, not just anonymous ones", since="1.42")
@flag("filters", "--filter", kind=FILTER, about='Provide filter values (e.g. "label=<label>")')
@flag("--force", "-f", kind=BOOL, about="Do not prompt for confirmation")
def prune_volumes(client: Client, _arguments: list[str], *, everything: bool, filters: Pairs, force: bool) -> None:
    """Remove the volumes that no container uses and that have no name, or with `--all` those that have one too."""
    if everything and any(name == "all" for name, _ in filters):
        raise CommandFailed("conflicting options: cannot specify both --all and --filter all=1")
    # Before that version the daemon removes them all.
    old = version_key(client.version) < version_key("1.42")
    if not force:
        which = "" if everything or old else "anonymous "
        confirm(f"WARNING! This will remove {which or 'all '}local volumes not used by at least one container.")
    more = (("all", "true"),) if everything and not old else ()
    print_reclaimed(_prune_volumes(client, (*filters, *more)))


@api_command("prune", about="Remove all unused networks")
@flag("filters", "--filter", kind=FILTER, about='Provide filter values (e.g. "until=<timestamp>")')
@flag("--force", "-f", kind=BOOL, about="Do not prompt for confirmation")
def prune_networks(client: Client, _arguments: list[str], *, filters: Pairs, force: bool) -> None:
    """Remove the networks that users made and no container uses."""
    if not force:
        confirm("WARNING! This will remove all custom networks not used by at least one container.")
    _prune_networks(client, filters)


@api_command("prune", about="Remove build cache")
@flag("everything", "--all", "-a", kind=BOOL, about="Remove all unused build cache, not just dangling ones")
@flag("filters", "--filter", kind=FILTER, about='Provide filter values (e.g. "until=24h")')
@flag("--force", "-f", kind=BOOL, about="Do not prompt for confirmation")
@flag("--keep-storage", kind=BYTES, default=0, about="Amount of disk space to keep for cache")
@flag("--max-used-space", kind=BYTES, default=0, about="Maximum amount of disk space allowed to keep for cache")
@flag("--min-free-space", kind=BYTES, default=0, about="Target amount of free disk space after pruning")
@flag("--reserved-space", kind=BYTES, default=0, about="Amount of disk space always allowed to keep for cache")
def prune_builds(
    client: Client,
    _arguments: list[str],
    *,
    everything: bool,
    filters: Pairs,
    force: bool,
    keep_storage: int,
    max_used_space: int,
    min_free_space: int,
    reserved_space: int,
) -> None:
    """Remove what is kept of builds and no image uses, or with `--all` all that no build uses."""
    if not force:
        confirm(f"WARNING! This will remove all {'' if everything else 'dangling '}build cache.", " ")
    limits = {
        "reserved-space": reserved_space or keep_storage or None,
        "max-used-space": max_used_space or None,
        "min-free-space": min_free_space or None,
    }
    built = client.post("/build/prune", all=everything, filters=collect_filters(filters), **limits)
    print_removed("Deleted build cache objects:", built["CachesDeleted"])
    print_reclaimed(built["SpaceReclaimed"])


@api_command("prune", about="Remove unused data")
@flag("everything", "--all", "-a", kind=BOOL, about="Remove all unused images not just dangling ones")
@flag("filters", "--filter", kind=FILTER, about='Provide filter values (e.g. "label=<key>=<value>")')
@flag("--force", "-f", kind=BOOL, about="Do not prompt for confirmation")
@flag("--volumes", kind=BOOL, about="Prune anonymous volumes")
def prune_system(
    client: Client, _arguments: list[str], *, everything: bool, filters: Pairs, force: bool, volumes: bool
) -> None:
    """Remove containers, networks and images, and with `--volumes` volumes, that are not used."""
    if volumes and any(name == "until" for name, _ in filters):
        raise CommandFailed('ERROR: The "until" filter is not supported with "--volumes"')
    if not force:
        confirm(_warning(everything, filters, volumes))
    reclaimed = _prune_containers(client, filters)
    _prune_networks(client, filters)
    if volumes:
        reclaimed += _prune_volumes(client, filters)
    reclaimed += _prune_images(client, filters, everything)
    built = client.post("/build/prune", all=everything, filters=collect_filters(filters))
    print_removed("Deleted build cache objects:", built["CachesDeleted"])
    print_reclaimed(reclaimed + built["SpaceReclaimed"])


def _warning(everything: bool, filters: Pairs, volumes: bool) -> str:
    targets = ["all stopped containers", "all networks not used by at least one container"]
    if volumes:
        targets.append("all anonymous volumes not used by at least one container")
    if everything:
        targets += ["all images without at least one container associated to them", "all build cache"]
    else:
        targets += ["all dangling images", "unused build cache"]
    lines = ["WARNING! This will remove:", *(f"  - {target}" for target in targets), ""]
    shown = sorted((f"{name}={value}" for name, value in filters if name in _SHOWN), key=natural_key)
    if shown:
        lines += ["  Items to be pruned will be filtered with:", *(f"  - {item}" for item in shown), ""]
    return "\n".join(lines)


def _prune_containers(client: Client, filters: Pairs) -> int:
    report = client.post("/containers/prune", filters=collect_filters(filters))
    print_removed("Deleted Containers:", report["ContainersDeleted"])
    return int(report["SpaceReclaimed"])


def _prune_volumes(client: Client, filters: Pairs) -> int:
    report = client.post("/volumes/prune", filters=collect_filters(filters))
    print_removed("Deleted Volumes:", report["VolumesDeleted"])
    return int(report["SpaceReclaimed"])


def _prune_networks(client: Client, filters: Pairs) -> None:
    report = client.post("/networks/prune", filters=collect_filters(filters))
    print_removed("Deleted Networks:", report["NetworksDeleted"])


def _prune_images(client: Client, filters: Pairs, everything: bool) -> int:
    chosen = collect_filters((*filters, ("dangling", "false" if everything else "true")))
    report = client.post("/images/prune", filters=chosen)
    print_removed_images(report["ImagesDeleted"] or [])
    return int(report["SpaceReclaimed"])
