"""A log as a client reads it: what it wants of it, and being woken when there is more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from transom.containers.followers import Followers
from transom.containers.logs import LogStream, Wanted
from transom.drivers.log import Entry, LogReader

BOTH = frozenset(("stdout", "stderr"))


class Written(LogReader):
    """A log that a test writes."""

    def __init__(self, *entries: Entry, directory: Path | None = None) -> None:
        self.entries = list(entries)
        self.watched = (directory,) if directory is not None else ()
        self.closed = False

    def read(self) -> Iterator[Entry]:
        while self.entries:
            yield self.entries.pop(0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def followers() -> Iterator[Followers]:
    with ThreadPoolExecutor(1) as pool:
        made = Followers(pool.submit)
        yield made
        made.close()


def numbered(count: int) -> list[Entry]:
    return [Entry(number, ("stdout", "stderr")[number % 2], b"%d\n" % number) for number in range(count)]


def lines(entries: list[Entry]) -> list[bytes]:
    return [entry.line for entry in entries]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(BOTH), [0, 1, 2, 3, 4, 5]),
        (Wanted(frozenset(("stderr",))), [1, 3, 5]),
        (Wanted(BOTH, since=2), [2, 3, 4, 5]),
        (Wanted(BOTH, until=2), [0, 1, 2]),
        (Wanted(BOTH, since=2, until=3), [2, 3]),
        (Wanted(BOTH, since=9), []),
    ],
)
def test_only_what_is_wanted_is_given(followers: Followers, wanted: Wanted, expected: list[int]) -> None:
    stream = LogStream("id", Written(*numbered(6)), wanted, followers)
    assert lines(stream.read()) == [b"%d\n" % number for number in expected]
    assert stream.ended


def test_a_long_log_comes_in_batches(followers: Followers) -> None:
    stream = LogStream("id", Written(*numbered(5000)), Wanted(BOTH), followers)
    batches = []
    while not stream.ended:
        batches.append(lines(stream.read()))
    assert [line for batch in batches for line in batch] == lines(numbered(5000))
    assert max(len(batch) for batch in batches) <= 1024


def test_a_batch_of_long_lines_is_shorter(followers: Followers) -> None:
    stream = LogStream("id", Written(*(Entry(1, "stdout", b"x" * 16384) for _ in range(200))), Wanted(BOTH), followers)
    assert len(stream.read()) == 64


def test_without_following_it_ends_where_the_log_ends(followers: Followers) -> None:
    log = Written(*numbered(2))
    stream = LogStream("id", log, Wanted(BOTH), followers)
    assert len(stream.read()) == 2
    log.entries += numbered(1)
    assert stream.read() == []


def test_what_was_written_before_the_end_is_read_after_it(followers: Followers) -> None:
    running = threading.Event()
    running.set()
    log = Written(*numbered(2))
    stream = LogStream("id", log, Wanted(BOTH), followers, running.is_set)
    assert len(stream.read()) == 2
    assert not stream.ended
    log.entries += numbered(1)
    running.clear()
    assert len(stream.read()) == 1
    assert stream.ended


def test_a_time_that_has_come_ends_it_though_the_container_runs(followers: Followers) -> None:
    stream = LogStream("id", Written(), Wanted(BOTH, until=time.time_ns() - 1), followers, lambda: True)
    assert stream.read() == []
    assert stream.ended


def test_a_change_in_the_directory_wakes(followers: Followers, tmp_path: Path) -> None:
    woken = threading.Event()
    stream = LogStream("id", Written(directory=tmp_path), Wanted(BOTH), followers, lambda: True)
    stream.subscribe(woken.set)
    for change in (
        lambda: (tmp_path / "log").write_text("line"),
        lambda: (tmp_path / "log").rename(tmp_path / "log.1"),
        lambda: (tmp_path / "log.1").unlink(),
    ):
        woken.clear()
        change()
        assert woken.wait(10)
    stream.close()


def test_the_end_of_the_container_wakes_those_who_follow_it_and_no_others(followers: Followers) -> None:
    woken: list[str] = []
    for name in ("a", "b", "a"):
        followers.add(name, (), lambda name=name: woken.append(name))
    followers.wake("a")
    assert woken == ["a", "a"]


def test_many_follow_one_directory_and_each_goes_by_itself(followers: Followers, tmp_path: Path) -> None:
    events = [threading.Event() for _ in range(500)]
    added = [followers.add("id", (tmp_path,), event.set) for event in events]
    for follower in added[1:]:
        followers.remove(follower)
        followers.remove(follower)
    (tmp_path / "log").write_text("line")
    assert events[0].wait(10)
    assert not any(event.is_set() for event in events[1:])


def test_a_directory_that_is_not_there_or_goes_away_harms_nobody(followers: Followers, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    woken = threading.Event()
    gone = followers.add("id", (tmp_path / "gone", tmp_path / "never"), woken.set)
    (tmp_path / "gone").rmdir()
    followers.remove(gone)
    followers.add("id", (tmp_path,), woken.set)
    woken.clear()
    (tmp_path / "log").write_text("line")
    assert woken.wait(10)


def test_closing_ends_a_read_of_much_that_nobody_wants(followers: Followers) -> None:
    reading, closing = threading.Event(), threading.Event()

    class Endless(LogReader):
        def read(self) -> Iterator[Entry]:
            while True:
                yield Entry(1, "stderr", b"not wanted\n")
                reading.set()
                closing.wait(10)

    stream = LogStream("id", Endless(), Wanted(frozenset(("stdout",))), followers)
    with ThreadPoolExecutor(2) as pool:
        read = pool.submit(stream.read)
        assert reading.wait(10)
        closed = pool.submit(stream.close)
        while not stream.closed:
            time.sleep(0.001)
        closing.set()
        assert read.result(10) == []
        closed.result(10)


def test_a_closed_stream_gives_nothing_and_is_woken_no_more(followers: Followers, tmp_path: Path) -> None:
    log = Written(*numbered(2), directory=tmp_path)
    woken = threading.Event()
    stream = LogStream("id", log, Wanted(BOTH), followers, lambda: True)
    stream.subscribe(woken.set)
    stream.close()
    stream.close()
    assert log.closed
    assert stream.read() == []
    followers.wake("id")
    assert not woken.is_set()
