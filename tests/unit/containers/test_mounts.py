"""Docker's short form of mounts, and how all mounts of a container add up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from transom.containers.model import Container, ContainerConfig, HostConfig, Mount, MountKind, Tmpfs
from transom.containers.mounts import check_mount, gather_mounts, inherit_mounts, parse_bind
from transom.errors import InvalidParameter, NotFound
from transom.graph.digest import Digest


def test_a_path_is_a_bind_whose_source_is_made() -> None:
    mount = parse_bind("/srv/../data:/data:ro,rslave")
    assert (mount.kind, mount.source, mount.destination) == (MountKind.BIND, "/data", "/data")
    assert (mount.read_only, mount.propagation, mount.create_source) == (True, "rslave", True)


def test_a_name_is_a_volume() -> None:
    mount = parse_bind("pages:/srv:nocopy")
    assert (mount.kind, mount.source, mount.copy, mount.read_only) == (
        MountKind.VOLUME,
        "pages",
        False,
        False,
    )


def test_a_destination_alone_is_an_anonymous_volume() -> None:
    mount = parse_bind("/srv")
    assert (mount.kind, mount.anonymous, len(mount.source)) == (MountKind.VOLUME, True, 64)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
        ("", "invalid volume specification"),
        (":/x", "invalid volume specification"),
        ("/a:relative", "mount path must be absolute"),
        ("/a:/", "destination can't be '/'"),
        ("/a:/b/..", "destination can't be '/'"),
        ("./a:/b", "use absolute path"),
        ("/a:/b:rx", "invalid mode: rx"),
        ("/a:/b:ro,rw", "invalid mode"),
        ("/a:/b:nocopy", "invalid mode"),
        ("name:/b:rshared", "invalid mode"),
        ("/a:/b:shared,private", "invalid mode"),
    ],
)
def test_what_cannot_be_mounted_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        parse_bind(text)


def test_an_image_volume_is_made_unless_something_is_mounted_there() -> None:
    mounts = gather_mounts([parse_bind("pages:/srv")], ["/srv/", "/var/lib"])
    assert [(mount.destination, mount.anonymous) for mount in mounts] == [("/srv", False), ("/var/lib", True)]


def test_two_mounts_at_one_path_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="Duplicate mount point: /srv"):
        gather_mounts([parse_bind("a1:/srv"), parse_bind("b1:/srv")], [])


def test_a_volume_without_a_name_gets_one() -> None:
    (mount,) = gather_mounts([Mount(MountKind.VOLUME, "/srv")], [])
    assert mount.anonymous
    assert len(mount.source) == 64


@pytest.fixture
def find() -> Callable[[str], Container]:
    """Find a container `donor` with a volume at /data, one that can only be read at /fixed, and a bind at /srv."""
    donor = Container(
        "d" * 64, "donor", 0, Digest.of(b""), ContainerConfig("image"), HostConfig(), "vfs", "chroot", "host", "local",
        mounts=(
            Mount(MountKind.VOLUME, "/data", "pages", driver="local", mode="z", mountpoint="/volumes/pages"),
            Mount(MountKind.VOLUME, "/fixed", "a" * 64, read_only=True, anonymous=True),
            Mount(MountKind.BIND, "/srv", "/machine", propagation="rslave"),
            Mount(MountKind.TMPFS, "/short", tmpfs=Tmpfs(options=("noexec", "nosuid", "nodev"))),
        ),
    )  # fmt: skip

    def find(name: str) -> Container:
        if name != "donor":
            raise NotFound(f"No such container: {name}")
        return donor

    return find


def test_mounts_of_another_container_are_inherited(find: Callable[[str], Container]) -> None:
    data, fixed, bind = inherit_mounts(["donor"], find)
    assert (data.source, data.copy, data.mode, data.mountpoint) == ("pages", False, "", "")
    assert [mount.read_only for mount in (data, fixed, bind)] == [False, True, False]
    assert (bind.source, bind.propagation) == ("/machine", "rslave")


@pytest.mark.parametrize("mode", ["ro", "ro,z", "Z,ro"])
def test_inherited_mounts_can_be_read_only(find: Callable[[str], Container], mode: str) -> None:
    assert all(mount.read_only for mount in inherit_mounts([f"donor:{mode}"], find))


def test_what_is_inherited_read_only_stays_so(find: Callable[[str], Container]) -> None:
    assert [mount.read_only for mount in inherit_mounts(["donor:rw"], find)] == [False, True, False]


@pytest.mark.parametrize("text", ["", ":ro", "donor:rx", "donor:ro,rw", "donor:rshared", "donor:nocopy"])
def test_a_wrong_way_of_inheriting_is_refused(find: Callable[[str], Container], text: str) -> None:
    with pytest.raises(InvalidParameter):
        inherit_mounts([text], find)


def test_what_is_asked_for_takes_the_place_of_what_is_inherited(find: Callable[[str], Container]) -> None:
    mounts = gather_mounts([parse_bind("mine:/data")], ["/fixed", "/more"], inherit_mounts(["donor"], find))
    assert {mount.destination: mount.source for mount in mounts if mount.destination != "/more"} == {
        "/data": "mine",
        "/fixed": "a" * 64,
        "/srv": "/machine",
    }


@pytest.mark.parametrize(
    ("source", "subpath", "sentence"),
    [
        ("", "part", "must not set Subpath when using anonymous volumes"),
        ("pages", "/part", "subpath must be a relative path within the volume"),
        ("pages", "a/../../b", "subpath must be a relative path within the volume"),
        ("pages", "..", "subpath must be a relative path within the volume"),
    ],
)
def test_a_part_that_is_not_within_a_volume_is_refused(source: str, subpath: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        check_mount(Mount(MountKind.VOLUME, "/x", source, subpath=subpath))
