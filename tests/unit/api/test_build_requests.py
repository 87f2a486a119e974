"""Requests of builds become jobs, with what they say as types; what no build can have is refused."""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import quote, urlencode

import pytest

from transom.builds import BuildOutput, CacheRecord, CacheStore
from transom.containers.model import Ulimit
from transom.errors import InvalidParameter
from transom.registry import Credentials
from transom.system import DiskUsage

TAR = {"Content-Type": "application/x-tar"}


@pytest.fixture
def asked(engine, api):
    """Ask for a build, and return the answer and the parameters of the job, None if there was none."""
    engine.results["build"] = lambda job, **_: job.input.read() and None

    def ask(headers=None, body=b"archive", **query):
        answer = api.post(f"/v1.50/build?{urlencode(query, doseq=True)}", body, {**TAR, **(headers or {})})
        return answer, (dict(engine.jobs[-1].parameters) if engine.jobs else None)

    return ask


def test_a_build_that_asks_for_nothing_has_dockers_defaults(asked):
    answer, found = asked()
    assert (answer.status, answer.body) == (200, b"")
    assert found == {
        "dockerfile": "", "hidden": "", "remote": "", "tags": (), "target": "", "build_args": {}, "labels": {},
        "no_cache": False, "no_cache_filter": (), "pull": False, "platform": "", "network": "", "allow": (),
        "add_hosts": (), "shm_size": 0, "ulimits": (), "cache_from": (), "cache_to": (), "outputs": (), "contexts": {},
        "session": None, "credentials": {}, "progress": "docker", "quiet": False, "remove": True,
        "force_remove": False, "check": False, "graphdriver": "", "execdriver": "",
    }  # fmt: skip


def test_everything_that_a_build_can_have_reaches_its_job(asked):
    _, found = asked(
        dockerfile="a/Dockerfile", t=["one:1", "two"], target="last", buildargs='{"A": "1", "B": null}',
        labels='{"k": "v"}', nocache=1, nocachefilter=["x", "y"], pull="true", platform="linux/arm64", q=1, rm=0,
        networkmode="none", extrahosts=["h:1.2.3.4", "six:::1"], shmsize=1 << 20, forcerm=1,
        allow=["network.host", "x"],
        ulimits='[{"Name": "nofile", "Soft": 10, "Hard": 20}]',
        cachefrom='["app:1", {"type": "registry", "ref": "app:2"}]', cacheto='[{"type": "inline"}]',
        outputs='[{"Type": "local", "Attrs": {"a": "b"}, "Stream": "0"}]', buildcontexts='{"base": "session://base"}',
        progress="steps", check=1, graphdriver="vfs", execdriver="chroot",
    )  # fmt: skip
    wanted = {
        "dockerfile": "a/Dockerfile", "tags": ("one:1", "two"), "target": "last", "build_args": {"A": "1"},
        "labels": {"k": "v"}, "no_cache": True, "no_cache_filter": ("x", "y"), "pull": True, "platform": "linux/arm64",
        "quiet": True, "remove": False, "force_remove": True, "network": "none", "shm_size": 1 << 20,
        "allow": ("network.host", "x"), "add_hosts": ("h:1.2.3.4", "six:::1"), "ulimits": (Ulimit("nofile", 10, 20),),
        "cache_from": (CacheStore("registry", {"ref": "app:1"}), CacheStore("registry", {"ref": "app:2"})),
        "cache_to": (CacheStore("inline"),), "outputs": (BuildOutput("local", {"a": "b"}, "0"),),
        "contexts": {"base": "session://base"}, "progress": "steps", "check": True, "graphdriver": "vfs",
        "execdriver": "chroot",
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted


def test_what_the_stock_client_sends_for_nothing_asks_for_nothing(asked):
    answer, _ = asked(
        memory=0, memswap=0, cpushares=0, cpuperiod=0, cpuquota=0, cpusetcpus="", cpusetmems="", cgroupparent="",
        ulimits="null", labels="{}", buildargs="{}", cachefrom="[]", shmsize=0, version=1, networkmode="default",
        isolation="", squash="",
    )  # fmt: skip
    assert answer.status == 200


@pytest.mark.parametrize(
    ("name", "value", "status", "words"),
    [
        ("memory", "1000000", 501, "the option memory is not supported by this engine"),
        ("cpusetcpus", "0-1", 501, "the option cpusetcpus"),
        ("squash", "1", 501, "the option squash"),
        ("version", "2", 501, "BuildKit"),
        ("version", "3", 400, 'invalid version "3"'),
        ("remote", "client-session", 501, "BuildKit"),
        ("isolation", "hyperv", 400, 'invalid isolation: "hyperv"'),
        ("securityopt", '["a"]', 400, "security options"),
        ("buildargs", "{", 400, "invalid value for buildargs: it should be JSON"),
        ("buildargs", "[]", 400, "invalid value for buildargs: it should be an object"),
        ("buildargs", '{"a": 1}', 400, "buildargs.a"),
        ("labels", '{"a": null}', 200, ""),
        ("ulimits", '{"a": 1}', 400, "invalid value for ulimits: it should be a list"),
        ("outputs", '["x"]', 400, "outputs"),
        ("cachefrom", "[1]", 400, "cachefrom"),
        ("extrahosts", "nonsense", 400, "add-host"),
        ("shmsize", "-1", 400, "shmsize"),
        ("shmsize", "many", 400, "shmsize"),
        ("progress", "tty", 400, "progress"),
        ("session", "0123456789abcdef", 404, "no such session"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_and_nothing_is_built(engine, asked, name, value, status, words):
    answer, found = asked(**{name: value})
    assert answer.status == status
    if status != 200:
        assert words in answer.message
        assert found is None


def test_credentials_are_by_the_names_of_registries(asked):
    known = {
        "https://index.docker.io/v1/": {"username": "one", "password": "1"},
        "example.com:5000": {"auth": base64.b64encode(b"two:2").decode()},
        "https://other.example/v2/": {"identitytoken": "token"},
    }
    header = base64.urlsafe_b64encode(json.dumps(known).encode()).decode()
    _, found = asked({"X-Registry-Config": header})
    assert found["credentials"] == {
        "docker.io": Credentials("one", "1"),
        "example.com:5000": Credentials("two", "2"),
        "other.example": Credentials(identity_token="token"),
    }


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b'{"a": "password"}'])
def test_credentials_that_are_none_are_refused_without_being_shown(asked, content):
    answer, _ = asked({"X-Registry-Config": base64.urlsafe_b64encode(content).decode()})
    assert answer.status == 400
    assert "password" not in answer.message


def test_the_body_is_the_jobs_input(engine, api):
    seen = []
    engine.results["build"] = lambda job, **_: seen.append(job.input.read())
    api.post("/build", b"x" * 100_000, {"Content-Type": "application/tar"})
    assert seen == [b"x" * 100_000]


def test_what_fails_before_anything_is_said_is_an_error_and_later_the_last_line(engine, api):
    class StepFailed(InvalidParameter):
        exit_code = 7

    def build(job, **_):
        job.say("Step 1/1 : RUN false\n")
        raise StepFailed("it returned a non-zero code: 7")

    engine.results["build"] = InvalidParameter("dockerfile parse error")
    answer = api.post("/build", b"", TAR)
    assert (answer.status, answer.message) == (400, "dockerfile parse error")
    engine.results["build"] = build
    lines = [json.loads(line) for line in api.post("/build", b"", TAR).body.splitlines()]
    assert lines == [
        {"stream": "Step 1/1 : RUN false\n"},
        {
            "errorDetail": {"code": 7, "message": "it returned a non-zero code: 7"},
            "error": "it returned a non-zero code: 7",
        },
    ]


def test_a_slow_client_slows_its_build_down_and_misses_nothing(engine, api):
    def build(job, **_):
        for number in range(66_000):
            job.say(f"{number}\n")

    engine.results["build"] = build
    lines = api.post("/build", b"", TAR).body.splitlines()
    assert len(lines) == 66_000
    assert json.loads(lines[-1]) == {"stream": "65999\n"}


def test_a_build_whose_client_goes_away_is_cancelled(engine, api):
    begun, ended = threading.Event(), threading.Event()

    def build(job, **_):
        job.say("begun\n")
        begun.set()
        assert job.wait_cancelled(20)
        ended.set()

    engine.results["build"] = build
    with api.connect() as connection:
        connection.sendall(b"POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        assert begun.wait(20)
    assert ended.wait(20)


def test_disk_usage_has_the_fields_of_what_is_kept_of_builds(engine, api):
    record = CacheRecord("a1", "regular", "RUN make", 1_700_000_000_000_000_000, ("b2",), None, 3, 42, True, False)
    engine.results["disk_usage"] = DiskUsage(builds=(record,))
    assert api.get("/system/df").json["BuildCache"] == [
        {
            "ID": "a1",
            "Parents": ["b2"],
            "Type": "regular",
            "Description": "RUN make",
            "InUse": False,
            "Shared": True,
            "Size": 42,
            "CreatedAt": "2023-11-14T22:13:20Z",
            "LastUsedAt": None,
            "UsageCount": 3,
        }
    ]
    assert api.get(f"/system/df?type={quote('image')}").json["BuildCache"] is None
