"""Registries that want to know who asks, and the mirrors of docker.io."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from transom.engine import Engine
from transom.errors import NotFound, RegistryError, Unauthorized
from transom.registry import Credentials
from transom_images.insecure import InsecureRegistries

if TYPE_CHECKING:
    from testbed.scripted import Handler, Scripted

ALICE = Credentials("alice", "s3cret:with:colons")
BASIC = "Basic " + base64.b64encode(b"alice:s3cret:with:colons").decode()
DENIED = "pull access denied for {}/app, repository does not exist or may require 'docker login'"
LAYER = b"\0" * 1024


class TokenServer:
    """Makes a scripted registry want tokens, which it gives for what `accept` says."""

    def __init__(self, registry: Scripted, accept: Callable[[Handler], bool] = lambda _: True) -> None:
        self.registry = registry
        self.accept = accept
        self.good = "token-1"
        registry.script("^/v2/", self.guard)
        registry.script("^/token", self.give)

    def guard(self, handler: Handler) -> None:
        if handler.headers.get("Authorization") == f"Bearer {self.good}":
            handler.give()
            return
        realm = f'realm="http://{self.registry.address}/token",service="the, registry"'
        challenge = f'Bearer {realm},scope="repository:app:pull"'
        handler.reply(401, b"", {"WWW-Authenticate": challenge})

    def give(self, handler: Handler) -> None:
        if self.accept(handler):
            handler.reply(200, json.dumps({"token": self.good}).encode())
        else:
            handler.reply(401, b'{"details": "incorrect username or password"}')

    def asked(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(path).query) for path in self.registry.paths("^/token")]


def pull(engine: Engine, registry: Scripted, credentials: Credentials | None = None) -> None:
    engine.run("pull", reference=f"{registry.address}/app", credentials=credentials)


def test_anybody_gets_a_token_for_a_public_repository_and_one_is_enough(engine: Engine, scripted: Scripted) -> None:
    server = TokenServer(scripted)
    scripted.add_image(LAYER)
    pull(engine, scripted)
    assert server.asked() == [{"service": ["the, registry"], "scope": ["repository:app:pull"]}]


def test_name_and_password_go_to_the_token_server_and_not_to_the_registry(engine: Engine, scripted: Scripted) -> None:
    server = TokenServer(scripted, lambda handler: handler.headers.get("Authorization") == BASIC)
    scripted.add_image(LAYER)
    pull(engine, scripted, ALICE)
    assert server.asked()[0]["account"] == ["alice"]
    sent = {request.headers.get("Authorization") for request in scripted.requests if "/v2/" in request.path}
    assert sent == {None, "Bearer token-1"}


def test_an_identity_token_is_turned_into_an_access_token(engine: Engine, scripted: Scripted) -> None:
    TokenServer(scripted)
    scripted.script("^/token", lambda handler: handler.reply(200, b'{"access_token": "token-1"}'))
    scripted.add_image(LAYER)
    pull(engine, scripted, Credentials(identity_token="identity"))
    request = next(request for request in scripted.requests if request.path == "/token")
    form = parse_qs(request.body.decode())
    assert request.method == "POST"
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["identity"]
    assert form["scope"] == ["repository:app:pull"]


def test_a_registry_token_is_sent_as_it_is(engine: Engine, scripted: Scripted) -> None:
    server = TokenServer(scripted)
    scripted.add_image(LAYER)
    pull(engine, scripted, Credentials(registry_token="token-1"))
    assert server.asked() == []


def test_a_token_that_expires_during_the_pull_is_renewed(engine: Engine, scripted: Scripted) -> None:
    server = TokenServer(scripted)
    scripted.add_image(LAYER)

    def expire(handler: Handler) -> None:
        server.good = "token-2"
        server.guard(handler)

    scripted.once("/blobs/", expire)
    pull(engine, scripted)
    assert len(server.asked()) == 2


def test_a_wrong_password_is_unauthorized_in_dockers_words(engine: Engine, scripted: Scripted) -> None:
    TokenServer(scripted, lambda _: False)
    scripted.add_image(LAYER)
    with pytest.raises(Unauthorized) as caught:
        pull(engine, scripted, ALICE)
    assert str(caught.value).startswith(f"{DENIED.format(scripted.address)}: ")
    assert "s3cret" not in str(caught.value)


def test_a_token_that_the_registry_does_not_accept_is_unauthorized(engine: Engine, scripted: Scripted) -> None:
    server = TokenServer(scripted)
    scripted.script("^/token", lambda handler: handler.reply(200, b'{"token": "other"}'))
    with pytest.raises(Unauthorized, match="authentication required"):
        pull(engine, scripted)
    assert len(server.asked()) == 1


def test_a_repository_that_the_token_does_not_open_is_denied_in_dockers_words(
    engine: Engine, scripted: Scripted
) -> None:
    error = {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}
    scripted.script("^/v2/", lambda handler: handler.reply(403, json.dumps(error).encode()))
    with pytest.raises(NotFound) as caught:
        pull(engine, scripted)
    reason = "denied: requested access to the resource is denied"
    assert str(caught.value) == f"{DENIED.format(scripted.address)}: {reason}"


@pytest.mark.parametrize("reply", [b"", b"nonsense", b"[]", b"{}", b'{"token": 7}', b'{"token": "a\\r\\nX: b"}'])
def test_nonsense_in_place_of_a_token_is_an_error(engine: Engine, scripted: Scripted, reply: bytes) -> None:
    TokenServer(scripted)
    scripted.script("^/token", lambda handler: handler.reply(200, reply))
    with pytest.raises(RegistryError, match="gives no token"):
        pull(engine, scripted)


def test_a_password_is_never_sent_to_a_token_server_without_https(engine: Engine, scripted: Scripted) -> None:
    challenge = 'Bearer realm="http://tokens.invalid/token"'
    scripted.script("^/v2/", lambda handler: handler.reply(401, headers={"WWW-Authenticate": challenge}))
    with pytest.raises(RegistryError, match="not an HTTPS address"):
        pull(engine, scripted, ALICE)


def guard_with_password(handler: Handler) -> None:
    if handler.headers.get("Authorization") == BASIC:
        handler.give()
    else:
        handler.reply(401, headers={"WWW-Authenticate": 'Basic realm="here"'})


def test_a_registry_with_a_password_is_opened_by_it(engine: Engine, scripted: Scripted) -> None:
    scripted.script("^/v2/", guard_with_password)
    scripted.add_image(LAYER)
    pull(engine, scripted, ALICE)


def test_a_registry_with_a_password_is_closed_without_it(engine: Engine, scripted: Scripted) -> None:
    scripted.script("^/v2/", guard_with_password)
    with pytest.raises(Unauthorized, match="no basic auth credentials"):
        pull(engine, scripted)


def test_a_registry_with_a_password_is_closed_to_a_wrong_one(engine: Engine, scripted: Scripted) -> None:
    scripted.script("^/v2/", guard_with_password)
    with pytest.raises(Unauthorized, match="authentication required"):
        pull(engine, scripted, Credentials("alice", "wrong"))


def test_an_unknown_way_of_authentication_is_named(engine: Engine, scripted: Scripted) -> None:
    scripted.script("^/v2/", lambda handler: handler.reply(401, headers={"WWW-Authenticate": "Negotiate"}))
    with pytest.raises(Unauthorized, match="Negotiate"):
        pull(engine, scripted, ALICE)


def test_a_mirror_of_docker_io_is_asked_first_and_gets_no_credentials(
    open_engine: Callable[..., Engine], scripted: Scripted
) -> None:
    engine = open_engine(registry_mirrors=(f"http://{scripted.address}",))
    scripted.add_image(LAYER)
    scripted.content |= {path.replace("/app/", "/library/app/"): item for path, item in scripted.content.items()}
    engine.run("pull", reference="app", credentials=ALICE)
    assert {request.headers.get("Authorization") for request in scripted.requests} == {None}
    assert engine.images.get("app").id


def test_when_no_mirror_has_the_image_docker_io_is_asked(
    open_engine: Callable[..., Engine], scripted: Scripted
) -> None:
    engine = open_engine(registry_mirrors=("http://127.0.0.1:9", f"http://{scripted.address}"))
    with pytest.raises(RegistryError, match=r"cannot connect to registry-1\.docker\.io"):
        engine.run("pull", reference="app")
    assert scripted.paths("/manifests/") == ["/v2/library/app/manifests/latest"]


def test_plain_http_is_for_loopback_and_configured_registries_only() -> None:
    insecure = InsecureRegistries(["registry.example:5000", "http://other.example/"])
    loopback = ("127.0.0.1:5000", "127.9.8.7", "localhost", "localhost:80", "[::1]:5000")
    assert all(host in insecure for host in (*loopback, "registry.example:5000", "other.example"))
    elsewhere = ("registry.example", "registry.example:80", "128.0.0.1", "localhost.example", "[::2]", "")
    assert not any(host in insecure for host in elsewhere)


def test_a_network_can_be_configured_as_insecure() -> None:
    insecure = InsecureRegistries(["198.51.100.0/24", "2001:db8::/32"])
    assert all(host in insecure for host in ("198.51.100.7", "198.51.100.7:5000", "[2001:db8::1]:5000"))
    assert not any(host in insecure for host in ("198.51.101.7:5000", "[2001:db9::1]:5000"))
