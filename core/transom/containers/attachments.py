"""Clients that are attached to a container's streams: they wait here until there is a shim, which then has them."""

from __future__ import annotations

import base64
import os
import select
import threading
from dataclasses import dataclass

from transom.errors import InvalidParameter
from transom.runtime.shims import Shims
from transom.runtime.streams import detach_sequence

__all__ = ["Attachment", "Attachments"]


@dataclass(frozen=True)
class Attachment:
    """A client's connection: its descriptor, the streams that it wants (`stdin`, `stdout`, `stderr`), whether output is
    sent in frames that tell which, the keys that detach it, and input that came with its request."""

    descriptor: int
    streams: tuple[str, ...]
    framed: bool
    detach_keys: str = ""
    leftover: bytes = b""

    def check(self) -> None:
        """Raise `InvalidParameter` for keys that there are not."""
        try:
            detach_sequence(self.detach_keys)
        except ValueError as error:
            raise InvalidParameter(str(error)) from None

    def message(self) -> dict[str, object]:
        """Return what the shim is told."""
        return {
            "streams": list(self.streams),
            "framed": self.framed,
            "detach": self.detach_keys,
            "leftover": base64.b64encode(self.leftover).decode(),
        }


class Attachments:
    """The attached clients whose containers do not run yet. It owns their descriptors until they are handed over."""

    def __init__(self, shims: Shims) -> None:
        self._shims = shims
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Attachment]] = {}

    def wait(self, container: str, attachment: Attachment) -> None:
        """Keep a client until the container starts. Those that have gone away meanwhile are let go."""
        with self._lock:
            waiting = self._waiting.setdefault(container, [])
            gone = [other for other in waiting if _is_gone(other.descriptor)]
            self._waiting[container] = [*(other for other in waiting if other not in gone), attachment]
        for other in gone:
            os.close(other.descriptor)

    def hand_over(self, container: str) -> None:
        """Give the clients that wait to the container's shim."""
        with self._lock:
            attachments = self._waiting.pop(container, [])
        for attachment in attachments:
            self.give(container, attachment)

    def give(self, container: str, attachment: Attachment) -> None:
        """Give a client to the shim of a container, and close this process's copy of the connection."""
        try:
            self._shims.request(container, "attach", attachment.descriptor, **attachment.message())
        finally:
            os.close(attachment.descriptor)

    def drop(self, container: str) -> None:
        """Close the connections of the clients that wait."""
        with self._lock:
            attachments = self._waiting.pop(container, [])
        for attachment in attachments:
            os.close(attachment.descriptor)

    def close(self) -> None:
        """Close the connections of all clients that wait."""
        for container in tuple(self._waiting):
            self.drop(container)


def _is_gone(descriptor: int) -> bool:
    """Return whether a connection's other end is closed; one that only sends no more may still read."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))
