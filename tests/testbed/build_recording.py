"""Records what Docker's BuildKit makes of the cases: `PYTHONPATH=tests python -m testbed.build_recording`, as root.

It writes `recorded.json`; what has changed there is for a review. dockerd is Debian's, and so is its client, as one
without a plugin speaks to BuildKit up to version 22 alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from testbed.build_cases import CASES, RECORDED, Case, describe, make_context
from testbed.host import become_private
from testbed.peer import Peer
from testbed.registry import Registry

__all__ = ["CLIENT", "record"]

#: Debian's client.
CLIENT = "/usr/bin/docker"


def record(cases: Iterable[Case], peer: Peer, image: str, directory: Path) -> dict[str, Any]:
    """Return what BuildKit makes of cases, by their names."""
    base = directory / "base.tar"
    peer.docker("save", "-o", str(base), image)

    def build(numbered: tuple[int, Case]) -> dict[str, Any]:
        number, case = numbered
        place = directory / str(number)
        place.mkdir()
        make_context(place / "context", case, image)
        tag, archive = f"case{number}", place / "image.tar"
        command = [CLIENT, "-H", peer.host, "build", "--network", "host", "-t", tag]
        done = subprocess.run(
            [*command, *case.flags(place), str(place / "context")],
            env={**peer.environment(), "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            problem = done.stderr.strip().splitlines()[-1].replace(image, "$BASE")
            # Where dockerd has its files, and whom it has asked for a name that is none.
            return {"error": re.sub(r"/\S*/merged(?=/)|(?<=lookup ).*", "", problem)}
        peer.docker("save", "-o", str(archive), tag)
        return json.loads(json.dumps(describe(archive, base)).replace(image, "$BASE"))

    with ThreadPoolExecutor(4) as pool:
        return {case.name: found for case, found in zip(cases, pool.map(build, enumerate(cases)), strict=True)}


def main() -> None:
    """Write what is recorded."""
    become_private()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("registry", "peer", "cases"):
            (directory / part).mkdir()
        with Registry(directory / "registry") as registry:
            registry.push_busybox()
            with Peer(directory / "peer") as peer:
                peer.docker("pull", "-q", registry.busybox)
                found = record(CASES, peer, registry.busybox, directory / "cases")
    RECORDED.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
