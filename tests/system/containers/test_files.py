"""The files of containers over the API: archives both ways, changes and exports, and what goes wrong with them."""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import struct
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from testbed.daemon import GRAPHDRIVER, Daemon

#: `cap_net_bind_service=ep` as the kernel keeps it (struct vfs_cap_data, revision 2).
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
PAIRS = [(graph, execution) for graph in (GRAPHDRIVER, "vfs") for execution in ("namespaces", "chroot")]


class Api:
    """One daemon's API, as raw as it is."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def open(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("transom")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(str(self.daemon.socket))
        return connection

    def request(self, method: str, target: str, body: Any = None) -> tuple[int, Any, bytes]:
        connection = self.open()
        try:
            connection.request(method, target, body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def stat(self, container: str, path: str | bytes) -> dict[str, Any] | None:
        status, headers, _ = self.request("HEAD", f"/containers/{container}/archive?path={quote(path)}")
        return json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"])) if status == 200 else None

    def get(self, container: str, path: str | bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        status, _, body = self.request("GET", f"/containers/{container}/archive?path={quote(path)}")
        assert status == 200, body
        return members(body)

    def put(self, container: str, path: str, body: Any, query: str = "") -> tuple[int, str]:
        status, _, answer = self.request("PUT", f"/containers/{container}/archive?path={quote(path)}{query}", body)
        return status, json.loads(answer)["message"] if answer else ""

    def changes(self, container: str) -> set[tuple[str, int]]:
        _, _, body = self.request("GET", f"/containers/{container}/changes")
        return {(change["Path"], change["Kind"]) for change in json.loads(body) or ()}


def members(archive: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            found[member.name] = (member, content.read() if content else b"")
    return found


def tar(*entries: tuple[str, Any], compression: str = "") -> bytes:
    """Return an archive: a file by its content, anything else by the fields of its entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}", errors="surrogateescape") as archive:  # type: ignore[call-overload]
        for name, what in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o644
            if isinstance(what, bytes):
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
                continue
            for field, value in what.items():
                setattr(info, field, value)
            archive.addfile(info)
    return buffer.getvalue()


def directory(**fields: Any) -> dict[str, Any]:
    return {"type": tarfile.DIRTYPE, "mode": 0o755, **fields}


def link(target: str) -> dict[str, Any]:
    return {"type": tarfile.SYMTYPE, "linkname": target}


@pytest.fixture(scope="module")
def api(daemon: Daemon) -> Api:
    return Api(daemon)


@pytest.fixture
def create(daemon: Daemon) -> Iterator[Any]:
    """Make a container, which is removed at the end."""
    made: list[str] = []

    def make(*options: str, command: tuple[str, ...] = ("sleep", "1000"), start: bool = False) -> str:
        made.append(daemon.docker("create", *options, daemon.busybox, *command).stdout.strip())
        if start:
            daemon.docker("start", made[-1])
        return made[-1]

    yield make
    if made:
        daemon.docker("rm", "-fv", *made, check=False)


@pytest.fixture(params=[False, True], ids=["stopped", "running"])
def container(request: pytest.FixtureRequest, create: Any) -> str:
    return str(create(start=request.param))


def test_what_is_put_is_got(api: Api, container: str) -> None:
    archive = tar(("d", directory(uid=7, gid=8, mtime=1000)), ("d/file", b"content"), ("d/link", link("/d/file")))
    assert api.put(container, "/tmp", archive) == (200, "")
    found = api.get(container, "/tmp/d")
    assert list(found) == ["d", "d/file", "d/link"]
    assert (found["d"][0].uid, found["d"][0].gid, found["d"][0].mtime) == (7, 8, 1000)
    assert found["d/file"][1] == b"content"
    assert found["d/link"][0].linkname == "/d/file"


@pytest.mark.parametrize(("graph", "execution"), PAIRS)
def test_all_drivers_show_the_same_files(api: Api, create: Any, daemon: Daemon, graph: str, execution: str) -> None:
    container = create("--storage-opt", f"driver={graph}", "--runtime", execution, start=True)
    assert api.put(container, "/data", tar(("new", b"put"))) == (200, "")
    assert daemon.docker("exec", container, "cat", "/data/new").stdout == "put"
    daemon.docker("exec", container, "rm", "/data/from-image")
    assert set(api.get(container, "/data/.")) == {".", "./new"}
    assert api.changes(container) == {("/data", 0), ("/data/from-image", 2), ("/data/new", 1)}
    _, _, exported = api.request("GET", f"/containers/{container}/export")
    assert {"data/new", "bin/busybox", "proc", "dev"} <= set(members(exported))


def test_what_a_running_container_sees_changes_at_once(api: Api, create: Any, daemon: Daemon) -> None:
    container = create(start=True)
    api.put(container, "/", tar(("etc/motd", b"hello")))
    assert daemon.docker("exec", container, "cat", "/etc/motd").stdout == "hello"
    daemon.docker("exec", container, "sh", "-c", "echo bye > /etc/motd")
    assert api.get(container, "/etc/motd")["motd"][1] == b"bye\n"


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_a_compressed_archive_is_put(api: Api, container: str, compression: str) -> None:
    assert api.put(container, "/", tar(("compressed", b"content"), compression=compression)) == (200, "")
    assert api.get(container, "/compressed")["compressed"][1] == b"content"


def test_files_of_every_kind_come_back_as_they_were(api: Api, container: str) -> None:
    archive = tar(
        ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("loop", {"type": tarfile.BLKTYPE, "devmajor": 7, "devminor": 0}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("\udcff\n=", b"any byte"),
        ("one", b"linked"),
        ("two", {"type": tarfile.LNKTYPE, "linkname": "one"}),
        ("able", {"pax_headers": {"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}}),
        ("tagged", {"pax_headers": {"SCHILY.xattr.user.tag": "value"}}),
        ("sticky", directory(mode=0o1777)),
    )
    assert api.put(container, "/tmp", archive) == (200, "")
    found = api.get(container, "/tmp/.")
    assert (found["./null"][0].devmajor, found["./null"][0].devminor) == (1, 3)
    assert found["./loop"][0].isblk()
    assert found["./pipe"][0].isfifo()
    assert found["./\udcff\n="][1] == b"any byte"
    assert found["./two"][0].islnk()
    assert (
        found["./able"][0].pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape")
        == CAPABILITY
    )
    assert found["./tagged"][0].pax_headers["SCHILY.xattr.user.tag"] == "value"
    assert found["./sticky"][0].mode == 0o1777
    assert api.get(container, b"/tmp/\xff\n=")["\udcff\n="][1] == b"any byte"


def test_a_sparse_file_stays_sparse(api: Api, create: Any, daemon: Daemon) -> None:
    container = create(start=True)
    daemon.docker("exec", container, "sh", "-c", "truncate -s 100M /tmp/sparse; echo end >> /tmp/sparse")
    _, _, body = api.request("GET", f"/containers/{container}/archive?path=/tmp/sparse")
    assert len(body) < 1 << 20
    assert api.put(container, "/data", body) == (200, "")
    assert daemon.docker("exec", container, "tail", "-c", "4", "/data/sparse").stdout == "end\n"
    assert int(daemon.docker("exec", container, "du", "-k", "/data/sparse").stdout.split()[0]) < 1024


# Mounts


def test_binds_and_volumes_are_there_and_what_is_put_goes_into_them(
    api: Api, create: Any, daemon: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("of the machine")
    container = create("-v", f"{tmp_path}:/bind", "-v", "filestest:/data", "--tmpfs", "/scratch")
    assert api.get(container, "/bind/outside")["outside"][1] == b"of the machine"
    assert api.get(container, "/data/from-image")["from-image"][1] == b"content of the image\n"
    assert api.put(container, "/data", tar(("new", b"in the volume"))) == (200, "")
    assert api.put(container, "/bind", tar(("new", b"on the machine"))) == (200, "")
    assert (tmp_path / "new").read_text() == "on the machine"
    assert ("/data/new", 1) not in api.changes(container)
    script = "cp /data/new /scratch/; sleep 1000"
    running = create("-v", "filestest:/data", "--tmpfs", "/scratch", command=("sh", "-c", script), start=True)
    # Docker does not show what is in a tmpfs either: only the container's processes have it.
    until = "while [ ! -s /scratch/new ]; do sleep 0.01; done; cat /scratch/new"
    assert daemon.docker("exec", running, "sh", "-c", until).stdout == "in the volume"
    assert api.stat(running, "/scratch/new") is None
    assert api.stat(running, "/proc/self") is None


def test_a_containers_own_files_are_there_once_it_was_started(api: Api, create: Any) -> None:
    container = create("--hostname", "named", start=True)
    assert api.get(container, "/etc/hostname")["hostname"][1] == b"named\n"
    status, message = api.put(container, "/etc", tar(("hostname", b"other")))
    assert status == 409
    assert "something is mounted there" in message


def test_what_is_read_only_stays_as_it_is(api: Api, create: Any, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    container = create("--read-only", "-v", f"{tmp_path}:/ro:ro", "-v", f"{tmp_path}:/rw", "-v", "/inner")
    assert api.put(container, "/tmp", tar(("x", b""))) == (400, "container rootfs is marked read-only")
    assert api.put(container, "/ro", tar(("x", b""))) == (400, "mounted volume is marked read-only")
    assert api.put(container, "/rw", tar(("x", b""))) == (200, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "x"]
    writable = create("-v", f"{tmp_path}:/outer/ro:ro")
    status, message = api.put(writable, "/outer", tar(("ro/kept", b"changed")))
    assert status == 403
    assert "read-only" in message
    assert (tmp_path / "kept").read_text() == "kept"


def test_what_a_copy_mounts_is_gone_afterwards(api: Api, create: Any, daemon: Daemon, tmp_path: Path) -> None:
    container = create("-v", f"{tmp_path}:/bind", "-v", "filestest:/data")
    before = Path(f"/proc/{daemon.process.pid}/mountinfo").read_text()  # type: ignore[union-attr]
    threads = len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir()))  # type: ignore[union-attr]
    for _ in range(3):
        api.stat(container, "/bind")
        api.get(container, "/data")
    assert Path(f"/proc/{daemon.process.pid}/mountinfo").read_text() == before  # type: ignore[union-attr]
    assert len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir())) <= threads + 2  # type: ignore[union-attr]
    assert not (daemon.exec_root / "shims" / container).exists()


# Paths


def test_nothing_leads_out_of_the_container(api: Api, container: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the machine")
    archive = tar(
        ("absolute", link(str(tmp_path))),
        ("relative", link("../" * 20 + str(tmp_path).lstrip("/"))),
        ("proc", link("/proc/self/root")),
        ("absolute/put", b"inside"),
    )
    assert api.put(container, "/tmp", archive) == (200, "")
    for path in ("absolute/secret", "relative/secret", f"proc{tmp_path}/secret", "../" * 20 + f"{tmp_path}/secret"):
        assert api.stat(container, f"/tmp/{path}") is None
    assert api.put(container, "/tmp/relative", tar(("more", b"inside"))) == (200, "")
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert set(api.get(container, f"{tmp_path}/.")) == {".", "./put", "./more"}


def test_a_container_that_swaps_a_directory_for_a_link_gets_nothing_out(
    api: Api, create: Any, daemon: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the machine")
    swap = f"mkdir -p /w/a; ln -s {tmp_path} /w/b; cd /w; while true; do mv a c; mv b a; mv a b; mv c a; done"
    container = create(command=("sh", "-c", swap), start=True)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        api.put(container, "/w", tar(("a/put", b"x")))
        for path in ("/w/a", "/w/a/secret", "/w/a/."):
            _, _, body = api.request("GET", f"/containers/{container}/archive?path={path}")
            assert b"of the machine" not in body
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_missing_path_is_not_found(api: Api, container: str) -> None:
    status, _, body = api.request("GET", f"/containers/{container}/archive?path=/nope")
    assert (status, json.loads(body)["message"]) == (404, f"Could not find the file /nope in container {container}")
    assert api.put(container, "/nope", tar()) == (404, f"Could not find the file /nope in container {container}")
    assert api.put(container, "/etc/passwd", tar()) == (400, "extraction point is not a directory")
    assert api.request("HEAD", "/containers/nope/archive?path=/")[0] == 404
    assert api.request("GET", "/containers/nope/changes")[0] == 404
    assert api.request("GET", "/containers/nope/export")[0] == 404


# Bad archives


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (tar(("../escaped", b"x")), "leads out"),
        (tar(("a/../../escaped", b"x")), "leads out"),
        (tar(("hard", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"})), "leads out"),
        (b"this is no archive" * 1000, "a number should be"),
        (tar(("whole", b"x" * 100_000))[:50_000], "cut off"),
        (b"\x1f\x8b\x08\x00 this is no gzip" * 100, "damaged"),
        (tar(("huge", {"size": 1 << 40})), "cut off"),
    ],
    ids=["up", "up in the middle", "hard link out", "garbage", "cut", "bad gzip", "a lie"],
)
def test_a_bad_archive_is_refused_and_nothing_is_put_outside(api: Api, create: Any, archive: bytes, says: str) -> None:
    container = create()
    status, message = api.put(container, "/tmp", archive)
    assert status == 500
    assert says in message
    assert {path for path, _ in api.changes(container)} <= {"/tmp", "/tmp/whole", "/tmp/huge", "/tmp/a"}


def test_directories_do_not_give_way_where_that_was_asked_for(api: Api, container: str) -> None:
    api.put(container, "/tmp", tar(("there", directory()), ("file", b"")))
    query = "&noOverwriteDirNonDir=true"
    assert api.put(container, "/tmp", tar(("there", b"")), query) == (
        400,
        'cannot overwrite directory "/tmp/there" with non-directory "/tmp"',
    )
    assert api.put(container, "/tmp", tar(("there", b""))) == (200, "")
    assert api.stat(container, "/tmp/there")["mode"] == 0o644  # type: ignore[index]


def test_what_is_put_belongs_to_the_containers_user_where_that_was_asked_for(api: Api, create: Any) -> None:
    container = create("--user", "alice")
    archive = tar(("file", {"uid": 5, "gid": 6}))
    api.put(container, "/tmp", archive)
    assert api.get(container, "/tmp/file")["file"][0].uid == 5
    api.put(container, "/tmp", archive, "&copyUIDGID=true")
    found = api.get(container, "/tmp/file")["file"][0]
    assert (found.uid, found.gid) == (1000, 1000)


# Clients that go away, and containers that do


def test_a_client_that_goes_away_leaves_nothing(api: Api, create: Any, daemon: Daemon) -> None:
    container = create(start=True)
    daemon.docker("exec", container, "sh", "-c", "dd if=/dev/urandom of=/tmp/big bs=1M count=64 2>/dev/null")
    for target in ("archive?path=/tmp", "export"):
        connection = api.open()
        connection.request("GET", f"/containers/{container}/{target}")
        assert connection.getresponse().read(1000)
        connection.close()
    connection = api.open()
    connection.putrequest("PUT", f"/containers/{container}/archive?path=/data")
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders()
    connection.send(tar(("whole", b"whole"), ("half", b"x" * (8 << 20)))[: 4 << 20])
    while api.stat(container, "/data/half") is None:
        time.sleep(0.01)
    connection.close()
    assert api.get(container, "/data/whole")["whole"][1] == b"whole"
    daemon.docker("rm", "-f", container)
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("running", [False, True])
def test_a_container_is_removed_while_a_client_does_not_read(
    api: Api, create: Any, daemon: Daemon, running: bool
) -> None:
    container = create(start=True)
    daemon.docker("exec", container, "sh", "-c", "dd if=/dev/urandom of=/tmp/big bs=1M count=64 2>/dev/null")
    if not running:
        daemon.docker("kill", container)
    reading, sending = api.open(), api.open()
    reading.request("GET", f"/containers/{container}/archive?path=/tmp")
    answer = reading.getresponse()
    sending.putrequest("PUT", f"/containers/{container}/archive?path=/data")
    sending.putheader("Content-Length", "1000000")
    sending.endheaders()
    sending.send(tar(("first", b"first"))[:1024])
    daemon.docker("rm", "-f", container, timeout=30)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    reading.close()
    sending.close()
    assert api.stat(container, "/") is None
    assert not (daemon.data_root / "graph" / GRAPHDRIVER / container).exists()


def test_a_container_stops_and_starts_while_its_files_are_read(api: Api, create: Any, daemon: Daemon) -> None:
    container = create("-v", "filestest:/data", start=True)
    daemon.docker("exec", container, "sh", "-c", "dd if=/dev/urandom of=/tmp/big bs=1M count=64 2>/dev/null")
    connection = api.open()
    connection.request("GET", f"/containers/{container}/archive?path=/tmp")
    answer = connection.getresponse()
    first = answer.read(1000)
    daemon.docker("restart", "-t", "0", container)
    daemon.docker("kill", container)
    assert len(members(first + answer.read())["tmp/big"][1]) == 64 << 20
    connection.close()
    daemon.docker("start", container)
    assert daemon.docker("exec", container, "cat", "/data/from-image").stdout == "content of the image\n"


def test_many_copy_at_once(api: Api, create: Any, daemon: Daemon) -> None:
    container = create(start=True)

    def copy(number: int) -> None:
        assert api.put(container, "/tmp", tar((f"d{number}", directory()), (f"d{number}/f", b"%d" % number))) == (
            200,
            "",
        )
        assert api.get(container, f"/tmp/d{number}")[f"d{number}/f"][1] == b"%d" % number

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(copy, range(64)))
    assert len(daemon.docker("exec", container, "ls", "/tmp").stdout.split()) == 64


def test_a_daemon_that_is_killed_while_files_are_copied_leaves_nothing(own_daemon: Daemon) -> None:
    api = Api(own_daemon)
    options = (
        "-v",
        "killed:/data",
        "--mount",
        "type=volume,src=mounted,dst=/m,volume-opt=type=tmpfs,volume-opt=device=tmpfs",
    )
    container = own_daemon.docker("create", *options, own_daemon.busybox, "true").stdout.strip()
    body = tar(("data/big", b"x" * (8 << 20)))
    connection = api.open()
    connection.putrequest("PUT", f"/containers/{container}/archive?path=/")
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders()
    connection.send(body[: 4 << 20])
    while api.stat(container, "/data/big") is None:
        time.sleep(0.01)
    own_daemon.kill()
    connection.close()
    own_daemon.start()
    below = f"{own_daemon.directory}/"
    assert [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if below in line] == []
    assert not (own_daemon.exec_root / "shims" / container).exists()
    own_daemon.docker("rm", container)
    own_daemon.docker("volume", "rm", "killed", "mounted")


# Changes and exports


def test_a_container_that_changed_nothing_has_no_changes(api: Api, create: Any, daemon: Daemon) -> None:
    container = create(command=("true",))
    daemon.docker("start", "-a", container)
    assert api.request("GET", f"/containers/{container}/changes")[2].strip() == b"null"


def test_mount_points_that_were_asked_for_are_changes(api: Api, create: Any, daemon: Daemon) -> None:
    container = create("-v", "/new/place", "--tmpfs", "/scratch", "-w", "/work", command=("true",))
    daemon.docker("start", "-a", container)
    assert api.changes(container) == {("/new", 1), ("/new/place", 1), ("/scratch", 1), ("/work", 1)}


def test_an_export_has_all_files_and_nothing_of_mounts(api: Api, create: Any, daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "outside").touch()
    script = "echo own > /own; rm /data/from-image; sleep 1000"
    container = create("-v", f"{tmp_path}:/bind", command=("sh", "-c", script), start=True)
    while api.stat(container, "/data/from-image"):
        time.sleep(0.01)
    exported = members(api.request("GET", f"/containers/{container}/export")[2])
    assert exported["own"][1] == b"own\n"
    assert exported["etc/hostname"][0].size == 0
    assert {"proc", "sys", "dev", "bind"} <= set(exported)
    assert not [
        name for name in exported if name.startswith(("proc/", "sys/", "dev/", "bind/")) or name == "data/from-image"
    ]


def test_events_say_what_was_copied(api: Api, create: Any, daemon: Daemon) -> None:
    container = create()
    since = str(time.time() - 0.001)
    api.stat(container, "/")
    api.get(container, "/tmp")
    api.put(container, "/tmp", tar())
    api.request("GET", f"/containers/{container}/export")
    shown = daemon.docker(
        "events",
        "--since",
        since,
        "--until",
        str(time.time()),
        "-f",
        f"container={container}",
        "--format",
        "{{.Action}}",
    )
    assert shown.stdout.split() == ["archive-path", "extract-to-dir", "export"]


def test_a_long_copy_does_not_hold_memory(api: Api, create: Any, daemon: Daemon) -> None:
    container = create(start=True)
    daemon.docker(
        "exec", container, "sh", "-c", "dd if=/dev/zero of=/tmp/big bs=1M count=300 2>/dev/null; echo x >> /tmp/big"
    )
    status = Path(f"/proc/{daemon.process.pid}/status")  # type: ignore[union-attr]

    def resident() -> int:
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1])

    before = resident()
    most = before
    connection = api.open()
    connection.request("GET", f"/containers/{container}/archive?path=/tmp/big")
    answer = connection.getresponse()
    size = 0
    while data := answer.read(1 << 20):
        size += len(data)
        most = max(most, resident())
    assert size > 300 << 20
    assert most - before < 64 << 10
    connection.close()
