"""The jobs that list, show and remove images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from transom.errors import InvalidParameter, NotFound
from transom.events import Events
from transom.graph.reference import Reference
from transom_images.listing import image_history, image_inspect, image_list
from transom_images.removing import image_remove


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
        ("delete", image.id, {"key": "value", "name": image.id}),
    ]
    assert engine.stores.driver.layers() == set()


def test_an_image_that_does_not_exist_is_not_found_by_any_job(engine: Any) -> None:
    for job in (image_inspect, image_history, image_remove):
        with pytest.raises(NotFound, match="No such image: nothing:latest"):
            job(engine, None, name="nothing")  # type: ignore[operator]
