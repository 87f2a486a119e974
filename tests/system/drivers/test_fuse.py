"""What is particular to the graph driver `fuse`: its servers, its format, and where it says that it cannot work."""

from __future__ import annotations

import errno
import os
import queue
import select
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.fuse import kill_server, server_of
from transom.drivers.graph import Change, ChangeKind, GraphDriver
from transom.errors import DriverUnavailable, Unavailable
from transom.runtime.syscalls.mounts import MNT_DETACH, is_mount_point, mount, umount2
from transom.testing.archives import directory, file, hard_link, layer_archive, opaque, whiteout
from transom.testing.trees import describe, edit, mounts_below
from transom_fuse import driver as fuse_driver
from transom_fuse import probe
from transom_fuse.driver import FuseDriver
from transom_overlay.driver import OverlayDriver

Opener = Callable[..., GraphDriver]

#: What `edit` needs to be there.
EDITED = [directory("etc"), file("etc/changed"), file("etc/deleted"), directory("replaced"), file("replaced/old")]
EDITED += [directory("deleted"), file("deleted/file")]


@pytest.fixture
def opened(tmp_path: Path, private_mounts: None) -> Iterator[Opener]:
    """Open a driver on the same layers again and again."""
    for name in ("root", "mounts", "overlay-mounts"):
        (tmp_path / name).mkdir()
    made: list[GraphDriver] = []

    def make(kind: type[GraphDriver] = FuseDriver) -> GraphDriver:
        made.append(kind(tmp_path / "root", tmp_path / ("mounts" if kind is FuseDriver else "overlay-mounts")))
        return made[-1]

    yield make
    for driver in made:
        driver.recover(())
        driver.close()
    assert mounts_below(tmp_path) == []


@pytest.fixture
def driver(opened: Opener) -> GraphDriver:
    return opened()


# The format of layers


@pytest.mark.parametrize(("writer", "reader"), [(FuseDriver, OverlayDriver), (OverlayDriver, FuseDriver)])
def test_a_layer_that_one_has_written_is_read_by_the_other(
    opened: Opener, writer: type[GraphDriver], reader: type[GraphDriver]
) -> None:
    writes, reads = opened(writer), opened(reader)
    writes.create("base", None)
    writes.apply("base", layer_archive(*EDITED, directory("moved"), file("moved/file", b"moved")))
    writes.create("middle", "base")
    writes.apply("middle", layer_archive(directory("moved"), file("moved/middle"), whiteout("gone"), opaque("opaque")))
    writes.create("layer", "middle")
    with writes.mounted("layer") as path:
        edit(path)
        # mv(1) does what the kernel's overlayfs leaves to its users.
        subprocess.run(["mv", path / "moved", path / "etc" / "moved"], check=True)
        (path / "moved").mkdir()
        os.setxattr(path / "moved", "user.test", b"value")
        wanted = describe(path)
    assert reads.changes("layer") == writes.changes("layer")
    assert b"".join(reads.diff("layer")) == b"".join(writes.diff("layer"))
    with reads.mounted("layer") as path:
        assert describe(path) == wanted
        (path / "etc" / "added").unlink()
        (path / "etc" / "moved" / "file").write_text("changed")
        (path / "more").touch()
        wanted = describe(path)
    with writes.mounted("layer") as path:
        assert describe(path) == wanted


# Servers


def test_a_mount_lives_on_without_the_daemon_and_is_found_again(opened: Opener) -> None:
    first = opened()
    first.create("layer", None)
    path = first.mount("layer")
    (path / "before").touch()
    first.close()
    first.close = lambda: None  # type: ignore[method-assign]
    (path / "between").touch()
    again = opened()
    lost: queue.Queue[str] = queue.Queue()
    again.on_loss = lost.put
    again.recover({"layer"})
    assert again.mount("layer") == path
    assert {item.name for item in path.iterdir()} == {"before", "between"}
    kill_server(again.mounts, "layer")
    assert lost.get(timeout=20) == "layer"


def test_a_killed_server_is_an_error_to_whoever_uses_the_mount_until_it_is_mounted_again(driver: GraphDriver) -> None:
    lost: queue.Queue[str] = queue.Queue()
    driver.on_loss = lost.put
    driver.create("layer", None)
    path = driver.mount("layer")
    open_file = os.open(path / "file", os.O_WRONLY | os.O_CREAT)
    os.write(open_file, b"before")
    kill_server(driver.mounts, "layer")
    for use in (lambda: os.write(open_file, b"after"), (path / "new").touch, lambda: os.close(open_file)):
        with pytest.raises(OSError, match="Transport endpoint") as failure:
            use()
        assert failure.value.errno == errno.ENOTCONN
    assert lost.get(timeout=20) == "layer"
    assert driver.usage("layer").inodes == 1
    assert (driver.mount("layer") / "file").read_bytes() == b"before"
    driver.unmount("layer")
    assert lost.empty()


def test_a_server_ends_with_its_mount(driver: GraphDriver) -> None:
    driver.create("layer", None)
    driver.mount("layer")
    descriptor = os.pidfd_open(server_of(driver.mounts, "layer"))
    driver.unmount("layer")
    assert select.select([descriptor], [], [], 20)[0]
    os.close(descriptor)


def test_recovery_takes_away_mounts_that_nobody_serves(opened: Opener) -> None:
    driver = opened()
    for layer in ("known", "unknown"):
        driver.create(layer, None)
        driver.mount(layer)
        kill_server(driver.mounts, layer)
    again = opened()
    again.recover({"known"})
    assert not is_mount_point(again.mounts / "known")
    assert mounts_below(again.mounts) == []
    (again.mount("known") / "file").touch()


def test_a_server_that_cannot_start_leaves_no_mount(driver: GraphDriver) -> None:
    driver.create("layer", None)
    (driver.root / "layer" / "work").rmdir()
    with pytest.raises(Unavailable, match=r"no server .* No such file"):
        driver.mount("layer")
    assert mounts_below(driver.mounts) == []
    assert [path.name for path in driver.mounts.iterdir()] == [".servers"]
    assert [path.name for path in (driver.mounts / ".servers").iterdir()] == ["log"]


def test_a_full_disk_reaches_the_writer(tmp_path: Path, opened: Opener) -> None:
    mount("tmpfs", tmp_path / "root", "tmpfs", 0, "size=1m")
    driver = opened()
    driver.create("below", None)
    driver.apply("below", layer_archive(file("large", bytes(range(1, 101)) * 7000)))
    driver.create("layer", "below")
    path = driver.mount("layer")
    with pytest.raises(OSError, match="No space"), open(path / "new", "wb", buffering=0) as new:
        while True:
            new.write(bytes(65536))
    # Nor can it be copied up, and it stays as it is.
    with pytest.raises(OSError, match="No space"):
        (path / "large").chmod(0o600)
    assert (path / "large").stat().st_size == 700_000
    (path / "new").unlink()
    driver.recover(())
    umount2(tmp_path / "root", MNT_DETACH)


def test_what_changes_in_a_layer_below_is_an_error_where_it_is_wanted_and_nowhere_else(driver: GraphDriver) -> None:
    driver.create("below", None)
    below = [
        directory("gone"),
        file("gone/file"),
        directory("led-out"),
        file("led-out/hostname"),
        file("kept", b"kept"),
    ]
    driver.apply("below", layer_archive(*below, file("removed"), file("replaced", b"content"), file("grown")))
    driver.create("layer", "below")
    diff = driver.root / "below" / "diff"
    with driver.mounted("layer") as path:
        assert len(list(path.iterdir())) == 6
        (diff / "removed").unlink()
        (diff / "replaced").unlink()
        (diff / "replaced").mkdir()
        (diff / "grown").write_text("grown")
        for name in ("gone", "led-out"):
            shutil.rmtree(diff / name)
        (diff / "led-out").symlink_to("/etc")
        for name in ("removed", "replaced", "gone/file", "led-out/hostname"):
            for act in ((path / name).read_bytes, lambda name=name: (path / name).write_text("new")):
                # ENOENT, ENOTDIR or EISDIR.
                with pytest.raises(OSError, match=r"^\[Errno (2|20|21)\]"):
                    act()
        (path / "removed").unlink()
        (path / "removed").write_text("again")
        assert [(path / name).read_text() for name in ("kept", "removed")] == ["kept", "again"]
        server_of(driver.mounts, "layer")
    with driver.mounted("layer") as path:
        assert (path / "grown").read_text() == "grown"
        assert (path / "led-out").is_symlink()
    assert (driver.mounts / ".servers" / "log").read_text() == ""


def test_libfuse_2_serves_where_there_is_no_other(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSE_LIBRARY_PATH", "libfuse.so.2")
    driver = opened()
    driver.create("below", None)
    driver.apply("below", layer_archive(*EDITED, file("one", b"one file"), hard_link("two", "one")))
    driver.create("layer", "below")
    with driver.mounted("layer") as path:
        server = server_of(driver.mounts, "layer")
        assert "libfuse.so.2" in Path(f"/proc/{server}/maps").read_text()
        edit(path)
        (path / "third").hardlink_to(path / "one")
        (path / "third").chmod(0o600)
        assert stat.S_IMODE((path / "one").stat().st_mode) == 0o600
        wanted = describe(path)
    monkeypatch.delenv("FUSE_LIBRARY_PATH")
    with opened().mounted("layer") as path:
        assert "libfuse3" in Path(f"/proc/{server_of(driver.mounts, 'layer')}/maps").read_text()
        assert describe(path) == wanted


# Without root, and without what is needed


def test_an_unprivileged_user_mounts_unions_in_a_user_namespace(private_mounts: None) -> None:
    script = """
import os, signal, stat, sys
from pathlib import Path
from transom.runtime.syscalls.mounts import mount, umount2
from transom.runtime.syscalls.processes import CLONE_NEWNS, CLONE_NEWUSER, set_parent_death_signal, unshare
from transom_fuse import probe
from transom_fuse.binding import serve
from transom_fuse.union import Union

base, user = Path(sys.argv[1]), 65534
mount("tmpfs", base, "tmpfs", 0, f"mode=700,uid={user},gid={user}")
probe.DEVICE = str(base / "fuse")
# As where udev has made it.
os.mknod(probe.DEVICE, stat.S_IFCHR | 0o666, os.stat("/dev/fuse").st_rdev)
os.chmod(probe.DEVICE, 0o666)
asking, asked = os.pipe()
answering, answered = os.pipe()
child = os.fork()
if child:
    os.close(asked)
    if not os.read(asking, 1):
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    Path(f"/proc/{child}/setgroups").write_text("deny")
    for kind in ("uid", "gid"):
        Path(f"/proc/{child}/{kind}_map").write_text(f"0 {user} 1")
    os.write(answered, b".")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
try:
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
except OSError as error:
    print(error.strerror)
    sys.exit(77)
os.write(asked, b".")
os.read(answering, 1)
probe.probe_fuse(base)
for name in ("lower", "lower/directory", "upper", "work", "target"):
    (base / name).mkdir()
(base / "lower/file").write_text("lower")
device = os.open(probe.DEVICE, os.O_RDWR)
probe.mount_device(device, base / "target", read_only=False)
if os.fork() == 0:
    # It holds the mount, so nothing else would end it if a check below fails.
    set_parent_death_signal(signal.SIGKILL)
    serve(device, Union([base / "lower"], base / "upper", base / "work"))
    os._exit(0)
os.close(device)
os.chdir(base / "target")
assert Path("file").read_text() == "lower"
Path("file").unlink()
Path("directory").rmdir()
Path("directory").mkdir()
Path("directory/new").write_text("new")
os.chdir("/")
umount2(base / "target", 0)
os.wait()
assert (base / "upper/file").is_char_device()
assert os.getxattr(base / "upper/directory", "user.overlay.opaque") == b"y"
"""
    with tempfile.TemporaryDirectory() as base:
        command = ["unshare", "--mount", sys.executable, "-c", script, base]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 77:
        pytest.skip(f"unprivileged users make no user namespaces here: {done.stdout.strip()}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (errno.ENOENT, "there is no /dev/fuse: run modprobe fuse"),
        (errno.ENODEV, "the kernel has no FUSE: run modprobe fuse"),
        (errno.EPERM, r"/dev/fuse cannot be opened \(Operation not permitted\): run as root"),
    ],
)
def test_what_stands_in_the_way_of_the_device_is_said_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int, reason: str
) -> None:
    real = os.open

    def refuse(path: object, flags: int, *more: int, **options: int) -> int:
        if path == "/dev/fuse":
            raise OSError(answer, os.strerror(answer))
        return real(path, flags, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DriverUnavailable, match=reason):
        FuseDriver.probe(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_libfuse_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSE_LIBRARY_PATH", "libfuse3.so.99")
    with pytest.raises(DriverUnavailable, match="libfuse is not installed: install it"):
        FuseDriver.probe(tmp_path)


def test_mounts_that_are_refused_are_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(probe, "mount", refuse)
    with pytest.raises(DriverUnavailable, match=r"mounting by FUSE was refused .*: run as root"):
        FuseDriver.probe(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_keep_whiteouts_is_refused(
    driver: GraphDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A union itself takes no whiteouts.
    driver.create("one", None)
    with driver.mounted("one") as path:
        with pytest.raises(DriverUnavailable, match=r"\(fuse\) cannot keep what a layer deletes.*data root"):
            FuseDriver.probe(path)
        assert list(path.iterdir()) == []


def test_a_read_only_mount_refuses_writes(driver: GraphDriver) -> None:
    driver.create("one", None)
    with driver.mounted("one", read_only=True) as path, pytest.raises(OSError, match="Read-only"):
        (path / "file").touch()


def test_a_driver_without_its_device_says_so_and_compares_layers_without_it(
    driver: GraphDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuse_driver, "DEVICE", "/dev/none")
    driver.create("one", None)
    driver.apply("one", layer_archive(file("kept"), file("gone")))
    driver.create("two", "one")
    driver.apply("two", layer_archive(file("kept", b"changed"), file("new"), whiteout("gone")))
    with pytest.raises(Unavailable, match="/dev/none"):
        driver.mount("two")
    assert mounts_below(driver.mounts) == []
    changes = [(b"/gone", ChangeKind.DELETED), (b"/kept", ChangeKind.MODIFIED), (b"/new", ChangeKind.ADDED)]
    assert driver.changes("two") == [Change(*change) for change in changes]
