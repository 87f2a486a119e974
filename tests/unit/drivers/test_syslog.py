"""The log driver `syslog`: what arrives at a server of each protocol, in each format."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.log import LogDriver
from transom.errors import InvalidParameter, Unsupported
from transom.logs.options import check_options
from transom.testing.log import BEGIN, SECOND, LogDriverSuite
from transom_syslog.driver import SyslogDriver

HOST = os.uname().nodename


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local times of these tests are UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Syslog(LogDriverSuite):
    driver_class = SyslogDriver


SUITE = Syslog()


class TestSyslog(Syslog):
    options: ClassVar[Mapping[str, str]]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        path = str(tmp_path_factory.mktemp("syslog") / "log")
        cls.options = {"syslog-address": f"unixgram://{path}"}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(path)
            yield


@contextmanager
def datagrams(family: socket.AddressFamily, address: object) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(20)
        yield server


def received(server: socket.socket, count: int) -> list[str]:
    return [server.recv(65536).decode() for _ in range(count)]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("", r"<30>Nov 14 22:13:20 c0ffeec0ffee\[{pid}\]: one\n"),
        ("rfc3164", r"<30>Nov 14 22:13:20 {host} c0ffeec0ffee\[{pid}\]: one\n"),
        ("rfc5424", r"<30>1 2023-11-14T22:13:20Z {host} c0ffeec0ffee {pid} c0ffeec0ffee - one\n"),
        ("rfc5424micro", r"<30>1 2023-11-14T22:13:20.123456Z {host} c0ffeec0ffee {pid} c0ffeec0ffee - one\n"),
    ],
)
def test_messages_have_the_form_that_was_asked_for(tmp_path: Path, form: str, expected: str) -> None:
    with datagrams(socket.AF_INET, ("127.0.0.1", 0)) as server:
        address = f"udp://127.0.0.1:{server.getsockname()[1]}"
        SUITE.write(SUITE.make(tmp_path, syslog_address=address, syslog_format=form), b"one\n")
        (message,) = received(server, 1)
    assert re.fullmatch(expected.format(host=re.escape(HOST), pid=os.getpid()), message)


def test_streams_facilities_and_tags_are_in_the_message(tmp_path: Path) -> None:
    with datagrams(socket.AF_UNIX, str(tmp_path / "log")) as server:
        log = SUITE.make(
            tmp_path, syslog_address=f"unixgram://{tmp_path}/log", syslog_facility="local3", tag="{{.Name}}"
        )
        writer = log.open()
        writer.write("stdout", b"out\n", BEGIN)
        writer.write("stderr", b"err\n", BEGIN + SECOND)
        writer.write("stdout", b"unfinished", BEGIN)
        writer.close()
        messages = received(server, 3)
    pid = os.getpid()
    assert messages[:2] == [
        f"<158>Nov 14 22:13:20 web[{pid}]: out\n",
        f"<155>Nov 14 22:13:21 web[{pid}]: err\n",
    ]
    assert messages[2].endswith(f" web[{pid}]: unfinished\n")


def test_a_long_line_is_several_messages(tmp_path: Path) -> None:
    with datagrams(socket.AF_UNIX, str(tmp_path / "log")) as server:
        SUITE.write(SUITE.make(tmp_path, syslog_address=f"unixgram://{tmp_path}/log"), b"x" * 40_000 + b"\n")
        lengths = [len(message.partition(": ")[2].rstrip("\n")) for message in received(server, 3)]
    assert lengths == [16384, 16384, 40_000 - 2 * 16384]


@pytest.mark.parametrize("protocol", ["unix", "tcp"])
def test_a_stream_has_a_line_per_message_and_is_connected_again(tmp_path: Path, protocol: str) -> None:
    if protocol == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "log"))
        address = f"unix://{tmp_path}/log"
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"tcp://localhost:{listener.getsockname()[1]}"
    with listener:
        listener.listen()
        listener.settimeout(20)
        writer = SUITE.make(tmp_path, syslog_address=address, tag="t").open()
        first, _ = listener.accept()
        writer.write("stdout", b"one\ntwo\n", BEGIN)
        assert re.sub(r"<\d+>.*?: ", "", read_lines(first, 2)) == "one\ntwo\n"
        # The server is restarted: what is written until that is known is lost, as with Docker.
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        first.close()
        listener.setblocking(False)
        second = None
        number = 0
        while second is None:
            number += 1
            writer.write("stdout", b"line %d\n" % number, BEGIN)
            try:
                second, _ = listener.accept()
            except BlockingIOError:
                continue
        second.settimeout(20)
        assert read_lines(second, 1).endswith(f": line {number}\n")
        second.close()
        writer.close()


def read_lines(connection: socket.socket, count: int) -> str:
    data = b""
    while data.count(b"\n") < count:
        piece = connection.recv(4096)
        assert piece, data
        data += piece
    return data.decode()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of localhost, in one file."""
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    # fmt: off
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )
    # fmt: on
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.mark.parametrize(("trust", "form"), [("ca", "rfc5424"), ("skip", "rfc5424"), ("ca", "rfc3164"), ("none", "")])
def test_a_connection_over_tls_is_checked_and_frames_messages(
    tmp_path: Path, certificate: Path, trust: str, form: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    got: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                while data := secured.recv(4096):
                    got.append(data)
        except OSError:
            connection.close()

    options = {"ca": {"syslog_tls_ca_cert": str(certificate)}, "skip": {"syslog_tls_skip_verify": ""}, "none": {}}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        log = SUITE.make(
            tmp_path,
            syslog_address=f"tcp+tls://localhost:{listener.getsockname()[1]}",
            syslog_format=form,
            tag="t",
            **options[trust],
        )
        if trust == "none":
            with pytest.raises(OSError, match="certificate verify failed"):
                log.open()
        else:
            SUITE.write(log, b"one\n")
        server.join(20)
    if trust != "none":
        message = b"".join(got)
        length, _, rest = message.partition(b" ")
        assert (length == str(len(rest)).encode()) is (form == "rfc5424")
        assert message.endswith(b"one\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"syslog-address": "127.0.0.1:514"}, "syslog-address should be in form proto://address, got 127.0.0.1:514"),
        ({"syslog-address": "http://a"}, "syslog-address should be in form proto://address, got http://a"),
        ({"syslog-address": "tcp://"}, "syslog-address should be in form proto://address, got tcp://"),
        ({"syslog-address": "tcp://a:port"}, "invalid syslog-address 'tcp://a:port'"),
        ({"syslog-address": "unix:///no/such/socket"}, "stat /no/such/socket: no such file or directory"),
        ({"syslog-facility": "kitchen"}, "invalid syslog facility"),
        ({"syslog-facility": "24"}, "invalid syslog facility"),
        ({"syslog-format": "rfc1"}, "Invalid syslog format"),
        ({"max-size": "1m"}, "unknown log opt 'max-size' for syslog log driver"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        check_options(SyslogDriver, options)


def test_that_there_is_no_second_copy_of_a_log_may_be_said_and_nothing_else(tmp_path: Path) -> None:
    check_options(SyslogDriver, {"cache-disabled": "true"})
    for options in ({"cache-disabled": "false"}, {"cache-max-size": "1m"}):
        with pytest.raises(Unsupported, match="no second copy of a log is kept here"):
            check_options(SyslogDriver, options)


@pytest.mark.parametrize("facility", ["daemon", "0", "23", "local7"])
def test_facilities_have_names_and_numbers(facility: str) -> None:
    check_options(SyslogDriver, {"syslog-facility": facility})


def test_a_server_that_is_not_there_is_an_error_when_the_log_is_opened(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    log: LogDriver = SUITE.make(tmp_path, syslog_address=f"tcp://127.0.0.1:{port}")
    with pytest.raises(OSError, match="refused"):
        log.open()
