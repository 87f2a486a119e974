"""The relay: one process of an engine that has the sockets which must outlive the engine.

It holds the sockets of published ports, which reserves them, and forwards what reaches them; and it answers the names
of containers (`transom.networks.resolver`). It is started when the first container needs it, goes on while the daemon
is down, and ends when no daemon is connected and nothing is left to do. It is single-threaded and never waits.

What can be asked on the channel `<exec-root>/relay/control.sock` (`runtime.service`), by `op`:

    forward    container, protocol, target, port   one descriptor, the bound socket
    unforward  container
    resolve    container, servers                  two descriptors: a UDP and a TCP socket in the container's namespace
    place      container, network, network_name, names, addresses, links    a container's names on a network
    leave      container, network                  it is not on the network any more
    drop       container                           forget everything of a container
    look       container                           → {"forwards": true or false, "resolver": true or false}
    state                                          → {"containers": [...]}
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from transom.networks.forwarding import DatagramForward, StreamForward
from transom.networks.resolver import Names, Resolver
from transom.runtime.channel import Channel, Message
from transom.runtime.service import Service
from transom.runtime.streams import Loop
from transom.runtime.syscalls.processes import set_name

__all__ = ["main"]


def main(descriptor: int, control: str) -> None:
    """Be the relay until nobody needs it.

    `descriptor` is the channel to the daemon that started it, `control` the path of the socket for later ones.
    """
    set_name("transom-relay")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    Relay(Path(control), Channel.of_descriptor(descriptor)).run()


class Relay:
    """The state of the process: what each container has in it."""

    def __init__(self, control: Path, channel: Channel) -> None:
        self._control = control
        self._loop = Loop()
        self._forwards: dict[str, list[StreamForward | DatagramForward]] = {}
        self._resolvers: dict[str, Resolver] = {}
        self._names = Names()
        self._service = Service(self._loop, control.parent, control.name, self._handle)
        self._service.connect(channel)

    def run(self) -> None:
        """Serve until no daemon is connected and no container has anything here."""
        while self._service.connected or self._forwards or self._resolvers:
            pending = [moment for resolver in self._resolvers.values() if (moment := resolver.deadline()) is not None]
            self._loop.turn(min(pending, default=None))
            for resolver in self._resolvers.values():
                resolver.expire()
        self._control.unlink(missing_ok=True)

    def _handle(self, message: Message, descriptors: list[int]) -> Message | None:
        answer: Message | None = getattr(self, f"_do_{message['op']}")(message, descriptors)
        return answer

    def _do_forward(self, message: Message, descriptors: list[int]) -> None:
        bound = socket.socket(fileno=descriptors.pop())
        kind = DatagramForward if message["protocol"] == "udp" else StreamForward
        target = (message["target"], message["port"])
        self._forwards.setdefault(message["container"], []).append(kind(self._loop, bound, target))

    def _do_resolve(self, message: Message, descriptors: list[int]) -> None:
        container = message["container"]
        if container in self._resolvers:
            self._resolvers.pop(container).close()
        tcp, udp = socket.socket(fileno=descriptors.pop()), socket.socket(fileno=descriptors.pop())
        self._resolvers[container] = Resolver(self._loop, self._names, container, udp, tcp, message["servers"])

    def _do_place(self, message: Message, _descriptors: list[int]) -> None:
        self._names.place(
            message["container"],
            message["network"],
            message["network_name"],
            message["names"],
            message["addresses"],
            message.get("links", {}),
        )

    def _do_leave(self, message: Message, _descriptors: list[int]) -> None:
        self._names.leave(message["container"], message["network"])

    def _do_unforward(self, message: Message, _descriptors: list[int]) -> None:
        for forward in self._forwards.pop(message["container"], []):
            forward.close()

    def _do_drop(self, message: Message, descriptors: list[int]) -> None:
        container = message["container"]
        self._do_unforward(message, descriptors)
        if container in self._resolvers:
            self._resolvers.pop(container).close()
        self._names.drop(container)

    def _do_state(self, _message: Message, _descriptors: list[int]) -> Message:
        return {"containers": sorted({*self._forwards, *self._resolvers, *self._names.containers()})}

    def _do_look(self, message: Message, _descriptors: list[int]) -> Message:
        container = message["container"]
        return {"forwards": container in self._forwards, "resolver": container in self._resolvers}


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
