"""A real registry, and images that other tools made."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from testbed.certificates import Signed
from testbed.tokens import Tokens

__all__ = ["Registry", "free_port", "wait_for_port"]

#: The annotation of an OCI layout's index that names an image.
_REFERENCE = "org.opencontainers.image.ref.name"


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Registry:
    """Debian's docker-registry on a port of loopback, or of another address, with its files in a directory.

    With `signed` it speaks TLS, and with `authority` only to clients that this has signed. `users` have passwords;
    or `tokens` says who may do what.
    """

    def __init__(
        self,
        directory: Path,
        host: str = "127.0.0.1",
        *,
        signed: Signed | None = None,
        authority: Path | None = None,
        users: Mapping[str, str] | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.directory = directory
        self.address = f"{host}:{free_port()}"
        self._http: dict[str, Any] = {"addr": self.address}
        self._auth: dict[str, Any] = {}
        if signed is not None:
            self._http["tls"] = {"certificate": str(signed.certificate), "key": str(signed.key)}
            if authority is not None:
                self._http["tls"]["clientcas"] = [str(authority)]
        if users is not None:
            passwords = directory / "htpasswd"
            passwords.write_text("".join(f"{name}:{_bcrypt(password)}\n" for name, password in users.items()))
            self._auth = {"htpasswd": {"realm": "the tests", "path": str(passwords)}}
        if tokens is not None:
            self._auth = {"token": tokens.configuration()}
        #: The reference of the image that `push_busybox` brings.
        self.busybox = f"{self.address}/busybox:latest"

    def __enter__(self) -> Registry:
        configuration = self.directory / "registry.yml"
        storage = {"filesystem": {"rootdirectory": str(self.directory / "storage")}, "delete": {"enabled": True}}
        settings = {"version": "0.1", "storage": storage, "http": self._http, "auth": self._auth}
        # JSON is YAML.
        configuration.write_text(json.dumps({name: value for name, value in settings.items() if value}))
        with open(self.directory / "registry.log", "wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        wait_for_port(self.address, self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def push_busybox(self) -> None:
        """Make the busybox image with umoci, and bring it with skopeo."""
        layout, bundle = self.directory / "layout", self.directory / "bundle"
        _run("umoci", "init", "--layout", str(layout))
        _run("umoci", "new", "--image", f"{layout}:busybox")
        _run("umoci", "unpack", "--image", f"{layout}:busybox", str(bundle))
        _make_busybox_tree(bundle / "rootfs")
        _run("umoci", "repack", "--image", f"{layout}:busybox", str(bundle))
        _run(
            "umoci",
            "config",
            "--image",
            f"{layout}:busybox",
            "--config.cmd=sh",
            "--config.env=FROM_IMAGE=yes",
            "--config.label=maker=umoci",
        )
        self.push(f"oci:{layout}:busybox", "busybox:latest")

    def save_busybox(self, archive: Path) -> None:
        """Write the busybox image into an archive as Docker does."""
        archive.unlink(missing_ok=True)
        source = f"docker://{self.busybox}"
        _run(
            "skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", source, f"docker-archive:{archive}:base:1"
        )

    def push_configured(self, name: str, config: dict[str, object]) -> str:
        """Bring busybox with more in its configuration, which no tool writes: Docker's own fields."""
        source, target = self.directory / "layout", self.directory / f"layout-{name}"
        shutil.copytree(source, target)
        index = json.loads((target / "index.json").read_text())
        [entry] = [item for item in index["manifests"] if item["annotations"][_REFERENCE] == "busybox"]
        manifest = json.loads(_blob(target, entry).read_text())
        content = json.loads(_blob(target, manifest["config"]).read_text())
        content["config"].update(config)
        manifest["config"].update(_write_blob(target, content))
        entry.update(_write_blob(target, manifest))
        (target / "index.json").write_text(json.dumps({**index, "manifests": [entry]}))
        return self.push(f"oci:{target}:busybox", f"{name}:latest")

    def push_files(self, name: str, layers: list[bytes]) -> str:
        """Make an image of busybox and one layer per content, `/file0`, `/file1` …, and bring it here."""
        layout = self.directory / "layout"
        tag = f"{layout}:{name}"
        _run("umoci", "tag", "--image", f"{layout}:busybox", name)
        for index, content in enumerate(layers):
            bundle = self.directory / f"{name}-{index}"
            _run("umoci", "unpack", "--image", tag, str(bundle))
            (bundle / "rootfs" / f"file{index}").write_bytes(content)
            _run("umoci", "repack", "--image", tag, str(bundle))
            shutil.rmtree(bundle)
        return self.push(f"oci:{tag}", f"{name}:latest")

    def push_tree(self, name: str, fill: Callable[[Path], None]) -> str:
        """Make an image of busybox and what `fill` puts into a tree, and bring it here."""
        layout, bundle = self.directory / "layout", self.directory / f"{name}-bundle"
        tag = f"{layout}:{name}"
        _run("umoci", "tag", "--image", f"{layout}:busybox", name)
        _run("umoci", "unpack", "--image", tag, str(bundle))
        fill(bundle / "rootfs")
        _run("umoci", "repack", "--image", tag, str(bundle))
        shutil.rmtree(bundle)
        return self.push(f"oci:{tag}", f"{name}:latest")

    def push(self, source: str, name: str) -> str:
        """Bring an image from any place that skopeo knows, and return its reference here."""
        target = f"{self.address}/{name}"
        _run("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", source, f"docker://{target}")
        return target


def _blob(layout: Path, descriptor: dict[str, str]) -> Path:
    return layout / "blobs" / descriptor["digest"].replace(":", "/")


def _write_blob(layout: Path, value: object) -> dict[str, object]:
    """Put a JSON value into a layout, and return what a descriptor says of it."""
    content = json.dumps(value).encode()
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def _bcrypt(password: str) -> str:
    """Return a password as htpasswd has it; libcrypt, which knows the way, is reached through Perl."""
    script = "print crypt($ARGV[0], q($2b$05$) . q(abcdefghijklmnopqrstuu))"
    return subprocess.run(["perl", "-e", script, password], capture_output=True, text=True, check=True).stdout


def _make_busybox_tree(root: Path) -> None:
    for directory in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "data"):
        (root / directory).mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    applets = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        link = root / "bin" / applet
        if not link.exists():
            link.symlink_to("busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nusers:x:100:alice\nalice:x:1000:\nnogroup:x:65534:\n")
    (root / "data/from-image").write_text("content of the image\n")


def wait_for_port(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program that was started listens at an address. Raises `OSError` if it ends, or never does."""
    host, _, port = address.partition(":")
    end = time.monotonic() + 120
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
