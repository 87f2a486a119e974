"""`events`: what happens in the engine, as it happens."""

from __future__ import annotations

import json
from typing import Any

from transom_cli.client import Client
from transom_cli.containers import collect_filters
from transom_cli.errors import CommandFailed
from transom_cli.flags import FILTER, api_command, flag
from transom_cli.times import nanosecond_time, timestamp

__all__ = ["events"]


@api_command("events", about="Get real time events from the server")
@flag("filters", "--filter", "-f", kind=FILTER, about="Filter output based on conditions provided")
@flag("template", "--format", about="Format output as 'json' or with a Go template")
@flag("--since", about="Show all events created since timestamp")
@flag("--until", about="Stream events until this timestamp")
def events(
    client: Client,
    _arguments: list[str],
    *,
    filters: tuple[tuple[str, str], ...],
    template: str | None,
    since: str | None,
    until: str | None,
) -> None:
    """Print events until `--until`, or until interrupted."""
    from transom_cli.template import TemplateError, parse  # many an events call needs none

    try:
        parsed = parse("{{json .}}" if template == "json" else template) if template else None
    except TemplateError as error:
        reason = error.message.removeprefix("template parsing error: ")
        raise CommandFailed(f"Error parsing format: {reason}", error.exit_status) from error
    try:
        begin, end = (timestamp(text) if text else None for text in (since, until))
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    response = client.stream("GET", "/events", filters=collect_filters(filters), since=begin, until=end)
    for line in response.lines():
        event = json.loads(line)
        print(parsed.render(event) if parsed else _line(event), flush=True)


def _line(event: dict[str, Any]) -> str:
    """Return an event as `TIME TYPE ACTION ID (key=value, …)`."""
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    shown = ", ".join(f"{key}={attributes[key]}" for key in sorted(attributes))
    nanoseconds = event.get("timeNano") or event["time"] * 1_000_000_000
    parts = [nanosecond_time(nanoseconds), event["Type"], event["Action"], actor.get("ID", "")]
    return " ".join([*parts, f"({shown})"] if shown else parts)
