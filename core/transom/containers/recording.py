"""The events of containers."""

from __future__ import annotations

from collections.abc import Mapping

from transom.containers.model import Container
from transom.events import Events

__all__ = ["Recorder"]


class Recorder:
    """Records events of containers, with the attributes that every one has."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def __call__(self, container: Container, action: str, attributes: Mapping[str, str] | None = None) -> None:
        """Record an event of a container."""
        own = {"image": container.config.image, "name": container.name}
        self._events.record(
            "container", action, container.id, {**container.config.run.labels, **(attributes or {}), **own}
        )
