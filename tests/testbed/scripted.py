"""A registry that does as badly as a test wants, with images that the test makes."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from transom.graph.digest import Digest

__all__ = ["Handler", "Request", "Scripted", "archive", "serve_scripted"]

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def gzip_compress(content: bytes) -> bytes:
    """Return content as gzip, the same today and tomorrow."""
    return gzip.compress(content, mtime=0)


def archive(files: dict[str, bytes]) -> bytes:
    """Return a layer archive of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Gives what the scripted registry has, in the way that its script says."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        registry = self.server.registry
        self.request_seen = Request(self.command, self.path, dict(self.headers), b"")
        self.unread = int(self.headers.get("Content-Length", 0))
        with registry.lock:
            registry.requests.append(self.request_seen)
            answer = registry.answer(self.command, self.path)
        if self.command == "GET" or "/uploads/" not in self.path:
            self.take()
        answer(self)
        if not self.close_connection:
            self.take()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def take(self, most: int | None = None) -> bytes:
        """Read the request's body, or the first so many bytes of it."""
        body = self.rfile.read(self.unread if most is None else min(most, self.unread))
        self.unread -= len(body)
        self.request_seen.body += body
        return body

    def serve(self) -> None:
        """Do as a good registry does."""
        path, _, query = self.path.partition("?")
        upload = re.fullmatch(r"/v2/(.+)/blobs/uploads/(\d*)", path)
        if upload:
            self._upload(upload[1], upload[2], {name: values[0] for name, values in parse_qs(query).items()})
        elif self.command == "PUT":
            self._put_manifest(path)
        else:
            self.give()

    def _upload(self, repository: str, identity: str, query: dict[str, str]) -> None:
        registry = self.server.registry
        if self.command == "POST":
            mounted = registry.content.get(f"/v2/{query.get('from')}/blobs/{query.get('mount')}")
            if mounted:
                registry.content[f"/v2/{repository}/blobs/{query['mount']}"] = mounted
                self.reply(201)
                return
            with registry.lock:
                identity = str(len(registry.uploads))
                registry.uploads[identity] = b""
            self.accept(202, repository, identity)
        elif identity not in registry.uploads:
            self.reply(404, b'{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "blob upload unknown"}]}')
        elif self.command == "PATCH":
            registry.uploads[identity] += self.take()
            self.accept(202, repository, identity)
        elif self.command == "GET":
            self.accept(204, repository, identity)
        elif self.command == "DELETE":
            del registry.uploads[identity]
            self.reply(204)
        else:
            content = registry.uploads.pop(identity) + self.take()
            if Digest.of(content) != query["digest"]:
                self.reply(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match"}]}')
                return
            registry.add_blob(content, repository)
            self.reply(201)

    def accept(self, status: int, repository: str, identity: str) -> None:
        """Say how far an upload is."""
        last = max(len(self.server.registry.uploads[identity]) - 1, 0)
        location = f"/v2/{repository}/blobs/uploads/{identity}?state=x"
        self.reply(status, headers={"Location": location, "Range": f"0-{last}"})

    def _put_manifest(self, path: str) -> None:
        registry, content = self.server.registry, self.request_seen.body
        digest = Digest.of(content)
        repository = path.partition("/manifests/")[0]
        document = json.loads(content)
        for blob in (document["config"], *document["layers"]):
            if f"{repository}/blobs/{blob['digest']}" not in registry.content:
                self.reply(400, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}')
                return
        for name in (path, f"{repository}/manifests/{digest}"):
            registry.content[name] = (self.headers["Content-Type"], content)
        self.reply(201, headers={"Docker-Content-Digest": digest})

    def give(self, most: int | None = None, change: Callable[[bytes], bytes] = bytes) -> None:
        """Answer as a good registry would, but send at most so many bytes of the body, then hang up."""
        found = self.server.registry.content.get(self.path)
        if found is None:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self.reply(404, json.dumps(error).encode())
            return
        media_type, body = found
        body, status, headers = change(body), 200, {"Content-Type": media_type}
        range_header = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        if range_header and self.server.registry.ranges:
            start = int(range_header[1])
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        self.reply(status, body, headers, most)

    def reply(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, most: int | None = None
    ) -> None:
        """Send an answer, or the first bytes of it."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        sent = body if most is None else body[:most]
        self.wfile.write(sent)
        with self.server.registry.lock:
            if "/blobs/" in self.path:
                self.server.registry.served += len(sent)
        if most is not None:
            self.wfile.flush()
            self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: Scripted

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is what many tests are about."""


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Handler], object]


@dataclass
class Script:
    """An answer to the first so many requests whose path fits."""

    pattern: str
    answer: Answer
    times: int


@dataclass
class Scripted:
    """A registry of a test's own: good, but for the scripts. Of those that fit, the one given last counts."""

    address: str
    content: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    scripts: list[Script] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    #: What has arrived of the blobs whose uploads have not ended.
    uploads: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ranges: bool = True
    served: int = 0

    def add_blob(self, content: bytes, repository: str = "app") -> Digest:
        digest = Digest.of(content)
        self.content[f"/v2/{repository}/blobs/{digest}"] = ("application/octet-stream", content)
        return digest

    def add_manifest(
        self,
        document: dict[str, Any],
        media_type: str = OCI_MANIFEST,
        tag: str = "latest",
        repository: str = "app",
    ) -> Digest:
        content = json.dumps(document).encode()
        digest = Digest.of(content)
        for name in (tag, digest):
            self.content[f"/v2/{repository}/manifests/{name}"] = (media_type, content)
        return digest

    def add_image(
        self,
        *layers: bytes,
        platform: str = "linux/amd64",
        compress: Callable[[bytes], bytes] = gzip_compress,
        diff_ids: Sequence[Digest] | None = None,
        tag: str = "latest",
    ) -> Digest:
        """Give an image of uncompressed layer archives, and return the digest of its manifest."""
        system, architecture, *variant = platform.split("/")
        config = {
            "os": system,
            "architecture": architecture,
            "variant": "".join(variant),
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [Digest.of(layer) for layer in layers]},
            "config": {"Cmd": [platform]},
        }
        blobs = [json.dumps(config).encode(), *map(compress, layers)]
        types = [OCI_CONFIG, *[OCI_LAYER] * len(layers)]
        config_entry, *layer_entries = [
            {"mediaType": kind, "digest": self.add_blob(blob), "size": len(blob)}
            for kind, blob in zip(types, blobs, strict=True)
        ]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config_entry,
            "layers": layer_entries,
        }
        return self.add_manifest(document, tag=tag)

    def add_index(self, *platforms: str, tag: str = "latest") -> Digest:
        """Give an index with an image per platform, in which a file names it; return the index's digest."""
        entries = []
        for platform in platforms:
            digest = self.add_image(archive({"platform": platform.encode()}), platform=platform)
            names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
            size = len(self.content[f"/v2/app/manifests/{digest}"][1])
            entries.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": names})
        return self.add_manifest({"schemaVersion": 2, "manifests": entries}, OCI_INDEX, tag)

    def manifest_of(self, name: str, repository: str = "app") -> Any:
        """Return the manifest of a tag or digest, parsed."""
        return json.loads(self.content[f"/v2/{repository}/manifests/{name}"][1])

    def blob(self, digest: Digest, repository: str = "app") -> bytes:
        """Return a blob."""
        return self.content[f"/v2/{repository}/blobs/{digest}"][1]

    def script(self, pattern: str, answer: Answer, times: int = 1 << 30) -> None:
        """Answer the requests whose path fits, or "METHOD path" ("^PUT .*/manifests/"), in a way of their own."""
        self.scripts.insert(0, Script(pattern, answer, times))

    def once(self, pattern: str, answer: Answer, times: int = 1) -> None:
        """Answer the first request whose path fits in a way of its own."""
        self.script(pattern, answer, times)

    def answer(self, method: str, path: str) -> Answer:
        for script in self.scripts:
            fits = any(re.search(script.pattern, text) for text in (path, f"{method} {path}"))
            if script.times and fits:
                script.times -= 1
                return script.answer
        return Handler.serve

    def asked(self, method: str, pattern: str = "") -> list[str]:
        """The paths that were asked for with a method."""
        return [item.path for item in self.requests if item.method == method and re.search(pattern, item.path)]

    def paths(self, pattern: str) -> list[str]:
        return [request.path for request in self.requests if re.search(pattern, request.path)]


@contextmanager
def serve_scripted() -> Iterator[Scripted]:
    """Serve a scripted registry on loopback for the length of a `with` block."""
    server = Server(("127.0.0.1", 0), Handler)
    server.registry = Scripted(f"127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
