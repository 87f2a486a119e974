"""What is known of the user at registries: in the configuration file, or with a credential helper.

A helper is a program `docker-credential-NAME` with the commands `get`, `store` and `erase`, each with its argument on
standard input (the protocol of docker-credential-helpers). `credHelpers` names one for a registry, `credsStore` one for
all others.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from transom_cli.configuration import ConfigFile
from transom_cli.errors import CommandFailed

__all__ = ["INDEX", "Credentials", "Store", "hostname", "registry_auth", "registry_config"]

#: What Docker Hub is called where credentials are kept.
INDEX = "https://index.docker.io/v1/"

_DOCKER_IO = ("docker.io", "index.docker.io")
_TOKEN_USER = "<token>"
_NOT_FOUND = "credentials not found in native keychain"
_UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/
"""


class Credentials(NamedTuple):
    """Name and password, or a token, for a server."""

    server: str
    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def fields(self) -> dict[str, str]:
        """Return what the API calls an `AuthConfig`."""
        named = {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
            "identitytoken": self.identity_token,
            "registrytoken": self.registry_token,
        }
        return {name: value for name, value in named.items() if value}


def registry_auth(file: ConfigFile, domain: str) -> dict[str, str]:
    """Return the header by which the daemon acts for the user at the registry of a domain."""
    server = INDEX if domain in _DOCKER_IO else domain
    try:
        known = Store(file, server).get()
    except CommandFailed as failure:
        # The registry may not want to know: Docker's client goes on, too.
        failure.show()
        known = Credentials(server)
    fields = known.fields() if known != Credentials(server) else {}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


def registry_config(file: ConfigFile) -> dict[str, str]:
    """Return the header by which the daemon acts for the user at all registries that the configuration names."""
    known: dict[str, dict[str, str]] = {}
    for server in {**file.mapping("auths"), **file.mapping("credHelpers")}:
        try:
            found = Store(file, server).get()
        except CommandFailed as failure:
            failure.show()
            continue
        if found != Credentials(server):
            known[server] = found.fields()
    return {"X-Registry-Config": base64.urlsafe_b64encode(json.dumps(known).encode()).decode()} if known else {}


def hostname(server: str) -> str:
    """Return the host, with its port, of a server that may be written as an address."""
    return server.rpartition("://")[2].partition("/")[0]


class Store:
    """Where the credentials for one server are kept."""

    def __init__(self, file: ConfigFile, server: str) -> None:
        self._file = file
        self._server = server
        self._helper = _helper(file, server)

    def get(self) -> Credentials:
        """Return what is known for the server. Raises `CommandFailed` if the helper fails or the file has nonsense."""
        kept = self._kept()
        if not self._helper:
            return kept
        found = _parse(self._ask("get", self._server, missing="{}"))
        name, secret = str(found.get("Username", "")), str(found.get("Secret", ""))
        if name == _TOKEN_USER:
            return kept._replace(username="", password="", identity_token=secret)
        return kept._replace(username=name, password=secret, identity_token="")

    def store(self, known: Credentials) -> None:
        """Keep credentials for the server. Raises `CommandFailed`."""
        entry = {name: value for name, value in self._entry().items() if name in ("email", "registrytoken")}
        if self._helper:
            token = known.identity_token
            secret = {"Username": _TOKEN_USER, "Secret": token} if token else _pair(known)
            self._ask("store", json.dumps({"ServerURL": self._server, **secret}))
        else:
            if known.username or known.password:
                pair = f"{known.username}:{known.password}".encode()
                entry["auth"] = base64.b64encode(pair).decode()
            if known.identity_token:
                entry["identitytoken"] = known.identity_token
        auths = self._file.mapping("auths")
        if auths.get(self._server) == entry:
            return
        self._file.content["auths"] = {**auths, self._server: entry}
        self._file.save()
        if not self._helper and known.password:
            CommandFailed(_UNENCRYPTED.format(self._file.path)).show()

    def erase(self) -> None:
        """Forget what is known for the server. Raises `CommandFailed`."""
        if self._helper:
            self._ask("erase", self._server, missing="")
        auths = self._file.mapping("auths")
        if self._server in auths:
            self._file.content["auths"] = {name: entry for name, entry in auths.items() if name != self._server}
            self._file.save()

    def _entry(self) -> Mapping[str, Any]:
        """Return what the file has for the server, maybe under an address, as old clients wrote it."""
        auths = self._file.mapping("auths")
        names = [self._server, *(name for name in auths if hostname(name) == self._server)]
        found: Any = next((auths[name] for name in names if name in auths), {})
        return found if isinstance(found, dict) else {}

    def _kept(self) -> Credentials:
        entry = self._entry()
        name, password = str(entry.get("username", "")), str(entry.get("password", ""))
        if encoded := entry.get("auth"):
            try:
                name, colon, password = base64.b64decode(str(encoded), validate=True).decode().partition(":")
            except ValueError:
                colon = ""
            if not colon or not name:
                raise CommandFailed(
                    f"Invalid auth configuration file: {self._file.path} has nonsense for {self._server}"
                )
            password = password.strip("\0")
        tokens = [str(entry.get(key) or "") for key in ("identitytoken", "registrytoken")]
        return Credentials(self._server, name, password, *tokens)

    def _ask(self, command: str, text: str, missing: str | None = None) -> str:
        """Run the helper, and return what it says; `missing` if it has nothing for the server."""
        import subprocess  # few have a helper

        program = f"docker-credential-{self._helper}"
        verb = {"get": "getting", "store": "storing", "erase": "erasing"}[command]
        try:
            done = subprocess.run([program, command], input=text, capture_output=True, text=True, check=False)
        except OSError as error:
            reason = "executable file not found in $PATH" if isinstance(error, FileNotFoundError) else error.strerror
            raise CommandFailed(f'error {verb} credentials - err: exec: "{program}": {reason}, out: ``') from error
        if done.returncode == 0:
            return done.stdout
        said = done.stdout.strip()
        if missing is not None and said == _NOT_FOUND:
            return missing
        raise CommandFailed(f"error {verb} credentials - err: exit status {done.returncode}, out: `{said}`")


def _pair(known: Credentials) -> dict[str, str]:
    return {"Username": known.username, "Secret": known.password}


def _parse(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CommandFailed("error getting credentials: the credential helper does not answer with a JSON object")
    return found


def _helper(file: ConfigFile, server: str) -> str:
    """Return the name of the helper that is configured for a server, or else for all; empty if there is none."""
    chosen = file.mapping("credHelpers").get(server)
    if isinstance(chosen, str):
        return chosen
    if file.text("credsStore") or file.mapping("auths") or file.mapping("credHelpers"):
        return file.text("credsStore")
    usual = "pass" if _is_installed("pass") else "secretservice"
    if not _is_installed(f"docker-credential-{usual}"):
        return ""
    file.content["credsStore"] = usual
    return usual


def _is_installed(program: str) -> bool:
    """Return whether PATH leads to a program; `shutil` takes longer to import than to look."""
    places = os.environ.get("PATH", "").split(os.pathsep)
    return any(os.access(os.path.join(place, program), os.X_OK) for place in places if place)  # noqa: PTH118
