"""What the engine's values look like in the API."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from transom.containers.model import (
    Container,
    ContainerConfig,
    ExecConfig,
    ExecRecord,
    HostConfig,
    Mount,
    MountKind,
    State,
    Status,
    Tmpfs,
)
from transom.graph.digest import Digest
from transom.graph.images import HistoryEntry, ImageDetails, ImageSummary, Removed
from transom.graph.model import Image, Platform, RunConfig
from transom.job import Progress
from transom.networks.model import EndpointSettings
from transom.volumes import VolumeRecord
from transom_api.mounts import TMPFS_DEFAULTS
from transom_api.progress import bar, message_line
from transom_api.shapes_containers import status_line

IMAGE = Digest("sha256:" + "a" * 64)
NOW = 1_700_000_000 * 10**9


@pytest.fixture
def web():
    return Container(
        id="c" * 64,
        name="web",
        created=NOW,
        image=IMAGE,
        config=ContainerConfig(
            "busybox:latest",
            RunConfig(env=("A=b",), cmd=("sh", "-c", "exit 3"), labels={"k": "v"}),
            hostname="h",
            stop_timeout=5,
        ),
        host=HostConfig(binds=("/tmp:/x:ro",), annotations={"a": "b"}),
        graphdriver="overlay",
        execdriver="namespaces",
        network="none",
        networks={"none": EndpointSettings("n" * 64)},
        log_driver="json-file",
        mounts=(
            Mount(MountKind.BIND, "/x", "/tmp", read_only=True, mode="ro"),
            Mount(MountKind.VOLUME, "/v", "data", driver="local", mountpoint="/var/data"),
            Mount(MountKind.TMPFS, "/t", tmpfs=Tmpfs(options=TMPFS_DEFAULTS)),
            Mount(MountKind.TMPFS, "/long"),
        ),
        state=State(Status.RUNNING, pid=7, started=NOW),
    )


def test_a_container_in_a_list(api, engine, web):
    engine.results.update(container_list=(web,), container_sizes=(5, 10))
    (shown,) = api.get("/containers/json?size=1").json
    assert (shown["Id"], shown["Names"], shown["Image"], shown["ImageID"]) == (
        web.id,
        ["/web"],
        "busybox:latest",
        IMAGE,
    )
    assert (shown["Command"], shown["Created"], shown["State"]) == ("sh -c 'exit 3'", 1_700_000_000, "running")
    assert shown["Status"].startswith("Up ")
    assert (shown["SizeRw"], shown["SizeRootFs"]) == (5, 10)
    assert shown["HostConfig"] == {"NetworkMode": "default", "Annotations": {"a": "b"}}
    assert (shown["Labels"], shown["Ports"], list(shown["NetworkSettings"]["Networks"])) == ({"k": "v"}, [], ["none"])
    assert [mount["Destination"] for mount in shown["Mounts"]] == ["/x", "/v", "/long"]
    assert "SizeRw" not in api.get("/containers/json").json[0]


def test_all_about_a_container(api, engine, web):
    engine.results.update(inspect=web)
    engine.supervisor.execs.of = lambda _id: ("e1",)
    shown = api.get("/containers/web/json").json
    assert (shown["Name"], shown["Path"], shown["Args"]) == ("/web", "sh", ["-c", "exit 3"])
    assert shown["State"] == {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 7,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2023-11-14T22:13:20Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    directory = engine.config.data_root / "containers" / web.id
    assert shown["LogPath"] == str(directory / f"{web.id}-json.log")
    assert shown["HostnamePath"] == str(directory / "hostname")
    assert (shown["Created"], shown["Driver"], shown["ExecIDs"]) == ("2023-11-14T22:13:20Z", "overlay", ["e1"])
    config = shown["Config"]
    assert (config["Hostname"], config["Env"], config["StopTimeout"], config["Entrypoint"]) == ("h", ["A=b"], 5, None)
    assert (shown["HostConfig"]["Binds"], shown["HostConfig"]["Runtime"]) == (["/tmp:/x:ro"], "namespaces")
    assert shown["Mounts"] == [
        {"Type": "bind", "Source": "/tmp", "Destination": "/x", "Mode": "ro", "RW": False, "Propagation": "rprivate"},
        {
            "Type": "volume",
            "Name": "data",
            "Source": "/var/data",
            "Destination": "/v",
            "Driver": "local",
            "Mode": "",
            "RW": True,
            "Propagation": "",
        },
        {"Type": "tmpfs", "Source": "", "Destination": "/long", "Mode": "", "RW": True, "Propagation": ""},
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(), "Created"),
        (State(Status.RUNNING, started=NOW - 5 * 10**9), "Up 5 seconds"),
        (State(Status.PAUSED, started=NOW - 5 * 10**9), "Up 5 seconds (Paused)"),
        (State(Status.EXITED, exit_code=3, finished=NOW - 120 * 10**9), "Exited (3) 2 minutes ago"),
        (State(Status.RESTARTING, exit_code=1, finished=NOW - 10**9), "Restarting (1) 1 second ago"),
        (State(Status.REMOVING), "Removal In Progress"),
        (State(Status.DEAD), "Dead"),
    ],
)
def test_a_state_in_words(web, state, words):
    assert status_line(replace(web, state=state), NOW) == words


def test_an_exec(api, engine):
    engine.results["exec_inspect"] = ExecRecord("e", "c", ExecConfig(("sh", "-c", "x"), user="me"), False, 3, 9)
    assert api.get("/exec/e/json").json == {
        "ID": "e",
        "Running": False,
        "ExitCode": 3,
        "ProcessConfig": {
            "tty": False,
            "entrypoint": "sh",
            "arguments": ["-c", "x"],
            "privileged": False,
            "user": "me",
        },
        "OpenStdin": False,
        "OpenStderr": False,
        "OpenStdout": False,
        "CanRemove": False,
        "ContainerID": "c",
        "DetachKeys": "",
        "Pid": 9,
    }


def test_images_in_a_list_have_what_the_version_of_the_client_expects(api, engine):
    engine.results["image_list"] = (ImageSummary(IMAGE, (), (), 5, 100, 2, {"k": "v"}),)
    new, old = api.get("/v1.50/images/json").json[0], api.get("/v1.41/images/json").json[0]
    assert new == {
        "Containers": -1,
        "Created": 5,
        "Id": IMAGE,
        "Labels": {"k": "v"},
        "ParentId": "",
        "RepoDigests": [],
        "RepoTags": [],
        "SharedSize": -1,
        "Size": 100,
    }
    assert old == {**new, "VirtualSize": 100, "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}


def test_all_about_an_image(api, engine):
    image = Image(
        IMAGE,
        Platform("linux", "arm64", "v8"),
        RunConfig(cmd=("sh",), exposed_ports=("80/tcp",), volumes=("/data",)),
        (Digest("sha256:" + "b" * 64),),
        created="2024-01-01T00:00:00Z",
        sizes=(100,),
    )
    engine.results["image_inspect"] = ImageDetails(image, ("a:1",), ("a@" + IMAGE,), NOW, "overlay", "b" * 64)
    shown = api.get("/images/a:1/json").json
    assert (shown["Id"], shown["RepoTags"], shown["Size"], shown["Variant"]) == (IMAGE, ["a:1"], 100, "v8")
    assert shown["Config"] == {
        "User": "",
        "Env": [],
        "Cmd": ["sh"],
        "Volumes": {"/data": {}},
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": {},
        "ExposedPorts": {"80/tcp": {}},
    }
    assert shown["RootFS"] == {"Type": "layers", "Layers": ["sha256:" + "b" * 64]}
    assert shown["Metadata"] == {"LastTagTime": "2023-11-14T22:13:20Z"}
    assert "Hostname" in api.get("/v1.49/images/a:1/json").json["Config"]


def test_the_history_and_the_removal_of_an_image(api, engine):
    engine.results["image_history"] = (HistoryEntry(IMAGE, 5, "RUN x", "", 10, ("a:1",)),)
    assert api.get("/images/a/history").json == [
        {"Comment": "", "Created": 5, "CreatedBy": "RUN x", "Id": IMAGE, "Size": 10, "Tags": ["a:1"]}
    ]
    engine.results["image_remove"] = (Removed(IMAGE, untagged="a:1"), Removed(IMAGE, deleted=IMAGE))
    assert api.delete("/images/a?force=1").json == [{"Untagged": "a:1"}, {"Deleted": IMAGE}]
    assert engine.jobs[-1].parameters == {"name": "a", "force": True, "prune": True}


def test_a_volume(api, engine):
    engine.results["volume_create"] = VolumeRecord("data", "local", {}, {"k": "v"}, NOW + 5, "/var/data")
    answer = api.post("/volumes/create", {"Name": "data", "Labels": {"k": "v"}})
    assert (answer.status, answer.json) == (
        201,
        {
            "CreatedAt": "2023-11-14T22:13:20Z",
            "Driver": "local",
            "Labels": {"k": "v"},
            "Mountpoint": "/var/data",
            "Name": "data",
            "Options": None,
            "Scope": "local",
        },
    )
    assert engine.jobs[0].parameters == {"name": "data", "driver": "local", "options": {}, "labels": {"k": "v"}}


def test_bars_are_those_that_docker_draws():
    assert bar(0, 0) == ""
    assert bar(500, 0) == "    500B"
    assert bar(0, 100) == "[>" + " " * 50 + "]       0B/100B"
    assert bar(50, 100) == "[" + "=" * 25 + ">" + " " * 25 + "]      50B/100B"
    assert bar(100, 100) == "[" + "=" * 50 + ">]     100B/100B"
    assert bar(200, 100) == "[" + "=" * 50 + ">]     200B"
    assert bar(1_234_567, 2_000_000).endswith(" 1.235MB/2MB")
    assert json.loads(message_line(Progress("Extracting", "a", 5))) == {
        "status": "Extracting",
        "progressDetail": {"current": 5},
        "progress": "      5B",
        "id": "a",
    }
