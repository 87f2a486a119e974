"""Docker's short form of mounts, and how all mounts of a container add up."""

from __future__ import annotations

import pytest

from transom.containers.model import Mount, MountKind
from transom.containers.mounts import gather_mounts, parse_bind
from transom.errors import InvalidParameter


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
