"""Reading archives that other tools made, and that nobody should have made."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import CorruptContent
from transom.graph.archive import Entry, Kind, read_archive
from transom.graph.header import Header, decode_number, encode_header

_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHARACTER_DEVICE,
    tarfile.BLKTYPE: Kind.BLOCK_DEVICE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.FIFOTYPE: Kind.FIFO,
    tarfile.GNUTYPE_SPARSE: Kind.FILE,
}


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._rest = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(min(size, self._step))


def data_of(entry: Entry) -> bytes:
    """The whole content of a file, holes as zeros."""
    data = bytearray(entry.size)
    if entry.content is not None:
        for offset, piece in entry.content.pieces():
            data[offset : offset + len(piece)] = piece
    return bytes(data)


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    return [(entry, data_of(entry)) for entry in read_archive(io.BytesIO(data))]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def header(name: bytes = b"file", kind: bytes = b"0", **fields: int | bytes) -> bytes:
    return encode_header(Header(name, kind, **fields))  # type: ignore[arg-type]


def pax(**records: bytes) -> bytes:
    return pax_records([(key.replace("_", ".").encode(), value) for key, value in records.items()])


def pax_records(records: list[tuple[bytes, bytes]]) -> bytes:
    data = b""
    for key, value in records:
        rest = len(key) + len(value) + 3
        length = next(total for total in range(rest, rest + 9) if total == rest + len(str(total)))
        data += b"%d %b=%b\n" % (length, key, value)
    return header(b"x", b"x", size=len(data)) + padded(data)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    (tree / "empty").write_bytes(b"")
    (tree / "block").write_bytes(b"x" * 512)
    (tree / "large").write_bytes(os.urandom(3_000_000))
    (tree / "script").write_bytes(b"#!/bin/sh\n")
    (tree / "script").chmod(0o4755)
    (tree / "link").symlink_to("script")
    (tree / "long link").symlink_to("far/" * 60)
    (tree / "hard").hardlink_to(tree / "script")
    os.mkfifo(tree / "fifo")
    (tree / os.fsdecode(b"bytes \xff\xfe\n")).write_bytes(b"any byte in a name")
    (tree / "dir").mkdir(mode=0o750)
    deep = tree / "dir" / ("d" * 80) / ("e" * 90)
    deep.mkdir(parents=True)
    (deep / ("f" * 200)).write_bytes(b"a long name")
    with (tree / "sparse").open("wb") as file:
        for position in range(0, 40_000_000, 1_000_000):
            file.seek(position)
            file.write(b"data")
        file.truncate(50_000_000)
    os.utime(tree / "block", ns=(1_234_567_890_123_456_789, 1_234_567_890_123_456_789))
    os.utime(tree / "empty", ns=(-5_500_000_000, -5_500_000_000))
    return tree


@pytest.mark.parametrize(
    "options",
    [
        ("--format=gnu",),
        ("--format=oldgnu",),
        ("--format=pax",),
        ("--format=gnu", "--sparse"),
        ("--format=oldgnu", "--sparse"),
        ("--format=pax", "--sparse", "--sparse-version=0.0"),
        ("--format=pax", "--sparse", "--sparse-version=0.1"),
        ("--format=pax", "--sparse", "--sparse-version=1.0"),
        ("--format=ustar", "--exclude=empty", "--exclude=long link", "--exclude=fff*"),
        ("--format=v7", "--exclude=empty", "--exclude=long link", "--exclude=ddd*", "--exclude=fifo"),
    ],
    ids=" ".join,
)
def test_what_gnu_tar_writes_is_read_as_pythons_tarfile_reads_it(
    tree: Path, options: tuple[str, ...], tmp_path: Path
) -> None:
    archive = tmp_path / "archive.tar"
    subprocess.run(["tar", "-C", tree, *options, "-cf", archive, "."], check=True, capture_output=True)
    entries = iter(read_archive(io.BytesIO(archive.read_bytes())))
    with tarfile.open(archive) as expected:
        for member in expected:
            entry = next(entries)
            assert entry.kind is (_KINDS[member.type] if member.type != b"\0" else Kind.FILE)
            assert os.fsdecode(entry.name.rstrip(b"/")) == member.name
            assert (entry.mode, entry.uid, entry.gid) == (member.mode, member.uid, member.gid)
            assert entry.link == os.fsencode(member.linkname)
            assert entry.mtime // 1000 == pytest.approx(member.mtime * 1_000_000, abs=2)
            if member.isreg():
                assert entry.size == member.size
                content = expected.extractfile(member)
                assert content is not None
                assert data_of(entry) == content.read()
    assert next(entries, None) is None


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_pythons_tarfile_writes_is_read(form: int) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        member = tarfile.TarInfo("directory/" * 12 + "name")
        member.size, member.uid, member.gid, member.mode, member.mtime = 700, 1000, 2000, 0o640, 1_700_000_000
        archive.addfile(member, io.BytesIO(b"c" * 700))
        device = tarfile.TarInfo("device")
        device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 259, 1_000_000
        archive.addfile(device)
    (file, content), (node, _) = read(stream.getvalue())
    assert (file.name, content) == (b"directory/" * 12 + b"name", b"c" * 700)
    assert (file.uid, file.gid, file.mode, file.mtime) == (1000, 2000, 0o640, 1_700_000_000_000_000_000)
    assert (node.kind, node.major, node.minor) == (Kind.BLOCK_DEVICE, 259, 1_000_000)


def test_a_gnu_header_says_large_numbers_in_base_256() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("owned")
        member.uid, member.gid, member.mtime = 4_000_000_000, 3_000_000, -7
        archive.addfile(member)
    [(entry, _)] = read(stream.getvalue())
    assert (entry.uid, entry.gid, entry.mtime) == (4_000_000_000, 3_000_000, -7_000_000_000)


@given(st.integers(-(1 << 94), (1 << 94) - 1))
def test_base_256_numbers_are_twos_complement(number: int) -> None:
    field = ((number & ((1 << 95) - 1)) | (1 << 95)).to_bytes(12, "big")
    assert decode_number(field) == number


def test_extended_headers_override_the_header_and_an_empty_record_does_not() -> None:
    archive = (
        pax(path=b"p/\xff", linkpath=b"", uid=b"77", mtime=b"12.000000003", size=b"3")
        + header(b"name", uid=5, gid=6, mtime=1)
        + padded(b"abc")
    )
    [(entry, content)] = read(archive)
    assert (entry.name, entry.uid, entry.gid, entry.mtime, content) == (
        b"p/\xff",
        77,
        6,
        12_000_000_003,
        b"abc",
    )


def test_a_global_extended_header_is_the_default_of_all_that_follow() -> None:
    glob = pax(uid=b"9").replace(b"x" + bytes(99), b"g" + bytes(99), 1)
    block = bytearray(glob[:512])
    block[156:157] = b"g"
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    archive = bytes(block) + glob[512:] + header(b"a") + pax(uid=b"3") + header(b"b") + header(b"c")
    assert [(entry.name, entry.uid) for entry, _ in read(archive)] == [(b"a", 9), (b"b", 3), (b"c", 9)]


def test_extended_attributes_are_read_in_stars_and_in_libarchives_form() -> None:
    records = [
        (b"SCHILY.xattr.user.raw", b"\0\n=\xff"),
        (b"SCHILY.xattr.user.a%3Db", b"1"),
        (b"LIBARCHIVE.xattr.user.caf%C3%A9", b"AAEC"),
    ]
    [(entry, _)] = read(pax_records(records) + header())
    assert entry.attributes == {
        b"user.raw": b"\0\n=\xff",
        b"user.a=b": b"1",
        b"user.caf\xc3\xa9": b"\0\1\2",
    }


def test_a_slash_at_the_end_makes_an_old_header_a_directory() -> None:
    block = bytearray(header(b"old/"))
    block[156] = 0
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    [(entry, _)] = read(bytes(block))
    assert entry.kind is Kind.DIRECTORY


@pytest.mark.parametrize("step", [1, 511, 513, 100_000])
def test_a_stream_may_return_less_than_it_is_asked_for(step: int) -> None:
    archive = header(b"a", size=1500) + padded(b"1" * 1500) + header(b"b", size=3) + padded(b"two") + bytes(1024)
    entries = [(entry.name, data_of(entry)) for entry in read_archive(Dribble(archive, step))]  # type: ignore[arg-type]
    assert entries == [(b"a", b"1" * 1500), (b"b", b"two")]


def test_content_that_is_not_read_is_passed_over() -> None:
    archive = header(b"a", size=1500) + padded(b"1" * 1500) + header(b"b", size=3) + padded(b"two")
    assert [entry.name for entry in read_archive(io.BytesIO(archive))] == [b"a", b"b"]


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(1024), bytes(10240), bytes(1024) + b"anything"])
def test_an_archive_ends_with_zeros_or_where_the_stream_ends(end: bytes) -> None:
    assert [entry.name for entry, _ in read(header(b"a") + end)] == [b"a"]


@pytest.mark.parametrize("padding", [0, 1, 23])
def test_the_last_file_need_not_fill_its_block(padding: int) -> None:
    """Docker's client writes such archives of a context with a Dockerfile from elsewhere."""
    archive = header(b"a", size=1000) + b"x" * 1000 + bytes(padding)
    assert [(entry.name, content) for entry, content in read(archive)] == [(b"a", b"x" * 1000)]


def test_an_empty_stream_is_an_empty_archive() -> None:
    assert read(b"") == []


@pytest.mark.parametrize(
    "archive",
    [
        b"this is not an archive" * 40,
        header()[:300],
        header(size=1000),
        header(size=1000) + b"x" * 999,
        header(b"", b"0"),
        header(b"a", b"Q"),
        header(b"device", b"3", major=0o7777777),
        pax(size=b"-5") + header(),
        pax(size=b"99999999999999999999999999") + header(),
        pax(size=b"9223372036854775808") + header(),
        pax(uid=b"4294967295") + header(),
        pax(gid=b"-1") + header(),
        pax(mtime=b"yesterday") + header(),
        pax(mtime=b"99999999999999999999") + header(),
        pax(path=b"a\0b") + header(),
        header(b"x", b"x", size=2 << 20),
        header(b"L", b"L", size=8 << 30),
        header(b"x", b"x", size=20) + padded(b"5000 path=overflow\n"),
        header(b"x", b"x", size=10) + padded(b"10 nothing"),
        header(b"x", b"x", size=17) + padded(b"11 path=ab\nspace\n"),
        header(b"x", b"x", size=9) + padded(b"-9 a=bcd\n"),
        pax_records([(b"LIBARCHIVE.xattr.user.a", b"A")]) + header(),
        pax_records([(b"SCHILY.xattr.", b"A")]) + header(),
        pax_records([(b"GNU.sparse.map", b"0,5,3,5"), (b"GNU.sparse.size", b"100")]) + header(size=10) + bytes(512),
        pax_records([(b"GNU.sparse.map", b"0,5"), (b"GNU.sparse.size", b"3")]) + header(size=5) + bytes(512),
        pax_records([(b"GNU.sparse.map", b"0,5,9"), (b"GNU.sparse.size", b"9")]) + header(size=5) + bytes(512),
        pax_records([(b"GNU.sparse.major", b"1")]) + header(size=512) + padded(b"99999999\n"),
        pax_records([(b"GNU.sparse.major", b"1")]) + header(size=1024) + b"1" * 1024,
    ],
)
def test_what_is_not_an_archive_is_corrupt_content(archive: bytes) -> None:
    with pytest.raises(CorruptContent):
        read(archive)


def test_a_header_with_one_wrong_bit_is_corrupt_content() -> None:
    block = bytearray(header(b"name"))
    block[1] ^= 4
    with pytest.raises(CorruptContent, match="checksum"):
        read(bytes(block))
