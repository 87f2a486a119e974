"""The channels of a process that outlives the daemon, and what is asked on them.

A request has `op` and `number`. Its answer has the same number, and if it failed what `failure` says.
"""

from __future__ import annotations

import os
import select
import traceback
from collections.abc import Callable
from pathlib import Path

from transom.drivers.blame import describe
from transom.errors import TransomError
from transom.runtime.channel import Channel, Message, listen
from transom.runtime.streams import Loop

__all__ = ["Service", "failure"]

Handler = Callable[[Message, list[int]], Message | None]


class Service:
    """Whoever connects to the socket `name` of a directory is answered by `handle`, from the loop.

    `handle` takes the descriptors that it keeps out of the list; the others are closed.
    """

    def __init__(self, loop: Loop, directory: Path, name: str, handle: Handler) -> None:
        self._loop = loop
        self._handle = handle
        self._channels: dict[int, Channel] = {}
        self._listener = listen(directory, name)
        loop.add(self._listener.fileno(), select.EPOLLIN, self._accept)

    @property
    def connected(self) -> bool:
        """Whether there is anybody to ask something."""
        return bool(self._channels)

    def connect(self, channel: Channel) -> None:
        """Answer on one more channel, which is taken over."""
        self._channels[channel.fileno()] = channel
        self._loop.add(channel.fileno(), select.EPOLLIN, lambda _: self._receive(channel))

    def announce(self, message: Message) -> None:
        """Send a message that nobody asked for on every channel."""
        for channel in tuple(self._channels.values()):
            self._send(channel, message)

    def _accept(self, _events: int) -> None:
        connection, _address = self._listener.accept()
        self.connect(Channel(connection))

    def _disconnect(self, channel: Channel) -> None:
        if self._channels.pop(channel.fileno(), None) is not None:
            self._loop.remove(channel.fileno())
            channel.close()

    def _receive(self, channel: Channel) -> None:
        received = channel.receive()
        if received is None:
            self._disconnect(channel)
            return
        message, descriptors = received
        answer: Message = {"number": message["number"]}
        try:
            answer.update(self._handle(message, descriptors) or {})
        except Exception as error:  # noqa: BLE001 whoever asks for what fails must not end what else is served here
            answer.update(failure(error))
        for descriptor in descriptors:
            os.close(descriptor)
        self._send(channel, answer)

    def _send(self, channel: Channel, message: Message) -> None:
        try:
            channel.send(message)
        except OSError:
            self._disconnect(channel)


def failure(error: Exception) -> Message:
    """Return what is answered for an error: the `error` in words, and its class's `exit_code` and `status`."""
    if not isinstance(error, TransomError):
        traceback.print_exception(error)
    return {
        "error": describe(error),
        "exit_code": getattr(error, "exit_code", 0),
        "status": getattr(error, "status", TransomError.status),
    }
