"""`logs`: what a container has written, and what it writes."""

from __future__ import annotations

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.streams import copy_output
from transom_cli.times import timestamp

__all__ = ["logs"]

_TIME = '(e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'


@api_command("logs", "CONTAINER", about="Fetch the logs of a container", least=1, most=1)
@flag("--details", kind=BOOL, about="Show extra details provided to logs")
@flag("--follow", "-f", kind=BOOL, about="Follow log output")
@flag("--since", about=f"Show logs since timestamp {_TIME}")
@flag("--tail", "-n", default="all", about="Number of lines to show from the end of the logs")
@flag("--timestamps", "-t", kind=BOOL, about="Show timestamps")
@flag("--until", about=f"Show logs before a timestamp {_TIME}", since="1.35")
def logs(
    client: Client,
    arguments: list[str],
    *,
    details: bool,
    follow: bool,
    since: str | None,
    tail: str,
    timestamps: bool,
    until: str | None,
) -> None:
    """Print a container's log, its standard error apart from its standard output."""
    container = client.get(f"/containers/{arguments[0]}/json")
    response = client.stream(
        "GET",
        f"/containers/{container['Id']}/logs",
        stdout=True,
        stderr=True,
        details=details,
        follow=follow,
        since=_moment("since", since),
        tail=tail,
        timestamps=timestamps,
        until=_moment("until", until),
    )
    copy_output(response.chunks(), terminal=container["Config"]["Tty"])


def _moment(name: str, value: str | None) -> str | None:
    """Return a time as the API takes it. Raises `CommandFailed`."""
    try:
        return timestamp(value) if value else None
    except ValueError as error:
        raise CommandFailed(f'invalid value for "{name}": {error}') from error
