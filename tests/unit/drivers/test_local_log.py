"""The log driver `local`: Docker's binary format."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transom.drivers.log import LogDriver
from transom.errors import InvalidParameter
from transom.logs.lines import LONGEST, Piece
from transom.logs.options import check_options
from transom.testing.log import BEGIN, ReadableLogSuite
from transom_local.driver import LocalDriver
from transom_local.format import Message, decode, encode, encode_attributes, encode_head


class Local(ReadableLogSuite):
    driver_class = LocalDriver


SUITE = Local()


class TestLocal(Local):
    def test_the_file_is_as_docker_writes_it(self, log: LogDriver) -> None:
        self.write(log, b"hello\n")
        assert (log.directory / "local-logs" / "container.log").read_bytes() == record(b"hello")

    def test_labels_variables_and_the_tag_are_in_each_record(self, tmp_path: Path) -> None:
        log = self.make(tmp_path, labels="tier", env_regex="^ROLE$", tag="{{.Name}}")
        self.write(log, b"one\ntwo\n")
        attributes = {"ROLE": "main", "tag": "web", "tier": "front"}
        assert [entry.attributes for entry in self.read(log)] == [attributes] * 2


def record(line: bytes) -> bytes:
    """Return a record as Docker makes it, from its bytes."""
    message = b"\x0a\x06stdout\x10" + varint(BEGIN) + b"\x1a" + varint(len(line)) + line
    return struct.pack(">I", len(message)) + message + struct.pack(">I", len(message))


def varint(value: int) -> bytes:
    return bytes((value & 0x7F | 0x80,)) + varint(value >> 7) if value > 0x7F else bytes((value,))


def path_of(log: LogDriver) -> Path:
    assert isinstance(log, LocalDriver)
    return log.path


def test_parts_of_a_long_line_say_what_they_are() -> None:
    head = encode_head("stderr", 5)
    first = decode(encode(head, Piece(b"a", "id", 1, last=False), b"")[4:-4])
    last = decode(encode(head, Piece(b"b", "id", 2, last=True), b"")[4:-4])
    assert first == Message("stderr", 5, b"a", partial=True, last=False, id="id", ordinal=1)
    assert last == Message("stderr", 5, b"b", partial=True, last=True, id="id", ordinal=2)


def test_a_long_line_has_parts_of_16_kibibytes_with_one_id(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"x" * (2 * LONGEST + 5) + b"\nnext\n")
    content, position, messages = path_of(log).read_bytes(), 0, []
    while position < len(content):
        (length,) = struct.unpack_from(">I", content, position)
        messages.append(decode(content[position + 4 : position + 4 + length]))
        position += length + 8
    assert [(len(item.line), item.ordinal, item.last) for item in messages[:3]] == [
        (LONGEST, 1, False),
        (LONGEST, 2, False),
        (5, 3, True),
    ]
    assert len({item.id for item in messages[:3]}) == 1
    assert len(messages[0].id) == 64
    assert messages[3] == Message("stdout", BEGIN, b"next")


@settings(deadline=None)
@given(
    st.sampled_from(["stdout", "stderr"]),
    st.integers(0, 2**63 - 1),
    st.binary(max_size=300),
    st.dictionaries(st.text(max_size=5), st.text(max_size=200), max_size=3),
)
def test_what_is_decoded_is_what_was_encoded(source: str, time: int, line: bytes, attributes: dict[str, str]) -> None:
    encoded = encode(encode_head(source, time), Piece(line), encode_attributes(attributes))
    assert decode(encoded[4:-4]) == Message(source, time, line, attributes=attributes)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_what_is_no_message_is_an_error_and_nothing_else(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        pass


# Damage


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.integers(min_value=0, max_value=3))
def test_no_bytes_make_reading_fail(tmp_path_factory: pytest.TempPathFactory, junk: bytes, tail: int) -> None:
    log = SUITE.make(tmp_path_factory.mktemp("log"))
    path_of(log).parent.mkdir()
    path_of(log).write_bytes(junk)
    SUITE.read(log)
    SUITE.read(log, tail=tail)
    SUITE.write(log, b"next\n")
    assert SUITE.read(log)[-1].line == b"next\n"


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=20))
def test_damage_in_the_middle_hides_only_what_it_hits(
    tmp_path_factory: pytest.TempPathFactory, position: int, junk: bytes
) -> None:
    lines = [b"line number %d\n" % number for number in range(20)]
    log = SUITE.make(tmp_path_factory.mktemp("log"))
    SUITE.write(log, *lines)
    content = path_of(log).read_bytes()
    path_of(log).write_bytes(content[:position] + junk + content[position + len(junk) :])
    read = SUITE.lines(SUITE.read(log))
    assert sum(line in read for line in lines) >= len(lines) - 2
    # Damage need not be seen for what it is where it hits a text; a length is found out.
    assert SUITE.lines(SUITE.read(log, tail=3)) == lines[-3:]


def test_a_record_that_a_killed_writer_did_not_finish_is_not_there(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"whole\n")
    with open(path_of(log), "ab") as file:
        file.write(record(b"never finished")[:-7])
    assert SUITE.lines(SUITE.read(log)) == [b"whole\n"]
    assert SUITE.lines(SUITE.read(log, tail=1)) == [b"whole\n"]
    SUITE.write(log, b"next\n")
    assert path_of(log).read_bytes() == record(b"whole") + record(b"next")


def test_a_record_that_is_too_long_to_be_one_is_passed_over(tmp_path: Path) -> None:
    log = SUITE.make(tmp_path)
    SUITE.write(log, b"before\n")
    with open(path_of(log), "ab") as file:
        file.write(struct.pack(">I", 50_000_000) + b"no message" + record(b"after"))
    assert SUITE.lines(SUITE.read(log)) == [b"before\n", b"after\n"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max-size": "0"}, "max-size must be a positive number"),
        ({"max-file": "1"}, "compression cannot be enabled when max file count is 1"),
        ({"colour": "red"}, "unknown log opt 'colour' for log driver local"),
        ({"labels-regex": "["}, "invalid log opt"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        check_options(LocalDriver, options)
