"""What happened: events are recorded, kept for late readers, and given to subscribers and plugins."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Event", "Events", "Subscription"]

#: How many past events are kept for clients that ask with `since`; Docker keeps 256.
HISTORY = 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as in Docker's `GET /events`: an action on an actor (container, image, volume, network).

    `time` is in nanoseconds since the epoch. `id` is the container's ID, the image's reference or ID, the
    volume's name. `attributes` carry names, labels and details such as `exitCode`.
    """

    type: str
    action: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time: int = field(default_factory=time.time_ns)


@dataclass(eq=False, slots=True)
class Subscription:
    """A listener to the bus. `listener` is called in the thread that recorded the event: it must not block."""

    listener: Callable[[Event], None]


class Events:
    """The engine's event bus. Events are delivered to each subscriber in the order of their recording."""

    def __init__(self, announce: Callable[[Event], None] = lambda _: None) -> None:
        self._announce = announce
        self._lock = threading.Lock()
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._subscriptions: list[Subscription] = []

    def record(self, type: str, action: str, id: str, attributes: Mapping[str, str] | None = None) -> Event:
        """Record that something happened, tell the subscribers, then the plugins."""
        with self._lock:
            event = Event(type, action, id, dict(attributes or {}))
            self._history.append(event)
            for subscription in self._subscriptions:
                subscription.listener(event)
        self._announce(event)
        return event

    def subscribe(
        self, listener: Callable[[Event], None], since: int | None = None
    ) -> tuple[list[Event], Subscription]:
        """Return the kept events from `since` (nanoseconds) on, and a subscription to all that follow.

        No event is lost or given twice between the two. Without `since` the past is left out.
        """
        subscription = Subscription(listener)
        with self._lock:
            past = [] if since is None else [event for event in self._history if event.time >= since]
            self._subscriptions.append(subscription)
        return past, subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop delivery; unsubscribing twice is harmless."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    @property
    def listeners(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)
