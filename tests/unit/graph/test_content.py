"""The content store: blobs by digest, and downloads that go on where they stopped."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import Cancelled, CorruptContent, NotFound, StorageFull
from transom.graph.content import ContentStore
from transom.graph.digest import Digest

CONTENT = bytes(range(256)) * 40
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path)


def partials(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "ingest").iterdir()]


def test_what_is_committed_is_there_and_reads_the_same(store: ContentStore, tmp_path: Path) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        ingest.write(CONTENT)
        assert not store.has(DIGEST)
        ingest.commit()
    assert store.has(DIGEST)
    assert store.size(DIGEST) == len(CONTENT)
    assert store.read(DIGEST, len(CONTENT)) == CONTENT
    with store.open(DIGEST) as file:
        assert file.read() == CONTENT
    assert list(store.list()) == [DIGEST]
    assert partials(tmp_path) == []


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_an_ingest_that_is_interrupted_anywhere_goes_on_where_it_stopped(content: bytes, stops: list[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        digest = Digest.of(content)
        for stop in sorted(stops):
            with ContentStore(Path(root)).ingest(digest, len(content)) as ingest:
                ingest.write(content[ingest.offset : stop])
        with ContentStore(Path(root)).ingest(digest, len(content)) as ingest:
            assert ingest.offset == min(max(stops, default=0), len(content))
            ingest.write(memoryview(content)[ingest.offset :])
            ingest.commit()
        assert ContentStore(Path(root)).read(digest, 200) == content


def test_content_of_another_digest_is_refused_and_nothing_is_stored(store: ContentStore, tmp_path: Path) -> None:
    with pytest.raises(CorruptContent, match=str(DIGEST)), store.ingest(DIGEST, len(CONTENT)) as ingest:
        ingest.write(CONTENT[:-1] + b"x")
        ingest.commit()
    assert not store.has(DIGEST)
    assert partials(tmp_path) == []


def test_a_truncated_blob_is_refused_and_nothing_is_stored(store: ContentStore, tmp_path: Path) -> None:
    with pytest.raises(CorruptContent, match="instead of"), store.ingest(DIGEST, len(CONTENT)) as ingest:
        ingest.write(CONTENT[:-1])
        ingest.commit()
    assert not store.has(DIGEST)
    assert partials(tmp_path) == []


def test_a_blob_that_gets_too_long_is_refused_at_once(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        with pytest.raises(CorruptContent, match="longer"):
            ingest.write(CONTENT + b"x")
        assert ingest.offset == 0
        ingest.write(CONTENT)
        ingest.commit()
    assert store.has(DIGEST)


def test_a_partial_file_that_is_too_long_is_started_over(store: ContentStore) -> None:
    with store.ingest(DIGEST) as ingest:
        ingest.write(CONTENT * 2)
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        assert ingest.offset == 0


def test_reset_starts_over(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        ingest.write(b"wrong")
        ingest.reset()
        ingest.write(CONTENT)
        ingest.commit()
    assert store.has(DIGEST)


def test_sha512_is_a_digest_too(store: ContentStore) -> None:
    digest = Digest("sha512:" + hashlib.sha512(CONTENT).hexdigest())
    with store.ingest(digest) as ingest:
        ingest.write(CONTENT)
        ingest.commit()
    assert store.read(digest, len(CONTENT)) == CONTENT


def test_two_that_want_one_blob_write_it_once(store: ContentStore) -> None:
    entered, written = threading.Event(), []

    def second() -> None:
        entered.wait()
        with store.ingest(DIGEST, len(CONTENT)) as ingest:
            if not ingest.present:
                written.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        entered.set()
        ingest.write(CONTENT)
        written.append("first")
        ingest.commit()
    thread.join()
    assert written == ["first"]


def test_waiting_for_another_ends_when_the_job_is_cancelled(store: ContentStore) -> None:
    def cancelled() -> None:
        raise Cancelled("the pull was cancelled")

    def wait() -> None:
        with pytest.raises(Cancelled), store.ingest(DIGEST, waiting=cancelled):
            pass
        ended.set()

    ended = threading.Event()
    with store.ingest(DIGEST):
        thread = threading.Thread(target=wait)
        thread.start()
        assert ended.wait(30)
    thread.join()
    with store.ingest(DIGEST) as ingest:
        assert ingest.offset == 0


def test_a_blob_that_is_not_there_is_not_found(store: ContentStore) -> None:
    for ask in (store.size, store.open, lambda digest: store.read(digest, 1)):
        with pytest.raises(NotFound, match=str(DIGEST)):
            ask(DIGEST)
    store.remove(DIGEST)


def test_reading_refuses_a_blob_that_is_longer_than_the_limit(store: ContentStore) -> None:
    store.put(CONTENT)
    with pytest.raises(CorruptContent, match="longer"):
        store.read(DIGEST, len(CONTENT) - 1)


def test_reading_refuses_a_blob_that_was_damaged_on_the_disk(store: ContentStore) -> None:
    store.put(CONTENT)
    path = store.path(DIGEST)
    path.chmod(0o600)
    path.write_bytes(b"x" * len(CONTENT))
    with pytest.raises(CorruptContent, match="damaged"):
        store.read(DIGEST, len(CONTENT))


def test_putting_content_twice_keeps_it_once(store: ContentStore) -> None:
    assert store.put(CONTENT) == store.put(CONTENT) == DIGEST
    assert list(store.list()) == [DIGEST]


def test_removing_a_blob_removes_it(store: ContentStore) -> None:
    store.put(CONTENT)
    store.remove(DIGEST)
    assert not store.has(DIGEST)


def test_recovery_keeps_blobs_and_young_partial_files_and_removes_the_rest(store: ContentStore, tmp_path: Path) -> None:
    store.put(CONTENT)
    young, old = Digest.of(b"young"), Digest.of(b"old")
    for digest in (young, old):
        with store.ingest(digest) as ingest:
            ingest.write(b"part")
    os.utime(tmp_path / "ingest" / f"sha256-{old.hex}", (0, 0))
    (tmp_path / "ingest" / "stray").write_bytes(b"")
    (tmp_path / "blobs" / "sha256" / "stray").write_bytes(b"")
    store.recover()
    assert list(store.list()) == [DIGEST]
    assert partials(tmp_path) == [f"sha256-{young.hex}"]


def test_a_full_disk_keeps_what_has_arrived(store: ContentStore) -> None:
    with store.ingest(DIGEST) as ingest:
        ingest.write(CONTENT[:10])
        ingest._file.close()  # type: ignore[union-attr]
        with open("/dev/full", "r+b", buffering=0) as full:
            ingest._file = full
            with pytest.raises(StorageFull, match=str(DIGEST)):
                ingest.write(CONTENT[10:])
            assert ingest.offset == 10
