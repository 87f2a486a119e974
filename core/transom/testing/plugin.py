"""The pytest plugin of the conformance suites. pytest loads it wherever Transom is installed, so it imports
nothing that it may not need.
"""

from __future__ import annotations

import pytest

__all__ = ["private_mounts", "private_network", "pytest_configure"]

#: Modules whose assertions explain themselves when they fail, as those of test modules do.
_SUITES = (
    "exec",
    "graph",
    "graph_archives",
    "graph_changes",
    "graph_endurance",
    "graph_files",
    "graph_layers",
    "log",
    "network",
    "volume",
)


def pytest_configure() -> None:
    """Called by pytest before it collects tests."""
    pytest.register_assert_rewrite(*(f"transom.testing.{suite}" for suite in _SUITES))


@pytest.fixture(scope="session")
def private_mounts() -> None:
    """Give this process a mount namespace of its own, whose mounts end with it. Needs root."""
    from transom.runtime.syscalls.mounts import MS_PRIVATE, MS_REC, mount
    from transom.runtime.syscalls.processes import CLONE_NEWNS, unshare

    unshare(CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)


@pytest.fixture(scope="session")
def private_network() -> None:
    """Give this process a network namespace of its own, whose interfaces end with it. Needs root."""
    from transom.runtime.syscalls.processes import CLONE_NEWNET, unshare

    unshare(CLONE_NEWNET)
