"""The conformance suites of log drivers:

`LogDriverSuite` for every driver, `ReadableLogSuite` for those whose logs can be read, which includes the first.
`transom.drivers.log` is the contract.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from transom.drivers.log import Entry, LogDriver, LoggedContainer
from transom.errors import InvalidParameter, Unsupported
from transom.testing.comparing import difference
from transom.testing.interruption import count_steps, kill_at_step, spread

__all__ = ["LogDriverSuite", "ReadableLogSuite"]

#: When the first line is written, in nanoseconds; each write is a second later.
BEGIN = 1_700_000_000_123_456_789
SECOND = 1_000_000_000


class LogDriverSuite:
    """Tests that every log driver passes. A subclass names the driver, and options without which it cannot work."""

    driver_class: ClassVar[type[LogDriver]]
    options: ClassVar[Mapping[str, str]] = {}

    @property
    def identity(self) -> str:
        """The container's ID. Logs that do not lie in its directory may need another one in each test."""
        return ("c0ffee" * 11)[:64]

    @pytest.fixture
    def log(self, tmp_path: Path) -> LogDriver:
        """A log of a container that has not written anything."""
        return self.make(tmp_path)

    def make(self, place: Path, **options: str) -> LogDriver:
        """Return a log with more options, whose names have underscores here."""
        container = LoggedContainer(
            id=self.identity,
            name="web",
            image=f"sha256:{'ab' * 32}",
            image_name="busybox:1",
            command=("httpd", "-f"),
            labels={"tier": "front", "team": "blue", "other": "no"},
            env=("ROLE=main", "SECRET=x"),
        )
        directory = place / container.id
        directory.mkdir(exist_ok=True)
        more = {name.replace("_", "-"): value for name, value in options.items()}
        return self.driver_class(directory, {**self.options, **more}, container)

    def write(self, log: LogDriver, *pieces: bytes, stream: str = "stdout", begin: int = BEGIN) -> None:
        """Write as a container does that then ends."""
        writer = log.open()
        for number, piece in enumerate(pieces):
            writer.write(stream, piece, begin + number * SECOND)
        writer.close()

    def test_its_own_options_are_accepted(self, log: LogDriver) -> None:
        log.check(self.options)

    def test_an_unknown_option_is_refused(self, log: LogDriver) -> None:
        with pytest.raises(InvalidParameter, match="unknown log opt 'no-such-option'"):
            log.check({**self.options, "no-such-option": "value"})

    def test_a_log_can_be_opened_again_and_again(self, log: LogDriver) -> None:
        for _ in range(3):
            self.write(log, b"line\n", b"unfinished")

    def test_a_log_that_cannot_be_read_says_so(self, log: LogDriver) -> None:
        if not log.readable:
            with pytest.raises(Unsupported, match="configured logging driver does not support reading"):
                log.reader()


class ReadableLogSuite(LogDriverSuite):
    """Tests that every log driver passes whose logs can be read."""

    def read(self, log: LogDriver, *, since: int | None = None, tail: int | None = None) -> list[Entry]:
        """Return what is in a log now."""
        with closing(log.reader(since=since, tail=tail)) as reader:
            return list(reader.read())

    def lines(self, entries: Iterable[Entry]) -> list[bytes]:
        """Return what the entries say."""
        return [entry.line for entry in entries]

    def test_lines_are_read_in_the_order_of_writing(self, log: LogDriver) -> None:
        self.write(log, b"one\ntwo\n", b"three\n")
        assert self.lines(self.read(log)) == [b"one\n", b"two\n", b"three\n"]

    def test_a_log_that_was_never_written_to_is_empty(self, log: LogDriver) -> None:
        assert self.read(log) == []
        assert self.read(log, tail=10) == []

    def test_where_reads_cut_a_line_does_not_matter(self, log: LogDriver) -> None:
        self.write(log, b"o", b"n", b"e\nt", b"wo\n", "grü".encode()[:-1], "ü\n".encode()[1:])
        assert self.lines(self.read(log)) == [b"one\n", b"two\n", "grü\n".encode()]

    def test_streams_are_kept_apart(self, log: LogDriver) -> None:
        writer = log.open()
        for stream, data in (
            ("stdout", b"out"),
            ("stderr", b"err"),
            ("stdout", b"put\n"),
            ("stderr", b"or\n"),
        ):
            writer.write(stream, data, BEGIN)
        writer.close()
        entries = [(entry.stream, entry.line) for entry in self.read(log)]
        assert entries == [("stdout", b"output\n"), ("stderr", b"error\n")]

    def test_an_unfinished_line_is_kept_without_a_newline(self, log: LogDriver) -> None:
        self.write(log, b"whole\nprompt> ")
        assert self.lines(self.read(log)) == [b"whole\n", b"prompt> "]

    def test_empty_lines_are_lines(self, log: LogDriver) -> None:
        self.write(log, b"\n\none\n", b"\n")
        assert self.lines(self.read(log)) == [b"\n", b"\n", b"one\n", b"\n"]

    def test_a_long_line_is_the_same_when_its_entries_are_joined(self, log: LogDriver) -> None:
        line = "häß".encode() * 20_000 + b"\n"
        self.write(
            log,
            b"before\n",
            *(line[start : start + 65536] for start in range(0, len(line), 65536)),
            b"after\n",
        )
        lines = self.lines(self.read(log))
        assert difference(b"".join(lines), b"before\n" + line + b"after\n") is None
        assert (lines[0], lines[-1]) == (b"before\n", b"after\n")
        assert all(len(line) <= 16 << 10 for line in lines)

    @pytest.mark.parametrize(
        "text", ['say "hi"', "back\\slash", "\\n", "\\\\n", "\t\r\x00\x1b[0m\x7f", "\u2028 ☃ 🐳", ""]
    )
    def test_text_of_any_kind_is_kept(self, log: LogDriver, text: str) -> None:
        self.write(log, text.encode() + b"\n", b"next\n")
        assert self.lines(self.read(log)) == [text.encode() + b"\n", b"next\n"]

    def test_what_is_no_text_is_kept_as_far_as_it_can_be(self, log: LogDriver) -> None:
        self.write(log, b"before \xff\xfe after\n", b"next\n")
        (first, second) = self.lines(self.read(log))
        assert first.startswith(b"before ")
        assert first.endswith(b" after\n")
        assert second == b"next\n"

    def test_entries_know_when_they_were_written(self, log: LogDriver) -> None:
        self.write(log, b"one\ntw", b"o\n")
        assert [entry.time for entry in self.read(log)] == [BEGIN, BEGIN + SECOND]

    def test_a_log_that_is_opened_again_goes_on(self, log: LogDriver) -> None:
        self.write(log, b"one\n")
        self.write(log, b"two\n", begin=BEGIN + SECOND)
        assert self.lines(self.read(log)) == [b"one\n", b"two\n"]

    @pytest.mark.parametrize("tail", [0, 1, 2, 99, 100, 1000])
    def test_tail_begins_with_the_last_lines(self, log: LogDriver, tail: int) -> None:
        lines = [b"line %d\n" % number for number in range(100)]
        self.write(log, b"".join(lines))
        assert self.lines(self.read(log, tail=tail)) == lines[len(lines) - min(tail, 100) :]

    def test_what_is_wanted_since_a_time_is_all_there(self, log: LogDriver) -> None:
        self.write(log, *(b"line %d\n" % number for number in range(10)))
        entries = self.read(log)
        since = entries[4].time
        assert [entry for entry in self.read(log, since=since) if entry.time >= since] == entries[4:]

    def test_a_reader_goes_on_where_it_was(self, log: LogDriver) -> None:
        self.write(log, b"one\n")
        with closing(log.reader()) as reader:
            assert self.lines(reader.read()) == [b"one\n"]
            assert self.lines(reader.read()) == []
            writer = log.open()
            for number in range(10):
                writer.write("stdout", b"line %d\n" % number, BEGIN + number * SECOND)
            writer.write("stdout", b"last words", BEGIN + 10 * SECOND)
            writer.close()
            assert self.lines(reader.read()) == [*(b"line %d\n" % number for number in range(10)), b"last words"]
            assert self.lines(reader.read()) == []

    def test_a_reader_that_begins_at_the_end_gets_what_follows(self, log: LogDriver) -> None:
        self.write(log, b"past\n")
        with closing(log.reader(tail=0)) as reader:
            assert self.lines(reader.read()) == []
            self.write(log, b"next\n", begin=BEGIN + SECOND)
            assert self.lines(reader.read()) == [b"next\n"]

    def test_a_reader_begins_before_the_first_line(self, log: LogDriver) -> None:
        with closing(log.reader()) as reader:
            assert self.lines(reader.read()) == []
            self.write(log, b"first\n")
            assert self.lines(reader.read()) == [b"first\n"]

    def test_reading_may_be_left_and_gone_on_with(self, log: LogDriver) -> None:
        lines = [b"line %d\n" % number for number in range(100)]
        self.write(log, b"".join(lines))
        with closing(log.reader()) as reader:
            entries = reader.read()
            first = [next(entries).line for _ in range(10)]
            assert first + self.lines(entries) == lines

    def test_several_read_while_one_writes(self, log: LogDriver) -> None:
        lines = [b"line %d\n" % number for number in range(500)]
        over = threading.Event()

        def follow() -> list[bytes]:
            read: list[bytes] = []
            with closing(log.reader()) as reader:
                ended = False
                while not ended:
                    ended = over.is_set()
                    read += self.lines(reader.read())
            return read

        with ThreadPoolExecutor(3) as pool:
            followers = [pool.submit(follow) for _ in range(3)]
            try:
                self.write(log, *lines)
            finally:
                over.set()
            assert all(follower.result() == lines for follower in followers)

    def test_a_log_whose_writer_was_killed_has_whole_lines_and_goes_on(self, log: LogDriver) -> None:
        written = [b"line %d\n" % number for number in range(6)]

        def write() -> None:
            # The shim lives on in another process: here is only what the driver does in one.
            self.write(log, *written)

        for step in spread(count_steps(write), 6):
            before = self.lines(self.read(log))
            kill_at_step(step, write)
            added = self.lines(self.read(log))[len(before) :]
            assert added == written[: len(added)], f"killed at step {step}"
            self.write(log, b"next\n")
            assert self.lines(self.read(log))[len(before) :] == [*added, b"next\n"]

    def test_what_a_reader_watches_is_there(self, log: LogDriver) -> None:
        self.write(log, b"line\n")
        with closing(log.reader()) as reader:
            assert reader.watched
            assert all(directory.is_dir() for directory in reader.watched)
