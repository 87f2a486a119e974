"""`image prune`, and what all prunes share: the question before, and the sum at the end."""

from __future__ import annotations

import sys

from transom_cli.client import Client
from transom_cli.containers import collect_filters
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, FILTER, api_command, flag
from transom_cli.units import decimal_size

__all__ = ["confirm", "print_reclaimed", "print_removed_images", "prune_images"]


def confirm(warning: str) -> None:
    """Ask whether to do what the warning says; ends the command quietly if the answer is not yes."""
    print(f"{warning}\nAre you sure you want to continue? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() != "y":
        raise CommandFailed("", 0)


def print_removed_images(steps: list[dict[str, str]]) -> None:
    """Print what became of images, under a heading, if anything did."""
    if steps:
        print("Deleted Images:")
        for step in steps:
            print(f"untagged: {step['Untagged']}" if step.get("Untagged") else f"deleted: {step['Deleted']}")
        print()


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
    chosen = collect_filters((*filters, ("dangling", "false" if everything else "true")))
    report = client.post("/images/prune", filters=chosen)
    print_removed_images(report["ImagesDeleted"] or [])
    print_reclaimed(report["SpaceReclaimed"])
