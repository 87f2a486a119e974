"""One process of a container with its streams and its clients: the init, or a process that `exec` added."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from transom.drivers.exec import Stdio
from transom.runtime.channel import Message
from transom.runtime.streams import Client, Input, Loop, Output, detach_sequence

__all__ = ["Session"]


class Sink(Protocol):
    """What gets the output of a process besides its clients."""

    @property
    def full(self) -> bool:
        """Whether the process should wait."""

    def write(self, stream: str, data: bytes) -> None:
        """Take a piece of output."""


class Session:
    """The streams of one process.

    `terminal` says whether it has a terminal, `stdin` whether clients can write to it, `stdin_once` whether its stdin
    ends with the first client's input. `log` gets each piece of output, `on_drained` is called when the last has been
    read.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        terminal: bool,
        stdin: bool,
        stdin_once: bool,
        log: Sink | None = None,
        on_drained: Callable[[], None] = lambda: None,
        on_detach: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._terminal = terminal
        self._stdin_once = stdin_once
        self._log = log
        self._on_drained = on_drained
        self._on_detach = on_detach
        self._input = Input(loop) if stdin else None
        if self._input is not None:
            self._input.on_room = self._resume_clients
        self._controlling: int | None = None
        self._outputs: list[Output] = []
        self._clients: list[Client] = []

    @contextmanager
    def stdio(self, *, captured: bool = True) -> Iterator[Stdio]:
        """Make the process's three descriptors, for the time in which it is made.

        What is not `captured`, and a stdin that clients cannot write to, is /dev/null. A terminal is the driver's to
        make.
        """
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        ends = [null, null, null]
        try:
            if not self._terminal:
                if self._input is not None:
                    ends[0], writer = os.pipe2(os.O_CLOEXEC)
                    self._input.open(writer)
                if captured:
                    for index, stream in ((1, "stdout"), (2, "stderr")):
                        reader, ends[index] = os.pipe2(os.O_CLOEXEC)
                        self._watch(stream, reader)
            yield Stdio(*ends)
        finally:
            for descriptor in {null, *ends}:
                os.close(descriptor)

    def use_terminal(self, controlling: int) -> None:
        """Take the controlling end of the process's terminal."""
        self._controlling = controlling
        if self._input is not None:
            self._input.open(os.dup(controlling))
        self._watch("stdout", controlling)

    def attach(self, descriptor: int, message: Message, leftover: bytes) -> None:
        """Connect a client; `message` has `streams`, `framed` and `detach`, `leftover` is input that came already."""
        streams = frozenset(message["streams"])
        takes_input = "stdin" in streams and self._input is not None
        client = Client(
            self._loop,
            descriptor,
            streams=streams,
            framed=message["framed"],
            target=self._input if takes_input else None,
            detach=detach_sequence(message["detach"]) if self._terminal else b"",
            on_input_end=self._end_input if takes_input and self._stdin_once else lambda: None,
            on_change=self.throttle,
            on_close=self._clients.remove,
            on_detach=self._on_detach,
        )
        self._clients.append(client)
        if leftover:
            client.feed(leftover)

    def resize(self, height: int, width: int) -> None:
        """Set the size of the terminal, in characters. Harmless without one."""
        if self._controlling is not None and self._outputs and not self._outputs[0].closed:
            fcntl.ioctl(self._controlling, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def throttle(self) -> None:
        """Let the process wait while a client, or its log, cannot take more."""
        full = any(client.full for client in self._clients) or (self._log is not None and self._log.full)
        for output in self._outputs:
            output.pause(full)

    @property
    def drained(self) -> bool:
        """Whether everything that the process wrote has been read."""
        return all(output.closed for output in self._outputs)

    @property
    def idle(self) -> bool:
        """Whether every client has got everything and is gone."""
        return not self._clients

    def drain_now(self) -> None:
        """Read what is there; the process has ended, and others may keep its streams open."""
        for output in self._outputs:
            while not output.closed and output.read():
                pass

    def end(self) -> None:
        """Close the streams, and the clients' connections once they have got everything."""
        if self._input is not None:
            self._input.close()
        for output in self._outputs:
            output.close()
        for client in tuple(self._clients):
            client.end()

    def release_clients(self) -> None:
        """Let the clients go once they have got everything; what is still written is read and dropped."""
        if self._input is not None:
            self._input.close()
        for client in tuple(self._clients):
            client.end()

    def _watch(self, stream: str, reader: int) -> None:
        def take(data: bytes) -> None:
            if self._log is not None:
                self._log.write(stream, data)
            for client in tuple(self._clients):
                client.write(stream, data)

        self._outputs.append(Output(self._loop, reader, take, self._ended))

    def _ended(self) -> None:
        if self.drained:
            self._on_drained()

    def _end_input(self) -> None:
        # A terminal has no end of input but the key for it, which the client sends as a byte.
        if self._input is not None and not self._terminal:
            self._input.end()

    def _resume_clients(self) -> None:
        for client in tuple(self._clients):
            client.resume()
