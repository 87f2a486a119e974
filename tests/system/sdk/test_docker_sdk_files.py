"""What the Docker SDK does with the files of containers."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from testbed.scripted import archive


def _files(chunks: Any) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore


def test_files_are_put_into_a_container_and_taken_out(running: Any) -> None:
    assert running.put_archive("/tmp", archive({"one": b"1\n", "two": b"22\n"}))
    assert running.exec_run(["cat", "/tmp/one", "/tmp/two"]).output == b"1\n22\n"
    chunks, stat = running.get_archive("/tmp/two")
    assert (stat["name"], stat["size"], _files(chunks)) == ("two", 3, {"two": b"22\n"})
    chunks, stat = running.get_archive("/tmp")
    assert _files(chunks) == {"tmp/one": b"1\n", "tmp/two": b"22\n"}


def test_a_container_that_ended_has_files_too(ended: Any) -> None:
    assert ended.put_archive("/", archive({"late": b"x"}))
    assert _files(ended.get_archive("/late")[0]) == {"late": b"x"}


def test_places_that_are_not_there_are_said(running: Any) -> None:
    with pytest.raises(NotFound):
        running.get_archive("/nosuch")
    with pytest.raises(NotFound):
        running.put_archive("/nosuch", archive({"x": b""}))
    with pytest.raises(APIError):
        running.put_archive("/tmp", b"this is no archive" * 100)


def test_what_changed_is_listed(running: Any) -> None:
    running.exec_run(["sh", "-c", "echo x > /new; rm /etc/group; echo y >> /etc/passwd"])
    assert running.diff() == [
        {"Path": "/etc", "Kind": 0},
        {"Path": "/etc/group", "Kind": 2},
        {"Path": "/etc/passwd", "Kind": 0},
        {"Path": "/new", "Kind": 1},
    ]


def test_a_container_is_exported(running: Any) -> None:
    running.exec_run(["sh", "-c", "echo x > /new"])
    found = _files(running.export())
    assert (found["new"], "bin/busybox" in found) == (b"x\n", True)
