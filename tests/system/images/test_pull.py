"""Pulling images, from registries that behave and from those that do not."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from testbed.scripted import OCI_MANIFEST, Handler, Scripted, archive
from transom.engine import Engine
from transom.errors import (
    Cancelled,
    CorruptContent,
    InvalidParameter,
    NotFound,
    RegistryError,
    TransomError,
    Unsupported,
)
from transom.graph.digest import Digest
from transom.job import Progress

BIG = archive({"big": hashlib.shake_256(b"big").digest(2 << 20)})
SMALL = archive({"small": b"small\n"})


def pull(engine: Engine, scripted: Scripted, **parameters: Any) -> tuple[Digest, list[Progress]]:
    """Pull the scripted registry's image; return the digest and what was reported."""
    heard: list[Progress] = []
    parameters = {"reference": f"{scripted.address}/app"} | parameters
    return engine.job("pull", report=heard.append, **parameters).run(), heard


def statuses(heard: list[Progress], subject: str) -> list[str]:
    """What was said of a subject, without repetitions."""
    said = [line.status for line in heard if line.subject == subject]
    return [status for status, _ in itertools.groupby(said)]


def tree(engine: Engine, scripted: Scripted, name: str = "app") -> dict[str, bytes]:
    """The files of a pulled image, as its graph driver shows them."""
    image = engine.images.get(f"{scripted.address}/{name}")
    layer = engine.layers.ensure(image, "vfs")
    if layer is None:
        return {}
    with engine.layers.mounted("vfs", layer) as root:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def nothing_is_listed(engine: Engine) -> bool:
    return engine.images.list() == ()


def test_an_image_arrives_with_all_its_layers(engine: Engine, scripted: Scripted) -> None:
    digest = scripted.add_image(BIG, SMALL)
    pulled, _ = pull(engine, scripted)
    assert pulled == digest
    assert tree(engine, scripted) == {"big": hashlib.shake_256(b"big").digest(2 << 20), "small": b"small\n"}
    image = engine.images.get(f"{scripted.address}/app@{digest}")
    assert image.manifest == digest
    assert image.sizes == (2 << 20, 6)


def test_the_progress_is_what_dockers_clients_draw(engine: Engine, scripted: Scripted) -> None:
    digest = scripted.add_image(SMALL)
    _, heard = pull(engine, scripted)
    layer = Digest.of(gzip.compress(SMALL, mtime=0)).hex[:12]
    assert (heard[0].status, heard[0].subject) == ("Pulling from app", "latest")
    assert statuses(heard, layer) == [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]
    assert [line.status for line in heard[-2:]] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {scripted.address}/app:latest",
    ]


def test_a_pull_is_told_as_an_event(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL)
    pull(engine, scripted)
    past, _ = engine.events.subscribe(lambda _: None, since=0)
    assert [(event.type, event.action, event.id, event.attributes) for event in past] == [
        ("image", "pull", f"{scripted.address}/app:latest", {"name": f"{scripted.address}/app"})
    ]


def test_an_image_that_is_there_is_not_downloaded_again(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(BIG, SMALL)
    pull(engine, scripted)
    asked = len(scripted.paths("/blobs/"))
    _, heard = pull(engine, scripted)
    assert heard[-1].status == f"Status: Image is up to date for {scripted.address}/app:latest"
    assert [line for line in heard if line.subject not in ("", "latest")] == []
    assert len(scripted.paths("/blobs/")) == asked


def test_a_tag_that_moved_is_pulled_anew_and_shares_what_is_the_same(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(BIG)
    pull(engine, scripted)
    scripted.add_image(BIG, SMALL)
    _, heard = pull(engine, scripted)
    assert heard[-1].status.startswith("Status: Downloaded newer image")
    assert len(scripted.paths("/blobs/")) == 4
    assert "small" in tree(engine, scripted)


def test_a_blob_that_is_two_layers_is_downloaded_once(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL, BIG, SMALL)
    pull(engine, scripted)
    assert len(scripted.paths("/blobs/")) == 3
    assert len(engine.images.get(f"{scripted.address}/app").chain_ids) == 3


@pytest.mark.parametrize("compress", [bytes, zstandard.compress, gzip.compress])
def test_layers_are_read_however_they_are_compressed(
    engine: Engine, scripted: Scripted, compress: Callable[[bytes], bytes]
) -> None:
    scripted.add_image(SMALL, compress=compress)
    pull(engine, scripted)
    assert tree(engine, scripted) == {"small": b"small\n"}


def test_an_image_without_layers_is_an_image(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image()
    pull(engine, scripted)
    assert tree(engine, scripted) == {}


def test_an_image_is_pulled_by_digest(engine: Engine, scripted: Scripted) -> None:
    digest = scripted.add_image(SMALL)
    name = f"{scripted.address}/app@{digest}"
    pulled, heard = pull(engine, scripted, reference=name)
    assert pulled == digest
    assert heard[0].subject == digest
    assert heard[-1].status == f"Status: Downloaded newer image for {name}"
    assert pull(engine, scripted, tag=digest)[1][-1].status == f"Status: Image is up to date for {name}"
    with pytest.raises(NotFound):
        engine.images.get(f"{scripted.address}/app:latest")


def test_all_tags_of_a_repository_are_pulled(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL, tag="one")
    scripted.add_image(BIG, tag="two")
    scripted.content["/v2/app/tags/list"] = ("application/json", b'{"tags": ["one"]}')
    scripted.content["/v2/app/tags/list?last=one"] = ("application/json", b'{"tags": ["two"]}')
    link = {"Link": '</v2/app/tags/list?last=one>; rel="next"'}
    scripted.once("/tags/list$", lambda handler: handler.reply(200, b'{"tags": ["one"]}', link))
    pull(engine, scripted, all_tags=True)
    assert tree(engine, scripted, "app:one") == {"small": b"small\n"}
    assert set(tree(engine, scripted, "app:two")) == {"big"}


def test_all_tags_and_one_tag_are_a_contradiction(engine: Engine, scripted: Scripted) -> None:
    with pytest.raises(InvalidParameter):
        pull(engine, scripted, tag="one", all_tags=True)
    assert scripted.requests == []


# Platforms


def test_the_image_for_the_asked_platform_is_chosen_from_an_index(engine: Engine, scripted: Scripted) -> None:
    digest = scripted.add_index("linux/amd64", "linux/arm64/v8", "windows/amd64")
    pulled, _ = pull(engine, scripted, platform="linux/arm64")
    assert pulled == digest
    assert tree(engine, scripted) == {"platform": b"linux/arm64/v8"}


def test_an_index_without_the_platform_is_an_error(engine: Engine, scripted: Scripted) -> None:
    scripted.add_index("linux/amd64")
    with pytest.raises(NotFound, match=r"^no matching manifest for linux/s390x in the manifest list entries$"):
        pull(engine, scripted, platform="linux/s390x")


def test_an_image_for_another_platform_than_the_asked_one_is_refused(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL, platform="linux/amd64")
    with pytest.raises(NotFound, match=r"platform \(linux/amd64\) does not match the specified platform"):
        pull(engine, scripted, platform="linux/arm64")
    assert nothing_is_listed(engine)


def test_a_bad_platform_is_refused_before_anything_is_asked(engine: Engine, scripted: Scripted) -> None:
    with pytest.raises(InvalidParameter):
        pull(engine, scripted, platform="linux/amd64/v1/x")
    assert scripted.requests == []


# Lies and nonsense


def test_a_tag_that_does_not_exist_is_an_error_in_dockers_words(engine: Engine, scripted: Scripted) -> None:
    with pytest.raises(NotFound) as caught:
        pull(engine, scripted, tag="nope")
    assert str(caught.value) == (
        f"manifest for {scripted.address}/app:nope not found: manifest unknown: manifest unknown"
    )


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(engine: Engine, scripted: Scripted) -> None:
    digest = scripted.add_image(SMALL)
    scripted.script("/manifests/", lambda handler: handler.give(change=lambda body: body + b" "))
    with pytest.raises(CorruptContent, match="verification failed"):
        pull(engine, scripted, tag=digest)
    assert nothing_is_listed(engine)


def test_a_manifest_that_is_not_what_the_header_says_is_refused(engine: Engine, scripted: Scripted) -> None:
    scripted.script(
        "/manifests/",
        lambda handler: handler.reply(200, b"{}", {"Docker-Content-Digest": Digest.of(b"other")}),
    )
    with pytest.raises(CorruptContent, match="verification failed"):
        pull(engine, scripted)


def test_a_manifest_of_another_size_than_the_index_says_is_refused(engine: Engine, scripted: Scripted) -> None:
    scripted.add_index("linux/amd64")
    kind, index = scripted.content["/v2/app/manifests/latest"]
    document = json.loads(index)
    document["manifests"][0]["size"] += 1
    scripted.add_manifest(document, kind)
    with pytest.raises(CorruptContent, match="bytes instead of"):
        pull(engine, scripted, platform="linux/amd64")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"<html>welcome to the hotel</html>",
        b"[]",
        b'{"schemaVersion": 2}',
        b"\xff" * 100,
        b"[" * 9999,
    ],
)
def test_nonsense_in_place_of_a_manifest_is_an_error(engine: Engine, scripted: Scripted, body: bytes) -> None:
    scripted.script("/manifests/", lambda handler: handler.reply(200, body, {"Content-Type": OCI_MANIFEST}))
    with pytest.raises(CorruptContent, match=f"^cannot pull {scripted.address}/app:latest: "):
        pull(engine, scripted)


def test_a_manifest_of_a_gigabyte_is_not_read(engine: Engine, scripted: Scripted) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    scripted.script("/manifests/", endless)
    with pytest.raises(RegistryError, match="longer than"):
        pull(engine, scripted)


def test_an_index_that_leads_to_itself_is_an_error(engine: Engine, scripted: Scripted) -> None:
    scripted.add_index("linux/amd64")
    outer = scripted.content["/v2/app/manifests/latest"][1]
    platform = {"os": "linux", "architecture": "amd64"}
    for _ in range(5):
        kind = "application/vnd.oci.image.index.v1+json"
        entry = {"mediaType": kind, "digest": Digest.of(outer), "size": len(outer), "platform": platform}
        scripted.add_manifest({"schemaVersion": 2, "manifests": [entry]}, kind)
        outer = scripted.content["/v2/app/manifests/latest"][1]
    with pytest.raises(CorruptContent, match="other indexes"):
        pull(engine, scripted, platform="linux/amd64")


@pytest.mark.parametrize("config", [b"", b"{}", b"[]", b'{"rootfs": 7}', b'{"rootfs": {"diff_ids": ["x"]}}'])
def test_nonsense_in_place_of_a_configuration_is_an_error(engine: Engine, scripted: Scripted, config: bytes) -> None:
    scripted.add_image(SMALL)
    kind, content = scripted.content["/v2/app/manifests/latest"]
    document = json.loads(content)
    document["config"] |= {"digest": scripted.add_blob(config), "size": len(config)}
    scripted.add_manifest(document, kind)
    with pytest.raises(CorruptContent):
        pull(engine, scripted)
    assert nothing_is_listed(engine)


def test_a_layer_that_does_not_have_its_diff_id_is_refused(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL, BIG, diff_ids=[Digest.of(SMALL), Digest.of(b"other")])
    with pytest.raises(CorruptContent):
        pull(engine, scripted)
    assert nothing_is_listed(engine)
    assert len(list((engine.config.data_root / "graph/vfs").glob("[0-9a-f]*"))) == 1


def test_a_corrupt_layer_is_refused_and_the_old_image_stays(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL)
    pull(engine, scripted)
    scripted.add_image(SMALL, BIG)
    scripted.script("/blobs/", lambda handler: handler.give(change=lambda body: body[:-9] + b"corrupted"))
    with pytest.raises(CorruptContent, match="verification failed"):
        pull(engine, scripted)
    assert tree(engine, scripted) == {"small": b"small\n"}


def test_a_chart_is_refused(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL)
    kind, content = scripted.content["/v2/app/manifests/latest"]
    document = json.loads(content)
    document["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    scripted.add_manifest(document, kind)
    with pytest.raises(Unsupported, match="not a container image"):
        pull(engine, scripted)


@pytest.mark.parametrize(
    ("reference", "tag"), [("app/UPPER", ""), ("", ""), ("a b", ""), ("app", "no tag"), ("app", "sha256:12")]
)
def test_a_bad_reference_is_refused(engine: Engine, reference: str, tag: str) -> None:
    with pytest.raises(InvalidParameter):
        engine.run("pull", reference=reference, tag=tag)


def test_a_failing_manifest_is_asked_for_again(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(SMALL)
    scripted.once("/manifests/", lambda handler: handler.reply(503))
    pull(engine, scripted)
    assert len(scripted.paths("/manifests/")) == 2


# Interruptions


def hold(reached: threading.Event, release: threading.Event) -> Callable[[Handler], None]:
    """An answer that stops in the middle until it is released."""

    def answer(handler: Handler) -> None:
        content = scripted_body(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        reached.set()
        release.wait(30)
        handler.close_connection = True

    return answer


def scripted_body(handler: Handler) -> bytes:
    content: bytes = handler.server.registry.content[handler.path][1]
    return content


def partial_size(engine: Engine) -> int:
    return sum(path.stat().st_size for path in (engine.config.data_root / "content/ingest").iterdir())


def test_a_cancelled_pull_ends_soon_and_the_next_one_goes_on_at_the_byte_even_after_a_restart(
    open_engine: Callable[..., Engine], scripted: Scripted
) -> None:
    engine = open_engine()
    scripted.add_image(BIG)
    blob = max((content for _, content in scripted.content.values()), key=len)
    reached, release = threading.Event(), threading.Event()
    scripted.once(f"/blobs/{Digest.of(blob)}", hold(reached, release))
    job = engine.job("pull", reference=f"{scripted.address}/app")
    future = engine.submit(job.run)
    assert reached.wait(10)
    while partial_size(engine) < len(blob) // 2:
        time.sleep(0.01)
    job.cancel()
    with pytest.raises(Cancelled):
        future.result(10)
    release.set()
    engine = open_engine()
    pull(engine, scripted)
    assert scripted.requests[-1].headers["Range"] == f"bytes={len(blob) // 2}-"
    assert set(tree(engine, scripted)) == {"big"}


def test_the_failure_of_one_layer_ends_the_others(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(BIG, SMALL)
    big = max((content for _, content in scripted.content.values()), key=len)
    reached, release = threading.Event(), threading.Event()

    def refuse(handler: Handler) -> None:
        reached.wait(10)
        handler.reply(404)

    config = json.loads(scripted.content["/v2/app/manifests/latest"][1])["config"]["digest"]
    scripted.script("/blobs/", refuse)
    scripted.script(f"/blobs/{config}", Handler.give)
    scripted.script(f"/blobs/{Digest.of(big)}", hold(reached, release))
    with pytest.raises(NotFound):
        pull(engine, scripted)
    release.set()
    assert nothing_is_listed(engine)


def test_two_pulls_at_once_download_each_blob_once(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(BIG, SMALL)
    jobs = [engine.submit(pull, engine, scripted) for _ in range(4)]
    assert len({job.result(60)[0] for job in jobs}) == 1
    assert len(scripted.paths("/blobs/")) == 3
    assert len(engine.images.list()) == 1


def test_a_cancelled_pull_does_not_stop_another_one_of_the_same_image(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(BIG)
    blob = max((content for _, content in scripted.content.values()), key=len)
    reached, release = threading.Event(), threading.Event()
    scripted.once(f"/blobs/{Digest.of(blob)}", hold(reached, release))
    first = engine.job("pull", reference=f"{scripted.address}/app")
    future = engine.submit(first.run)
    assert reached.wait(10)
    other = engine.submit(pull, engine, scripted)
    first.cancel()
    with pytest.raises(Cancelled):
        future.result(10)
    other.result(30)
    release.set()
    assert set(tree(engine, scripted)) == {"big"}


def test_pulls_get_done_when_the_pool_is_small(open_engine: Callable[..., Engine], scripted: Scripted) -> None:
    engine = open_engine(threads=2)
    scripted.add_image(BIG, SMALL, archive({"third": b"3"}))
    jobs = [engine.submit(pull, engine, scripted) for _ in range(4)]
    for job in jobs:
        job.result(60)
    assert len(tree(engine, scripted)) == 3


def test_a_registry_that_is_not_there_is_one_clear_sentence(engine: Engine) -> None:
    with pytest.raises(TransomError) as caught:
        engine.run("pull", reference="127.0.0.1:9/app")
    assert str(caught.value) == "cannot pull 127.0.0.1:9/app:latest: cannot connect to 127.0.0.1:9: Connection refused"
