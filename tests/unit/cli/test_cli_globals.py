"""What stands before the command, in the environment and in the user's configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transom_cli.main import main
from transom_cli.transport import parse_host

CONTAINER = {
    "Id": "c" * 64, "Names": ["/web"], "Image": "busybox", "Command": "sh", "Created": 0, "State": "running",
    "Status": "Up", "Labels": {}, "Mounts": [], "Ports": [],
}  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without what the tests' own may have."""
    for name in ("HOST", "CONTEXT", "API_VERSION", "TLS_VERIFY"):
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    return monkeypatch


@pytest.fixture
def listed(daemon: Any, environment: pytest.MonkeyPatch) -> Any:
    """A daemon with a container, which DOCKER_HOST names."""
    daemon.on("GET", "/containers/json", [CONTAINER])
    environment.setenv("DOCKER_HOST", daemon.host)
    return daemon


def _configure(directory: Path, **settings: Any) -> str:
    (directory / "config.json").write_text(json.dumps(settings))
    return str(directory)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-H", "unix:///a", "-H", "unix:///b", "ps"], "Specify only one -H"),
        (["-H", "unix:///a", "-c", "default", "ps"], "conflicting options: cannot specify both --host and --context"),
        (["-c", "other", "ps"], 'context "other" is not known: the only one is "default"'),
        (["-l", "loud", "ps"], "Unable to parse logging level: loud"),
        (["--tlsverify", "ps"], "--tlsverify is not supported, as connections have no TLS here"),
        (["--tlscacert", "x", "ps"], "--tlscacert is not supported"),
        (["--bogus", "ps"], "unknown flag: --bogus\n\nUsage:  transom [OPTIONS] COMMAND [ARG...]\n\nRun 'transom --h"),
        (["help", "bogus"], "unknown help topic: bogus"),
        (["bogus"], "transom: unknown command: transom bogus\n\nRun 'transom --help' for more information"),
        (["volume", "help"], "transom: unknown command: transom volume help"),
    ],
)
def test_what_cannot_be_is_refused(
    listed: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert main(arguments) in (1, 125)
    assert capsys.readouterr().err.startswith(problem)
    assert listed.asked == []


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("DOCKER_CONTEXT", "other", 'context "other" is not known'),
        ("DOCKER_HOST", "ssh://x", "invalid host 'ssh://x'"),
    ],
)
def test_what_the_environment_asks_for_is_not_ignored(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, problem: str
) -> None:
    environment.setenv(variable, value)
    assert main(["ps"]) == 1
    assert capsys.readouterr().err.startswith(problem)


def test_tls_of_the_environment_is_refused_for_a_network_and_means_nothing_for_a_socket(
    listed: Any, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("DOCKER_TLS_VERIFY", "1")
    assert main(["ps", "-q"]) == 0
    assert main(["-H", "tcp://127.0.0.1:1", "ps"]) == 1
    assert capsys.readouterr().err.startswith("DOCKER_TLS_VERIFY is not supported")


def test_the_flag_wins_over_the_environment(listed: Any, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DOCKER_CONTEXT", "other")
    assert main(["-H", listed.host, "ps"]) == 0
    assert main(["ps"]) == 0


def test_the_environment_holds_the_client_to_a_version(listed: Any, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DOCKER_API_VERSION", "1.30")
    assert main(["ps"]) == 0
    assert listed.requests[0].target.startswith("/v1.30/containers/json")


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["ps"], "web cfg\n"),
        (["ps", "-q"], "cccccccccccc\n"),
        (["ps", "--format", "{{.Image}}"], "busybox\n"),
        (["ps", "--format", "table"], "CONTAINER ID"),
    ],
)
def test_the_configuration_has_a_format_for_lists_that_are_given_none(
    listed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], shown: str
) -> None:
    directory = _configure(tmp_path, psFormat="{{.Names}} cfg")
    assert main(["--config", directory, *arguments]) == 0
    assert capsys.readouterr().out.startswith(shown)


def test_every_list_has_a_format_of_its_own_in_the_configuration(
    listed: Any, tmp_path: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("DOCKER_CONFIG", _configure(tmp_path, imagesFormat="i", volumesFormat="v", networksFormat="n"))
    volume = {"Name": "a", "Driver": "local", "Mountpoint": "/", "Scope": "local"}
    network = {"Name": "a", "Id": "1", "Driver": "null", "Scope": "local", "Created": "2024-01-01T00:00:00Z"}
    listed.on("GET", "/images/json", [{"Id": "sha256:1", "Created": 0, "Size": 1, "RepoTags": ["a:b"]}])
    listed.on("GET", "/volumes", {"Volumes": [volume]})
    listed.on("GET", "/networks", [network])
    for command in (["images"], ["volume", "ls"], ["network", "ls"]):
        assert main(command) == 0
    assert capsys.readouterr().out == "i\nv\nn\n"


def test_headers_of_the_configuration_are_sent_with_every_request(listed: Any, tmp_path: Path) -> None:
    assert main(["--config", _configure(tmp_path, HttpHeaders={"X-Who": "me"}), "ps"]) == 0
    assert listed.requests[0].headers["x-who"] == "me"


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_configuration_that_cannot_be_read_is_warned_of(
    listed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert main(["--config", str(tmp_path), "ps", "-q"]) == 0
    found = capsys.readouterr()
    assert found.out == "cccccccccccc\n"
    assert found.err.startswith(f"WARNING: Error parsing config file ({tmp_path}/config.json): ")


def test_the_detach_keys_of_the_configuration_are_those_of_a_command_that_is_given_none(
    daemon: Any, tmp_path: Path
) -> None:
    daemon.on("POST", "/containers/web/exec", {"Id": "e"})
    daemon.on("POST", "/exec/e/start", None)
    directory = _configure(tmp_path, detachKeys="ctrl-e,e")
    for given, keys in (([], "ctrl-e,e"), (["--detach-keys", "a"], "a")):
        daemon.requests.clear()
        main(["-H", daemon.host, "--config", directory, "exec", "-d", *given, "web", "true"])
        assert next(one for one in daemon.requests if one.path.endswith("/exec")).json["DetachKeys"] == keys


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("tcp://a:1", "a", 1),
        ("tcp://a", "a", 2375),
        ("tcp://[::1]:5", "::1", 5),
        ("http://a/", "a", 2375),
    ],
)
def test_an_address_on_a_network_has_a_port(host: str, name: str, port: int) -> None:
    assert parse_host(host)[2:] == (name, port)


@pytest.mark.parametrize("arguments", [["help", "volume", "ls"], ["volume", "ls", "--help"], ["volume", "ls", "-h"]])
def test_help_is_the_same_however_it_is_asked_for(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out.removeprefix("Flag shorthand -h has been deprecated, use --help\n")
    assert shown.startswith("Usage:  transom volume ls [OPTIONS]\n\nList volumes\n\nAliases:\n  transom volume ls, tr")


def test_help_lists_all_names_of_a_command_the_grouped_ones_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps", "--help"]) == 0
    names = "transom container ls, transom container list, transom container ps, transom ps"
    assert f"\n\nAliases:\n  {names}\n\nOptions:\n" in capsys.readouterr().out


def test_networks_are_listed_and_looked_at(
    daemon: Any, transom: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    network = {
        "Name": "none", "Id": "0123456789abcdef", "Driver": "null", "Scope": "local", "EnableIPv6": False,
        "Created": "2024-01-02T03:04:05.5+01:00", "Labels": {"a": "b"},
    }  # fmt: skip
    daemon.on("GET", "/networks", [network])
    daemon.on("GET", "/networks/none", network)
    assert transom("network", "ls") == 0
    assert transom("network", "ls", "--format", "{{.CreatedAt}} {{.IPv6}} {{.Labels}} {{.Label `a`}}") == 0
    assert transom("network", "ls", "-q", "--no-trunc") == 0
    assert transom("inspect", "-f", "{{.Driver}}", "none") == 0
    assert capsys.readouterr().out == (
        "NETWORK ID     NAME      DRIVER    SCOPE\n0123456789ab   none      null      local\n"
        "2024-01-02 03:04:05.5 +0100 +0100 false a=b b\n0123456789abcdef\nnull\n"
    )


@pytest.mark.parametrize(
    ("proxies", "arguments", "variables"),
    [
        ({"default": {"httpProxy": "p", "noProxy": ""}}, [], ["HTTP_PROXY=p", "http_proxy=p"]),
        ({"default": {"httpProxy": "p"}}, ["-e", "http_proxy=q"], ["http_proxy=q", "HTTP_PROXY=p"]),
        ({"default": {"httpProxy": "p"}, "HOST": {"httpsProxy": "s"}}, [], ["HTTPS_PROXY=s", "https_proxy=s"]),
        ({"unix:///other": {"httpProxy": "p"}}, [], []),
    ],
)
def test_containers_get_the_proxies_of_the_configuration(
    daemon: Any, tmp_path: Path, proxies: dict[str, Any], arguments: list[str], variables: list[str]
) -> None:
    daemon.on("POST", "/containers/create", {"Id": "c", "Warnings": []})
    named = {daemon.host if name == "HOST" else name: proxy for name, proxy in proxies.items()}
    directory = _configure(tmp_path, proxies=named)
    assert main(["-H", daemon.host, "--config", directory, "create", *arguments, "busybox"]) == 0
    [request] = [one for one in daemon.requests if one.path == "/containers/create"]
    assert request.json["Env"] == variables


@pytest.mark.parametrize("command", [["pull", "x"], ["push", "x"], ["run", "x"], ["create", "x"]])
def test_signatures_that_nobody_verifies_are_not_promised(
    listed: Any, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    name, image = command
    assert main([name, "--disable-content-trust=false", image]) in (1, 125)
    assert "signatures of images cannot be verified here" in capsys.readouterr().err
    assert listed.asked == []


def test_the_environments_wish_for_signatures_is_refused_too(listed: Any) -> None:
    environment = {**os.environ, "DOCKER_CONTENT_TRUST": "1"}
    for arguments, problem in (
        (["pull", "x"], "cannot be verified"),
        (["pull", "--disable-content-trust", "x"], "No such"),
    ):
        command = [sys.executable, "-m", "transom_cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, problem in done.stderr) == (1, True), done.stderr
