"""Builds that cannot be, and steps that do not behave: one clear error, and nothing is left."""

from __future__ import annotations

import random
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.builds import Builder, Files, context, running
from testbed.registry import Registry
from transom.errors import Cancelled, InvalidParameter, StorageFull
from transom.job import Aux, Message

#: More than the largest Dockerfile that is read.
ENORMOUS = "# " + "x" * (17 << 20)


def entry(kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return what an archive has of something that is no file."""
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("dockerfile", "problem"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("# a comment alone\n", "file with no instructions"),
        ("FROM BASE\nRUN \x00\x01\x7fELF\n", "NUL"),
        (ENORMOUS, "exceeds maximum allowed size of 16777216 bytes"),
        ("FROM BASE\nRUNN true\n", r"unknown instruction: RUNN \(did you mean RUN\?\)"),
        ("RUN true\n", "no build stage in current context"),
        ("FROM b AS a\nFROM a AS b\nCOPY --from=c / /\nFROM BASE AS c\nCOPY --from=b / /\n", "circular dependency"),
        ("FROM BASE AS one\nCOPY --from=one /a /b\n", "circular dependency detected on stage: one"),
        ("FROM BASE\nCOPY --from=7 /a /b\n", "7"),
        ("FROM BASE\nCOPY --form=one /a /b\n", "unknown flag: --form"),
        ("FROM BASE\nRUN --mount=type=bind,taget=/x true\n", "taget"),
        ("FROM BASE\nRUN <<EOF\necho\n", "unterminated heredoc"),
        ("FROM BASE\nCOPY a\n", "COPY requires at least two arguments"),
        ("FROM BASE\nENV A=${B\n", "B"),
    ],
)
def test_a_dockerfile_that_is_none_changes_nothing(builder: Builder, dockerfile: str, problem: str) -> None:
    before = [image.id for image in builder.engine.images.list()]
    with pytest.raises(InvalidParameter, match=problem) as failed:
        builder.build(dockerfile, tags=("none",))
    assert len(str(failed.value)) < 1000
    assert [image.id for image in builder.engine.images.list()] == before
    assert builder.left() == []


@pytest.mark.parametrize(
    "files",
    [
        {"Dockerfile": entry(tarfile.DIRTYPE)},
        {"Dockerfile": entry(tarfile.FIFOTYPE)},
        {"Dockerfile": entry(tarfile.SYMTYPE, "../../../../../../../../etc/passwd")},
        {"Dockerfile": entry(tarfile.SYMTYPE, "/proc/self/status")},
        {"Dockerfile": entry(tarfile.SYMTYPE, "Dockerfile")},
    ],
)
def test_a_dockerfile_that_is_no_file_of_the_context_is_not_read(builder: Builder, files: Files) -> None:
    with pytest.raises(InvalidParameter, match="failed to read dockerfile"):
        builder.build("", files)
    assert builder.left() == []


@pytest.fixture
def small(tmp_path: Path, registry: Registry) -> Iterator[Builder]:
    """An engine whose data root has little space."""
    (tmp_path / "data").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", tmp_path / "data"], check=True)
    try:
        with running(tmp_path, registry.busybox) as builder:
            yield builder
    finally:
        subprocess.run(["umount", tmp_path / "data"], check=True)


def test_a_step_that_fills_the_disk_fails_and_gives_it_back(small: Builder) -> None:
    with pytest.raises(InvalidParameter, match="did not complete successfully: exit code: 1"):
        small.build("FROM BASE\nRUN cat /dev/zero > /forever\n", tags=("full",))
    assert "No space left on device" in small.printed()
    assert small.left() == []
    small.build("FROM BASE\nRUN head -c 20000000 /dev/zero > /x && echo fits\n")
    assert small.printed() == "fits\n"


def test_a_copy_that_fills_the_disk_fails_and_gives_it_back(small: Builder) -> None:
    large = {"large": random.Random(1).randbytes(15 << 20)}
    with pytest.raises(StorageFull, match="no space left"):
        small.build("FROM BASE\nCOPY large /1\nCOPY large /2\n", large)
    assert small.left() == []
    small.build("FROM BASE\nCOPY a /1\n", {"a": "fits"})


def test_a_step_that_prints_forever_ends_with_its_build(builder: Builder) -> None:
    enough = threading.Event()
    printed = 0

    def report(message: Message) -> None:
        nonlocal printed
        if isinstance(message, Aux):
            printed += len(message.value.get("vertex", {}).get("log", ""))
        if printed > 1 << 20:
            enough.set()

    text = f"FROM {builder.busybox}\nRUN yes forever\n"
    job = builder.engine.job("build", input=context({"Dockerfile": text}), report=report, progress="steps")
    future = builder.engine.submit(job.run)
    assert enough.wait(60)
    job.cancel()
    with pytest.raises(Cancelled):
        future.result(60)
    assert builder.left() == []
