"""The conformance suite of log drivers that can be read:

`LogDriverSuite`. `transom.drivers.log` is the contract.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.log import Entry, LogDriver
from transom.errors import InvalidParameter

__all__ = ["LogDriverSuite"]


class LogDriverSuite:
    """Tests that every log driver passes whose logs can be read. A subclass names the driver."""

    driver_class: ClassVar[type[LogDriver]]

    @pytest.fixture
    def log(self, tmp_path: Path) -> LogDriver:
        """A log of a container that has not written anything."""
        directory = tmp_path / ("c0ffee" * 11)[:64]
        directory.mkdir()
        return self.driver_class(directory, {})

    def write(self, log: LogDriver, *pieces: bytes, stream: str = "stdout") -> None:
        """Write as a container does that then ends."""
        writer = log.open()
        for piece in pieces:
            writer.write(stream, piece)
        writer.close()

    def lines(self, entries: Iterable[Entry]) -> list[bytes]:
        """Return what the entries say."""
        return [entry.line for entry in entries]

    def test_lines_are_read_in_the_order_of_writing(self, log: LogDriver) -> None:
        self.write(log, b"one\ntwo\n", b"three\n")
        assert self.lines(log.read()) == [b"one\n", b"two\n", b"three\n"]

    def test_a_log_that_was_never_written_to_is_empty(self, log: LogDriver) -> None:
        assert list(log.read()) == []
        assert list(log.read(tail=10)) == []

    def test_where_reads_cut_a_line_does_not_matter(self, log: LogDriver) -> None:
        self.write(log, b"o", b"n", b"e\nt", b"wo\n", "grü".encode()[:-1], "ü\n".encode()[1:])
        assert self.lines(log.read()) == [b"one\n", b"two\n", "grü\n".encode()]

    def test_streams_are_kept_apart(self, log: LogDriver) -> None:
        writer = log.open()
        for stream, data in (
            ("stdout", b"out"),
            ("stderr", b"err"),
            ("stdout", b"put\n"),
            ("stderr", b"or\n"),
        ):
            writer.write(stream, data)
        writer.close()
        entries = [(entry.stream, entry.line) for entry in log.read()]
        assert entries == [("stdout", b"output\n"), ("stderr", b"error\n")]

    def test_an_unfinished_line_is_kept_without_a_newline(self, log: LogDriver) -> None:
        self.write(log, b"whole\nprompt> ")
        assert self.lines(log.read()) == [b"whole\n", b"prompt> "]

    def test_flush_lets_a_reader_see_an_unfinished_line(self, log: LogDriver) -> None:
        writer = log.open()
        writer.write("stdout", b"prompt> ")
        writer.flush()
        assert self.lines(log.read()) == [b"prompt> "]
        writer.close()
        assert self.lines(log.read()) == [b"prompt> "]

    def test_a_long_line_is_the_same_when_its_entries_are_joined(self, log: LogDriver) -> None:
        line = "häß".encode() * 20_000 + b"\n"
        self.write(
            log,
            b"before\n",
            *(line[start : start + 65536] for start in range(0, len(line), 65536)),
            b"after\n",
        )
        lines = self.lines(log.read())
        assert b"".join(lines) == b"before\n" + line + b"after\n"
        assert (lines[0], lines[-1]) == (b"before\n", b"after\n")

    @pytest.mark.parametrize(
        "text", ['say "hi"', "back\\slash", "\\n", "\\\\n", "\t\r\x00\x1b[0m\x7f", "\u2028 ☃ 🐳", ""]
    )
    def test_text_of_any_kind_is_kept(self, log: LogDriver, text: str) -> None:
        self.write(log, text.encode() + b"\n", b"next\n")
        assert self.lines(log.read()) == [text.encode() + b"\n", b"next\n"]

    def test_what_is_no_text_is_kept_as_far_as_it_can_be(self, log: LogDriver) -> None:
        self.write(log, b"before \xff\xfe after\n", b"next\n")
        (first, second) = self.lines(log.read())
        assert first.startswith(b"before ")
        assert first.endswith(b" after\n")
        assert second == b"next\n"

    def test_entries_know_when_they_were_written(self, log: LogDriver) -> None:
        before = time.time_ns()
        self.write(log, b"one\n")
        after = time.time_ns()
        (entry,) = log.read()
        assert before <= entry.time <= after

    def test_a_log_that_is_opened_again_goes_on(self, log: LogDriver) -> None:
        self.write(log, b"one\n")
        self.write(log, b"two\n")
        assert self.lines(log.read()) == [b"one\n", b"two\n"]

    @pytest.mark.parametrize("tail", [0, 1, 2, 99, 100, 1000])
    def test_tail_begins_with_the_last_lines(self, log: LogDriver, tail: int) -> None:
        lines = [b"line %d\n" % number for number in range(100)]
        self.write(log, b"".join(lines))
        assert self.lines(log.read(tail=tail)) == lines[len(lines) - min(tail, 100) :]

    def test_since_and_until_are_inclusive(self, log: LogDriver) -> None:
        for line in (b"one\n", b"two\n", b"three\n"):
            self.write(log, line)
        entries = list(log.read())
        times = [entry.time for entry in entries]
        assert list(log.read(since=times[1])) == [entry for entry in entries if entry.time >= times[1]]
        assert list(log.read(until=times[1])) == [entry for entry in entries if entry.time <= times[1]]
        assert list(log.read(since=times[2] + 1)) == []
        assert list(log.read(until=times[0] - 1)) == []

    def test_following_goes_on_until_the_writer_has_gone(self, log: LogDriver) -> None:
        self.write(log, b"past\n")
        alive = threading.Event()
        alive.set()
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit(lambda: self.lines(log.read(follow=alive.is_set)))
            writer = log.open()
            for number in range(100):
                writer.write("stdout", b"line %d\n" % number)
            writer.write("stdout", b"last words")
            writer.close()
            alive.clear()
            assert read.result() == [
                b"past\n",
                *(b"line %d\n" % number for number in range(100)),
                b"last words",
            ]

    def test_following_begins_before_the_first_line(self, log: LogDriver) -> None:
        alive = threading.Event()
        alive.set()
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit(lambda: self.lines(log.read(follow=alive.is_set, tail=0)))
            self.write(log, b"first\n")
            alive.clear()
            assert read.result() in ([b"first\n"], [])

    def test_an_unknown_option_is_refused(self, log: LogDriver) -> None:
        with pytest.raises(InvalidParameter, match="no-such-option"):
            log.check({"no-such-option": "value"})
