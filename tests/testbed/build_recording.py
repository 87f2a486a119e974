"""Records what others make of the cases: `PYTHONPATH=tests python -m testbed.build_recording`, as root.

Arguments are the peers, if not all of `PEERS`, and with `--cases PATTERN …` the cases that are recorded anew. It writes
a file for each peer into `recorded/`, which says who made it in which version; what has changed there is for a review.
BuildKit's says all of the images, those of the others what differs from it: an empty value is for what is not there.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.build_cases import CASES, Case, Names, describe, make_context, read_recorded, recorded_version, recording
from testbed.build_peers import ROOT, Buildah, BuildFailed, BuildKit, BuildPeer, Classic
from testbed.host import become_private
from testbed.peer import Peer
from testbed.registry import Registry
from testbed.web import Repository, Web

__all__ = ["PEERS", "differences", "open_peer", "record"]

Described = Mapping[str, Any]
#: Who is recorded.
PEERS = (BuildKit.name, Classic.name, Buildah.name)

#: What errors say only once: where files are, whom a peer has asked for a name, addresses in memory, and identities.
_ONCE = (r"/\S*/(?:merged|overlay2)(?=/)", r"(?<=lookup ).*", r"0x[0-9a-f]+", r"\b(?:[0-9a-z]{25}|[0-9a-f]{64})\b")


def record(cases: Iterable[Case], peer: BuildPeer, names: Names, base: Path, directory: Path) -> dict[str, Described]:
    """Return what a peer makes of cases, by their names, in a directory of its own, given the saved base image."""

    def build(numbered: tuple[int, Case]) -> Described:
        number, case = numbered
        place = directory / str(number)
        place.mkdir(parents=True)
        make_context(place / "context", case, names)
        try:
            archive = peer.build(case, names, place)
        except BuildFailed as failure:
            return {"error": _problem(names.take(str(failure)), place)}
        found: Described = json.loads(names.take(json.dumps(describe(archive, base))))
        archive.unlink()
        return found

    with ThreadPoolExecutor(4) as pool:
        return {case.name: found for case, found in zip(cases, pool.map(build, enumerate(cases)), strict=True)}


def _problem(text: str, place: Path) -> str:
    """Return what a peer has said, without what it says only once."""
    text = text.replace(str(place), "")
    for once in _ONCE:
        text = re.sub(once, "", text)
    return text


def differences(one: Described, other: Described) -> Described:
    """Return what the second has in another way than the first, but for what they tell of how they were made.

    Where only the first has failed that is all that the second has.
    """
    if "error" in other:
        return {} if "error" in one else other
    found = {}
    for part in ("files", "config"):
        mine, theirs = one.get(part, {}), other[part]
        changed = {
            name: theirs.get(name, "") for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)
        }
        if changed:
            found[part] = changed
    return found


@contextmanager
def open_peer(name: str, registry: Registry, directory: Path) -> Iterator[tuple[BuildPeer, Path]]:
    """Give a peer of `PEERS` and an archive with the base image."""
    place, base = directory / name, directory / "base.tar"
    place.mkdir(parents=True)
    if name == Buildah.name:
        with Buildah(place, registry.busybox) as buildah:
            registry.save_busybox(base)
            yield buildah, base
        return
    with Peer(place, ROOT) as peer:
        peer.docker("pull", "-q", registry.busybox)
        registry.save_busybox(base)
        yield {BuildKit.name: BuildKit, Classic.name: Classic}[name](peer), base


def main() -> None:
    """Write what is recorded of the peers and the cases that are wanted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peers", nargs="*", default=PEERS)
    parser.add_argument("--cases", nargs="+", default=["*"], help="patterns of names")
    wanted = parser.parse_args()
    cases = [case for case in CASES if any(fnmatch.fnmatchcase(case.name, pattern) for pattern in wanted.cases)]
    become_private()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "registry").mkdir()
        (directory / "web").mkdir()
        with (
            Registry(directory / "registry") as registry,
            Web(directory / "web") as web,
            Repository(directory / "web") as repository,
        ):
            registry.push_busybox()
            web.fill()
            names = Names(registry.busybox, web.url, repository.url)
            for peer_name in wanted.peers:
                with open_peer(peer_name, registry, directory / "peers") as (peer, base):
                    if len(cases) < len(CASES) and peer.version() != (recorded := recorded_version(peer_name)):
                        raise SystemExit(f"{recorded} was recorded, here is {peer.version()}: record all cases")
                    found = record(cases, peer, names, base, directory / "cases" / peer_name)
                    _write(peer_name, peer.version(), found)


def _write(peer: str, version: str, found: Mapping[str, Described]) -> None:
    """Write what a peer has made, or what of it is not as BuildKit's, beside what is recorded of other cases."""
    there = read_recorded(peer) if len(found) < len(CASES) else {}
    if peer != BuildKit.name:
        reference = read_recorded(BuildKit.name)
        found = {case: differences(reference[case], made) for case, made in found.items()}
    names = {case.name for case in CASES}
    cases = {case: made for case, made in {**there, **found}.items() if made and case in names}
    text = json.dumps({"peer": version, "cases": cases}, indent=1, ensure_ascii=False, sort_keys=True)
    recording(peer).write_text(f"{text}\n")


if __name__ == "__main__":
    main()
