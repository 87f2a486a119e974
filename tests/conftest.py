"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from testbed.own_process import State

# What Python compiled is kept, whatever the environment says: thousands of commands are started here, and each of them
# would compile all that it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A machine may be slow, and a test says nothing about time. `make test` tries the same examples each time, so that what
# fails there is what was changed; `make test-exhaustive` looks for new ones.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("searching"), derandomize=True, database=None)
settings.load_profile("same")


@pytest.fixture(scope="module", autouse=True)
def the_process_is_left_as_it_was() -> Iterator[None]:
    """One process plays many files of tests."""
    before = State()
    yield
    assert before.changes() == []
