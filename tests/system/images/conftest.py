"""What the tests of pulling share: a registry that misbehaves, and an engine without a daemon around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import transom_images
import transom_jsonfile
import transom_overlay
import transom_vfs
from testbed.scripted import Scripted, serve_scripted
from transom.config import Config
from transom.engine import Engine


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A registry that does what the test says."""
    with serve_scripted() as registry:
        yield registry


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Opens an engine on the test's data root, with configuration of its own, in place of the one before."""
    with ExitStack() as stack:

        def open_one(**options: object) -> Engine:
            stack.pop_all().close()
            defaults = Config(data_root=tmp_path / "data", exec_root=tmp_path / "run", graphdriver="vfs")
            values = vars(defaults) | options
            return stack.enter_context(
                Engine(Config(**values), [transom_images, transom_jsonfile, transom_overlay, transom_vfs])
            )

        yield open_one


@pytest.fixture
def engine(open_engine: Callable[..., Engine]) -> Engine:
    """An engine that has nothing yet."""
    return open_engine()
