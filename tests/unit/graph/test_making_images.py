"""Images that are made here: layers from archives, configurations on top of a parent's."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import CorruptContent, NotFound
from transom.graph.archive_writer import END
from transom.graph.digest import Digest
from transom.graph.image_config import parse_config, write_config
from transom.graph.model import Healthcheck, History, Image, Platform, RunConfig
from transom.graph.reference import Reference

STEP = History(created="2024-05-01T00:00:00Z", created_by="touch it", author="me", comment="why")


def make(stores: Any, parent: Image | None, content: str = "new", reference: str = "made:1", **more: Any) -> Image:
    archive = stores.archive((content, content.encode()))
    with stores.images.lease("make", resumable=False) as lease:
        layer = stores.images.add_layer([archive[:100], archive[100:]], parent, driver="plain", lease=lease)
        image: Image = stores.images.create(
            parent=parent,
            layer=layer,
            config=RunConfig(cmd=("new",)),
            step=STEP,
            driver="plain",
            lease=lease,
            reference=Reference.parse(reference),
            **more,
        )
        return image


def blobs(stores: Any) -> set[Digest]:
    return set(stores.content.list())


def test_an_image_has_its_parents_layers_and_history_and_its_own(stores: Any) -> None:
    parent = stores.pull(stores.made("a", "b"), "app:1")
    image = make(stores, parent, comment="all of it")
    assert image.diff_ids == (*parent.diff_ids, Digest.of(stores.archive(("new", b"new"))))
    assert image.sizes == (10, 10, 3)
    assert image.history == (*parent.history, STEP)
    assert (image.created, image.author, image.comment) == (STEP.created, "me", "all of it")
    assert image.platform == parent.platform
    assert stores.images.parent(image) == parent
    assert stores.images.children(parent) == (image,)


def test_an_image_is_there_after_a_restart_with_all_that_it_is_made_of(stores: Any) -> None:
    image = make(stores, None)
    stores.reopen()
    assert stores.images.get("made:1") == image
    assert gzip.decompress(stores.content.read(image.blobs[0], 10_000)) == stores.archive(("new", b"new"))
    manifest = json.loads(stores.content.read(image.manifest, 10_000))
    assert manifest["config"]["digest"] == image.id
    assert [layer["digest"] for layer in manifest["layers"]] == list(image.blobs)
    assert [layer.digest for layer in stores.images.layers(image)] == list(image.blobs)
    assert stores.layers.has("plain", image.chain_ids[-1])


def test_an_image_of_nothing_is_for_this_machine(stores: Any) -> None:
    assert make(stores, None).platform == Platform.here()
    assert make(stores, None, platform=Platform("linux", "arm64", "v8")).platform == Platform("linux", "arm64", "v8")


def test_an_image_says_which_container_it_was_made_of_and_its_children_do_not(stores: Any) -> None:
    made = make(stores, None, container="c" * 64)
    assert stores.images.get("made:1").container == "c" * 64
    assert make(stores, made, reference="child:1").container == ""


def test_a_step_that_changes_no_file_makes_no_layer(stores: Any) -> None:
    parent = stores.pull(stores.made("a"), "app:1")
    before = blobs(stores)
    with stores.images.lease("make", resumable=False) as lease:
        layer = stores.images.add_layer([END], parent, driver="plain", lease=lease)
        assert layer.empty
        image = stores.images.create(
            parent=parent, layer=layer, config=RunConfig(), step=STEP, driver="plain", lease=lease
        )
    assert image.diff_ids == parent.diff_ids
    assert [step.empty_layer for step in image.history] == [False, True]
    assert blobs(stores) - before == {image.id, image.manifest}


def test_the_same_archive_makes_the_same_blob(stores: Any) -> None:
    first, second = make(stores, None), make(stores, stores.pull(stores.made("a"), "app"))
    assert first.blobs[-1] == second.blobs[-1]


def test_what_fails_leaves_nothing(stores: Any) -> None:
    parent = stores.pull(stores.made("a"), "app:1")
    before, layers = blobs(stores), stores.driver.layers()
    with pytest.raises(CorruptContent), stores.images.lease("make", resumable=False) as lease:
        stores.images.add_layer([b"no archive" * 100], parent, driver="plain", lease=lease)
    with pytest.raises(OSError, match="cut"), stores.images.lease("make", resumable=False) as lease:
        stores.images.add_layer([stores.archive(("new", b"new"))], parent, driver="plain", lease=lease)
        raise OSError("cut")
    assert blobs(stores) == before
    assert stores.driver.layers() == layers
    assert not stores.db.list("lease")


def test_an_archive_that_breaks_off_leaves_no_draft(stores: Any) -> None:
    def archive() -> Any:
        yield b"x" * 100
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"), stores.images.lease("make", resumable=False) as lease:
        stores.images.add_layer(archive(), None, driver="plain", lease=lease)
    assert list((stores.root / "content" / "ingest").iterdir()) == []


def test_what_was_not_finished_is_gone_after_a_restart(stores: Any) -> None:
    # Never left, as after `kill -9`.
    leasing, drafting = stores.images.lease("make", resumable=False), stores.content.draft()
    lease, draft = leasing.__enter__(), drafting.__enter__()
    stores.images.add_layer([stores.archive(("new", b"new"))], None, driver="plain", lease=lease)
    draft.write(b"half")
    assert blobs(stores)
    stores.reopen()
    assert blobs(stores) == set()
    assert stores.driver.layers() == set()
    assert list((stores.root / "content" / "ingest").iterdir()) == []


def test_an_image_is_not_made_from_one_that_was_removed_meanwhile(stores: Any) -> None:
    parent = stores.pull(stores.made("a"), "app:1")
    stores.images.remove("app:1")
    stores.images.collect_garbage()
    with pytest.raises(NotFound):
        make(stores, parent)
    assert stores.images.list() == ()
    assert blobs(stores) == set()


def test_a_draft_is_a_blob_when_it_is_committed(stores: Any) -> None:
    with stores.content.draft() as draft:
        draft.write(b"con")
        draft.write(b"tent")
        draft.seal()
        assert draft.open().read() == b"content"
        draft.commit()
    assert (draft.digest, draft.size) == (Digest.of(b"content"), 7)
    assert stores.content.read(draft.digest, 10) == b"content"
    with stores.content.draft() as again:
        again.write(b"content")
        again.commit()
    assert list((stores.root / "content" / "ingest").iterdir()) == []


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
lists = st.lists(texts, max_size=3).map(tuple)
digests = st.binary().map(Digest.of)
numbers = st.integers(0, 2**60)


@given(
    st.builds(
        Image,
        id=st.just(Digest("")),
        platform=st.builds(Platform, st.just("linux"), texts, texts),
        config=st.builds(
            RunConfig,
            user=texts,
            env=lists,
            entrypoint=st.none() | lists,
            cmd=st.none() | lists,
            working_dir=texts,
            labels=st.dictionaries(texts, texts, max_size=3),
            exposed_ports=st.sets(texts, max_size=3).map(tuple),
            volumes=st.sets(texts, max_size=3).map(tuple),
            stop_signal=texts,
            shell=st.none() | lists,
            on_build=lists,
            healthcheck=st.none() | st.builds(Healthcheck, lists.filter(bool), numbers, numbers, numbers, numbers),
        ),
        diff_ids=st.lists(digests, max_size=3).map(tuple),
        created=st.sampled_from(["", "2024-01-01T00:00:00Z"]),
        author=texts,
        comment=texts,
        container=texts,
        history=st.lists(st.builds(History, st.just(""), texts, texts, texts, st.booleans()), max_size=3).map(tuple),
    )
)
def test_a_configuration_that_is_written_reads_as_the_same_image(image: Image) -> None:
    content = write_config(image)
    read = parse_config(content)
    assert read.id == Digest.of(content)
    assert {**vars(read), "id": ""} == {**vars(image), "id": ""}
