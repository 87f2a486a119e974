"""The size of an archive's files, counted in passing, is what reading the archive gives."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.graph.archive import Entry, Kind, read_archive
from transom.graph.archive_size import SizeCounter
from transom.graph.archive_writer import END, encode_entry, padding

names = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name)
entries = st.one_of(
    st.builds(
        Entry,
        names.map(lambda name: b"f" + name.replace(b"/", b"_")),
        st.just(Kind.FILE),
        size=st.integers(0, 2000),
        mtime=st.integers(0, 2**62),
        attributes=st.dictionaries(st.just(b"user.x"), st.binary(max_size=100), max_size=1),
    ),
    st.builds(Entry, st.just(b"link"), st.just(Kind.SYMLINK), link=names, mtime=st.integers(0, 2**62)),
    st.builds(Entry, st.just(b"hard"), st.just(Kind.HARD_LINK), link=names),
    st.builds(Entry, st.just(b"d/"), st.just(Kind.DIRECTORY)),
)


def encoded(entry: Entry) -> bytes:
    return encode_entry(entry) + b"1" * entry.size + padding(entry.size)


@given(st.lists(entries, max_size=5), st.integers(1, 3000))
def test_the_size_is_that_of_files_and_links(found: list[Entry], length: int) -> None:
    archive = b"".join(map(encoded, found)) + END
    counter = SizeCounter()
    for start in range(0, len(archive), length):
        counter.feed(archive[start : start + length])
    read = read_archive(io.BytesIO(archive))
    assert counter.size == sum(len(item.link) if item.kind is Kind.SYMLINK else item.size for item in read)


def test_holes_are_counted() -> None:
    entry = Entry(b"sparse", Kind.FILE, size=1 << 30)
    segments = ((4096, 5), (1 << 20, 7))
    archive = (
        encode_entry(entry, segments) + b"x" * 12 + padding(12) + encoded(Entry(b"after", Kind.FILE, size=3)) + END
    )
    counter = SizeCounter()
    counter.feed(archive)
    assert counter.size == (1 << 30) + 3


@pytest.mark.parametrize("content", [b"", b"x" * 5000, bytes(512) * 3, b"\xff" * 2000])
def test_what_is_no_archive_is_harmless(content: bytes) -> None:
    SizeCounter().feed(content)
