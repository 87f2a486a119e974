"""What is kept of builds: how it is listed, what a prune removes, and what a crash leaves."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from testbed.builds import Builder, context, running
from testbed.clients import TRANSOM
from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.registry import Registry
from testbed.waiting import wait_for
from transom.builds import CacheRecord, CacheStore
from transom.errors import InvalidParameter
from transom.job import Aux

DOCKERFILE = "FROM BASE\nRUN head -c 100000 /dev/urandom > /random\nRUN echo > /small\n"


@pytest.fixture(autouse=True)
def cache_is_empty(builder: Builder) -> Iterator[None]:
    builder.engine.run("build_prune", all=True)
    assert builder.engine.build_cache.list() == ()
    yield


def records(builder: Builder) -> dict[str, CacheRecord]:
    return {record.description: record for record in builder.engine.run("disk_usage").builds}


def test_steps_are_listed_with_what_they_occupy(builder: Builder) -> None:
    builder.build(DOCKERFILE)
    builder.build(DOCKERFILE)
    random, small = records(builder).values()
    assert random.description == "RUN head -c 100000 /dev/urandom > /random"
    assert (random.type, random.size, random.usage_count, random.shared) == ("regular", 100_000, 1, True)
    assert small.parents == (random.id,)
    assert random.created < (random.last_used or 0)


def test_a_prune_keeps_what_images_have_too(builder: Builder) -> None:
    image = builder.build(DOCKERFILE, tags=("pruned",)).image
    assert builder.engine.run("build_prune").removed == ()
    assert len(builder.engine.run("build_prune", all=True).removed) == 2
    with builder.tree(image) as tree:
        assert (tree / "random").exists()
    builder.build(DOCKERFILE, no_cache=True)
    builder.engine.run("image_remove", name="pruned", force=True)


def test_a_prune_frees_what_no_image_has(builder: Builder) -> None:
    image = builder.build(DOCKERFILE).image
    builder.engine.run("image_remove", name=image.id)
    blobs = [blob for blob in image.blobs if builder.engine.content.has(blob)]
    assert len(blobs) == len(image.blobs)
    pruned = builder.engine.run("build_prune")
    assert (len(pruned.removed), pruned.reclaimed) == (2, 100_001)
    assert [blob for blob in image.blobs[-2:] if builder.engine.content.has(blob)] == []
    assert builder.build(DOCKERFILE).cached == []


def test_filters_and_limits(builder: Builder) -> None:
    run = builder.engine.run
    image = builder.build(DOCKERFILE + "RUN --mount=type=cache,target=/c,id=pruned echo x > /c/f\n").image
    run("image_remove", name=image.id)
    assert run("build_prune", filters={"until": ("1h",)}).removed == ()
    assert run("build_prune", reserved_space=1 << 30).removed == ()
    assert len(run("build_prune", filters={"type": ("exec.cachemount",)}).removed) == 1
    assert not any((builder.engine.config.data_root / "build").iterdir())
    # The one that was not used for longest goes first, and frees enough.
    assert len(run("build_prune", max_used_space=50_000).removed) == 1
    small = records(builder)["RUN echo > /small"]
    assert run("build_prune", filters={"id": (small.id[:12],)}).removed == (small.id,)
    with pytest.raises(InvalidParameter, match="invalid filter 'what'"):
        run("build_prune", filters={"what": ("x",)})


def test_a_cache_that_is_in_use_is_not_pruned(builder: Builder) -> None:
    started, engine = threading.Event(), builder.engine

    def report(message: object) -> None:
        if isinstance(message, Aux) and "started" in str(message.value.get("vertex", {}).get("log", "")):
            started.set()

    text = f"FROM {builder.busybox}\nRUN --mount=type=cache,target=/c,id=busy echo started; sleep 1000\n"
    job = engine.job("build", input=context({"Dockerfile": text}), report=report, progress="steps")
    future: Future[object] = engine.submit(job.run)
    assert started.wait(60)
    [record] = engine.build_cache.list()
    assert record.in_use
    assert engine.run("build_prune", all=True).removed == ()
    job.cancel()
    with pytest.raises(Exception, match="cancelled"):
        future.result(60)


def test_two_builds_do_a_step_once(builder: Builder) -> None:
    text = f"FROM {builder.busybox}\nRUN sleep 0.5; head -c 10 /dev/urandom > /random\n"
    engine = builder.engine
    futures = [engine.submit(engine.job("build", input=context({"Dockerfile": text})).run) for _ in range(3)]
    assert len({future.result(60) for future in futures}) == 1


def test_a_lost_layer_is_made_again(builder: Builder) -> None:
    image = builder.build(DOCKERFILE).image
    builder.engine.run("image_remove", name=image.id)
    builder.engine.content.remove(image.blobs[-1])
    assert builder.build(DOCKERFILE).cached == ["[2/3] RUN head -c 100000 /dev/urandom > /random"]


def test_layers_of_steps_outlive_the_engine(tmp_path: Path, registry: Registry) -> None:
    with running(tmp_path, registry.busybox) as first, pytest.raises(InvalidParameter):
        first.build(DOCKERFILE + "RUN exit 1\n")
    with running(tmp_path, registry.busybox) as second:
        assert len(second.build(DOCKERFILE).cached) == 2


def test_a_killed_daemon_leaves_no_container_and_no_layer(own_daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(
        f"FROM {own_daemon.busybox}\nRUN --mount=type=secret,id=x,required echo > /first; sleep 1000\n"
    )
    (tmp_path / "secret").write_text("x")
    client = subprocess.Popen(
        [TRANSOM, "build", "--secret", f"id=x,src={tmp_path}/secret", str(tmp_path / "context")],
        env=own_daemon.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: own_daemon.transom("ps", "-q").stdout)
    own_daemon.kill()
    client.wait(60)
    own_daemon.start()
    wait_for(lambda: not own_daemon.transom("ps", "-aq").stdout)
    assert list((own_daemon.exec_root / "rooms").iterdir()) == []
    layers = [
        path.name for path in (own_daemon.data_root / "graph" / GRAPHDRIVER).iterdir() if not path.name.startswith(".")
    ]
    assert len(layers) == len(
        own_daemon.transom(
            "image", "inspect", "-f", "{{range .RootFS.Layers}}x{{end}}", own_daemon.busybox
        ).stdout.strip()
    )


def lines(builder: Builder, text: str, **parameters: object) -> list[bool]:
    """Build as Docker's own builder tells of it, and return of each instruction whether it was done before."""
    told = builder.build(text, progress="docker", **parameters).text
    return [" ---> Using cache\n" in step for step in told.split("Step ")[1:]]


def test_instructions_that_change_no_file_are_told_of_as_what_follows_them(builder: Builder) -> None:
    text = "FROM BASE\nENV A={}\nRUN echo $A > /a\nRUN echo > /b\nLABEL x={}\nCMD a\n"
    assert lines(builder, text.format("told", 1)) == [False] * 6
    assert lines(builder, text.format("told", 1)) == [False, True, True, True, True, True]
    assert lines(builder, text.format("told", 2)) == [False, True, True, True, False, False]
    assert lines(builder, text.format("other", 1)) == [False] * 6
    assert lines(builder, text.format("told", 1), no_cache=True) == [False] * 6


def test_dockers_own_builder_takes_steps_of_the_named_images_alone(builder: Builder) -> None:
    text = "FROM BASE\nENV FOO=bar\nRUN touch /baz\nRUN touch /bax\n"
    builder.build(text, tags=("named:1",))
    named, missing = CacheStore("registry", {"ref": "named:1"}), CacheStore("registry", {"ref": "missing:1"})
    assert lines(builder, text, cache_from=(missing, named)) == [False, True, True, True]
    assert lines(builder, text, cache_from=(missing,)) == [False] * 4
