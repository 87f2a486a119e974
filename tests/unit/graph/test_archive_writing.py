"""Writing archives: what is written is read as it was, here and by other tools."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from transom.graph import pax
from transom.graph.archive import Entry, Kind, read_archive
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.header import Header, decode_header, encode_header
from transom.graph.sparse import find_segments

NAMES = st.lists(
    st.binary(min_size=1, max_size=120).filter(lambda part: b"\0" not in part and b"/" not in part),
    min_size=1,
    max_size=4,
).map(b"/".join)
ATTRIBUTES = st.dictionaries(
    st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name and b"%" not in name),
    st.binary(min_size=1, max_size=100),
    max_size=3,
)
TIMES = st.integers(-(1 << 62), 1 << 62)

ENTRIES = st.builds(
    Entry,
    name=NAMES,
    kind=st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.FIFO]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, (1 << 32) - 2),
    gid=st.integers(0, (1 << 32) - 2),
    mtime=TIMES,
    attributes=ATTRIBUTES,
)
LINKS = st.builds(Entry, name=NAMES, kind=st.sampled_from([Kind.SYMLINK, Kind.HARD_LINK]), mtime=TIMES, link=NAMES)
DEVICES = st.builds(
    Entry,
    name=NAMES,
    kind=st.sampled_from([Kind.BLOCK_DEVICE, Kind.CHARACTER_DEVICE]),
    major=st.integers(0, 4095),
    minor=st.integers(0, (1 << 20) - 1),
)


@given(st.lists(st.one_of(ENTRIES, LINKS, DEVICES), max_size=5))
def test_entries_that_are_written_are_read_as_they_were(entries: list[Entry]) -> None:
    archive = b"".join(map(encode_entry, entries)) + END
    assert list(read_archive(io.BytesIO(archive))) == entries


@given(st.one_of(ENTRIES, LINKS, DEVICES))
def test_entries_that_are_written_are_read_by_pythons_tarfile(entry: Entry) -> None:
    archive = encode_entry(entry) + END
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape", encoding="utf-8") as reader:
        [member] = reader.getmembers()
    assert os.fsencode(member.name) == entry.name.rstrip(b"/")
    assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
    assert os.fsencode(member.linkname) == entry.link


@given(st.integers(0, (1 << 62)))
def test_a_file_of_any_size_has_its_size(size: int) -> None:
    entry = next(read_archive(io.BytesIO(encode_entry(Entry(b"f", Kind.FILE, size=size)))))
    assert entry.size == size


@given(TIMES)
def test_a_time_is_decoded_as_it_was_encoded(nanoseconds: int) -> None:
    assert pax.decode_time(pax.encode_time(nanoseconds)) == nanoseconds


@given(st.dictionaries(st.binary(min_size=1).filter(lambda key: b"=" not in key), st.binary()))
def test_records_are_decoded_as_they_were_encoded(records: dict[bytes, bytes]) -> None:
    assert pax.decode_records(pax.encode_records(records)) == list(records.items())


@given(st.dictionaries(st.binary(min_size=1).filter(lambda key: b"\0" not in key), st.binary()))
def test_attributes_are_decoded_as_they_were_encoded(attributes: dict[bytes, bytes]) -> None:
    assert pax.decode_attributes(pax.encode_attributes(attributes)) == attributes


@given(
    name=st.binary(min_size=1, max_size=100).filter(lambda name: b"\0" not in name),
    numbers=st.tuples(*[st.integers(0, 0o7777777)] * 3),
    size=st.integers(0, 0o77777777777),
)
def test_a_header_is_decoded_as_it_was_encoded(name: bytes, numbers: tuple[int, int, int], size: int) -> None:
    header = Header(name, b"0", *numbers, size=size)
    assert decode_header(encode_header(header)) == header


def test_a_sparse_file_is_written_without_its_holes_and_unpacked_with_them_by_gnu_tar(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(20_000_000)
        file.write(b"middle")
        file.truncate(50_000_000)
    with source.open("rb") as file:
        segments = find_segments(file.fileno(), source.stat())
        data = b"".join(os.pread(file.fileno(), length, offset) for offset, length in segments)
    entry = Entry(b"dir/sparse", Kind.FILE, size=50_000_000, mtime=5)
    archive = encode_entry(entry, segments) + data + padding(len(data)) + END
    assert len(archive) < 100_000
    subprocess.run(["tar", "-C", tmp_path, "-x"], input=archive, check=True)
    assert (tmp_path / "dir/sparse").read_bytes() == source.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(archive)) as reader:
        assert [(member.name, member.size) for member in reader] == [("dir/sparse", 50_000_000)]
    [read] = read_archive(io.BytesIO(archive))
    assert (read.name, read.size, read.content is not None and read.content.segments) == (
        b"dir/sparse",
        50_000_000,
        segments,
    )
