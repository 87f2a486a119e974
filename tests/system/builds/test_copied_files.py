"""COPY and ADD: what is copied from where, where it goes, whose it is; and what makes a step another one."""

from __future__ import annotations

import hashlib
import io
import os
import re
import socket
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.builds import Builder, Files, context
from testbed.web import Repository, Web
from transom.errors import InvalidParameter, NotFound, TransomError

BASE = "FROM scratch\nCOPY --from=BASE / /\n"
FILES: Files = {"a.txt": "a", "b.txt": "b", "c.md": "c", "d/one": "1", "d/sub/two": "2", "d/sub/x.log": "log"}


def names(tree: Path, below: str = "") -> list[str]:
    """Return the paths below a directory of a tree."""
    return sorted(str(path.relative_to(tree / below)) for path in (tree / below).rglob("*"))


def link(target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY a.txt /x", ["x"]),
        ("COPY a.txt /x/", ["x", "x/a.txt"]),
        ("COPY a.txt b.txt /x/", ["x", "x/a.txt", "x/b.txt"]),
        ("COPY d /x", ["x", "x/one", "x/sub", "x/sub/two", "x/sub/x.log"]),
        ("COPY d /", ["one", "sub", "sub/two", "sub/x.log"]),
        ("COPY d/ /x/", ["x", "x/one", "x/sub", "x/sub/two", "x/sub/x.log"]),
        ("COPY *.txt /x/", ["x", "x/a.txt", "x/b.txt"]),
        ("COPY [ab].txt /x/", ["x", "x/a.txt", "x/b.txt"]),
        ("COPY d/*/t* /x/", ["x", "x/two"]),
        ("COPY nothing* a.txt /x/", ["x", "x/a.txt"]),
        ("COPY --exclude=*.log --exclude=one d /x", ["x", "x/one", "x/sub", "x/sub/two", "x/sub/x.log"]),
        ("COPY --exclude=**/*.log --exclude=one d /x", ["x", "x/sub", "x/sub/two"]),
        ("COPY --parents d/sub/two /x/", ["x", "x/d", "x/d/sub", "x/d/sub/two"]),
        ("COPY --parents d/./sub/t* /x/", ["x", "x/sub", "x/sub/two"]),
        ("COPY --parents **/*.log /x/", ["x", "x/d", "x/d/sub", "x/d/sub/x.log"]),
        ("COPY <<one <<two /x/\n1\none\n2\ntwo", ["x", "x/one", "x/two"]),
        ("WORKDIR /w\nCOPY a.txt .", ["w", "w/a.txt"]),
        ("COPY --link a.txt /x/", ["x", "x/a.txt"]),
        ("COPY a.txt /deep/er/x", ["deep", "deep/er", "deep/er/x"]),
        ("COPY . /x/", ["x", *sorted([f"x/{name}" for name in (*FILES, "Dockerfile", "d", "d/sub")])]),
    ],
)
def test_where_files_go(builder: Builder, instruction: str, expected: list[str]) -> None:
    syntax = (
        "" if "--exclude" not in instruction and "--parents" not in instruction else "# syntax=docker/dockerfile:1\n"
    )
    if "--exclude=*.log" in instruction and "**" not in instruction:
        expected = ["x", "x/sub", "x/sub/two", "x/sub/x.log"]
    built = builder.build(f"{syntax}FROM scratch\n{instruction}\n", FILES)
    with builder.tree(built.image) as tree:
        assert names(tree) == expected


def test_files_are_roots_unless_somebody_says_otherwise(builder: Builder) -> None:
    built = builder.build(
        f"{BASE}COPY a.txt /1\nCOPY --chown=alice a.txt /2\nCOPY --chown=7 a.txt /3\nCOPY --chown=7:8 d /4\n"
        "COPY --chmod=0711 a.txt /5\nCOPY --chmod=u=rwX,go= d /6\nCOPY --link --chown=alice:root a.txt /7\n"
        "FROM scratch\nCOPY --from=0 /1 /2 /3 /4 /5 /6 /7 /all/\nCOPY --from=0 /2 /new/parent/x\n",
        FILES,
    )
    alice = (1000, 1000)
    with builder.tree(built.image) as tree:

        def owner(path: str) -> tuple[int, int]:
            status = (tree / path).stat()
            return status.st_uid, status.st_gid

        assert [owner(f"all/{name}") for name in ("1", "2", "3")] == [(0, 0), alice, (7, 7)]
        assert owner("all/one") == (0, 0) or owner("all/one") == (7, 8)
        assert owner("all/7") == (alice[0], 0)
        assert owner("new/parent") == (0, 0)
        assert stat.S_IMODE((tree / "all/5").stat().st_mode) == 0o711
        assert stat.S_IMODE((tree / "all/sub").stat().st_mode) == 0o700


def test_links_are_kept_and_lead_to_where_they_would_in_the_image(builder: Builder) -> None:
    files = {"dir/link": link("target"), "file": link("/etc/passwd"), "real": "real", "to-real": link("real")}
    with pytest.raises(InvalidParameter, match='"/file": not found'):
        builder.build("FROM scratch\nCOPY file /\n", files)
    built = builder.build(
        "FROM BASE\nRUN mkdir /elsewhere && ln -s /elsewhere /link && ln -s ../../../../elsewhere/f /flink\n"
        "COPY real /link/\nCOPY real /flink\nCOPY to-real /copied\nCOPY dir /dir\n",
        files,
    )
    with builder.tree(built.image) as tree:
        assert names(tree, "elsewhere") == ["f", "real"]
        assert (tree / "flink").is_symlink()
        assert (tree / "copied").read_text() == "real"
        assert (tree / "dir/link").readlink() == Path("target")


def test_hard_links_and_attributes_are_kept(builder: Builder) -> None:
    built = builder.build(
        "FROM BASE AS first\nRUN mkdir /d && echo x > /d/one && ln /d/one /d/two && mkfifo /d/fifo\n"
        "FROM scratch\nCOPY --from=first /d /copied\n"
    )
    with builder.tree(built.image) as tree:
        one, two = (tree / "copied" / name for name in ("one", "two"))
        assert one.stat().st_ino == two.stat().st_ino
        assert stat.S_ISFIFO((tree / "copied/fifo").stat().st_mode)


@pytest.mark.parametrize(
    ("instruction", "problem"),
    [
        ("COPY missing /", '"/missing": not found'),
        ("COPY ../../etc/passwd /", '"/../../etc/passwd": not found'),
        ("COPY a.txt b.txt /x", "must be a directory"),
        ("COPY d /etc/passwd", "cannot copy to non-directory"),
        ("COPY one /", "cannot replace to directory /one with file"),
        ("COPY --chown=nobody-there a.txt /", "unable to find user nobody-there"),
        ("ADD --checksum=sha256:00 a.txt /", "checksum"),
    ],
)
def test_what_cannot_be_copied(builder: Builder, instruction: str, problem: str) -> None:
    files = {**FILES, "one/two": "x"}
    text = f"FROM BASE\nRUN mkdir /one\n{instruction}\n"
    if instruction == "COPY one /":
        files, text = {"one": "file"}, text
    with pytest.raises(InvalidParameter, match=re.escape(problem)):
        builder.build(text, files)
    assert builder.left() == []


def test_a_step_is_another_one_when_what_it_copies_is(builder: Builder) -> None:
    dockerfile = "FROM BASE\nCOPY d /d\nRUN true\n"
    builder.build(dockerfile, FILES)
    assert len(builder.build(dockerfile, {**FILES, "not-copied": "x"}).cached) == 2
    assert builder.build(dockerfile, {**FILES, "d/sub/two": "3"}).cached == []
    assert builder.build(dockerfile, {**FILES, "d/more": ""}).cached == []


def test_a_linked_layer_is_the_same_on_any_parent(builder: Builder) -> None:
    first = builder.build("FROM BASE\nRUN echo 1 > /1\nCOPY --link d /linked/\n", FILES)
    second = builder.build("FROM BASE\nRUN echo 2 > /2\nCOPY --link d /linked/\n", FILES)
    assert second.image.diff_ids[-1] == first.image.diff_ids[-1]
    assert second.cached == ["[3/3] COPY --link d /linked/"]
    with builder.tree(second.image) as tree:
        assert (tree / "2").exists()
        assert names(tree, "linked") == ["one", "sub", "sub/two", "sub/x.log"]


# ADD


def archive(mode: str, **files: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.uid = len(text), 42
            packed.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_archives_are_unpacked(builder: Builder, kind: str) -> None:
    files = {"a.tar": archive(f"w:{kind}", inside="x"), "gzip": b"\x1f\x8bno gzip", "plain": "plain" * 200}
    built = builder.build(
        "FROM scratch\nADD a.tar /x\nADD gzip plain /y/\nADD --chown=5 a.tar /z\nADD --unpack=false a.tar /kept\n",
        files,
    )
    with builder.tree(built.image) as tree:
        assert (tree / "x/inside").read_text() == "x"
        assert [(tree / name / "inside").stat().st_uid for name in "xz"] == [42, 5]
        assert names(tree, "y") == ["gzip", "plain"]
        assert (tree / "kept").read_bytes() == files["a.tar"]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A server of files, and its URL."""
    with Web(tmp_path_factory.mktemp("web")) as web:
        yield web.root, web.url


def test_files_of_the_web_are_added(builder: Builder, web: tuple[Path, str]) -> None:
    root, url = web
    (root / "page.txt").write_text("of the web")
    os.utime(root / "page.txt", (1_500_000_000, 1_500_000_000))
    (root / "packed.tgz").write_bytes(archive("w:gz", inside="x"))
    digest = hashlib.sha256(b"of the web").hexdigest()
    dockerfile = (
        f"FROM scratch\nADD {url}/page.txt /d/\nADD {url}/packed.tgz /kept\nADD --unpack=true {url}/packed.tgz /x\n"
        f"ADD --checksum=sha256:{digest} --chmod=644 {url}/page.txt /checked\n"
    )
    built = builder.build(dockerfile)
    with builder.tree(built.image) as tree:
        status = (tree / "d/page.txt").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o600, 1_500_000_000)
        assert (tree / "kept").is_file()
        assert (tree / "x/inside").exists()
        assert stat.S_IMODE((tree / "checked").stat().st_mode) == 0o644
    assert len(builder.build(dockerfile).cached) == 4
    (root / "page.txt").write_text("changed")
    assert builder.build(f"FROM scratch\nADD {url}/page.txt /d/\n").cached == []
    with pytest.raises(InvalidParameter, match="digest mismatch"):
        builder.build(f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {url}/page.txt /d/\n")
    with pytest.raises(NotFound, match="404"):
        builder.build(f"FROM scratch\nADD {url}/nothing /d/\n")


@pytest.fixture(scope="module")
def repository(web: tuple[Path, str]) -> str:
    """The URL of a Git repository, served as files: a branch, a tag, a directory, a Dockerfile."""
    root, url = web
    Repository(root)
    return f"{url}/work.git"


def test_repositories_are_added(builder: Builder, repository: str) -> None:
    dockerfile = f"FROM scratch\nADD {repository} /main\nADD {repository}#v1 /v1\nADD {repository}#main:sub /sub\n"
    try:
        built = builder.build(dockerfile)
    except NotFound as error:
        pytest.fail(str(error))
    with builder.tree(built.image) as tree:
        assert (tree / "main/file").read_text() == "second"
        assert names(tree, "v1") == ["file"]
        assert "Dockerfile" in names(tree, "sub")
    assert len(builder.build(dockerfile).cached) == 3
    with pytest.raises(TransomError, match="failed to fetch"):
        builder.build(f"FROM scratch\nADD {repository}#nothing /main\n")


# Contexts


def test_the_context_is_a_repository(builder: Builder, repository: str) -> None:
    job = builder.engine.job("build", remote=f"{repository}#main:sub", input=io.BytesIO(b""))
    with builder.tree(builder.engine.images.get(job.run())) as tree:
        assert names(tree) == [".dockerignore", "Dockerfile"]


def test_the_context_is_an_archive_of_the_web_or_a_dockerfile(builder: Builder, web: tuple[Path, str]) -> None:
    root, url = web
    (root / "context.tar").write_bytes(context({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x"}).getvalue())
    (root / "alone").write_text("FROM scratch\nCOPY <<f /\nx\nf\n")
    for name in ("context.tar", "alone"):
        job = builder.engine.job("build", remote=f"{url}/{name}")
        with builder.tree(builder.engine.images.get(job.run())) as tree:
            assert names(tree) == ["f"]
    with pytest.raises(InvalidParameter, match="neither a Git repository nor a URL"):
        builder.engine.job("build", remote="ftp://x/y").run()


def test_the_dockerfile_may_come_beside_a_remote_context(builder: Builder, repository: str) -> None:
    job = builder.engine.job("build", remote=repository, input=io.BytesIO(b"FROM scratch\nCOPY file /beside\n"))
    with builder.tree(builder.engine.images.get(job.run())) as tree:
        assert names(tree) == ["beside"]


def test_the_dockerfile_may_be_elsewhere(builder: Builder, web: tuple[Path, str], repository: str) -> None:
    root, url = web
    (root / "of-the-web").write_text("FROM scratch\nCOPY file /\n")
    (root / "wrong").write_text("FROM scratch\nNOTHING\n")
    built = builder.build("RUN false", {"file": "x"}, dockerfile=f"{url}/of-the-web")
    job = builder.engine.job("build", remote=repository, dockerfile=f"{url}/of-the-web")
    for image in (built.image, builder.engine.images.get(job.run())):
        with builder.tree(image) as tree:
            assert names(tree) == ["file"]
    with pytest.raises(InvalidParameter, match=r"^Dockerfile:2: unknown instruction: NOTHING"):
        builder.build("RUN false", dockerfile=f"{url}/wrong")
    with pytest.raises(NotFound, match="404"):
        builder.build("RUN false", dockerfile=f"{url}/nothing")


class Directories:
    """A client with directories."""

    def __init__(self, **files: Files) -> None:
        self._files = files

    def secret(self, id: str) -> bytes | None:
        return None

    def open_ssh(self, id: str) -> socket.socket:
        raise NotFound(id)

    def context(self, name: str) -> io.BytesIO:
        return context(self._files[name])

    def output(self, name: str) -> io.BytesIO:
        raise NotFound(name)


def test_named_contexts_of_the_web(builder: Builder, web: tuple[Path, str], repository: str) -> None:
    root, url = web
    (root / "named.tar").write_bytes(context({"f": "of an archive"}).getvalue())
    built = builder.build(
        "FROM scratch\nCOPY --from=packed f /\nCOPY --from=old file /old\nCOPY --from=below Dockerfile /below\n",
        contexts={"packed": f"{url}/named.tar", "old": f"{repository}#v1", "below": f"{repository}#main:sub"},
    )
    with builder.tree(built.image) as tree:
        assert (tree / "f").read_text() == "of an archive"
        assert (tree / "old").read_text() == "first"
        assert (tree / "below").read_text().startswith("FROM scratch")


def test_named_contexts(builder: Builder) -> None:
    built = builder.build(
        "FROM files AS base\nFROM stand-in AS image\nFROM base\nCOPY --from=other f /of-other\n"
        "COPY --from=image /etc/passwd /\nRUN --mount=from=other,target=/m,rw true\n".replace(
            "RUN --mount=from=other,target=/m,rw true\n", ""
        ),
        contexts={
            "files": "session://files",
            "other": "session://other",
            "stand-in": f"docker-image://{builder.busybox}",
        },
        session=Directories(files={"base-file": "x"}, other={"f": "y"}),
    )
    with builder.tree(built.image) as tree:
        assert names(tree) == ["base-file", "of-other", "passwd"]


# Stages


def test_only_stages_that_the_target_needs_are_built(builder: Builder) -> None:
    dockerfile = (
        "FROM BASE AS fails\nRUN exit 1\nFROM BASE AS one\nRUN echo 1 > /1\nFROM BASE AS two\nRUN echo 2 > /2\n"
        "FROM one AS last\nCOPY --from=two /2 /\nCOPY --from=1 /1 /again\n"
    )
    built = builder.build(dockerfile)
    with builder.tree(built.image) as tree:
        assert [(tree / name).read_text() for name in ("1", "2", "again")] == ["1\n", "2\n", "1\n"]
    # A stage that begins with another one has nothing to do for that.
    told = {item["name"] for item in built.vertices if "name" in item}
    assert {"[one 2/2] RUN echo 1 > /1", "[last 1/2] COPY --from=two /2 /"} < told
    assert not any(" 0/" in name for name in told)
    one = builder.build(dockerfile, target="one")
    assert one.image.diff_ids == built.image.diff_ids[: len(one.image.diff_ids)]
    with pytest.raises(InvalidParameter, match="exit code: 1"):
        builder.build(dockerfile, target="fails")


def test_independent_stages_are_built_at_the_same_time(builder: Builder) -> None:
    wait = "i=0; while [ ! -e /m/%s ] && [ $i -lt 500 ]; do sleep 0.02; i=$((i+1)); done; [ -e /m/%s ] && echo > /ok"
    mount = "--mount=type=cache,target=/m,id=at-the-same-time"
    built = builder.build(
        f"FROM BASE AS a\nRUN {mount} touch /m/a; {wait % ('b', 'b')}\n"
        f"FROM BASE AS b\nRUN {mount} touch /m/b; {wait % ('a', 'a')}\n"
        "FROM scratch\nCOPY --from=a /ok /a\nCOPY --from=b /ok /b\n"
    )
    with builder.tree(built.image) as tree:
        assert names(tree) == ["a", "b"]


def test_triggers_of_the_base_run_first(builder: Builder) -> None:
    builder.build(
        "FROM BASE\nONBUILD COPY f /trigger\nONBUILD RUN echo $X > /x\n"
        "ONBUILD COPY --from=other /o /\nONBUILD ENV Y=z\n",
        tags=("with-triggers",),
    )
    built = builder.build(
        "FROM BASE AS other\nRUN echo other > /o\nFROM with-triggers\nRUN cat /x /trigger /o > /all; echo $Y >> /all\n",
        {"f": "f\n"},
    )
    assert built.image.config.on_build == ()
    with builder.tree(built.image) as tree:
        assert (tree / "all").read_text() == "\nf\nother\nz\n"
