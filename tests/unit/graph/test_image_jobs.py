"""The jobs that list, show and remove images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from transom.errors import Conflict, InvalidParameter, NotFound
from transom.events import Events
from transom.graph.model import History, Image, Platform
from transom.graph.reference import Reference
from transom.job import Job
from transom_images.listing import image_history, image_inspect, image_list
from transom_images.removing import image_prune, image_remove
from transom_images.tagging import image_tag


@pytest.fixture
def engine(stores: Any) -> Any:
    """What the jobs use of an engine."""
    return SimpleNamespace(images=stores.images, events=Events(), graphdriver=lambda: "plain", stores=stores)


def listed(engine: Any, **filters: tuple[str, ...]) -> list[str]:
    """Return the tags of the listed images, or their IDs where they have none."""
    return [" ".join(summary.tags) or summary.id for summary in image_list(engine, None, filters=filters)]


@pytest.fixture
def three(engine: Any) -> Any:
    """Three images: app:1 of 2020, tools/app:2 of 2021 with a label, and one of 2022 without a name."""
    stores = engine.stores
    stores.pull(stores.made("1", created="2020-01-01T00:00:00Z"), "app:1")
    stores.pull(stores.made("2", created="2021-01-01T00:00:00Z", kind="tool", empty=""), "tools/app:2")
    return stores.pull(stores.made("3", created="2022-01-01T00:00:00Z")).id


def test_a_list_says_of_each_image_what_docker_images_shows(engine: Any) -> None:
    made = engine.stores.made("a", "b", key="value")
    image = engine.stores.pull(made, "app:1")
    (summary,) = image_list(engine, None)
    assert summary.id == image.id
    assert summary.tags == ("app:1",)
    assert summary.digests == (f"app@{made.manifest.digest}",)
    assert (summary.created, summary.size, summary.containers) == (1704067200, 20, 0)
    assert summary.labels == {"key": "value"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["unnamed", "tools/app:2", "app:1"]),
        ({"dangling": ("true",)}, ["unnamed"]),
        ({"dangling": ("0",)}, ["tools/app:2", "app:1"]),
        ({"label": ("kind",)}, ["tools/app:2"]),
        ({"label": ("kind=tool",)}, ["tools/app:2"]),
        ({"label": ("empty=",)}, ["tools/app:2"]),
        ({"label": ("kind=tool", "other")}, []),
        ({"label": ("kind=too",)}, []),
        ({"before": ("tools/app:2",)}, ["app:1"]),
        ({"since": ("app:1",)}, ["unnamed", "tools/app:2"]),
        ({"since": ("app:1",), "before": ("unnamed",)}, ["tools/app:2"]),
        ({"reference": ("app",)}, ["app:1"]),
        ({"reference": ("app:*",)}, ["app:1"]),
        ({"reference": ("*",)}, ["app:1"]),
        ({"reference": ("*/*",)}, ["tools/app:2"]),
        ({"reference": ("tools/a?p:[0-9]",)}, ["tools/app:2"]),
        ({"reference": ("tools/app:[^2]",)}, []),
        ({"reference": ("*/*", "app")}, ["tools/app:2", "app:1"]),
        ({"reference": ("ap\\p:1",)}, ["app:1"]),
    ],
)
def test_filters_choose_as_those_of_docker_do(engine: Any, three: str, filters: Any, expected: list[str]) -> None:
    given = {
        name: tuple(three if value == "unnamed" else value for value in values) for name, values in filters.items()
    }
    assert listed(engine, **given) == [three if name == "unnamed" else name for name in expected]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"size": ("1",)}, "invalid filter 'size'"),
        ({"dangling": ("maybe",)}, "invalid filter 'dangling=maybe'"),
        ({"dangling": ("true", "false")}, "invalid filter 'dangling=true, false'"),
        ({"reference": ("[a",)}, "invalid filter 'reference="),
        ({"reference": ("a\\",)}, "invalid filter 'reference="),
        ({"reference": ("[z-a]",)}, "invalid filter 'reference="),
    ],
)
def test_a_filter_that_is_none_is_refused(engine: Any, filters: Any, message: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        listed(engine, **filters)
    assert message in str(raised.value)


def test_a_filter_by_an_image_that_does_not_exist_is_not_found(engine: Any) -> None:
    with pytest.raises(NotFound, match="No such image: nothing:latest"):
        listed(engine, before=("nothing",))


def test_a_reference_filter_hides_the_other_names_of_an_image(engine: Any) -> None:
    image = engine.stores.pull(engine.stores.made("a"), "app:1")
    engine.images.tag(image, Reference.parse("other:1"))
    assert listed(engine, reference=("other",)) == ["other:1"]


def test_inspecting_shows_all_about_an_image(engine: Any) -> None:
    made = engine.stores.made("a", "b")
    image = engine.stores.pull(made, "app:1")
    details = image_inspect(engine, None, name="app:1")
    assert details.image == image
    assert (details.tags, details.digests) == (("app:1",), (f"app@{made.manifest.digest}",))
    assert (details.graphdriver, details.layer) == ("plain", made.names[-1])
    assert details.last_tagged > 0


def test_the_history_begins_with_the_last_step(engine: Any) -> None:
    made = engine.stores.made("a", "b")
    image = engine.stores.pull(made, "app:1")
    last, first = image_history(engine, None, name="app:1")
    assert (last.id, last.created_by, last.size, last.tags) == (image.id, "step 1", 10, ("app:1",))
    assert (first.id, first.created_by, first.size, first.tags) == ("<missing>", "step 0", 10, ())


def test_removing_says_and_records_what_it_did_and_frees_the_disk(engine: Any) -> None:
    made = engine.stores.made("a", key="value")
    image = engine.stores.pull(made, "app:1")
    removed = image_remove(engine, None, name="app:1")
    assert [step.untagged or step.deleted for step in removed] == [
        "app:1",
        f"app@{made.manifest.digest}",
        image.id,
        made.chain[0],
    ]
    past, _ = engine.events.subscribe(lambda _: None, since=0)
    assert [(event.action, event.id, event.attributes) for event in past] == [
        ("untag", image.id, {"key": "value", "name": image.id}),
        ("untag", image.id, {"key": "value", "name": image.id}),
        ("delete", image.id, {"name": image.id}),
    ]
    assert engine.stores.driver.layers() == set()


def test_an_image_that_does_not_exist_is_not_found_by_any_job(engine: Any) -> None:
    for job in (image_inspect, image_history, image_remove):
        with pytest.raises(NotFound, match="No such image: nothing:latest"):
            job(engine, None, name="nothing")  # type: ignore[operator]


# Tags


def test_a_tag_is_one_more_name_and_an_event(engine: Any) -> None:
    image = engine.stores.pull(engine.stores.made("a", key="value"), "app:1")
    image_tag(engine, None, name=image.id, repository="host:5000/team/app", tag="2")
    image_tag(engine, None, name="app:1", repository="other")
    assert [tag.familiar for tag in engine.images.tags(image)] == [
        "app:1",
        "other:latest",
        "host:5000/team/app:2",
    ]
    past, _ = engine.events.subscribe(lambda _: None, since=0)
    assert [(event.action, event.id, event.attributes) for event in past] == [
        ("tag", image.id, {"key": "value", "name": "host:5000/team/app:2"}),
        ("tag", image.id, {"key": "value", "name": "other:latest"}),
    ]


def test_a_tag_that_moves_leaves_an_image_without_a_name(engine: Any) -> None:
    first = engine.stores.pull(engine.stores.made("a"), "app:1")
    second = engine.stores.pull(engine.stores.made("b"), "app:2")
    image_tag(engine, None, name="app:2", repository="app", tag="1")
    assert engine.images.get("app:1") == second
    assert engine.images.tags(first) == ()


@pytest.mark.parametrize(
    ("repository", "tag", "message"),
    [
        ("", "", "repo is missing"),
        ("App", "", "must be lowercase"),
        ("app", "a b", "invalid tag format"),
        ("sha256", "x", "ambiguous tag"),
        ("app@sha256:" + "0" * 64, "", "cannot have a digest"),
    ],
)
def test_what_is_no_name_is_refused(engine: Any, repository: str, tag: str, message: str) -> None:
    image = engine.stores.pull(engine.stores.made("a"), "app:1")
    with pytest.raises(InvalidParameter, match=message):
        image_tag(engine, None, name="app:1", repository=repository, tag=tag)
    assert [name.familiar for name in engine.images.tags(image)] == ["app:1"]


# Images that were made from others


def child(engine: Any, parent: Image, content: str, name: str = "") -> Image:
    """Make an image with one layer more."""
    stores = engine.stores
    with stores.images.lease("make", resumable=False) as lease:
        layer = stores.images.add_layer(
            [stores.archive((content, content.encode()))], parent, driver="plain", lease=lease
        )
        made: Image = stores.images.create(
            parent=parent,
            layer=layer,
            config=parent.config,
            step=History(created="2024-02-01T00:00:00.5Z", created_by=content),
            driver="plain",
            lease=lease,
            reference=Reference.parse(name) if name else None,
        )
    return made


def test_an_image_without_a_name_that_others_were_made_from_is_shown_only_among_all(engine: Any) -> None:
    base = engine.stores.pull(engine.stores.made("a"), "base:1")
    between = child(engine, base, "b")
    assert [summary.id for summary in image_list(engine, None)] == [between.id, base.id]
    top = child(engine, between, "c", "top:1")
    assert {summary.id for summary in image_list(engine, None)} == {top.id, base.id}
    everything = {summary.id: summary.parent for summary in image_list(engine, None, all=True)}
    assert everything == {top.id: between.id, between.id: base.id, base.id: ""}


def test_history_has_the_ids_and_tags_of_the_images_that_were_made_here(engine: Any) -> None:
    base = engine.stores.pull(engine.stores.made("a", "b"), "base:1")
    top = child(engine, child(engine, base, "c"), "d", "top:1")
    entries = image_history(engine, None, name="top:1")
    assert [entry.id for entry in entries] == [top.id, engine.images.parent(top).id, base.id, "<missing>"]
    assert [entry.tags for entry in entries] == [("top:1",), (), ("base:1",), ()]
    assert [entry.created_by for entry in entries] == ["d", "c", "step 1", "step 0"]


def test_what_an_image_was_made_from_cannot_go_before_it_and_goes_with_it(engine: Any) -> None:
    base = engine.stores.pull(engine.stores.made("a"), "base:1")
    between = child(engine, base, "b")
    top = child(engine, between, "c", "top:1")
    for force in (False, True):
        with pytest.raises(Conflict, match=r"cannot be forced\) - image has dependent child images"):
            image_remove(engine, None, name=between.id, force=force)
    removed = image_remove(engine, None, name="top:1")
    assert [step.untagged or step.deleted for step in removed] == [
        "top:1",
        top.id,
        top.chain_ids[-1],
        between.id,
        between.chain_ids[-1],
    ]
    past, _ = engine.events.subscribe(lambda _: None, since=0)
    assert [(event.action, event.id) for event in past] == [
        ("untag", top.id),
        ("delete", top.id),
        ("delete", between.id),
    ]
    assert [image.id for image in engine.images.list()] == [base.id]


def test_without_pruning_what_an_image_was_made_from_stays(engine: Any) -> None:
    between = child(engine, engine.stores.pull(engine.stores.made("a"), "base:1"), "b")
    child(engine, between, "c", "top:1")
    image_remove(engine, None, name="top:1", prune=False)
    assert engine.images.get(between.id) == between


def test_the_last_name_of_an_image_that_others_were_made_from_can_go(engine: Any) -> None:
    base = engine.stores.pull(engine.stores.made("a"), "base:1")
    child(engine, base, "b", "top:1")
    removed = image_remove(engine, None, name="base:1")
    assert not any(step.deleted for step in removed)
    assert engine.images.names(engine.images.get(base.id)) == ()


# More of lists


def test_images_are_listed_by_their_time_to_less_than_a_second(engine: Any) -> None:
    stores = engine.stores
    first = stores.pull(stores.made("a", created="2024-01-01T00:00:00.25Z"), "app:1")
    second = stores.pull(stores.made("b", created="2024-01-01T00:00:00.5Z"), "app:2")
    assert listed(engine) == ["app:2", "app:1"]
    assert listed(engine, before=(second.id,)) == ["app:1"]
    assert listed(engine, since=(first.id,)) == ["app:2"]
    assert listed(engine, until=("2024-01-01T00:00:00.3Z",)) == ["app:1"]


@pytest.mark.parametrize(
    ("until", "expected"),
    [("2021-06-01", ["tools/app:2", "app:1"]), ("1577836799", []), ("1577836801", ["app:1"]), ("10m", ["all"])],
)
def test_until_is_a_time_or_a_duration(engine: Any, three: Any, until: str, expected: list[str]) -> None:
    assert listed(engine, until=(until,)) == ([three, "tools/app:2", "app:1"] if expected == ["all"] else expected)


def test_shared_size_is_what_several_images_have(engine: Any) -> None:
    stores = engine.stores
    stores.pull(stores.made("a", "b"), "app:1")
    stores.pull(stores.made("a", "c"), "app:2")
    stores.pull(stores.made("d"), "app:3")
    found = image_list(engine, None, shared_size=True)
    assert {summary.tags[0]: summary.shared_size for summary in found} == {"app:1": 10, "app:2": 10, "app:3": 0}


def test_an_image_for_another_platform_is_not_what_was_asked_for(engine: Any) -> None:
    engine.stores.pull(engine.stores.made("a"), "app:1")
    assert image_inspect(engine, None, name="app:1", platform=Platform("linux", "amd64"))
    for job in (image_inspect, image_history):
        with pytest.raises(NotFound, match=r"its platform \(linux/amd64\) does not match .*linux/arm64"):
            job(engine, None, name="app:1", platform=Platform("linux", "arm64"))


# Pruning


def prune(engine: Any, **filters: tuple[str, ...]) -> tuple[list[str], int]:
    report = image_prune(engine, Job(engine, "image_prune", {}), filters=filters)
    return [step.untagged or step.deleted for step in report.removed], report.reclaimed


def test_prune_removes_what_has_no_tag(engine: Any) -> None:
    stores = engine.stores
    tagged = stores.pull(stores.made("a", "b"), "app:1")
    loose = stores.pull(stores.made("a", "c"))
    steps, reclaimed = prune(engine)
    assert steps == [loose.id, loose.chain_ids[1]]
    assert reclaimed == 10
    assert engine.images.list() == (tagged,)
    past, _ = engine.events.subscribe(lambda _: None, since=0)
    assert [(event.action, event.attributes) for event in past] == [
        ("delete", {"name": loose.id}),
        ("prune", {"reclaimed": "10"}),
    ]


def test_prune_removes_an_image_whose_tag_moved_although_it_has_a_digest(engine: Any) -> None:
    stores = engine.stores
    old = stores.pull(stores.made("a"), "app:1")
    new = stores.pull(stores.made("b"), "app:1")
    steps, _ = prune(engine)
    assert steps == [f"app@{old.manifest}", old.id, old.chain_ids[0]]
    assert engine.images.list() == (new,)


def test_prune_of_all_leaves_what_containers_use_with_all_its_names(engine: Any) -> None:
    stores = engine.stores
    used = stores.pull(stores.made("a"), "app:1")
    image_tag(engine, None, name="app:1", repository="other")
    stores.pull(stores.made("b"), "unused:1")
    node = stores.db.put("container", "c" * 64, None, root=True)
    stores.db.link(node, "uses", stores.db.get("image", used.id))
    steps, _ = prune(engine, dangling=("false",))
    assert "unused:1" in steps
    assert engine.images.list() == (used,)
    assert len(engine.images.tags(used)) == 2


def test_prune_removes_images_with_what_they_were_made_from(engine: Any) -> None:
    base = engine.stores.pull(engine.stores.made("a"), "base:1")
    child(engine, child(engine, base, "b"), "c")
    _, reclaimed = prune(engine)
    assert engine.images.list() == (base,)
    assert reclaimed == 2


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"until": ("2021-06-01",)}, ["2022"]),
        ({"label": ("kind=tool",)}, ["2020", "2022"]),
        ({"label!": ("kind",)}, ["2021"]),
        ({"label": ("nope",)}, ["2020", "2021", "2022"]),
    ],
)
def test_prune_keeps_what_the_filters_do_not_name(engine: Any, three: Any, filters: Any, left: list[str]) -> None:
    prune(engine, dangling=("false",), **filters)
    assert sorted(image.created[:4] for image in engine.images.list()) == left


@pytest.mark.parametrize("filters", [{"before": ("x",)}, {"until": ("soon",)}, {"dangling": ("maybe",)}])
def test_prune_refuses_filters_that_it_does_not_know(engine: Any, three: Any, filters: Any) -> None:
    with pytest.raises(InvalidParameter):
        prune(engine, **filters)
    assert len(engine.images.list()) == 3
