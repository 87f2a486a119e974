"""Where the results of builds go, and caches that other engines take over."""

from __future__ import annotations

import io
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from testbed.builds import Builder, context, running
from testbed.registry import Registry
from transom.builds import BuildOutput, CacheStore
from transom.errors import InvalidParameter, NotFound, TransomError, Unsupported

DOCKERFILE = "FROM BASE\nRUN echo > /kept && date +%N > /time\nENV A=b\n"


class Kept(io.BytesIO):
    """A stream that what was written to it can be read from after it was closed."""

    content = b""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


class Outputs:
    """A client that wants results."""

    def __init__(self) -> None:
        self.streams: dict[str, Kept] = {}

    def secret(self, id: str) -> bytes | None:
        return None

    def open_ssh(self, id: str) -> socket.socket:
        raise NotFound(id)

    def context(self, name: str) -> IO[bytes]:
        raise NotFound(name)

    def output(self, name: str) -> IO[bytes]:
        return self.streams.setdefault(name, Kept())


def names(content: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return set(archive.getnames())


def build(builder: Builder, dockerfile: str = DOCKERFILE, **parameters: Any) -> str:
    text = dockerfile.replace("BASE", builder.busybox)
    job = builder.engine.job("build", input=context({"Dockerfile": text, "f": "x"}), progress="steps", **parameters)
    result: str = job.run()
    return result


def images(builder: Builder) -> set[str]:
    return {image.id for image in builder.engine.images.list()}


@pytest.mark.parametrize("kind", ["local", "tar"])
def test_files_go_to_the_client_and_no_image_is_made(builder: Builder, kind: str) -> None:
    before, session = images(builder), Outputs()
    identity = build(
        builder, "FROM scratch\nCOPY f /d/\n", outputs=(BuildOutput(kind, {}, "0"),), session=session, tags=("files",)
    )
    assert identity == ""
    assert names(session.streams["0"].content) == {"d", "d/f"}
    assert images(builder) == before


@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_an_archive_is_one_that_can_be_loaded(builder: Builder, kind: str) -> None:
    session = Outputs()
    identity = build(
        builder, outputs=(BuildOutput(kind, {"name": "archived:1"}, "0"),), session=session, tags=("other:2",)
    )
    builder.engine.run("image_remove", name=identity, force=True)
    builder.engine.job("image_load", input=io.BytesIO(session.streams["0"].content)).run()
    assert builder.engine.images.get("archived:1").id == builder.engine.images.get("other:2").id == identity


def test_several_outputs_of_one_build(builder: Builder) -> None:
    session = Outputs()
    outputs = (BuildOutput("image", {"name": "one,two"}), BuildOutput("tar", {}, "1"))
    identity = build(builder, outputs=outputs, session=session)
    assert {builder.engine.images.get(name).id for name in ("one", "two")} == {identity}
    assert "kept" in names(session.streams["1"].content)


def test_an_image_is_pushed(builder: Builder, registry: Registry) -> None:
    name = f"{builder.busybox.partition('/')[0]}/pushed:1"
    identity = build(builder, outputs=(BuildOutput("registry", {}),), tags=(name,))
    builder.engine.run("image_remove", name=name, force=True)
    builder.engine.run("pull", reference=name)
    assert builder.engine.images.get(name).id == identity


@pytest.mark.parametrize(
    ("parameters", "error", "problem"),
    [
        ({"outputs": (BuildOutput("what", {}),)}, InvalidParameter, "invalid output type 'what'"),
        ({"outputs": (BuildOutput("local", {}),)}, InvalidParameter, "needs a destination"),
        ({"outputs": (BuildOutput("tar", {}, "0"),)}, InvalidParameter, "has opened no session"),
        ({"outputs": (BuildOutput("registry", {}),)}, InvalidParameter, "tag is needed"),
        ({"cache_from": (CacheStore("gha", {}),)}, Unsupported, "cannot be imported"),
        ({"cache_to": (CacheStore("registry", {}),)}, InvalidParameter, "ref is needed"),
        ({"cache_to": (CacheStore("registry", {"ref": "x", "mode": "max"}),)}, Unsupported, "mode=min"),
        ({"contexts": {"base": "oci-layout://base"}}, InvalidParameter, "has opened no session"),
    ],
)
def test_what_cannot_be_is_refused(
    builder: Builder, parameters: dict[str, Any], error: type[TransomError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        build(builder, "FROM base\n" if "contexts" in parameters else DOCKERFILE, **parameters)


@pytest.fixture
def other(tmp_path: Path, registry: Registry) -> Iterator[Builder]:
    """Another engine, which has built nothing."""
    with running(tmp_path, registry.busybox) as builder:
        yield builder


@pytest.mark.parametrize("kind", ["inline", "registry"])
def test_another_engine_takes_over_what_was_exported(builder: Builder, other: Builder, kind: str) -> None:
    name = f"{builder.busybox.partition('/')[0]}/cache-{kind}:1"
    if kind == "inline":
        identity = build(
            builder, outputs=(BuildOutput("registry", {}),), tags=(name,), cache_to=(CacheStore("inline"),)
        )
    else:
        identity = build(builder, cache_to=(CacheStore("registry", {"ref": name}),))
        with pytest.raises(NotFound):
            builder.engine.images.get(name)
    built = other.build(DOCKERFILE + "RUN true\n", cache_from=(CacheStore("registry", {"ref": name}),))
    assert len(built.cached) == 1
    assert built.image.diff_ids == builder.engine.images.get(identity).diff_ids
    with pytest.raises(NotFound):
        other.engine.images.get(name)


def test_a_cache_that_is_not_there_is_no_error(builder: Builder) -> None:
    name = f"{builder.busybox.partition('/')[0]}/nothing:1"
    built = builder.build(DOCKERFILE, cache_from=(CacheStore("registry", {"ref": name}), CacheStore("inline")))
    assert any("failed to import the cache" in str(item.get("status")) for item in built.vertices)
