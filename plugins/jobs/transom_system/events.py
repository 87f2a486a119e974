"""The job `events`: what happened, and what happens, as far as a client wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from transom.errors import InvalidParameter
from transom.events import Event
from transom.system import EventWatch

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["Filters", "events", "matches"]

Filters = Mapping[str, tuple[str, ...]]

#: Filters that name an object of one type, by name or ID or the beginning of one.
_OBJECTS = frozenset(("config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"))
_KNOWN = _OBJECTS | {"event", "image", "label", "scope", "type"}
#: Actions that carry details after a colon: "exec_create: sh".
_DETAILED = ("exec_create", "exec_start", "health_status")


def events(
    engine: Engine,
    _job: Job,
    *,
    listener: Callable[[Event], None],
    since: int | None = None,
    until: int | None = None,
    filters: Filters | None = None,
) -> EventWatch:
    """Return the kept events from `since` on, and let `listener` be called with all that follow.

    Times are in nanoseconds. Both respect `until` and the filters; without `since` the past is left out. The
    subscription is the caller's to end. Raises `InvalidParameter` for an unknown filter.
    """
    wanted = dict(filters or {})
    for name in wanted:
        if name not in _KNOWN:
            raise InvalidParameter(f"invalid filter '{name}'")

    def passes(event: Event) -> bool:
        return (until is None or event.time <= until) and matches(event, wanted)

    def listen(event: Event) -> None:
        if passes(event):
            listener(event)

    past, subscription = engine.events.subscribe(listen, since)
    found = tuple(event for event in past if passes(event))
    if until is not None and until <= time.time_ns():
        engine.events.unsubscribe(subscription)
        return EventWatch(found, None)
    return EventWatch(found, subscription)


def matches(event: Event, filters: Filters) -> bool:
    """Return whether an event passes all filters; the values of one are alternatives, but labels add up."""
    return all(_passes(event, name, values) for name, values in filters.items())


def _passes(event: Event, name: str, values: tuple[str, ...]) -> bool:
    match name:
        case "type":
            return event.type in values
        case "scope":
            return "local" in values
        case "event":
            return event.action in values or any(
                value in _DETAILED and event.action.startswith(value) for value in values
            )
        case "label":
            return all(_has_label(event.attributes, value) for value in values)
        case "image":
            return bool(_images(event) & set(values))
    own = event.attributes.get("name", "")
    return event.type == name and any(event.id.startswith(value) or own.startswith(value) for value in values)


def _images(event: Event) -> set[str]:
    """Return the names by which an event's image is known, with and without tag."""
    if event.type not in ("image", "container"):
        return set()
    named = event.attributes.get("name" if event.type == "image" else "image", "")
    names = {named, event.id} if event.type == "image" else {named}
    return names | {_without_tag(name) for name in names} - {""}


def _without_tag(name: str) -> str:
    repository, colon, tag = name.rpartition(":")
    return repository if colon and "/" not in tag and "@" not in name else name


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    return key in labels and (not separator or labels[key] == value)
