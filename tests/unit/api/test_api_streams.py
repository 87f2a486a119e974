"""Answers that come over time, and connections that become raw streams."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import threading
import time
from concurrent.futures import Future

import pytest

from transom.containers.logs import LogStream, Wanted
from transom.containers.model import Container, ContainerConfig, ExecConfig, ExecRecord, HostConfig, WaitResult
from transom.drivers.log import Entry, LogReader
from transom.errors import Conflict, NotFound, RegistryError, StartFailed, Unsupported
from transom.graph.digest import Digest
from transom.system import EventWatch

ID = "c" * 64


def container(**config):
    return Container(
        id=ID,
        name="web",
        created=1,
        image=Digest("sha256:" + "a" * 64),
        config=ContainerConfig("busybox", **config),
        host=HostConfig(),
        graphdriver="overlay",
        execdriver="namespaces",
        network="none",
        log_driver="json-file",
    )


def until(condition):
    """Wait for something that another thread does."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def receive(connection, end):
    """Return what arrives up to and with `end`."""
    data = b""
    while not data.endswith(end):
        piece = connection.recv(1)
        assert piece, data
        data += piece
    return data


def exactly(connection, count):
    """Return the next `count` bytes."""
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece, data
        data += piece
    return data


def echo(job, *, connection, leftover, begin, **_):
    """A job that takes a connection over and sends back what it gets."""
    begin()
    with socket.socket(fileno=os.dup(connection)) as taken:
        taken.sendall(leftover)
        while data := taken.recv(4096):
            taken.sendall(data)


ATTACH = b"POST /v1.50/containers/web/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
UPGRADE_FIELDS = {"Upgrade": "tcp", "Connection": "Upgrade"}
UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"


@pytest.fixture
def attachable(engine):
    engine.results.update(inspect=container(), attach=echo)
    return engine


def test_an_attached_connection_is_upgraded_and_handed_to_the_job(api, attachable):
    with api.connect() as connection:
        connection.sendall(ATTACH + UPGRADE + b"Content-Length: 0\r\n\r\n")
        head = receive(connection, b"\r\n\r\n")
        assert head == (
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        connection.sendall(b"hello")
        assert exactly(connection, 5) == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    parameters = attachable.jobs[-1].parameters
    assert (parameters["stdin"], parameters["stdout"], parameters["stderr"]) == (True, True, False)


def test_without_an_upgrade_the_stream_begins_as_docker_begins_it(api, attachable):
    with api.connect() as connection:
        connection.sendall(ATTACH + b"\r\n")
        head = receive(connection, b"\r\n\r\n")
        assert head == b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"


@pytest.mark.parametrize(
    ("version", "tty", "kind"),
    [(b"1.50", True, b"raw"), (b"1.41", False, b"raw"), (b"1.42", False, b"multiplexed"), (b"1.41", True, b"raw")],
)
def test_the_content_type_tells_whether_output_is_framed(api, engine, version, tty, kind):
    engine.results.update(inspect=container(tty=tty), attach=echo)
    with api.connect() as connection:
        connection.sendall(ATTACH.replace(b"1.50", version) + UPGRADE + b"\r\n")
        assert b"Content-Type: application/vnd.docker.%s-stream\r\n" % kind in receive(connection, b"\r\n\r\n")


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_input_that_comes_right_behind_the_request_is_not_lost(api, attachable, size):
    data = os.urandom(size)
    with api.connect() as connection:
        sender = threading.Thread(target=connection.sendall, args=(ATTACH + UPGRADE + b"\r\n" + data,))
        sender.start()
        receive(connection, b"\r\n\r\n")
        assert exactly(connection, size) == data
        sender.join()


def test_input_that_looks_like_a_request_is_input(api, attachable):
    data = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    with api.connect() as connection:
        connection.sendall(ATTACH + b"\r\n" + data)
        receive(connection, b"\r\n\r\n")
        assert exactly(connection, len(data)) == data


def test_a_request_that_comes_byte_by_byte_is_understood(api, attachable):
    with api.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for byte in ATTACH + UPGRADE + b"\r\n" + b"input":
            connection.sendall(bytes((byte,)))
        receive(connection, b"\r\n\r\n")
        assert exactly(connection, 5) == b"input"


def test_a_container_that_does_not_exist_is_an_error_and_the_connection_goes_on(api, engine):
    engine.results.update(inspect=NotFound("No such container: web"))
    connection = api.open()
    for _ in range(2):
        connection.request("POST", "/containers/web/attach?stream=1", headers=UPGRADE_FIELDS)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (404, {"message": "No such container: web"})
    connection.request("GET", "/_ping")
    assert connection.getresponse().read() == b"OK"
    connection.close()


def test_a_request_that_was_sent_behind_a_refused_attach_is_answered_too(api, engine):
    engine.results.update(inspect=NotFound("No such container: web"))
    with api.connect() as connection:
        connection.sendall(ATTACH + b"\r\n" + b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"\r\n\r\nOK")


def test_keys_that_there_are_not_are_refused_before_the_stream_begins(api, attachable):
    answer = api.post("/containers/web/attach?stream=1&detachKeys=ctrl-_,ctrl-1")
    assert answer.status == 400
    assert "detach keys" in answer.message


def test_an_attach_in_a_chunked_request_is_refused(api, attachable):
    answer = api.post("/containers/web/attach?stream=1", b"", {"Transfer-Encoding": "chunked"})
    assert (answer.status, answer.message) == (
        400,
        "the connection cannot become a stream: send the request alone, with a Content-Length for its body",
    )


def test_an_error_after_the_stream_has_begun_is_written_to_it(api, engine):
    def fail(job, *, begin, **_):
        begin()
        raise StartFailed('exec: "nope": executable file not found in $PATH', 127)

    engine.results.update(exec_inspect=ExecRecord("e", ID, ExecConfig(("nope",))), exec_start=fail)
    with api.connect() as connection:
        connection.sendall(
            b"POST /exec/e/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
            b'{"Detach":false}'
        )
        receive(connection, b"\r\n\r\n")
        stream, length = struct.unpack(">BxxxL", exactly(connection, 8))
        assert (stream, exactly(connection, length)) == (1, b'exec: "nope": executable file not found in $PATH\r\n')
        assert connection.recv(1) == b""


def test_an_error_before_the_stream_has_begun_is_an_ordinary_answer(api, attachable):
    attachable.results["attach"] = Conflict("container web is paused, unpause the container before attach")
    answer = api.post("/containers/web/attach?stream=1&stdout=1")
    assert (answer.status, answer.message) == (409, "container web is paused, unpause the container before attach")
    assert answer.headers["Api-Version"] == "1.50"


def test_the_head_of_a_stream_comes_alone_even_if_all_is_over_at_once(api, engine):
    def fail(job, *, begin, **_):
        begin()
        raise StartFailed("no", 127)

    engine.results.update(exec_inspect=ExecRecord("e", ID, ExecConfig(("nope",))), exec_start=fail)
    with api.connect() as connection:
        connection.sendall(b"POST /exec/e/start HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}")
        until(lambda: len(connection.recv(1, socket.MSG_PEEK)) == 1)
        time.sleep(0.02)  # what would come with the head has come by now
        assert connection.recv(65536).endswith(b"\r\n\r\n")
        assert connection.recv(65536).endswith(b"no\r\n")


def test_a_detached_exec_is_answered_when_it_runs(api, engine):
    engine.results.update(exec_inspect=ExecRecord("e", ID, ExecConfig(("true",))), exec_start=None)
    assert api.post("/exec/e/start", {"Detach": True}).status == 200
    assert engine.jobs[-1].parameters == {"exec": "e", "detach": True, "console_size": (0, 0)}
    engine.results["exec_start"] = Conflict("Error: Exec command e has already run")
    assert api.post("/exec/e/start", {"Detach": True}).status == 409


def test_an_exec_with_a_terminal_gets_its_size(api, engine):
    engine.results.update(exec_inspect=ExecRecord("e", ID, ExecConfig(("sh",), tty=True)), exec_start=echo)
    body = b'{"Tty":true,"ConsoleSize":[24,80]}'
    with api.connect() as connection:
        connection.sendall(
            b"POST /exec/e/start HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n%binput" % (len(body), body)
        )
        receive(connection, b"\r\n\r\n")
        assert exactly(connection, 5) == b"input"
    parameters = engine.jobs[-1].parameters
    assert (parameters["console_size"], parameters["framed"]) == ((24, 80), False)


# Wait


def test_a_wait_sends_its_head_before_it_waits(api, engine):
    future: Future[WaitResult] = Future()
    engine.results["wait"] = future
    connection = api.open()
    connection.request("POST", "/containers/web/wait?condition=next-exit")
    response = connection.getresponse()
    assert response.status == 200
    future.set_result(WaitResult(7))
    assert json.loads(response.read()) == {"StatusCode": 7}
    connection.close()


def test_a_wait_tells_why_it_could_not_be_known(api, engine):
    future: Future[WaitResult] = Future()
    future.set_result(WaitResult(128, "the shim was killed"))
    engine.results["wait"] = future
    assert api.post("/containers/web/wait").json == {"StatusCode": 128, "Error": {"Message": "the shim was killed"}}


def test_a_wait_whose_client_goes_away_is_given_up(api, engine):
    future: Future[WaitResult] = Future()
    engine.results["wait"] = future
    connection = api.open()
    connection.request("POST", "/containers/web/wait")
    connection.getresponse().close()
    connection.close()
    until(future.cancelled)


# Logs


class Pieces(LogReader):
    """A log whose pieces a test chooses: each is there when the one before has been read."""

    def __init__(self, *pieces, error=None):
        self.pieces, self.error = list(pieces), error
        self.closed = threading.Event()

    def read(self):
        if self.pieces:
            yield from self.pieces.pop(0)
        elif self.error is not None:
            raise self.error

    def close(self):
        self.closed.set()


class Wakers:
    """Followers that the test wakes."""

    def __init__(self):
        self.wakers = []

    def add(self, container, directories, wake):
        self.wakers.append(wake)
        return wake

    def remove(self, wake):
        self.wakers.remove(wake)


TIME = 1_700_000_000_123_456_789


def log(reader, wakers=None, goes_on=None, streams=("stdout", "stderr"), until=None):
    """Return the job `logs` of a reader."""
    return lambda job, **_: LogStream(ID, reader, Wanted(frozenset(streams), None, until), wakers or Wakers(), goes_on)


def entries(*lines):
    return log(Pieces([Entry(TIME, stream, line) for stream, line in lines]))


def test_a_log_is_framed_by_stream(api, engine):
    engine.results.update(inspect=container(), logs=entries(("stdout", b"out\n"), ("stderr", b"err\n")))
    answer = api.get("/containers/web/logs?stdout=1&stderr=1&tail=5&since=1.5")
    assert answer.body == b"\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n"
    assert answer.headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
    assert engine.jobs[-1].parameters == {
        "container": ID,
        "stdout": True,
        "stderr": True,
        "since": 1_500_000_000,
        "until": None,
        "tail": 5,
        "follow": False,
    }


def test_the_log_of_a_terminal_is_raw_and_times_stand_before_lines(api, engine):
    engine.results.update(inspect=container(tty=True), logs=entries(("stdout", b"a\n"), ("stdout", b"b\n")))
    answer = api.get("/containers/web/logs?stdout=1&timestamps=1")
    time = b"2023-11-14T22:13:20.123456789Z "
    assert answer.body == time + b"a\n" + time + b"b\n"
    assert answer.headers["Content-Type"] == "application/vnd.docker.raw-stream"


def test_a_long_log_arrives_whole(api, engine):
    lines = [b"%d\n" % number for number in range(20_000)]
    engine.results.update(inspect=container(tty=True), logs=entries(*(("stdout", line) for line in lines)))
    assert api.get("/containers/web/logs?stdout=1").body == b"".join(lines)


def test_attributes_stand_before_lines_when_details_are_wanted(api, engine):
    attributes = {"tier": "a b", "équipe": "x=y,z"}
    reader = Pieces([Entry(TIME, "stdout", b"one\n", attributes), Entry(TIME, "stdout", b"two\n")])
    engine.results.update(inspect=container(tty=True), logs=log(reader))
    answer = api.get("/containers/web/logs?stdout=1&details=1&timestamps=1")
    time = b"2023-11-14T22:13:20.123456789Z "
    assert answer.body == time + b"tier=a+b,%C3%A9quipe=x%3Dy%2Cz one\n" + time + b" two\n"
    assert reader.closed.wait(10)


def test_a_followed_log_arrives_as_it_is_written_and_ends_with_the_container(api, engine):
    wakers, running = Wakers(), threading.Event()
    running.set()
    reader = Pieces([Entry(1, "stdout", b"first\n")])
    engine.results.update(inspect=container(tty=True), logs=log(reader, wakers, running.is_set))
    connection = api.open()
    connection.request("GET", "/containers/web/logs?stdout=1&follow=1")
    answer = connection.getresponse()
    assert answer.readline() == b"first\n"
    reader.pieces.append([Entry(2, "stdout", b"second\n")])
    wakers.wakers[0]()
    assert answer.readline() == b"second\n"
    running.clear()
    reader.pieces.append([Entry(3, "stdout", b"last\n")])
    wakers.wakers[0]()
    assert answer.read() == b"last\n"
    assert reader.closed.wait(10)
    assert wakers.wakers == []


def test_who_follows_a_log_and_goes_away_is_let_go(api, engine):
    wakers = Wakers()
    reader = Pieces([Entry(1, "stdout", b"first\n")])
    engine.results.update(inspect=container(tty=True), logs=log(reader, wakers, lambda: True))
    connection = api.open()
    connection.request("GET", "/containers/web/logs?stdout=1&follow=1")
    assert connection.getresponse().readline() == b"first\n"
    connection.close()
    connection.sock = None
    assert reader.closed.wait(10)
    assert wakers.wakers == []


def test_more_follow_than_there_are_threads(api, engine):
    wakers, running = Wakers(), threading.Event()
    running.set()
    count = 100  # the pool of these tests has 32 threads
    engine.results.update(
        inspect=container(tty=True),
        logs=lambda job, **_: log(Pieces([Entry(1, "stdout", b"first\n")]), wakers, running.is_set)(job),
    )
    connections = [api.open() for _ in range(count)]
    for connection in connections:
        connection.request("GET", "/containers/web/logs?stdout=1&follow=1")
    answers = [connection.getresponse() for connection in connections]
    assert all(answer.readline() == b"first\n" for answer in answers)
    running.clear()
    for wake in tuple(wakers.wakers):
        wake()
    assert all(answer.read() == b"" for answer in answers)


def test_a_followed_log_ends_at_the_time_that_was_asked_for(api, engine):
    reader = Pieces([Entry(1, "stdout", b"first\n")])
    engine.results.update(
        inspect=container(tty=True), logs=log(reader, Wakers(), lambda: True, until=time.time_ns() + 20_000_000)
    )
    assert api.get("/containers/web/logs?stdout=1&follow=1").body == b"first\n"


def test_a_log_that_cannot_be_read_says_so(api, engine):
    engine.results.update(inspect=container(), logs=Unsupported("configured logging driver does not support reading"))
    answer = api.get("/containers/web/logs?stdout=1")
    assert (answer.status, answer.json) == (501, {"message": "configured logging driver does not support reading"})


def test_a_log_that_breaks_in_the_middle_does_not_look_whole(api, engine):
    reader = Pieces([Entry(1, "stdout", b"first\n")], error=OSError("input/output error"))
    engine.results.update(inspect=container(tty=True), logs=log(reader, goes_on=lambda: True))
    with api.connect() as connection:
        connection.sendall(b"GET /containers/web/logs?stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        answer = b""
        try:
            while piece := connection.recv(4096):
                answer += piece
        except ConnectionResetError:
            pass
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert not answer.endswith(b"\r\n0\r\n\r\n")
    assert b"Error grabbing logs: the reader of logs" in answer
    assert b"Pieces failed in read: OSError: input/output error\n" in answer


# Pull


def lines(answer):
    return [json.loads(line) for line in answer.body.split(b"\r\n") if line]


def test_a_pull_reports_its_progress_in_the_form_that_clients_draw(api, engine):
    def pull(job, **_):
        job.progress("Pulling from library/busybox", "latest")
        job.progress("Pulling fs layer", "abc")
        job.progress("Downloading", "abc", current=500, total=1000)
        job.progress("Pull complete", "abc")
        job.progress("Status: Downloaded newer image for busybox:latest")

    engine.results["pull"] = pull
    answer = api.post("/images/create?fromImage=busybox&tag=latest&platform=linux/arm64")
    assert answer.status == 200
    assert lines(answer) == [
        {"status": "Pulling from library/busybox", "id": "latest"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "abc"},
        {
            "status": "Downloading",
            "progressDetail": {"current": 500, "total": 1000},
            "progress": f"[{'=' * 25}>{' ' * 25}]     500B/1kB",
            "id": "abc",
        },
        {"status": "Pull complete", "progressDetail": {}, "id": "abc"},
        {"status": "Status: Downloaded newer image for busybox:latest"},
    ]
    parameters = dict(engine.jobs[0].parameters)
    assert parameters == {
        "reference": "busybox",
        "tag": "latest",
        "platform": "linux/arm64",
        "credentials": None,
        "all_tags": False,
    }


@pytest.mark.parametrize(
    ("query", "all_tags"),
    [
        ("fromImage=busybox", True),
        ("fromImage=busybox:1", False),
        ("fromImage=busybox&tag=1", False),
        ("fromImage=busybox@sha256:" + "a" * 64, False),
    ],
)
def test_a_repository_without_tag_means_all_its_tags(api, engine, query, all_tags):
    engine.results["pull"] = None
    assert api.post(f"/images/create?{query}").status == 200
    assert engine.jobs[0].parameters["all_tags"] is all_tags


def test_a_pull_that_fails_at_once_has_the_status_of_its_error(api, engine):
    engine.results["pull"] = NotFound("pull access denied for nope")
    answer = api.post("/images/create?fromImage=nope&tag=latest")
    assert (answer.status, answer.message) == (404, "pull access denied for nope")


def test_a_pull_that_fails_later_says_so_in_the_stream(api, engine):
    def pull(job, **_):
        job.progress("Pulling fs layer", "abc")
        time.sleep(0.05)
        raise RegistryError("the registry is gone")

    engine.results["pull"] = pull
    answer = api.post("/images/create?fromImage=busybox&tag=latest")
    assert answer.status == 200
    assert lines(answer)[-1] == {
        "errorDetail": {"message": "the registry is gone"},
        "error": "the registry is gone",
    }


def test_a_pull_whose_client_goes_away_is_cancelled(api, engine):
    def pull(job, **_):
        job.progress("Pulling fs layer", "abc")
        while not job.cancelled:
            time.sleep(0.005)

    engine.results["pull"] = pull
    connection = api.open()
    connection.request("POST", "/images/create?fromImage=busybox&tag=latest")
    connection.getresponse().readline()
    connection.close()
    connection.sock = None
    until(lambda: engine.jobs[0].cancelled)


@pytest.mark.parametrize("query", ["", "fromImage=UPPER"])
def test_a_pull_of_what_cannot_be_pulled_is_refused(api, engine, query):
    engine.results["pull"] = None
    assert api.post(f"/images/create?{query}").status in (400, 501)
    assert engine.jobs == []


def test_credentials_are_read_from_the_header_and_never_shown(api, engine):
    engine.results["pull"] = None
    header = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "secret?>"}).encode()).decode()
    api.post("/images/create?fromImage=busybox&tag=1", headers={"X-Registry-Auth": header})
    credentials = engine.jobs[0].parameters["credentials"]
    assert (credentials.username, credentials.password) == ("me", "secret?>")
    answer = api.post("/images/create?fromImage=busybox&tag=1", headers={"X-Registry-Auth": "c2VjcmV0"})
    assert answer.status == 400
    assert "c2VjcmV0" not in answer.message
    assert "secret" not in answer.message


# Events


def watch(engine):
    def events(job, *, since, until, filters, listener):
        past, subscription = engine.events.subscribe(listener, since)
        return EventWatch(tuple(past), subscription)

    return events


def test_events_of_the_past_come_first_and_then_those_that_happen(api, engine):
    engine.results["events"] = watch(engine)
    engine.events.record("container", "create", ID, {"image": "busybox", "name": "web"})
    connection = api.open()
    connection.request("GET", "/events?since=1")
    response = connection.getresponse()
    first = json.loads(response.readline())
    assert (first["Type"], first["Action"], first["Actor"]["ID"]) == ("container", "create", ID)
    assert (first["status"], first["id"], first["from"], first["scope"]) == ("create", ID, "busybox", "local")
    assert first["timeNano"] // 10**9 == first["time"]
    engine.events.record("volume", "create", "data", {"driver": "local"})
    second = json.loads(response.readline())
    assert (second["Type"], "status" in second, second["Actor"]["Attributes"]) == ("volume", False, {"driver": "local"})
    connection.close()


def test_events_end_at_the_time_that_was_asked_for(api, engine):
    engine.results["events"] = watch(engine)
    assert api.get("/events?until=1").body == b""
    until(lambda: engine.events.listeners == 0)


def test_a_watcher_that_goes_away_listens_no_more(api, engine):
    engine.results["events"] = watch(engine)
    connection = api.open()
    connection.request("GET", "/events")
    connection.getresponse()
    until(lambda: engine.events.listeners == 1)
    connection.close()
    connection.sock = None
    until(lambda: engine.events.listeners == 0)


# The end


def test_streams_end_when_the_daemon_stops(api, engine):
    engine.results["events"] = watch(engine)
    connection = api.open()
    connection.request("GET", "/events")
    response = connection.getresponse()
    engine.stopping.set()
    assert response.read() == b""
    connection.close()
