"""Volumes: their names, what is recorded of them, who uses them, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from transom import records
from transom.catalog import Shelf
from transom.drivers.volume import VolumeDriver
from transom.errors import Conflict, InvalidParameter, NotFound, StorageFull
from transom.graph.db import GraphDB
from transom.plugins import Plugin
from transom.volumes import ANONYMOUS_LABEL, VolumeRecord, VolumeStore
from transom_named.driver import LocalDriver


class OtherDriver(LocalDriver):
    name: ClassVar[str] = "other"


class FailingDriver(LocalDriver):
    name: ClassVar[str] = "failing"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        raise StorageFull(f"no space for {name} {dict(options)}")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[GraphDB]:
    db = GraphDB(tmp_path / "graph.db")
    yield db
    db.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf[VolumeDriver]:
    shelf: Shelf[VolumeDriver] = Shelf("volume", tmp_path / "volumes")
    for driver in (LocalDriver, OtherDriver, FailingDriver):
        shelf.add(driver, Plugin(driver.name, driver.__module__, "", ""))
    return shelf


@pytest.fixture
def volumes(db: GraphDB, shelf: Shelf[VolumeDriver]) -> VolumeStore:
    return VolumeStore(db, shelf)


def use(db: GraphDB, container: str, volume: str) -> None:
    node = db.get("volume", volume)
    assert node is not None
    db.link(db.put("container", container, root=True), "uses", node)


def test_a_volume_is_what_was_asked_for(volumes: VolumeStore, tmp_path: Path) -> None:
    made = volumes.create("data", "local", {}, {"key": "value"})
    assert made.name == "data"
    assert made.driver == "local"
    assert made.labels == {"key": "value"}
    assert made.created > 0
    assert made.mountpoint == str(tmp_path / "volumes" / "local" / "data" / "_data")
    assert volumes.get("data") == made
    assert volumes.list() == [made]
    assert volumes.exists("data")


def test_a_volume_without_a_name_gets_one_and_is_labelled(volumes: VolumeStore) -> None:
    made = volumes.create(labels={"key": "value"})
    assert len(made.name) == 64
    assert made.labels == {"key": "value", ANONYMOUS_LABEL: ""}
    assert made.name != volumes.create().name


@pytest.mark.parametrize("name", ["ab", "A.b_c-1", "0" * 64])
def test_good_names(volumes: VolumeStore, name: str) -> None:
    assert volumes.create(name).name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a", "volume name is too short, names should be at least two alphanumeric characters"),
        (".a", "includes invalid characters for a local volume name"),
        ("../a", "use absolute path"),
        ("a/b", "includes invalid characters"),
        ("a b", "includes invalid characters"),
        ("ab\n", "includes invalid characters"),
        ("häß", "includes invalid characters"),
        ("a" * 300, "at most 240 characters"),
    ],
)
def test_bad_names_are_refused_and_change_nothing(volumes: VolumeStore, name: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        volumes.create(name)
    assert volumes.list() == []


def test_making_a_volume_again_returns_it(volumes: VolumeStore) -> None:
    made = volumes.create("data", labels={"a": "b"})
    assert volumes.create("data", labels={"other": "label"}) == made


def test_a_name_of_another_drivers_volume_is_taken(volumes: VolumeStore) -> None:
    volumes.create("data")
    with pytest.raises(
        Conflict, match=r"^create data: driver 'local' already has volume 'data': volume name must be unique$"
    ):
        volumes.create("data", "other")
    with pytest.raises(Conflict, match="other options"):
        volumes.create("data", options={"type": "tmpfs", "device": "tmpfs"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, 'invalid option: "colour"'),
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"o": "ro"}, 'missing required option: "device"'),
        ({"size": "1g"}, "quota size requested but no quota support"),
    ],
)
def test_wrong_options_are_refused_and_change_nothing(
    volumes: VolumeStore, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidParameter, match=message):
        volumes.create("data", options=options)
    assert volumes.list() == []
    assert not volumes.exists("data")


def test_an_unknown_driver_is_refused(volumes: VolumeStore) -> None:
    with pytest.raises(NotFound, match="no volume driver is named 'locl'; did you mean 'local'"):
        volumes.create("data", "locl")
    assert not volumes.exists("data")


def test_nothing_is_recorded_of_a_volume_that_could_not_be_made(volumes: VolumeStore, db: GraphDB) -> None:
    with pytest.raises(StorageFull):
        volumes.create("data", "failing")
    assert db.list("volume") == ()


def test_a_volume_that_only_the_driver_knows_survives_a_wrong_option(
    volumes: VolumeStore, shelf: Shelf[VolumeDriver]
) -> None:
    driver = shelf.get("local")(shelf.root("local"))
    driver.create("data", {})
    (driver.mount("data", "one") / "file").touch()
    with pytest.raises(InvalidParameter):
        volumes.create("data", options={"colour": "red"})
    volumes.create("data")
    assert (volumes.mount("data", "one") / "file").exists()


def test_a_removed_volume_is_gone(volumes: VolumeStore, tmp_path: Path) -> None:
    volumes.create("data")
    (volumes.mount("data", "c") / "file").touch()
    removed = volumes.remove("data")
    assert removed is not None
    assert removed.name == "data"
    assert list((tmp_path / "volumes" / "local").iterdir()) == []
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.get("data")


def test_a_volume_that_a_container_uses_is_not_removed(volumes: VolumeStore, db: GraphDB) -> None:
    volumes.create("data")
    use(db, "c0ffee", "data")
    for force in (False, True):
        with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c0ffee\]"):
            volumes.remove("data", force)
    db.remove("container", "c0ffee")
    volumes.remove("data")
    assert volumes.list() == []


def test_removing_what_does_not_exist_is_an_error_unless_forced(volumes: VolumeStore) -> None:
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.remove("data")
    assert volumes.remove("data", force=True) is None


def test_a_volume_whose_driver_is_gone_is_shown_and_removed_by_force(
    db: GraphDB, volumes: VolumeStore, tmp_path: Path
) -> None:
    volumes.create("data", "other")
    empty = VolumeStore(db, Shelf("volume", tmp_path / "volumes"))
    assert empty.get("data").mountpoint == ""
    with pytest.raises(NotFound, match="no volume driver is named 'other'"):
        empty.remove("data")
    assert empty.exists("data")
    empty.remove("data", force=True)
    assert not empty.exists("data")


def test_lists_are_filtered(volumes: VolumeStore, db: GraphDB) -> None:
    volumes.create("web-data", labels={"tier": "web", "env": "test"})
    volumes.create("db-data", "other", labels={"tier": "db", "env": "test"})
    volumes.create("cache")
    use(db, "c0ffee", "db-data")

    def names(**filters: str | tuple[str, ...]) -> list[str]:
        found = volumes.list({key: (value,) if isinstance(value, str) else value for key, value in filters.items()})
        return [volume.name for volume in found]

    assert names() == ["cache", "db-data", "web-data"]
    assert names(dangling="true") == names(dangling="1") == ["cache", "web-data"]
    assert names(dangling="false") == ["db-data"]
    assert names(driver="other") == ["db-data"]
    assert names(label="tier") == ["db-data", "web-data"]
    assert names(label=("env=test", "tier=web")) == ["web-data"]
    assert names(name="data") == ["db-data", "web-data"]
    assert names(name="^web") == ["web-data"]
    assert names(name=("cache", "web")) == ["cache", "web-data"]
    assert names(name="data", dangling="true") == ["web-data"]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"colour": ("red",)}, "invalid filter 'colour'"),
        ({"dangling": ("maybe",)}, "invalid filter 'dangling=maybe'"),
        ({"dangling": ("true", "false")}, "invalid filter 'dangling=true, false'"),
        ({"name": ("(",)}, "invalid filter 'name="),
    ],
)
def test_wrong_filters_are_refused(volumes: VolumeStore, filters: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        volumes.list(filters)


def test_mounting_an_unknown_volume_is_an_error_and_unmounting_it_is_not(volumes: VolumeStore) -> None:
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.mount("data", "container")
    volumes.unmount("data", "container")


def test_a_new_volume_starts_with_the_images_content(volumes: VolumeStore, tmp_path: Path) -> None:
    source = tmp_path / "image"
    (source / "directory").mkdir(parents=True)
    (source / "directory" / "file").write_text("of the image")
    source.chmod(0o1770)
    volumes.create("data")
    path = volumes.mount("data", "one")
    volumes.populate(path, source)
    assert (path / "directory" / "file").read_text() == "of the image"
    assert path.stat().st_mode & 0o7777 == 0o1770


def test_a_volume_with_content_is_not_filled(volumes: VolumeStore, tmp_path: Path) -> None:
    source = tmp_path / "image"
    source.mkdir()
    (source / "file").write_text("of the image")
    volumes.create("data")
    path = volumes.mount("data", "one")
    (path / "own").touch()
    volumes.populate(path, source)
    assert [item.name for item in path.iterdir()] == ["own"]


@pytest.mark.parametrize("made", [True, False])
def test_what_was_being_made_or_removed_is_removed_by_the_next_engine(
    db: GraphDB, shelf: Shelf[VolumeDriver], volumes: VolumeStore, tmp_path: Path, made: bool
) -> None:
    volumes.create("kept")
    if made:
        shelf.get("local")(shelf.root("local")).create("half", {})
    else:
        (tmp_path / "volumes" / "local" / ".half.new").mkdir()
    db.put("volume", "half", records.dump(VolumeRecord("half", "local")), root=True)
    assert not volumes.exists("half")
    again = VolumeStore(db, shelf)
    again.recover()
    assert [volume.name for volume in again.list()] == ["kept"]
    assert [path.name for path in (tmp_path / "volumes" / "local").iterdir()] == ["kept"]
    assert db.get("volume", "half") is None
