"""Log drivers that are wrong."""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Mapping

from transom.drivers.log import Entry, LogDriver, LogReader, LogWriter
from transom_jsonfile.driver import JsonFileDriver

__all__ = ["DRIVERS"]


class Writer(LogWriter):
    """Passes on what is written."""

    def __init__(self, writer: LogWriter) -> None:
        self.writer = writer

    def write(self, stream: str, data: bytes, time: int) -> None:
        self.writer.write(stream, data, time)

    def close(self) -> None:
        self.writer.close()


class Reader(LogReader):
    """Passes on what is read."""

    def __init__(self, reader: LogReader) -> None:
        self.reader = reader
        self.watched = reader.watched

    def read(self) -> Iterator[Entry]:
        yield from self.reader.read()

    def close(self) -> None:
        self.reader.close()


class Wrapped(JsonFileDriver):
    """A right driver whose writers and readers are made anew by the wrong ones."""

    writer: type[Writer] = Writer
    wrong_reader: type[Reader] = Reader

    def open(self) -> LogWriter:
        return self.writer(super().open())

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        return self.wrong_reader(super().reader(since=since, tail=tail))


class DropsTheLastWords(Wrapped):
    noticed = "test_an_unfinished_line_is_kept_without_a_newline"

    class writer(Writer):  # noqa: N801
        def close(self) -> None:
            """Leave what is held back."""


class DropsLastLines(Wrapped):
    noticed = "test_lines_are_read_in_the_order_of_writing"

    class wrong_reader(Reader):  # noqa: N801
        def read(self) -> Iterator[Entry]:
            yield from list(super().read())[:-1]


class EndsLinesWhereReadsDo(Wrapped):
    noticed = "test_where_reads_cut_a_line_does_not_matter"

    class writer(Writer):  # noqa: N801
        def write(self, stream: str, data: bytes, time: int) -> None:
            super().write(stream, data if data.endswith(b"\n") else data + b"\n", time)


class MixesStreams(Wrapped):
    noticed = "test_streams_are_kept_apart"

    class writer(Writer):  # noqa: N801
        def write(self, stream: str, data: bytes, time: int) -> None:
            super().write("stdout", data, time)


class SkipsEmptyLines(Wrapped):
    noticed = "test_empty_lines_are_lines"

    class wrong_reader(Reader):  # noqa: N801
        def read(self) -> Iterator[Entry]:
            yield from (entry for entry in super().read() if entry.line != b"\n")


class CutsLongLines(Wrapped):
    noticed = "test_a_long_line_is_the_same_when_its_entries_are_joined"

    class wrong_reader(Reader):  # noqa: N801
        def read(self) -> Iterator[Entry]:
            yield from (entry._replace(line=entry.line[:8192]) for entry in super().read())


class StripsQuotes(Wrapped):
    noticed = 'test_text_of_any_kind_is_kept[say "hi"]'

    class writer(Writer):  # noqa: N801
        def write(self, stream: str, data: bytes, time: int) -> None:
            super().write(stream, data.replace(b'"', b""), time)


class BreaksOffAtWhatIsNoText(Wrapped):
    noticed = "test_what_is_no_text_is_kept_as_far_as_it_can_be"

    class writer(Writer):  # noqa: N801
        def write(self, stream: str, data: bytes, time: int) -> None:
            super().write(stream, data.decode().encode(), time)


class StampsWithTheTimeOfNow(Wrapped):
    noticed = "test_entries_know_when_they_were_written"

    class writer(Writer):  # noqa: N801
        def write(self, stream: str, data: bytes, time: int) -> None:
            super().write(stream, data, clock.time_ns())


class BeginsAnewWhenOpened(Wrapped):
    noticed = "test_a_log_that_is_opened_again_goes_on"

    def open(self) -> LogWriter:
        self.path.unlink(missing_ok=True)
        return super().open()


class IgnoresTail(Wrapped):
    noticed = "test_tail_begins_with_the_last_lines[1]"

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        return super().reader(since=since)


class LeavesOutTooMuchSince(Wrapped):
    noticed = "test_what_is_wanted_since_a_time_is_all_there"

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        later = Reader(super().reader(since=since, tail=tail))
        if since is not None:
            later.read = lambda: (entry for entry in later.reader.read() if entry.time > since)  # type: ignore[method-assign]
        return later


class BeginsAnewWhenReadOn(Wrapped):
    noticed = "test_a_reader_goes_on_where_it_was"

    class wrong_reader(Reader):  # noqa: N801
        def read(self) -> Iterator[Entry]:
            self.seen = [*getattr(self, "seen", ()), *super().read()]
            yield from self.seen


class NeedsAFirstLine(Wrapped):
    noticed = "test_a_reader_begins_before_the_first_line"

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        self.path.stat()
        return super().reader(since=since, tail=tail)


class ForgetsWhatWasNotTaken(Wrapped):
    noticed = "test_reading_may_be_left_and_gone_on_with"

    class wrong_reader(Reader):  # noqa: N801
        def read(self) -> Iterator[Entry]:
            for number, entry in enumerate(super().read()):
                if number < 5 or number % 2:
                    yield entry


class TearsLines(Wrapped):
    noticed = "test_a_log_whose_writer_was_killed_has_whole_lines_and_goes_on"

    class writer(Writer):  # noqa: N801
        def write(self, stream: str, data: bytes, time: int) -> None:
            super().write(stream, data[:3] + b"\n", time)
            super().write(stream, data[3:], time)


class WatchesNothing(Wrapped):
    noticed = "test_what_a_reader_watches_is_there"

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        reader = super().reader(since=since, tail=tail)
        reader.watched = ()
        return reader


class TakesAnyOption(Wrapped):
    noticed = "test_an_unknown_option_is_refused"

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        """Take them all."""


class RefusesItsOwnOptions(Wrapped):
    noticed = "test_its_own_options_are_accepted"

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        super().check({**options, "none": "none"})


class OpensOnce(Wrapped):
    noticed = "test_a_log_can_be_opened_again_and_again"

    def open(self) -> LogWriter:
        (self.directory / "opened").touch(exist_ok=False)
        return super().open()


class SaysThatItCannotBeRead(Wrapped):
    noticed = "test_a_log_that_cannot_be_read_says_so"
    readable = False


DRIVERS: tuple[type[LogDriver], ...] = tuple(
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, LogDriver) and "noticed" in vars(kind)
)
