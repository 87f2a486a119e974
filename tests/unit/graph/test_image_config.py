"""Image configurations are untrusted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import CorruptContent
from transom.graph.digest import Digest
from transom.graph.image_config import parse_config, unix_seconds
from transom.graph.model import Healthcheck, History, Platform

DIFF_ID = Digest.of(b"layer")
WHOLE: dict[str, Any] = {
    "architecture": "arm64",
    "os": "linux",
    "variant": "v8",
    "created": "2024-05-06T07:08:09.123456789Z",
    "author": "somebody",
    "comment": "why",
    "docker_version": "28.0",
    "config": {
        "User": "app",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin", "A=b=c"],
        "Entrypoint": ["/bin/sh"],
        "Cmd": None,
        "Volumes": {"/data": {}},
        "WorkingDir": "/w",
        "Labels": {"a": "b", "empty": ""},
        "StopSignal": "SIGINT",
        "Shell": ["/bin/bash", "-c"],
        "OnBuild": ["RUN true"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5, "Retries": 3},
    },
    "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
    "history": [
        {"created": "2024-05-06T07:08:09Z", "created_by": "COPY", "empty_layer": False},
        {"empty_layer": True},
    ],
}


def parse(document: object) -> Any:
    return parse_config(json.dumps(document).encode())


def test_everything_that_a_configuration_says_is_read() -> None:
    content = json.dumps(WHOLE).encode()
    image = parse_config(content)
    run = image.config
    assert image.id == Digest.of(content)
    assert image.platform == Platform("linux", "arm64", "v8")
    assert image.diff_ids == (DIFF_ID,)
    assert (image.author, image.comment, image.docker_version) == ("somebody", "why", "28.0")
    assert (run.user, run.env, run.working_dir) == ("app", ("PATH=/bin", "A=b=c"), "/w")
    assert (run.entrypoint, run.cmd, run.shell) == (("/bin/sh",), None, ("/bin/bash", "-c"))
    assert (run.exposed_ports, run.volumes, run.stop_signal) == (("80/tcp",), ("/data",), "SIGINT")
    assert (run.labels, run.on_build) == ({"a": "b", "empty": ""}, ("RUN true",))
    assert run.healthcheck == Healthcheck(test=("CMD", "true"), interval=5, retries=3)
    assert image.history[0] == History(created="2024-05-06T07:08:09Z", created_by="COPY")
    assert image.history[1].empty_layer


def test_what_is_missing_or_null_has_its_default() -> None:
    image = parse({"config": None, "rootfs": None, "history": None, "os": ""})
    assert (image.platform.os, image.diff_ids, image.config.cmd, image.created) == ("linux", (), None, "")


def test_an_empty_command_is_not_the_same_as_none() -> None:
    assert parse({"config": {"Cmd": []}}).config.cmd == ()


def test_a_command_may_be_one_string_as_old_versions_wrote_it() -> None:
    assert parse({"config": {"Entrypoint": "/bin/sh"}}).config.entrypoint == ("/bin/sh",)


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        None,
        {"config": []},
        {"config": {"Env": "A=b"}},
        {"config": {"Env": [1]}},
        {"config": {"Env": ["A=\0"]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Volumes": ["/data"]}},
        {"config": {"Healthcheck": {"Interval": "5s"}}},
        {"config": {"Healthcheck": {"Interval": True}}},
        {"config": {"Healthcheck": {"Interval": 1e30}}},
        {"rootfs": {"type": "squashfs"}},
        {"rootfs": {"diff_ids": ["sha256:abc"]}},
        {"rootfs": {"diff_ids": {}}},
        {"history": {}},
        {"history": [None]},
        {"history": [{"empty_layer": 1}]},
        {"created": "yesterday"},
        {"created": "2024-13-01T00:00:00Z"},
        {"created": 5},
    ],
)
def test_a_wrong_type_is_corrupt_content(document: object) -> None:
    with pytest.raises(CorruptContent):
        parse(document)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"{}x"])
def test_what_is_no_json_is_corrupt_content(content: bytes) -> None:
    with pytest.raises(CorruptContent):
        parse_config(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(WHOLE)), st.sampled_from(["", *sorted(WHOLE["config"])]), json_values)
def test_any_value_anywhere_is_read_or_refused(member: str, inner: str, value: object) -> None:
    document = {**WHOLE, member: value}
    if inner:
        document["config"] = {**WHOLE["config"], inner: value}
    try:
        parse(document)
    except CorruptContent:
        pass


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("", 0),
        ("1970-01-01T00:00:01.9Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("0001-01-01T00:00:00Z", -62135596800),
    ],
)
def test_times_are_seconds_since_the_epoch(time: str, seconds: int) -> None:
    assert unix_seconds(time) == seconds
