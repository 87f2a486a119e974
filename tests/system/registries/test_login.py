"""Who the user is at registries: login, logout, what is kept of it, and what it opens."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.tokens import USERS, Tokens

PASSWORD = USERS["alice"]
ENTRY = {"auth": base64.b64encode(f"alice:{PASSWORD}".encode()).decode()}
DENIED = "denied: requested access to the resource is denied"


def auths(path: Path) -> Any:
    """Return what the configuration file has of registries."""
    return json.loads(path.read_text())["auths"]


def log_in(
    daemon: Daemon, registry: Registry, name: str = "alice", password: str = ""
) -> subprocess.CompletedProcess[str]:
    password = password or USERS[name]
    return daemon.transom("login", "-u", name, "--password-stdin", registry.address, input=password, check=False)


@pytest.mark.parametrize("name", USERS)
def test_a_password_opens_a_registry_until_the_logout(
    daemon: Daemon, locked: Registry, settings: Path, named: Callable[..., str], name: str
) -> None:
    target = named(locked, f"opened-by-{name}:latest")
    refused = daemon.transom("push", target, check=False)
    assert (refused.returncode, refused.stderr) == (1, "no basic auth credentials\n")
    done = log_in(daemon, locked, name)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    daemon.transom("push", target)
    daemon.transom("rmi", target)
    daemon.transom("run", "--rm", target, "true")
    daemon.transom("rmi", target)
    daemon.docker("pull", target)
    assert settings.exists()
    shown = daemon.transom("logout", locked.address).stdout
    assert shown == f"Removing login credentials for {locked.address}\n"
    assert auths(settings) == {}
    assert daemon.transom("pull", target, check=False).returncode == 1


def test_a_wrong_password_is_refused_and_not_kept(daemon: Daemon, locked: Registry, settings: Path) -> None:
    done = log_in(daemon, locked, password="wrong")
    url = f"http://{locked.address}/v2/"
    reason = f"login attempt to {url} failed with status: 401 Unauthorized"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error response from daemon: {reason}\n"
    assert not settings.exists()


def test_the_file_is_dockers_and_keeps_what_it_has(daemon: Daemon, locked: Registry, settings: Path) -> None:
    settings.parent.mkdir()
    before = {"HttpHeaders": {"X": "y"}, "later": [1, {"a": None}], "auths": {"other.example": {"auth": "YTpi"}}}
    settings.write_text(json.dumps(before))
    settings.chmod(0o640)
    done = log_in(daemon, locked)
    after = json.loads(settings.read_text())
    assert after == {**before, "auths": {**before["auths"], locked.address: ENTRY}}
    assert settings.stat().st_mode & 0o777 == 0o640
    assert list(settings.parent.iterdir()) == [settings]
    assert done.stderr == (
        f"\nWARNING! Your credentials are stored unencrypted in '{settings}'.\n"
        "Configure a credential helper to remove this warning. See\n"
        "https://docs.docker.com/go/credential-store/\n\n"
    )
    daemon.docker("logout", locked.address)
    assert auths(settings) == before["auths"]


def test_a_new_file_is_its_owners_alone(daemon: Daemon, locked: Registry, settings: Path) -> None:
    log_in(daemon, locked)
    assert auths(settings) == {locked.address: ENTRY}
    assert settings.stat().st_mode & 0o777 == 0o600
    assert settings.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_cannot_be_read_is_not_written_over(daemon: Daemon, locked: Registry, settings: Path) -> None:
    settings.parent.mkdir()
    settings.write_text('{"auths": ')
    done = log_in(daemon, locked)
    assert done.returncode == 1
    assert "cannot be changed, since it cannot be read" in done.stderr
    assert settings.read_text() == '{"auths": '


def test_a_file_that_is_a_link_stays_one(daemon: Daemon, locked: Registry, settings: Path, tmp_path: Path) -> None:
    settings.parent.mkdir()
    settings.symlink_to(tmp_path / "elsewhere.json")
    log_in(daemon, locked)
    assert settings.is_symlink()
    assert locked.address in auths(tmp_path / "elsewhere.json")


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[str, str, int]:
    """What a client printed, with one name for both."""
    return done.stdout.replace("docker", "transom"), done.stderr.replace("docker", "transom"), done.returncode


CASES = [
    (["-u", "alice", "-p", PASSWORD], None),
    (["-u", "alice", "-p", "wrong"], None),
    (["-u", "alice", "--password-stdin"], f"{PASSWORD}\r\n"),
    (["-u", "alice", "--password-stdin"], "wrong\n"),
    (["--password-stdin"], PASSWORD),
    (["-u", "alice", "-p", PASSWORD, "--password-stdin"], PASSWORD),
    (["-u", "alice"], None),
    ([], None),
    (["-p", PASSWORD], None),
    (["--nonsense"], None),
]


@pytest.mark.parametrize(("arguments", "stdin"), CASES)
def test_both_clients_log_in_with_the_same_words(
    daemon: Daemon, locked: Registry, settings: Path, arguments: list[str], stdin: str | None
) -> None:
    results = []
    for client in (daemon.docker, daemon.transom):
        settings.unlink(missing_ok=True)
        done = client("login", *arguments, locked.address, input=stdin, check=False)
        results.append((*outcome(done), settings.exists() and auths(settings)))
    assert results[1] == results[0]


@pytest.mark.parametrize("server", ["", "{}", "http://{}/v2/", "https://{}", "nobody.example", "a b"])
def test_both_clients_log_out_with_the_same_words(
    daemon: Daemon, locked: Registry, settings: Path, server: str
) -> None:
    kept = {locked.address: ENTRY, f"http://{locked.address}": ENTRY, "https://index.docker.io/v1/": ENTRY}
    results = []
    for client in (daemon.docker, daemon.transom):
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(json.dumps({"auths": kept}))
        done = client("logout", *([server.format(locked.address)] if server else []), check=False)
        results.append((*outcome(done), auths(settings)))
    assert results[1] == results[0]


@pytest.mark.parametrize("known", [PASSWORD, "old"])
def test_what_is_kept_is_tried_first(daemon: Daemon, locked: Registry, settings: Path, known: str) -> None:
    results = []
    for client in (daemon.docker, daemon.transom):
        settings.parent.mkdir(exist_ok=True)
        pair = base64.b64encode(f"alice:{known}".encode()).decode()
        settings.write_text(json.dumps({"auths": {locked.address: {"auth": pair}}}))
        results.append(outcome(client("login", locked.address, check=False)))
    assert results[1] == results[0]


def test_what_one_client_keeps_the_other_one_uses(
    daemon: Daemon, locked: Registry, settings: Path, named: Callable[..., str]
) -> None:
    target = named(locked, "shared:latest")
    daemon.docker("login", "-u", "alice", "-p", PASSWORD, locked.address)
    daemon.transom("push", target)
    daemon.transom("logout", locked.address)
    log_in(daemon, locked)
    daemon.docker("push", target)
    daemon.docker("logout", locked.address)
    assert auths(settings) == {}


# Tokens


def test_anybody_pulls_and_only_who_has_a_password_pushes(
    daemon: Daemon, guarded: Registry, settings: Path, named: Callable[..., str]
) -> None:
    target = named(guarded)
    refused = daemon.transom("push", target, check=False)
    assert (refused.returncode, refused.stderr) == (1, f"{DENIED}\n")
    assert log_in(daemon, guarded, password="wrong").returncode == 1
    assert log_in(daemon, guarded).stdout == "Login Succeeded\n"
    assert auths(settings) == {guarded.address: ENTRY}
    daemon.transom("push", target)
    assert "Mounted from app" in daemon.transom("push", named(guarded, "other:latest")).stdout
    daemon.transom("logout", guarded.address)
    daemon.transom("pull", target)


@pytest.mark.usefixtures("settings")
def test_a_wrong_password_at_the_token_server_is_unauthorized(daemon: Daemon, guarded: Registry) -> None:
    done = log_in(daemon, guarded, password="wrong")
    assert done.returncode == 1
    assert done.stderr.startswith("Error response from daemon: ")
    assert "unauthorized: incorrect username or password" in done.stderr


def test_an_identity_token_takes_the_place_of_the_password(
    daemon: Daemon, guarded: Registry, tokens: Tokens, settings: Path, named: Callable[..., str]
) -> None:
    tokens.gives_identities = True
    assert log_in(daemon, guarded).stdout == "Login Succeeded\n"
    (identity,) = tokens.identities
    entry = auths(settings)[guarded.address]
    assert entry["identitytoken"] == identity
    assert PASSWORD not in base64.b64decode(entry["auth"]).decode()
    daemon.transom("push", named(guarded))
    daemon.docker("push", named(guarded, "by-docker:latest"))


# Credential helpers

HELPER = """#!/usr/bin/python3
import json, os, pathlib, sys

text = sys.stdin.read()
server = json.loads(text)["ServerURL"] if sys.argv[1] == "store" else text.strip()
kept = pathlib.Path(os.environ["KEPT"], server.replace("/", "_"))
if sys.argv[1] == "store":
    kept.write_text(text)
elif not kept.exists():
    sys.exit(print("credentials not found in native keychain") or 1)
elif sys.argv[1] == "get":
    print(kept.read_text())
else:
    kept.unlink()
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper `test` on the PATH, and where it keeps what it is told."""
    program, kept = tmp_path / "bin" / "docker-credential-test", tmp_path / "kept"
    program.parent.mkdir()
    kept.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("KEPT", str(kept))
    return kept


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_credential_helper_keeps_the_password(
    daemon: Daemon, locked: Registry, settings: Path, helper: Path, named: Callable[..., str], setting: str
) -> None:
    settings.parent.mkdir()
    chosen = "test" if setting == "credsStore" else {locked.address: "test"}
    settings.write_text(json.dumps({setting: chosen}))
    done = log_in(daemon, locked)
    assert (done.stdout, done.stderr) == ("Login Succeeded\n", "")
    (kept,) = helper.iterdir()
    assert json.loads(kept.read_text()) == {"ServerURL": locked.address, "Username": "alice", "Secret": PASSWORD}
    assert json.loads(settings.read_text()) == {"auths": {locked.address: {}}, setting: chosen}
    daemon.transom("push", named(locked, "helped:latest"))
    daemon.docker("push", named(locked, "helped:latest"))
    daemon.transom("logout", locked.address)
    assert list(helper.iterdir()) == []
    assert auths(settings) == {}


def test_a_credential_helper_that_is_not_there_is_named(daemon: Daemon, locked: Registry, settings: Path) -> None:
    settings.parent.mkdir()
    settings.write_text('{"credsStore": "nobody"}')
    results = [
        client("login", "-u", "alice", "-p", PASSWORD, locked.address, check=False)
        for client in (daemon.docker, daemon.transom)
    ]
    assert outcome(results[1]) == outcome(results[0])
    assert '"docker-credential-nobody": executable file not found in $PATH' in results[1].stderr


def test_a_terminal_is_asked_and_shows_no_password(daemon: Daemon, locked: Registry, settings: Path) -> None:
    answers = iter([("Username: ", "alice\n"), ("Password: ", f"{PASSWORD}\n"), ("Succeeded", "")])
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(TRANSOM, ["transom", "-H", daemon.host, "login", locked.address], dict(daemon.environment()))
    seen = b""
    for prompt, typed in answers:
        while prompt.encode() not in seen:
            seen += os.read(terminal, 1000)
        os.write(terminal, typed.encode())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert PASSWORD.encode() not in seen
    assert auths(settings) == {locked.address: ENTRY}
