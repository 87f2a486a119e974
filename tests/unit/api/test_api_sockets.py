"""The sockets that the API listens on, and when the daemon ends by itself."""

from __future__ import annotations

import dataclasses
import grp
import os
import socket
import stat
from types import SimpleNamespace

import pytest

from transom.containers.model import State, Status
from transom.errors import Conflict, InvalidParameter
from transom_api.sockets import listening


def connectable(path):
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def test_a_socket_has_its_mode_whatever_the_umask_and_goes_at_the_end(tmp_path):
    path = tmp_path / "deep" / "s"
    before = os.umask(0)
    try:
        with listening(f"unix://{path}"):
            status = path.lstat()
            assert stat.S_ISSOCK(status.st_mode)
            assert stat.S_IMODE(status.st_mode) == 0o660
            assert connectable(path)
    finally:
        os.umask(before)
    assert list(path.parent.iterdir()) == []


def test_a_socket_belongs_to_the_group_if_there_is_one(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid={"transom": 12345}[name]))
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((user, group)))
    with listening(f"unix://{tmp_path}/s"):
        assert given == [(-1, 12345)]


def test_the_file_of_a_socket_that_nobody_listens_on_is_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    (tmp_path / ".s.new").mkdir()
    (tmp_path / ".s.new" / "socket").touch()
    with listening(f"unix://{path}"):
        assert connectable(path)


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path):
    path = tmp_path / "s"
    with listening(f"unix://{path}"):
        with pytest.raises(Conflict, match="another process"), listening(f"unix://{path}"):
            pass
        assert connectable(path)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(InvalidParameter, match="not a socket"), listening(f"unix://{path}"):
        pass
    assert path.read_text() == "precious"


def test_a_socket_that_took_the_place_is_not_removed(tmp_path):
    path = tmp_path / "s"
    with listening(f"unix://{path}"):
        path.unlink()
        path.write_text("of somebody else")
    assert path.read_text() == "of somebody else"


def test_a_path_longer_than_a_socket_address_works(tmp_path):
    path = tmp_path / ("d" * 100) / ("e" * 100) / "s"
    with listening(f"unix://{path}"):
        assert stat.S_ISSOCK(path.lstat().st_mode)
        with pytest.raises(Conflict), listening(f"unix://{path}"):
            pass


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "unix://relative", "unix:///dir/", "fd://", "/run/s"])
def test_an_address_that_cannot_be_listened_on_is_refused(host):
    with pytest.raises(InvalidParameter, match="cannot listen on"), listening(host):
        pass


def test_two_sockets_serve_the_same_engine(engine, connect, tmp_path):
    hosts = (f"unix://{tmp_path}/s", f"unix://{tmp_path}/t")
    engine.config = dataclasses.replace(engine.config, hosts=hosts)
    client = connect()
    assert client.get("/_ping").body == b"OK"
    client.path = tmp_path / "t"
    assert client.get("/_ping").body == b"OK"


def test_a_daemon_that_nobody_needs_ends(engine, connect):
    engine.config = dataclasses.replace(engine.config, idle_exit=0.05)
    connect()
    assert engine.stopping.wait(20)


def test_a_daemon_with_a_client_or_a_container_goes_on(engine, connect):
    engine.config = dataclasses.replace(engine.config, idle_exit=0.05)
    container = SimpleNamespace(state=State(status=Status.RUNNING))
    engine.listed = [container]
    client = connect()
    assert not engine.stopping.wait(0.3)
    connection = client.open()
    connection.request("GET", "/_ping")
    connection.getresponse().read()
    engine.listed = []
    assert not engine.stopping.wait(0.3)
    container.state = State(status=Status.RESTARTING)
    engine.listed = [container]
    connection.close()
    assert not engine.stopping.wait(0.3)
    engine.listed = []
    assert engine.stopping.wait(20)
