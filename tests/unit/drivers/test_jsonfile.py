"""The log driver `json-file`: Docker's format, rotation, and reading while it is written."""

from __future__ import annotations

import gzip
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transom.drivers.log import LogDriver
from transom.errors import InvalidParameter, Unsupported
from transom.testing.log import LogDriverSuite
from transom_jsonfile.driver import JsonFileDriver, Options
from transom_jsonfile.reader import parse_time
from transom_jsonfile.writer import LONGEST, JsonFileWriter

ROTATED = {"max-size": "1k", "max-file": "4"}


def make(directory: Path, **options: str) -> JsonFileDriver:
    directory.mkdir(exist_ok=True)
    return JsonFileDriver(directory, {key.replace("_", "-"): value for key, value in options.items()})


class TestJsonFile(LogDriverSuite):
    driver_class = JsonFileDriver

    def test_the_file_is_as_docker_writes_it(self, log: LogDriver) -> None:
        self.write(log, b"hello\n", stream="stderr")
        (record,) = (json.loads(line) for line in (log.directory / f"{log.directory.name}-json.log").open())
        assert list(record) == ["log", "stream", "time"]
        assert (record["log"], record["stream"]) == ("hello\n", "stderr")
        assert record["time"][10] == "T"
        assert record["time"].endswith("Z")


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", b"\\n", b"\\", b'"', b"x" * LONGEST, b"\xc3"])))
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    log = make(tmp_path_factory.mktemp("log"))
    writer = log.open()
    for piece in pieces:
        writer.write("stdout", piece)
    writer.close()
    text = b"".join(pieces).decode("utf-8", "replace")
    entries = [entry.line.decode() for entry in log.read()]
    assert "".join(entries) == text
    assert all(entry.endswith("\n") or len(entry.encode()) > LONGEST - 4 for entry in entries[:-1])


def test_a_line_is_cut_at_16_kibibytes_and_not_inside_a_character(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    writer = log.open()
    writer.write("stdout", b"x" + "ü".encode() * LONGEST + b"\n")
    writer.close()
    lines = [entry.line for entry in log.read()]
    assert [len(line) for line in lines] == [LONGEST - 1, LONGEST, 3]
    assert "".join(line.decode() for line in lines) == "x" + "ü" * LONGEST + "\n"


def test_a_line_of_exactly_16_kibibytes_is_one_entry(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    writer = log.open()
    writer.write("stdout", b"x" * LONGEST + b"\n" + b"y" * LONGEST + b"\n")
    writer.close()
    assert [len(entry.line) for entry in log.read()] == [LONGEST + 1, LONGEST + 1]


def test_one_write_is_one_system_call_per_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        return write(descriptor, data)

    writer = make(tmp_path / "log").open()
    monkeypatch.setattr(os, "write", counted)
    writer.write("stdout", b"line\n" * 10_000)
    assert len(writes) == 1
    writer.close()


def test_an_entry_that_a_killed_writer_did_not_finish_is_not_there(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    writer = log.open()
    writer.write("stdout", b"whole\n")
    writer.close()
    with open(log.path, "ab") as file:
        file.write(b'{"log":"ha')
    assert [entry.line for entry in log.read()] == [b"whole\n"]
    writer = log.open()
    writer.write("stdout", b"next\n")
    writer.close()
    assert [entry.line for entry in log.read()] == [b"whole\n", b"next\n"]


def test_a_line_that_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    log.path.write_bytes(
        b'\0\0\0\n[]\n{"log":1,"stream":"stdout","time":"x"}\n'
        b'{"log":"good\\n","stream":"stdout","time":"2024-01-31T12:00:00Z"}\n'
    )
    assert [entry.line for entry in log.read()] == [b"good\n"]


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make(tmp_path / "log")
    writer = log.open()
    writer.write("stdout", b"before\n")
    write = os.write

    def filling(descriptor: int, data: bytes) -> int:
        if len(data) < 30:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-20])

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(OSError, match="No space"):
        writer.write("stdout", b"lost\n")
    monkeypatch.undo()
    writer.write("stdout", b"after\n")
    writer.close()
    assert [entry.line for entry in log.read()] == [b"before\n", b"after\n"]


# Rotation


def test_old_parts_are_kept_up_to_the_number_of_files(tmp_path: Path) -> None:
    log = make(tmp_path / "log", max_size="1k", max_file="3")
    writer = log.open()
    lines = [b"line number %d\n" % number for number in range(200)]
    writer.write("stdout", b"".join(lines))
    writer.close()
    names = sorted(path.name for path in log.directory.iterdir())
    assert names == ["log-json.log", "log-json.log.1", "log-json.log.2"]
    assert all(1000 <= (log.directory / name).stat().st_size < 1100 for name in names[1:])
    kept = [entry.line for entry in log.read()]
    assert kept == lines[-len(kept) :]
    assert len(kept) > 20


def test_with_one_file_the_log_begins_anew(tmp_path: Path) -> None:
    log = make(tmp_path / "log", max_size="1k")
    writer = log.open()
    lines = [b"line number %d\n" % number for number in range(100)]
    for line in lines:
        writer.write("stdout", line)
    writer.close()
    assert [path.name for path in log.directory.iterdir()] == ["log-json.log"]
    kept = [entry.line for entry in log.read()]
    assert kept == lines[-len(kept) :]


def test_old_parts_can_be_compressed_and_are_read_all_the_same(tmp_path: Path) -> None:
    log = make(tmp_path / "log", max_size="1k", max_file="100", compress="true")
    lines = [b"line number %d\n" % number for number in range(200)]
    writer = log.open()
    for line in lines:
        writer.write("stdout", line)
    writer.close()
    part = log.directory / "log-json.log.1.gz"
    assert gzip.decompress(part.read_bytes()).endswith(b'Z"}\n')
    assert not (log.directory / "log-json.log.1").exists()
    assert [entry.line for entry in log.read()] == lines
    assert [entry.line for entry in log.read(tail=50)] == lines[-50:]


@pytest.mark.parametrize("compress", ["true", "false"])
def test_following_loses_nothing_over_rotations(tmp_path: Path, compress: str) -> None:
    log = make(tmp_path / "log", max_size="2k", max_file="1000", compress=compress)
    lines = [b"line number %d\n" % number for number in range(3000)]
    alive = threading.Event()
    alive.set()
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(lambda: [entry.line for entry in log.read(follow=alive.is_set)])
        writer = log.open()
        for start in range(0, len(lines), 7):
            writer.write("stdout", b"".join(lines[start : start + 7]))
        writer.close()
        alive.clear()
        assert read.result() == lines


@pytest.mark.parametrize("tail", [1, 30, 100, 199, 200, 300])
def test_tail_reaches_over_parts(tmp_path: Path, tail: int) -> None:
    log = make(tmp_path / "log", max_size="1k", max_file="100")
    lines = [b"line number %d\n" % number for number in range(200)]
    writer = log.open()
    writer.write("stdout", b"".join(lines))
    writer.close()
    assert [entry.line for entry in log.read(tail=tail)] == lines[-tail:]


def test_tail_reads_no_more_than_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make(tmp_path / "log")
    writer = log.open()
    writer.write("stdout", b"some line of a log\n" * 100_000)
    writer.close()
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert len(list(log.read(tail=3))) == 3
    assert sum(read) < 1 << 19


# Options


@pytest.mark.parametrize(
    ("given_", "size"),
    [("10", 10), ("10k", 10_000), ("10KB", 10_000), ("1.5m", 1_500_000), ("2 g", 2_000_000_000)],
)
def test_sizes_are_read_as_docker_reads_them(given_: str, size: int) -> None:
    assert Options.parse({"max-size": given_}).max_size == size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max-size": "big"}, "invalid max-size 'big'"),
        ({"max-size": "0"}, "max-size must be a positive number"),
        ({"max-size": "-1"}, "invalid max-size"),
        ({"max-file": "0"}, "max-file cannot be less than 1"),
        ({"max-file": "x"}, "invalid max-file 'x'"),
        ({"compress": "maybe"}, "invalid value 'maybe' for compress"),
        ({"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not set"),
        ({"maxsize": "1"}, "unknown log opt 'maxsize' for json-file log driver"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        JsonFileDriver.check(options)


@pytest.mark.parametrize("options", [{"labels": "a"}, {"mode": "non-blocking"}])
def test_options_that_docker_knows_and_this_driver_does_not_are_said_to_be_unsupported(
    options: dict[str, str],
) -> None:
    with pytest.raises(Unsupported, match="not supported"):
        JsonFileDriver.check(options)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:00.5Z", 500_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00.123+01:00", 123_000_000),
    ],
)
def test_times_are_read_with_any_number_of_digits(text: str, time: int) -> None:
    assert parse_time(text) == time


def test_the_writer_is_what_the_driver_opens(tmp_path: Path) -> None:
    writer = make(tmp_path / "log").open()
    assert isinstance(writer, JsonFileWriter)
    writer.close()
