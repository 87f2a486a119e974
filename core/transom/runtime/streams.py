"""The streams of a process in a shim: what it writes goes to its log and its clients, what clients send to its stdin.

Everything is non-blocking. A client that reads slowly fills its buffer; when a buffer is full its process is not read
any more, so that it blocks in turn, as it would on a terminal. Nothing is dropped and memory stays bounded.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable

__all__ = ["DEFAULT_DETACH_KEYS", "Client", "Input", "Loop", "Output", "detach_sequence"]

#: Bytes read at once.
_CHUNK = 64 << 10
#: Bytes that may wait in a buffer before its source is no longer read.
_FULL = 1 << 20

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}
_NAMED_KEYS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def detach_sequence(keys: str) -> bytes:
    """Return the bytes of a sequence of keys such as `ctrl-p,ctrl-q` or `a,b`. Raises `ValueError` for another form."""
    sequence = bytearray()
    for key in (keys or DEFAULT_DETACH_KEYS).split(","):
        if len(key) == 1 and key.isascii():
            sequence.append(ord(key))
        elif key.startswith("ctrl-") and len(key) == 6 and (key[5] in _NAMED_KEYS or "a" <= key[5] <= "z"):
            sequence.append(_NAMED_KEYS[key[5]] if key[5] in _NAMED_KEYS else ord(key[5]) - 96)
        else:
            raise ValueError(f"invalid detach keys {keys!r}: unknown character {key!r}")
    return bytes(sequence)


class Loop:
    """An event loop: callbacks by descriptor, which are called with the events of epoll(7)."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}

    def add(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Begin to watch a descriptor."""
        self._callbacks[descriptor] = callback
        self._epoll.register(descriptor, events)

    def change(self, descriptor: int, events: int) -> None:
        """Watch a descriptor for other events."""
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Stop watching a descriptor, before it is closed."""
        del self._callbacks[descriptor]
        self._epoll.unregister(descriptor)

    def turn(self, timeout: float | None = None) -> None:
        """Wait for events, for some seconds if that is said, and call their callbacks."""
        for descriptor, events in self._epoll.poll(timeout):
            callback = self._callbacks.get(descriptor)
            if callback is not None:
                callback(events)


class Input:
    """A process's stdin, a pipe or a terminal. What is written before `open` waits."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._descriptor: int | None = None
        self._waiting = bytearray()
        self._watched = False
        self._ending = False
        self.closed = False
        #: Called when there is room again, or no reader any more.
        self.on_room: Callable[[], None] = lambda: None

    def open(self, descriptor: int) -> None:
        """Begin to write to a descriptor, which is taken over."""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._flush()

    @property
    def full(self) -> bool:
        """Whether the source should wait."""
        return len(self._waiting) >= _FULL

    def write(self, data: bytes) -> None:
        """Write, now or when there is room."""
        if self.closed or self._ending:
            return
        self._waiting += data
        self._flush()

    def end(self) -> None:
        """Close after everything that waits has been written."""
        self._ending = True
        self._flush()

    def close(self) -> None:
        """Close at once."""
        if self.closed:
            return
        self.closed = True
        self._waiting.clear()
        if self._descriptor is not None:
            self._watch(self._descriptor, False)
            os.close(self._descriptor)

    def _flush(self) -> None:
        if self._descriptor is None or self.closed:
            return
        try:
            while self._waiting:
                del self._waiting[: os.write(self._descriptor, self._waiting[:_CHUNK])]
        except BlockingIOError:
            self._watch(self._descriptor, True)
            return
        except OSError:
            # The process closed its stdin or ended: what was meant for it has no reader any more.
            self.close()
            self.on_room()
            return
        self._watch(self._descriptor, False)
        if self._ending:
            self.close()
        self.on_room()

    def _watch(self, descriptor: int, wanted: bool) -> None:
        if wanted and not self._watched:
            self._loop.add(descriptor, select.EPOLLOUT, lambda _: self._flush())
        elif not wanted and self._watched:
            self._loop.remove(descriptor)
        self._watched = wanted


class Output:
    """The reading end of a process's stdout, stderr or terminal."""

    def __init__(self, loop: Loop, descriptor: int, sink: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        os.set_blocking(descriptor, False)
        self._loop = loop
        self._descriptor = descriptor
        self._sink = sink
        self._on_end = on_end
        self.closed = False
        self._paused = False
        loop.add(descriptor, select.EPOLLIN, self._ready)

    def read(self) -> bool:
        """Read once; return whether there was something."""
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            # EIO: the last process on a terminal's other end is gone (pty(7)).
            data = b""
        if not data:
            self.close()
            self._on_end()
            return False
        self._sink(data)
        return True

    def _ready(self, _events: int) -> None:
        self.read()

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on."""
        if not self.closed and paused != self._paused:
            self._paused = paused
            self._loop.change(self._descriptor, 0 if paused else select.EPOLLIN)

    def close(self) -> None:
        """Stop reading for good."""
        if not self.closed:
            self.closed = True
            self._loop.remove(self._descriptor)
            os.close(self._descriptor)


class Beginning:
    """The first bytes of what a process writes to both its streams, and a mark where there was more."""

    #: What there is no room for is dropped: nobody has to wait.
    full = False

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._content = b""
        self._more = False

    def write(self, stream: str, data: bytes) -> None:  # noqa: ARG002 both streams are one here
        """Keep of a piece what there is room for."""
        room = self.limit - len(self._content)
        self._content += data[:room]
        self._more = self._more or len(data) > room

    def text(self) -> str:
        """Return what was kept; bytes that are no UTF-8 are replaced."""
        return self._content.decode(errors="replace") + ("..." if self._more and self.limit else "")


class Client:
    """A client's connection, attached to a process.

    `streams` are the names of the streams that it wants. With `framed` each piece of output is preceded by Docker's
    header of eight bytes (stream number, three zeros, length). Input goes to `target`, unless it is None; `detach` is
    the sequence of bytes in the input that ends the connection, empty for none.
    """

    def __init__(
        self,
        loop: Loop,
        descriptor: int,
        *,
        streams: frozenset[str],
        framed: bool,
        target: Input | None,
        detach: bytes = b"",
        on_input_end: Callable[[], None] = lambda: None,
        on_change: Callable[[], None] = lambda: None,
        on_close: Callable[[Client], None] = lambda _: None,
        on_detach: Callable[[], None] = lambda: None,
    ) -> None:
        os.set_blocking(descriptor, False)
        self._loop = loop
        self._descriptor = descriptor
        self._streams = streams
        self._framed = framed
        self._target = target
        self._detach = detach
        self._held = b""
        self._on_input_end = on_input_end
        self._on_change = on_change
        self._on_close = on_close
        self._on_detach = on_detach
        self._waiting = bytearray()
        self._was_full = False
        self._detached = False
        self._reading = True
        self._ending = False
        self._events = 0
        self.closed = False
        loop.add(descriptor, 0, self._ready)
        self._watch()

    @property
    def full(self) -> bool:
        """Whether the process should wait for this client."""
        return len(self._waiting) >= _FULL

    def write(self, stream: str, data: bytes) -> None:
        """Send a piece of output, now or when there is room."""
        if self.closed or stream not in self._streams:
            return
        if self._framed:
            self._waiting += bytes((_STREAMS[stream], 0, 0, 0)) + len(data).to_bytes(4, "big")
        self._waiting += data
        self._flush()

    def feed(self, data: bytes) -> None:
        """Take input that came by another way than the connection."""
        self._take(data)

    def end(self) -> None:
        """Close the connection after everything that waits has been sent."""
        self._ending = True
        if not self.closed:
            self._flush()

    def close(self) -> None:
        """Close the connection at once."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove(self._descriptor)
        os.close(self._descriptor)
        self._waiting.clear()
        if self._reading and not self._detached:
            self._reading = False
            self._on_input_end()
        self._on_close(self)
        self._on_change()

    def resume(self) -> None:
        """Look again whether there is room for input."""
        if not self.closed:
            self._watch()

    def _ready(self, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP) and not events & select.EPOLLIN:
            self.close()
            return
        if events & select.EPOLLOUT:
            self._flush()
        if events & select.EPOLLIN and not self.closed:
            self._read()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if data:
            self._take(data)
        else:
            # The client has no more input; it may still read.
            self._reading = False
            self._on_input_end()
        if not self.closed:
            self._watch()

    def _take(self, data: bytes) -> None:
        target = self._target
        if target is None:
            return
        if self._detach:
            data = self._held + data
            position = data.find(self._detach)
            if position >= 0:
                target.write(data[:position])
                self._detached = True
                self.close()
                self._on_detach()
                return
            self._held = self._beginning_of_detach(data)
            data = data[: len(data) - len(self._held)]
        if data:
            target.write(data)

    def _beginning_of_detach(self, data: bytes) -> bytes:
        """Return the end of `data` that may be the beginning of the detach sequence."""
        for length in range(min(len(self._detach) - 1, len(data)), 0, -1):
            if data.endswith(self._detach[:length]):
                return data[len(data) - length :]
        return b""

    def _flush(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._descriptor, self._waiting[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._ending and not self._waiting:
            self.close()
            return
        self._watch()
        if self.full != self._was_full:
            self._was_full = self.full
            self._on_change()

    def _watch(self) -> None:
        events = select.EPOLLOUT if self._waiting else 0
        if self._reading and not (self._target is not None and self._target.full):
            events |= select.EPOLLIN
        if events != self._events:
            self._events = events
            self._loop.change(self._descriptor, events)
