"""The values of flags, -v and --mount."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom_cli import values
from transom_cli.mounts import mount, split_volumes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("64", 64),
        ("64b", 64),
        ("1k", 1024),
        ("1.5m", 1572864),
        ("2GB", 2 << 30),
        ("1 GiB", 1 << 30),
    ],
)
def test_a_size_has_binary_units(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("x", "invalid size: 'x'"),
        ("-1", "invalid size: '-1'"),
        ("k", "invalid size: 'k'"),
        ("1z", "invalid suffix: 'z'"),
        ("1kk", "invalid suffix: 'kk'"),
        ("1Bi", "invalid suffix: 'bi'"),
        ("1.5.5", 'strconv.ParseFloat: parsing "1.5.5": invalid syntax'),
        ("a1", 'strconv.ParseFloat: parsing "a1": invalid syntax'),
    ],
)
def test_what_is_no_size_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        values.size(text)


@given(st.integers(0, 2**40))
def test_a_number_of_bytes_is_itself(number: int) -> None:
    assert values.size(str(number)) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nofile=5", {"Name": "nofile", "Soft": 5, "Hard": 5}),
        ("nofile=5:6", {"Name": "nofile", "Soft": 5, "Hard": 6}),
        ("core=-1", {"Name": "core", "Soft": -1, "Hard": -1}),
        ("core=5:-1", {"Name": "core", "Soft": 5, "Hard": -1}),
    ],
)
def test_an_ulimit_has_a_soft_and_a_hard_limit(text: str, expected: dict[str, object]) -> None:
    assert values.ulimit(text) == expected


@pytest.mark.parametrize("text", ["nofile", "foo=1", "nofile=x", "nofile=6:5", "nofile=1:2:3", "nofile=-1:5"])
def test_a_wrong_ulimit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ulimit|invalid syntax|too many"):
        values.ulimit(text)


@pytest.mark.parametrize(
    ("text", "inside", "permissions"),
    [
        ("/dev/a", "/dev/a", "rwm"),
        ("/dev/a:/dev/b", "/dev/b", "rwm"),
        ("/dev/a:r", "/dev/a", "r"),
        ("/dev/a:/dev/b:rw", "/dev/b", "rw"),
    ],
)
def test_a_device_has_a_path_inside_and_permissions(text: str, inside: str, permissions: str) -> None:
    assert values.device(text) == {
        "PathOnHost": "/dev/a",
        "PathInContainer": inside,
        "CgroupPermissions": permissions,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad format for path: "),
        (":/x", "bad format for path: :/x"),
        ("/a:/b:r:w", "bad format for path: /a:/b:r:w"),
        ("/a:/b:x", "bad mode specified: x"),
        ("/a:/b:rr", "bad mode specified: rr"),
        ("/a:b", "b is not an absolute path"),
        ("vendor.example/class=name", "vendor.example/class=name is not an absolute path"),
    ],
)
def test_a_wrong_device_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        values.device(text)


def test_only_parameters_of_namespaces_are_let_through() -> None:
    assert values.sysctl("net.core.somaxconn=5") == "net.core.somaxconn=5"
    assert values.sysctl("kernel.shmmax=5=6") == "kernel.shmmax=5=6"
    for text in ("kernel.panic=1", "net.core.somaxconn", "fs.file-max=1"):
        with pytest.raises(ValueError, match=f"^sysctl '{text}' is not allowed"):
            values.sysctl(text)


def test_variables_of_files_come_before_those_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("\ufeff# comment\n\n  A=1 # not a comment\nHOME\nNOT_SET\n")
    found = values.read_environment((str(file),), ("B=2", "HOME", "UNSET"), {"HOME": "/h"})
    assert found == ["A=1 # not a comment", "HOME=/h", "B=2", "HOME=/h", "UNSET"]


@pytest.mark.parametrize("line", ["=x", "a b=c", "a=\udcff"])
def test_a_file_with_a_wrong_name_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "env").write_bytes(line.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="invalid env file"):
        values.read_environment((str(tmp_path / "env"),), (), {})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ValueError, match="open /nope: no such file or directory"):
        values.read_labels(("/nope",), ())


def test_a_volume_with_a_source_is_a_bind_and_one_without_is_anonymous() -> None:
    binds, anonymous = split_volumes(("/a:/b:ro", "name:/c", "/d", "."))
    assert (binds, anonymous) == (["/a:/b:ro", "name:/c"], {"/d": {}, ".": {}})


def test_a_relative_source_is_a_path_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_volumes(("./x:/y",))[0] == [f"{tmp_path}/x:/y"]
    assert mount("type=bind,src=.,dst=/y")["Source"] == str(tmp_path)


def test_a_mount_is_a_line_of_comma_separated_values() -> None:
    assert mount('type=volume,"source=a,b",target=/x,volume-opt=o=1,volume-label=l,volume-nocopy,ro') == {
        "Type": "volume",
        "Source": "a,b",
        "Target": "/x",
        "ReadOnly": True,
        "VolumeOptions": {"NoCopy": True, "Labels": {"l": ""}, "DriverConfig": {"Options": {"o": "1"}}},
    }


def test_a_tmpfs_has_a_size_and_an_octal_mode() -> None:
    assert mount("type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1770")["TmpfsOptions"] == {
        "SizeBytes": 1 << 20,
        "Mode": 0o1770,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=bind", "target is required"),
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("dst=/x,bogus=1", "unexpected key 'bogus' in 'bogus=1'"),
        ("dst=/x,bind-bogus=1", "unexpected key 'bind-bogus' in 'bind-bogus=1'"),
        ("dst=/x,readonly=maybe", "invalid value for readonly: maybe"),
        ("type=tmpfs,dst=/x,tmpfs-size=zz", "invalid value for tmpfs-size: zz"),
        ("type=tmpfs,dst=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("dst=/x,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        ("type=bind,dst=/x,bind-recursive=no", "invalid value for bind-recursive: no"),
        ("type=bind,dst=/x,bind-recursive=readonly", "option 'bind-recursive=readonly' requires 'readonly'"),
    ],
)
def test_a_wrong_mount_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        mount(text)
