"""Configurations of CNI networks, what plugins answer, and what they are told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from transom.drivers.network import Endpoint
from transom.errors import InvalidParameter, Unavailable
from transom_cni.configuration import find_configuration, parse_configuration
from transom_cni.plugins import Attachment, Plugins
from transom_cni.results import endpoint_of

BRIDGE = {"type": "bridge", "ipam": {"type": "host-local"}}
HERE = Attachment("box", "eth0", "/nowhere")


def test_a_list_and_a_single_plugin_are_networks(tmp_path: Path) -> None:
    (tmp_path / "10-list.conflist").write_text(json.dumps({"name": "one", "cniVersion": "1.0.0", "plugins": [BRIDGE]}))
    (tmp_path / "20-single.conf").write_text(json.dumps({"name": "two", "cniVersion": "0.4.0", **BRIDGE}))
    (tmp_path / "30-broken.conf").write_text("{")
    one, two = (find_configuration(tmp_path, name) for name in ("one", "two"))
    assert (one.version, one.plugins) == ("1.0.0", (BRIDGE,))
    assert (two.version, two.plugins[0]["type"]) == ("0.4.0", "bridge")
    with pytest.raises(InvalidParameter, match=r"is named three: it has one, two; .*30-broken.conf is no JSON"):
        find_configuration(tmp_path, "three")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is no JSON object"),
        ('{"plugins": [{"type": "x"}]}', "has no name"),
        ('{"name": "a/b", "type": "x"}', "has no name, or one that cannot be"),
        ('{"name": "a", "plugins": []}', "has no plugins"),
        ('{"name": "a", "plugins": [{}]}', "has a plugin without a type"),
        ('{"name": "a", "plugins": ["x"]}', "has a plugin without a type"),
        ('{"name": "a", "type": "../../bin/sh"}', "has a plugin without a type"),
        ('{"name": "a", "type": "x", "cniVersion": 1}', "has a cniVersion that is no string"),
        ('{"name": "a", "type": "x", "capabilities": 1}', "has capabilities that are no object"),
    ],
)
def test_wrong_configurations_are_refused(content: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        parse_configuration(content, "here")


def planned() -> Endpoint:
    return Endpoint("e", "n", "net", interface="eth0")


def test_a_result_says_addresses_gateways_and_mac() -> None:
    result = {
        "interfaces": [
            {"name": "cni0", "mac": "02:00:00:00:00:01"},
            {"name": "eth0", "mac": "AA:00:00:00:00:02", "sandbox": "/x"},
        ],
        "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "fd00::2/64", "gateway": "fd00::1"}],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.9"}],
    }
    made = endpoint_of(planned(), result)
    assert (made.address, made.gateway, made.mac) == ("10.1.0.2/24", "10.1.0.1", "aa:00:00:00:00:02")
    assert (made.address6, made.gateway6) == ("fd00::2/64", "")
    assert endpoint_of(planned(), {}) == planned()


@pytest.mark.parametrize(
    "result",
    [
        {"ips": [{}]},
        {"ips": [{"address": "x"}]},
        {"ips": 7},
        {"interfaces": [1]},
        {"ips": [{"address": "10.0.0.2/8"}], "routes": [{}]},
    ],
)
def test_a_wrong_result_is_an_error(result: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="answered no result"):
        endpoint_of(planned(), result)


def plugin(directory: Path, name: str, script: str) -> None:
    """Write a plugin, which notes what it was called with."""
    path = directory / name
    path.write_text(f'#!/bin/sh\ninput=$(cat)\necho "{name} $CNI_COMMAND $input" >>{directory}/calls\n{script}\n')
    path.chmod(0o755)


def calls(directory: Path) -> list[tuple[str, str, dict[str, Any]]]:
    lines = (directory / "calls").read_text().splitlines()
    found = []
    for line in lines:
        name, command, content = line.split(" ", 2)
        found.append((name, command, json.loads(content)))
    return found


def configuration(**more: Any) -> Any:
    plugins = [{"type": "first"}, {"type": "second", "capabilities": {"portMappings": True, "mac": False}}]
    return parse_configuration(json.dumps({"name": "net", "cniVersion": "1.0.0", "plugins": plugins, **more}), "here")


def test_each_plugin_gets_the_result_of_the_one_before_and_deletion_goes_backwards(tmp_path: Path) -> None:
    plugin(tmp_path, "first", """echo '{"ips": [], "by": "first"}'""")
    plugin(tmp_path, "second", """echo '{"ips": [], "by": "second"}'""")
    plugins, lock = Plugins((str(tmp_path),)), os.open(tmp_path, os.O_RDONLY)
    told = {"portMappings": [{"hostPort": 1}], "mac": "02:00:00:00:00:01"}
    result = plugins.add(configuration(), HERE, told, lock)
    assert result["by"] == "second"
    plugins.check(configuration(), HERE, told, result)
    plugins.delete(configuration(), HERE, told, result, lock)
    os.close(lock)
    shown = [(name, command, given.get("prevResult", {}).get("by")) for name, command, given in calls(tmp_path)]
    assert shown == [
        ("first", "ADD", None),
        ("second", "ADD", "first"),
        ("first", "CHECK", "second"),
        ("second", "CHECK", "second"),
        ("second", "DEL", "second"),
        ("first", "DEL", "second"),
    ]
    first, second = (calls(tmp_path)[number][2] for number in (0, 1))
    assert first == {"type": "first", "name": "net", "cniVersion": "1.0.0"}
    assert second["runtimeConfig"] == {"portMappings": [{"hostPort": 1}]}
    assert "capabilities" not in second


def test_a_configuration_that_wants_no_check_is_not_checked(tmp_path: Path) -> None:
    Plugins((str(tmp_path),)).check(configuration(disableCheck=True), HERE, {}, {})
    Plugins((str(tmp_path),)).check(configuration(cniVersion="0.3.1"), HERE, {}, {})


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("""echo '{"code": 11, "msg": "no room", "details": "all taken"}'; exit 1""", "no room: all taken"),
        ("echo because >&2; exit 3", "because"),
        ("exit 3", "ended with status 3 and said nothing"),
        ("kill -9 $$", "ended by signal 9"),
        ("echo nonsense", "answered what is no JSON object"),
        ("echo '[]'", "answered what is no JSON object"),
    ],
)
def test_a_plugin_that_fails_is_named_with_its_own_words(tmp_path: Path, script: str, message: str) -> None:
    plugin(tmp_path, "first", script)
    plugin(tmp_path, "second", "")
    with pytest.raises(Unavailable, match="the CNI plugin first failed at ADD for the network net: .*" + message):
        Plugins((str(tmp_path),)).add(configuration(), HERE, {}, -1)


def test_deletion_goes_on_where_a_plugin_fails(tmp_path: Path) -> None:
    plugin(tmp_path, "first", "")
    plugin(tmp_path, "second", "exit 1")
    with pytest.raises(Unavailable, match="second failed at DEL"):
        Plugins((str(tmp_path),)).delete(configuration(), HERE, {}, None, -1)
    assert [name for name, _, _ in calls(tmp_path)] == ["second", "first"]


def test_plugins_must_be_there_and_speak_the_version(tmp_path: Path) -> None:
    plugin(tmp_path, "first", """echo '{"supportedVersions": ["0.4.0", "1.0.0"]}'""")
    with pytest.raises(InvalidParameter, match="the CNI plugin second is in none of"):
        Plugins((str(tmp_path),)).require(configuration())
    plugin(tmp_path, "second", """echo '{"supportedVersions": ["0.4.0"]}'""")
    with pytest.raises(InvalidParameter, match=r"second does not speak version 1\.0\.0"):
        Plugins((str(tmp_path),)).require(configuration())
