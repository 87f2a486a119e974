"""What a layer changes, from two trees or from an overlay's upper directory: listed, measured, and as an
archive.

The archive is a layer as OCI image specification, layer.md, "Creating" has it: everything that was added or
modified, whole, with the directories that it is in, and whiteouts for what was deleted. It is sorted, so the
same trees always give the same bytes. Sockets have no form in an archive and are left out.
"""

from __future__ import annotations

import itertools
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from transom.drivers.graph import Change, ChangeKind, Usage
from transom.graph.archive import Entry, Kind
from transom.graph.archive_writer import END, encode_entry
from transom.graph.comparison import ComparedTree, Difference, UnchangedLinks, compare
from transom.graph.file_encoder import FileEncoder
from transom.graph.whiteouts import OPAQUE_ATTRIBUTE, OPAQUE_NAME, check_storable, whiteout_name

__all__ = [
    "find_changes",
    "find_upper_changes",
    "measure_difference",
    "write_difference",
    "write_upper",
]


def find_changes(lower: Path | None, upper: Path, placeholders: Collection[bytes] = ()) -> Iterator[Change]:
    """Yield what differs between two trees, as `docker diff` lists it.

    The root is left out. A directory in which anything differs is modified, and never for its time alone.
    `placeholders` are as for `compare`.
    """
    yield from _changes(compare(lower, upper, placeholders=placeholders))


def find_upper_changes(
    upper: Path, lower: Path | ComparedTree | None, placeholders: Collection[bytes] = ()
) -> Iterator[Change]:
    """Yield the same as `find_changes`, from an overlay's upper directory and the whole tree of its lower
    layers.

    Only what is in the upper directory is looked at. Raises `Unsupported` as `compare` does.
    """
    yield from _changes(compare(lower, upper, overlay=True, placeholders=placeholders))


def write_difference(lower: Path | None, upper: Path, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
    """Yield, in pieces, the layer archive that turns a tree like `lower` into one like `upper`.

    A file that has a new name is in it by all its names, those that are as they were at the end.

    Raises `Conflict` if a file changes meanwhile, and `Unsupported` for a name that begins with `.wh.`.
    """
    # The time of a directory that a placeholder was made in is not a change either.
    links = UnchangedLinks()
    differences = compare(
        lower, upper, directory_times=not placeholders, placeholders=placeholders, unchanged_links=links
    )
    yield from _write(differences, links=links)


def write_upper(
    upper: Path, lower: Path | ComparedTree | None = None, placeholders: Collection[bytes] = ()
) -> Iterator[bytes]:
    """Yield, in pieces, the archive of an overlay's upper directory. Raises as `write_difference` does.

    With the whole tree of its `lower` layers it is the archive that `write_difference` makes of the two whole trees,
    byte for byte, so that a layer does not depend on the driver: the kernel marks directories as opaque that hide
    nothing, and what was opened for writing and left as it was is in the upper directory, too. Without, all that is in
    the upper directory is written, and opaque directories are marked.
    """
    alone = lower is None
    links = None if alone else UnchangedLinks()
    differences = compare(
        lower,
        upper,
        overlay=True,
        whole_files=alone,
        directory_times=not placeholders,
        placeholders=placeholders,
        unchanged_links=links,
    )
    yield from _write(differences, mark_opaque=alone, links=links)


def measure_difference(lower: Path | None, upper: Path) -> Usage:
    """Return what below the upper root is not so in the lower tree: bytes on disk, and inodes, each once."""
    inodes: set[tuple[int, int]] = set()
    size = 0
    for difference in compare(lower, upper):
        status = difference.status
        if difference.path and status is not None and (status.st_dev, status.st_ino) not in inodes:
            inodes.add((status.st_dev, status.st_ino))
            size += status.st_blocks * 512
    return Usage(size, len(inodes))


def _changes(differences: Iterable[Difference]) -> Iterator[Change]:
    for difference in differences:
        if difference.path:
            yield Change(b"/" + difference.path, difference.kind)


def _write(
    differences: Iterable[Difference], *, mark_opaque: bool = False, links: UnchangedLinks | None = None
) -> Iterator[bytes]:
    encoder = FileEncoder()
    unchanged = () if links is None else _unchanged_names(encoder, links)
    for difference in itertools.chain(differences, unchanged):
        status = difference.status
        if status is None:
            yield _encode_whiteout(difference.path)
        elif stat.S_ISSOCK(status.st_mode):
            # What was there before is not there any more.
            if difference.kind is ChangeKind.MODIFIED:
                yield _encode_whiteout(difference.path)
        else:
            check_storable(difference.name, difference.path)
            yield from encoder.encode(difference, status, difference.path or b".")
            if mark_opaque and difference.attributes.get(OPAQUE_ATTRIBUTE) == b"y":
                yield encode_entry(_whiteout(difference.path + b"/" + OPAQUE_NAME if difference.path else OPAQUE_NAME))
    yield END


def _unchanged_names(encoder: FileEncoder, links: UnchangedLinks) -> Iterator[Difference]:
    """Yield, after all that differs was encoded, the names that did not change of files that were."""
    for file in encoder.linked():
        yield from links.of(file)


def _whiteout(path: bytes) -> Entry:
    return Entry(path, Kind.FILE, 0o600)


def _encode_whiteout(path: bytes) -> bytes:
    above, slash, name = path.rpartition(b"/")
    return encode_entry(_whiteout(above + slash + whiteout_name(name)))
