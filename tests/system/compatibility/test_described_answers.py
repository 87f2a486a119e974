"""A running daemon's answers, endpoint by endpoint, are as the Engine API's description has them."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.daemon import Daemon
from testbed.description import DESCRIPTION, Operation, check_answer, described_path, find
from transom_api.routes import ROUTES

pytestmark = pytest.mark.skipif(not DESCRIPTION.exists(), reason=f"{DESCRIPTION} is not there to be compared with")

SERVED = [operation for method, path, _ in ROUTES if (operation := find(method, described_path(path))) is not None]
NAMED = [operation for operation in SERVED if "{" in operation.path]
#: What a request has to bring besides the name, so that the name is what is wrong.
QUERIES = {
    "/containers/{id}/archive": "path=/",
    "/containers/{id}/logs": "stdout=1",
    "/containers/{id}/rename": "name=other",
    "/containers/{id}/resize": "h=5&w=5",
    "/exec/{id}/resize": "h=5&w=5",
    "/images/{name}/tag": "repo=other",
}
#: Endpoints that ask a registry about a name, and those that are for swarms.
ELSEWHERE = {"/distribution/{name}/json", "/images/{name}/push"}


class _Connection(http.client.HTTPConnection):
    """HTTP over a daemon's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@pytest.fixture
def ask(daemon: Daemon) -> Iterator[Any]:
    """Send a request, check the answer against the description, and return its status and body."""
    connection = _Connection(str(daemon.socket))

    def request(method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, target, content, {**kind, **(headers or {})})
        response = connection.getresponse()
        answer = response.read()
        found = check_answer(method, target, response.status, response.headers.get("Content-Type", ""), answer)
        assert found == []
        return response.status, answer

    yield request
    connection.close()


def _name(operation: Operation) -> str:
    return repr(operation)


@pytest.mark.parametrize("operation", [one for one in NAMED if one.path not in ELSEWHERE], ids=_name)
def test_a_name_that_is_not_there_is_not_found(ask: Any, operation: Operation) -> None:
    target = re.sub(r"\{\w+\}", "nosuch", operation.path)
    query = QUERIES.get(operation.path, "")
    body = {"Cmd": ["true"], "Container": "nosuch"} if operation.body() is not None else None
    status, answer = ask(operation.method, f"/v1.50{target}?{query}", body)
    if operation.path.startswith("/volumes/") and operation.method == "PUT":
        assert status == 503
        return
    assert status == 404, answer
    if operation.method != "HEAD":
        assert "nosuch" in json.loads(answer)["message"]


@pytest.fixture
def things(daemon: Daemon) -> Iterator[dict[str, str]]:
    """A running container with a volume and an exec instance, and what paths call them."""
    daemon.docker("run", "-d", "--name", "web", "-l", "k=v", "-v", "data:/data", daemon.busybox, "sleep", "1000")
    daemon.docker("exec", "web", "true")
    exec_id = json.loads(daemon.docker("inspect", "-f", "{{json .ExecIDs}}", "web").stdout)
    yield {
        "container": "web",
        "image": daemon.busybox,
        "volume": "data",
        "network": "none",
        "exec": (exec_id or [""])[0],
    }
    daemon.docker("rm", "-fv", "web")
    daemon.docker("volume", "rm", "data")


def test_everything_that_can_be_read_is_as_described(ask: Any, things: dict[str, str], daemon: Daemon) -> None:
    kinds = {"/containers/": "container", "/images/": "image", "/volumes/": "volume", "/networks/": "network"}
    streams = {
        "/containers/{id}/stats": "stream=0&one-shot=1",
        "/events": "since=1&until=2",
        "/images/get": f"names={things['image']}",
        "/images/search": None,
        "/containers/{id}/attach/ws": None,
        "/distribution/{name}/json": None,
        **QUERIES,
    }
    checked = 0
    for operation in SERVED:
        query = streams.get(operation.path, "")
        kind = next((one for start, one in kinds.items() if operation.path.startswith(start)), None)
        if operation.method != "GET" or query is None or (kind is None and "{" in operation.path):
            continue
        target = re.sub(r"\{\w+\}", things[kind], operation.path) if kind else operation.path
        status, answer = ask("GET", f"/v1.50{target}?{query}")
        assert status == 200, (operation, answer[:300])
        checked += 1
    assert checked > 15
    status, answer = ask("POST", "/v1.50/containers/web/exec", {"Cmd": ["true"]})
    assert (status, ask("GET", f"/v1.50/exec/{json.loads(answer)['Id']}/json")[0]) == (201, 200)
