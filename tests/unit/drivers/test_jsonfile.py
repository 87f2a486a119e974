"""The log driver `json-file`: Docker's format, its options, and what is read of files that are damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transom.drivers.log import LogDriver
from transom.errors import InvalidParameter
from transom.logs.files import Rotation
from transom.logs.lines import LONGEST
from transom.logs.options import check_options
from transom.logs.times import parse_time
from transom.testing.log import BEGIN, ReadableLogSuite
from transom_jsonfile.driver import JsonFileDriver
from transom_jsonfile.writer import JsonFileWriter


class JsonFile(ReadableLogSuite):
    driver_class = JsonFileDriver


SUITE = JsonFile()


class TestJsonFile(JsonFile):
    def test_the_file_is_as_docker_writes_it(self, log: LogDriver) -> None:
        self.write(log, b"hello\n", stream="stderr")
        content = (log.directory / f"{log.directory.name}-json.log").read_text()
        assert content == '{"log":"hello\\n","stream":"stderr","time":"2023-11-14T22:13:20.123456789Z"}\n'

    def test_labels_variables_and_the_tag_are_in_each_line(self, tmp_path: Path) -> None:
        log = self.make(tmp_path, labels="tier,none", labels_regex="^te", env="ROLE", tag="{{.Name}}/{{ .ID }}")
        self.write(log, b"one\ntwo\n")
        records = [json.loads(line) for line in (log.directory / f"{log.directory.name}-json.log").open()]
        attributes = {"ROLE": "main", "tag": "web/c0ffeec0ffee", "team": "blue", "tier": "front"}
        assert [list(record) for record in records] == [["log", "stream", "attrs", "time"]] * 2
        assert [list(record["attrs"]) for record in records] == [sorted(attributes)] * 2
        assert [entry.attributes for entry in self.read(log)] == [attributes] * 2

    def test_attributes_with_any_text_do_not_break_lines(self, tmp_path: Path) -> None:
        log = self.make(tmp_path, tag='a\\n"b"\n\\\\')
        self.write(log, b"back\\slash\nnext\n")
        assert [(entry.line, entry.attributes["tag"]) for entry in self.read(log)] == [
            (b"back\\slash\n", 'a\\n"b"\n\\\\'),
            (b"next\n", 'a\\n"b"\n\\\\'),
        ]


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", b"\\n", b"\\", b'"', b"x" * LONGEST, b"\xc3"])))
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    log = SUITE.make(tmp_path_factory.mktemp("log"))
    SUITE.write(log, *pieces)
    text = b"".join(pieces).decode("utf-8", "replace")
    entries = [entry.line.decode() for entry in SUITE.read(log)]
    assert "".join(entries) == text
    assert all(entry.endswith("\n") or len(entry.encode()) > LONGEST - 4 for entry in entries[:-1])


def test_a_line_is_cut_at_16_kibibytes_and_not_inside_a_character(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"x" + "ü".encode() * LONGEST + b"\n")
    lines = [entry.line for entry in SUITE.read(log)]
    assert [len(line) for line in lines] == [LONGEST - 1, LONGEST, 3]
    assert "".join(line.decode() for line in lines) == "x" + "ü" * LONGEST + "\n"


def test_a_line_of_exactly_16_kibibytes_is_one_entry(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"x" * LONGEST + b"\n" + b"y" * LONGEST + b"\n")
    assert [len(entry.line) for entry in SUITE.read(log)] == [LONGEST + 1, LONGEST + 1]


def test_one_write_is_one_system_call_per_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        return write(descriptor, data)

    writer = SUITE.make(tmp_path).open()
    monkeypatch.setattr(os, "write", counted)
    writer.write("stdout", b"line\n" * 10_000, BEGIN)
    assert len(writes) == 1
    writer.close()


def test_tail_reads_no_more_than_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"some line of a log\n" * 100_000)
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert len(SUITE.read(log, tail=3)) == 3
    assert sum(read) < 1 << 19


def test_the_writer_is_what_the_driver_opens(tmp_path: Path) -> None:
    writer = SUITE.make(tmp_path).open()
    assert isinstance(writer, JsonFileWriter)
    writer.close()


# Damage


def path_of(log: LogDriver) -> Path:
    assert isinstance(log, JsonFileDriver)
    return log.path


def test_an_entry_that_a_killed_writer_did_not_finish_is_not_there(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"whole\n")
    with open(path_of(log), "ab") as file:
        file.write(b'{"log":"ha')
    assert [entry.line for entry in SUITE.read(log)] == [b"whole\n"]
    SUITE.write(log, b"next\n")
    assert [entry.line for entry in SUITE.read(log)] == [b"whole\n", b"next\n"]


def test_a_line_that_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    path_of(log).write_bytes(
        b'\0\0\0\n[]\n{"log":1,"stream":"stdout","time":"x"}\n'
        b'{"log":"bad\\n","stream":"stdin","time":"2024-01-31T12:00:00Z"}\n'
        b'{"log":"bad\\n","stream":"stdout","attrs":["x"],"time":"2024-01-31T12:00:00Z"}\n'
        b'{"log":"good\\n","stream":"stdout","time":"2024-01-31T12:00:00Z"}\n'
    )
    assert [entry.line for entry in SUITE.read(log)] == [b"good\n"]


def test_a_hole_is_passed_over_without_gathering_it(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"before\n")
    with open(path_of(log), "ab") as file:
        file.truncate(file.tell() + (40 << 20))
    with open(path_of(log), "ab") as file:
        file.write(b"\n")
    SUITE.write(log, b"after\n")
    assert [entry.line for entry in SUITE.read(log)] == [b"before\n", b"after\n"]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400), st.integers(min_value=0, max_value=3))
def test_no_bytes_make_reading_fail(tmp_path_factory: pytest.TempPathFactory, junk: bytes, tail: int) -> None:
    log = SUITE.make(tmp_path_factory.mktemp("log"))
    path_of(log).write_bytes(junk)
    SUITE.read(log)
    SUITE.read(log, tail=tail)
    SUITE.write(log, b"\nnext\n")
    assert SUITE.read(log)[-1].line == b"next\n"


# Options


@pytest.mark.parametrize(
    ("given_", "size"),
    [("10", 10), ("10k", 10_000), ("10KB", 10_000), ("1.5m", 1_500_000), ("2 g", 2_000_000_000)],
)
def test_sizes_are_read_as_docker_reads_them(given_: str, size: int) -> None:
    assert Rotation().changed_by({"max-size": given_}).max_size == size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max-size": "big"}, "invalid size: 'big'"),
        ({"max-size": "0"}, "max-size must be a positive number"),
        ({"max-size": "-1"}, "invalid size: '-1'"),
        ({"max-file": "0"}, "max-file cannot be less than 1"),
        ({"max-file": "x"}, "invalid max-file 'x'"),
        ({"compress": "maybe"}, "invalid value 'maybe' for compress"),
        ({"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not set"),
        ({"maxsize": "1"}, "unknown log opt 'maxsize' for json-file log driver"),
        ({"mode": "fast"}, "logger: logging mode not supported: fast"),
        ({"max-buffer-size": "1m"}, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
        ({"mode": "non-blocking", "max-buffer-size": "x"}, "error parsing option max-buffer-size: invalid size: 'x'"),
        ({"labels-regex": "("}, "invalid log opt 'labels-regex=\\('"),
        ({"env-regex": "(a+)+"}, "invalid log opt 'env-regex=.*' *: repetitions inside repetitions"),
        ({"tag": "{{.Nothing}}"}, "invalid tag '{{.Nothing}}': {{.Nothing}} is not supported"),
        ({"tag": "{{.Name"}, "invalid tag '{{.Name': {{ is not closed by }}"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        check_options(JsonFileDriver, options)


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("{{.ID}}", "c0ffeec0ffee"),
        ("{{.FullID}}", ("c0ffee" * 11)[:64]),
        ("{{.ImageName}}|{{.ImageID}}", "busybox:1|sha256:ababa"),
        ("{{.Command}}", "httpd -f"),
        ("{{.DaemonName}}/{{.Hostname}}", f"docker/{os.uname().nodename}"),
        ("{{(.ExtraAttributes nil).ROLE}}", "main"),
        ("{{ ( .ExtraAttributes nil ).NONE }}", "<no value>"),
        ("plain", "plain"),
    ],
)
def test_tags_are_templates(tmp_path: Path, template: str, tag: str) -> None:
    log = SUITE.make(tmp_path, tag=template, env="ROLE")
    SUITE.write(log, b"line\n")
    assert SUITE.read(log)[0].attributes["tag"] == tag


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
