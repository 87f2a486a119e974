"""What the commands about registries send, and what they keep."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transom_cli.configuration import ConfigFile
from transom_cli.credentials import INDEX, Credentials, Store, hostname, registry_auth
from transom_cli.errors import CommandFailed


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file, which is not there at first."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "config" / "config.json"


def write(settings: Path, content: Any) -> None:
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps(content))


def sent(header: dict[str, str]) -> Any:
    return json.loads(base64.urlsafe_b64decode(header["X-Registry-Auth"]))


def header_for(settings: Path, domain: str) -> dict[str, str]:
    return registry_auth(ConfigFile(str(settings)), domain)


def encoded(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded("alice:pass:word")}, {"username": "alice", "password": "pass:word"}),
        ({"auth": encoded("alice:pass\0\0")}, {"username": "alice", "password": "pass"}),
        ({"username": "alice", "password": "plain"}, {"username": "alice", "password": "plain"}),
        ({"auth": encoded("a:"), "identitytoken": "I"}, {"username": "a", "identitytoken": "I"}),
        ({"registrytoken": "R"}, {"registrytoken": "R"}),
    ],
)
def test_what_is_kept_for_a_registry_is_sent_to_the_daemon(settings: Path, entry: Any, expected: Any) -> None:
    write(settings, {"auths": {"registry.example:5000": entry}})
    assert sent(header_for(settings, "registry.example:5000")) == {**expected, "serveraddress": "registry.example:5000"}


def test_nothing_is_sent_for_another_registry(settings: Path) -> None:
    write(settings, {"auths": {"registry.example:5000": {"auth": encoded("a:b")}}})
    assert sent(header_for(settings, "registry.example")) == {}


def test_docker_hub_is_known_by_its_index(settings: Path) -> None:
    write(settings, {"auths": {INDEX: {"auth": encoded("a:b")}}})
    assert sent(header_for(settings, "docker.io"))["username"] == "a"


@pytest.mark.parametrize("name", ["https://registry.example/v1/", "http://registry.example"])
def test_addresses_of_old_clients_are_understood(settings: Path, name: str) -> None:
    write(settings, {"auths": {name: {"auth": encoded("a:b")}}})
    assert sent(header_for(settings, "registry.example"))["username"] == "a"


@pytest.mark.parametrize("auth", ["%%%", encoded("no colon"), encoded(":nobody"), "ÿ"])
def test_nonsense_in_the_file_is_named_and_not_sent(
    settings: Path, auth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(settings, {"auths": {"registry.example": {"auth": auth}}})
    assert sent(header_for(settings, "registry.example")) == {}
    assert "Invalid auth configuration file" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '"x"', "nonsense"])
def test_a_file_that_cannot_be_read_is_a_warning_and_stays(
    settings: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.parent.mkdir()
    settings.write_text(content)
    file = ConfigFile(str(settings))
    assert capsys.readouterr().err.startswith(f"WARNING: Error parsing config file ({settings}): ")
    with pytest.raises(CommandFailed, match="cannot be changed"):
        file.save()
    assert settings.read_text() == content


def test_an_empty_file_is_as_good_as_none(settings: Path) -> None:
    settings.parent.mkdir()
    settings.touch()
    assert ConfigFile(str(settings)).content == {}


def test_a_failed_write_leaves_the_file_as_it_was(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(settings, {"auths": {}})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(CommandFailed, match="No space left on device"):
        Store(ConfigFile(str(settings)), "registry.example").store(Credentials("registry.example", "a", "b"))
    assert json.loads(settings.read_text()) == {"auths": {}}
    assert list(settings.parent.iterdir()) == [settings]


def helper(settings: Path, script: str, name: str = "test") -> None:
    """Install a credential helper."""
    program = settings.parents[1] / "bin" / f"docker-credential-{name}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_helper_gives_a_token_as_well_as_a_password(settings: Path) -> None:
    write(settings, {"credHelpers": {"one.example": "test"}, "credsStore": "other"})
    helper(settings, """echo '{"Username": "<token>", "Secret": "I"}'""")
    helper(settings, """echo '{"Username": "alice", "Secret": "pw"}'""", "other")
    assert sent(header_for(settings, "one.example")) == {"identitytoken": "I", "serveraddress": "one.example"}
    assert sent(header_for(settings, "two.example"))["password"] == "pw"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo locked; exit 3", "error getting credentials - err: exit status 3, out: `locked`"),
        ("echo nonsense", "does not answer with a JSON object"),
        ("echo 7", "does not answer with a JSON object"),
    ],
)
def test_a_helper_that_fails_is_named(
    settings: Path, script: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(settings, {"credsStore": "test"})
    helper(settings, script)
    assert sent(header_for(settings, "one.example")) == {}
    assert message in capsys.readouterr().err


def test_a_helper_that_knows_nothing_is_no_failure(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(settings, {"credsStore": "test"})
    helper(settings, "echo credentials not found in native keychain; exit 1")
    assert sent(header_for(settings, "one.example")) == {}
    assert capsys.readouterr().err == ""


def test_the_usual_helper_is_used_where_it_is_installed_and_nothing_is_configured(settings: Path) -> None:
    helper(settings, """echo '{"Username": "a", "Secret": "b"}'""", "secretservice")
    assert sent(header_for(settings, "one.example"))["username"] == "a"
    Store(ConfigFile(str(settings)), "one.example").store(Credentials("one.example", "a", "b"))
    assert json.loads(settings.read_text()) == {"auths": {"one.example": {}}, "credsStore": "secretservice"}


@pytest.mark.parametrize(
    ("server", "host"),
    [("https://a.example:5000/v2/", "a.example:5000"), ("a.example/x", "a.example"), ("localhost:1", "localhost:1")],
)
def test_a_server_is_known_by_its_host(server: str, host: str) -> None:
    assert hostname(server) == host


def stream(*messages: dict[str, Any]) -> Callable[[Any], None]:
    """Answer with lines of JSON."""
    body = "".join(json.dumps(message) + "\n" for message in messages).encode()

    def answer(request: Any) -> None:
        request.connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return answer


def test_a_push_sends_who_the_user_is_and_which_tag(
    daemon: Any, transom: Callable[..., int], settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(settings, {"auths": {"one.example": {"auth": encoded("a:b")}}})
    daemon.on("POST", "/images/one.example/app/push", stream({"status": "Pushed"}, {"aux": {"Tag": "latest"}}))
    assert transom("push", "one.example/app") == 0
    (request,) = daemon.requests
    assert request.target.endswith("/push?tag=latest")
    assert json.loads(base64.urlsafe_b64decode(request.headers["x-registry-auth"]))["username"] == "a"
    assert capsys.readouterr().out == "Using default tag: latest\nPushed\n"


def test_a_push_of_all_tags_sends_none(daemon: Any, transom: Callable[..., int]) -> None:
    daemon.on("POST", "/images/app/push", stream({"status": "Pushed"}))
    assert transom("push", "--all-tags", "app") == 0
    assert daemon.requests[0].target.endswith("/push?tag=")


def test_the_error_at_the_end_of_a_push_is_the_commands(
    daemon: Any, transom: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.on("POST", "/images/app/push", stream({"errorDetail": {"message": "denied: no"}, "error": "denied: no"}))
    assert transom("push", "-q", "app") == 1
    assert capsys.readouterr() == ("", "denied: no\n")


def test_a_pull_of_all_tags_sends_none(
    daemon: Any, transom: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.on("POST", "/images/create", stream({"status": "done"}))
    assert transom("pull", "-a", "one.example/app") == 0
    assert "tag=" not in daemon.requests[0].target
    assert capsys.readouterr().out == "done\none.example/app\n"
    assert transom("pull", "-a", "one.example/app:1") == 1
    assert capsys.readouterr().err == "tag can't be used with --all-tags/-a\n"


def test_credentials_are_not_kept_before_they_are_known_to_be_good(
    daemon: Any, transom: Callable[..., int], settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.on("POST", "/auth", lambda request: request.answer({"message": "unauthorized"}, 401))
    assert transom("login", "-u", "a", "-p", "b", "one.example") == 1
    assert not settings.exists()
    assert "Error response from daemon: unauthorized" in capsys.readouterr().err
    daemon.on("POST", "/auth", {"Status": "Login Succeeded", "IdentityToken": ""})
    assert transom("login", "-u", "a", "-p", "b", "one.example") == 0
    assert daemon.requests[-1].json == {"username": "a", "password": "b", "serveraddress": "one.example"}
    assert json.loads(settings.read_text()) == {"auths": {"one.example": {"auth": encoded("a:b")}}}
