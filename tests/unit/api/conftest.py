"""A server of the API on a unix socket, over an engine whose jobs say what the test wants."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from testbed.description import check_answer
from transom.config import Config
from transom.errors import NotFound
from transom.events import Events
from transom.job import Job
from transom_api.server import serve


class FakeEngine:
    """An engine whose jobs have scripted results: a value, an error to raise, or a function of (job, **parameters)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stopping = threading.Event()
        self.pool = ThreadPoolExecutor(32)
        self.events = Events()
        self.results: dict[str, Any] = {}
        self.jobs: list[Job] = []
        self.listed: list[Any] = []
        self.containers = SimpleNamespace(list=lambda: self.listed, link_names=dict, linked=lambda _container: {})
        self.catalog = SimpleNamespace(gather=lambda _hook: ())
        self.supervisor = SimpleNamespace(execs=SimpleNamespace(of=lambda _id: ()))

    def job(
        self,
        name: str,
        /,
        *,
        input: IO[bytes] | None = None,
        report: Callable[[Any], None] = lambda _: None,
        **parameters: Any,
    ) -> Job:
        if name not in self.results:
            raise NotFound(f"no plugin gives the job {name!r}")
        job = Job(self, name, parameters, input, report)  # type: ignore[arg-type]
        self.jobs.append(job)
        return job

    def call(self, job: Job) -> Any:
        result = self.results[job.name]
        if isinstance(result, BaseException):
            raise result
        return result(job, **job.parameters) if callable(result) else result

    def submit(self, work: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        return self.pool.submit(work, *arguments)


class Answer:
    """What a server answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Client:
    """Speaks HTTP to a unix socket, each request on a connection of its own unless it is asked to keep one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self.path))
        return connection

    def open(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("transom")
        connection.sock = self.connect()
        return connection

    def request(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = self.open()
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            kind = {"Content-Type": "application/json"} if content is not None else {}
            connection.request(method, target, content, {**kind, **(headers or {})})
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        kind_of_answer = answer.headers.get("Content-Type", "")
        assert check_answer(method, target, answer.status, kind_of_answer, answer.body) == []
        return answer

    def get(self, target: str) -> Answer:
        return self.request("GET", target)

    def post(self, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return self.request("POST", target, body, headers)

    def delete(self, target: str) -> Answer:
        return self.request("DELETE", target)


def run_server(engine: FakeEngine) -> threading.Thread:
    """Serve an engine in a thread and return when its sockets are there."""
    thread = threading.Thread(target=serve, args=(engine,))
    thread.start()
    paths = [Path(host.removeprefix("unix://")) for host in engine.config.hosts]
    while thread.is_alive() and not all(path.exists() for path in paths):
        time.sleep(0.005)
    return thread


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    """An engine that nobody serves yet."""
    made = FakeEngine(Config(data_root=tmp_path / "data", hosts=(f"unix://{tmp_path}/s",)))
    yield made
    made.stopping.set()
    made.pool.shutdown()


@pytest.fixture
def connect(engine: FakeEngine, tmp_path: Path) -> Iterator[Callable[[], Client]]:
    """A function that serves `engine` as it is then, and returns a client."""
    threads: list[threading.Thread] = []

    def start() -> Client:
        threads.append(run_server(engine))
        return Client(tmp_path / "s")

    yield start
    engine.stopping.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def api(connect: Callable[[], Client]) -> Client:
    """A client of a server of `engine`."""
    return connect()
