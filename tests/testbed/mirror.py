"""The machine's package registries, for builds on the private test host, which itself reaches nobody.

A proxy for HTTP: `http://debian/debian`, `http://pypi/simple` and `http://npm` are the registries that the machine's
clients are configured for; files to which these point are below `/https/HOST/` there. What was fetched is kept outside
of the repository, so that the next run needs no network for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from testbed.host import outside

__all__ = ["CACHE", "Mirror", "codename"]

#: What is kept from one run to the next.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "transom-tests")
#: An address of the private test host that containers on any network reach.
_ADDRESS = "192.0.2.1"
#: What never changes under its name.
_FIXED = re.compile(r"\.(deb|whl|tgz|tar\.gz|tar\.xz|dsc)$|/by-hash/")
#: Answers that say where files are.
_POINTING = ("application/vnd.pypi", "application/vnd.npm", "application/json", "text/html")


def codename() -> str:
    """Return the name of the machine's release of Debian."""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    assert found, "/etc/os-release does not say which release of Debian this is"
    return found[1]


class Mirror:
    """The proxy, in a process that has the machine's network; it listens in this one's."""

    def __enter__(self) -> Mirror:
        subprocess.run(["ip", "address", "replace", f"{_ADDRESS}/32", "dev", "lo"], check=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        with socket.socket() as listener:
            listener.bind((_ADDRESS, 0))
            listener.listen()
            #: What clients take for `http_proxy`.
            self.url = f"http://{_ADDRESS}:{listener.getsockname()[1]}"
            number = listener.fileno()
            command = outside(sys.executable, "-m", "testbed.mirror", str(number))
            path = {"PYTHONPATH": str(Path(__file__).parents[1])}
            self._process = subprocess.Popen(command, pass_fds=[number], env={**os.environ, **path})
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        subprocess.run(["ip", "address", "delete", f"{_ADDRESS}/32", "dev", "lo"], check=True)


class _Registries:
    """Which registries the machine's own clients use."""

    @cached_property
    def debian(self) -> str:
        command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"]
        found = subprocess.run([*command, f"Codename: {codename()}"], capture_output=True, text=True, check=True)
        return found.stdout.split()[0].removesuffix("/").removesuffix("/debian")

    @cached_property
    def pypi(self) -> str:
        listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
        found = re.search(r"^\S+\.index-url='(.*)'$", listed.stdout, re.MULTILINE)
        if found:
            return found[1].removesuffix("/").removesuffix("/simple")
        default = "from pip._internal.models.index import PyPI; print(PyPI.url)"
        return subprocess.run([sys.executable, "-c", default], capture_output=True, text=True).stdout.strip()

    @cached_property
    def npm(self) -> str:
        found = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, check=True)
        return found.stdout.strip().removesuffix("/")

    def place(self, url: str) -> str:
        """Return where something is that a client has asked the proxy for."""
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        if scheme != "http" or host not in ("debian", "pypi", "npm"):
            raise ValueError(f"{url} is in none of the registries")
        if path.startswith("https/"):
            return path.replace("/", "://", 1)
        return f"{str(getattr(self, host)).removesuffix('/')}/{path}"


class _Handler(BaseHTTPRequestHandler):
    """Answers from what is kept, or fetches it."""

    registries = _Registries()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        accepted = self.headers.get("Accept", "*/*")
        name = hashlib.sha256(f"{self.path} {accepted}".encode()).hexdigest()
        head, body = CACHE / f"{name}.json", CACHE / f"{name}.body"
        if not (head.exists() and _FIXED.search(self.path)):
            try:
                kind, content = self._fetch(accepted)
            except urllib.error.HTTPError as answer:
                self.send_error(answer.code)
                return
            except ValueError as problem:
                self.send_error(403, str(problem))
                return
            except OSError as problem:
                if not head.exists():
                    self.send_error(502, f"{self.path}: {problem}")
                    return
            else:
                _keep(body, content)
                _keep(head, json.dumps({"type": kind, "url": self.path}).encode())
        self._answer(json.loads(head.read_text()), body)

    def _fetch(self, accepted: str) -> tuple[str, bytes]:
        request = urllib.request.Request(self.registries.place(self.path), headers={"Accept": accepted})
        with urllib.request.urlopen(request, timeout=180) as answer:
            kind, content = answer.headers.get("Content-Type", "application/octet-stream"), answer.read()
        if kind.startswith(_POINTING):
            host = self.path.partition("://")[2].partition("/")[0]
            content = content.replace(b"https://", f"http://{host}/https/".encode())
        return kind, content

    def _answer(self, head: Mapping[str, str], body: Path) -> None:
        content = body.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", head["type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _keep(path: Path, content: bytes) -> None:
    """Write a file that another run may be writing, too."""
    new = path.with_suffix(f".{os.getpid()}-{id(content)}")
    new.write_bytes(content)
    new.rename(path)


def _serve(listener: socket.socket) -> None:
    server = ThreadingHTTPServer(listener.getsockname(), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
