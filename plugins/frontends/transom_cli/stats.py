"""`stats`: what containers use, as a table that is drawn again and again."""

from __future__ import annotations

import io
import json
import sys
import threading
from contextlib import redirect_stdout
from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.tables import Format, Listing, parse_format
from transom_cli.units import binary_size, decimal_size

__all__ = ["stats"]

LISTING = Listing(
    headings={
        "BlockIO": "BLOCK I/O",
        "CPUPerc": "CPU %",
        "Container": "CONTAINER",
        "ID": "CONTAINER ID",
        "MemPerc": "MEM %",
        "MemUsage": "MEM USAGE / LIMIT",
        "Name": "NAME",
        "NetIO": "NET I/O",
        "PIDs": "PIDS",
    },
    columns=("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
)
#: Seconds between two drawings.
_INTERVAL = 0.5
#: Seconds after which a container that says nothing is drawn without numbers.
_PATIENCE = 2.0
_HOME, _ERASE_LINE, _ERASE_REST = "\033[H", "\033[K", "\033[J"


@api_command(
    "stats", "[CONTAINER...]", about="Display a live stream of container(s) resource usage statistics", most=None
)
@flag("everything", "--all", "-a", kind=BOOL, about="Show all containers (default shows just running)")
@flag("template", "--format", about="Format output as 'table', 'table TEMPLATE', 'json' or with a Go template")
@flag("--no-stream", kind=BOOL, about="Disable streaming stats and only pull the first result")
@flag("--no-trunc", kind=BOOL, about="Do not truncate output")
def stats(
    client: Client, arguments: list[str], *, everything: bool, template: str | None, no_stream: bool, no_trunc: bool
) -> None:
    """Print what containers use: those that are named, or all that run, until interrupted or once."""
    shown = parse_format(template or "")
    watched = _Watched(client, stream=not no_stream)
    if arguments:
        for name in dict.fromkeys(arguments):
            watched.add(name)
    else:
        if not no_stream:
            _follow_events(client, watched, everything)
        for container in client.get("/containers/json", all=everything):
            watched.add(container["Id"][:12])
    watched.wait_for_first()
    if arguments:
        watched.raise_failures()
    while True:
        drawing = _draw(shown, [container.row(not no_trunc) for container in watched.containers()])
        if no_stream:
            print(drawing, end="")
            return
        sys.stdout.write(_HOME + "".join(f"{line} {_ERASE_LINE}\n" for line in drawing.split("\n")) + _ERASE_REST)
        sys.stdout.flush()
        if watched.wait(_INTERVAL):
            raise CommandFailed(watched.problem)


class _Container:
    """One container that is watched, by the name that it was given, and what was last heard of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told = threading.Event()
        self.failure: CommandFailed | None = None
        self._last: dict[str, Any] | None = None

    def collect(self, client: Client, stream: bool) -> None:
        """Take what the daemon says, until it ends."""
        try:
            response = client.stream("GET", f"/containers/{self.name}/stats", stream=str(stream).lower())
            for line in response.lines():
                self._last = json.loads(line)
                self.told.set()
        except CommandFailed as failure:
            self.failure = failure
        finally:
            self.told.set()

    def row(self, truncate: bool) -> dict[str, Any]:
        """Return what the fields of `--format` are."""
        last = self._last
        if last is None:
            return {
                **dict.fromkeys(("BlockIO", "CPUPerc"), "--"),
                "Container": self.name,
                "ID": "",
                "MemPerc": "--",
                "MemUsage": "-- / --",
                "Name": "--",
                "NetIO": "--",
                "PIDs": "--",
            }
        memory = last.get("memory_stats") or {}
        limit, used = memory.get("limit") or 0, _used_memory(memory)
        identity = last.get("id", "")
        return {
            "BlockIO": " / ".join(decimal_size(_block_bytes(last, kind), 3) for kind in "rw"),
            "CPUPerc": f"{_processor_share(last):.2f}%",
            "Container": self.name,
            "ID": identity[:12] if truncate else identity,
            "MemPerc": f"{used / limit * 100 if limit else 0:.2f}%",
            "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
            "Name": last.get("name", "")[1:] or "--",
            "NetIO": " / ".join(decimal_size(_network_bytes(last, way), 3) for way in ("rx_bytes", "tx_bytes")),
            "PIDs": str((last.get("pids_stats") or {}).get("current", 0)),
        }


class _Watched:
    """The containers that are watched, in the order in which they were added; each has a thread of this process."""

    def __init__(self, client: Client, *, stream: bool) -> None:
        self._client = client
        self._stream = stream
        self._lock = threading.Lock()
        self._containers: dict[str, _Container] = {}
        self._lost = threading.Event()
        self.problem = ""
        # Asked once, before there are threads.
        _ = client.version

    def add(self, name: str) -> None:
        """Watch a container, unless it is watched already."""
        with self._lock:
            if name in self._containers:
                return
            container = self._containers[name] = _Container(name)
        threading.Thread(target=container.collect, args=(self._client, self._stream), daemon=True).start()

    def remove(self, name: str) -> None:
        """Show a container no longer."""
        with self._lock:
            self._containers.pop(name, None)

    def containers(self) -> list[_Container]:
        """Return what is watched now."""
        with self._lock:
            return list(self._containers.values())

    def wait_for_first(self) -> None:
        """Wait until something was heard of each container, though not for ever of one that is followed."""
        for container in self.containers():
            container.told.wait(_PATIENCE if self._stream else None)

    def raise_failures(self) -> None:
        """Raise `CommandFailed` if a container could not be watched."""
        failures = [container.failure.message for container in self.containers() if container.failure]
        if failures:
            raise CommandFailed("\n".join(failures))

    def lose(self, problem: str) -> None:
        """Say that the daemon is gone."""
        self.problem = problem
        self._lost.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, and return whether the daemon is gone."""
        return self._lost.wait(seconds)


def _follow_events(client: Client, watched: _Watched, everything: bool) -> None:
    """Watch containers as they start, and leave out those that end; with `everything`, those that are removed."""
    response = client.stream("GET", "/events", filters={"type": ["container"]})
    begin, end = ("create", "destroy") if everything else ("start", "die")

    def follow() -> None:
        problem = ""
        try:
            for line in response.lines():
                event = json.loads(line)
                if event["Action"] in (begin, "start"):
                    watched.add(event["Actor"]["ID"][:12])
                elif event["Action"] == end:
                    watched.remove(event["Actor"]["ID"][:12])
        except CommandFailed as failure:
            problem = failure.message
        watched.lose(problem)

    threading.Thread(target=follow, daemon=True).start()


def _draw(shown: Format, rows: list[dict[str, Any]]) -> str:
    target = io.StringIO()
    with redirect_stdout(target):
        shown.print(LISTING, rows)
    return target.getvalue()


def _processor_share(last: dict[str, Any]) -> float:
    """Return the share of one processor's time, in percent, between this measurement and the one before."""
    now, before = last.get("cpu_stats") or {}, last.get("precpu_stats") or {}
    own = _total_usage(now) - _total_usage(before)
    whole = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    processors = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ())
    return own / whole * processors * 100 if own > 0 and whole > 0 else 0.0


def _total_usage(measured: dict[str, Any]) -> int:
    total: int = (measured.get("cpu_usage") or {}).get("total_usage") or 0
    return total


def _used_memory(memory: dict[str, Any]) -> int:
    """Return the bytes in use without those of files that the kernel would give back first."""
    usage: int = memory.get("usage") or 0
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return usage - cache if cache < usage else usage


def _block_bytes(last: dict[str, Any], kind: str) -> int:
    entries = (last.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return sum(entry["value"] for entry in entries if entry["op"][:1].lower() == kind)


def _network_bytes(last: dict[str, Any], way: str) -> int:
    return sum(interface.get(way, 0) for interface in (last.get("networks") or {}).values())
