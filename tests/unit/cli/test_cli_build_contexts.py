"""What `build` sends: a directory as an archive, without what is to be left out; or what comes on standard input."""

from __future__ import annotations

import io
import itertools
import os
import socket
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from transom_cli.build_context import Context, find_context, is_remote, pack_directory
from transom_cli.errors import CommandFailed


def archive(body: Iterable[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(body)))


def names(context: Context) -> list[str]:
    """The names in an archive but for those that are for the builder alone, directories with a slash."""
    entries = archive(context.body).getmembers()
    shown = [entry.name + "/" * entry.isdir() for entry in entries]
    return [name for name in shown if not context.hidden or not name.startswith(context.hidden)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a Dockerfile and some files."""
    root = tmp_path / "tree"
    for path in ("Dockerfile", "a.log", "b/c.log", "b/d/e.txt", "b/keep.log", "z"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Give something on standard input."""

    def give(content: bytes) -> None:
        path = tmp_path / "input"
        path.write_bytes(content)
        file = path.open("rb")
        saved = os.dup(0)
        os.dup2(file.fileno(), 0)
        restore.append((saved, file))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(os.fdopen(os.dup(0), "rb")))

    restore: list = []
    yield give
    for saved, file in restore:
        os.dup2(saved, 0)
        os.close(saved)
        file.close()


def test_a_directory_is_sent_in_the_order_of_names_and_belongs_to_root(tree: Path) -> None:
    context = find_context(str(tree), "")
    assert context.dockerfile == f"{context.hidden}/Dockerfile"
    entries = archive(context.body).getmembers()
    assert [entry.name for entry in entries] == [
        context.dockerfile, "Dockerfile", "a.log", "b", "b/c.log", "b/d", "b/d/e.txt", "b/keep.log", "z",
    ]  # fmt: skip
    assert {(entry.uid, entry.gid, entry.uname) for entry in entries} == {(0, 0, "")}


def test_the_same_directory_is_the_same_archive(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    assert b"".join(find_context(str(tree), "").body) == b"".join(find_context(str(tree), "").body)


def test_types_modes_links_and_times_are_kept_and_sockets_left_out(tree: Path) -> None:
    (tree / "z").chmod(0o4755)
    os.utime(tree / "z", (1_700_000_000, 1_700_000_000))
    (tree / "hard").hardlink_to(tree / "z")
    (tree / "soft").symlink_to("../outside")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        found = archive(find_context(str(tree), "").body)
    assert "socket" not in found.getnames()
    assert (found.getmember("hard").mode, found.getmember("hard").mtime) == (0o4755, 1_700_000_000)
    assert (found.getmember("z").islnk(), found.getmember("z").linkname) == (True, "hard")
    assert found.getmember("soft").linkname == "../outside"
    assert found.getmember("fifo").isfifo()


def test_names_of_any_bytes_and_lengths_are_sent(tree: Path) -> None:
    odd = [b"\xff\xfe", b"new\nline", b"x" * 255, " \u00e4".encode()]
    for name in odd:
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).touch()
    found = {os.fsencode(name) for name in archive(find_context(str(tree), "").body).getnames()}
    assert set(odd) <= found


def test_what_is_ignored_is_left_out_and_what_is_excepted_comes_with_its_directories(tree: Path) -> None:
    (tree / ".dockerignore").write_text("b\n*.log\n!b/keep.log\n")
    assert names(find_context(str(tree), "")) == [".dockerignore", "Dockerfile", "b/", "b/keep.log", "z"]


def test_a_directory_that_is_left_out_is_not_even_read(tree: Path) -> None:
    (tree / ".dockerignore").write_text("b\n")
    (tree / "b").chmod(0)
    try:
        assert names(find_context(str(tree), "")) == [".dockerignore", "Dockerfile", "a.log", "z"]
    finally:
        (tree / "b").chmod(0o755)


def test_the_file_beside_the_dockerfile_beats_the_other_one(tree: Path) -> None:
    (tree / ".dockerignore").write_text("z\n")
    (tree / "b/Other").write_text("FROM scratch")
    (tree / "b/Other.dockerignore").write_text("*.log\n")
    context = find_context(str(tree), str(tree / "b/Other"))
    assert context.dockerfile == f"{context.hidden}/Other"
    assert "z" in names(context)
    assert "a.log" not in names(find_context(str(tree), str(tree / "b/Other")))


@pytest.mark.parametrize("ignored", ["Dockerfile\n", ".dockerignore\n", "*\n!z\n"])
def test_a_dockerfile_that_is_left_out_reaches_the_builder_alone(tree: Path, ignored: str) -> None:
    (tree / ".dockerignore").write_text(ignored)
    context = find_context(str(tree), "")
    assert context.hidden
    found = archive(find_context(str(tree), "").body)
    context = find_context(str(tree), "")
    found = archive(context.body)
    hidden = {name for name in found.getnames() if name.startswith(context.hidden)}
    assert hidden == {f"{context.hidden}/Dockerfile", f"{context.hidden}/Dockerfile.dockerignore"}
    content = found.extractfile(context.dockerfile)
    assert content is not None
    assert content.read() == b"Dockerfile"


def test_a_dockerfile_elsewhere_reaches_the_builder_alone(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "My.Dockerfile").write_text("FROM scratch")
    (tmp_path / "My.Dockerfile.dockerignore").write_text("b\n")
    context = find_context(str(tree), str(tmp_path / "My.Dockerfile"))
    assert context.dockerfile == f"{context.hidden}/My.Dockerfile"
    assert names(context) == ["Dockerfile", "a.log", "z"]


@pytest.mark.parametrize("place", ["b/c.log", "../outside"])
def test_a_dockerfile_that_is_a_link_is_what_it_leads_to(tree: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "outside").write_text("../outside")
    (tree / "link").symlink_to(place)
    context = find_context(str(tree), str(tree / "link"))
    assert context.dockerfile == f"{context.hidden}/link"
    file = archive(context.body).extractfile(context.dockerfile)
    assert file is not None
    assert file.read().decode() == place


def test_the_dockerfile_may_be_written_in_lower_case(tree: Path) -> None:
    (tree / "Dockerfile").rename(tree / "dockerfile")
    assert find_context(str(tree), "").dockerfile.endswith("/dockerfile")


@pytest.mark.parametrize(
    ("place", "file", "words"),
    [
        ("TREE/none", "", 'path "TREE/none" not found'),
        ("TREE/z", "", "not a directory"),
        ("TREE/b", "", "failed to read dockerfile: open Dockerfile: no such file or directory"),
        ("TREE", "TREE/none", "failed to read dockerfile: open TREE/none: no such file or directory"),
        ("TREE", "TREE/b", "is a directory"),
        ("-", "-", "can't use stdin for both"),
    ],
)
def test_what_is_not_there_is_one_clear_error(tree: Path, place: str, file: str, words: str) -> None:
    with pytest.raises(CommandFailed) as failure:
        find_context(place.replace("TREE", str(tree)), file.replace("TREE", str(tree)))
    assert words.replace("TREE", str(tree)) in failure.value.message


def test_patterns_that_are_none_are_one_clear_error(tree: Path) -> None:
    (tree / ".dockerignore").write_text("[\n")
    with pytest.raises(CommandFailed, match="dockerignore"):
        b"".join(find_context(str(tree), "").body)


def test_a_file_that_may_not_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = os.open

    def refuse(path, *arguments, **more):
        if str(path).endswith("e.txt"):
            raise PermissionError(13, "Permission denied", path)
        return ordinary(path, *arguments, **more)

    # Root, as which tests may run, can read every file.
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CommandFailed, match=r"b/d/e\.txt: permission denied"):
        b"".join(find_context(str(tree), "").body)


def test_a_file_that_vanishes_while_the_context_is_sent_is_named(tree: Path) -> None:
    body = iter(find_context(str(tree), "").body)
    assert any(b"a.log" in piece for piece in body)
    (tree / "z").unlink()
    with pytest.raises(CommandFailed, match=r"/z: no such file or directory"):
        b"".join(body)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written anew"])
def test_a_file_that_changes_while_it_is_read_is_named(tree: Path, change: str) -> None:
    large = tree / "zz"
    large.write_bytes(bytes(1 << 20))
    body = iter(find_context(str(tree), "").body)
    pieces = itertools.takewhile(lambda piece: b"zz" not in piece, body)
    b"".join(pieces)
    next(body)
    if change == "is written anew":
        large.write_bytes(b"\1" * (1 << 20))
        os.utime(large, (1, 1))
    else:
        os.truncate(large, 2 << 20 if change == "grows" else 1000)
    with pytest.raises(CommandFailed, match=r"/zz has changed while it was read"):
        b"".join(body)


def test_a_huge_file_is_sent_in_small_pieces(tree: Path) -> None:
    with (tree / "huge").open("wb") as file:
        file.truncate(200 << 20)
    total = 0
    for piece in find_context(str(tree), "").body:
        assert len(piece) <= 1 << 20
        total += len(piece)
    assert total > 200 << 20


def make_archive(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_on_standard_input_is_sent_as_it_is(feed, mode: str) -> None:
    content = make_archive({"Dockerfile": b"FROM scratch", "a": bytes(100_000)}, mode)
    feed(content)
    context = find_context("-", "sub/Dockerfile")
    assert (context.dockerfile, b"".join(context.body)) == ("sub/Dockerfile", content)


@pytest.mark.parametrize("content", [b"FROM scratch\n", b"FROM x\n" + b"# long\n" * 1000, b""])
def test_a_dockerfile_on_standard_input_has_an_empty_context(feed, content: bytes) -> None:
    feed(content)
    context = find_context("-", "")
    found = archive(context.body)
    assert found.getnames() == [context.dockerfile]
    assert context.dockerfile == f"{context.hidden}/Dockerfile"
    file = found.extractfile(context.dockerfile)
    assert file is not None
    assert file.read() == content


def test_a_dockerfile_on_standard_input_beside_a_directory(feed, tree: Path) -> None:
    (tree / ".dockerignore").write_text("b\n")
    feed(b"FROM stdin")
    context = find_context(str(tree), "-")
    assert names(context) == [".dockerignore", "Dockerfile", "a.log", "z"]


def test_a_dockerfile_of_the_web_is_the_daemons_business(tree: Path) -> None:
    (tree / ".dockerignore").write_text("b\n")
    url = "https://example.com/Dockerfile"
    assert names(context := find_context(str(tree), url)) == [".dockerignore", "Dockerfile", "a.log", "z"]
    assert (context.dockerfile, context.hidden) == (url, "")
    assert find_context("https://example.com/a.tar", url) == Context((), "https://example.com/a.tar", url)


def test_two_dockerfiles_are_one_too_many(feed) -> None:
    feed(b"FROM stdin")
    with pytest.raises(CommandFailed, match="ambiguous Dockerfile source"):
        find_context("-", "https://example.com/Dockerfile")


def test_a_dockerfile_on_standard_input_beside_a_context_elsewhere(feed) -> None:
    feed(b"FROM stdin")
    assert find_context("https://example.com/a.tar", "-") == Context((b"FROM stdin",), "https://example.com/a.tar")


@pytest.mark.parametrize(
    ("name", "remote"),
    [
        ("https://example.com/context.tar.gz", True),
        ("http://example.com/Dockerfile", True),
        ("https://github.com/one/two.git#main:sub", True),
        ("git://example.com/repo", True),
        ("git@example.com:one/two.git", True),
        ("ssh://git@example.com/one/two", True),
        ("github.com/one/two", True),
        (".", False),
        ("some/directory", False),
        ("me@directory", False),
    ],
)
def test_a_context_elsewhere_is_known_by_its_name(name: str, remote: bool) -> None:
    assert is_remote(name) is remote


def test_a_named_directory_heeds_what_it_ignores(tree: Path) -> None:
    (tree / ".dockerignore").write_text("b\n")
    assert archive(pack_directory(str(tree))).getnames() == [".dockerignore", "Dockerfile", "a.log", "z"]
