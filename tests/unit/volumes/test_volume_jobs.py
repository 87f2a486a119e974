"""The jobs about volumes tell what happened."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from transom.catalog import Shelf
from transom.drivers.volume import VolumeDriver
from transom.engine import Engine
from transom.errors import NotFound
from transom.events import Events
from transom.graph.db import GraphDB
from transom.job import Job
from transom.plugins import Plugin
from transom.volumes import VolumeStore
from transom_named.driver import LocalDriver
from transom_volumes import jobs


class Stand:
    """An engine with volumes and events and nothing else."""

    def __init__(self, root: Path) -> None:
        shelf: Shelf[VolumeDriver] = Shelf("volume", root / "volumes")
        shelf.add(LocalDriver, Plugin("named", "transom_named", "", ""))
        self.events = Events()
        self.engine = cast(
            "Engine",
            SimpleNamespace(volumes=VolumeStore(GraphDB(root / "graph.db"), shelf), events=self.events),
        )

    def run(self, job: str, /, **parameters: Any) -> Any:
        return getattr(jobs, job)(self.engine, Job(self.engine, job, parameters), **parameters)

    def told(self) -> list[tuple[str, str, str, str]]:
        past, subscription = self.events.subscribe(lambda _: None, since=0)
        self.events.unsubscribe(subscription)
        return [(event.type, event.action, event.id, event.attributes["driver"]) for event in past]


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_a_volume_is_made_listed_inspected_and_removed(stand: Stand) -> None:
    made = stand.run("volume_create", name="data", labels={"a": "b"})
    assert stand.run("volume_inspect", name="data") == made
    assert stand.run("volume_list") == (made,)
    assert stand.run("volume_list", filters={"label": ("a=c",)}) == ()
    stand.run("volume_remove", name="data")
    assert stand.run("volume_list") == ()
    assert stand.told() == [
        ("volume", "create", "data", "local"),
        ("volume", "destroy", "data", "local"),
    ]


def test_a_volume_that_was_there_is_not_told_again(stand: Stand) -> None:
    stand.run("volume_create", name="data")
    stand.run("volume_create", name="data", driver="")
    assert len(stand.told()) == 1


def test_what_fails_is_not_told(stand: Stand) -> None:
    with pytest.raises(NotFound):
        stand.run("volume_create", name="data", driver="unknown")
    with pytest.raises(NotFound):
        stand.run("volume_remove", name="data")
    stand.run("volume_remove", name="data", force=True)
    assert stand.told() == []
