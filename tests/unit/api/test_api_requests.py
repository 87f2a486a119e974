"""What every request goes through: versions, headers, errors."""

from __future__ import annotations

import http.client
import json
from types import SimpleNamespace

import pytest
from aiohttp import web

from transom.errors import Conflict, NotModified


def test_a_ping_is_answered_with_the_version_and_without_a_body_for_head(api):
    answer = api.get("/_ping")
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["Api-Version"] == "1.50"
    assert answer.headers["Ostype"] == "linux"
    assert answer.headers["Docker-Experimental"] == "false"
    assert answer.headers["Builder-Version"] == "1"
    assert answer.headers["Server"].startswith("Transom/")
    head = api.request("HEAD", "/_ping")
    assert (head.status, head.body, head.headers["Api-Version"]) == (200, b"", "1.50")


@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.41", "/v1.50"])
def test_every_supported_version_is_served_with_and_without_prefix(api, engine, prefix):
    engine.results["volume_list"] = ()
    assert api.get(f"{prefix}/volumes").json == {"Volumes": [], "Warnings": None}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.51", "client version 1.51 is too new. Maximum supported API version is 1.50"),
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.50"),
        ("2.0", "client version 2.0 is too new. Maximum supported API version is 1.50"),
        (
            "1.10",
            "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a"
            " newer version",
        ),
    ],
)
def test_a_version_that_is_not_supported_is_refused(api, version, message):
    answer = api.get(f"/v{version}/info")
    assert (answer.status, answer.message) == (400, message)


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PUT", "/info"), ("GET", "/vfoo/info")])
def test_a_path_or_method_that_does_not_exist_is_not_found(api, method, path):
    answer = api.request(method, path)
    assert (answer.status, answer.json) == (404, {"message": "page not found"})
    assert answer.headers["Api-Version"] == "1.50"


def test_an_error_is_answered_with_its_message_and_the_status_of_its_class(api, engine):
    engine.results["remove"] = Conflict("container is running: stop it")
    answer = api.delete("/containers/web")
    assert (answer.status, answer.json) == (409, {"message": "container is running: stop it"})
    assert answer.headers["Content-Type"].startswith("application/json")


def test_what_is_in_the_wanted_state_already_is_not_modified_and_has_no_body(api, engine):
    engine.results["start"] = NotModified("container is already running")
    answer = api.post("/containers/web/start")
    assert (answer.status, answer.body) == (304, b"")


def test_an_error_that_nobody_expected_is_answered_and_logged(api, engine, caplog):
    engine.results["stop"] = ZeroDivisionError("division by zero")
    answer = api.post("/containers/web/stop")
    assert answer.status == 500
    assert answer.message == "internal error in POST /containers/web/stop: ZeroDivisionError: division by zero"
    assert "POST /containers/web/stop failed" in caplog.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "invalid JSON"),
        (b"[]", "invalid JSON: it should be an object, and is a list"),
        (b'{"Name": "a"} {}', "invalid JSON"),
        (b'{"Name": "\xff"}', "invalid JSON"),
        (b"", "missing body: POST /volumes/create needs a JSON object"),
        (b'{"Name": 3}', "invalid value for Name: it should be a string, and is the number 3"),
        (b'{"Labels": ["a"]}', "invalid value for Labels: it should be an object of strings, and is a list"),
        (b'{"Labels": {"a": true}}', "invalid value for Labels.a: it should be a string, and is a boolean"),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_the_reason_and_runs_no_job(api, engine, body, message):
    engine.results["volume_create"] = None
    answer = api.post("/volumes/create", body)
    assert answer.status == 400
    assert answer.message.startswith(message)
    assert engine.jobs == []


def test_a_body_of_another_content_type_is_refused(api):
    answer = api.post("/volumes/create", b"{}", {"Content-Type": "text/plain"})
    assert (answer.status, answer.message) == (
        400,
        "Content-Type specified (text/plain) must be 'application/json'",
    )


def test_a_body_that_is_too_long_is_refused(api):
    answer = api.post("/volumes/create", b" " * (5 << 20))
    assert (answer.status, answer.message) == (400, "the body of POST /volumes/create is too long")


def test_fields_that_nobody_asks_for_are_left_alone(api, engine):
    engine.results["exec_create"] = "e" * 64
    answer = api.post("/containers/web/exec", {"Cmd": ["true"], "SomethingNew": {"a": 1}})
    assert (answer.status, answer.json) == (201, {"Id": "e" * 64})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/containers/json?limit=x", "invalid value 'x' for limit: it should be a whole number"),
        ("/containers/json?filters=x", "invalid filters: they should be JSON"),
        ("/containers/json?filters=[]", "invalid filters: they should be an object of lists of strings"),
        ("/containers/json?filters={%22name%22:3}", "invalid filter 'name': it should be a list of strings"),
        ("/containers/web/logs", "Bad parameters: you must choose at least one stream"),
        ("/containers/web/logs?stdout=1&tail=x", "invalid value 'x' for tail: it should be a whole number"),
        ("/containers/web/logs?stdout=1&since=soon", "invalid value 'soon' for since"),
        ("/events?until=12:30", "invalid value '12:30' for until"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_by_its_name(api, engine, target, message):
    answer = api.get(target)
    assert answer.status == 400
    assert answer.message.startswith(message)
    assert engine.jobs == []


@pytest.mark.parametrize("text", ['{"status":["running","paused"]}', '{"status":{"running":true,"paused":true}}'])
def test_filters_are_understood_in_the_new_and_in_the_old_form(api, engine, text):
    engine.results["container_list"] = ()
    assert api.get(f"/containers/json?filters={text}").json == []
    assert engine.jobs[0].parameters["filters"] == {"status": ("running", "paused")}


@pytest.mark.parametrize(("text", "wanted"), [("1", True), ("true", True), ("0", False), ("False", False), ("", False)])
def test_booleans_are_what_docker_takes_for_them(api, engine, text, wanted):
    engine.results["container_list"] = ()
    api.get(f"/containers/json?all={text}")
    assert engine.jobs[0].parameters["all"] is wanted


def test_one_connection_serves_many_requests(api, engine):
    engine.results["volume_list"] = ()
    connection = api.open()
    for _ in range(3):
        for target in ("/_ping", "/volumes", "/nothing"):
            connection.request("GET", target)
            response = connection.getresponse()
            response.read()
            assert not response.will_close
    connection.close()


def test_a_name_with_slashes_names_an_image(api, engine):
    engine.results["image_history"] = ()
    assert api.get("/v1.50/images/127.0.0.1:5000/team/web:1/history").json == []
    assert engine.jobs[0].parameters["name"] == "127.0.0.1:5000/team/web:1"


def test_routes_of_plugins_are_served_like_the_own_ones(engine, connect):
    async def shout(request: web.Request) -> web.StreamResponse:
        return web.json_response({"threads": request.app["engine"].config.threads})

    engine.catalog = SimpleNamespace(gather=lambda _hook: [(web.get("/shout", shout), SimpleNamespace(name="loud"))])
    assert connect().get("/v1.44/shout").json == {"threads": 256}


@pytest.mark.parametrize(
    "request_text",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /_ping HTTP/9.9\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n",
        b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_as_all_that_is_wrong(api, request_text):
    connection = api.connect()
    connection.sendall(request_text)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    body = json.loads(answer.read())
    assert (answer.status, list(body)) == (400, ["message"])
    assert "\n" not in body["message"]
    assert answer.headers["Api-Version"] == "1.50"
    connection.close()


@pytest.mark.parametrize(
    ("expectation", "status", "continued"),
    [("100-continue", 201, True), ("100-Continue", 201, True), ("more", 417, False)],
)
def test_an_expectation_is_met_or_refused(api, engine, expectation, status, continued):
    engine.results["exec_create"] = "e" * 64
    connection = api.connect()
    head = f"POST /containers/web/exec HTTP/1.1\r\nHost: x\r\nExpect: {expectation}\r\nContent-Length: 16\r\n\r\n"
    connection.sendall(head.encode())
    if continued:
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b'{"Cmd":["true"]}')
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert (answer.status, list(json.loads(answer.read()))) == (status, ["Id"] if continued else ["message"])
    connection.close()
