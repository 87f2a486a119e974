"""The log driver `journald`, with a real journald."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.journal import Journal
from testbed.registry import Registry
from transom.drivers.log import LogDriver
from transom.testing.log import BEGIN, ReadableLogSuite
from transom_journald.driver import JournaldDriver


@pytest.fixture(scope="module", autouse=True)
def journal() -> Iterator[Journal]:
    with Journal() as journal:
        yield journal


class TestJournald(ReadableLogSuite):
    driver_class = JournaldDriver

    @cached_property
    def identity(self) -> str:
        """Tests share the journal, in which a container is known by its ID."""
        return os.urandom(32).hex()

    def test_entries_have_dockers_fields(self, log: LogDriver, journal: Journal) -> None:
        self.write(log, b"hello\n", stream="stderr")
        fields = set(journal.entries(f"CONTAINER_ID_FULL={log.container.id}").splitlines())
        assert fields >= {
            "MESSAGE=hello",
            "PRIORITY=3",
            f"CONTAINER_ID={log.container.id[:12]}",
            "CONTAINER_NAME=web",
            f"CONTAINER_TAG={log.container.id[:12]}",
            f"SYSLOG_IDENTIFIER={log.container.id[:12]}",
            "IMAGE_NAME=busybox:1",
            "SYSLOG_TIMESTAMP=2023-11-14T22:13:20.123456789Z",
            "CONTAINER_LOG_ORDINAL=1",
        }
        assert not [field for field in fields if field.startswith("CONTAINER_PARTIAL")]

    def test_parts_of_a_long_line_say_what_they_are(self, log: LogDriver, journal: Journal) -> None:
        self.write(log, b"x" * 20_000 + b"\n")
        entries = journal.entries(f"CONTAINER_ID_FULL={log.container.id}").split("\n\n")
        first, last = (set(entry.splitlines()) for entry in entries[:2])
        assert first >= {"CONTAINER_PARTIAL_MESSAGE=true", "CONTAINER_PARTIAL_ORDINAL=1"}
        assert "CONTAINER_PARTIAL_LAST=false" in first
        assert last >= {"CONTAINER_PARTIAL_ORDINAL=2", "CONTAINER_PARTIAL_LAST=true"}
        assert "CONTAINER_PARTIAL_MESSAGE=true" not in last

    def test_labels_and_variables_are_fields(self, tmp_path: Path) -> None:
        log = self.make(tmp_path, labels_regex="^te", env="ROLE", tag="{{.Name}}")
        self.write(log, b"one\n")
        assert [entry.attributes for entry in self.read(log)] == [{"ROLE": "main", "TEAM": "blue"}]

    def test_an_entry_that_is_too_long_for_a_datagram_is_kept(self, tmp_path: Path) -> None:
        log = self.make(tmp_path, tag="x" * 500_000)
        self.write(log, b"one\n")
        assert self.lines(self.read(log)) == [b"one\n"]

    def test_journald_may_be_restarted(self, log: LogDriver, journal: Journal) -> None:
        writer = log.open()
        writer.write("stdout", b"before\n", BEGIN)
        journal.stop()
        journal.start()
        writer.write("stdout", b"after\n", BEGIN)
        writer.close()
        assert self.lines(self.read(log)) == [b"before\n", b"after\n"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, journal: Journal, registry: Registry) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon")) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        yield daemon


def test_a_container_logs_to_the_journal_and_is_read_from_there(daemon: Daemon, journal: Journal) -> None:
    # fmt: off
    daemon.docker(
        "run", "--name", "box", "--log-driver", "journald", "--label", "tier=front", "--log-opt", "labels=tier",
        "--log-opt", "tag={{.Name}}!", daemon.busybox, "sh", "-c", "echo out; echo err >&2; printf rest",
    )
    # fmt: on
    identity = json.loads(daemon.docker("inspect", "box").stdout)[0]["Id"]
    fields = set(journal.entries("CONTAINER_TAG=box!").splitlines())
    assert fields >= {"MESSAGE=out", "MESSAGE=err", "TIER=front", f"CONTAINER_ID_FULL={identity}", "CONTAINER_NAME=box"}
    logs = daemon.docker("logs", "box")
    assert (logs.stdout, logs.stderr) == ("out\nrest", "err\n")
    assert daemon.docker("logs", "--details", "-n", "1", "box").stdout == "TIER=front rest"
    assert daemon.docker("logs", "--since", "1h", "--until", "1h", "box").stdout == ""
    daemon.docker("rm", "box")


def test_a_log_in_the_journal_is_followed_to_its_end(daemon: Daemon) -> None:
    # fmt: off
    daemon.transom(
        "run", "-d", "-i", "--name", "box", "--log-driver", "journald", daemon.busybox, "sh", "-c",
        "for number in 1 2 3; do read line; echo got $line; done",
    )
    # fmt: on
    with (
        subprocess.Popen([TRANSOM, "-H", daemon.host, "logs", "-f", "box"], stdout=subprocess.PIPE) as followed,
        subprocess.Popen([TRANSOM, "-H", daemon.host, "attach", "box"], stdin=subprocess.PIPE) as attached,
    ):
        assert followed.stdout is not None
        assert attached.stdin is not None
        for word in (b"one", b"two", b"three"):
            attached.stdin.write(word + b"\n")
            attached.stdin.flush()
            assert followed.stdout.readline() == b"got " + word + b"\n"
        assert followed.stdout.read() == b""
    daemon.transom("rm", "box")
