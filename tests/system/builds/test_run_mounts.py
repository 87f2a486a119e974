"""RUN --mount: what is there for one command, what stays, and what nobody may find afterwards."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest

from testbed.builds import Builder
from testbed.daemon import GRAPHDRIVER
from transom.errors import InvalidParameter, NotFound
from transom.graph.compression import decompress

PAIRS = [(GRAPHDRIVER, "namespaces"), ("vfs", "chroot")]


class Session:
    """A client with secrets, an agent that answers with what it is told, and directories."""

    def __init__(self, secrets: Mapping[str, bytes] | None = None, contexts: Mapping[str, bytes] | None = None) -> None:
        self.secrets = secrets or {}
        self.contexts = contexts or {}

    def secret(self, id: str) -> bytes | None:
        return self.secrets.get(id)

    def open_ssh(self, id: str) -> socket.socket:
        if id != "default":
            raise NotFound(f"no agent {id}")
        near, far = socket.socketpair()

        def answer() -> None:
            with far:
                while data := far.recv(100):
                    far.sendall(b"agent: " + data)

        threading.Thread(target=answer, daemon=True).start()
        return near

    def context(self, name: str) -> IO[bytes]:
        return io.BytesIO(self.contexts[name])

    def output(self, name: str) -> IO[bytes]:
        raise NotFound(name)


def run(builder: Builder, command: str, files: dict[str, str] | None = None, **parameters: object) -> str:
    """Run a command in a build and return what it printed."""
    built = builder.build(f"FROM BASE\n{command}\n", files, **parameters)
    return "".join(item["log"] for item in built.vertices if item.get("log"))


@pytest.mark.parametrize(("graph", "execution"), PAIRS)
def test_files_of_the_context_are_bound(builder: Builder, graph: str, execution: str) -> None:
    command = (
        "RUN --mount=target=/ctx --mount=source=d/f,target=/made/here cat /ctx/d/f /made/here;"
        " touch /ctx/x 2>/dev/null && echo written; echo kept > /kept"
    )
    files = {"d/f": "content\n"}
    driver = {"graphdriver": graph, "execdriver": execution}
    built = builder.build(f"FROM BASE\n{command}\n", files, no_cache=True, **driver)
    assert "".join(item["log"] for item in built.vertices if item.get("log")) == "content\ncontent\n"
    with builder.tree(built.image) as tree:
        assert (tree / "kept").exists()
        assert not (tree / "ctx").exists()
        assert not (tree / "made").exists()
    assert len(builder.build(f"FROM BASE\n{command}\n", files, **driver).cached) == 1
    assert builder.build(f"FROM BASE\n{command}\n", {"d/f": f"other {graph}\n"}, **driver).cached == []


def test_what_is_written_to_a_bound_directory_is_lost(builder: Builder) -> None:
    assert run(builder, "RUN --mount=target=/ctx,rw echo new > /ctx/f && cat /ctx/f", {"f": "old"}) == "new\n"
    assert run(builder, "RUN --mount=target=/ctx cat /ctx/f", {"f": "old"}) == "old"


def test_files_of_stages_and_images_are_bound(builder: Builder) -> None:
    built = builder.build(
        "FROM BASE AS other\nRUN mkdir /d && echo of the stage > /d/f && ln -s /d/f /d/link\n"
        "FROM BASE\nRUN --mount=from=other,source=/d,target=/mnt cat /mnt/f\n"
        "RUN --mount=from=other,source=/d/link,target=/f cat /f\n"
        "RUN --mount=from=BASE,target=/image test -e /image/bin/busybox\n"
    )
    assert [item["log"] for item in built.vertices if item.get("log")] == ["of the stage\n"] * 2


def test_a_missing_source_is_an_error(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match='"/nothing": not found'):
        run(builder, "RUN --mount=source=nothing,target=/x true")


def test_a_cache_stays_from_build_to_build(builder: Builder) -> None:
    command = "RUN --mount=type=cache,target=/cache,id=stays echo x >> /cache/f && cat /cache/f"
    assert run(builder, command, no_cache=True) == "x\n"
    assert run(builder, command, no_cache=True, graphdriver="vfs") == "x\nx\n"
    assert run(builder, command.replace("stays", "another"), no_cache=True) == "x\n"


def test_a_cache_has_the_mode_and_owner_that_were_asked_for(builder: Builder) -> None:
    command = "RUN --mount=type=cache,target=/c,id=modes,mode=1750,uid=7,gid=8 stat -c '%a %u %g' /c"
    assert run(builder, command) == "1750 7 8\n"


def test_a_cache_begins_with_what_a_stage_has(builder: Builder) -> None:
    built = builder.build(
        "FROM BASE AS first\nRUN mkdir /seed && echo seed > /seed/f\n"
        "FROM BASE\nRUN --mount=type=cache,target=/c,id=seeded,from=first,source=/seed cat /c/f\n"
    )
    assert [item["log"] for item in built.vertices if item.get("log")] == ["seed\n"]


@pytest.mark.parametrize(("sharing", "same"), [("shared", True), ("private", False)])
def test_who_shares_a_cache_at_the_same_time(builder: Builder, sharing: str, same: bool) -> None:
    wait = "i=0; while [ ! -e /shared/$1 ] && [ $i -lt 500 ]; do sleep 0.02; i=$((i+1)); done"
    mount = (
        f"--mount=type=cache,target=/c,id=who-{sharing},sharing={sharing}"
        f" --mount=type=cache,target=/shared,id=meet-{sharing}"
    )

    def stage(name: str, other: str) -> str:
        return (
            f"FROM BASE AS {name}\nRUN {mount} touch /c/{name} /shared/{name}; set -- {other}; {wait};"
            f" ls /c > /out; touch /shared/{name}-done; set -- {other}-done; {wait}\n"
        )

    built = builder.build(
        f"{stage('a', 'b')}{stage('b', 'a')}FROM scratch\nCOPY --from=a /out /a\nCOPY --from=b /out /b\n"
    )
    with builder.tree(built.image) as tree:
        seen = [(tree / name).read_text().split() for name in ("a", "b")]
    assert seen == ([["a", "b"], ["a", "b"]] if same else [["a"], ["b"]])


def test_a_locked_cache_is_used_by_one_at_a_time(builder: Builder) -> None:
    mount = "--mount=type=cache,target=/c,id=locked,sharing=locked"
    command = f"RUN {mount} [ ! -e /c/busy ] && touch /c/busy && sleep 0.3 && rm /c/busy; echo $? > /out"
    built = builder.build(
        f"FROM BASE AS a\n{command} a\nFROM BASE AS b\n{command} b\n"
        "FROM scratch\nCOPY --from=a /out /a\nCOPY --from=b /out /b\n"
    )
    with builder.tree(built.image) as tree:
        assert [(tree / name).read_text()[0] for name in ("a", "b")] == ["0", "0"]


def test_memory_is_mounted(builder: Builder) -> None:
    command = "RUN --mount=type=tmpfs,target=/t,size=1m stat -f -c %T /t; head -c 2000000 /dev/zero > /t/f || echo full"
    assert run(builder, command).splitlines()[0] == "tmpfs"
    assert run(builder, command, no_cache=True).splitlines()[-1] == "full"


def places_of(builder: Builder, text: str) -> list[str]:
    """Return where a text is in what an engine keeps, also in what it keeps compressed."""
    roots = (builder.engine.config.data_root, builder.engine.config.exec_root)
    done = subprocess.run(["grep", "-rlaD", "skip", text, *roots], capture_output=True, text=True)
    found = done.stdout.splitlines()
    for blob in (builder.engine.config.data_root / "content/blobs").rglob("*"):
        if blob.is_file() and text.encode() in decompress(blob.open("rb", buffering=0)).read():
            found.append(str(blob))
    return found


def test_what_a_layer_has_is_found_though_it_is_compressed(builder: Builder) -> None:
    text = os.urandom(20).hex()
    built = builder.build(f"FROM BASE\nRUN echo {text} > /told\n")
    blobs = builder.engine.config.data_root / "content/blobs"
    assert str(blobs / built.image.blobs[-1].replace(":", "/")) in places_of(builder, text)


@pytest.mark.parametrize(("graph", "execution"), PAIRS)
def test_a_secret_is_there_and_nowhere_else(builder: Builder, graph: str, execution: str) -> None:
    secret = os.urandom(20).hex()
    built = builder.build(
        "FROM BASE\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,target=/root/s,mode=0440,uid=5 \\\n"
        "  --mount=type=secret,id=s,env=S --mount=type=secret,id=optional \\\n"
        "  md5sum < /run/secrets/s;"
        ' stat -c \'%a %u\' /run/secrets/s /root/s; [ "$S" = "$(cat /root/s)" ] && echo same\n'
        "RUN [ ! -e /run ] && ls -A /root\n",
        session=Session({"s": secret.encode()}),
        no_cache=True,
        graphdriver=graph,
        execdriver=execution,
    )
    log = "".join(item["log"] for item in built.vertices if item.get("log"))
    assert log.splitlines()[1:] == ["400 0", "440 5", "same"]
    assert secret not in str(built.messages)
    assert places_of(builder, secret) == []
    assert list((builder.engine.config.exec_root / "rooms").iterdir()) == []


def test_a_secret_that_must_be_there(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match="secret nothing: not found"):
        run(builder, "RUN --mount=type=secret,id=nothing,required true", session=Session())


def test_a_changed_secret_changes_no_key(builder: Builder) -> None:
    command = "RUN --mount=type=secret,id=k cat /run/secrets/k > /dev/null"
    run(builder, command, session=Session({"k": b"1"}))
    built = builder.build(f"FROM BASE\n{command}\n", session=Session({"k": b"2"}))
    assert len(built.cached) == 1


def test_the_clients_agent_is_a_socket(builder: Builder) -> None:
    command = 'RUN --mount=type=ssh [ -S "$SSH_AUTH_SOCK" ] && echo $SSH_AUTH_SOCK && stat -c "%a %u" $SSH_AUTH_SOCK'
    printed = run(builder, command, session=Session(), no_cache=True)
    assert printed == "/run/buildkit/ssh_agent.0\n600 0\n"


def test_an_agent_that_must_be_there(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match="no SSH key 'other' forwarded from the client"):
        run(builder, "RUN --mount=type=ssh,id=other,required true", session=Session())


def test_a_document_that_names_its_interpreter_is_a_program(builder: Builder) -> None:
    built = builder.build("FROM BASE\nRUN <<EOF\n#!/bin/cat\nhello\nEOF\n")
    log = "".join(item["log"] for item in built.vertices if item.get("log"))
    assert log == "#!/bin/cat\nhello\n"
    with builder.tree(built.image) as tree:
        assert not list((tree / "dev").iterdir())


@pytest.fixture(autouse=True)
def nothing_is_mounted(builder: Builder) -> Iterator[None]:
    yield
    mounts = Path("/proc/self/mounts").read_text()
    assert str(builder.engine.config.exec_root / "rooms") not in mounts
