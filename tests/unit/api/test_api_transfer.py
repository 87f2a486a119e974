"""Long bodies: what a client sends as a job's input, and what a job writes as an answer."""

from __future__ import annotations

import hashlib
import os
import socket
import threading

import pytest
from aiohttp import web

from transom.errors import Cancelled, CorruptContent, InvalidParameter, NotFound
from transom_api.transfer import body_of, report_progress, send_output


@pytest.fixture
def routes(engine):
    """Three routes of a plugin: a body in, a body out, and a job that reports."""

    async def load(request):
        return await report_progress(request, "load", input=body_of(request), silent="quiet" in request.query)

    async def save(request):
        return await send_output(request, "save", headers={"X-Kind": "tar"})

    found = [web.post("/in", load), web.get("/out", save)]
    engine.catalog.gather = lambda hook: [(route, PLUGIN) for route in found if hook == "transom_routes"]
    return engine


class PLUGIN:
    name = "of this test"


def hear(job, **_):
    """A job that reads its input to the end and tells its digest."""
    job.progress("Loading")
    digest = hashlib.sha256()
    while data := job.input.read(1000):
        digest.update(data)
    job.say(f"read {digest.hexdigest()}\n")
    job.tell(ID=digest.hexdigest())


def test_a_body_reaches_its_job_whole(routes, connect):
    routes.results["load"] = hear
    body = os.urandom(3_000_001)
    digest = hashlib.sha256(body).hexdigest()
    answer = connect().post("/in", body)
    assert answer.body.decode().splitlines() == [
        '{"status":"Loading"}',
        '{"stream":"read ' + digest + '\\n"}',
        '{"aux":{"ID":"' + digest + '"}}',
    ]


def test_a_quiet_job_reports_its_results_and_no_progress(routes, connect):
    routes.results["load"] = hear
    assert b"Loading" not in connect().post("/in?quiet=1", b"x").body


def test_a_job_whose_client_goes_away_cannot_read_on(routes, connect):
    ended = threading.Event()

    def read(job, **_):
        try:
            job.input.read()
        except Cancelled:
            ended.set()
            raise

    routes.results["load"] = read
    with connect().connect() as connection:
        connection.sendall(b"POST /in HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\nhalf")
    assert ended.wait(20)


def test_what_a_job_writes_is_the_answer(routes, connect):
    body = os.urandom(3_000_001)

    def write(_job, output):
        for start in range(0, len(body), 70_000):
            output.write(body[start : start + 70_000])

    routes.results["save"] = write
    answer = connect().get("/out")
    assert (answer.body, answer.headers["Content-Type"], answer.headers["X-Kind"]) == (body, "application/x-tar", "tar")


def test_a_job_that_writes_nothing_has_an_empty_answer(routes, connect):
    routes.results["save"] = lambda _job, output: None
    answer = connect().get("/out")
    assert (answer.status, answer.body) == (200, b"")


def test_a_failure_before_anything_is_sent_is_an_ordinary_error(routes, connect):
    def fail(_job, output):
        output.write(b"a little")
        raise NotFound("No such image: x")

    routes.results["save"] = fail
    answer = connect().get("/out")
    assert (answer.status, answer.message) == (404, "No such image: x")


def test_a_failure_in_the_middle_does_not_look_like_the_end(routes, connect):
    def fail(_job, output):
        output.write(os.urandom(1 << 20))
        raise CorruptContent("the blob is damaged")

    routes.results["save"] = fail
    with connect().connect() as connection:
        connection.sendall(b"GET /out HTTP/1.1\r\nHost: d\r\n\r\n")
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
    assert not received.endswith(b"0\r\n\r\n")


def test_a_job_whose_reader_goes_away_cannot_write_on(routes, connect):
    ended = threading.Event()

    def write(_job, output):
        try:
            while True:
                output.write(bytes(65536))
        except Cancelled:
            ended.set()
            raise

    routes.results["save"] = write
    with connect().connect() as connection:
        connection.sendall(b"GET /out HTTP/1.1\r\nHost: d\r\n\r\n")
        assert connection.recv(10, socket.MSG_WAITALL)
    assert ended.wait(20)


def test_what_is_wrong_with_a_loaded_archive_is_said_in_the_stream(engine, connect):
    engine.results["image_load"] = InvalidParameter("the archive is cut off")
    answer = connect().post("/images/load", b"abc")
    assert (answer.status, answer.body) == (
        200,
        b'{"errorDetail":{"message":"the archive is cut off"},"error":"the archive is cut off"}\r\n',
    )
