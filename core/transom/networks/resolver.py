"""The resolver of a container: it answers the names of the containers on its networks, and asks others for the rest.

It listens on sockets in the container's namespace, where /etc/resolv.conf names 127.0.0.11; what it asks, it asks from
the machine's. Names are those of RFC 1035 without case; answers are for ten minutes, as Docker's are.
"""

from __future__ import annotations

import ipaddress
import random
import select
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSHeader, DNSRecord

from transom.runtime.streams import Loop

__all__ = ["Names", "Resolver"]

_TTL = 600
_LONGEST = 65535
#: Seconds that a server has for an answer before the next one is asked, and a client for its question.
_PATIENCE = 2.0
#: Questions of one container that may be under way.
_MOST_QUESTIONS = 256
_MOST_CLIENTS = 64


@dataclass
class _Place:
    """A container's place on a network: its names there, its addresses, and names that it alone knows others by."""

    network_name: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)


class Names:
    """Who is on which network under which names, of all containers."""

    def __init__(self) -> None:
        #: By container, by network.
        self._places: dict[str, dict[str, _Place]] = {}
        #: By network, by name in lower case: the containers that have it.
        self._owners: dict[str, dict[str, list[str]]] = {}

    def place(
        self,
        container: str,
        network: str,
        network_name: str,
        names: Iterable[str],
        addresses: Iterable[str],
        links: Mapping[str, str],
    ) -> None:
        """Record a place, in the stead of what was known of it."""
        self.leave(container, network)
        place = _Place(network_name, tuple(names), tuple(addresses), {key.lower(): links[key] for key in links})
        self._places.setdefault(container, {})[network] = place
        for name in place.names:
            self._owners.setdefault(network, {}).setdefault(name.lower(), []).append(container)

    def leave(self, container: str, network: str) -> None:
        """Forget a place. Harmless if there is none."""
        places = self._places.get(container, {})
        place = places.pop(network, None)
        if place is None:
            return
        owners = self._owners[network]
        for name in {name.lower() for name in place.names}:
            owners[name] = [other for other in owners[name] if other != container]
            if not owners[name]:
                del owners[name]
        if not owners:
            del self._owners[network]
        if not places:
            del self._places[container]

    def drop(self, container: str) -> None:
        """Forget a container."""
        for network in tuple(self._places.get(container, {})):
            self.leave(container, network)

    def containers(self) -> list[str]:
        """Return the containers that have a place."""
        return list(self._places)

    def find(self, container: str, name: str) -> list[str] | None:
        """Return the addresses that a container knows by a name, None if it knows nobody by it.

        A name may be qualified by the network's: `web.app`.
        """
        wanted = name.lower().rstrip(".")
        found: list[str] = []
        known = False
        for network, place in self._places.get(container, {}).items():
            owners = self._owners.get(network, {})
            bare = wanted.removesuffix(f".{place.network_name.lower()}")
            for candidate in dict.fromkeys((place.links.get(wanted, wanted).lower(), wanted, bare)):
                for owner in owners.get(candidate, ()):
                    known = True
                    found += self._places[owner][network].addresses
        return list(dict.fromkeys(found)) if known else None

    def name_of(self, container: str, address: str) -> str | None:
        """Return the name of an address on a network of a container, None if nobody has it there."""
        for network, place in self._places.get(container, {}).items():
            for owners in self._owners.get(network, {}).values():
                for owner in owners:
                    other = self._places[owner][network]
                    if address in other.addresses:
                        return f"{other.names[0]}.{place.network_name}"
        return None


class Resolver:
    """One container's resolver: its UDP and TCP socket, and the servers that it asks for what it does not know."""

    def __init__(
        self, loop: Loop, names: Names, container: str, udp: socket.socket, tcp: socket.socket, servers: list[str]
    ) -> None:
        self._loop = loop
        self._names = names
        self._container = container
        self._udp = udp
        self._tcp = tcp
        self._servers = servers
        self._questions: set[_Question] = set()
        self._clients: set[_StreamClient] = set()
        for listener, callback in ((udp, self._datagram), (tcp, self._accept)):
            listener.setblocking(False)
            loop.add(listener.fileno(), select.EPOLLIN, callback)

    def close(self) -> None:
        """Stop."""
        for question in tuple(self._questions):
            question.close()
        for client in tuple(self._clients):
            client.close()
        for listener in (self._udp, self._tcp):
            self._loop.remove(listener.fileno())
            listener.close()

    def deadline(self) -> float | None:
        """Return the seconds until something has taken too long, None if nothing is under way."""
        moments = [*(item.until for item in self._questions), *(item.until for item in self._clients)]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def expire(self) -> None:
        """Go on with what has taken too long."""
        now = time.monotonic()
        for question in [item for item in self._questions if item.until <= now]:
            question.next_server()
        for client in [item for item in self._clients if item.until <= now]:
            client.close()

    def answer(self, data: bytes, reply: Callable[[bytes], None], *, stream: bool) -> None:
        """Answer a question, at once or when somebody who was asked has."""
        try:
            record = DNSRecord.parse(data)
            if record.header.qr or not record.questions:
                return
        except Exception:  # noqa: BLE001 whatever a container sends that is no question gets no answer
            return
        own = self._own(record)
        if own is not None:
            reply(own.pack())
        elif not self._servers or len(self._questions) >= _MOST_QUESTIONS:
            reply(_failure(record))
        else:
            self._questions.add(_Question(self, self._loop, record, data, reply, self._servers, stream=stream))

    def done(self, question: _Question) -> None:
        """Forget a question."""
        self._questions.discard(question)

    def gone(self, client: _StreamClient) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def _own(self, record: DNSRecord) -> DNSRecord | None:
        """Return the answer to a question about containers, None for one about others."""
        name, kind = str(record.q.qname), record.q.qtype
        answer = record.reply(ra=1, aa=0)
        if kind == QTYPE.PTR:
            found = self._reverse(name)
            if found is None:
                return None
            answer.add_answer(RR(record.q.qname, QTYPE.PTR, ttl=_TTL, rdata=PTR(found)))
            return answer
        addresses = self._names.find(self._container, name)
        if addresses is None:
            return None
        random.shuffle(addresses)
        for address in addresses:
            if ":" in address and kind == QTYPE.AAAA:
                answer.add_answer(RR(record.q.qname, QTYPE.AAAA, ttl=_TTL, rdata=AAAA(address)))
            elif ":" not in address and kind == QTYPE.A:
                answer.add_answer(RR(record.q.qname, QTYPE.A, ttl=_TTL, rdata=A(address)))
        return answer

    def _reverse(self, name: str) -> str | None:
        address = _reversed_address(name)
        return self._names.name_of(self._container, address) if address else None

    def _datagram(self, _events: int) -> None:
        try:
            data, client = self._udp.recvfrom(_LONGEST)
        except OSError:
            return
        self.answer(data, lambda answer: self._send(answer, client), stream=False)

    def _send(self, answer: bytes, client: tuple[str, int]) -> None:
        try:
            self._udp.sendto(answer, client)
        except OSError:
            # The client has gone, or does not read: it asks again.
            return

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._tcp.accept()
        except OSError:
            return
        if len(self._clients) >= _MOST_CLIENTS:
            connection.close()
            return
        self._clients.add(_StreamClient(self, self._loop, connection))


class _StreamClient:
    """A client that asks over TCP: each message has its length in front (RFC 1035, 4.2.2)."""

    def __init__(self, resolver: Resolver, loop: Loop, connection: socket.socket) -> None:
        self._resolver = resolver
        self._loop = loop
        self._connection = connection
        self._data = b""
        self._closed = False
        self.until = time.monotonic() + 5 * _PATIENCE
        connection.setblocking(False)
        loop.add(connection.fileno(), select.EPOLLIN, self._ready)

    def close(self) -> None:
        """End the connection."""
        if not self._closed:
            self._closed = True
            self._loop.remove(self._connection.fileno())
            self._connection.close()
            self._resolver.gone(self)

    def _ready(self, _events: int) -> None:
        try:
            data = self._connection.recv(_LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._data += data
        while len(self._data) >= 2 and len(self._data) >= (end := 2 + int.from_bytes(self._data[:2], "big")):
            question, self._data = self._data[2:end], self._data[end:]
            self._resolver.answer(question, self._reply, stream=True)

    def _reply(self, answer: bytes) -> None:
        if not self._closed:
            try:
                # An answer is smaller than a new connection's buffer.
                self._connection.send(len(answer).to_bytes(2, "big") + answer)
            except OSError:
                self.close()


class _Question:
    """A question that is passed on, to one server after the other until one answers."""

    def __init__(
        self,
        resolver: Resolver,
        loop: Loop,
        record: DNSRecord,
        data: bytes,
        reply: Callable[[bytes], None],
        servers: list[str],
        *,
        stream: bool,
    ) -> None:
        self._resolver = resolver
        self._loop = loop
        self._record = record
        self._data = len(data).to_bytes(2, "big") + data if stream else data
        self._reply = reply
        self._servers = list(servers)
        self._stream = stream
        self._connection: socket.socket | None = None
        self._received = b""
        self.until = 0.0
        self.next_server()

    def close(self) -> None:
        """Give the question up."""
        self._disconnect()
        self._resolver.done(self)

    def next_server(self) -> None:
        """Ask the next server; where there is none left, say so."""
        self._disconnect()
        self._received = b""
        while self._servers:
            server = self._servers.pop(0)
            self.until = time.monotonic() + _PATIENCE
            family = socket.AF_INET6 if ":" in server else socket.AF_INET
            kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
            connection = socket.socket(family, kind)
            connection.setblocking(False)
            try:
                connection.connect_ex((server, 53))
                if not self._stream:
                    connection.send(self._data)
            except OSError:
                connection.close()
                continue
            self._connection = connection
            self._loop.add(connection.fileno(), select.EPOLLOUT if self._stream else select.EPOLLIN, self._ready)
            return
        self._reply(_failure(self._record))
        self.close()

    def _ready(self, events: int) -> None:
        assert self._connection is not None
        try:
            if self._stream and events & select.EPOLLOUT:
                self._connection.send(self._data)
                self._loop.change(self._connection.fileno(), select.EPOLLIN)
                return
            data = self._connection.recv(_LONGEST)
        except BlockingIOError:
            return
        except OSError:
            self.next_server()
            return
        if not data:
            self.next_server()
            return
        self._received += data
        if self._stream:
            if len(self._received) < 2 + int.from_bytes(self._received[:2], "big"):
                return
            self._received = self._received[2:]
        # A socket that is connected gets nothing from anybody else; the number tells answers to earlier questions.
        if self._received[:2] != self._record.header.id.to_bytes(2, "big"):
            self._received = b""
            return
        self._reply(self._received)
        self.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._loop.remove(self._connection.fileno())
            self._connection.close()
            self._connection = None


def _failure(record: DNSRecord) -> bytes:
    header = DNSHeader(id=record.header.id, qr=1, ra=1, rd=record.header.rd, rcode=RCODE.SERVFAIL)
    return bytes(DNSRecord(header, questions=record.questions).pack())


def _reversed_address(name: str) -> str:
    """Return the address that a name of the reverse tree is about, empty for another name."""
    labels = name.lower().rstrip(".").split(".")
    try:
        if labels[-2:] == ["in-addr", "arpa"]:
            return str(ipaddress.IPv4Address(".".join(reversed(labels[:-2]))))
        if labels[-2:] == ["ip6", "arpa"]:
            digits = "".join(reversed(labels[:-2]))
            return str(ipaddress.IPv6Address(int(digits, 16))) if len(digits) == 32 else ""
    except ValueError:
        pass
    return ""
