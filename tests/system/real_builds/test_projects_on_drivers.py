"""The same projects on every pair of drivers: each works there, and is the same image to the last byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.daemon import Daemon
from testbed.loop import btrfs
from testbed.projects import PAGE, PROJECTS, SERVICE, TOOL, Workbench

pytestmark = pytest.mark.exhaustive

PAIRS = [
    ("overlay", "namespaces"),
    ("overlay", "chroot"),
    ("fuse", "namespaces"),
    ("vfs", "chroot"),
    ("btrfs", "namespaces"),
]
#: Seconds for a build on a busy machine.
PATIENCE = 1200

_ASK = "from greetings import service; print(service.test_client().get('/greet/you').json['greeting'])"
#: What a container of each project is told, and says.
LOOK = {
    SERVICE: (("--entrypoint", "python"), ("-c", _ASK), "hello you\n"),
    TOOL: ((), ("/lib/primes.lua", "12"), "2 3 5 7 11\n"),
    PAGE: ((), ("sh", "-c", "grep -c total: /www/assets/*.js"), "1\n"),
}


@pytest.fixture(scope="module")
def on_btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with its data on Btrfs."""
    directory = tmp_path_factory.mktemp("btrfs")
    with btrfs(directory, size=16 << 30) as place, Daemon(place) as daemon:
        yield daemon


@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_is_the_same_image_on_all_drivers(
    yard: Daemon, on_btrfs: Daemon, workbench: Workbench, project: str
) -> None:
    options, command, expected = LOOK[project]
    found = {}
    for graph, execution in PAIRS:
        daemon = on_btrfs if graph == "btrfs" else yard
        drivers = ("--graphdriver", graph, "--execdriver", execution)
        build = workbench.command(project, *drivers, "--no-cache", "--build-arg=SOURCE_DATE_EPOCH=1700000000")
        daemon.transom(*build, timeout=PATIENCE)
        said = daemon.transom("run", "--rm", *drivers, *options, project, *command).stdout
        layers = daemon.transom("image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", project).stdout
        found[graph, execution] = said, layers
    assert set(found.values()) == {(expected, found[PAIRS[0]][1])}, found
