"""Where projects of real size are built: with the machine's package registries behind a mirror, on Debian."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.daemon import Daemon
from testbed.mirror import Mirror
from testbed.projects import Workbench
from testbed.registry import Registry


@pytest.fixture(scope="session")
def workbench(registry: Registry) -> Iterator[Workbench]:
    """A mirror and the images that projects begin with."""
    with Mirror() as mirror:
        yield Workbench.of(mirror, registry)


@pytest.fixture(scope="package")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that builds them, shared by all tests here, so that what one has built is there for the next."""
    with Daemon(tmp_path_factory.mktemp("yard")) as daemon:
        yield daemon
