"""Importing an archive of a file system as an image."""

from __future__ import annotations

import gzip
import http.server
import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.image_archives import layer, pack
from transom.engine import Engine
from transom.errors import InvalidParameter, NotFound, RegistryError, TransomError
from transom.graph.digest import Digest
from transom.graph.model import Image, Platform
from transom.job import Message, Progress

FILES = pack({"etc/name": b"imported\n", "bin/sh": b"#!"})


def import_image(engine: Engine, archive: bytes = FILES, **parameters: Any) -> tuple[Image, list[Message]]:
    """Import an archive; return the image and what was reported."""
    heard: list[Message] = []
    job = engine.job("image_import", input=io.BytesIO(archive), report=heard.append, **parameters)
    return engine.images.get(job.run()), heard


def content(engine: Engine, image: Image, path: str) -> str:
    top = engine.layers.ensure(image, "vfs")
    assert top is not None
    with engine.layers.mounted("vfs", top) as root:
        return (root / path).read_text()


def nothing_is_left(engine: Engine) -> bool:
    root = engine.config.data_root
    files = [path for path in (root / "content").rglob("*") if path.is_file()]
    return not engine.images.list() and not files and not engine.db.list("lease") and not engine.db.list("snapshot")


@pytest.mark.parametrize("archive", [FILES, gzip.compress(FILES)], ids=["plain", "gzip"])
def test_an_archive_becomes_an_image_of_one_layer(engine: Engine, archive: bytes) -> None:
    image, heard = import_image(engine, archive, repository="files", tag="1")
    assert image.diff_ids == (Digest.of(FILES),)
    assert content(engine, image, "etc/name") == "imported\n"
    assert engine.images.get("files:1") == image
    assert image.platform == Platform.here()
    assert image.created.endswith("Z")
    assert heard[-1] == Progress(image.id)


def test_what_is_said_of_it_is_in_its_history(engine: Engine) -> None:
    image, _ = import_image(engine, message="by hand")
    assert (image.comment, len(image.history), image.history[0].comment) == ("by hand", 1, "by hand")
    assert (image.history[0].created, image.history[0].created_by) == (image.created, "")
    image, _ = import_image(engine)
    assert image.comment == "Imported from -"


def test_changes_are_its_configuration(engine: Engine) -> None:
    image, _ = import_image(engine, changes=('CMD ["sh"]', "ENV A=1 B=$A", "LABEL x=y"))
    assert (image.config.cmd, image.config.env, image.config.labels) == (("sh",), ("A=1", "B="), {"x": "y"})


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/arm64", Platform("linux", "arm64")),
        ("linux/arm64/v8", Platform("linux", "arm64")),
        ("linux/arm/v6", Platform("linux", "arm", "v6")),
        ("s390x", Platform("linux", "s390x")),
    ],
)
def test_an_image_may_be_for_another_processor(engine: Engine, text: str, platform: Platform) -> None:
    image, _ = import_image(engine, platform=text)
    assert image.platform == platform


def test_importing_is_an_event(engine: Engine) -> None:
    image, _ = import_image(engine, repository="files", changes=("LABEL x=y",))
    past, _ = engine.events.subscribe(lambda _: None, since=0)
    assert [(event.action, event.id, event.attributes) for event in past] == [
        ("tag", image.id, {"x": "y", "name": "files:latest"}),
        ("import", image.id, {"x": "y", "name": image.id}),
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"repository": "Files"}, "must be lowercase"),
        ({"repository": "files@sha256:" + "0" * 64}, "cannot have a digest"),
        ({"repository": "files", "tag": "a b"}, "invalid tag format"),
        ({"changes": ("RUN x",)}, "RUN is not a valid change command"),
        ({"platform": "windows/amd64"}, "cannot import an image for windows"),
        ({"platform": "nonsense"}, "invalid platform"),
        ({"source": "ftp://host/file"}, "it should begin with http"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_read(engine: Engine, parameters: Any, message: str) -> None:
    class Unread(io.RawIOBase):
        def readinto(self, _: Any) -> int:
            raise AssertionError("the archive was read")

    with pytest.raises(InvalidParameter, match=message):
        engine.job("image_import", input=Unread(), **parameters).run()  # type: ignore[arg-type]
    assert nothing_is_left(engine)


@pytest.mark.parametrize(
    "archive",
    [b"nonsense" * 300, FILES[:500], gzip.compress(FILES)[:-30], layer("../../evil")[:-1024] + b"x" * 600],
    ids=["no archive", "cut off", "half a stream", "damaged"],
)
def test_an_archive_that_is_damaged_leaves_nothing(engine: Engine, archive: bytes) -> None:
    with pytest.raises(InvalidParameter, match="cannot import the archive: "):
        import_image(engine, archive, repository="files")
    assert nothing_is_left(engine)


class Web(http.server.BaseHTTPRequestHandler):
    """Gives the archive whole, cut off, or not at all."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/nope" else 500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(FILES)))
        self.end_headers()
        self.wfile.write(FILES[:1000] if self.path == "/cut" else FILES)


@pytest.fixture
def web() -> Iterator[str]:
    """A web server with an archive, as `host:port`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_archive_is_fetched_from_the_web(engine: Engine, web: str) -> None:
    for source in (f"http://{web}/files.tar", f"{web}/files.tar"):
        image, heard = import_image(engine, source=source)
        assert content(engine, image, "etc/name") == "imported\n"
        assert image.comment == f"Imported from {source}"
        assert heard[0] == Progress(f"Downloading from http://{web}/files.tar")
        assert Progress("Importing", current=len(FILES), total=len(FILES)) in heard


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("nope", NotFound, "failed to GET .* with status 404 Not Found"),
        ("broken", RegistryError, "with status 500"),
        ("cut", RegistryError, "the download of .* broke off"),
    ],
)
def test_what_is_not_on_the_web_leaves_nothing(
    engine: Engine, web: str, path: str, kind: type[TransomError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        import_image(engine, source=f"http://{web}/{path}")
    assert nothing_is_left(engine)


def test_a_server_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(RegistryError, match=r"cannot download http://127\.0\.0\.1:1/x: .*refused"):
        import_image(engine, source="127.0.0.1:1/x")
