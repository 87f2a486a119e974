"""Discovery: what is broken or cannot work here is listed with the reason, and stops nothing."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from transom import hookimpl
from transom.catalog import Catalog
from transom.drivers import NetworkDriver
from transom.drivers.base import DriverSource
from transom.errors import DriverUnavailable, InvalidParameter, NotFound


def driver(name: str, *, rank: int = -1, reason: str = "") -> type[NetworkDriver]:
    class Driver(NetworkDriver):
        create = remove = connect = disconnect = lambda *_: None  # type: ignore[assignment]

        @classmethod
        def probe(cls, root: Path) -> None:
            if reason == "crash":
                raise ZeroDivisionError("oops")
            if reason:
                raise DriverUnavailable(reason, "do something")

    Driver.name, Driver.rank = name, rank
    return Driver


def plugin(name: str, *drivers: type[NetworkDriver]) -> types.ModuleType:
    module = types.ModuleType(name)
    module.transom_networkdrivers = hookimpl(lambda: drivers)  # type: ignore[attr-defined]
    return module


def test_the_default_is_the_highest_rank_that_works(tmp_path: Path) -> None:
    drivers = [
        driver("slow", rank=1),
        driver("fast", rank=9, reason="no such kernel"),
        driver("asked", rank=-1),
    ]
    assert Catalog(tmp_path, [plugin("p", *drivers)]).network.default() == "slow"


def test_the_recommended_driver_is_the_default_with_the_reasons(tmp_path: Path) -> None:
    fast, slow = driver("fast", rank=9, reason="no such kernel"), driver("slow", rank=1)
    slow.merit = "it works everywhere"
    shelf = Catalog(tmp_path, [plugin("p", slow, fast, driver("asked"))]).network
    found = shelf.recommend()
    assert (found.name, found.others) == ("slow", (("fast", "no such kernel: do something"),))
    assert str(found) == "slow: it works everywhere; fast cannot work here: no such kernel: do something"
    # What somebody configured is the default and no recommendation.
    marks = {info.name: (info.default, info.recommended) for info in shelf.describe("asked")}
    assert marks == {"asked": (True, False), "fast": (False, False), "slow": (False, True)}


def test_without_a_driver_that_works_nothing_is_recommended(tmp_path: Path) -> None:
    shelf = Catalog(tmp_path, [plugin("p", driver("fast", rank=9, reason="no such kernel"))]).network
    with pytest.raises(DriverUnavailable, match="no network driver works on this machine: fast: no such kernel"):
        shelf.recommend()
    assert [info.recommended for info in shelf.describe()] == [False]


def test_a_driver_that_cannot_work_is_listed_with_reason_and_remedy(tmp_path: Path) -> None:
    shelf = Catalog(tmp_path, [plugin("p", driver("fast", reason="no such kernel"))]).network
    assert [info.unavailable for info in shelf.describe()] == ["no such kernel: do something"]
    with pytest.raises(DriverUnavailable, match="'fast' cannot work here: no such kernel"):
        shelf.get("fast")


def test_a_probe_that_crashes_is_a_reason(tmp_path: Path) -> None:
    shelf = Catalog(tmp_path, [plugin("p", driver("broken", reason="crash"))]).network
    assert "ZeroDivisionError: oops" in shelf.describe()[0].unavailable


def test_a_misspelt_name_gets_the_nearest_one(tmp_path: Path) -> None:
    shelf = Catalog(tmp_path, [plugin("p", driver("overlay"))]).network
    with pytest.raises(NotFound, match="did you mean 'overlay'"):
        shelf.get("ovrelay")


def test_two_plugins_that_claim_one_driver_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"'fast'.*first.*second"):
        Catalog(tmp_path, [plugin("first", driver("fast")), plugin("second", driver("fast"))])


def test_a_hook_that_raises_leaves_the_other_plugins_alone(tmp_path: Path) -> None:
    bad = types.ModuleType("bad")

    @hookimpl
    def transom_networkdrivers() -> None:
        raise RuntimeError("half installed")

    bad.transom_networkdrivers = transom_networkdrivers  # type: ignore[attr-defined]
    catalog = Catalog(tmp_path, [bad, plugin("good", driver("fast"))])
    assert catalog.network.names() == ["fast"]
    assert {item.name: item.error for item in catalog.plugins}["bad"].endswith("RuntimeError: half installed")


# What others write


def of(name: str, **hooks: Callable[[], object]) -> types.ModuleType:
    """Return a plugin with these hooks."""
    module = types.ModuleType(name)
    for hook, function in hooks.items():
        setattr(module, hook, hookimpl(function))
    return module


def errors(catalog: Catalog) -> dict[str, str]:
    return {item.name: item.error for item in catalog.plugins if item.error}


def test_what_does_not_end_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transom.plugins.PATIENCE", 0.05)
    over = threading.Event()
    slow = driver("slow")
    slow.probe = classmethod(lambda _cls, _root: over.wait(60))  # type: ignore[assignment, method-assign]
    hanging = of("hanging", transom_networkdrivers=lambda: over.wait(60))
    catalog = Catalog(tmp_path, [hanging, plugin("good", driver("fast"), slow)])
    assert "transom_networkdrivers failed with Overdue: it has not ended in" in errors(catalog)["hanging"]
    assert [(info.name, bool(info.unavailable)) for info in catalog.network.describe()] == [
        ("fast", False),
        ("slow", True),
    ]
    over.set()


def test_of_one_plugin_what_works_is_used(tmp_path: Path) -> None:
    half = of("half", transom_networkdrivers=lambda: [driver("fast"), "slow"], transom_logdriver=lambda: iter(()))
    catalog = Catalog(tmp_path, [half])
    assert catalog.network.names() == ["fast"]
    assert errors(catalog) == {
        "half": "there is no hook transom_logdriver; did you mean transom_logdrivers?; 'slow' is no class that derives"
        " from transom.drivers.network.NetworkDriver"
    }


def test_a_plugin_that_is_there_twice_is_used_once(tmp_path: Path) -> None:
    good = plugin("good", driver("fast"))
    catalog = Catalog(tmp_path, [good, good])
    assert catalog.network.names() == ["fast"]


def test_entry_points_of_one_name_are_two_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {name: plugin(name, driver(name)) for name in ("first", "second")}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    points = [EntryPoint("same", name, "transom") for name in modules]
    monkeypatch.setattr("transom.plugins.entry_points", lambda **_: [*points, EntryPoint("other", "first", "transom")])
    catalog = Catalog(tmp_path)
    assert catalog.network.names() == ["first", "second"]
    assert [item.module for item in catalog.plugins if "once more" in item.error] == ["first"]


def test_a_source_that_cannot_say_its_names_hides_nobody_else(tmp_path: Path) -> None:
    class Source(DriverSource[NetworkDriver]):
        def names(self) -> list[str]:
            raise ZeroDivisionError

        def find(self, name: str) -> None: ...

    module = of("sourced", transom_networkdrivers=lambda: [driver("fast"), Source()])
    assert Catalog(tmp_path, [module]).network.names() == ["fast"]
