"""Builds in an engine of this process."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.host import CGROUP_PARENT
from transom.config import Config
from transom.engine import Engine
from transom.graph.model import Image
from transom.job import Aux, Message, Output

__all__ = ["Builder", "Built", "Files", "context", "running"]

Files = Mapping[str, "str | bytes | tarfile.TarInfo"]


def context(files: Files) -> io.BytesIO:
    """Return a build context of files: text, or what a tar has of a file that is not regular."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
                continue
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime, member.uid = len(data), 0o644, 1_000_000_000, 1234
            archive.addfile(member, io.BytesIO(data))
    return io.BytesIO(stream.getvalue())


@dataclass
class Built:
    """A build that is done: its image, and what it told."""

    image: Image
    messages: list[Message] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it printed."""
        return "".join(message.text for message in self.messages if isinstance(message, Output))

    @property
    def vertices(self) -> list[dict[str, Any]]:
        """What it told of its steps."""
        return _vertices(self.messages)

    @property
    def cached(self) -> list[str]:
        """The names of the steps whose results were there."""
        return [item["name"] for item in self.vertices if item.get("completed") and item.get("cached")]


def _vertices(messages: list[Message]) -> list[dict[str, Any]]:
    return [dict(item.value["vertex"]) for item in messages if isinstance(item, Aux) and "vertex" in item.value]


class Builder:
    """An engine with a busybox image, in which things are built."""

    def __init__(self, engine: Engine, busybox: str) -> None:
        self.engine = engine
        self.busybox = busybox
        #: What the last build told, also one that has failed.
        self.messages: list[Message] = []

    def build(self, text: str, files: Files | None = None, **parameters: Any) -> Built:
        """Build a Dockerfile, in which BASE is the busybox image, and return what that made."""
        text = text.replace("BASE", self.busybox)
        messages: list[Message] = []
        parameters = {"progress": "steps", **parameters}
        job = self.engine.job(
            "build", input=context({"Dockerfile": text, **(files or {})}), report=messages.append, **parameters
        )
        try:
            return Built(self.engine.images.get(job.run()), messages)
        finally:
            self.messages = messages

    def printed(self) -> str:
        """Return what the commands of the last build have printed."""
        return "".join(item["log"] for item in _vertices(self.messages) if item.get("log"))

    @contextmanager
    def tree(self, image: Image, driver: str = "") -> Iterator[Path]:
        """Mount an image's files."""
        driver = self.engine.graphdriver(driver)
        top = self.engine.layers.ensure(image, driver)
        assert top is not None
        with self.engine.layers.mounted(driver, top) as path:
            yield path

    def left(self) -> list[str]:
        """Return what no build should leave: containers, and layers of them."""
        snapshots = [node.name for node in self.engine.db.list("snapshot") if node.root]
        return [*snapshots, *(item.name for item in self.engine.containers.list())]


@contextmanager
def running(directory: Path, busybox: str, **config: Any) -> Iterator[Builder]:
    """Give an engine with its roots below a directory."""
    settings = Config(
        data_root=directory / "data",
        exec_root=directory / "exec",
        cgroup_parent=CGROUP_PARENT,
        network="none",
        **config,
    )
    with Engine(settings) as engine:
        engine.run("pull", reference=busybox)
        yield Builder(engine, busybox)
