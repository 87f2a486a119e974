"""The rules of `cp` (docker container cp, "Extended description"): each kind of source to each kind of destination.

In both directions, with the stock client on dockerd, the stock client on Transom and our client on Transom.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.peer import Peer

pytestmark = pytest.mark.usefixtures("new_client")

SOURCES = """
file
file/
dir
dir/
dir/.
link-to-file
link-to-dir
link-to-dir/
link-to-dir/.
broken-link
missing
missing/
""".split()
DESTINATIONS = """
new
new/
new/.
missing/new
file
file/
dir
dir/
dir/.
full
link-to-file
link-to-dir
link-to-dir/
broken-link
""".split()
OPTIONS = ("", "-L", "-a", "-L -a")


class Result(NamedTuple):
    """What a copy said, and what was there afterwards."""

    status: int
    stdout: str
    stderr: str
    tree: dict[str, Any]


def fill(directory: Path) -> None:
    """Make a tree with one of each kind of source and destination; what is in it says where it is from."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "dir" / "sub").mkdir(parents=True)
    (directory / "dir" / "inside").write_text(f"inside {directory.name}")
    (directory / "dir" / "sub" / "deep").write_text(f"deep {directory.name}")
    (directory / "dir" / "back").symlink_to("inside")
    (directory / "file").write_text(f"file {directory.name}")
    (directory / "file").chmod(0o640)
    os.chown(directory / "file", 1234, 4321)
    # Names of it are those of sources, of the other kind.
    (directory / "full" / "file").mkdir(parents=True)
    (directory / "full" / "dir").write_text("a file")
    for name, target in {
        "link-to-file": "file",
        "link-to-dir": "dir",
        "broken-link": "nowhere",
    }.items():
        (directory / name).symlink_to(target)


def describe(directory: Path) -> dict[str, Any]:
    """Return all that can be seen of a tree but the times of directories."""
    seen = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        time = None if path.is_dir() else int(status.st_mtime)
        seen[str(path.relative_to(directory))] = (oct(status.st_mode), status.st_uid, status.st_gid, time, content)
    return seen


class Player:
    """A client and an engine with a container, which has a tree at /there, beside a local one."""

    def __init__(self, command: list[str], engine: Daemon | Peer, image: str, directory: Path) -> None:
        self.command = [*command, "-H", engine.host]
        self.engine = engine
        self.local, self.remote = directory / "here", directory / "there"
        self.remote.mkdir(parents=True)
        created = engine.docker("create", "-v", f"{self.remote}:/there", image, "true").stdout
        self.container = created.strip()

    def close(self) -> None:
        self.engine.docker("rm", self.container)

    def play(self, arguments: list[str]) -> Result:
        """Run a copy in fresh trees."""
        for directory in (self.local, self.remote):
            fill(directory)
            for path in directory.rglob("*"):
                os.utime(path, (1_000_000, 1_000_000), follow_symlinks=False)
        words = [word.replace("$C", self.container) for word in arguments]
        done = subprocess.run(
            [*self.command, "cp", *words], cwd=self.local, capture_output=True, text=True, env=self.engine.environment()
        )
        tree = {"here": describe(self.local), "there": describe(self.remote)}
        return Result(done.returncode, self._normalise(done.stdout), self._normalise(done.stderr), tree)

    def _normalise(self, text: str) -> str:
        text = text.replace(str(self.local.parent), "<directory>").replace(self.container, "<container>")
        # dockerd of before 23.0 shows where it has the container's files, and says which process failed.
        text = re.sub(r"/\S*/overlay2/\w+/merged", "", text)
        # Docker's client logs when it gives up on an archive, if it comes to that before it ends.
        text = re.sub(r"time=.* level=error msg=.*\n", "", text)
        text = text.replace("docker", "transom")
        return re.sub(r"Error processing tar file\(exit status 1\): ", "", text)


@pytest.fixture(scope="module")
def players(daemon: Daemon, peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Player]]:
    docker = shutil.which("docker")
    assert docker
    found = {
        name: Player(command, engine, daemon.busybox, tmp_path_factory.mktemp("player"))
        for name, command, engine in (
            ("docker on dockerd", [docker], peer),
            ("docker on Transom", [docker], daemon),
            ("transom on Transom", [str(TRANSOM)], daemon),
        )
    }
    yield found
    for player in found.values():
        player.close()


@pytest.fixture
def same(players: dict[str, Player]) -> Callable[..., Result]:
    """Run a copy with all players, compare what comes of it, and return it."""

    def compare(*arguments: str) -> Result:
        expected, *others = (player.play(list(arguments)) for player in players.values())
        for name, found in zip(list(players)[1:], others, strict=True):
            assert found == expected, f"{name}: cp {' '.join(arguments)}"
        return expected

    return compare


@pytest.mark.exhaustive
@pytest.mark.parametrize("destination", DESTINATIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_copies_to_a_container_are_dockers(same: Callable[..., Result], source: str, destination: str) -> None:
    same(source, f"$C:/there/{destination}")


#: From what is in a directory to a link to a directory: Docker's client takes the link, which it has followed, for a
#: file that is in the way. Ours does not.
INTO_A_LINK = [(source, "link-to-dir/") for source in SOURCES if source.endswith("dir/.")]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("source", "destination"), [pair for pair in itertools.product(SOURCES, DESTINATIONS) if pair not in INTO_A_LINK]
)
def test_copies_from_a_container_are_dockers(same: Callable[..., Result], source: str, destination: str) -> None:
    same(f"$C:/there/{source}", destination)


@pytest.mark.parametrize(("source", "destination"), INTO_A_LINK)
def test_what_is_in_a_directory_goes_where_a_link_leads(
    players: dict[str, Player], source: str, destination: str
) -> None:
    found = players["transom on Transom"].play([f"$C:/there/{source}", destination])
    assert (found.status, found.stderr) == (0, "")
    assert "inside there" in str(found.tree)


@pytest.mark.parametrize("option", OPTIONS[1:])
@pytest.mark.parametrize("source", ["file", "link-to-file", "link-to-dir", "link-to-dir/", "broken-link"])
def test_options_mean_what_they_mean_to_docker(same: Callable[..., Result], source: str, option: str) -> None:
    for destination in ("new", "dir", "file"):
        same(*option.split(), source, f"$C:/there/{destination}")
        same(*option.split(), f"$C:/there/{source}", destination)


@pytest.mark.parametrize(
    "arguments",
    [
        ["file", "dir"],
        ["$C:/there/file", "$C:/there/dir"],
        ["", "$C:/there"],
        ["file", ""],
        ["file"],
        ["a", "b", "c"],
        ["file", "nope:/"],
        ["nope:/file", "."],
        ["-", "$C:/there/file"],
        ["-", "$C:/there/missing"],
        ["$C:/there/file", "/dev/null"],
        ["file", "$C:"],
        ["file", "$C:."],
        ["dir", "$C:there/new"],
        ["$C:there/file", "./a:b"],
        ["$C:/there/dir/back", "new"],
        ["-L", "$C:/there/dir/back", "new"],
        ["$C:/there/dir/../file", "new"],
        ["$C:/../there/file", "new"],
        ["--bogus", "file", "$C:/there"],
        ["-q", "file", "$C:/there/new"],
        ["--quiet=false", "file", "$C:/there/new"],
        ["--quiet=false", "dir", "$C:/there/new"],
        ["--quiet=false", "$C:/there/file", "new"],
        ["--quiet=false", "$C:/there/dir", "new"],
        ["--quiet=false", "$C:/there/dir", "file"],
        ["--quiet=false", "missing", "$C:/there"],
    ],
    ids=" ".join,
)
def test_all_other_arguments_are_dockers(same: Callable[..., Result], arguments: list[str]) -> None:
    same(*arguments)
