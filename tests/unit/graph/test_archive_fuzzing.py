"""Archives that nobody meant: whatever the bytes, the errors are ours and nothing outside the tree is touched."""

import io
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from transom.errors import TransomError
from transom.graph.archive import Entry, Kind, read_archive
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.extract import extract

UID, GID = os.geteuid(), os.getegid()

hostile_parts = st.sampled_from(
    [
        b"",
        b".",
        b"..",
        b"a",
        b"b",
        b"link",
        b".wh.a",
        b".wh.b",
        b".wh.link",
        b".wh..wh..opq",
        b".wh.",
        b"sentinel",
    ]
)
hostile_names = st.lists(hostile_parts, min_size=1, max_size=5).map(b"/".join).filter(bool)
hostile_links = st.one_of(hostile_names, st.sampled_from([b"/", b"..", b"../..", b"../../sentinel", b"/proc/self/cwd"]))
hostile_entries = st.one_of(
    st.builds(
        Entry,
        name=hostile_names,
        kind=st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.FIFO]),
        mode=st.sampled_from([0o644, 0o755, 0o4777]),
        uid=st.just(UID),
        gid=st.just(GID),
        mtime=st.integers(-(1 << 70), 1 << 70),
        attributes=st.dictionaries(
            st.sampled_from([b"user.a", b"user.b=", b"nonsense", b"\xff"]), st.binary(), max_size=1
        ),
    ),
    st.builds(
        Entry,
        name=hostile_names,
        kind=st.sampled_from([Kind.SYMLINK, Kind.HARD_LINK]),
        uid=st.just(UID),
        gid=st.just(GID),
        link=hostile_links,
    ),
)


def unpacked_beside_a_sentinel(*archives: bytes) -> None:
    """Unpack into a tree inside directories with a file that nothing may change; our own errors are expected."""
    with TemporaryDirectory() as name:
        top = Path(name)
        tree = top / "middle" / "tree"
        tree.mkdir(parents=True)
        for sentinel in (top / "sentinel", top / "middle" / "sentinel"):
            sentinel.write_text("untouched")
        before = (top / "sentinel").stat()
        for archive in archives:
            with suppress(TransomError):
                extract(io.BytesIO(archive), tree)
        after = (top / "sentinel").stat()
        assert (top / "sentinel").read_text() == (top / "middle" / "sentinel").read_text() == "untouched"
        assert sorted(path.name for path in top.iterdir()) == ["middle", "sentinel"]
        assert sorted(path.name for path in (top / "middle").iterdir()) == ["sentinel", "tree"]
        assert (before.st_nlink, before.st_mode, before.st_mtime_ns) == (
            after.st_nlink,
            after.st_mode,
            after.st_mtime_ns,
        )


def archive_of(entries: list[Entry]) -> bytes:
    return b"".join(map(encode_entry, entries)) + END


@settings(max_examples=200)
@given(st.lists(st.lists(hostile_entries, max_size=8).map(archive_of), min_size=1, max_size=2))
def test_hostile_entries_never_leave_the_tree(archives: list[bytes]) -> None:
    unpacked_beside_a_sentinel(*archives)


SEEDS = [
    archive_of(
        [
            Entry(b"d/", Kind.DIRECTORY, 0o755, UID, GID, mtime=1_234_567_890_123_456_789),
            Entry(b"d/link", Kind.SYMLINK, 0o777, UID, GID, link=b"../" * 40),
            Entry(b"n" * 150, Kind.FIFO, 0o644, UID, GID, attributes={b"user.a": b"value"}),
            Entry(b"d/.wh.gone", Kind.FILE, 0o644, UID, GID),
            Entry(b"hard", Kind.HARD_LINK, 0o644, UID, GID, link=b"d/link"),
        ]
    ),
    encode_entry(Entry(b"sparse", Kind.FILE, 0o644, UID, GID, 100_000), ((4096, 10), (90_000, 10)))
    + b"0123456789" * 2
    + padding(20)
    + encode_entry(Entry(b"after", Kind.FILE, 0o644, UID, GID, 600))
    + b"x" * 600
    + padding(600)
    + END,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good archive in which some bytes were changed, and whose headers mostly have right checksums still."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        position = draw(st.integers(0, len(data) - 1))
        piece = draw(st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from([b"7" * 11, b"\xff" * 12, b"\x80"])))
        data[position : position + len(piece)] = piece[: len(data) - position]
    if draw(st.booleans()):
        for start in range(0, len(data) - 511, 512):
            block = data[start : start + 512]
            if block[257:262] == b"ustar":
                data[start + 148 : start + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


@settings(max_examples=300)
@given(mutated())
def test_a_damaged_archive_is_read_or_refused_and_never_anything_else(archive: bytes) -> None:
    with suppress(TransomError):
        for entry in read_archive(io.BytesIO(archive)):
            if entry.content is not None:
                for _ in entry.content.pieces():
                    pass


@settings(max_examples=150)
@given(mutated())
def test_a_damaged_archive_is_unpacked_or_refused_and_never_leaves_the_tree(archive: bytes) -> None:
    unpacked_beside_a_sentinel(archive)


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=512).map(lambda data: data.ljust(512, b"\0")), max_size=4))
def test_random_bytes_are_read_or_refused(blocks: list[bytes]) -> None:
    with suppress(TransomError):
        list(read_archive(io.BytesIO(b"".join(blocks))))
