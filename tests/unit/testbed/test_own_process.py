"""What a file of tests leaves changed in its process is found out."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from testbed.own_process import State
from transom.runtime.syscalls.processes import set_child_subreaper

if TYPE_CHECKING:
    import pytest


def test_a_process_that_is_as_it_was_has_no_changes() -> None:
    assert State().changes() == []


def test_changes_are_named_with_what_was_and_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = State()
    umask = os.umask(0o070)
    set_child_subreaper(on=True)
    monkeypatch.setenv("LEFT_BEHIND", "yes")
    try:
        found = before.changes()
    finally:
        os.umask(umask)
        set_child_subreaper(on=False)
    assert found == [
        "$LEFT_BEHIND: None became yes",
        f"Umask: {umask:04o} became 0070",
        "child subreaper: False became True",
    ]


def test_a_thread_that_goes_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.own_process._PATIENCE", 0)
    end = threading.Event()
    before = State()
    thread = threading.Thread(target=end.wait, name="lasting")
    thread.start()
    try:
        assert before.changes() == ["the thread lasting goes on"]
    finally:
        end.set()
        thread.join()
