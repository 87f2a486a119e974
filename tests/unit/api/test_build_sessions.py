"""Sessions of builds: both halves, the daemon's and the command line's, speak to each other."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import threading
import time
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transom.errors import Cancelled, NotFound
from transom_cli.build_session import Answers, opened
from transom_cli.client import Client as CommandLine
from transom_cli.errors import CommandFailed

#: How long anything may take.
_LONG = 20


@pytest.fixture
def asking(engine, connect):
    """Have a job ask things of a session that answers in some way, and return what the job returned.

    The job runs in a thread of its own; what goes wrong on either side is raised.
    """
    path = connect().path

    def run(answers, ask):
        outcome = []
        engine.results["build"] = lambda job, session, **_: outcome.append(ask(session))
        client = CommandLine(f"unix://{path}")
        with (
            opened(client, answers) as session,
            client.exchange("POST", "/build", [], session=session.name) as response,
        ):
            for line in map(json.loads, response.lines()):
                if "error" in line:
                    raise CommandFailed(line["error"])
        return outcome[0]

    return run


def test_a_secret_comes_byte_for_byte(asking):
    secret = bytes(range(256)) * 100
    assert asking(Answers(secrets={"token": lambda: secret}), lambda session: session.secret("token")) == secret


def test_an_empty_secret_is_a_secret_and_one_that_is_not_there_is_none(asking):
    answers = Answers(secrets={"empty": lambda: b""})
    assert asking(answers, lambda session: (session.secret("empty"), session.secret("other"))) == (b"", None)


@pytest.mark.parametrize("kind", ["open_ssh", "context", "output"])
def test_what_the_client_has_not_is_not_found(asking, kind):
    def ask(session):
        with pytest.raises(NotFound, match="other"):
            getattr(session, kind)("other")
        return True

    assert asking(Answers(secrets={"token": lambda: b"x"}), ask)


def test_a_secret_that_is_too_long_is_refused(asking):
    with pytest.raises(CommandFailed, match="too long"):
        asking(Answers(secrets={"token": lambda: bytes(500 * 1024 + 1)}), lambda session: session.secret("token"))


def test_a_directory_comes_as_an_archive_of_any_length(asking):
    def archive():
        for number in range(300):
            yield bytes([number % 256]) * 50_000

    def ask(session):
        with session.context("here") as stream:
            return stream.read(50_001)[-1], len(stream.read())

    assert asking(Answers(contexts={"here": archive}), ask) == (1, 300 * 50_000 - 50_001)


def test_a_directory_that_nobody_reads_to_the_end_holds_nobody_up(asking):
    def archive():
        while True:
            yield bytes(100_000)

    def ask(session):
        with session.context("here") as stream:
            return len(stream.read(10))

    assert asking(Answers(contexts={"here": archive}), ask) == 10


def test_a_directory_that_cannot_be_read_on_ends_the_build_with_the_clients_reason(asking):
    def archive():
        yield bytes(300_000)
        raise CommandFailed("here/file: permission denied")

    def ask(session):
        with session.context("here") as stream, pytest.raises(Cancelled):
            stream.read()
        raise Cancelled("the client is gone")

    with pytest.raises(CommandFailed, match="here/file: permission denied"):
        asking(Answers(contexts={"here": archive}), ask)


def test_results_go_where_the_client_wants_them(asking):
    taken = {}

    def ask(session):
        for name, size in (("0", 10), ("1", 3_000_000)):
            with session.output(name) as stream:
                stream.write(name.encode() * size)

    def take(name):
        return lambda chunks: taken.update({name: b"".join(chunks)})

    asking(Answers(outputs={"0": take("0"), "1": take("1")}), ask)
    assert taken == {"0": b"0" * 10, "1": b"1" * 3_000_000}


def test_an_empty_result_is_one(asking):
    taken = []
    asking(Answers(outputs={"0": lambda chunks: taken.append(b"".join(chunks))}), lambda s: s.output("0").close())
    assert taken == [b""]


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_result_that_fails_half_way_is_no_result(asking, size):
    taken = []

    def ask(session):
        with session.output("0") as stream:
            stream.write(bytes(size))
            raise NotFound("the layer is gone")

    with pytest.raises(CommandFailed):
        asking(Answers(outputs={"0": lambda chunks: taken.append(b"".join(chunks))}), ask)
    assert taken == []


def test_a_result_that_the_client_cannot_write_fails_by_its_reason(asking, monkeypatch):
    class Slow(closing):
        """Gives the daemon time to notice that its reader is gone."""

        def __exit__(self, *error):
            super().__exit__(*error)
            time.sleep(0.3)

    monkeypatch.setattr("transom_cli.build_session.closing", Slow)

    def take(chunks):
        next(chunks)
        raise CommandFailed("cannot write out.tar: no space left on device")

    def ask(session):
        with session.output("0") as stream:
            for _ in range(1000):
                stream.write(bytes(100_000))

    with pytest.raises(CommandFailed, match="no space left on device"):
        asking(Answers(outputs={"0": take}), ask)


def test_an_agent_is_spoken_to_both_ways(asking, tmp_path):
    path = tmp_path / "agent"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def agent():
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data.upper())

    threading.Thread(target=agent, daemon=True).start()

    def ask(session):
        with session.open_ssh("default") as connection:
            connection.settimeout(_LONG)
            connection.sendall(b"keys?")
            first = connection.recv(100)
            connection.sendall(b"sign")
            return first, connection.recv(100)

    with listener:
        assert asking(Answers(agents={"default": str(path)}), ask) == (b"KEYS?", b"SIGN")


def test_an_agent_that_is_not_there_ends_the_build_with_the_reason(asking, tmp_path):
    with pytest.raises(CommandFailed, match="failed to connect to the SSH agent"):
        asking(Answers(agents={"default": str(tmp_path / "none")}), lambda session: session.open_ssh("default"))


def test_many_things_are_asked_for_at_once(asking):
    wanted = {f"s{number}": os.urandom(1000) for number in range(20)}

    def ask(session):
        found = {}
        threads = [
            threading.Thread(target=lambda name=name: found.update({name: session.secret(name)})) for name in wanted
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_LONG)
        return found

    secrets = {name: lambda content=content: content for name, content in wanted.items()}
    assert asking(Answers(secrets=secrets), ask) == wanted


def test_a_directory_that_nobody_reads_yet_holds_no_secret_up(asking):
    """Each stream has a connection of its own."""

    def ask(session):
        with session.context("here") as stream:
            secret = session.secret("token")
            return secret, len(stream.read())

    answers = Answers(secrets={"token": lambda: b"x"}, contexts={"here": lambda: [bytes(9_000_000)]})
    assert asking(answers, ask) == (b"x", 9_000_000)


def test_a_client_that_goes_away_ends_what_waits_for_it(engine, connect):
    api = connect()
    waiting, outcome = threading.Event(), []

    def build(job, session, **_):
        waiting.set()
        try:
            session.secret("token")
        except Cancelled as error:
            outcome.append(str(error))

    engine.results["build"] = build
    name = "n" * 32
    with api.connect() as connection:
        connection.sendall(f"POST /session HTTP/1.1\r\nHost: d\r\nX-Transom-Session: {name}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        done = threading.Thread(target=lambda: api.post(f"/build?session={name}", b""))
        done.start()
        assert waiting.wait(_LONG)
    done.join(_LONG)
    assert outcome == ["the client is gone"]


def test_sessions_of_buildkit_are_refused(api):
    answer = api.post("/session", headers={"Connection": "Upgrade", "Upgrade": "h2c"})
    assert (answer.status, "BuildKit" in answer.message) == (501, True)


@pytest.mark.parametrize("name", ["short", "../../../../../../etc", "x" * 65])
def test_a_session_has_a_name_that_nobody_guesses(api, name):
    assert api.post("/session", headers={"X-Transom-Session": name}).status == 400


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_nobody_answers_what_nobody_asked(api, method):
    assert api.request(method, f"/session/{'n' * 32}/streams/1").status == 404


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=70_000), max_size=8))
def test_whatever_an_archive_is_made_of_it_arrives(asking, pieces):
    def ask(session):
        with session.context("here") as stream:
            return stream.read()

    assert asking(Answers(contexts={"here": lambda: pieces}), ask) == b"".join(pieces)


def test_an_archive_of_a_directory_can_be_read(asking, tmp_path):
    from transom_cli.build_context import pack_directory

    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_bytes(b"content")

    def ask(session):
        with session.context("here") as stream, tarfile.open(fileobj=io.BytesIO(stream.read())) as archive:
            return archive.getnames()

    assert asking(Answers(contexts={"here": lambda: pack_directory(str(tmp_path))}), ask) == ["a", "a/file"]
