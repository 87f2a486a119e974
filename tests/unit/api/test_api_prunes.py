"""Prunes and disk usage in Docker's shapes, and what is refused for good."""

from __future__ import annotations

import pytest

from transom.catalog import DriverInfo
from transom.containers.model import Container, ContainerConfig, HostConfig
from transom.errors import InvalidParameter
from transom.graph.digest import Digest
from transom.graph.images import ImageSummary
from transom.system import ContainerUsage, DiskUsage, Pruned
from transom.volumes import VolumeRecord, VolumeUsage

IMAGE = ImageSummary(Digest.of(b"image"), (), (), 0, 100, 2, shared_size=30)
CONTAINER = Container(
    "c" * 64,
    "web",
    0,
    Digest.of(b"image"),
    ContainerConfig("image"),
    HostConfig(),
    "vfs",
    "chroot",
    "none",
    "json-file",
)
SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)


@pytest.mark.parametrize(
    ("path", "job", "field"),
    [
        ("/containers/prune", "container_prune", "ContainersDeleted"),
        ("/volumes/prune", "volume_prune", "VolumesDeleted"),
        ("/networks/prune", "network_prune", "NetworksDeleted"),
    ],
)
def test_a_prune_says_what_it_removed(api, engine, path, job, field):
    engine.results[job] = Pruned(("one", "two"), 7)
    found = api.post(f'{path}?filters={{"label":["a"]}}').json
    assert found[field] == ["one", "two"]
    assert found.get("SpaceReclaimed", 7) == 7
    assert engine.jobs[-1].parameters["filters"] == {"label": ("a",)}
    engine.results[job] = Pruned((), 0)
    assert api.post(path).json[field] is None


@pytest.mark.parametrize(("version", "filters"), [("1.41", {"all": ("true",)}), ("1.42", {})])
def test_old_clients_prune_volumes_that_have_a_name(api, engine, version, filters):
    engine.results["volume_prune"] = Pruned((), 0)
    api.post(f"/v{version}/volumes/prune")
    assert engine.jobs[-1].parameters["filters"] == filters


def test_a_prune_of_builds_is_given_its_limits(api, engine):
    engine.results["build_prune"] = Pruned(("one",), 7)
    found = api.post('/build/prune?all=1&keep-storage=5&max-used-space=6&filters={"until":["1h"]}').json
    assert found == {"CachesDeleted": ["one"], "SpaceReclaimed": 7}
    assert engine.jobs[-1].parameters == {
        "filters": {"until": ("1h",)},
        "all": True,
        "reserved_space": 5,
        "max_used_space": 6,
        "min_free_space": 0,
    }
    engine.results["build_prune"] = Pruned((), 0)
    assert api.post("/build/prune").json == {"CachesDeleted": None, "SpaceReclaimed": 0}


def test_disk_usage_has_the_sizes_of_everything(api, engine):
    volume = VolumeRecord("data", "local", mountpoint="/data")
    engine.results["disk_usage"] = DiskUsage(
        100, (IMAGE,), (ContainerUsage(CONTAINER, 5, 105),), (VolumeUsage(volume, None, 2),)
    )
    found = api.get("/system/df").json
    assert found["LayersSize"] == 100
    image, container = found["Images"][0], found["Containers"][0]
    assert (image["Size"], image["SharedSize"], image["Containers"]) == (100, 30, 2)
    assert "VirtualSize" not in image
    assert (container["SizeRw"], container["SizeRootFs"]) == (5, 105)
    assert found["Volumes"][0]["UsageData"] == {"RefCount": 2, "Size": -1}
    assert found["BuildCache"] == []
    assert api.get("/v1.41/system/df").json["Images"][0]["VirtualSize"] == 100


def test_only_what_is_asked_for_is_computed(api, engine):
    engine.results["disk_usage"] = DiskUsage(volumes=())
    found = api.get("/system/df?type=volume&type=container").json
    assert engine.jobs[-1].parameters == {"kinds": ("volume", "container")}
    assert found == {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": [], "BuildCache": None}
    engine.results["disk_usage"] = InvalidParameter("unknown object type: x")
    assert api.get("/system/df?type=x").status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/swarm"),
        ("GET", "/nodes"),
        ("GET", "/services"),
        ("POST", "/services/create"),
        ("GET", "/services/web/logs"),
        ("GET", "/tasks"),
        ("DELETE", "/secrets/x"),
        ("GET", "/configs"),
        ("PUT", "/volumes/data"),
    ],
)
def test_this_is_no_swarm(api, method, path):
    for prefix in ("", "/v1.41"):
        answer = api.request(method, f"{prefix}{path}")
        assert (answer.status, answer.message) == (503, SWARM)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/swarm/init", 501),
        ("POST", "/swarm/join", 501),
        ("POST", "/swarm/leave", 503),
        ("POST", "/plugins/pull?remote=x", 501),
        ("POST", "/plugins/graph/vfs/enable", 501),
        ("DELETE", "/plugins/graph/vfs", 501),
        ("POST", "/session", 501),
        ("POST", "/grpc", 501),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(api, method, path, status):
    answer = api.request(method, path)
    assert answer.status == status
    assert len(answer.message.split()) > 5


def test_drivers_are_listed_as_plugins(api, engine):
    engine.results["drivers"] = (
        DriverInfo("graph", "vfs", "transom", "0.1.0", "transom_vfs", 10),
        DriverInfo("exec", "broken", "other", "1.0", "other", 10, unavailable="no kernel"),
    )
    works, broken = api.get("/plugins").json
    assert (works["Name"], works["Enabled"], works["PluginReference"]) == ("graph/vfs", True, "transom:0.1.0")
    assert works["Config"]["Interface"]["Types"] == ["docker.graphdriver/1.0"]
    assert (broken["Enabled"], "no kernel" in broken["Config"]["Description"]) == (False, True)
    assert api.get("/plugins/graph/vfs/json").json == works
    assert api.get(f"/plugins/{works['Id'][:12]}/json").json == works
    assert api.get("/plugins/nope/json").status == 404
    assert api.get('/plugins?filters={"enable":["false"]}').json == [broken]
    assert api.get('/plugins?filters={"capability":["graphdriver"]}').json == [works]
    assert api.get('/plugins?filters={"bogus":["1"]}').status == 400
