"""One blob, from a registry that makes it hard."""

from __future__ import annotations

import email.utils
import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from transom.config import Config
from transom.errors import Cancelled, CorruptContent, NotFound, RegistryError
from transom.graph.content import ContentStore, Descriptor
from transom.graph.digest import Digest
from transom.graph.reference import Reference
from transom_images.connections import Patience
from transom_images.download import Downloader
from transom_images.registry import Registry

if TYPE_CHECKING:
    from testbed.scripted import Handler, Scripted

BLOB = hashlib.shake_256(b"a layer").digest(3 << 20)
HALF = len(BLOB) // 2


class Ear:
    """Hears a download's progress."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.first_count = -1

    def say(self, status: str) -> None:
        self.statuses.append(status)

    def count(self, status: str, current: int, total: int) -> None:
        assert status == "Downloading"
        assert current <= total
        if self.first_count < 0:
            self.first_count = current


class Client:
    """A downloader with a store of its own, whose work can be cancelled."""

    def __init__(self, address: str, root: Path, **options: Any) -> None:
        self.content = ContentStore(root)
        self.cancelled = threading.Event()
        self.ear = Ear()
        self.patience = Patience(self.check, **options)
        self.reference = Reference.parse(f"{address}/app")

    def check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled("cancelled")

    def download(self, digest: Digest, size: int = len(BLOB), attempts: int = 5) -> None:
        registry = Registry(self.reference, Config(), None, self.patience)
        try:
            Downloader(registry, self.content, attempts, self.check).download(Descriptor("", digest, size), self.ear)
        finally:
            registry.close()

    def partial(self, digest: Digest) -> int:
        with self.content.ingest(digest) as ingest:
            return ingest.offset


@pytest.fixture
def client(scripted: Scripted, tmp_path: Path) -> Client:
    return Client(scripted.address, tmp_path / "content")


def test_a_blob_arrives_whole(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    client.download(digest)
    assert client.content.read(digest, len(BLOB)) == BLOB
    assert client.ear.statuses == ["Verifying Checksum"]


def test_a_blob_that_is_there_is_not_asked_for(scripted: Scripted, client: Client) -> None:
    client.download(client.content.put(BLOB))
    assert scripted.requests == []


def test_a_connection_that_is_cut_is_resumed_at_the_byte(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.once("/blobs/", lambda handler: handler.give(most=HALF))
    client.download(digest)
    assert client.content.read(digest, len(BLOB)) == BLOB
    assert [request.headers.get("Range") for request in scripted.requests] == [None, f"bytes={HALF}-"]
    assert scripted.served == len(BLOB)


def test_a_connection_that_is_cut_again_and_again_gets_there_as_long_as_it_gets_further(
    scripted: Scripted, client: Client
) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.once("/blobs/", lambda handler: handler.give(most=len(BLOB) // 4 + 1), times=3)
    client.download(digest, attempts=2)
    assert scripted.served == len(BLOB)


def test_a_server_that_never_gets_further_is_given_up(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.ranges = False
    scripted.script("/blobs/", lambda handler: handler.give(most=HALF))
    with pytest.raises(RegistryError, match="was lost"):
        client.download(digest, attempts=2)
    assert not client.content.has(digest)


def test_a_server_that_ignores_ranges_makes_the_download_start_over(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.ranges = False
    scripted.once("/blobs/", lambda handler: handler.give(most=HALF))
    client.download(digest)
    assert client.content.read(digest, len(BLOB)) == BLOB


def test_a_server_that_cannot_satisfy_the_range_makes_the_download_start_over(
    scripted: Scripted, client: Client
) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.once("/blobs/", lambda handler: handler.reply(416))
    scripted.once("/blobs/", lambda handler: handler.give(most=HALF))
    client.download(digest)
    assert client.content.read(digest, len(BLOB)) == BLOB
    assert [request.headers.get("Range") for request in scripted.requests] == [None, f"bytes={HALF}-", None]


def test_a_server_that_answers_with_another_range_makes_the_download_start_over(
    scripted: Scripted, client: Client
) -> None:
    digest = scripted.add_blob(BLOB)
    headers = {"Content-Range": f"bytes 7-{len(BLOB) - 1}/{len(BLOB)}"}
    scripted.once("/blobs/", lambda handler: handler.reply(206, BLOB[7:], headers))
    scripted.once("/blobs/", lambda handler: handler.give(most=HALF))
    client.download(digest)
    assert client.content.read(digest, len(BLOB)) == BLOB


def test_an_answer_that_ends_early_without_an_error_is_resumed(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.once("/blobs/", lambda handler: handler.reply(200, BLOB[:HALF]))
    client.download(digest)
    assert scripted.served == len(BLOB)


@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_a_server_that_fails_is_asked_again(scripted: Scripted, client: Client, status: int) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.once("/blobs/", lambda handler: handler.reply(status))
    client.download(digest)
    assert client.ear.statuses == ["Retrying in 1 second", "Verifying Checksum"]


def test_a_server_that_fails_forever_is_given_up_and_named(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.script("/blobs/", lambda handler: handler.reply(500))
    with pytest.raises(RegistryError, match=f"{scripted.address} failed with status 500"):
        client.download(digest, attempts=2)
    assert len(scripted.requests) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_busy_server_is_given_the_time_that_it_asks_for(scripted: Scripted, client: Client, form: str) -> None:
    digest = scripted.add_blob(BLOB)
    when = "2" if form == "seconds" else email.utils.formatdate(time.time() + 2.9, usegmt=True)
    scripted.once("/blobs/", lambda handler: handler.reply(429, headers={"Retry-After": when}))
    client.download(digest)
    assert "Retrying in 2 seconds" in client.ear.statuses


def test_a_busy_server_that_wants_an_hour_is_an_error_at_once(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.once("/blobs/", lambda handler: handler.reply(429, headers={"Retry-After": "3600"}))
    with pytest.raises(RegistryError, match="toomanyrequests"):
        client.download(digest)


def test_a_corrupt_blob_is_refused_and_nothing_is_stored(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.script("/blobs/", lambda handler: handler.give(change=lambda body: body[::-1]))
    with pytest.raises(CorruptContent, match="verification failed for digest"):
        client.download(digest)
    assert not client.content.has(digest)
    assert client.partial(digest) == 0
    assert len(scripted.requests) == 1


def test_a_blob_that_is_longer_than_its_manifest_says_is_refused(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    with pytest.raises(CorruptContent, match="longer than"):
        client.download(digest, size=len(BLOB) - 1)
    assert not client.content.has(digest)


def test_a_corrupt_part_of_an_earlier_try_is_thrown_away_and_the_blob_arrives(
    scripted: Scripted, client: Client
) -> None:
    digest = scripted.add_blob(BLOB)
    with client.content.ingest(digest, len(BLOB)) as ingest:
        ingest.write(b"x" * HALF)
    client.download(digest)
    assert client.content.read(digest, len(BLOB)) == BLOB


def test_a_blob_that_the_registry_does_not_have_is_an_error_at_once(scripted: Scripted, client: Client) -> None:
    with pytest.raises(NotFound):
        client.download(Digest.of(b"nowhere"))
    assert len(scripted.requests) == 1


def stall(release: threading.Event) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BLOB)))
        handler.end_headers()
        handler.wfile.write(BLOB[:HALF])
        handler.wfile.flush()
        release.wait(30)
        handler.close_connection = True

    return answer


def test_a_server_that_falls_silent_is_asked_again_for_the_rest(scripted: Scripted, tmp_path: Path) -> None:
    client = Client(scripted.address, tmp_path / "content", silence=0.5)
    digest = scripted.add_blob(BLOB)
    release = threading.Event()
    scripted.once("/blobs/", stall(release))
    client.download(digest)
    release.set()
    assert client.content.read(digest, len(BLOB)) == BLOB
    assert scripted.requests[-1].headers["Range"] == f"bytes={HALF}-"


def test_a_cancelled_download_ends_although_the_server_is_silent_and_the_next_goes_on_at_the_byte(
    scripted: Scripted, client: Client
) -> None:
    digest = scripted.add_blob(BLOB)
    release, outcome = threading.Event(), []
    scripted.once("/blobs/", stall(release))

    def work() -> None:
        with pytest.raises(Cancelled):
            client.download(digest)
        outcome.append("cancelled")

    thread = threading.Thread(target=work)
    thread.start()
    partial = client.content._partial(digest)
    while not (partial.exists() and partial.stat().st_size == HALF):
        time.sleep(0.01)
    client.cancelled.set()
    thread.join(10)
    assert outcome == ["cancelled"]
    release.set()
    client.cancelled.clear()
    client.ear.first_count = -1
    client.download(digest)
    assert client.ear.first_count > HALF
    assert scripted.requests[-1].headers["Range"] == f"bytes={HALF}-"
    assert client.content.read(digest, len(BLOB)) == BLOB


def test_a_server_that_never_answers_can_be_given_up(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    release, asked = threading.Event(), threading.Event()

    def answer(handler: Handler) -> None:
        asked.set()
        release.wait(30)
        handler.close_connection = True

    scripted.once("/blobs/", answer)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            client.download(digest)
        except Cancelled as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert asked.wait(10)
    client.cancelled.set()
    thread.join(10)
    release.set()
    assert errors


def test_two_downloads_of_one_blob_at_once_fetch_it_once(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    threads = [threading.Thread(target=client.download, args=(digest,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.content.has(digest)
    assert scripted.served == len(BLOB)


def test_a_redirect_is_followed_without_the_credentials(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    other = scripted.address.replace("127.0.0.1", "localhost")
    scripted.content["/elsewhere"] = ("application/octet-stream", BLOB)
    location = {"Location": f"http://{other}/elsewhere"}
    scripted.once("/blobs/", lambda handler: handler.reply(307, headers=location))
    client.download(digest)
    assert client.content.has(digest)
    assert "Authorization" not in scripted.requests[-1].headers
    assert scripted.requests[-1].headers["Host"] == other


def test_redirects_in_a_circle_are_an_error(scripted: Scripted, client: Client) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.script("/blobs/", lambda handler: handler.reply(302, headers={"Location": handler.path}))
    with pytest.raises(RegistryError, match="circle"):
        client.download(digest)


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "http://[", "gopher://x/"])
def test_a_redirect_to_nowhere_is_an_error(scripted: Scripted, client: Client, location: str) -> None:
    digest = scripted.add_blob(BLOB)
    scripted.script("/blobs/", lambda handler: handler.reply(302, headers={"Location": location}))
    with pytest.raises(RegistryError, match="redirects"):
        client.download(digest)


def test_a_registry_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    client = Client("127.0.0.1:9", tmp_path / "content")
    with pytest.raises(RegistryError, match=r"cannot connect to 127\.0\.0\.1:9: Connection refused"):
        client.download(Digest.of(b"x"))


def test_a_registry_whose_name_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    client = Client("registry.invalid", tmp_path / "content")
    with pytest.raises(RegistryError, match=r"cannot connect to registry\.invalid"):
        client.download(Digest.of(b"x"))
