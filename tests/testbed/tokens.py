"""A token server, as registries name one in their challenges (the distribution project's token specification)."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testbed.certificates import Signed

__all__ = ["USERS", "Tokens", "serve_tokens"]

#: Whom registries know, and their passwords.
USERS = {"alice": "s3cret:with:colons", "bob": "pässword"}

ISSUER, SERVICE = "the tests", "the registry"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        scheme, _, pair = self.headers.get("Authorization", "").partition(" ")
        name, _, password = base64.b64decode(pair).decode().partition(":") if scheme == "Basic" else ("", "", "")
        self._answer(name, password, query, query.get("offline_token") == ["true"])

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        name = self.server.tokens.identities.get(form.get("refresh_token", [""])[0], "")
        form["scope"] = form.get("scope", [""])[0].split()
        self._answer(name, self.server.tokens.users.get(name, ""), form, offline=False)

    def _answer(self, name: str, password: str, query: Mapping[str, list[str]], offline: bool) -> None:
        tokens = self.server.tokens
        if (name or self.command == "POST") and (not name or tokens.users.get(name) != password):
            self._reply(401, {"details": "incorrect username or password"})
            return
        reply = {"token": tokens.make(name, query.get("scope", []))}
        if offline and tokens.gives_identities:
            identity = secrets.token_urlsafe()
            tokens.identities[identity] = name
            reply["refresh_token"] = identity
        self._reply(200, reply)

    def _reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tokens: Tokens


class Tokens:
    """Who may do what: `users` have passwords; anybody may pull, and who has a password may push."""

    def __init__(self, realm: str, signer: Signed, users: Mapping[str, str]) -> None:
        self.realm = realm
        self.users = users
        self.identities: dict[str, str] = {}
        self.gives_identities = False
        self._signer = signer

    def configuration(self) -> Mapping[str, str]:
        """Return what a registry has to know of it."""
        bundle = str(self._signer.certificate)
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}

    def make(self, name: str, scopes: list[str]) -> str:
        """Return a token for what a user may do of what was asked for."""
        access = []
        for scope in scopes:
            kind, subject, actions = scope.split(":")
            allowed = [action for action in actions.split(",") if name or action == "pull"]
            access.append({"type": kind, "name": subject, "actions": allowed})
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": name, "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now}
        lines = self._signer.certificate.read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(line for line in lines if "-" not in line)]}
        signed = ".".join(_encode(json.dumps(part).encode()) for part in (header, {**claims, "access": access}))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self._signer.key)],
            input=signed.encode(),
            capture_output=True,
            check=True,
        ).stdout
        return f"{signed}.{_encode(signature)}"


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@contextmanager
def serve_tokens(signer: Signed, users: Mapping[str, str]) -> Iterator[Tokens]:
    """Serve tokens on loopback for the length of a `with` block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.tokens = Tokens(f"http://127.0.0.1:{server.server_address[1]}/token", signer, users)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.tokens
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
