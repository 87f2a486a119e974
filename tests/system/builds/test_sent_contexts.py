"""What clients send beside the context: the Dockerfile, and the file that says what is left out."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest

from testbed.builds import Builder, context
from transom.errors import InvalidParameter
from transom.job import Aux

DOCKERFILE = "FROM BASE\nCOPY . /all\n"


def copied(builder: Builder, files: dict[str, str], **parameters: str) -> set[str]:
    """What was in the context that a build has copied."""
    text = parameters.pop("text", DOCKERFILE)
    with builder.tree(builder.build(text, files, **parameters).image) as tree:
        return {str(path.relative_to(tree / "all")) for path in (tree / "all").rglob("*") if path.is_file()}


def test_the_dockerfile_and_the_ignore_file_are_in_the_context(builder: Builder) -> None:
    assert copied(builder, {"a": "", ".dockerignore": "b"}) == {"Dockerfile", "a", ".dockerignore"}


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        ("Dockerfile", {"a", ".dockerignore"}),
        (".dockerignore", {"a", "Dockerfile"}),
        ("*\n!a", {"a"}),
        ("*\n!Dockerfile", {"Dockerfile", "a"}),
    ],
)
def test_they_are_not_if_they_are_to_be_left_out(builder: Builder, ignored: str, left: set[str]) -> None:
    """Clients leave out the rest themselves, and so nothing else is."""
    assert copied(builder, {"a": "", ".dockerignore": ignored}) == left


def test_what_is_beside_another_dockerfile_counts_for_it(builder: Builder) -> None:
    files = {"sub/Other": DOCKERFILE.replace("BASE", builder.busybox), "sub/Other.dockerignore": "sub", "a": ""}
    assert copied(builder, files, text="RUN false", dockerfile="sub/Other") == {"Dockerfile", "a"}


def test_a_hidden_directory_is_for_the_builder_alone(builder: Builder) -> None:
    files = {".h/My": DOCKERFILE.replace("BASE", builder.busybox), ".h/My.dockerignore": "a", "a": ""}
    assert copied(builder, files, text="RUN false", dockerfile=".h/My", hidden=".h") == {"Dockerfile", "a"}


class Slow(io.RawIOBase):
    """A context of which the second part comes when something has happened."""

    def __init__(self, first: bytes, second: bytes, happened: threading.Event) -> None:
        self._halves = [first, second]
        self._happened = happened

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if len(self._halves) == 1:
            assert self._happened.wait(60)
        data = self._halves[0][: len(buffer)] if self._halves else b""
        buffer[: len(data)] = data
        if self._halves:
            self._halves[0] = self._halves[0][len(data) :]
            self._halves = [half for half in self._halves if half]
        return len(data)


def test_images_are_looked_for_while_the_context_comes(builder: Builder) -> None:
    found = threading.Event()

    def report(message: object) -> None:
        vertex = message.value.get("vertex", {}) if isinstance(message, Aux) else {}
        if "load metadata" in vertex.get("name", "") and vertex.get("completed"):
            found.set()

    text = f"FROM {builder.busybox}\nCOPY last /\n"
    whole = context({".h/Dockerfile": text, "other": bytes(4 << 20), "last": "sent last"}).getvalue()
    where = whole.index(b"last\0")
    stream = io.BufferedReader(Slow(whole[:where], whole[where:], found), 512)
    parameters = {"dockerfile": ".h/Dockerfile", "hidden": ".h", "progress": "steps"}
    job = builder.engine.job("build", input=stream, report=report, **parameters)
    with builder.tree(builder.engine.images.get(job.run())) as tree:
        assert (tree / "last").read_text() == "sent last"


def test_errors_call_a_dockerfile_by_its_name(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match=r"^My:1: unknown instruction: NONE"):
        builder.build("RUN false", {".h/My": "NONE"}, dockerfile=".h/My", hidden=".h")


def test_nothing_outside_of_the_context_is_taken_away_with_them(builder: Builder, tmp_path: Path) -> None:
    """The context's link leads to a directory of the machine for who does not resolve it beneath the context."""
    (tmp_path / "Dockerfile").write_text("not the context's")
    link = tarfile.TarInfo()
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    text = DOCKERFILE.replace("BASE", builder.busybox)
    files = {"sub": link, f"{tmp_path}/Dockerfile".lstrip("/"): text, ".dockerignore": "sub"}
    assert builder.build("RUN false", files, dockerfile="sub/Dockerfile")
    assert (tmp_path / "Dockerfile").read_text() == "not the context's"


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../x"])
def test_a_hidden_directory_is_in_the_context(builder: Builder, name: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid value"):
        builder.build(DOCKERFILE, {"a/b": ""}, hidden=name)
    assert builder.left() == []


def test_a_quiet_build_prints_the_id_alone_for_clients_that_read_lines(builder: Builder) -> None:
    built = builder.build(DOCKERFILE, progress="docker", quiet=True)
    assert built.text == f"{built.image.id}\n"
