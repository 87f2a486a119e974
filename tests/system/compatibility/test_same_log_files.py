"""What log drivers write is what dockerd's write: files can be handed over, and servers see no difference."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from testbed.clients import Clients
from testbed.daemon import Daemon
from testbed.peer import Peer
from testbed.registry import Registry
from transom.drivers.log import LogDriver, LoggedContainer
from transom_jsonfile.driver import JsonFileDriver
from transom_local.driver import LocalDriver
from transom_local.format import decode

COMMAND = "echo out; echo err >&2; sleep 0.1; head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'rest\\t\"\\\\'"
OPTIONS = ("-l", "tier=front", "-e", "ROLE=main")
CHOSEN = ("--log-opt", "labels=tier", "--log-opt", "env=ROLE", "--log-opt", "tag={{.Name}}")


@pytest.fixture(params=["dockerd", "transom"])
def engine(request: pytest.FixtureRequest, peer: Peer, daemon: Daemon) -> Iterator[Clients]:
    """Each engine, by the stock client."""
    found: Clients = peer if request.param == "dockerd" else daemon
    yield found
    found.docker("rm", "-f", "box", check=False)


def run(engine: Clients, registry: Registry, *options: str) -> Path:
    """Run a container to its end and return its directory."""
    # fmt: off
    engine.docker(
        "run", "--network", "none", "--name", "box", *OPTIONS, *options, registry.busybox, "sh", "-c", COMMAND,
    )
    # fmt: on
    identity = json.loads(engine.docker("inspect", "box").stdout)[0]["Id"]
    return engine.directory / "data" / "containers" / str(identity)


@pytest.mark.parametrize(("driver", "options"), [(JsonFileDriver, CHOSEN), (LocalDriver, ())])
def test_a_log_of_either_engine_is_read(
    engine: Clients, registry: Registry, driver: type[LogDriver], options: tuple[str, ...]
) -> None:
    directory = run(engine, registry, "--log-driver", driver.name, *options)
    with closing(driver(directory, {}, LoggedContainer(directory.name, "box")).reader()) as reader:
        entries = list(reader.read())
    shown = engine.docker("logs", "box")
    output = {
        stream: b"".join(entry.line for entry in entries if entry.stream == stream).decode()
        for stream in ("stdout", "stderr")
    }
    assert output == {"stdout": f'out\n{"x" * 40_000}\nrest\t"\\', "stderr": "err\n"}
    # Docker 20.10 forgets the newline of a long line that it reads from `local`.
    assert shown.stdout.replace("x\n", "x") == output["stdout"].replace("x\n", "x")
    assert shown.stderr == output["stderr"]
    attributes = {"tier": "front", "ROLE": "main", "tag": "box"} if options else {}
    assert all(entry.attributes == attributes for entry in entries)


def test_the_lines_of_json_are_the_same(engine: Clients, registry: Registry) -> None:
    directory = run(engine, registry, "--log-driver", "json-file", *CHOSEN)
    records = [json.loads(line) for line in (directory / f"{directory.name}-json.log").open()]
    assert all(list(record) == ["log", "stream", "attrs", "time"] for record in records)
    attributes = [("ROLE", "main"), ("tag", "box"), ("tier", "front")]
    assert all(list(record["attrs"].items()) == attributes for record in records)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z", record["time"]) for record in records)
    # Which stream comes first is chance.
    assert sorted((record["stream"], record["log"]) for record in records) == sorted(
        (
            ("stdout", "out\n"),
            ("stderr", "err\n"),
            ("stdout", "x" * 16384),
            ("stdout", "x" * 16384),
            ("stdout", "x" * (40_000 - 2 * 16384) + "\n"),
            ("stdout", 'rest\t"\\'),
        )
    )


def test_the_records_of_local_are_the_same(engine: Clients, registry: Registry) -> None:
    directory = run(engine, registry, "--log-driver", "local")
    content, messages = (directory / "local-logs" / "container.log").read_bytes(), []
    while content:
        length = int.from_bytes(content[:4], "big")
        messages.append(decode(content[4 : 4 + length]))
        assert content[4 + length : 8 + length] == content[:4]
        content = content[8 + length :]
    assert sorted((item.source, item.line[:4], item.partial, item.last, item.ordinal) for item in messages) == [
        ("stderr", b"err", False, False, 0),
        ("stdout", b"out", False, False, 0),
        ("stdout", b"rest", True, False, 1),
        ("stdout", b"xxxx", True, False, 1),
        ("stdout", b"xxxx", True, False, 2),
        ("stdout", b"xxxx", True, True, 3),
    ]
    ids = [item.id for item in messages if item.line.startswith(b"xxxx")]
    assert len(set(ids)) == 1
    assert re.fullmatch("[0-9a-f]{64}", ids[0])


@pytest.mark.parametrize("form", ["", "rfc3164", "rfc5424", "rfc5424micro"])
def test_the_messages_to_a_syslog_server_are_the_same(
    engine: Clients, registry: Registry, tmp_path: Path, form: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(30)
        # fmt: off
        run(
            engine, registry, "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{tmp_path}/log",
            "--log-opt", f"syslog-format={form}", "--log-opt", "syslog-facility=local0", "--log-opt", "tag=t",
        )
        # fmt: on
        messages = [server.recv(1 << 20).decode() for _ in range(6)]
    host = Path("/proc/sys/kernel/hostname").read_text().strip()
    time = r"\w{3} [ \d]\d \d\d:\d\d:\d\d"
    heads = {
        "": rf"<13[14]>{time} t\[\d+\]: ",
        "rfc3164": rf"<13[14]>{time} {host} t\[\d+\]: ",
        "rfc5424": rf"<13[14]>1 [-\dT:]+(?:Z|[+-]\d\d:\d\d) {host} t \d+ t - ",
        "rfc5424micro": rf"<13[14]>1 [-\dT:]+\.\d{{6}}(?:Z|[+-]\d\d:\d\d) {host} t \d+ t - ",
    }
    rests = []
    for message in messages:
        head = re.match(heads[form], message)
        assert head, message[:100]
        rests.append(message[head.end() :])
    assert sorted(rests) == sorted(
        ("out\n", "err\n", "x" * 16384 + "\n", "x" * 16384 + "\n", "x" * (40_000 - 2 * 16384) + "\n", 'rest\t"\\\n')
    )
