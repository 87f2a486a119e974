"""The relay's parts: names of containers, and forwarding in user space, on sockets of this machine's loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from dnslib import QTYPE, RCODE, DNSRecord

from transom.networks.forwarding import DatagramForward, StreamForward
from transom.networks.resolver import Names, Resolver
from transom.runtime.streams import Loop


@pytest.fixture
def names():
    names = Names()
    names.place("one", "n1", "app", ("web", "www"), ("10.9.0.2", "fd00::2"), {})
    names.place("two", "n1", "app", ("db", "www"), ("10.9.0.3",), {"friend": "web"})
    names.place("two", "n2", "other", ("db",), ("10.8.0.3",), {})
    names.place("far", "n3", "far", ("web",), ("10.7.0.9",), {})
    return names


def test_containers_know_those_on_their_networks(names):
    assert names.find("two", "WEB") == ["10.9.0.2", "fd00::2"]
    assert names.find("two", "web.app.") == ["10.9.0.2", "fd00::2"]
    assert names.find("one", "www") == ["10.9.0.2", "fd00::2", "10.9.0.3"]
    assert names.find("one", "db") == ["10.9.0.3"]
    assert names.find("two", "db") == ["10.9.0.3", "10.8.0.3"]
    assert names.find("far", "db") is None
    assert names.find("nobody", "web") is None


def test_a_link_is_known_to_one_container(names):
    assert names.find("two", "friend") == ["10.9.0.2", "fd00::2"]
    assert names.find("one", "friend") is None


def test_addresses_have_names(names):
    assert names.name_of("one", "10.9.0.3") == "db.app"
    assert names.name_of("one", "10.8.0.3") is None


def test_who_leaves_or_is_renamed_is_not_found_any_more(names):
    names.place("one", "n1", "app", ("renamed",), ("10.9.0.2",), {})
    assert (names.find("two", "web"), names.find("two", "renamed")) == (None, ["10.9.0.2"])
    names.leave("two", "n1")
    names.leave("two", "n1")
    assert names.find("one", "db") is None
    names.drop("two")
    assert sorted(names.containers()) == ["far", "one"]


class Served:
    """A loop that runs in a thread until it is stopped."""

    def __init__(self):
        self.loop = Loop()
        self._running = True
        self._thread = threading.Thread(target=self._serve)

    def _serve(self):
        while self._running:
            self.loop.turn(0.05)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._running = False
        self._thread.join()


def bound(kind: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


@pytest.fixture
def resolver(names) -> Iterator[tuple[str, int]]:
    udp, tcp = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
    served = Served()
    made = Resolver(served.loop, names, "two", udp, tcp, [])
    address = udp.getsockname()
    with served:
        yield address
    made.close()


def ask(address, name, kind="A"):
    return DNSRecord.parse(DNSRecord.question(name, kind).send(*address, timeout=5))


def test_questions_are_answered(resolver):
    assert {str(answer.rdata) for answer in ask(resolver, "www").rr} == {"10.9.0.2", "10.9.0.3"}
    assert [str(answer.rdata) for answer in ask(resolver, "web", "AAAA").rr] == ["fd00::2"]
    assert [str(answer.rdata) for answer in ask(resolver, "2.0.9.10.in-addr.arpa", "PTR").rr] == ["web.app."]
    empty = ask(resolver, "db", "AAAA")
    assert (empty.rr, empty.header.rcode) == ([], RCODE.NOERROR)
    assert ask(resolver, "elsewhere.example").header.rcode == RCODE.SERVFAIL
    assert ask(resolver, "web", "MX").rr == []
    assert QTYPE.MX


def test_nonsense_gets_no_answer_and_harms_nobody(resolver):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"\xff" * 7, resolver)
        client.sendto(b"", resolver)
    assert [str(answer.rdata) for answer in ask(resolver, "web").rr] == ["10.9.0.2"]


def test_a_stream_is_led_on_whole_and_both_ends_of_it_are_told():
    target, listener = bound(socket.SOCK_STREAM), bound(socket.SOCK_STREAM)
    served = Served()
    forward = StreamForward(served.loop, listener, target.getsockname())
    payload = bytes(range(256)) * 8192
    with served, socket.create_connection(listener.getsockname(), 5) as client:
        sender = threading.Thread(target=lambda: (client.sendall(payload), client.shutdown(socket.SHUT_WR)))
        sender.start()
        server, _ = target.accept()
        with server:
            received = b"".join(iter(lambda: server.recv(65536), b""))
            server.sendall(received[::-1])
        answer = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join()
    assert (received, answer) == (payload, payload[::-1])
    forward.close()
    target.close()


def test_a_target_that_refuses_ends_the_connection():
    target, listener = bound(socket.SOCK_STREAM), bound(socket.SOCK_STREAM)
    address = target.getsockname()
    target.close()
    served = Served()
    forward = StreamForward(served.loop, listener, address)
    with served, socket.create_connection(listener.getsockname(), 5) as client:
        assert client.recv(1) == b""
    forward.close()


def test_datagrams_are_led_on_and_answers_come_back_to_their_client():
    target, listener = bound(socket.SOCK_DGRAM), bound(socket.SOCK_DGRAM)
    served = Served()
    forward = DatagramForward(served.loop, listener, target.getsockname())
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    with served:
        for number, client in enumerate(clients):
            client.settimeout(5)
            client.sendto(b"%d" % number, listener.getsockname())
        for _ in clients:
            data, sender = target.recvfrom(100)
            target.sendto(b"answer " + data, sender)
        assert [client.recv(100) for client in clients] == [b"answer 0", b"answer 1", b"answer 2"]
    forward.close()
    for item in (target, *clients):
        item.close()
