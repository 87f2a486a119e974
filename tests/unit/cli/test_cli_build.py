"""`build`: what its flags ask of the daemon, and what it prints and writes."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Capture = pytest.CaptureFixture[str]
Transom = Callable[..., int]

ID = "sha256:" + "a1" * 32


def stream(request: Any, *messages: dict[str, Any]) -> None:
    body = b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)
    request.connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.fixture
def built(daemon: Any) -> Any:
    """A daemon that builds; `messages` are what it tells."""
    daemon.messages = [{"aux": {"ID": ID}}]
    daemon.on("POST", "/build", lambda request: stream(request, *daemon.messages))
    return daemon


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a Dockerfile, which is the working directory."""
    directory = tmp_path / "place"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(directory)
    monkeypatch.delenv("BUILDKIT_PROGRESS", raising=False)
    return directory


def query(request: Any) -> dict[str, list[str]]:
    """The parameters of a request, but for the directory of the archive that is for the builder alone."""
    found = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    if hidden := found.pop("hidden", None):
        found["dockerfile"] = [found["dockerfile"][0].removeprefix(f"{hidden[0]}/")]
    return found


def names(archive: tarfile.TarFile) -> list[str]:
    """The names in a context, but for that directory's."""
    return [name for name in archive.getnames() if not name.startswith(".transom-")]


def test_a_build_sends_the_directory(built: Any, transom: Transom, place: Path) -> None:
    assert transom("build", ".") == 0
    [request] = built.requests
    assert request.headers["content-type"] == "application/x-tar"
    assert query(request) == {
        "dockerfile": ["Dockerfile"], "buildargs": ["{}"], "labels": ["{}"], "networkmode": ["default"], "rm": ["1"],
        "progress": ["steps"], "version": ["1"],
    }  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(request.body)) as archive:
        assert names(archive) == ["Dockerfile"]


def test_every_flag_reaches_the_daemon(built: Any, transom: Transom, place: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("INHERITED", "from here")
    flags = (
        "-t one:1 --tag two --target last --build-arg A=1 --build-arg INHERITED --build-arg MISSING --label k=v"
        " --no-cache --no-cache-filter x,y --pull --platform linux/arm64 --network none --add-host h:1.2.3.4"
        " --shm-size 1m --ulimit nofile=10:20 --cache-from app:1 --cache-from type=registry,ref=app:2"
        " --cache-to type=inline --build-context base=docker-image://debian --force-rm --rm=false"
        " --allow security.insecure --allow network.host"
        " --graphdriver vfs --execdriver chroot --provenance=false --sbom=false"
    )
    assert transom("image", "build", *flags.split(), ".") == 0
    found = query(built.requests[0])
    assert json.loads(found.pop("buildargs")[0]) == {"A": "1", "INHERITED": "from here"}
    assert json.loads(found.pop("ulimits")[0]) == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert json.loads(found.pop("cachefrom")[0]) == [
        {"type": "registry", "ref": "app:1"},
        {"type": "registry", "ref": "app:2"},
    ]
    assert json.loads(found.pop("cacheto")[0]) == [{"type": "inline"}]
    assert json.loads(found.pop("buildcontexts")[0]) == {"base": "docker-image://debian"}
    assert found == {
        "dockerfile": ["Dockerfile"], "t": ["one:1", "two"], "target": ["last"], "labels": ['{"k": "v"}'],
        "nocache": ["1"], "nocachefilter": ["x", "y"], "pull": ["1"], "platform": ["linux/arm64"],
        "networkmode": ["none"], "extrahosts": ["h:1.2.3.4"], "shmsize": ["1048576"], "rm": ["0"], "forcerm": ["1"],
        "allow": ["security.insecure", "network.host"],
        "graphdriver": ["vfs"], "execdriver": ["chroot"], "progress": ["steps"], "version": ["1"],
    }  # fmt: skip


def test_compressed_means_compressed(built: Any, transom: Transom, place: Path) -> None:
    assert transom("build", "--compress", ".") == 0
    with tarfile.open(fileobj=io.BytesIO(built.requests[0].body), mode="r:gz") as archive:
        assert names(archive) == ["Dockerfile"]


def test_progress_goes_to_standard_error(built: Any, transom: Transom, place: Path, capfd: Capture) -> None:
    step = {"id": "1", "name": "[1/1] FROM scratch", "started": 1, "completed": 1}
    built.messages.insert(0, {"aux": {"vertex": step}})
    assert transom("build", ".") == 0
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == "#1 [1/1] FROM scratch\n#1 DONE 0.0s\n\n"


def test_quiet_prints_the_id_alone(built: Any, transom: Transom, place: Path, capfd: Capture) -> None:
    built.messages.insert(0, {"aux": {"vertex": {"id": "1", "name": "x", "started": 1, "completed": 1}}})
    assert transom("build", "-q", ".") == 0
    assert capfd.readouterr() == (ID + "\n", "")


def test_the_id_and_what_is_known_are_written(built: Any, transom: Transom, place: Path) -> None:
    (place / "id").write_text("older")
    assert transom("build", "--iidfile", "id", "--metadata-file", "meta", "-t", "app", ".") == 0
    assert (place / "id").read_text() == ID
    assert json.loads((place / "meta").read_text()) == {
        "containerimage.config.digest": ID,
        "containerimage.digest": ID,
        "image.name": "docker.io/library/app:latest",
    }


def test_a_build_that_fails_leaves_no_older_id(built: Any, transom: Transom, place: Path, capfd: Capture) -> None:
    (place / "id").write_text("older")
    vertex = {"id": "1", "name": "[2/2] RUN false", "started": 1}
    built.messages[:] = [
        {"aux": {"vertex": vertex}},
        {"aux": {"vertex": {"id": "1", "log": "why\n", "stream": 2}}},
        {"aux": {"vertex": {**vertex, "completed": 2, "error": "exit code: 1"}}},
        {"errorDetail": {"code": 1, "message": "process failed"}, "error": "process failed"},
    ]
    assert transom("build", "--iidfile", "id", ".") == 1
    assert not (place / "id").exists()
    captured = capfd.readouterr()
    assert captured.err.endswith("------\n > [2/2] RUN false:\nwhy\n------\nERROR: failed to build: process failed\n")


def test_the_lines_of_the_dockerfile_stand_before_the_error(
    built: Any, transom: Transom, place: Path, capfd: Capture
) -> None:
    excerpt = "Dockerfile:2\n--------------------\n   1 |     FROM x\n   2 | >>> RUN false\n--------------------"
    message = f"Dockerfile:2: exit code: 1\n{excerpt}"
    vertex = {"id": "1", "name": "RUN false", "started": 1, "completed": 1, "error": message}
    built.messages[:] = [{"aux": {"vertex": vertex}}, {"errorDetail": {"message": message}, "error": message}]
    assert transom("build", ".") == 1
    assert capfd.readouterr().err == (
        f"#1 RUN false\n#1 ERROR: exit code: 1\n\n{excerpt}\nERROR: failed to build: exit code: 1\n"
    )


def test_what_checks_have_found_is_told_at_the_end(built: Any, transom: Transom, place: Path, capfd: Capture) -> None:
    built.messages.append({"aux": {"warning": {"rule": "FromAsCasing", "detail": "casing differs", "line": 1}}})
    assert transom("build", ".") == 0
    assert capfd.readouterr().err == "\n 1 warning found:\n - FromAsCasing: casing differs (line 1)\n"


def test_a_check_prints_its_text_and_fails_if_it_has_found_something(
    built: Any, transom: Transom, place: Path, capfd: Capture
) -> None:
    built.messages[:] = [{"stream": "Check complete, no warnings found.\n"}]
    assert transom("build", "--check", ".") == 0
    assert capfd.readouterr().out == "Check complete, no warnings found.\n"
    assert query(built.requests[0])["check"] == ["1"]
    built.messages.append({"aux": {"warning": {"rule": "FromAsCasing"}}})
    assert transom("build", "--call", "check", ".") == 1


def test_the_daemons_refusal_is_told(daemon: Any, transom: Transom, place: Path, capfd: Capture) -> None:
    daemon.on("POST", "/build", lambda request: request.answer({"message": "dockerfile parse error"}, 400))
    assert transom("build", ".") == 1
    assert "dockerfile parse error" in capfd.readouterr().err


def test_what_cannot_be_read_is_told_and_not_that_the_connection_broke(
    built: Any, transom: Transom, place: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = os.open

    def refuse(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path).endswith("zzz"):
            raise PermissionError(13, "Permission denied", path)
        return ordinary(path, *arguments, **more)

    (place / "zzz").touch()
    monkeypatch.setattr(os, "open", refuse)
    assert transom("build", ".") == 1
    assert capfd.readouterr().err == (
        "ERROR: failed to build: failed to read the build context: ./zzz: permission denied\n"
    )


def test_credentials_of_all_registries_go_along(
    built: Any, transom: Transom, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "configuration"
    directory.mkdir()
    pair = base64.b64encode(b"me:secret").decode()
    (directory / "config.json").write_text(json.dumps({"auths": {"example.com": {"auth": pair}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    assert transom("build", ".") == 0
    header = json.loads(base64.urlsafe_b64decode(built.requests[0].headers["x-registry-config"]))
    assert header == {"example.com": {"username": "me", "password": "secret", "serveraddress": "example.com"}}


def test_a_context_elsewhere_is_fetched_by_the_daemon(built: Any, transom: Transom, place: Path) -> None:
    assert transom("build", "-f", "sub/Dockerfile", "https://example.com/one.git#main") == 0
    [request] = built.requests
    assert request.body == b""
    assert query(request)["remote"] == ["https://example.com/one.git#main"]
    assert query(request)["dockerfile"] == ["sub/Dockerfile"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--squash", "the option --squash is not supported by this engine: leave it out"),
        ("-m 1g", "the option -m is not supported"),
        ("--provenance=true", "the option --provenance is not supported"),
        ("--call outline", "--call=outline is not supported"),
        ("--progress loud", "invalid progress mode"),
        ("--progress tty", "standard error is not a terminal"),
        ("-q --progress plain", "cannot be used together"),
        ("--platform linux/amd64,linux/arm64", "multiple platforms"),
        ("-t UPPER", "must be lowercase"),
        ("-t a@sha256:" + "1" * 64, "digest reference"),
        ("-o type=floppy", "the type should be one of"),
        ("-o dest=x", "type is required"),
        ("-o type=local", "dest is required"),
        ("-o type=tar,dest=none/x.tar", "invalid output path"),
        ("-o type=tar -o type=oci", "multiple outputs to stdout"),
        ("-o Dockerfile", "should be a directory"),
        ("--secret src=x", "id is required"),
        ("--secret id=x,src=none", "failed to stat none"),
        ("--secret id=x,type=magic", "unsupported secret type"),
        ("--secret id=x,colour=red", "unexpected key 'colour'"),
        ("--ssh default=Dockerfile", "failed to parse Dockerfile: "),
        ("--ssh default=none", "failed to stat none"),
        ("--ssh default=.", "failed to open .: is a directory"),
        ("--build-context base", "expected key=value"),
        ("--build-context base=none", "none is not a directory"),
        ("--cache-to ref=x", "type required"),
        ("--cache-to type=local", "dest is required"),
        ("--cache-from type=local", "src is required"),
        ("--disable-content-trust=false", "signatures of images cannot be verified"),
        ("--add-host x", "bad format for add-host"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    built: Any, transom: Transom, place: Path, capfd: Capture, flags: str, words: str
) -> None:
    assert transom("build", *flags.split(), ".") != 0
    assert words in capfd.readouterr().err
    assert built.requests == []


def test_a_cache_that_is_not_there_yet_is_no_error(built: Any, transom: Transom, place: Path, capfd: Capture) -> None:
    assert transom("build", "--cache-from", "type=local,src=none", ".") == 0
    assert "local cache import at none not found" in capfd.readouterr().err
    assert "cachefrom" not in query(built.requests[0])


def test_an_agent_is_needed_for_ssh(built: Any, transom: Transom, place: Path, capfd: Capture, monkeypatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert transom("build", "--ssh", "default", ".") == 1
    assert "SSH_AUTH_SOCK" in capfd.readouterr().err


@pytest.fixture
def session(built: Any) -> Any:
    """A daemon that asks for one thing of a session before it goes on to build; `wanted` says what."""

    def open_session(request: Any) -> None:
        built.session = request.headers["x-transom-session"]
        line = json.dumps({"stream": 1, **built.wanted}).encode() + b"\n"
        head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        request.connection.sendall(head.encode() + b"%x\r\n%b\r\n" % (len(line), line))
        path = f"/session/{built.session}/streams/1"
        built.on("GET", path, send_result)
        built.on("POST", path, answered)

    def send_result(request: Any) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(built.result)}\r\n\r\n"
        request.connection.sendall(head.encode() + built.result)
        gate.sendall(b"x")

    def answered(request: Any) -> None:
        built.answer = request.body
        request.answer(status=204)
        gate.sendall(b"x")

    def build(request: Any) -> None:
        other.recv(1)
        stream(request, *built.messages)

    gate, other = socket.socketpair()
    other.settimeout(20)
    built.on("POST", "/session", open_session)
    built.on("POST", "/build", build)
    yield built
    gate.close()
    other.close()


@pytest.mark.parametrize(
    ("flag", "content"),
    [
        ("id=token,src=../file", b"from a file"),
        ("id=token,env=TOKEN", b"of a variable"),
        ("type=env,id=token,src=TOKEN", b"of a variable"),
    ],
)
def test_a_secret_is_given_when_the_daemon_asks(
    session: Any, transom: Transom, place: Path, monkeypatch: pytest.MonkeyPatch, flag: str, content: bytes
) -> None:
    monkeypatch.setenv("TOKEN", "of a variable")
    (place.parent / "file").write_bytes(b"from a file")
    session.wanted = {"kind": "secret", "id": "token"}
    assert transom("build", "--secret", flag, ".") == 0
    assert session.answer == content
    asked = [request for request in session.requests if request.path == "/build"]
    assert query(asked[0])["session"] == [session.session]
    assert content not in asked[0].target.encode() + asked[0].body


def test_caches_in_directories_come_and_go_over_the_session(session: Any, transom: Transom, place: Path) -> None:
    (place / "cache").mkdir()
    (place / "cache/index.json").write_text("{}")
    session.wanted = {"kind": "context", "id": "cache-from-0"}
    flags = "--cache-from type=local,src=cache,tag=x --cache-to type=local,dest=new,mode=max"
    assert transom("build", *flags.split(), ".") == 0
    found = query(next(request for request in session.requests if request.path == "/build"))
    assert json.loads(found["cachefrom"][0]) == [{"type": "local", "tag": "x", "stream": "cache-from-0"}]
    assert json.loads(found["cacheto"][0]) == [{"type": "local", "mode": "max", "stream": "cache-to-0"}]
    with tarfile.open(fileobj=io.BytesIO(session.answer)) as archive:
        assert archive.getnames() == ["index.json"]


def test_a_named_directory_is_given_when_the_daemon_asks(session: Any, transom: Transom, place: Path) -> None:
    (place / "other").mkdir()
    (place / "other/file").touch()
    session.wanted = {"kind": "context", "id": "base"}
    assert transom("build", "--build-context", "base=other", ".") == 0
    with tarfile.open(fileobj=io.BytesIO(session.answer)) as archive:
        assert archive.getnames() == ["file"]


def tree() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("bin/tool")
        entry.size, entry.mode = 4, 0o755
        archive.addfile(entry, io.BytesIO(b"tool"))
    return buffer.getvalue()


@pytest.mark.parametrize("flag", ["../out", "type=local,dest=../out"])
def test_a_result_becomes_a_local_directory(session: Any, transom: Transom, place: Path, flag: str) -> None:
    session.wanted, session.result = {"kind": "output", "id": "0"}, tree()
    assert transom("build", "-o", flag, ".") == 0
    assert (place.parent / "out/bin/tool").read_bytes() == b"tool"
    asked = next(request for request in session.requests if request.path == "/build")
    assert json.loads(query(asked)["outputs"][0]) == [{"Type": "local", "Attrs": {}, "Stream": "0"}]


@pytest.mark.parametrize("kind", ["tar", "oci", "docker"])
def test_a_result_becomes_a_file(session: Any, transom: Transom, place: Path, kind: str) -> None:
    session.wanted, session.result = {"kind": "output", "id": "0"}, tree()
    assert transom("build", "-o", f"type={kind},dest=../out.tar", ".") == 0
    assert (place.parent / "out.tar").read_bytes() == tree()


@pytest.mark.parametrize("flag", ["-", "type=tar"])
def test_a_result_goes_to_standard_output(
    session: Any, transom: Transom, place: Path, capfdbinary: pytest.CaptureFixture[bytes], flag: str
) -> None:
    session.wanted, session.result = {"kind": "output", "id": "0"}, tree()
    assert transom("build", "-o", flag, ".") == 0
    assert capfdbinary.readouterr().out == tree()


@pytest.mark.parametrize(
    ("flags", "outputs"),
    [
        ("--load", [{"Type": "image", "Attrs": {}, "Stream": ""}]),
        ("-o type=docker", [{"Type": "image", "Attrs": {}, "Stream": ""}]),
        ("--push", [{"Type": "registry", "Attrs": {}, "Stream": ""}]),
        ("-o type=image,push=true", [{"Type": "registry", "Attrs": {"push": "true"}, "Stream": ""}]),
        ("-o type=registry,name=x", [{"Type": "registry", "Attrs": {"name": "x"}, "Stream": ""}]),
    ],
)
def test_results_that_stay_on_the_other_side_need_no_session(
    built: Any, transom: Transom, place: Path, flags: str, outputs: Any
) -> None:
    assert transom("build", *flags.split(), ".") == 0
    [request] = built.requests
    assert json.loads(query(request)["outputs"][0]) == outputs
