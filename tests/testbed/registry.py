"""A real registry, and images that other tools made."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

__all__ = ["Registry", "free_port"]

#: The annotation of an OCI layout's index that names an image.
_REFERENCE = "org.opencontainers.image.ref.name"


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Registry:
    """Debian's docker-registry on a port of loopback, with its files in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        #: The reference of the image that `push_busybox` brings.
        self.busybox = f"{self.address}/busybox:latest"

    def __enter__(self) -> Registry:
        configuration = self.directory / "registry.yml"
        configuration.write_text(
            "version: 0.1\n"
            f"storage: {{filesystem: {{rootdirectory: {self.directory / 'storage'}}}, delete: {{enabled: true}}}}\n"
            f'http: {{addr: "{self.address}"}}\n'
        )
        with open(self.directory / "registry.log", "wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        _wait_for_port(self.address, self._process)
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


def _wait_for_port(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    end = time.monotonic() + 30
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
