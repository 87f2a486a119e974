"""Every example of docs/hooks.md is a plugin that works."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from transom import hookspecs
from transom.config import Config
from transom.engine import Engine
from transom.errors import DriverUnavailable, Forbidden

_PAGE = Path(__file__).parents[3] / "docs" / "hooks.md"
_EXAMPLES = dict(re.findall(r"### `(transom_\w+)\(.*?\)`.*?```python\n(.*?)```", _PAGE.read_text(), re.DOTALL))


@pytest.fixture
def plugin(request: pytest.FixtureRequest) -> Iterator[types.ModuleType]:
    module = types.ModuleType(f"example_of_{request.param}")
    sys.modules[module.__name__] = module
    exec(compile(_EXAMPLES[request.param], str(_PAGE), "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.fixture
def engine(tmp_path: Path, plugin: types.ModuleType) -> Iterator[Engine]:
    with Engine(Config(data_root=tmp_path / "data", exec_root=tmp_path / "exec"), [plugin]) as engine:
        yield engine


def of(*hooks: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("plugin", hooks, indirect=True)


def test_the_page_has_an_example_of_every_hook() -> None:
    specified = {name for name in vars(hookspecs) if name.startswith("transom_")}
    assert set(_EXAMPLES) == specified


@of("transom_jobs")
def test_a_plugin_gives_a_job(engine: Engine) -> None:
    said: list[str] = []
    job = engine.job("greet", name="Ada", report=lambda progress: said.append(progress.status))
    assert job.run() == "Hello, Ada!"
    assert said == ["Greeting Ada"]


@of("transom_call_job")
def test_a_wrapper_denies_a_job(engine: Engine, plugin: types.ModuleType) -> None:
    engine._handlers["image_remove"] = lambda engine, job: pytest.fail("the job was run")
    with pytest.raises(Forbidden, match="images stay"):
        engine.run("image_remove")


@of("transom_graphdrivers")
def test_a_plugin_gives_a_graph_driver_that_copies_layers(engine: Engine) -> None:
    layers = engine.layers
    layers.prepare("below", "copy", None)
    (layers.mount("copy", "below") / "file").write_text("content")
    layers.prepare("above", "copy", "below")
    assert (layers.mount("copy", "above") / "file").read_text() == "content"


@of("transom_execdrivers")
def test_a_driver_that_cannot_work_says_why(engine: Engine) -> None:
    with pytest.raises(DriverUnavailable, match="/dev/kvm does not open: enable virtualisation"):
        engine.execdriver("hypervisor")


@of("transom_volumedrivers")
def test_a_plugin_gives_a_volume_driver(engine: Engine) -> None:
    engine.volumes.create("pages", "scratch", {}, {})
    assert engine.volumes.mount("pages", "container").is_dir()


@of("transom_networkdrivers", "transom_logdrivers")
def test_a_plugin_gives_a_driver_of_its_kind(engine: Engine) -> None:
    assert {"shared", "counting"} & {info.name for info in engine.drivers() if not info.unavailable}


@of("transom_event")
def test_a_plugin_is_told_of_events(engine: Engine, plugin: types.ModuleType) -> None:
    engine.events.record("container", "start", "abc")
    assert plugin.seen == [("container", "start")]


@of("transom_serve", "transom_routes", "transom_commands")
def test_a_frontend_is_found(engine: Engine, plugin: types.ModuleType) -> None:
    hook = next(name for name in vars(plugin) if name.startswith("transom_"))
    assert getattr(engine.catalog.manager.hook, hook).get_hookimpls()
