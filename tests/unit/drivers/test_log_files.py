"""Logs in files of bounded size, whatever is in them: rotation, following over it, and what others do to the files."""

from __future__ import annotations

import gzip
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from transom.drivers.log import LogDriver
from transom.testing.log import BEGIN, SECOND, ReadableLogSuite
from transom_jsonfile.driver import JsonFileDriver
from transom_local.driver import LocalDriver


class Files(ReadableLogSuite):
    def __init__(self, driver: type[LogDriver]) -> None:
        self.driver = driver

    @property
    def driver_class(self) -> type[LogDriver]:  # type: ignore[override]
        return self.driver


@pytest.fixture(params=[JsonFileDriver, LocalDriver], ids=lambda driver: driver.name)
def suite(request: pytest.FixtureRequest) -> Files:
    return Files(request.param)


def path_of(log: LogDriver) -> Path:
    assert isinstance(log, JsonFileDriver | LocalDriver)
    return log.path


def numbered(count: int) -> list[bytes]:
    return [b"line number %d\n" % number for number in range(count)]


def test_old_parts_are_kept_up_to_the_number_of_files(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="3", compress="false")
    lines = numbered(200)
    suite.write(log, b"".join(lines))
    path = path_of(log)
    assert sorted(item.name for item in path.parent.iterdir()) == [path.name, f"{path.name}.1", f"{path.name}.2"]
    assert all(1000 <= path.with_name(f"{path.name}.{number}").stat().st_size < 1100 for number in (1, 2))
    kept = suite.lines(suite.read(log))
    assert kept == lines[-len(kept) :]
    assert len(kept) > 20


def test_with_one_file_the_log_begins_anew(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="1", compress="false")
    lines = numbered(100)
    suite.write(log, *lines)
    assert [item.name for item in path_of(log).parent.iterdir()] == [path_of(log).name]
    kept = suite.lines(suite.read(log))
    assert kept == lines[-len(kept) :]


def test_old_parts_can_be_compressed_and_are_read_all_the_same(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="100", compress="true")
    lines = numbered(200)
    suite.write(log, *lines)
    path = path_of(log)
    assert len(gzip.decompress(path.with_name(f"{path.name}.1.gz").read_bytes())) >= 1000
    assert not path.with_name(f"{path.name}.1").exists()
    assert suite.lines(suite.read(log)) == lines
    assert suite.lines(suite.read(log, tail=50)) == lines[-50:]


@pytest.mark.parametrize("compress", ["true", "false"])
def test_following_loses_nothing_over_rotations(suite: Files, tmp_path: Path, compress: str) -> None:
    log = suite.make(tmp_path, max_size="2k", max_file="1000", compress=compress)
    lines = numbered(800)
    over = threading.Event()

    def follow() -> list[bytes]:
        read: list[bytes] = []
        with closing(log.reader()) as reader:
            ended = False
            while not ended:
                ended = over.is_set()
                read += suite.lines(reader.read())
        return read

    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(follow)
        suite.write(log, *(b"".join(lines[start : start + 7]) for start in range(0, len(lines), 7)))
        over.set()
        assert followed.result() == lines


@pytest.mark.parametrize("tail", [1, 30, 100, 199, 200, 300])
def test_tail_reaches_over_parts(suite: Files, tmp_path: Path, tail: int) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="100", compress="false")
    lines = numbered(200)
    suite.write(log, b"".join(lines))
    assert suite.lines(suite.read(log, tail=tail)) == lines[-tail:]


def test_parts_that_are_older_than_what_is_wanted_are_not_read(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="100", compress="false")
    suite.write(log, *numbered(100))
    path = path_of(log)
    for number in range(2, 20):
        if (part := path.with_name(f"{path.name}.{number}")).exists():
            part.write_bytes(b"nobody looks at this")
            os.utime(part, ns=(BEGIN, BEGIN))
    entries = suite.read(log, since=BEGIN + SECOND)
    assert suite.lines(entries) == numbered(100)[-len(entries) :]


# What goes wrong


def test_a_full_disk_leaves_no_half_entry(suite: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = suite.make(tmp_path)
    writer = log.open()
    writer.write("stdout", b"before\n", BEGIN)
    write = os.write

    def filling(descriptor: int, data: bytes) -> int:
        if len(data) < 30:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-20])

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(OSError, match="No space"):
        writer.write("stdout", b"lost, and long enough to be written in part\n", BEGIN)
    monkeypatch.undo()
    writer.write("stdout", b"after\n", BEGIN)
    writer.close()
    assert suite.lines(suite.read(log)) == [b"before\n", b"after\n"]


def test_a_part_that_cannot_be_compressed_stays_as_it_is(
    suite: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="100", compress="true")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gzip, "open", full)
    suite.write(log, *numbered(100))
    monkeypatch.undo()
    assert suite.lines(suite.read(log)) == numbered(100)
    assert not list(path_of(log).parent.glob("*.new"))


def test_a_log_that_somebody_truncates_goes_on_and_so_does_who_follows_it(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path)
    writer = log.open()
    with closing(log.reader()) as reader:
        writer.write("stdout", b"a long line before\n", BEGIN)
        assert suite.lines(reader.read()) == [b"a long line before\n"]
        os.truncate(path_of(log), 0)
        writer.write("stdout", b"after\n", BEGIN)
        assert suite.lines(reader.read()) == [b"after\n"]
    writer.close()
    assert suite.lines(suite.read(log)) == [b"after\n"]


def test_a_log_that_somebody_removes_is_begun_anew(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path)
    writer = log.open()
    with closing(log.reader()) as reader:
        writer.write("stdout", b"before\n", BEGIN)
        assert suite.lines(reader.read()) == [b"before\n"]
        path_of(log).unlink()
        writer.write("stdout", b"after\n", BEGIN)
        assert suite.lines(reader.read()) == [b"after\n"]
    writer.close()
    assert suite.lines(suite.read(log)) == [b"after\n"]


def test_a_log_that_somebody_removes_in_the_middle_of_a_rotation_is_begun_anew(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="3", compress="false")
    writer = log.open()
    path = path_of(log)
    real = os.utime

    def removing(*arguments: object, **named: object) -> None:
        path.unlink()
        raise FileNotFoundError(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "utime", removing)
        writer.write("stdout", b"x" * 2000 + b"\nlast\n", BEGIN)
    assert os.utime is real
    writer.close()
    assert suite.lines(suite.read(log)) == [b"last\n"]


def test_a_damaged_compressed_part_hides_no_other(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="100", compress="true")
    suite.write(log, *numbered(100))
    path = path_of(log)
    content = path.with_name(f"{path.name}.1.gz").read_bytes()
    path.with_name(f"{path.name}.1.gz").write_bytes(content[: len(content) // 2])
    path.with_name(f"{path.name}.2.gz").write_bytes(b"no gzip at all")
    read = suite.lines(suite.read(log))
    assert read[0] == numbered(1)[0]
    assert read[-1] == numbered(100)[-1]
    assert suite.lines(suite.read(log, tail=1)) == [numbered(100)[-1]]


def test_a_rotation_that_was_killed_is_read_and_gone_on_with(suite: Files, tmp_path: Path) -> None:
    log = suite.make(tmp_path, max_size="1k", max_file="100", compress="true")
    suite.write(log, *numbered(60))
    path = path_of(log)
    first = path.with_name(f"{path.name}.1.gz")
    # Killed between the renaming of the compressed part and the removal of the plain one, and in a compression.
    path.with_name(f"{path.name}.1").write_bytes(gzip.decompress(first.read_bytes()))
    path.with_name(f"{path.name}.1.gz.new").write_bytes(b"half")
    assert suite.lines(suite.read(log)) == numbered(60)
    suite.write(log, *numbered(120)[60:])
    assert suite.lines(suite.read(log)) == numbered(120)
