"""Pushing to a registry that does well, and to one that does not."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed.scripted import OCI_LAYER, Handler, Scripted, archive, serve_scripted
from transom.engine import Engine
from transom.errors import (
    Cancelled,
    CorruptContent,
    Forbidden,
    InvalidParameter,
    NotFound,
    RegistryError,
    TransomError,
    Unauthorized,
)
from transom.graph.digest import Digest
from transom.graph.reference import Reference
from transom.job import Aux, Progress
from transom.registry import Credentials
from transom_images import push as push_job

BIG = archive({"big": hashlib.shake_256(b"big").digest(3 << 20)})
SMALL = archive({"small": b"small"})


@pytest.fixture
def source(engine: Engine) -> Any:
    """A registry from which `app` was pulled, with a big layer and a small one."""
    with serve_scripted() as registry:
        registry.add_image(BIG, SMALL)
        engine.run("pull", reference=f"{registry.address}/app")
        yield registry


@pytest.fixture
def name(engine: Engine, source: Scripted, scripted: Scripted) -> str:
    """What the image is to be called at the other registry."""
    name = f"{scripted.address}/app"
    engine.images.tag(engine.images.get(f"{source.address}/app"), Reference.parse(name))
    return name


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait before the next try."""
    monkeypatch.setattr("transom_images.retries._FIRST_DELAY", 0)


def push(engine: Engine, name: str, **parameters: Any) -> list[Any]:
    """Push, and return what was reported."""
    heard: list[Any] = []
    engine.job("push", reference=name, report=heard.append, **parameters).run()
    return heard


def lines(heard: list[Any], subject: str = "") -> list[str]:
    return [item.status for item in heard if isinstance(item, Progress) and item.subject == subject]


def short(layer: bytes) -> str:
    return Digest.of(layer).hex[:12]


def blobs(registry: Scripted, repository: str = "app") -> dict[str, bytes]:
    prefix = f"/v2/{repository}/blobs/"
    return {path: content for path, (_, content) in registry.content.items() if path.startswith(prefix)}


def test_what_is_pushed_is_byte_for_byte_what_was_pulled(
    engine: Engine, source: Scripted, scripted: Scripted, name: str
) -> None:
    push(engine, name, tag="latest")
    assert blobs(scripted) == blobs(source)
    assert scripted.content["/v2/app/manifests/latest"] == source.content["/v2/app/manifests/latest"]
    digest = Digest.of(source.content["/v2/app/manifests/latest"][1])
    names = engine.images.digests(engine.images.get(name))
    assert {str(item) for item in names} == {f"{source.address}/app@{digest}", f"{name}@{digest}"}


def test_a_push_speaks_as_dockers_does(engine: Engine, source: Scripted, name: str) -> None:
    heard = push(engine, name, tag="latest")
    content = source.content["/v2/app/manifests/latest"][1]
    digest = Digest.of(content)
    assert lines(heard) == [
        f"The push refers to repository [{name}]",
        f"latest: digest: {digest} size: {len(content)}",
    ]
    assert lines(heard, short(SMALL))[0] == lines(heard, short(BIG))[0] == "Preparing"
    assert lines(heard, short(SMALL))[-1] == lines(heard, short(BIG))[-1] == "Pushed"
    assert "Pushing" in lines(heard, short(BIG))
    # The topmost layer first.
    preparing = [item.subject for item in heard if isinstance(item, Progress) and item.status == "Preparing"]
    assert preparing == [short(SMALL), short(BIG)]
    assert heard[-1] == Aux({"Tag": "latest", "Digest": digest, "Size": len(content)})


def test_what_the_registry_has_is_not_sent_again(engine: Engine, scripted: Scripted, name: str) -> None:
    push(engine, name, tag="latest")
    scripted.requests.clear()
    heard = push(engine, name, tag="latest")
    assert scripted.asked("POST") == scripted.asked("PATCH") == []
    assert lines(heard, short(BIG)) == ["Preparing", "Layer already exists"]


def test_a_layer_is_taken_over_from_another_repository(engine: Engine, scripted: Scripted, name: str) -> None:
    push(engine, name, tag="latest")
    scripted.requests.clear()
    other = f"{scripted.address}/team/other"
    engine.images.tag(engine.images.get(name), Reference.parse(other))
    heard = push(engine, other, tag="latest")
    assert lines(heard, short(BIG)) == ["Preparing", "Mounted from app"]
    assert scripted.asked("PATCH") == []
    assert set(blobs(scripted, "team/other").values()) == set(blobs(scripted).values())


def test_a_layer_that_is_not_at_the_other_repository_any_more_is_sent(
    engine: Engine, scripted: Scripted, name: str
) -> None:
    push(engine, name, tag="latest")
    content = dict(scripted.content)
    scripted.content.clear()
    other = f"{scripted.address}/other"
    engine.images.tag(engine.images.get(name), Reference.parse(other))
    heard = push(engine, other, tag="latest")
    assert lines(heard, short(BIG))[-1] == "Pushed"
    assert set(blobs(scripted, "other").values()) == {item[1] for path, item in content.items() if "/blobs/" in path}


def test_a_registry_that_refuses_to_take_over_gets_the_layer(engine: Engine, scripted: Scripted, name: str) -> None:
    push(engine, name, tag="latest")
    other = f"{scripted.address}/other"
    engine.images.tag(engine.images.get(name), Reference.parse(other))
    scripted.script("mount=", lambda handler: handler.reply(403))
    push(engine, other, tag="latest")
    assert len(blobs(scripted, "other")) == 3


def test_all_tags_of_a_repository_are_pushed(engine: Engine, scripted: Scripted, name: str) -> None:
    image = engine.images.get(name)
    engine.images.tag(image, Reference.parse(f"{name}:2"))
    heard = push(engine, name)
    assert [item.value["Tag"] for item in heard if isinstance(item, Aux)] == ["2", "latest"]
    assert {"/v2/app/manifests/2", "/v2/app/manifests/latest"} <= scripted.content.keys()


def test_a_push_is_an_event(engine: Engine, name: str) -> None:
    heard: list[Any] = []
    engine.events.subscribe(heard.append)
    push(engine, name, tag="latest")
    (event,) = [event for event in heard if event.action == "push"]
    assert (event.type, event.id, event.attributes["name"]) == ("image", f"{name}:latest", name)


@pytest.mark.parametrize(
    ("reference", "tag", "kind", "message"),
    [
        (
            "nowhere.example/app",
            "latest",
            NotFound,
            "An image does not exist locally with the tag: nowhere.example/app",
        ),
        ("{name}", "v9", NotFound, "tag does not exist: {name}:v9"),
        ("{name}@sha256:" + 64 * "0", "", InvalidParameter, "cannot push a digest reference"),
        ("{name}", "no tag", InvalidParameter, "invalid tag format"),
        ("UPPER", "latest", InvalidParameter, "must be lowercase"),
    ],
)
def test_what_is_not_there_is_refused_in_dockers_words(
    engine: Engine, name: str, reference: str, tag: str, kind: type[TransomError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        push(engine, reference.format(name=name), tag=tag)
    assert message.format(name=name) in str(caught.value)


def test_an_image_for_another_platform_is_refused(engine: Engine, scripted: Scripted, name: str) -> None:
    push(engine, name, tag="latest", platform="linux/amd64")
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/arm64/v8\)"):
        push(engine, name, tag="latest", platform="linux/arm64")


# The network


def hang_up_after(count: int) -> Callable[[Handler], None]:
    """Take so many bytes of a part of a blob, keep them, and hang up."""

    def cut(handler: Handler) -> None:
        identity = handler.path.partition("?")[0].rpartition("/")[2]
        handler.server.registry.uploads[identity] += handler.take(count)
        handler.close_connection = True

    return cut


@pytest.mark.usefixtures("hurry")
def test_an_upload_that_was_cut_goes_on_where_it_stopped(engine: Engine, scripted: Scripted, name: str) -> None:
    scripted.once("^PATCH", hang_up_after(1 << 20))
    push(engine, name, tag="latest")
    parts = [item for item in scripted.requests if item.method == "PATCH"]
    size = max(len(content) for content in blobs(scripted).values())
    assert [item.headers["Content-Range"] for item in parts] == [f"0-{size - 1}", f"{1 << 20}-{size - 1}"]
    assert len(parts[1].body) == size - (1 << 20)


@pytest.mark.usefixtures("hurry")
def test_an_upload_that_the_registry_has_forgotten_begins_again(engine: Engine, scripted: Scripted, name: str) -> None:
    def forget(handler: Handler) -> None:
        handler.take(1 << 20)
        handler.server.registry.uploads.clear()
        handler.close_connection = True

    scripted.once("^PATCH", forget)
    push(engine, name, tag="latest")
    assert len(blobs(scripted)) == 3


@pytest.mark.usefixtures("hurry")
def test_an_upload_at_another_place_than_was_thought_goes_on_from_there(
    engine: Engine, scripted: Scripted, name: str
) -> None:
    def lag(handler: Handler) -> None:
        identity = handler.path.partition("?")[0].rpartition("/")[2]
        handler.server.registry.uploads[identity] = handler.take()[: 1 << 20]
        handler.reply(416)

    scripted.once("^PATCH", lag)
    push(engine, name, tag="latest")
    assert len(blobs(scripted)) == 3


@pytest.mark.usefixtures("hurry")
def test_an_upload_whose_last_answer_was_lost_is_not_sent_again(engine: Engine, scripted: Scripted, name: str) -> None:
    def lose(handler: Handler) -> None:
        handler.reply = lambda *_, **__: None  # type: ignore[method-assign]
        handler.serve()
        handler.close_connection = True

    scripted.once("^PUT .*/uploads/", lose, times=3)
    heard = push(engine, name, tag="latest")
    assert len(scripted.asked("PATCH")) == 1
    assert lines(heard, short(BIG))[-1] == "Pushed"


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("pattern", ["^HEAD", "^POST", "^PATCH", "^PUT .*/uploads/", "^PUT .*/manifests/"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_that_passes_is_waited_for(
    engine: Engine, scripted: Scripted, name: str, pattern: str, status: int
) -> None:
    scripted.once(pattern, lambda handler: handler.reply(status), times=2)
    push(engine, name, tag="latest")
    assert "/v2/app/manifests/latest" in scripted.content


def test_a_wait_before_the_next_try_is_announced(engine: Engine, scripted: Scripted, name: str) -> None:
    scripted.once("^PATCH", lambda handler: handler.reply(503))
    assert "Retrying in 1 second" in lines(push(engine, name, tag="latest"), short(BIG))


@pytest.mark.usefixtures("hurry")
def test_a_failure_that_stays_is_one_error_and_changes_nothing(engine: Engine, scripted: Scripted, name: str) -> None:
    scripted.script("^PATCH", lambda handler: handler.reply(500))
    with pytest.raises(RegistryError, match="failed with status 500"):
        push(engine, name, tag="latest")
    assert len(scripted.asked("PATCH")) == engine.config.max_download_attempts
    assert not scripted.paths("/manifests/")
    assert len(engine.images.digests(engine.images.get(name))) == 1


REFUSALS = [
    (401, b"", Unauthorized, "unauthorized: authentication required"),
    (403, b"", Forbidden, "denied: requested access to the resource is denied"),
    (403, b'{"errors": [{"code": "DENIED", "message": "quota exceeded"}]}', Forbidden, "denied: quota exceeded"),
    (413, b"<html>too large</html>", RegistryError, "with the HTTP status 413 Request Entity Too Large"),
    (400, b'{"errors": [{"code": "NAME_INVALID", "message": "bad"}]}', RegistryError, "name invalid: bad"),
    (405, b'{"errors": "nonsense"}', RegistryError, "405 Method Not Allowed"),
]


@pytest.mark.parametrize("pattern", ["^POST", "^PATCH", "^PUT .*/uploads/", "^PUT .*/manifests/"])
@pytest.mark.parametrize(("status", "body", "kind", "message"), REFUSALS)
def test_a_refusal_half_way_is_one_sentence_and_changes_nothing(
    engine: Engine,
    scripted: Scripted,
    name: str,
    pattern: str,
    status: int,
    body: bytes,
    kind: type[TransomError],
    message: str,
) -> None:
    scripted.script(pattern, lambda handler: handler.reply(status, body))
    with pytest.raises(kind) as caught:
        push(engine, name, tag="latest")
    assert message in str(caught.value)
    assert "/v2/app/manifests/latest" not in scripted.content
    assert len(engine.images.digests(engine.images.get(name))) == 1
    assert engine.db.list("lease") == ()


def test_a_registry_that_says_no_before_it_has_read_all_is_heard(engine: Engine, scripted: Scripted, name: str) -> None:
    def refuse(handler: Handler) -> None:
        handler.take(1000)
        handler.reply(413)
        # The rest is neither read nor is the connection closed.
        ended.wait(60)
        handler.close_connection = True

    ended = threading.Event()
    scripted.script("^PATCH", refuse)
    try:
        with pytest.raises(RegistryError, match="413"):
            push(engine, name, tag="latest")
    finally:
        ended.set()


NONSENSE: list[Callable[[Handler], None]] = [
    lambda handler: handler.reply(202),
    lambda handler: handler.reply(202, headers={"Location": "ftp://elsewhere/"}),
    lambda handler: handler.reply(200, b"<html>"),
    lambda handler: handler.reply(302, headers={"Location": "/"}),
]


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_in_place_of_an_upload_is_an_error(
    engine: Engine, scripted: Scripted, name: str, nonsense: Callable[[Handler], None]
) -> None:
    scripted.script("^POST", nonsense)
    with pytest.raises(RegistryError):
        push(engine, name, tag="latest")
    assert "/v2/app/manifests/latest" not in scripted.content


def test_a_registry_that_keeps_another_manifest_is_not_believed(engine: Engine, scripted: Scripted, name: str) -> None:
    other = Digest.of(b"other")
    scripted.script("^PUT .*/manifests/", lambda handler: handler.reply(201, headers={"Docker-Content-Digest": other}))
    with pytest.raises(RegistryError, match=f"as {other}, which is something else"):
        push(engine, name, tag="latest")


@pytest.mark.usefixtures("hurry")
def test_a_registry_that_falls_silent_is_given_up(
    engine: Engine, scripted: Scripted, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_job, "SILENCE", 0.5)
    ended = threading.Event()
    scripted.script("^PATCH", lambda _: ended.wait(60))
    try:
        with pytest.raises(RegistryError, match=r"does not answer|timed out"):
            push(engine, name, tag="latest")
    finally:
        ended.set()


def test_a_push_whose_client_goes_away_ends(engine: Engine, scripted: Scripted, name: str) -> None:
    reached, ended = threading.Event(), threading.Event()

    def stall(handler: Handler) -> None:
        reached.set()
        ended.wait(60)
        handler.close_connection = True

    scripted.script("^PATCH", stall)
    job = engine.job("push", reference=name, tag="latest")
    work = engine.submit(job.run)
    try:
        assert reached.wait(20)
        job.cancel()
        assert isinstance(work.exception(20), Cancelled)
    finally:
        ended.set()
    assert engine.db.list("lease") == ()


def test_two_pushes_of_one_image_send_its_layers_once(engine: Engine, scripted: Scripted, name: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait(handler: Handler) -> None:
        reached.set()
        assert go_on.wait(20)
        handler.serve()

    scripted.once("^PATCH", wait)
    image = engine.images.get(name)
    engine.images.tag(image, Reference.parse(f"{name}:2"))
    first = engine.submit(push, engine, name, tag="latest")
    assert reached.wait(20)
    second = engine.submit(push, engine, name, tag="2")
    # Its small layer and its big one wait for the first push; what it has asked by then is not counted.
    go_on.set()
    first.result(20)
    second.result(20)
    assert len(scripted.asked("PATCH")) == 1
    assert {"/v2/app/manifests/2", "/v2/app/manifests/latest"} <= scripted.content.keys()


def damage(engine: Engine) -> None:
    """Change the big layer's blob on the disk, as nothing of the engine's does."""
    (digest,) = [digest for digest in engine.content.list() if engine.content.size(digest) > 1 << 20]
    with open(engine.content.path(digest), "r+b") as file:
        file.seek(1 << 20)
        file.write(b"damage")


@pytest.mark.usefixtures("source")
def test_a_layer_that_is_damaged_on_the_disk_is_named(engine: Engine, name: str) -> None:
    damage(engine)
    with pytest.raises(CorruptContent, match="damaged on this machine's disk"):
        push(engine, name, tag="latest")


def test_an_image_that_is_removed_meanwhile_is_pushed_whole(engine: Engine, scripted: Scripted, name: str) -> None:
    image = engine.images.get(name)

    def remove(handler: Handler) -> None:
        engine.run("image_remove", name=image.id, force=True)
        handler.serve()

    scripted.once("^HEAD", remove)
    push(engine, name, tag="latest")
    assert len(blobs(scripted)) == 3
    assert engine.images.list() == ()
    engine.images.collect_garbage()
    assert list(engine.content.list()) == []


def test_a_layer_that_is_fetched_from_elsewhere_is_not_pushed(
    engine: Engine, source: Scripted, scripted: Scripted
) -> None:
    _, content = source.content["/v2/app/manifests/latest"]
    document = json.loads(content)
    foreign = document["layers"][0]
    foreign |= {"mediaType": OCI_LAYER.replace("layer.v1", "layer.nondistributable.v1"), "urls": ["https://example/"]}
    source.add_manifest(document, tag="foreign")
    engine.run("pull", reference=f"{source.address}/app:foreign")
    name = f"{scripted.address}/foreign"
    scripted.add_blob(source.content[f"/v2/app/blobs/{foreign['digest']}"][1], "foreign")
    engine.images.tag(engine.images.get(f"{source.address}/app:foreign"), Reference.parse(name))
    heard = push(engine, name, tag="latest")
    assert "Skipped foreign layer" in lines(heard, short(BIG))


# Images that came without compression


def docker_archive(*layers: bytes, name: str = "loaded:latest") -> io.BytesIO:
    """Return an archive as `docker save` makes it, with uncompressed layers."""
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer) for layer in layers]},
        }
    ).encode()
    names = [f"{Digest.of(layer).hex}.tar" for layer in layers]
    listing = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).encode()
    members = dict(zip(names, layers, strict=True)) | {"config.json": config, "manifest.json": listing}
    return io.BytesIO(archive(members))


def load(engine: Engine, *layers: bytes, name: str = "loaded:latest") -> None:
    engine.job("image_load", input=docker_archive(*layers, name=name)).run()


def layer_types(registry: Scripted, repository: str) -> list[str]:
    return [layer["mediaType"] for layer in registry.manifest_of("latest", repository)["layers"]]


def test_layers_that_were_loaded_uncompressed_are_compressed_once(engine: Engine, scripted: Scripted) -> None:
    name = f"{scripted.address}/loaded"
    load(engine, BIG, SMALL, name=f"{name}:latest")
    push(engine, name, tag="latest")
    assert layer_types(scripted, "loaded") == [OCI_LAYER] * 2
    found = [
        gzip.decompress(scripted.blob(Digest(item["digest"]), "loaded"))
        for item in scripted.manifest_of("latest", "loaded")["layers"]
    ]
    assert found == [BIG, SMALL]
    first = scripted.content["/v2/loaded/manifests/latest"]
    scripted.requests.clear()
    push(engine, name, tag="latest")
    assert scripted.content["/v2/loaded/manifests/latest"] == first
    assert scripted.asked("POST") == []
    engine.images.collect_garbage()
    assert not engine.content.has(Digest.of(BIG))


def test_an_image_that_was_compressed_for_a_push_unpacks_for_another_driver(engine: Engine, scripted: Scripted) -> None:
    name = f"{scripted.address}/loaded"
    load(engine, BIG, SMALL, name=f"{name}:latest")
    push(engine, name, tag="latest")
    engine.images.collect_garbage()
    layer = engine.layers.ensure(engine.images.get(name), "overlay")
    assert layer is not None
    with engine.layers.mounted("overlay", layer) as root:
        assert (root / "small").read_bytes() == b"small"


def test_a_layer_that_another_image_has_uncompressed_stays_for_it(engine: Engine, scripted: Scripted) -> None:
    name = f"{scripted.address}/loaded"
    load(engine, BIG, name=f"{name}:latest")
    load(engine, BIG, SMALL)
    push(engine, name, tag="latest")
    engine.images.collect_garbage()
    assert engine.content.has(Digest.of(BIG))
    engine.images.tag(engine.images.get("loaded"), Reference.parse(f"{scripted.address}/both"))
    push(engine, f"{scripted.address}/both", tag="latest")
    assert layer_types(scripted, "both") == [OCI_LAYER] * 2
    engine.images.collect_garbage()
    assert not engine.content.has(Digest.of(BIG))


def test_layers_that_were_pulled_uncompressed_stay_so(engine: Engine, scripted: Scripted) -> None:
    with serve_scripted() as source:
        source.add_image(BIG, compress=bytes)
        engine.run("pull", reference=f"{source.address}/app")
        name = f"{scripted.address}/plain"
        engine.images.tag(engine.images.get(f"{source.address}/app"), Reference.parse(name))
        push(engine, name, tag="latest")
        assert scripted.content["/v2/plain/manifests/latest"] == source.content["/v2/app/manifests/latest"]


def test_a_push_that_is_cancelled_while_it_compresses_leaves_nothing(
    engine: Engine, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{scripted.address}/loaded"
    load(engine, BIG, name=f"{name}:latest")
    before = set(engine.content.list())
    job = engine.job("push", reference=name, tag="latest")

    def chunks(_engine: Engine, crew: Any, _blob: Any) -> Iterator[bytes]:
        yield BIG[:1000]
        job.cancel()
        crew.check()

    monkeypatch.setattr("transom_images.packing._chunks", chunks)
    with pytest.raises(Cancelled):
        job.run()
    engine.images.collect_garbage()
    assert set(engine.content.list()) == before
    assert engine.db.list("lease") == ()


def test_a_password_goes_to_no_token_server_that_another_server_names(engine: Engine, scripted: Scripted) -> None:
    with serve_scripted() as other, serve_scripted() as thief:
        challenge = f'Bearer realm="http://{thief.address}/token",service="x"'
        other.script("", lambda handler: handler.reply(401, headers={"WWW-Authenticate": challenge}))
        away = {"Location": f"http://{other.address}/elsewhere"}
        scripted.script("/manifests/", lambda handler: handler.reply(307, headers=away))
        with pytest.raises(Unauthorized):
            engine.run("pull", reference=f"{scripted.address}/app", credentials=Credentials("alice", "s3cret"))
        assert other.requests
        assert thief.requests == []


def test_an_upload_to_another_server_does_not_say_who_sends_it(engine: Engine, scripted: Scripted, name: str) -> None:
    with serve_scripted() as other:

        def guard(handler: Handler) -> None:
            if not handler.headers.get("Authorization"):
                handler.reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            elif handler.command == "POST":
                handler.reply(202, headers={"Location": f"http://{other.address}/v2/app/blobs/uploads/0"})
            else:
                handler.reply(404)

        def take(handler: Handler) -> None:
            handler.take()
            handler.reply(202 if handler.command == "PATCH" else 403, headers={"Location": handler.path})

        scripted.script("", guard)
        other.script("", take)
        with pytest.raises(Forbidden):
            push(engine, name, tag="latest", credentials=Credentials("alice", "s3cret"))
        assert other.requests
        assert all("Authorization" not in request.headers for request in other.requests)
