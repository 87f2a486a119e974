"""The image store: what images there are, what names them, and what goes when they go."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest

from transom import records
from transom.containers.model import Container, ContainerConfig, HostConfig, State, Status
from transom.errors import Conflict, CorruptContent, InvalidParameter, NotFound, StorageFull
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.model import Image
from transom.graph.reference import Reference

CONTAINER = "c" * 64


def use(stores: Any, image: Image, status: Status = Status.EXITED) -> None:
    """Record a container of an image."""
    container = Container(
        id=CONTAINER,
        name="name",
        created=0,
        image=image.id,
        config=ContainerConfig("app"),
        host=HostConfig(),
        graphdriver="plain",
        execdriver="",
        network="",
        log_driver="",
        state=State(status),
    )
    layer = stores.layers.prepare(CONTAINER, "plain", stores.layers.ensure(image, "plain"))
    node = stores.db.put("container", CONTAINER, records.dump(container), root=True)
    stores.db.link(node, "uses", stores.db.get("image", image.id))
    stores.db.link(node, "uses", stores.db.get("snapshot", f"plain/{layer}"))


def steps(removed: Any) -> list[str]:
    return [f"untagged {step.untagged}" if step.untagged else f"deleted {step.deleted}" for step in removed]


def familiar(references: Any) -> list[str]:
    return [reference.familiar for reference in references]


# Publishing


def test_a_pulled_image_is_there_after_a_restart(stores: Any) -> None:
    made = stores.made("a", "b", label="value")
    image = stores.pull(made, "app:1")
    stores.reopen()
    assert stores.images.get("app:1") == image
    assert (image.id, image.diff_ids, image.sizes, image.size) == (made.id, made.diff_ids, (10, 10), 20)
    assert image.blobs == tuple(descriptor.digest for descriptor in made.descriptors)
    assert image.manifest == made.manifest.digest
    assert image.config.labels == {"label": "value"}
    assert stores.content.read(made.id, 10_000) == made.config
    assert stores.content.read(made.manifest.digest, 10_000) == made.manifest_content


def test_a_pulled_image_has_its_tag_and_its_digest(stores: Any) -> None:
    made = stores.made("a")
    before = time.time_ns()
    image = stores.pull(made, "app:1")
    assert familiar(stores.images.tags(image)) == ["app:1"]
    assert familiar(stores.images.digests(image)) == [f"app@{made.manifest.digest}"]
    assert before <= stores.images.last_tagged(image) <= time.time_ns()


def test_an_image_pulled_by_digest_has_no_tag(stores: Any) -> None:
    made = stores.made("a")
    image = stores.pull(made, f"app@{made.manifest.digest}")
    assert stores.images.tags(image) == ()
    assert familiar(stores.images.digests(image)) == [f"app@{made.manifest.digest}"]
    assert stores.images.last_tagged(image) == 0


def test_a_tag_that_moves_leaves_the_older_image_without_it(stores: Any) -> None:
    old = stores.pull(stores.made("a"), "app")
    new = stores.pull(stores.made("b"), "app")
    assert stores.images.get("app") == new
    assert stores.images.tags(old) == ()
    assert stores.images.get(old.id) == old


def test_pulling_again_keeps_the_time_of_the_tag(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    tagged = stores.images.last_tagged(image)
    stores.pull(stores.made("a"), "app")
    assert stores.images.last_tagged(image) == tagged


def test_a_configuration_with_another_number_of_layers_is_refused(stores: Any) -> None:
    made = stores.made("a", "b")
    with pytest.raises(CorruptContent, match="2 layers"), stores.images.lease("pull") as lease:
        stores.images.publish(
            made.config,
            made.manifest,
            made.manifest_content,
            made.descriptors[:1],
            [10],
            driver="plain",
            lease=lease,
        )
    assert stores.images.list() == ()


def test_an_image_whose_layers_are_not_unpacked_is_not_published(stores: Any) -> None:
    made = stores.made("a")
    with pytest.raises(NotFound, match="not unpacked"), stores.images.lease("pull") as lease:
        lease.keep_blob(made.descriptors[0])
        stores.images.publish(
            made.config,
            made.manifest,
            made.manifest_content,
            made.descriptors,
            [10],
            driver="plain",
            lease=lease,
            reference=Reference.parse("app:1"),
        )
    assert stores.images.list() == ()
    assert stores.db.list("tag") == ()


def test_an_image_is_published_with_all_its_names(stores: Any) -> None:
    image = stores.pull(stores.made("a"), tags=[Reference.parse("other"), Reference.parse("app:1")])
    assert [name.familiar for name in stores.images.tags(image)] == ["app:1", "other:latest"]


def test_an_image_that_does_not_get_all_its_names_is_not_published(stores: Any) -> None:
    def tags() -> Iterator[Reference]:
        yield Reference.parse("app:1")
        raise StorageFull("no space left on device")

    with pytest.raises(StorageFull):
        stores.pull(stores.made("a"), tags=tags())
    assert stores.images.list() == ()
    assert stores.db.list("tag") == ()


def test_a_manifest_that_is_not_its_digest_is_not_published(stores: Any) -> None:
    made = stores.made()
    manifest = Descriptor("", Digest.of(b"other"), len(made.manifest_content))
    with pytest.raises(CorruptContent), stores.images.lease("pull") as lease:
        stores.images.publish(made.config, manifest, made.manifest_content, [], [], driver="plain", lease=lease)
    assert stores.images.list() == ()


# Finding


def test_an_image_is_found_by_every_form_of_its_names(stores: Any) -> None:
    made = stores.made("a")
    image = stores.pull(made, "app")
    for name in (
        "app",
        "app:latest",
        "docker.io/library/app",
        f"app@{made.manifest.digest}",
        f"app:whatever@{made.manifest.digest}",
        image.id,
        image.id.hex,
        image.id.hex[:12],
        image.id.hex[:1],
        image.id[:15],
    ):
        assert stores.images.get(name) == image


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "No such image: nothing:latest"),
        ("nothing:1", "No such image: nothing:1"),
        ("f" * 64, f"No such image: {'f' * 64}"),
        (f"app@sha256:{'0' * 64}", f"No such image: app@sha256:{'0' * 64}"),
    ],
)
def test_an_image_that_does_not_exist_is_not_found_by_its_name(stores: Any, name: str, message: str) -> None:
    stores.pull(stores.made("a"), "app")
    with pytest.raises(NotFound) as raised:
        stores.images.get(name)
    assert str(raised.value) == message


def test_a_beginning_of_several_ids_is_refused(stores: Any) -> None:
    images = [stores.pull(stores.made(str(number)), f"app{number}x") for number in range(17)]
    digits = [image.id.hex[0] for image in images]
    shared = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(InvalidParameter, match="more digits"):
        stores.images.get(shared)


def test_a_tag_goes_before_the_beginning_of_an_id(stores: Any) -> None:
    first, second = stores.pull(stores.made("a"), "one"), stores.pull(stores.made("b"), "two")
    stores.images.tag(second, Reference.parse(first.id.hex[:12]))
    assert stores.images.get(first.id.hex[:12]) == second


def test_what_is_no_reference_is_refused(stores: Any) -> None:
    with pytest.raises(InvalidParameter, match="invalid reference format"):
        stores.images.get("a b")


def test_the_list_begins_with_the_last_created(stores: Any) -> None:
    for year in (2020, 2024, 2022):
        stores.pull(stores.made(str(year), created=f"{year}-01-01T00:00:00Z"), f"app:{year}")
    assert [image.created[:4] for image in stores.images.list()] == ["2024", "2022", "2020"]


def test_tagging_gives_another_name(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    stores.images.tag(image, Reference.parse("other"))
    assert familiar(stores.images.tags(image)) == ["app:latest", "other:latest"]
    with pytest.raises(InvalidParameter, match="digest"):
        stores.images.tag(image, Reference.parse(f"x@sha256:{'0' * 64}"))


# Removing


def test_removing_the_last_tag_removes_the_image_and_its_layers(stores: Any) -> None:
    made = stores.made("a", "b")
    image = stores.pull(made, "app")
    removed = steps(stores.images.remove("app"))
    assert removed == [
        "untagged app:latest",
        f"untagged app@{made.manifest.digest}",
        f"deleted {image.id}",
        f"deleted {made.chain[1]}",
        f"deleted {made.chain[0]}",
    ]
    stores.images.collect_garbage()
    assert stores.images.list() == ()
    assert list(stores.content.list()) == []
    assert stores.driver.layers() == set()


def test_removing_one_of_two_tags_leaves_the_image(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    stores.images.tag(image, Reference.parse("app:2"))
    assert steps(stores.images.remove("app")) == ["untagged app:latest"]
    assert stores.images.get("app:2") == image


def test_layers_that_another_image_has_too_stay(stores: Any) -> None:
    one, two = stores.made("a", "b"), stores.made("a", "c")
    stores.pull(one, "one")
    image = stores.pull(two, "two")
    assert f"deleted {one.chain[0]}" not in steps(stores.images.remove("one"))
    stores.images.collect_garbage()
    assert stores.driver.layers() == set(two.names)
    assert all(stores.content.has(blob) for blob in image.blobs)


def test_removing_by_id_removes_the_only_name_too(stores: Any) -> None:
    made = stores.made("a")
    image = stores.pull(made, "app")
    removed = steps(stores.images.remove(image.id.hex[:12]))
    assert set(removed[:2]) == {"untagged app:latest", f"untagged app@{made.manifest.digest}"}
    assert removed[2:] == [f"deleted {image.id}", f"deleted {made.chain[0]}"]


def test_removing_by_id_an_image_of_several_repositories_must_be_forced(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    stores.images.tag(image, Reference.parse("other"))
    with pytest.raises(Conflict) as raised:
        stores.images.remove(image.id)
    assert str(raised.value) == (
        f"conflict: unable to delete {image.id.hex[:12]} (must be forced) - image is referenced in multiple"
        " repositories"
    )
    assert familiar(stores.images.tags(image)) == ["app:latest", "other:latest"]
    stores.images.remove(image.id, force=True)
    assert stores.images.list() == ()


def test_the_only_name_of_an_image_in_use_must_be_forced(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    use(stores, image)
    with pytest.raises(Conflict) as raised:
        stores.images.remove("app")
    assert str(raised.value) == (
        'conflict: unable to remove repository reference "app" (must force) - container cccccccccccc is'
        f" using its referenced image {image.id.hex[:12]}"
    )
    assert stores.images.get("app") == image


def test_forcing_removes_the_image_of_a_stopped_container_and_keeps_its_layers(stores: Any) -> None:
    made = stores.made("a")
    image = stores.pull(made, "app")
    use(stores, image)
    assert f"deleted {image.id}" in steps(stores.images.remove("app", force=True))
    stores.images.collect_garbage()
    assert stores.images.list() == ()
    assert stores.driver.layers() == {CONTAINER, *made.names}
    stores.reopen()
    assert stores.driver.layers() == {CONTAINER, *made.names}


def test_forcing_only_untags_the_image_of_a_running_container(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    use(stores, image, Status.RUNNING)
    assert steps(stores.images.remove("app", force=True))[0] == "untagged app:latest"
    assert stores.images.get(image.id) == image
    with pytest.raises(Conflict, match=r"cannot be forced.*running container cccccccccccc"):
        stores.images.remove(image.id, force=True)


def test_an_untagged_image_of_a_stopped_container_must_be_forced_by_id(stores: Any) -> None:
    image = stores.pull(stores.made("a"), "app")
    use(stores, image)
    with pytest.raises(Conflict, match=r"must be forced.*stopped container cccccccccccc"):
        stores.images.remove(image.id)
    assert stores.images.containers(image) == 1


def test_removing_what_does_not_exist_is_not_found(stores: Any) -> None:
    with pytest.raises(NotFound, match="No such image: nothing:latest"):
        stores.images.remove("nothing")


# Garbage and leases


def test_what_a_lease_keeps_is_not_collected(stores: Any) -> None:
    made = stores.made("a")
    with stores.images.lease("pull app") as lease:
        lease.keep_blob(made.descriptors[0])
        stores.content.put(made.blobs[0])
        stores.images.collect_garbage()
        assert stores.content.has(made.descriptors[0].digest)
    stores.images.collect_garbage()
    assert not stores.content.has(made.descriptors[0].digest)


def test_a_lease_whose_job_failed_stays_for_a_week(stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stores.made("a")
    with pytest.raises(OSError, match="cut"), stores.images.lease("pull app") as lease:
        lease.keep_blob(made.descriptors[0])
        stores.content.put(made.blobs[0])
        raise OSError("cut")
    stores.reopen()
    assert stores.content.has(made.descriptors[0].digest)
    later = time.time_ns() + 8 * 24 * 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    stores.reopen()
    assert not stores.content.has(made.descriptors[0].digest)


def test_a_lease_that_two_jobs_have_ends_with_the_second(stores: Any) -> None:
    with stores.images.lease("pull app"):
        with stores.images.lease("pull app"):
            pass
        assert len(stores.db.list("lease")) == 1
    assert stores.db.list("lease") == ()


def test_a_blob_that_nothing_knows_is_an_orphan(stores: Any) -> None:
    digest = stores.content.put(b"orphan")
    stores.images.collect_garbage()
    assert not stores.content.has(digest)


def test_a_second_pull_with_other_blobs_keeps_both_manifests(stores: Any) -> None:
    made = stores.made("a")
    stores.pull(made, "app")
    other = stores.made("a")
    other.manifest_content = b"{}"
    other.manifest = dataclasses.replace(made.manifest, digest=Digest.of(b"{}"), size=2)
    image = stores.pull(other, "other")
    stores.images.collect_garbage()
    assert stores.content.has(made.manifest.digest)
    assert stores.content.has(other.manifest.digest)
    assert image.manifest == other.manifest.digest
