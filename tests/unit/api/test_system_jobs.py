"""The jobs about the engine as a whole."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from transom.errors import InvalidParameter
from transom.events import Event, Events
from transom_system.about import engine_id
from transom_system.events import events, matches

START = Event("container", "start", "c1" * 32, {"name": "web", "image": "busybox:1", "k": "v"}, 100)
EXEC = Event("container", "exec_create: sh", "c1" * 32, {"name": "web", "image": "busybox:1"}, 100)
PULL = Event("image", "pull", "localhost:5000/a:1", {"name": "localhost:5000/a"}, 100)
VOLUME = Event("volume", "create", "data", {"driver": "local"}, 100)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [START, EXEC, PULL, VOLUME]),
        ({"type": ("container",)}, [START, EXEC]),
        ({"type": ("container", "volume")}, [START, EXEC, VOLUME]),
        ({"event": ("start",)}, [START]),
        ({"event": ("exec_create",)}, [EXEC]),
        ({"event": ("exec",)}, []),
        ({"container": ("web",)}, [START, EXEC]),
        ({"container": ("c1c1",)}, [START, EXEC]),
        ({"container": ("data",)}, []),
        ({"volume": ("data",)}, [VOLUME]),
        ({"image": ("busybox",)}, [START, EXEC]),
        ({"image": ("busybox:1",)}, [START, EXEC]),
        ({"image": ("localhost:5000/a",)}, [PULL]),
        ({"image": ("localhost",)}, []),
        ({"label": ("k",)}, [START]),
        ({"label": ("k=v", "name=web")}, [START]),
        ({"label": ("k=w",)}, []),
        ({"scope": ("local",)}, [START, EXEC, PULL, VOLUME]),
        ({"scope": ("swarm",)}, []),
        ({"type": ("container",), "event": ("start", "pull")}, [START]),
        ({"daemon": ("x",)}, []),
    ],
)
def test_events_are_filtered_by_dockers_rules(filters, found):
    assert [event for event in (START, EXEC, PULL, VOLUME) if matches(event, filters)] == found


def test_a_watch_gives_the_past_and_then_what_happens_and_only_what_was_asked_for():
    bus, heard = Events(), []
    bus.record("volume", "create", "old")
    engine = SimpleNamespace(events=bus)
    watch = events(engine, None, listener=heard.append, since=1, filters={"type": ("volume",)})
    bus.record("volume", "create", "new")
    bus.record("image", "pull", "a:1")
    assert [event.id for event in watch.past] == ["old"]
    assert [event.id for event in heard] == ["new"]
    bus.unsubscribe(watch.subscription)
    assert bus.listeners == 0


def test_a_watch_that_is_over_has_no_subscription():
    bus = Events()
    bus.record("volume", "create", "old")
    watch = events(SimpleNamespace(events=bus), None, listener=lambda _: None, since=1, until=2)
    assert (watch.past, watch.subscription, bus.listeners) == ((), None, 0)


def test_a_filter_that_there_is_not_is_refused():
    with pytest.raises(InvalidParameter, match="invalid filter 'colour'"):
        events(SimpleNamespace(events=Events()), None, listener=print, filters={"colour": ("red",)})


def test_the_id_of_an_engine_stays_and_two_that_ask_first_get_the_same(tmp_path):
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(engine_id(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert engine_id(tmp_path) == found[0]
    assert [path.name for path in tmp_path.iterdir()] == ["engine-id"]
