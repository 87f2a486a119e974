"""Content that something else has damaged, on the disk or on a mirror: it is fetched again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from testbed.scripted import Handler, Scripted, archive, serve_scripted
from transom.engine import Engine
from transom.errors import CorruptContent, Unsupported
from transom.graph.digest import Digest

FIRST = archive({"first": hashlib.shake_256(b"first").digest(1 << 20)})
SECOND = archive({"second": b"second"})


def pull(engine: Engine, scripted: Scripted) -> None:
    engine.run("pull", reference=f"{scripted.address}/app")


def overwrite(engine: Engine, digest: Digest, content: bytes) -> None:
    path = engine.content.path(digest)
    path.chmod(0o600)
    path.write_bytes(content)


@pytest.fixture
def half_pulled(engine: Engine, scripted: Scripted) -> list[Digest]:
    """The blobs of an image whose pull has failed at its second layer: configuration, first layer."""
    scripted.add_image(FIRST, SECOND)
    second = scripted.manifest_of("latest")["layers"][1]["digest"]
    scripted.once(second, lambda handler: handler.reply(403))
    with pytest.raises(Exception, match="denied"):
        pull(engine, scripted)
    document = scripted.manifest_of("latest")
    return [Digest(document["config"]["digest"]), Digest(document["layers"][0]["digest"])]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("content", [b"", b"nonsense", hashlib.shake_256(b"other").digest(1 << 20)])
def test_a_blob_that_was_damaged_on_the_disk_is_fetched_again(
    engine: Engine, scripted: Scripted, half_pulled: list[Digest], which: int, content: bytes
) -> None:
    if engine.content.has(half_pulled[which]):
        overwrite(engine, half_pulled[which], content)
    pull(engine, scripted)
    assert engine.content.path(half_pulled[which]).read_bytes() == scripted.blob(half_pulled[which])


def test_a_layer_whose_image_is_wrong_is_not_fetched_over_and_over(engine: Engine, scripted: Scripted) -> None:
    scripted.add_image(FIRST, diff_ids=[Digest.of(b"another")])
    with pytest.raises(CorruptContent, match="its image says"):
        pull(engine, scripted)
    layer = scripted.manifest_of("latest")["layers"][0]["digest"]
    assert len(scripted.paths(layer)) == 1


HTML = b"<html>welcome to the hotel's network</html>"
NONSENSE: list[Callable[[Handler], None]] = [
    lambda handler: handler.reply(200, HTML, {"Content-Type": "text/html"}),
    lambda handler: handler.reply(200, b"{}", {"Content-Type": "application/json"}),
    lambda handler: handler.reply(200, b'{"tags": 7}'),
    lambda handler: handler.reply(401),
    lambda handler: handler.reply(401, headers={"WWW-Authenticate": "Negotiate"}),
    lambda handler: handler.reply(500),
]


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch, scripted: Scripted) -> Scripted:
    """A registry that takes the place of docker.io, with `app` in it."""
    monkeypatch.setattr("transom_images.endpoints._bases", lambda _transport, _domain: (f"http://{scripted.address}",))
    scripted.add_image(FIRST, SECOND)
    scripted.content = {path.replace("/app/", "/library/app/"): item for path, item in scripted.content.items()}
    return scripted


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("pattern", ["/manifests/", "/blobs/", "/tags/"])
def test_a_mirror_that_answers_nonsense_is_left_for_the_registry(
    open_engine: Callable[..., Engine], origin: Scripted, nonsense: Callable[[Handler], None], pattern: str
) -> None:
    with serve_scripted() as mirror:
        mirror.content |= origin.content
        mirror.content["/v2/library/app/tags/list"] = ("application/json", b'{"tags": ["latest"]}')
        origin.content["/v2/library/app/tags/list"] = ("application/json", b'{"tags": ["latest"]}')
        mirror.script(pattern, nonsense)
        engine = open_engine(registry_mirrors=(f"http://{mirror.address}",))
        engine.run("pull", reference="app", all_tags=True)
        assert mirror.paths(pattern)
    assert engine.images.get("app").id


def test_a_mirror_that_gives_other_content_is_asked_for_no_more(
    open_engine: Callable[..., Engine], origin: Scripted
) -> None:
    with serve_scripted() as mirror:
        mirror.content |= origin.content
        mirror.script("/blobs/", lambda handler: handler.give(change=lambda body: bytes(len(body))))
        engine = open_engine(registry_mirrors=(f"http://{mirror.address}",), max_concurrent_downloads=1)
        engine.run("pull", reference="app")
        assert len(mirror.paths("/blobs/")) == 1
    assert engine.images.get("app").id


def test_an_image_of_the_first_schema_is_refused_in_dockers_words(engine: Engine, scripted: Scripted) -> None:
    scripted.add_manifest({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+json")
    with pytest.raises(Unsupported, match="schema 1 support is disabled by default") as caught:
        pull(engine, scripted)
    assert f"Suggest the author of {scripted.address}/app:latest to upgrade" in str(caught.value)
