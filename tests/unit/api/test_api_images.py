"""Requests about images, and the jobs that they become."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from transom.graph.digest import Digest
from transom.graph.images import Removed
from transom.graph.model import Platform

ID = Digest("sha256:" + "a1" * 32)
ARM = quote(json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8"}))


def test_a_tag_is_made(api, engine):
    engine.results["image_tag"] = None
    answer = api.post("/images/127.0.0.1:5000/team/app:1/tag?repo=other&tag=2")
    assert (answer.status, answer.body) == (201, b"")
    assert engine.jobs[0].parameters == {"name": "127.0.0.1:5000/team/app:1", "repository": "other", "tag": "2"}


def test_a_prune_says_what_it_did(api, engine):
    steps = (Removed(ID, untagged="app:1"), Removed(ID, deleted=ID))
    engine.results["image_prune"] = SimpleNamespace(removed=steps, reclaimed=5)
    filters = quote(json.dumps({"dangling": ["false"]}))
    assert api.post(f"/images/prune?filters={filters}").json == {
        "ImagesDeleted": [{"Untagged": "app:1"}, {"Deleted": ID}],
        "SpaceReclaimed": 5,
    }
    assert engine.jobs[0].parameters["filters"] == {"dangling": ("false",)}


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("/images/host:1/app:1/get", ("host:1/app:1",)),
        ("/images/get?names=a&names=b:2", ("a", "b:2")),
        ("/images/get", ()),
    ],
)
def test_images_are_saved(api, engine, target, names):
    def save(job, *, names, output, platform):
        output.write(b"archive")

    engine.results["image_save"] = save
    answer = api.get(target)
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "application/x-tar", b"archive")
    assert engine.jobs[0].parameters["names"] == names


@pytest.mark.parametrize(("query", "quiet"), [("", True), ("quiet=1", True), ("quiet=0", False)])
def test_images_are_loaded(api, engine, query, quiet):
    def load(job, *, platform):
        job.progress("Loading layer", "abc", current=1, total=2)
        job.say(f"Loaded {len(job.input.read())} bytes\n")

    engine.results["image_load"] = load
    lines = [json.loads(line) for line in api.post(f"/images/load?{query}", b"x" * 300_000).body.splitlines()]
    assert lines[-1] == {"stream": "Loaded 300000 bytes\n"}
    assert len(lines) == (1 if quiet else 2)


def test_an_image_is_imported(api, engine):
    def import_image(job, **parameters):
        job.progress(f"{len(job.input.read())}")

    engine.results["image_import"] = import_image
    query = "fromSrc=-&repo=app&tag=1&message=why&changes=CMD%20a&changes=ENV%20B%3D1&platform=linux%2Farm64"
    assert json.loads(api.post(f"/images/create?{query}", b"archive").body) == {"status": "7"}
    assert engine.jobs[0].parameters == {
        "source": "-",
        "repository": "app",
        "tag": "1",
        "message": "why",
        "changes": ("CMD a", "ENV B=1"),
        "platform": "linux/arm64",
    }


@pytest.mark.parametrize(
    ("method", "target", "job"),
    [
        ("GET", "/images/app/history?", "image_history"),
        ("GET", "/images/get?names=app&", "image_save"),
        ("POST", "/images/load?", "image_load"),
    ],
)
def test_a_platform_is_an_object(api, engine, method, target, job):
    def work(_job, **parameters):
        return ()

    engine.results[job] = work
    api.request(method, f"{target}platform={ARM}")
    assert engine.jobs[0].parameters["platform"] == Platform("linux", "arm64", "v8")


@pytest.mark.parametrize("text", ["nonsense", "[]", "{}", '{"os": "linux"}', '{"os": 1, "architecture": "x"}'])
def test_what_is_no_platform_is_refused(api, engine, text):
    engine.results["image_history"] = ()
    assert api.get(f"/images/app/history?platform={quote(text)}").status == 400
    assert engine.jobs == []


def test_one_of_several_platforms_of_an_image_is_not_removed(api, engine):
    engine.results["image_remove"] = ()
    assert api.delete(f"/images/app?platforms={ARM}").status == 501
    assert engine.jobs == []
