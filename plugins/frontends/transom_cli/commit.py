"""`commit`: an image of what a container has become."""

from __future__ import annotations

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, LIST, api_command, flag
from transom_cli.references import parse_reference

__all__ = ["commit"]


@api_command(
    "commit",
    "CONTAINER [REPOSITORY[:TAG]]",
    about="Create a new image from a container's changes",
    least=1,
    most=2,
)
@flag("--author", "-a", about='Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")')
@flag("--change", "-c", kind=LIST, about="Apply Dockerfile instruction to the created image")
@flag("--message", "-m", about="Commit message")
@flag("--pause", "-p", kind=BOOL, default=True, about="Pause container during commit")
def commit(
    client: Client,
    arguments: list[str],
    *,
    author: str | None,
    change: tuple[str, ...],
    message: str | None,
    pause: bool,
) -> None:
    """Have the daemon make an image, and print its ID."""
    name = arguments[1] if len(arguments) > 1 else ""
    repository = tag = ""
    if name:
        reference = parse_reference(name)
        if reference.digest:
            raise CommandFailed("refusing to create a tag with a digest reference")
        reference = reference.tagged()
        repository, tag = reference.familiar_name, reference.tag or ""
    answer = client.post(
        "/commit",
        container=arguments[0],
        repo=repository,
        tag=tag,
        author=author or "",
        comment=message or "",
        changes=change,
        pause=None if pause else "0",
    )
    print(answer["Id"])
