"""Registries at the edge of the API: what a request asks of a job, and what is made of its result."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from transom.errors import Unauthorized
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.model import Platform
from transom.registry import Credentials, DistributionInfo, LoginResult, SearchResult
from transom.system import SystemInfo
from transom_api.shapes_system import info_details

ALICE = {"username": "alice", "password": "s3cret"}


def header(fields: Any) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


def test_a_push_has_the_tag_the_platform_and_the_credentials_of_the_request(engine: Any, connect: Any) -> None:
    engine.results["push"] = lambda job, **_: job.progress("Pushed")
    query = "?tag=v1&platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm%22%2C%22variant%22%3A%22v7%22%7D"
    answer = connect().request("POST", f"/v1.50/images/one.example/app/push{query}", headers=header(ALICE))
    assert (answer.status, answer.body) == (200, b'{"status":"Pushed"}\r\n')
    assert engine.jobs[0].parameters == {
        "reference": "one.example/app",
        "tag": "v1",
        "platform": "linux/arm/v7",
        "credentials": Credentials("alice", "s3cret"),
    }


@pytest.mark.parametrize(
    "path",
    ["/images/UPPER/push?tag=v1", "/images/app/push?tag=no%20tag", "/images/app/push?platform=linux"],
)
def test_a_push_of_nonsense_is_refused_before_there_is_a_job(engine: Any, connect: Any, path: str) -> None:
    engine.results["push"] = None
    assert connect().request("POST", path).status == 400
    assert engine.jobs == []


def test_a_login_that_is_good_says_so(engine: Any, connect: Any) -> None:
    engine.results["auth"] = LoginResult("token")
    answer = connect().post("/auth", {**ALICE, "serveraddress": "one.example"})
    assert answer.json == {"Status": "Login Succeeded", "IdentityToken": "token"}
    assert engine.jobs[0].parameters == {"server": "one.example", "credentials": Credentials("alice", "s3cret")}


def test_a_login_that_is_not_good_is_unauthorized(engine: Any, connect: Any) -> None:
    engine.results["auth"] = Unauthorized("unauthorized: incorrect username or password")
    answer = connect().post("/auth", ALICE)
    assert (answer.status, answer.message) == (401, "unauthorized: incorrect username or password")


@pytest.mark.parametrize("body", [{"username": 7}, {"auth": "%%%"}, {"auth": base64.b64encode(b"\xff").decode()}])
def test_credentials_that_are_none_are_refused_without_being_shown(engine: Any, connect: Any, body: Any) -> None:
    engine.results["auth"] = LoginResult()
    answer = connect().post("/auth", {**body, "password": "s3cret"})
    assert answer.status == 400
    assert "s3cret" not in answer.message


def test_a_search_has_dockers_fields(engine: Any, connect: Any) -> None:
    engine.results["image_search"] = (SearchResult("app", "words", 3, official=True),)
    answer = connect().get('/images/search?term=app&limit=7&filters={"stars":["3"]}')
    assert answer.json == [
        {"star_count": 3, "is_official": True, "name": "app", "is_automated": False, "description": "words"}
    ]
    assert engine.jobs[0].parameters == {
        "term": "app",
        "limit": 7,
        "filters": {"stars": ("3",)},
        "credentials": None,
    }


def test_what_a_name_stands_for_has_dockers_fields(engine: Any, connect: Any) -> None:
    descriptor = Descriptor("application/json", Digest.of(b"x"), 1)
    engine.results["distribution_inspect"] = DistributionInfo(descriptor, (Platform("linux", "arm", "v7"),))
    assert connect().get("/distribution/one.example/app:v1/json").json == {
        "Descriptor": {"mediaType": "application/json", "digest": Digest.of(b"x"), "size": 1},
        "Platforms": [{"architecture": "arm", "os": "linux", "variant": "v7"}],
    }
    assert engine.jobs[0].parameters == {"reference": "one.example/app:v1", "credentials": None}


def test_information_tells_insecure_networks_from_insecure_hosts() -> None:
    fields: dict[str, Any] = dict.fromkeys(SystemInfo.__dataclass_fields__, 0)
    lists: dict[str, Any] = dict.fromkeys(("graphdriver_status", "exec_drivers", "warnings", "registry_mirrors"), ())
    insecure = ("one.example:5000", "10.0.0.0/8")
    lists["recommended_graphdriver"] = None
    info = SystemInfo(**{**fields, **lists, "insecure_registries": insecure, "http_proxy": "http://proxy"})
    told = info_details(info)
    assert told["RegistryConfig"]["InsecureRegistryCIDRs"] == ["::1/128", "127.0.0.0/8", "10.0.0.0/8"]
    assert set(told["RegistryConfig"]["IndexConfigs"]) == {"docker.io", "one.example:5000"}
    assert told["HttpProxy"] == "http://proxy"
