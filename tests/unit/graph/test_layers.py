"""The layer store: each layer unpacked once per driver, kept while it is used, gone when it is not."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from transom.errors import Cancelled, Conflict, CorruptContent, NotFound, StorageFull
from transom.graph.content import Descriptor

CONTAINER = "c" * 64


def keep(stores: Any, lease: Any, image: Any) -> None:
    for descriptor, blob in zip(image.descriptors, image.blobs, strict=True):
        lease.keep_blob(descriptor)
        stores.content.put(blob)


def unpack(stores: Any, lease: Any, image: Any, index: int, progress: Any = lambda _: None) -> int:
    digest = image.descriptors[index].digest
    size: int = stores.layers.unpack("plain", image.diff_ids, index, digest, lease, progress)
    return size


def test_an_unpacked_layer_is_there_with_its_size(stores: Any) -> None:
    image = stores.made("a", "b")
    with stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        assert not stores.layers.has("plain", image.chain[0])
        assert [unpack(stores, lease, image, index) for index in (0, 1)] == [10, 10]
        assert stores.layers.has("plain", image.chain[1])
    assert stores.driver.parent(image.names[1]) == image.names[0]
    assert (stores.root / "graph/plain" / image.names[0] / "archive").read_bytes() == image.layers[0]


def test_layers_of_a_driver_that_can_are_unpacked_in_any_order(stores: Any) -> None:
    image = stores.made("a", "b", "c")
    with stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        for index in (2, 0, 1):
            unpack(stores, lease, image, index)
    assert stores.driver.layers() == set(image.names)


def test_progress_counts_the_bytes_of_the_blob(stores: Any) -> None:
    image = stores.made("a")
    counts: list[int] = []
    with stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        unpack(stores, lease, image, 0, counts.append)
    assert counts[-1] == image.descriptors[0].size


def test_a_layer_that_is_there_is_not_unpacked_again(stores: Any) -> None:
    image = stores.made("a")
    stores.pull(image, "app")
    stores.pull(image, "other")
    assert stores.driver.calls.count(("create", image.names[0])) == 1


def test_two_jobs_that_want_one_layer_share_the_work(stores: Any) -> None:
    image = stores.made("a")
    stores.driver.gate.clear()
    with ThreadPoolExecutor(2) as pool, stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        first = pool.submit(unpack, stores, lease, image, 0)
        assert stores.driver.applying.wait(30)
        second = pool.submit(unpack, stores, lease, image, 0)
        stores.driver.gate.set()
        assert (first.result(30), second.result(30)) == (10, 10)
    assert stores.driver.calls.count(("create", image.names[0])) == 1


def test_waiting_for_another_job_ends_when_the_own_one_is_cancelled(stores: Any) -> None:
    image = stores.made("a")
    stores.driver.gate.clear()

    def cancel(_: int) -> None:
        raise Cancelled("pull was cancelled")

    with ThreadPoolExecutor(1) as pool, stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        first = pool.submit(unpack, stores, lease, image, 0)
        assert stores.driver.applying.wait(30)
        try:
            with pytest.raises(Cancelled):
                unpack(stores, lease, image, 0, cancel)
        finally:
            stores.driver.gate.set()
        assert first.result(30) == 10


def test_a_cancelled_unpacking_leaves_nothing(stores: Any) -> None:
    image = stores.made("a")

    def cancel(_: int) -> None:
        raise Cancelled("pull was cancelled")

    with stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        with pytest.raises(Cancelled):
            unpack(stores, lease, image, 0, cancel)
        assert stores.driver.layers() == set()
        assert not stores.layers.has("plain", image.chain[0])
        assert unpack(stores, lease, image, 0) == 10


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(lambda image: gzip.compress(image.layers[0] + b"more"), id="another diff ID"),
        pytest.param(lambda _: gzip.compress(b"no archive" * 100), id="no archive"),
        pytest.param(lambda image: image.blobs[0][:-20], id="truncated"),
    ],
)
def test_a_blob_that_is_not_the_layer_is_refused_and_leaves_nothing(stores: Any, blob: Any) -> None:
    image = stores.made("a")
    content = blob(image)
    digest = stores.content.put(content)
    with stores.images.lease("pull") as lease:
        lease.keep_blob(Descriptor("", digest, len(content)))
        with pytest.raises(CorruptContent):
            stores.layers.unpack("plain", image.diff_ids, 0, digest, lease)
    assert stores.driver.layers() == set()


def test_a_blob_that_is_not_there_is_not_found(stores: Any) -> None:
    image = stores.made("a")
    with stores.images.lease("pull") as lease:
        with pytest.raises(NotFound):
            unpack(stores, lease, image, 0)
        lease.keep_blob(image.descriptors[0])
        with pytest.raises(NotFound, match="content store"):
            unpack(stores, lease, image, 0)
    assert stores.driver.layers() == set()


def test_a_full_disk_is_said(stores: Any) -> None:
    image = stores.made("a")
    with stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        stores.driver.fail = OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(StorageFull, match="no space"):
            unpack(stores, lease, image, 0)
        stores.driver.fail = None
        assert unpack(stores, lease, image, 0) == 10


def test_ensure_unpacks_what_the_driver_lacks_from_the_blobs(stores: Any) -> None:
    made = stores.made("a", "b")
    image = stores.pull(made, "app")
    for name in made.names:
        stores.db.remove("snapshot", f"plain/{name}")
    stores.reopen()
    assert stores.driver.layers() == set()
    assert stores.layers.ensure(image, "plain") == made.names[-1]
    assert stores.driver.layers() == set(made.names)
    stores.reopen()
    assert stores.driver.layers() == set(made.names)


def test_ensure_of_an_image_without_layers_has_no_layer(stores: Any) -> None:
    assert stores.layers.ensure(stores.pull(stores.made(), "scratch"), "plain") is None


def test_ensure_of_an_image_that_was_removed_is_not_found(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    stores.images.remove("app")
    stores.images.collect_garbage()
    with pytest.raises(NotFound):
        stores.layers.ensure(image, "plain")


def test_a_containers_layer_stands_on_the_images(stores: Any) -> None:
    made = stores.made("a")
    top = stores.layers.ensure(stores.pull(made, "app"), "plain")
    assert stores.layers.prepare(CONTAINER, "plain", top) == CONTAINER
    assert stores.driver.parent(CONTAINER) == top
    with pytest.raises(Conflict):
        stores.layers.prepare(CONTAINER, "plain", top)
    stores.layers.remove("plain", CONTAINER)
    stores.layers.remove("plain", CONTAINER)
    assert stores.driver.layers() == {top}


def test_a_layer_cannot_stand_on_one_that_is_not_there(stores: Any) -> None:
    with pytest.raises(NotFound):
        stores.layers.prepare(CONTAINER, "plain", "f" * 64)
    assert stores.driver.layers() == set()
    assert stores.db.list("snapshot") == ()


def test_a_containers_layer_that_cannot_be_made_leaves_nothing(stores: Any) -> None:
    stores.driver.fail = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageFull):
        stores.layers.prepare(CONTAINER, "plain", None)
    assert stores.db.list("snapshot") == ()


def test_the_driver_sees_one_mount_and_one_unmount_for_many_users(stores: Any) -> None:
    stores.layers.prepare(CONTAINER, "plain", None)
    with (
        stores.layers.mounted("plain", CONTAINER) as first,
        stores.layers.mounted("plain", CONTAINER) as second,
    ):
        assert first == second
        with pytest.raises(Conflict, match="mounted"):
            stores.layers.remove("plain", CONTAINER)
    calls = [call for call, layer in stores.driver.calls if "mount" in call]
    assert calls == ["mount", "unmount"]


def test_an_images_layer_is_mounted_to_be_read_only(stores: Any) -> None:
    made = stores.made("a")
    stores.pull(made, "app")
    with stores.layers.mounted("plain", made.names[0]):
        pass
    assert ("mount-ro", made.names[0]) in stores.driver.calls


def test_a_mounted_layer_is_mounted_after_a_question_about_its_changes(stores: Any) -> None:
    stores.layers.prepare(CONTAINER, "plain", None)
    with stores.layers.mounted("plain", CONTAINER):
        assert stores.layers.changes("plain", CONTAINER) == []
        assert stores.driver.calls[-1] == ("mount", CONTAINER)
    assert stores.layers.usage("plain", CONTAINER).inodes == 1


def test_what_does_not_exist_is_not_found(stores: Any) -> None:
    for ask in (stores.layers.mount, stores.layers.usage, stores.layers.changes):
        with pytest.raises(NotFound, match="no layer"):
            ask("plain", "f" * 64)
    with pytest.raises(NotFound, match="no graph driver"):
        stores.layers.driver("other")


def test_a_killed_pull_leaves_its_blobs_and_no_layers(stores: Any) -> None:
    image = stores.made("a", "b")
    with pytest.raises(KeyboardInterrupt), stores.images.lease("pull") as lease:
        keep(stores, lease, image)
        unpack(stores, lease, image, 1)
        raise KeyboardInterrupt
    stores.reopen()
    assert stores.driver.layers() == set()
    assert stores.db.list("snapshot") == ()
    assert all(stores.content.has(descriptor.digest) for descriptor in image.descriptors)
    stores.pull(image, "app")
    assert stores.driver.layers() == set(image.names)


def test_a_containers_layer_outlives_the_engine_only_with_its_container(stores: Any) -> None:
    other = "d" * 64
    stores.layers.prepare(CONTAINER, "plain", None)
    stores.layers.prepare(other, "plain", None)
    stores.db.put("container", CONTAINER, {}, root=True)
    stores.reopen()
    assert stores.driver.layers() == {CONTAINER}
    assert stores.driver.recovered == {CONTAINER}


def test_a_driver_that_fails_to_recover_does_not_stop_the_engine(stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(type(stores.driver), "recover", broken)
    stores.reopen()


def test_garbage_goes_children_first_and_what_a_container_stands_on_stays(stores: Any) -> None:
    kept, gone = stores.made("a", "b"), stores.made("a", "c", "d")
    top = stores.layers.ensure(stores.pull(kept, "kept"), "plain")
    stores.pull(gone, "gone")
    stores.layers.prepare(CONTAINER, "plain", top)
    stores.images.remove("gone")
    stores.images.remove("kept")
    stores.images.collect_garbage()
    assert stores.driver.layers() == {*kept.names, CONTAINER}
    removed = [layer for call, layer in stores.driver.calls if call == "remove"]
    assert removed == [gone.names[2], gone.names[1]]
    stores.layers.remove("plain", CONTAINER)
    stores.images.collect_garbage()
    assert stores.driver.layers() == set()


def test_garbage_that_cannot_be_removed_is_tried_again(stores: Any) -> None:
    made = stores.made("a")
    stores.pull(made, "app")
    stores.images.remove("app")
    stores.driver.fail = OSError(errno.EBUSY, "busy")
    stores.images.collect_garbage()
    assert stores.driver.layers() == set(made.names)
    stores.driver.fail = None
    stores.images.collect_garbage()
    assert stores.driver.layers() == set()


def test_a_layer_whose_removal_failed_halfway_is_made_anew_by_a_pull(stores: Any) -> None:
    made = stores.made("a")
    stores.pull(made, "app")
    stores.images.remove("app")
    stores.driver.fail = OSError(errno.EBUSY, "busy")
    stores.images.collect_garbage()
    stores.driver.fail = None
    (stores.root / "graph/plain" / made.names[0] / "archive").unlink()
    stores.pull(made, "app")
    assert (stores.root / "graph/plain" / made.names[0] / "archive").exists()


def test_pulls_removals_and_collections_at_once_end_in_a_whole_image_or_none(stores: Any) -> None:
    image = stores.made("a", "b", "c")
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(10):
                if number % 2:
                    stores.pull(image, f"app{number}")
                else:
                    try:
                        stores.images.remove(f"app{number + 1}", force=True)
                    except NotFound:
                        pass
                    stores.images.collect_garbage()
        except BaseException as error:  # noqa: BLE001 the thread's failure is the test's
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    stores.images.collect_garbage()
    found = stores.images.list()
    assert stores.driver.layers() == (set(image.names) if found else set())
    stores.reopen()
    assert stores.driver.layers() == (set(image.names) if found else set())
    for whole in found:
        assert all(stores.content.has(digest) for digest in whole.blobs)


def test_one_blob_may_be_two_layers_of_an_image(stores: Any) -> None:
    made = stores.made("a", "a")
    image = stores.pull(made, "app")
    assert len(stores.driver.layers()) == 2
    assert dataclasses.astuple(image)[-1] == (10, 10)
    assert image.blobs[0] == image.blobs[1]


def test_an_images_layers_are_ready_only_after_they_are_flushed(stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[set[bool]] = []

    def flush(_: str) -> None:
        flushed.append({node.data["ready"] for node in stores.db.list("snapshot")})

    monkeypatch.setattr(stores.layers, "flush", flush)
    stores.pull(stores.made("a", "b"), "app")
    assert flushed == [{False}]
    assert {node.data["ready"] for node in stores.db.list("snapshot")} == {True}


def test_mounts_are_below_the_directory_of_the_driver(stores: Any) -> None:
    assert stores.driver.mounts == Path(stores.root / "mounts/plain")
    assert stores.driver.mounts.is_dir()
