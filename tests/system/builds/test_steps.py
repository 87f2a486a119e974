"""Builds of one stage: what its steps make, what they tell, and what fails."""

from __future__ import annotations

import io
import os
import re
import tarfile
import threading
from pathlib import Path

import pytest

from testbed.builds import Builder, context
from testbed.daemon import GRAPHDRIVER
from testbed.waiting import wait_for
from transom.errors import Cancelled, InvalidParameter, NotFound
from transom.graph.archive import read_archive
from transom.graph.compression import decompress
from transom.graph.model import Image
from transom.job import Aux

PAIRS = [(graph, execution) for graph in (GRAPHDRIVER, "vfs") for execution in ("namespaces", "chroot")]
SMALL = """\
FROM BASE
ENV A=b
WORKDIR /work
COPY file .
RUN echo $A > out && cat file >> out; touch /etc/hosts; mkdir -p /proc/x 2>/dev/null; rm /data/from-image
CMD ["cat", "out"]
"""


def layer(builder: Builder, image: Image, index: int = -1) -> list[bytes]:
    """Return the names in one of an image's layers."""
    with builder.engine.content.open(image.blobs[index]) as blob:
        return [entry.name for entry in read_archive(decompress(blob))]


@pytest.mark.parametrize(("graph", "execution"), PAIRS)
def test_an_image_has_what_the_steps_did(builder: Builder, graph: str, execution: str) -> None:
    built = builder.build(
        SMALL, {"file": "content\n"}, tags=("small:1",), graphdriver=graph, execdriver=execution, no_cache=True
    )
    image = builder.engine.images.get("small:1")
    assert image.id == built.image.id
    assert image.config.working_dir == "/work"
    assert image.config.cmd == ("cat", "out")
    assert "A=b" in image.config.env
    for driver in (GRAPHDRIVER, "vfs"):
        with builder.tree(image, driver) as tree:
            assert (tree / "work/out").read_text() == "b\ncontent\n"
            assert not (tree / "data/from-image").exists()
            status = (tree / "work/file").stat()
            assert (status.st_uid, status.st_gid, status.st_mtime) == (0, 0, 1_000_000_000)


@pytest.mark.parametrize(("graph", "execution"), PAIRS)
def test_a_layer_has_nothing_but_what_its_step_changed(builder: Builder, graph: str, execution: str) -> None:
    built = builder.build(
        "FROM scratch\nCOPY --from=BASE / /\nRUN rm -r /etc /sys /proc /dev 2>/dev/null; mkdir -p /x; echo > /x/y\n"
        "RUN true\nRUN echo > /x/z\n",
        graphdriver=graph,
        execdriver=execution,
        no_cache=True,
    )
    assert len(built.image.diff_ids) == 3
    assert [step.empty_layer for step in built.image.history] == [False, False, True, False]
    assert layer(builder, built.image) == [b"./", b"x/", b"x/z"]


def test_the_history_is_told_as_docker_tells_it(builder: Builder) -> None:
    built = builder.build(
        'FROM BASE\nARG X=1\nENV A=b\nLABEL k=v\nRUN echo $X > /f\nCOPY file /\nCMD ["a", "b"]\n', {"file": "x"}
    )
    before = len(builder.engine.images.get(builder.busybox).history)
    assert [step.created_by for step in built.image.history[before:]] == [
        "ARG X=1",
        "ENV A=b",
        "LABEL k=v",
        "RUN |1 X=1 /bin/sh -c echo $X > /f # buildkit",
        "COPY file / # buildkit",
        'CMD ["a" "b"]',
    ]
    assert {step.comment for step in built.image.history[before:]} == {"buildkit.dockerfile.v0"}


def test_text_is_that_of_dockers_own_builder(builder: Builder) -> None:
    built = builder.build("FROM BASE\nRUN echo one; echo two >&2\nENV A=b\n", progress="docker", no_cache=True)
    short = built.image.id[7:19]
    assert "\x1b[91mtwo\n\x1b[0m" in built.text
    plain = built.text.replace("\x1b[91m", "").replace("\x1b[0m", "")
    text = re.sub(r"\b[0-9a-f]{12}\b", lambda found: "IMAGE" if found[0] == short else "ID", plain)
    lines = text.replace(builder.busybox, "BASE").splitlines()
    assert sorted(lines[4:6]) == ["one", "two"]
    assert [*lines[:4], *lines[6:]] == [
        "Step 1/3 : FROM BASE",
        " ---> ID",
        "Step 2/3 : RUN echo one; echo two >&2",
        " ---> Running in ID",
        " ---> Removed intermediate container ID",
        " ---> ID",
        "Step 3/3 : ENV A=b",
        " ---> IMAGE",
        "Successfully built IMAGE",
    ]
    assert built.messages[-2] == Aux({"ID": built.image.id})


def test_steps_are_told_with_their_times_and_output(builder: Builder) -> None:
    built = builder.build("FROM BASE\nRUN echo hello\n", no_cache=True)
    names = list(dict.fromkeys(item["name"] for item in built.vertices if "name" in item))
    names = [name for name in names if "packing" not in name]
    assert names[-3:] == [f"[1/2] FROM {builder.busybox}", "[2/2] RUN echo hello", "exporting to image"]
    run = [item for item in built.vertices if item.get("name") == "[2/2] RUN echo hello"]
    assert run[0]["started"] <= run[-1]["completed"]
    assert [item["log"] for item in built.vertices if item.get("log")] == ["hello\n"]


def test_the_same_build_is_taken_from_the_cache(builder: Builder) -> None:
    files = {"file": "cached"}
    dockerfile = "FROM BASE\nCOPY file /\nWORKDIR /a/b\nRUN date +%N > time\nLABEL x=y\n"
    first = builder.build(dockerfile, files)
    second = builder.build(dockerfile, files)
    assert second.image == first.image
    assert len(second.cached) == 3
    changed = builder.build(dockerfile, {"file": "changed"})
    assert changed.cached == []
    assert builder.build(dockerfile, files, no_cache=True).image.id != first.image.id


def test_a_line_that_changes_in_the_last_copy_makes_that_layer_alone_anew(builder: Builder) -> None:
    dockerfile = "FROM BASE\nRUN date +%N > /once\nCOPY tools /tools/\nRUN cat /tools/a > /made\nCOPY src /src/\n"
    files = {"tools/a": "tool\n", "src/main": "one\ntwo\n", "src/other": "kept\n"}
    first = builder.build(dockerfile, files)
    second = builder.build(dockerfile, {**files, "src/main": "one\n2\n"})
    assert second.cached == ["[2/5] RUN date +%N > /once", "[3/5] COPY tools /tools/", "[4/5] RUN cat /tools/a > /made"]
    assert second.image.blobs[:-1] == first.image.blobs[:-1]
    assert second.image.diff_ids[:-1] == first.image.diff_ids[:-1]
    assert second.image.diff_ids[-1] != first.image.diff_ids[-1]
    assert layer(builder, second.image) == [b"./", b"src/", b"src/main", b"src/other"]


def test_a_cached_step_of_another_driver_is_unpacked(builder: Builder) -> None:
    dockerfile = "FROM BASE\nRUN echo drivers > /file\nRUN cat /file > /copy\n"
    first = builder.build(dockerfile, graphdriver=GRAPHDRIVER)
    second = builder.build(dockerfile + "RUN cat /copy > /last\n", graphdriver="vfs")
    assert len(second.cached) == 2
    assert second.image.diff_ids[:-1] == first.image.diff_ids


def test_a_failing_command_says_which_and_leaves_nothing(builder: Builder) -> None:
    with pytest.raises(InvalidParameter) as failed:
        builder.build("FROM BASE\nRUN echo before\nRUN exit 3\n", tags=("failing",))
    assert 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3' in str(failed.value)
    assert ">>> RUN exit 3" in str(failed.value)
    assert failed.value.exit_code == 3  # type: ignore[attr-defined]
    with pytest.raises(NotFound):
        builder.engine.images.get("failing")
    assert builder.left() == []
    again = builder.build("FROM BASE\nRUN echo before\nRUN exit 0\n")
    assert again.cached == ["[2/3] RUN echo before"]


@pytest.mark.parametrize("graph", sorted({graph for graph, _ in PAIRS}))
def test_what_is_built_without_looking_is_found_by_the_next_build(builder: Builder, graph: str) -> None:
    dockerfile = """\
FROM BASE AS first
RUN mkdir /made && echo one > /made/one
ENV A=b
RUN true
COPY file /made/
RUN rm /made/one && echo $A > /made/two
FROM first
WORKDIR /made
FROM BASE
COPY --from=first /made /copied
RUN echo three > /copied/three
"""
    files = {"file": "content\n"}
    image = builder.build(dockerfile, files, graphdriver=graph, no_cache=True).image
    assert builder.left() == []
    assert [step.empty_layer for step in image.history[-2:]] == [False, False]
    assert layer(builder, image) == [b"./", b"copied/", b"copied/three"]
    with builder.tree(image, graph) as tree:
        assert sorted(path.name for path in (tree / "copied").iterdir()) == ["file", "three", "two"]
    again = builder.build(dockerfile, files, graphdriver=graph)
    assert (again.image, len(again.cached)) == (image, 6)


def test_of_a_build_without_looking_the_steps_before_one_that_failed_are_kept(builder: Builder) -> None:
    with pytest.raises(InvalidParameter):
        builder.build("FROM BASE\nRUN echo kept > /file\nRUN cat /file; exit 3\n", no_cache=True)
    assert builder.left() == []
    again = builder.build("FROM BASE\nRUN echo kept > /file\nRUN cat /file\n")
    assert again.cached == ["[2/3] RUN echo kept > /file"]


def test_a_failing_command_in_the_words_of_dockers_own_builder(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match=r"^The command '/bin/sh -c exit 7' returned a non-zero code: 7$"):
        builder.build("FROM BASE\nRUN exit 7\n", progress="docker")


def test_a_command_that_is_not_there(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match=r"did not complete successfully: .*no such file or directory"):
        builder.build('FROM BASE\nRUN ["/no/such/program"]\n')
    assert builder.left() == []


def test_a_cancelled_build_ends_its_command(builder: Builder) -> None:
    started = threading.Event()
    engine = builder.engine

    def report(message: object) -> None:
        if isinstance(message, Aux) and "started" in str(message.value.get("vertex", {}).get("log", "")):
            started.set()

    text = f"FROM {builder.busybox}\nRUN echo started; sleep 1000\n"
    job = engine.job("build", input=context({"Dockerfile": text}), report=report, progress="steps")
    future = engine.submit(job.run)
    assert started.wait(60)
    assert [container.temporary for container in engine.containers.list()] == [True]
    job.cancel()
    with pytest.raises(Cancelled):
        future.result(60)
    assert builder.left() == []


def test_a_container_that_somebody_removes_fails_its_step(builder: Builder) -> None:
    engine = builder.engine
    text = f"FROM {builder.busybox}\nRUN sleep 1000\n"
    job = engine.job("build", input=context({"Dockerfile": text}), progress="steps")
    future = engine.submit(job.run)
    wait_for(lambda: any(container.state.running for container in engine.containers.list()))
    engine.run("remove", container=engine.containers.list()[0].id, force=True)
    with pytest.raises(InvalidParameter, match="exit code: 137"):
        future.result(60)
    assert builder.left() == []


def test_the_context_may_be_compressed(builder: Builder) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        data = f"FROM {builder.busybox}\nLABEL compressed=1\n".encode()
        member = tarfile.TarInfo("sub/Containerfile")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    job = builder.engine.job("build", input=io.BytesIO(stream.getvalue()), dockerfile="sub/Containerfile")
    assert builder.engine.images.get(job.run()).config.labels["compressed"] == "1"


@pytest.mark.parametrize(
    ("files", "parameters", "problem"),
    [
        ({}, {"dockerfile": "Other"}, "failed to read dockerfile: open Other: no such file or directory"),
        ({"link": "x"}, {"dockerfile": "../../etc/passwd"}, "failed to read dockerfile"),
        ({}, {"target": "nope"}, 'target stage "nope" could not be found'),
        ({}, {"tags": ("UPPER",)}, "must be lowercase"),
        ({}, {"platform": "what/ever/it/is"}, "invalid platform"),
    ],
)
def test_what_cannot_be_built_is_refused(
    builder: Builder, files: dict[str, str], parameters: dict[str, object], problem: str
) -> None:
    with pytest.raises(InvalidParameter, match=re.escape(problem)):
        builder.build("FROM BASE\n", files, **parameters)


def test_what_is_no_archive_is_refused(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match="cannot read the build context"):
        builder.engine.job("build", input=io.BytesIO(b"FROM scratch\n" * 100)).run()


def test_labels_of_the_client_are_the_images(builder: Builder) -> None:
    built = builder.build("FROM BASE\nLABEL a=1 b=2\n", labels={"b": "3", "c": "4"})
    assert {name: built.image.config.labels[name] for name in "abc"} == {"a": "1", "b": "3", "c": "4"}


def test_with_a_source_date_the_same_inputs_make_the_same_image(builder: Builder) -> None:
    dockerfile = "FROM scratch\nCOPY --from=BASE / /\nCOPY file /\nRUN echo x > /made; touch /tmp\nENV A=b\n"
    images = [
        builder.build(
            dockerfile, {"file": "x"}, build_args={"SOURCE_DATE_EPOCH": "1600000000"}, no_cache=True, graphdriver=driver
        ).image
        for driver in (GRAPHDRIVER, GRAPHDRIVER, "vfs")
    ]
    assert len({image.id for image in images}) == 1
    assert images[0].created == "2020-09-13T12:26:40Z"
    with builder.tree(images[0]) as tree:
        assert (tree / "made").stat().st_mtime == 1_600_000_000
        assert max(os.lstat(path).st_mtime for path in Path(tree).rglob("*")) <= 1_600_000_000
