"""The Docker SDK for Python, as programs use it, on a Transom daemon."""

from __future__ import annotations

import io
import socket
import tarfile
import threading
import time
from collections.abc import Callable
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.types import Mount, Ulimit

from testbed.daemon import Daemon

WAIT_FOR_GO = "while [ ! -e /go ]; do sleep 0.05; done"


# The daemon


def test_the_versions_of_the_api_are_told(client: Any) -> None:
    assert client.ping()
    version = client.version()
    assert (version["ApiVersion"], version["MinAPIVersion"], version["Os"]) == ("1.50", "1.24", "linux")


@pytest.mark.parametrize("version", ["1.24", "1.41", "1.50", "auto"])
def test_every_version_of_the_api_runs_a_container(daemon: Daemon, version: str) -> None:
    client = docker.DockerClient(base_url=daemon.host, version=version)
    assert client.containers.run(daemon.busybox, ["echo", "hi"], remove=True) == b"hi\n"
    client.close()


def test_a_version_that_is_too_new_is_refused(daemon: Daemon) -> None:
    client = docker.DockerClient(base_url=daemon.host, version="1.99")
    with pytest.raises(APIError, match=r"client version 1\.99 is too new"):
        client.containers.list()
    client.close()


def test_information_counts(client: Any, running: Any, ended: Any) -> None:
    info = client.info()
    assert (info["Containers"], info["ContainersRunning"], info["ContainersStopped"]) == (2, 1, 1)
    assert info["OSType"] == "linux"


# Running


def test_run_returns_what_was_written(client: Any, daemon: Daemon) -> None:
    assert client.containers.run(daemon.busybox, ["echo", "hi"]) == b"hi\n"
    script = ["sh", "-c", "echo out; echo err >&2"]
    assert client.containers.run(daemon.busybox, script, stdout=False, stderr=True) == b"err\n"


def test_run_raises_for_an_exit_code(client: Any, daemon: Daemon) -> None:
    with pytest.raises(ContainerError) as caught:
        client.containers.run(daemon.busybox, ["sh", "-c", "echo complaint >&2; exit 7"], remove=True)
    assert caught.value.exit_status == 7
    assert caught.value.stderr == b"complaint\n"
    assert client.containers.list(all=True) == []


def test_run_streams(client: Any, daemon: Daemon) -> None:
    found = client.containers.run(daemon.busybox, ["sh", "-c", "echo one; sleep 0.2; echo two"], stream=True)
    assert list(found) == [b"one\n", b"two\n"]


def test_run_takes_what_docker_takes(client: Any, daemon: Daemon) -> None:
    script = "id -u; pwd; echo $A; hostname; ulimit -n; cat /t/x; touch /y || echo read only"
    found = client.containers.run(
        daemon.busybox,
        ["sh", "-c", f"echo tmpfs > /t/x; {script}"],
        remove=True,
        user="1000",
        working_dir="/data",
        environment=["A=b"],
        hostname="h",
        ulimits=[Ulimit(name="nofile", soft=100, hard=200)],
        tmpfs={"/t": "size=1m,mode=1777"},
        read_only=True,
        network_mode="none",
    )
    assert found.decode().splitlines() == ["1000", "/data", "b", "h", "100", "tmpfs", "read only"]


@pytest.mark.parametrize(("command", "status"), [(["nosuch"], 400), (["/etc"], 400)])
def test_what_cannot_be_executed_is_an_error_of_the_start(
    client: Any, daemon: Daemon, command: list[str], status: int
) -> None:
    container = client.containers.create(daemon.busybox, command)
    with pytest.raises(APIError, match="unable to start container process") as caught:
        container.start()
    assert caught.value.status_code == status


def test_an_image_that_is_not_there_is_image_not_found(client: Any, daemon: Daemon) -> None:
    registry = daemon.busybox.partition("/")[0]
    with pytest.raises(ImageNotFound):
        client.containers.create(f"{registry}/nope")
    with pytest.raises(NotFound):
        client.containers.run(f"{registry}/nope")


def test_an_option_that_is_not_there_is_an_error(client: Any, daemon: Daemon) -> None:
    with pytest.raises(APIError, match=r"HostConfig\.Privileged is not supported") as caught:
        client.containers.run(daemon.busybox, privileged=True)
    assert caught.value.status_code == 501


# States


def test_a_container_lives(client: Any, daemon: Daemon) -> None:
    container = client.containers.create(daemon.busybox, ["sleep", "1000"], name="one")
    assert container.status == "created"
    for action, status in (("start", "running"), ("stop", "exited"), ("restart", "running"), ("kill", "exited")):
        options = {"timeout": 0} if action in ("stop", "restart") else {}
        getattr(container, action)(**options)
        container.reload()
        assert (action, container.status) == (action, status)
    container.remove()
    with pytest.raises(NotFound):
        container.reload()


def test_a_signal_reaches_the_container(client: Any, daemon: Daemon) -> None:
    script = "trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    container = client.containers.run(daemon.busybox, ["sh", "-c", script], detach=True)
    assert next(container.logs(stream=True)) == b"ready\n"
    container.kill("SIGUSR1")
    assert container.wait()["StatusCode"] == 5


def test_wait_waits_for_the_next_exit(client: Any, daemon: Daemon) -> None:
    container = client.containers.run(daemon.busybox, ["sh", "-c", f"{WAIT_FOR_GO}; exit 4"], detach=True)
    found: list[int] = []
    waiter = threading.Thread(target=lambda: found.append(container.wait(condition="next-exit")["StatusCode"]))
    waiter.start()
    container.exec_run(["touch", "/go"])
    waiter.join(60)
    assert found == [4]


def test_wait_for_a_container_that_does_not_end_times_out(running: Any) -> None:
    with pytest.raises(Exception, match=r"[Tt]imed out"):
        running.wait(timeout=0.5)


def test_states_that_conflict_are_409(client: Any, daemon: Daemon, running: Any) -> None:
    conflicts: list[Callable[[], object]] = [
        running.remove,
        lambda: client.containers.create(daemon.busybox, name="up"),
        lambda: client.images.remove(daemon.busybox),
    ]
    for conflict in conflicts:
        with pytest.raises(APIError) as caught:
            conflict()
        assert caught.value.status_code == 409
    running.kill()
    for conflict in (running.kill, lambda: running.exec_run("true")):
        with pytest.raises(APIError) as caught:
            conflict()
        assert caught.value.status_code == 409


@pytest.mark.parametrize("kind", ["containers", "images", "volumes", "networks"])
def test_what_is_not_there_is_not_found(client: Any, kind: str) -> None:
    with pytest.raises(NotFound) as caught:
        getattr(client, kind).get("nosuch")
    assert caught.value.status_code == 404


def test_a_container_is_described(running: Any, daemon: Daemon) -> None:
    assert running.name == "up"
    assert running.status == "running"
    assert running.labels == {"color": "red", "maker": "umoci"}
    assert running.image.tags == [daemon.busybox]
    assert running.attrs["Config"]["Env"] == ["A=1", "FROM_IMAGE=yes"]
    assert running.attrs["State"]["Pid"] > 0
    assert running.attrs["HostConfig"]["NetworkMode"] == "bridge"


def test_containers_are_listed_with_filters(client: Any, daemon: Daemon, running: Any, ended: Any) -> None:
    def names(**filters: Any) -> list[str]:
        return [container.name for container in client.containers.list(all=True, filters=filters)]

    assert [container.name for container in client.containers.list()] == ["up"]
    assert names() == ["over", "up"]
    assert [container.name for container in client.containers.list(limit=1)] == ["over"]
    assert names(status="exited") == names(exited=3) == names(name="ver") == names(since="up") == ["over"]
    assert names(label="color") == names(label=["color=red"]) == names(id=running.id) == names(before="over") == ["up"]
    assert names(ancestor=daemon.busybox) == ["over", "up"]
    with pytest.raises(APIError, match="invalid filter 'bogus'"):
        names(bogus="1")


# Streams


def test_logs_are_read(ended: Any) -> None:
    assert ended.logs() == b"one\ntwo\nthree\n"
    assert ended.logs(stderr=False) == b"one\nthree\n"
    assert ended.logs(stdout=False) == b"two\n"
    assert ended.logs(tail=1) == b"three\n"
    assert ended.logs(since=int(time.time()) + 10) == b""
    assert ended.logs(until=1) == b""
    stamp, _, line = ended.logs(timestamps=True, tail=1).partition(b" ")
    assert line == b"three\n"
    assert stamp.startswith(time.strftime("%Y-").encode())


def test_logs_are_followed(client: Any, daemon: Daemon) -> None:
    script = f"echo one; {WAIT_FOR_GO}; echo two"
    container = client.containers.run(daemon.busybox, ["sh", "-c", script], detach=True)
    lines = container.logs(stream=True, follow=True)
    assert next(lines) == b"one\n"
    container.exec_run(["touch", "/go"])
    assert list(lines) == [b"two\n"]


def test_attach_streams_what_is_written_from_now_on(client: Any, daemon: Daemon) -> None:
    script = f"{WAIT_FOR_GO}; echo out; sleep 0.2; echo err >&2"
    container = client.containers.run(daemon.busybox, ["sh", "-c", script], detach=True)
    stream = container.attach(stream=True, demux=True)
    container.exec_run(["touch", "/go"])
    assert list(stream) == [(b"out\n", None), (None, b"err\n")]


def test_attach_gives_what_was_written_before(ended: Any) -> None:
    assert ended.attach(logs=True, stream=False) == b"one\ntwo\nthree\n"


def test_input_goes_in_through_a_socket(client: Any, daemon: Daemon) -> None:
    container = client.containers.create(daemon.busybox, "cat", stdin_open=True, tty=True)
    attached = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    container.start()
    attached._sock.sendall(b"hi\n\x04")
    assert _read_all(attached._sock) == b"hi\r\nhi\r\n"
    assert container.wait()["StatusCode"] == 0
    attached.close()


def test_exec_run_gives_exit_code_and_output(running: Any) -> None:
    script = ["sh", "-c", "echo out; sleep 0.2; echo err >&2; exit 3"]
    assert running.exec_run(script) == (3, b"out\nerr\n")
    assert running.exec_run(script, demux=True) == (3, (b"out\n", b"err\n"))
    assert running.exec_run(script, stderr=False) == (3, b"out\n")


def test_exec_run_streams(running: Any) -> None:
    script = ["sh", "-c", "echo one; sleep 0.2; echo two >&2"]
    code, output = running.exec_run(script, stream=True)
    assert code is None
    assert list(output) == [b"one\n", b"two\n"]
    _, output = running.exec_run(script, stream=True, demux=True)
    assert list(output) == [(b"one\n", None), (None, b"two\n")]


def test_exec_run_takes_what_docker_takes(running: Any) -> None:
    script = ["sh", "-c", "id -un; pwd; echo $A $B; test -t 1 && echo terminal"]
    found = running.exec_run(script, user="alice", workdir="/data", environment={"B": "2"}, tty=True)
    assert found == (0, b"alice\r\n/data\r\n1 2\r\nterminal\r\n")


def test_exec_run_of_what_is_not_there_has_a_shells_exit_code(running: Any) -> None:
    code, output = running.exec_run("nosuch")
    assert code == 127
    assert b"executable file not found" in output
    code, output = running.exec_run("true", user="nosuch")
    assert code == 126
    assert b"unable to find user nosuch" in output


def test_an_exec_in_the_background_can_be_asked_about(client: Any, running: Any) -> None:
    exec_id = client.api.exec_create(running.id, ["sh", "-c", f"{WAIT_FOR_GO}; exit 6"])["Id"]
    client.api.exec_start(exec_id, detach=True)
    assert client.api.exec_inspect(exec_id)["Running"] is True
    running.exec_run(["touch", "/go"])
    while (found := client.api.exec_inspect(exec_id))["Running"]:
        time.sleep(0.02)
    assert (found["ExitCode"], found["ContainerID"]) == (6, running.id)
    with pytest.raises(NotFound):
        client.api.exec_inspect("nosuch")


def test_input_goes_into_an_exec_through_a_socket(client: Any, running: Any) -> None:
    exec_id = client.api.exec_create(running.id, "cat", stdin=True)["Id"]
    stream = client.api.exec_start(exec_id, socket=True)
    stream._sock.sendall(b"hi\n")
    stream._sock.shutdown(socket.SHUT_WR)
    assert _read_all(stream._sock) == b"\x01\0\0\0\0\0\0\x03hi\n"
    stream.close()


def _read_all(connection: socket.socket) -> bytes:
    whole = io.BytesIO()
    while data := connection.recv(65536):
        whole.write(data)
    return whole.getvalue()


# Images


def test_an_image_is_pulled(client: Any, daemon: Daemon) -> None:
    name = daemon.busybox.removesuffix(":latest")
    client.images.remove(daemon.busybox)
    assert client.images.list() == []
    told = list(client.api.pull(name, tag="latest", stream=True, decode=True))
    assert told[0] == {"status": "Pulling from busybox", "id": "latest"}
    assert {"Pulling fs layer", "Download complete", "Pull complete"} <= {line["status"] for line in told}
    assert told[-1] == {"status": f"Status: Downloaded newer image for {daemon.busybox}"}
    assert client.images.pull(name).tags == [daemon.busybox]


def test_an_image_that_cannot_be_pulled_is_not_found(client: Any, daemon: Daemon) -> None:
    name = daemon.busybox.removesuffix(":latest")
    with pytest.raises(NotFound, match="manifest unknown"):
        client.images.pull(name, tag="nope")


def test_images_are_described(client: Any, daemon: Daemon) -> None:
    [image] = client.images.list()
    assert image.tags == [daemon.busybox]
    assert image.labels == {"maker": "umoci"}
    assert client.images.get(image.short_id).id == client.images.get(daemon.busybox).id == image.id
    assert (image.attrs["Os"], image.attrs["RootFS"]["Type"]) == ("linux", "layers")
    assert len(image.attrs["RootFS"]["Layers"]) == 1
    history = image.history()
    assert history[0]["Id"] == image.id
    assert history[0]["Tags"] == [daemon.busybox]
    assert sum(entry["Size"] for entry in history) == image.attrs["Size"]


def test_images_are_listed_with_filters(client: Any, daemon: Daemon) -> None:
    name = daemon.busybox.removesuffix(":latest")
    assert len(client.images.list(name=name)) == 1
    assert len(client.images.list(filters={"label": "maker=umoci", "dangling": False})) == 1
    assert client.images.list(name="other") == client.images.list(filters={"dangling": True}) == []


# Volumes


def test_volumes_keep_what_is_written(client: Any, daemon: Daemon) -> None:
    volume = client.volumes.create("store", labels={"color": "red"})
    assert (volume.name, volume.attrs["Driver"], volume.attrs["Labels"]) == ("store", "local", {"color": "red"})
    client.containers.run(
        daemon.busybox, ["sh", "-c", "echo kept > /d/x"], remove=True, volumes={"store": {"bind": "/d", "mode": "rw"}}
    )
    mount = Mount("/e", "store", read_only=True)
    assert client.containers.run(daemon.busybox, ["cat", "/e/x"], remove=True, mounts=[mount]) == b"kept\n"
    assert [found.name for found in client.volumes.list(filters={"label": "color=red"})] == ["store"]
    assert client.volumes.list(filters={"dangling": "false"}) == []


def test_a_volume_in_use_is_not_removed(client: Any, daemon: Daemon) -> None:
    client.containers.create(daemon.busybox, mounts=[Mount("/d", "store")])
    with pytest.raises(APIError, match="volume is in use") as caught:
        client.volumes.get("store").remove()
    assert caught.value.status_code == 409


# Events


def test_events_are_streamed_as_they_happen(client: Any, daemon: Daemon) -> None:
    stream = client.events(decode=True, filters={"type": "container", "event": ["create", "start", "die", "destroy"]})
    container = client.containers.run(daemon.busybox, ["sh", "-c", "exit 3"], detach=True, name="told")
    container.wait()
    container.remove()
    told = [next(stream) for _ in range(4)]
    stream.close()
    assert [event["Action"] for event in told] == ["create", "start", "die", "destroy"]
    assert {event["Actor"]["ID"] for event in told} == {container.id}
    assert told[2]["Actor"]["Attributes"]["exitCode"] == "3"
    assert told[0]["Actor"]["Attributes"]["name"] == "told"


def test_past_events_are_told(client: Any, running: Any) -> None:
    past = client.events(since=1, until=int(time.time()) + 1, decode=True, filters={"container": running.id})
    assert [event["Action"] for event in past][:2] == ["create", "start"]


# Files and images of containers


def test_archives_are_put_and_got(client: Any, running: Any) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("put")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    assert running.put_archive("/tmp", buffer.getvalue())
    chunks, status = running.get_archive("/tmp/put", chunk_size=100)
    assert (status["name"], status["size"], status["mode"], status["linkTarget"]) == ("put", 3, 0o644, "")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        [member] = archive.getmembers()
        assert archive.extractfile(member).read() == b"abc"  # type: ignore[union-attr]
    with pytest.raises(NotFound, match="Could not find the file /nope"):
        running.get_archive("/nope")
    with pytest.raises(NotFound):
        running.put_archive("/nope", buffer.getvalue())


def test_changes_and_exports_of_a_container(client: Any, running: Any) -> None:
    assert running.diff() is None
    running.exec_run(["touch", "/tmp/new"])
    assert running.diff() == [{"Path": "/tmp", "Kind": 0}, {"Path": "/tmp/new", "Kind": 1}]
    with tarfile.open(fileobj=io.BytesIO(b"".join(running.export()))) as archive:
        assert {"tmp/new", "bin/busybox"} <= set(archive.getnames())


def test_a_container_becomes_an_image(client: Any, running: Any) -> None:
    running.exec_run(["sh", "-c", "echo new > /new"])
    image = running.commit(
        repository="sdk",
        tag="committed",
        message="why",
        author="me",
        changes="ENV C=d",
        conf={"Labels": {"made": "here"}},
    )
    try:
        assert image.tags == ["sdk:committed"]
        assert image.labels["made"] == "here"
        assert "C=d" in image.attrs["Config"]["Env"]
        assert (image.attrs["Author"], image.attrs["Comment"]) == ("me", "why")
        assert client.containers.run("sdk:committed", ["cat", "/new"], remove=True) == b"new\n"
    finally:
        client.images.remove("sdk:committed", force=True)
