"""Volume plugins of other processes: where they are found, and what they may answer."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.certificates import Authority
from testbed.volume_plugin import VolumePlugin
from transom.catalog import Shelf
from transom.drivers.volume import VolumeDriver
from transom.errors import DriverFailed, DriverUnavailable, NotFound, Unavailable
from transom.graph.db import GraphDB
from transom.plugins import Plugin
from transom.volumes import VolumeStore
from transom_remote import client
from transom_remote.driver import RemoteDrivers


@pytest.fixture
def directories(tmp_path: Path) -> list[Path]:
    """The directories in which plugins are looked for; there need not be any."""
    return [tmp_path / "run", tmp_path / "etc"]


@pytest.fixture
def shelf(tmp_path: Path, directories: list[Path]) -> Shelf[VolumeDriver]:
    shelf: Shelf[VolumeDriver] = Shelf("volume", tmp_path / "volumes")
    shelf.add_source(RemoteDrivers(directories), Plugin("remote", "transom_remote", "", ""))
    return shelf


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[VolumePlugin]:
    with VolumePlugin(tmp_path / "volumes-of-plugin", tmp_path / "run" / "paint.sock") as plugin:
        yield plugin


def make(shelf: Shelf[VolumeDriver], name: str = "paint") -> VolumeDriver:
    return shelf.get(name)(shelf.root(name))


def write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_without_directories_there_are_no_plugins(shelf: Shelf[VolumeDriver]) -> None:
    assert shelf.names() == []
    with pytest.raises(NotFound, match="no volume driver is named 'paint'"):
        shelf.get("paint")


def test_a_plugin_comes_and_goes(shelf: Shelf[VolumeDriver], tmp_path: Path) -> None:
    place = tmp_path / "run" / "paint.sock"
    with VolumePlugin(tmp_path / "plugin", place):
        assert shelf.names() == ["paint"]
        assert [(info.name, info.unavailable) for info in shelf.describe()] == [("paint", "")]
        assert shelf.get("paint") is shelf.get("paint")
        with pytest.raises(NotFound, match="did you mean 'paint'"):
            shelf.get("pain")
    place.unlink()
    assert shelf.names() == []


@pytest.mark.parametrize("file", ["paint.spec", "paint/paint.spec", "paint.json"])
def test_a_file_says_where_a_plugin_listens(shelf: Shelf[VolumeDriver], tmp_path: Path, file: str) -> None:
    place = tmp_path / "elsewhere" / "socket"
    address = f"unix://{place}"
    content = json.dumps({"Name": "other", "Addr": address}) if file.endswith("json") else f"{address}\n"
    write(tmp_path / "etc" / file, content)
    with VolumePlugin(tmp_path / "plugin", place):
        make(shelf).create("data", {})
    assert (tmp_path / "plugin" / "data").is_dir()


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_a_plugin_may_listen_on_a_port(shelf: Shelf[VolumeDriver], tmp_path: Path, scheme: str) -> None:
    with VolumePlugin(tmp_path / "plugin", None) as plugin:
        write(tmp_path / "etc" / "paint.spec", f"{scheme}://127.0.0.1:{plugin.port}")
        assert make(shelf).list() == []


def test_tls_is_as_the_file_says(shelf: Shelf[VolumeDriver], tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    server, shown = authority.sign("server", "127.0.0.1"), authority.sign("client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.certificate, server.key)
    with VolumePlugin(tmp_path / "plugin", None, context) as plugin:
        address = f"https://127.0.0.1:{plugin.port}"
        ours = {"CertFile": str(shown.certificate), "KeyFile": str(shown.key)}
        other = str(Authority(tmp_path / "other").certificate)
        for name, options in {
            "verified": {**ours, "CAFile": str(authority.certificate)},
            "trusting": ours,
            "insecure": {**ours, "CAFile": other, "InsecureSkipVerify": True},
            "unknown": {**ours, "CAFile": other},
            "anonymous": {"CAFile": str(authority.certificate)},
        }.items():
            write(tmp_path / "etc" / f"{name}.json", json.dumps({"Addr": address, "TLSConfig": options}))
        reasons = {info.name: info.unavailable for info in shelf.describe()}
    working = {name for name, reason in reasons.items() if not reason}
    assert working == {"verified", "trusting", "insecure"}
    assert "cannot be reached at https://127.0.0.1" in reasons["unknown"]
    assert "certificate verify failed" in reasons["unknown"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("paint.spec", ""),
        ("paint.spec", "/run/paint.sock"),
        ("paint.spec", "ftp://paint"),
        ("paint.spec", "tcp://paint:port"),
        ("paint.json", "{"),
        ("paint.json", "[]"),
        ("paint.json", '{"Addr": 7}'),
        ("paint.json", '{"Addr": "unix:///x", "TLSConfig": "no"}'),
    ],
)
def test_a_file_that_says_nothing_of_use_is_a_reason(
    shelf: Shelf[VolumeDriver], tmp_path: Path, file: str, content: str
) -> None:
    write(tmp_path / "etc" / file, content)
    with pytest.raises(DriverUnavailable, match=f"the volume driver 'paint' cannot work here: the file .*/{file}"):
        shelf.get("paint")


def test_a_plugin_that_does_not_run_is_a_reason_and_is_asked_again(shelf: Shelf[VolumeDriver], tmp_path: Path) -> None:
    place = tmp_path / "run" / "paint.sock"
    with VolumePlugin(tmp_path / "plugin", place):
        pass
    with pytest.raises(DriverUnavailable, match=r'"paint" cannot be reached at unix:///.*: Connection refused'):
        shelf.get("paint")
    with VolumePlugin(tmp_path / "plugin", place):
        make(shelf)


def test_a_plugin_of_another_kind_is_no_volume_driver(shelf: Shelf[VolumeDriver], plugin: VolumePlugin) -> None:
    plugin.answers["Plugin.Activate"] = {"Implements": ["NetworkDriver", "IpamDriver"]}
    with pytest.raises(DriverUnavailable, match='the plugin "paint" gives IpamDriver, NetworkDriver, and no volumes'):
        shelf.get("paint")


def test_errors_are_a_plugins_own_words_and_name_the_method_where_there_are_none(
    shelf: Shelf[VolumeDriver], plugin: VolumePlugin
) -> None:
    driver = make(shelf)
    driver.create("data", {})
    nonsense = 'the volume plugin "paint" answers with what is no JSON object'
    for answer, said in (
        ({"Err": "out of paint"}, "out of paint"),
        ((500, b'{"Err": "out of paint"}'), "VolumeDriver.Mount: out of paint"),
        ((404, b"page not found\n"), "VolumeDriver.Mount: page not found"),
        ((500, b""), "VolumeDriver.Mount: Internal Server Error"),
        ((200, b"<html>"), f"VolumeDriver.Mount: {nonsense}"),
        ((200, b"[]"), f"VolumeDriver.Mount: {nonsense}"),
    ):
        plugin.answers["VolumeDriver.Mount"] = answer  # type: ignore[assignment]
        with pytest.raises(DriverFailed) as failure:
            driver.mount("data", "container")
        assert str(failure.value) == said


def test_what_is_not_there_is_not_found(shelf: Shelf[VolumeDriver], plugin: VolumePlugin) -> None:
    driver = make(shelf)
    for missing in (driver.get, lambda name: driver.mount(name, "container")):
        with pytest.raises(NotFound, match="get unknown: no such volume"):
            missing("unknown")
    driver.remove("unknown")
    driver.unmount("unknown", "container")


def test_a_removal_that_fails_is_said(shelf: Shelf[VolumeDriver], plugin: VolumePlugin) -> None:
    driver = make(shelf)
    driver.create("data", {})
    plugin.answers["VolumeDriver.Remove"] = {"Err": "still dripping"}
    with pytest.raises(DriverFailed, match="still dripping"):
        driver.remove("data")


def test_an_old_plugin_without_capabilities_has_volumes_of_this_machine(
    shelf: Shelf[VolumeDriver], plugin: VolumePlugin
) -> None:
    plugin.answers["VolumeDriver.Capabilities"] = (404, b"page not found")
    driver = make(shelf)
    driver.create("data", {})
    assert driver.get("data").scope == "local"


def test_a_mount_without_a_place_asks_for_the_path(shelf: Shelf[VolumeDriver], plugin: VolumePlugin) -> None:
    driver = make(shelf)
    driver.create("data", {})
    plugin.answers["VolumeDriver.Mount"] = {"Mountpoint": ""}
    assert driver.mount("data", "container") == plugin.root / "data"
    plugin.answers["VolumeDriver.Path"] = {}
    with pytest.raises(DriverFailed, match="does not say where data is mounted"):
        driver.mount("data", "container")


def test_a_plugin_that_starts_again_is_waited_for(
    shelf: Shelf[VolumeDriver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "run" / "paint.sock"
    with VolumePlugin(tmp_path / "plugin", place):
        driver = make(shelf)
        driver.create("data", {})
    delays: list[float] = []
    again = VolumePlugin(tmp_path / "plugin", tmp_path / "run" / "next.sock")

    def sleep(seconds: float) -> None:
        delays.append(seconds)
        if len(delays) == 3:
            (tmp_path / "run" / "next.sock").rename(place)

    monkeypatch.setattr(client.time, "sleep", sleep)
    with again:
        driver.remove("data")
    assert delays == [1, 2, 4]
    assert again.called("VolumeDriver.Remove") == 1
    with pytest.raises(Unavailable, match="cannot be reached"):
        driver.get("data")  # whoever only looks does not wait
    assert delays == [1, 2, 4]


def test_a_plugin_that_never_answers_is_given_up(
    shelf: Shelf[VolumeDriver], plugin: VolumePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make(shelf)
    driver.create("data", {})
    over = threading.Event()
    plugin.answers["VolumeDriver.Mount"] = lambda _: {"Err": str(over.wait(20))}
    monkeypatch.setattr("transom_remote.driver.LONG", 0.05)
    with pytest.raises(Unavailable, match=r'"paint" has not answered VolumeDriver\.Mount in 0 seconds'):
        driver.mount("data", "container")
    over.set()


# What the engine makes of it


@pytest.fixture
def volumes(tmp_path: Path, shelf: Shelf[VolumeDriver]) -> Iterator[VolumeStore]:
    db = GraphDB(tmp_path / "graph.db")
    yield VolumeStore(db, shelf)
    db.close()


def test_a_volume_of_a_plugin_has_its_scope_and_status(volumes: VolumeStore, plugin: VolumePlugin) -> None:
    made = volumes.create("data", "paint", {"colour": "red"})
    assert (made.scope, made.status, made.mountpoint) == ("global", {"users": 0}, str(plugin.root / "data"))
    assert volumes.list() == [made]


def test_the_engine_says_what_a_plugin_failed_to_do_with_which_volume(
    volumes: VolumeStore, plugin: VolumePlugin
) -> None:
    with pytest.raises(DriverFailed, match=r"^create data: unknown option size$"):
        volumes.create("data", "paint", {"size": "1"})
    volumes.create("data", "paint")
    plugin.answers["VolumeDriver.Mount"] = {"Err": "wet paint"}
    with pytest.raises(DriverFailed, match=rf"^error while mounting volume '{plugin.root}/data': wet paint$"):
        volumes.mount("data", "container")
    plugin.answers["VolumeDriver.Remove"] = {"Err": "still dripping"}
    with pytest.raises(DriverFailed, match=r"^remove data: still dripping$"):
        volumes.remove("data")


def test_a_volume_of_a_plugin_that_is_gone_stays_and_can_be_forgotten(
    volumes: VolumeStore, plugin: VolumePlugin, tmp_path: Path
) -> None:
    made = volumes.create("data", "paint")
    (tmp_path / "run" / "paint.sock").unlink()
    (left,) = volumes.list()
    assert (left.name, left.driver, left.mountpoint, left.created) == ("data", "paint", "", made.created)
    with pytest.raises(NotFound, match="no volume driver is named 'paint'"):
        volumes.remove("data")
    volumes.remove("data", force=True)
    assert volumes.list() == []
    assert (plugin.root / "data").is_dir()


def test_a_volume_that_a_plugin_had_before_is_taken_over_and_never_cleaned_up(
    volumes: VolumeStore, plugin: VolumePlugin
) -> None:
    (plugin.root / "data").mkdir()
    (plugin.root / "data" / "precious").touch()

    def die(_asked: object) -> dict[str, object]:
        raise AssertionError("a volume that is there is not made again")

    plugin.answers["VolumeDriver.Create"] = die
    assert volumes.create("data", "paint").ready
    volumes.recover()
    assert (plugin.root / "data" / "precious").exists()


def test_a_plugin_that_comes_back_at_another_place_is_found(
    volumes: VolumeStore, tmp_path: Path, plugin: VolumePlugin
) -> None:
    volumes.create("data", "paint")
    (tmp_path / "run" / "paint.sock").unlink()
    with VolumePlugin(plugin.root, tmp_path / "elsewhere.sock") as moved:
        write(tmp_path / "etc" / "paint.spec", f"unix://{tmp_path}/elsewhere.sock")
        assert volumes.mount("data", "container") == plugin.root / "data"
    assert moved.called("VolumeDriver.Mount") == 1
