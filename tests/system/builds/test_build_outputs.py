"""Where the results of builds go, and caches that other engines take over."""

from __future__ import annotations

import io
import json
import re
import socket
import tarfile
import urllib.request
from collections.abc import Iterator
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
        self.contexts: dict[str, bytes] = {}

    def secret(self, id: str) -> bytes | None:
        return None

    def open_ssh(self, id: str) -> socket.socket:
        raise NotFound(id)

    def context(self, name: str) -> IO[bytes]:
        return io.BytesIO(self.contexts[name])

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
        ({"cache_to": (CacheStore("registry", {"ref": "x", "mode": "most"}),)}, InvalidParameter, "min or max"),
        ({"cache_to": (CacheStore("registry", {"ref": "x", "image-manifest": "0"}),)}, Unsupported, "image-manifest"),
        ({"cache_to": (CacheStore("inline", {"mode": "max"}),)}, Unsupported, "which is mode=min"),
        ({"cache_to": (CacheStore("inline", {"ref": "x"}),)}, Unsupported, "attribute ref"),
        ({"cache_to": (CacheStore("local", {}),)}, InvalidParameter, "has opened no session"),
        (
            {"outputs": (BuildOutput("image", {"compression": "lz4"}),)},
            InvalidParameter,
            "unsupported compression type",
        ),
        ({"outputs": (BuildOutput("image", {"compression-level": "11"}),)}, InvalidParameter, "level 11 for gzip"),
        ({"outputs": (BuildOutput("image", {"compression-level": "x"}),)}, InvalidParameter, "non-integer value"),
        ({"outputs": (BuildOutput("image", {"force-compression": "x"}),)}, InvalidParameter, "non-bool value"),
        ({"contexts": {"base": "oci-layout://base"}}, InvalidParameter, "has opened no session"),
    ],
)
def test_what_cannot_be_is_refused(
    builder: Builder, parameters: dict[str, Any], error: type[TransomError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        build(builder, "FROM base\n" if "contexts" in parameters else DOCKERFILE, **parameters)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Builder]:
    with running(tmp_path_factory.mktemp("second"), registry.busybox) as builder:
        yield builder
        assert builder.left() == []


@pytest.fixture
def other(second: Builder) -> Builder:
    """Another engine, which knows of nothing that was built."""
    second.engine.run("build_prune", all=True)
    return second


STAGES = """\
FROM BASE AS tools
RUN head -c 20 /dev/urandom > /tool
RUN echo > /unused
FROM BASE
RUN head -c 20 /dev/urandom > /first
COPY --from=tools /tool /
WORKDIR /empty
"""


STEPS = re.findall("^(?:RUN|COPY|WORKDIR)", STAGES, re.MULTILINE)


def cache_of(builder: Builder, name: str) -> str:
    return f"{builder.busybox.partition('/')[0]}/cache-{name}:1"


def export(builder: Builder, text: str = STAGES, session: Outputs | None = None, **attributes: str) -> str:
    store = CacheStore(attributes.pop("type", "registry"), attributes)
    return build(builder, text, cache_to=(store,), session=session)


def diff_ids(builder: Builder, identity: str) -> tuple[str, ...]:
    return builder.engine.images.get(identity).diff_ids


def test_an_image_brings_the_cache_of_its_steps(builder: Builder, other: Builder) -> None:
    name = cache_of(builder, "inline")
    outputs = (BuildOutput("registry", {}),)
    identity = build(builder, outputs=outputs, tags=(name,), cache_to=(CacheStore("inline"),))
    built = other.build(DOCKERFILE + "RUN true\n", cache_from=(CacheStore("registry", {"ref": name}),))
    assert len(built.cached) == 1
    assert built.image.diff_ids == diff_ids(builder, identity)
    with pytest.raises(NotFound):
        other.engine.images.get(name)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_another_engine_takes_over_the_steps_of_a_cache(builder: Builder, other: Builder, mode: str) -> None:
    name = cache_of(builder, mode)
    identity = export(builder, ref=name, mode=mode)
    with pytest.raises(NotFound):
        builder.engine.images.get(name)
    built = other.build(STAGES, cache_from=(CacheStore("registry", {"ref": name}),))
    if mode == "min":
        # The stage that is not in the result is done again, so what is copied from it is another file.
        assert built.cached == ["[stage-1 2/4] RUN head -c 20 /dev/urandom > /first"]
        return
    assert len(built.cached) == len(STEPS)
    assert built.image.diff_ids == diff_ids(builder, identity)
    with other.tree(built.image) as tree:
        assert (tree / "tool").exists()
    assert len(other.build(STAGES).cached) == len(STEPS)


def test_only_what_a_build_needs_of_a_cache_is_fetched(builder: Builder, other: Builder) -> None:
    name = cache_of(builder, "lazy")
    text = "FROM BASE\nRUN head -c 300000 /dev/urandom > /random\nRUN echo > /last\n"
    identity = export(builder, text, ref=name)
    blobs = builder.engine.images.get(identity).blobs[-2:]
    other.build("FROM BASE\n", cache_from=(CacheStore("registry", {"ref": name}),))
    assert [other.engine.content.has(blob) for blob in blobs] == [False, False]
    assert len(other.build(text, cache_from=(CacheStore("registry", {"ref": name}),)).cached) == 2


def test_a_cache_in_a_directory_of_the_clients(builder: Builder, other: Builder) -> None:
    session = Outputs()
    identity = export(builder, type="local", stream="there", mode="max", session=session)
    layout = session.streams["there"].content
    assert {"oci-layout", "index.json"} < names(layout)
    session.contexts["here"] = layout
    built = other.build(STAGES, cache_from=(CacheStore("local", {"stream": "here"}),), session=session)
    assert (len(built.cached), built.image.diff_ids) == (len(STEPS), diff_ids(builder, identity))
    missing = (CacheStore("local", {"stream": "here", "tag": "none"}),)
    failed = other.build(STAGES, cache_from=missing, session=session, no_cache=True)
    assert any("the layout has no none" in str(item.get("status")) for item in failed.vertices)


def test_an_export_that_fails(builder: Builder) -> None:
    nowhere = "127.0.0.1:1/cache:1"
    with pytest.raises(TransomError):
        export(builder, ref=nowhere)
    assert export(builder, **{"ref": nowhere, "ignore-error": "true"})


def manifest(registry: Registry, name: str) -> dict[str, Any]:
    """Return a manifest as a registry has it."""
    path = f"http://{registry.address}/v2/{name}/manifests/1"
    accepted = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    with urllib.request.urlopen(urllib.request.Request(path, headers={"Accept": accepted})) as answer:
        return dict(json.load(answer))


@pytest.mark.parametrize("kind", ["zstd", "gzip", "uncompressed"])
def test_layers_have_the_compression_that_is_asked_for(
    builder: Builder, other: Builder, registry: Registry, kind: str
) -> None:
    level = {} if kind == "uncompressed" else {"compression-level": "7"}
    name = f"{builder.busybox.partition('/')[0]}/packed-{kind}:1"
    outputs = (BuildOutput("registry", {"compression": kind, **level}),)
    identity = build(builder, outputs=outputs, tags=(name,))
    ending = {"uncompressed": "tar"}.get(kind, f"tar+{kind}")
    types = [layer["mediaType"] for layer in manifest(registry, f"packed-{kind}")["layers"]]
    assert types[-1] == f"application/vnd.oci.image.layer.v1.{ending}"
    assert types[0].endswith("gzip")
    other.engine.run("pull", reference=name)
    image = other.engine.images.get(name)
    assert (image.id, image.diff_ids) == (identity, diff_ids(builder, identity))
    with other.tree(image) as tree:
        assert (tree / "kept").exists()


def test_all_layers_have_a_compression_that_is_forced(builder: Builder, registry: Registry) -> None:
    name = f"{builder.busybox.partition('/')[0]}/forced:1"
    attributes = {"compression": "zstd", "force-compression": "true"}
    build(builder, outputs=(BuildOutput("registry", attributes),), tags=(name,))
    assert {layer["mediaType"].rpartition("+")[2] for layer in manifest(registry, "forced")["layers"]} == {"zstd"}
    cache = cache_of(builder, "forced")
    export(builder, ref=cache, compression="zstd")
    assert {layer["mediaType"].rpartition("+")[2] for layer in manifest(registry, "cache-forced")["layers"]} == {"zstd"}


def test_a_manifest_in_dockers_media_types(builder: Builder, other: Builder, registry: Registry) -> None:
    name = f"{builder.busybox.partition('/')[0]}/dockers:1"
    identity = build(builder, outputs=(BuildOutput("registry", {"oci-mediatypes": "false"}),), tags=(name,))
    found = manifest(registry, "dockers")
    types = {found["mediaType"], found["config"]["mediaType"], *(layer["mediaType"] for layer in found["layers"])}
    assert all(kind.startswith("application/vnd.docker.") for kind in types)
    other.engine.run("pull", reference=name)
    assert other.engine.images.get(name).id == identity


def test_a_cache_that_is_not_there_is_no_error(builder: Builder) -> None:
    name = f"{builder.busybox.partition('/')[0]}/nothing:1"
    built = builder.build(DOCKERFILE, cache_from=(CacheStore("registry", {"ref": name}), CacheStore("inline")))
    assert any("failed to import the cache" in str(item.get("status")) for item in built.vertices)
