"""The files of containers over the API: what is at a path, archives both ways, changes."""

from __future__ import annotations

import base64
import json
import stat
import threading

import pytest

from transom.containers.paths import PathStat
from transom.drivers.graph import Change, ChangeKind
from transom.errors import Cancelled, Conflict, CorruptContent, NotFound
from transom.graph.model import RunConfig
from transom_api.files import go_mode

FILE = PathStat(b"file", 3, stat.S_IFREG | 0o4755, 1_700_000_000_500_000_000)


def told(answer):
    return json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))


def test_what_is_at_a_path_is_told_in_a_header(engine, api):
    engine.results["archive_stat"] = FILE
    answer = api.request("HEAD", "/v1.50/containers/c/archive?path=/file")
    assert answer.status == 200
    assert told(answer) == {
        "name": "file",
        "size": 3,
        "mode": 0o755 | 1 << 23,
        "mtime": "2023-11-14T22:13:20.5Z",
        "linkTarget": "",
    }
    assert engine.jobs[0].parameters == {"container": "c", "path": b"/file"}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFCHR | 0o666, 1 << 26 | 1 << 21 | 0o666),
        (stat.S_IFBLK | 0o660, 1 << 26 | 0o660),
        (stat.S_IFIFO | 0o600, 1 << 25 | 0o600),
        (stat.S_IFSOCK | 0o2755, 1 << 24 | 1 << 22 | 0o755),
    ],
)
def test_modes_are_those_of_go(mode, expected):
    assert go_mode(mode) == expected


def test_a_path_has_any_bytes(engine, api):
    engine.results["archive_stat"] = PathStat(b"\xff", 0, stat.S_IFREG, 0)
    answer = api.request("HEAD", "/containers/c/archive?path=/a+b%2Bc%FF%0A")
    assert engine.jobs[0].parameters["path"] == b"/a b+c\xff\n"
    assert told(answer)["name"] == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize("query", ["", "?path=", "?path=%00"])
def test_a_path_is_needed(engine, api, method, query):
    engine.results.update(archive_stat=FILE, archive_get=None, archive_put=None)
    answer = api.request(method, f"/containers/c/archive{query}", b"" if method == "PUT" else None)
    assert answer.status == 400
    assert not engine.jobs


def test_an_archive_comes_with_what_is_at_its_path(engine, api):
    engine.results["archive_stat"] = FILE
    engine.results["archive_get"] = lambda job, *, container, path, output: output.write(b"tar")
    answer = api.get("/containers/c/archive?path=/file")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "application/x-tar", b"tar")
    assert told(answer)["size"] == 3


def test_what_is_not_there_is_not_found(engine, api):
    engine.results["archive_stat"] = NotFound("Could not find the file /x in container c")
    for method in ("GET", "HEAD"):
        assert api.request(method, "/containers/c/archive?path=/x").status == 404


def test_an_archive_is_the_input_of_its_job(engine, api):
    received = []
    engine.results["archive_put"] = lambda job, **_: received.append(job.input.read())
    target = "/containers/c/archive?path=/d&noOverwriteDirNonDir=true&copyUIDGID=1"
    answer = api.request("PUT", target, b"x" * 1_000_000)
    assert (answer.status, answer.body) == (200, b"")
    assert received == [b"x" * 1_000_000]
    assert engine.jobs[0].parameters == {"container": "c", "path": b"/d", "keep_kinds": True, "take_owner": True}


def test_an_archive_that_cannot_be_is_an_error(engine, api):
    engine.results["archive_put"] = CorruptContent("no archive")
    assert api.request("PUT", "/containers/c/archive?path=/", b"x").message == "no archive"


def test_a_job_that_is_cancelled_does_not_wait_for_its_client(engine, api):
    started, cancelled = threading.Event(), threading.Event()

    def put(job, **_):
        started.set()
        try:
            job.input.read()
        except Cancelled:
            cancelled.set()
            raise

    engine.results["archive_put"] = put
    connection = api.open()
    connection.putrequest("PUT", "/containers/c/archive?path=/")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    assert started.wait(10)
    engine.jobs[0].cancel()
    assert cancelled.wait(10)
    connection.close()


def test_changes_are_numbered_as_dockers_and_null_if_there_are_none(engine, api):
    engine.results["changes"] = [Change(b"/a", ChangeKind.MODIFIED), Change(b"/a/\xff", ChangeKind.ADDED)]
    assert api.get("/containers/c/changes").json == [
        {"Path": "/a", "Kind": 0},
        {"Path": "/a/\N{REPLACEMENT CHARACTER}", "Kind": 1},
    ]
    engine.results["changes"] = []
    assert api.get("/containers/c/changes").json is None


def test_an_export_is_a_stream_of_bytes(engine, api):
    engine.results["export"] = lambda job, *, container, output: output.write(b"tar of " + container.encode())
    answer = api.get("/containers/c/export")
    assert (answer.headers["Content-Type"], answer.body) == ("application/octet-stream", b"tar of c")
    engine.results["export"] = Conflict("it is being removed")
    assert api.get("/containers/c/export").status == 409


@pytest.mark.parametrize("body", [None, b"", b"null\n", b"{}"])
def test_a_commit_without_a_configuration_keeps_the_containers(engine, api, body):
    engine.results["commit"] = "sha256:1"
    answer = api.post("/commit?container=c&repo=r&tag=t&author=a&comment=m&changes=CMD+x&changes=ENV+a%3Db", body)
    assert (answer.status, answer.json) == (201, {"Id": "sha256:1"})
    assert engine.jobs[0].parameters == {
        "container": "c",
        "repository": "r",
        "tag": "t",
        "author": "a",
        "comment": "m",
        "pause": True,
        "changes": ("CMD x", "ENV a=b"),
        "config": None,
    }


def test_a_commit_has_a_configuration_and_does_not_pause(engine, api):
    engine.results["commit"] = "sha256:1"
    body = {"Env": ["A=b"], "Cmd": ["x"], "Hostname": "h", "Image": "i"}
    assert api.post("/commit?container=c&pause=0", body).status == 201
    assert engine.jobs[0].parameters["config"] == RunConfig(env=("A=b",), cmd=("x",))
    assert engine.jobs[0].parameters["pause"] is False
    assert api.post("/commit?container=c", b"[]").status == 400
