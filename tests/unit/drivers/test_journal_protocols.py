"""What the log driver `journald` says and hears, whatever comes. Its conformance is tested with a real journald."""

from __future__ import annotations

import io
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.drivers.log import Entry
from transom.errors import InvalidParameter, Unavailable
from transom.logs.options import check_options
from transom_journald.driver import JournaldDriver
from transom_journald.native import Journal, encode_field, field_name
from transom_journald.reader import JournalReader, decode, parse_export


@pytest.mark.parametrize(
    ("text", "name"),
    [("tier", "TIER"), ("com.example.role", "COM_EXAMPLE_ROLE"), ("__x-1", "X_1"), ("größe", "GR__E"), ("_", "")],
)
def test_names_of_labels_become_names_of_fields(text: str, name: str) -> None:
    assert field_name(text) == name


def test_a_value_with_a_newline_has_its_length_before_it() -> None:
    assert encode_field("A", b"b=c") == b"A=b=c\n"
    assert encode_field("A", b"b\nc") == b"A\n\x03\0\0\0\0\0\0\0b\nc\n"


@given(
    st.lists(
        st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,10}", fullmatch=True), st.binary(max_size=50), min_size=1),
        max_size=4,
    )
)
def test_what_is_exported_is_read(entries: list[dict[str, bytes]]) -> None:
    exported = b"".join(
        b"".join(b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(value)), value) for name, value in entry.items())
        + b"\n"
        for entry in entries
    )
    assert list(parse_export(io.BytesIO(exported))) == entries


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail(data: bytes) -> None:
    for fields in parse_export(io.BytesIO(data)):
        decode(fields)


@pytest.mark.parametrize(
    ("fields", "entry"),
    [
        ({"MESSAGE": b"a", "PRIORITY": b"6", "__REALTIME_TIMESTAMP": b"5"}, Entry(5000, "stdout", b"a\n")),
        ({"MESSAGE": b"a", "PRIORITY": b"6", "SYSLOG_TIMESTAMP": b"nonsense"}, None),
        ({"MESSAGE": b"a", "PRIORITY": b"5", "__REALTIME_TIMESTAMP": b"5"}, None),
        ({"PRIORITY": b"6", "__REALTIME_TIMESTAMP": b"5"}, None),
        (
            {
                "MESSAGE": b"a",
                "PRIORITY": b"3",
                "SYSLOG_TIMESTAMP": b"1970-01-01T00:00:01.5Z",
                "CONTAINER_PARTIAL_MESSAGE": b"true",
                "TIER": b"front",
                "_PID": b"7",
                "CONTAINER_NAME": b"web",
            },
            Entry(1_500_000_000, "stderr", b"a", {"TIER": "front"}),
        ),
    ],
)
def test_entries_of_the_journal_are_entries_of_the_log(fields: dict[str, bytes], entry: Entry | None) -> None:
    assert decode(fields) == entry


def test_a_journal_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reader = JournalReader("0" * 64, since=None, tail=None)
    with pytest.raises(Unavailable, match="journalctl is not installed"):
        list(reader.read())
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\necho no such journal >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Unavailable, match="the journal cannot be read: no such journal"):
        list(reader.read())


def test_a_journald_that_does_not_listen_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="journald does not listen"):
        Journal(tmp_path / "socket")


def test_a_journald_that_cannot_synchronize_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        journal = Journal(tmp_path / "socket")
        journal.send(b"MESSAGE=a\n")
        journal.synchronize()
        journal.close()
        assert server.recv(100) == b"MESSAGE=a\n"


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="unknown log opt 'max-size' for journald log driver"):
        check_options(JournaldDriver, {"max-size": "1m"})
