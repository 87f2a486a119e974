"""Loading images from archives, from those that are as they should be and from those that are not."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from testbed.image_archives import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    ImageParts,
    described,
    docker_archive,
    layer,
    oci_layout,
    pack,
)
from transom.engine import Engine
from transom.errors import Cancelled, InvalidParameter, NotFound, TransomError, Unsupported
from transom.graph.digest import Digest
from transom.graph.model import Platform
from transom.job import Message, Output, Progress

ONE, TWO = layer("one"), gzip.compress(layer("two"), mtime=0)
APP = ImageParts([ONE, TWO], ["docker.io/library/app:1"], labels={"key": "value"})


def load(engine: Engine, archive: bytes, **parameters: Any) -> list[Message]:
    """Load an archive; return what was reported."""
    heard: list[Message] = []
    engine.job("image_load", input=io.BytesIO(archive), report=heard.append, **parameters).run()
    return heard


def printed(heard: list[Message]) -> list[str]:
    return [line.text for line in heard if isinstance(line, Output)]


def files(engine: Engine, name: str) -> dict[str, str]:
    """The files of an image, as its graph driver shows them."""
    top = engine.layers.ensure(engine.images.get(name), "vfs")
    assert top is not None
    with engine.layers.mounted("vfs", top) as root:
        return {path.name: path.read_text() for path in root.iterdir()}


def everything(engine: Engine) -> tuple[Any, ...]:
    """All that there is, in the database and on the disk."""
    root = engine.config.data_root
    return (
        {(node.kind, node.name) for kind in ("image", "tag", "digest", "blob", "layer", "snapshot", "lease")
         for node in engine.db.list(kind)},
        sorted(path.name for path in (root / "content").rglob("*")),
        sorted(path.name for path in (root / "graph" / "vfs").glob("*")),
    )  # fmt: skip


@pytest.mark.parametrize("form", [docker_archive, oci_layout])
def test_an_image_is_loaded_with_its_name_its_layers_and_its_configuration(engine: Engine, form: Any) -> None:
    heard = load(engine, pack(form(APP)))
    assert printed(heard) == ["Loaded image: app:1\n"]
    image = engine.images.get("app:1")
    assert image.id == APP.id
    assert image.config.labels == {"key": "value"}
    assert list(image.blobs) == [Digest.of(ONE), Digest.of(TWO)]
    assert files(engine, "app:1") == {"one": "content", "two": "content"}
    assert engine.db.list("lease") == ()


def test_the_digest_of_a_layouts_manifest_stays_what_it_is(engine: Engine) -> None:
    load(engine, pack(oci_layout(APP)))
    manifest = engine.images.get("app:1").manifest
    assert manifest == Digest.of(APP.manifest)
    assert engine.content.read(manifest, 10_000) == APP.manifest


def test_each_layer_that_is_new_has_a_bar(engine: Engine) -> None:
    heard = load(engine, pack(docker_archive(APP)))
    bars = {line.subject: line for line in heard if isinstance(line, Progress)}
    assert set(bars) == {diff_id.hex[:12] for diff_id in APP.diff_ids}
    assert {line.status for line in bars.values()} == {"Loading layer"}
    assert not [line for line in load(engine, pack(docker_archive(APP))) if isinstance(line, Progress)]


def test_what_was_loaded_is_there_after_a_restart(open_engine: Callable[..., Engine]) -> None:
    load(open_engine(), pack(oci_layout(APP)))
    engine = open_engine()
    assert engine.images.get("app:1").id == APP.id
    assert files(engine, "app:1") == {"one": "content", "two": "content"}


def test_loading_is_an_event(engine: Engine) -> None:
    load(engine, pack(docker_archive(APP)))
    past, _ = engine.events.subscribe(lambda _: None, since=0)
    assert [(event.action, event.id, event.attributes) for event in past] == [
        ("load", APP.id, {"key": "value", "name": APP.id})
    ]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress, bz2.compress, lzma.compress])
def test_an_archive_may_be_compressed_as_a_whole(engine: Engine, compress: Callable[[bytes], bytes]) -> None:
    load(engine, compress(pack(oci_layout(APP))))
    assert files(engine, "app:1") == {"one": "content", "two": "content"}


def test_the_order_of_members_does_not_matter(engine: Engine) -> None:
    members = oci_layout(APP)
    load(engine, pack({f"./{name}": members[name] for name in reversed(members)}))
    assert files(engine, "app:1") == {"one": "content", "two": "content"}


def test_several_images_come_in_one_archive_and_share_layers(engine: Engine) -> None:
    other = ImageParts([ONE], ["other:1", "other:2"])
    heard = load(engine, pack(docker_archive(APP, other)))
    assert printed(heard) == ["Loaded image: app:1\n", "Loaded image: other:1\n", "Loaded image: other:2\n"]
    assert engine.images.get("other:2").id == other.id
    assert files(engine, "other:1") == {"one": "content"}


def test_an_image_without_a_name_is_called_by_its_id(engine: Engine) -> None:
    image = ImageParts([ONE])
    assert printed(load(engine, pack(oci_layout(image)))) == [f"Loaded image ID: {image.id}\n"]
    assert engine.images.names(engine.images.get(image.id)) == ()


def test_an_image_without_layers_is_one(engine: Engine) -> None:
    image = ImageParts([], ["empty:1"])
    load(engine, pack(docker_archive(image)))
    assert engine.images.get("empty:1").diff_ids == ()


def test_the_same_layer_twice_is_one_blob(engine: Engine) -> None:
    load(engine, pack(oci_layout(ImageParts([ONE, ONE], ["app:1"]))))
    assert files(engine, "app:1") == {"one": "content"}


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        ({"org.opencontainers.image.ref.name": "latest"}, []),
        ({"org.opencontainers.image.ref.name": "app:2"}, ["app:2"]),
        ({"org.opencontainers.image.ref.name": "host:5000/app"}, ["host:5000/app:latest"]),
        ({"io.containerd.image.name": "app", "org.opencontainers.image.ref.name": "x/y"}, ["app:latest"]),
        ({"io.containerd.image.name": "Not A Name"}, []),
        ({"io.containerd.image.name": "app@sha256:" + "0" * 64}, []),
        ({"io.containerd.image.name": 5}, []),
        ("nonsense", []),
    ],
)
def test_a_layout_names_images_in_annotations(engine: Engine, annotations: Any, names: list[str]) -> None:
    entry = described(APP.manifest, MANIFEST_TYPE, annotations=annotations)
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    load(engine, pack(oci_layout(APP, index=index)))
    assert [name.familiar for name in engine.images.names(engine.images.get(APP.id))] == names


def test_a_name_is_taken_from_the_image_that_had_it(engine: Engine) -> None:
    old = ImageParts([ONE], ["app:1"])
    load(engine, pack(docker_archive(old)))
    heard = load(engine, pack(docker_archive(APP)))
    assert printed(heard) == [
        f"The image app:1 already exists, renaming the old one with ID {old.id} to empty string\n",
        "Loaded image: app:1\n",
    ]
    assert engine.images.names(engine.images.get(old.id)) == ()


def test_what_is_here_is_not_stored_again(engine: Engine) -> None:
    load(engine, pack(oci_layout(APP)))
    before = everything(engine)
    load(engine, pack(oci_layout(APP)))
    load(engine, pack(docker_archive(APP)))
    assert everything(engine) == before


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_layer_may_be_a_link_to_another_one(engine: Engine, kind: bytes) -> None:
    target = "../a/layer.tar" if kind == tarfile.SYMTYPE else "a/layer.tar"
    image = ImageParts([ONE, ONE], ["app:1"])
    manifest = [{"Config": "config", "RepoTags": ["app:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]
    members = {
        "a/layer.tar": ONE,
        "b/layer.tar": link("b/layer.tar", target, kind),
        "config": image.config,
        "manifest.json": json.dumps(manifest).encode(),
    }
    load(engine, pack(members))
    assert files(engine, "app:1") == {"one": "content"}


# Platforms


def several_platforms(*images: ImageParts) -> bytes:
    """An index of images for several platforms, in a layout."""
    inner = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [
                described(image.manifest, MANIFEST_TYPE, platform={"os": image.os, "architecture": image.architecture})
                for image in images
            ],
        }
    ).encode()
    entry = described(inner, INDEX_TYPE, annotations={"io.containerd.image.name": "app:1"})
    members = oci_layout(*images, index=json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
    return pack({**members, f"blobs/sha256/{Digest.of(inner).hex}": inner})


def test_the_image_for_the_wanted_platform_is_loaded(engine: Engine) -> None:
    arm, amd = ImageParts([ONE], architecture="arm64"), ImageParts([TWO])
    archive = several_platforms(arm, amd)
    load(engine, archive, platform=Platform("linux", "arm64"))
    assert [image.id for image in engine.images.list()] == [arm.id]
    load(engine, archive, platform=Platform("linux", "amd64"))
    assert engine.images.get("app:1").id == amd.id


@pytest.mark.parametrize(
    "archive",
    [several_platforms(APP), pack(docker_archive(APP)), pack(oci_layout(APP))],
    ids=["index", "docker", "layout"],
)
def test_an_archive_without_the_wanted_platform_is_refused(engine: Engine, archive: bytes) -> None:
    with pytest.raises(NotFound, match=r"(platform|no matching manifest).*linux/s390x"):
        load(engine, archive, platform=Platform("linux", "s390x"))
    assert engine.images.list() == ()


def test_what_is_no_image_beside_one_is_left_out(engine: Engine) -> None:
    statement = ImageParts([ONE], architecture="unknown", os="unknown")
    entries = [
        described(APP.manifest, MANIFEST_TYPE, platform={"os": "linux", "architecture": Platform.here().architecture}),
        described(statement.manifest, MANIFEST_TYPE, platform={"os": "unknown", "architecture": "unknown"}),
    ]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    load(engine, pack(oci_layout(APP, statement, index=index)))
    assert [image.id for image in engine.images.list()] == [APP.id]


# What is wrong with archives


def device() -> tarfile.TarInfo:
    member = tarfile.TarInfo("null")
    member.type = tarfile.CHRTYPE
    return member


def without(members: dict[str, Any], part: str) -> dict[str, Any]:
    return {name: content for name, content in members.items() if part not in name}


def sparse(name: str, size: int) -> bytes:
    """A member of a huge size that has no data (GNU tar, "Storing Sparse Files", version 0.1)."""
    member = tarfile.TarInfo(name)
    member.pax_headers = {"GNU.sparse.size": str(size), "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""}
    return member.tobuf(tarfile.PAX_FORMAT)


def open_ended(members: dict[str, Any]) -> bytes:
    """An archive without the blocks of zeros at its end."""
    archive = pack(members)
    while not any(archive[-512:]):
        archive = archive[:-512]
    return archive


DOCKER, LAYOUT = docker_archive(APP), oci_layout(APP)
BLOB = f"blobs/sha256/{Digest.of(ONE).hex}"
LAYER = f"{Digest.of(ONE).hex}/layer.tar"


def docker_with(**changes: Any) -> bytes:
    (item,) = json.loads(DOCKER["manifest.json"])  # type: ignore[arg-type]
    return pack({**DOCKER, "manifest.json": json.dumps([{**item, **changes}]).encode()})


WRONG = {
    "nothing": (b"", "neither index.json nor manifest.json"),
    "zeros": (bytes(10240), "neither index.json nor manifest.json"),
    "other files": (pack({"hello": b"x"}), "neither index.json nor manifest.json"),
    "no archive": (b"nonsense" * 200, "the archive"),
    "cut off": (pack(LAYOUT)[:3000], "cut off"),
    "half a gzip stream": (gzip.compress(pack(LAYOUT))[:-200], "damaged|cut off"),
    "a member that leads out": (pack({**LAYOUT, "../evil": b"x"}), r"'\.\./evil' leads out of it"),
    "a deep member that leads out": (pack({**LAYOUT, "a/../../evil": b"x"}), "leads out of it"),
    "a link that leads out": (pack({**DOCKER, "l": link("l", "../../etc/passwd")}), "leads out of it"),
    "a hard link that leads out": (pack({**DOCKER, "l": link("l", "../x", tarfile.LNKTYPE)}), "leads out of it"),
    "a device": (pack({**LAYOUT, "null": device()}), "neither a file nor a directory nor a link"),
    "a sparse member": (sparse("huge", 1 << 60) + pack(LAYOUT), "'huge' is a sparse file"),
    "two members of a name": (open_ended(LAYOUT) + pack({"index.json": b"{}"}), "two members of the name"),
    "a damaged blob": (pack({**LAYOUT, BLOB: ONE[:-1] + b"x"}), "has the digest .* damaged"),
    "a missing blob": (pack(without(LAYOUT, BLOB)), "it has no blobs/sha256/"),
    "a missing layer": (pack(without(DOCKER, LAYER)), "it has no .*layer.tar"),
    "a layer that is a loop of links": (
        pack({**without(DOCKER, LAYER), LAYER: link(LAYER, "layer.tar")}),
        "leads to no file",
    ),
    "a dangling link": (pack({**without(DOCKER, LAYER), LAYER: link(LAYER, "x")}), "it has no"),
    "another layer": (pack({**DOCKER, LAYER: layer("other")}), "the layer's content has the digest"),
    "a layer that is no archive": (pack({**DOCKER, LAYER: b"x" * 2000}), "the archive"),
    "fewer layers": (docker_with(Layers=[LAYER]), "layers length mismatch: expected 1, got 2"),
    "a configuration that is none": (pack({**DOCKER, f"{APP.id.hex}.json": b"[]"}), "not a JSON object"),
    "no configuration": (docker_with(Config=None), "an image without a Config"),
    "layers that are no names": (docker_with(Layers=[1]), "Layers that are not a list of strings"),
    "a tag that is none": (docker_with(RepoTags=["App:1"]), "must be lowercase"),
    "a tag without a tag": (docker_with(RepoTags=["app"]), "which is none"),
    "a layer outside": (docker_with(Layers=["../x", "y"]), "leads out of it"),
    "no list": (pack({**DOCKER, "manifest.json": b"{}"}), "not a list of images"),
    "null": (pack({**DOCKER, "manifest.json": b"null"}), "not a list of images"),
    "no JSON": (pack({**DOCKER, "manifest.json": b"["}), "not JSON"),
    "an index that is none": (pack({**LAYOUT, "index.json": APP.manifest}), "is not an index"),
    "an index without sense": (pack({**LAYOUT, "index.json": b"[]"}), "not a JSON object"),
    "a large document": (pack({**DOCKER, "manifest.json": b" " * (5 << 20)}), "more than the 4194304 allowed"),
    "another size": (
        pack(
            oci_layout(
                APP,
                index=json.dumps(
                    {"schemaVersion": 2, "manifests": [{**described(APP.manifest, MANIFEST_TYPE), "size": 5}]}
                ).encode(),
            )
        ),
        "bytes instead of 5",
    ),
    "another system": (pack(docker_archive(ImageParts([ONE], os="windows"))), "cannot load windows image on linux"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_one_sentence_and_changes_nothing(engine: Engine, wrong: str) -> None:
    load(engine, pack(docker_archive(ImageParts([TWO], ["app:1"]))))
    before = everything(engine)
    archive, message = WRONG[wrong]
    with pytest.raises(InvalidParameter, match=message) as caught:
        load(engine, archive)
    assert "\n" not in str(caught.value)
    assert everything(engine) == before


def test_an_archive_with_one_good_and_one_bad_image_changes_nothing(engine: Engine) -> None:
    before = everything(engine)
    members = docker_archive(ImageParts([TWO], ["good:1"]), APP)
    with pytest.raises(InvalidParameter, match="the layer's content has the digest"):
        load(engine, pack({**members, LAYER: layer("other")}))
    assert everything(engine) == before


def test_a_blob_that_is_not_of_a_layer_that_is_here_is_refused(engine: Engine) -> None:
    load(engine, pack(docker_archive(ImageParts([ONE], ["app:1"]))))
    before = everything(engine)
    # The layer is here, so its blob would not be unpacked; it is looked at all the same.
    lying = {**docker_archive(APP), LAYER: gzip.compress(layer("other"))}
    with pytest.raises(InvalidParameter, match="the layer's content has the digest"):
        load(engine, pack(lying))
    assert everything(engine) == before


def test_the_format_before_docker_1_10_is_refused(engine: Engine) -> None:
    archive = pack({"abc/json": b"{}", "abc/layer.tar": ONE, "repositories": b"{}"})
    with pytest.raises(Unsupported, match=r"Docker versions before 1\.10"):
        load(engine, archive)


def test_an_artifact_is_no_image(engine: Engine) -> None:
    chart = APP.manifest.replace(
        b"application/vnd.oci.image.config.v1+json", b"application/vnd.cncf.helm.config.v1+json"
    )
    index = json.dumps({"schemaVersion": 2, "manifests": [described(chart, MANIFEST_TYPE)]}).encode()
    members = {**oci_layout(APP, index=index), f"blobs/sha256/{Digest.of(chart).hex}": chart}
    with pytest.raises(Unsupported, match="not a container image"):
        load(engine, pack(members))
    assert engine.images.list() == ()


def test_a_client_that_goes_away_leaves_nothing(engine: Engine) -> None:
    before = everything(engine)

    class Cut(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = io.BytesIO(pack(oci_layout(APP))[:8000])

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            size = self.rest.readinto(buffer)
            if not size:
                raise Cancelled("the client is gone")
            return size

    with pytest.raises(Cancelled):
        engine.job("image_load", input=io.BufferedReader(Cut())).run()  # type: ignore[arg-type]
    assert everything(engine) == before


@pytest.mark.parametrize("point", ["members", "commit", "unpack", "publish"])
def test_an_engine_that_dies_leaves_no_half_image(
    open_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    engine = open_engine()
    empty = everything(engine)

    class Killed(BaseException):
        """What nothing catches and cleans up after, as nothing does after `kill -9`."""

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    targets = {
        "members": "transom_images.loading.find_offers",
        "commit": "transom_images.loading.Crew.run",
        "unpack": "transom.graph.images.ImageStore.publish",
        "publish": "transom.events.Events.record",
    }
    with monkeypatch.context() as patched:
        patched.setattr(targets[point], die)
        # None of the ends of `with` blocks comes to pass.
        patched.setattr("transom.graph.images.ImageStore._close_lease", lambda *_, **__: None)
        patched.setattr("transom.graph.draft.Draft.discard", lambda _: None)
        patched.setattr("transom.graph.images.ImageStore.collect_garbage", lambda _: None)
        with pytest.raises(Killed):
            load(engine, pack(oci_layout(APP)))
    engine = open_engine()
    if point == "publish":
        assert [str(tag) for tag in engine.images.tags(engine.images.get(APP.id))] == list(APP.names)
        assert files(engine, APP.id) == {"one": "content", "two": "content"}
        engine.images.remove(APP.id, force=True)
        engine.images.collect_garbage()
    assert everything(engine) == empty


def test_an_error_is_of_the_kind_that_is_shown(engine: Engine) -> None:
    with pytest.raises(TransomError) as caught:
        engine.job("image_load").run()
    assert caught.value.status == 400
