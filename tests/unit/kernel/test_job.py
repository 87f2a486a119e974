"""Jobs: named, checked when they are made, run once, with progress, a result or an error."""

from __future__ import annotations

import pkgutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from transom import hookimpl
from transom.catalog import Plugins
from transom.config import Config
from transom.engine import Engine
from transom.errors import Cancelled, Conflict, InvalidParameter, NotFound, Unavailable
from transom.job import HandlerName, Status


def plugin(name: str, **jobs: object) -> types.ModuleType:
    module = types.ModuleType(name)
    module.transom_jobs = hookimpl(lambda: jobs)  # type: ignore[attr-defined]
    return module


def double(engine: Engine, job: object, *, number: int) -> int:
    return 2 * number


def fail(engine: Engine, job: object) -> None:
    raise Conflict("no")


def patient(engine: Engine, job: object) -> None:
    job.check()  # type: ignore[attr-defined]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_root=tmp_path / "data", exec_root=tmp_path / "exec")


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    with Engine(config, [plugin("jobs", double=double, fail=fail, patient=patient)]) as engine:
        yield engine


def test_a_job_has_its_handlers_result(engine: Engine) -> None:
    job = engine.job("double", number=21)
    assert job.status is Status.CREATED
    assert job.run() == 42
    assert (job.status, job.result) == (Status.DONE, 42)


def test_a_job_that_fails_keeps_its_error(engine: Engine) -> None:
    job = engine.job("fail")
    with pytest.raises(Conflict):
        job.run()
    assert job.status is Status.FAILED
    assert isinstance(job.error, Conflict)


def test_a_job_runs_once(engine: Engine) -> None:
    job = engine.job("double", number=1)
    job.run()
    with pytest.raises(RuntimeError):
        job.run()


def test_a_handler_that_is_named_is_imported_when_the_job_is_asked_for(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late_jobs.py").write_text("def greet(engine, job, *, name):\n    return f'Hello, {name}!'\n")
    with Engine(config, [plugin("late", greet="late_jobs:greet")]) as engine:
        assert "late_jobs" not in sys.modules
        with pytest.raises(InvalidParameter, match="greet"):
            engine.job("greet")
        assert engine.run("greet", name="Ada") == "Hello, Ada!"


def test_the_handlers_that_installed_plugins_name_are_there() -> None:
    jobs = [implementation.function() for implementation in Plugins().manager.hook.transom_jobs.get_hookimpls()]
    names = [name for found in jobs for name in found.values() if isinstance(name, HandlerName)]
    assert names
    assert all(callable(pkgutil.resolve_name(name)) for name in names)


def test_an_unknown_job_is_refused(engine: Engine) -> None:
    with pytest.raises(NotFound, match="'triple'"):
        engine.job("triple")


@pytest.mark.parametrize("parameters", [{}, {"number": 1, "letter": "a"}])
def test_wrong_parameters_are_refused_when_the_job_is_made(engine: Engine, parameters: dict[str, object]) -> None:
    with pytest.raises(InvalidParameter, match="double"):
        engine.job("double", **parameters)


def test_a_cancelled_job_ends_at_its_next_check(engine: Engine) -> None:
    job = engine.job("patient")
    job.cancel()
    with pytest.raises(Cancelled):
        job.run()


def test_two_plugins_that_claim_one_job_are_both_named(config: Config) -> None:
    with pytest.raises(InvalidParameter, match=r"first and second|second and first"):
        Engine(config, [plugin("first", double=double), plugin("second", double=double)])


def test_a_second_engine_on_one_root_is_refused_and_the_first_goes_on(config: Config, engine: Engine) -> None:
    with pytest.raises(Conflict, match="another daemon"):
        Engine(config, [])
    assert engine.run("double", number=2) == 4


def test_two_engines_with_two_roots_live_in_one_process(tmp_path: Path, engine: Engine) -> None:
    other = Config(data_root=tmp_path / "other", exec_root=tmp_path / "other-exec")
    with Engine(other, [plugin("more", double=double)]) as second:
        assert (engine.run("double", number=1), second.run("double", number=2)) == (2, 4)


def test_an_engine_that_stops_takes_no_job(engine: Engine) -> None:
    engine.stopping.set()
    with pytest.raises(Unavailable):
        engine.run("double", number=1)
