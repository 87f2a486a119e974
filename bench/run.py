"""Transom beside dockerd, in one run: the ratio of the medians says how far away each is.

    ../shared/peers/run make bench        # or on any host where dockerd listens: PEER_DOCKER_HOST=unix://… make bench

The stock docker client speaks to both, but where each engine's own client is said. On a host without dockerd Transom's
own figures are printed alone. A ratio below 1 is in Transom's favour, or above 1 where more is better. With REGISTRY
(`host:port`, with busybox:latest and layers:latest in it) images come from there; without it a registry is started and
gets what it needs. Figures are medians; runs of the two alternate, so that a busy machine is busy for both.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.host import become_private, left_behind
from testbed.registry import Registry

_CONTAINERS = 100
_CONTAINERS_KEPT = ("bench-exec", "bench-logs")
_RUNS = 15
_PULLS = 3
_TRANSFERS = 5
_LINES = 100_000
_PUSHED = 32 << 20
_BUILDS = 5
_DOCKERFILE = """\
WORKDIR /src
COPY . .
RUN cat * > /all
RUN mkdir /many && for i in $(seq 1000); do echo $i > /many/$i; done
RUN cp -r /bin /copied
RUN rm -r /many && ls -R / > /list
"""


@dataclass
class Engine:
    """One of the two: its name, and where it listens."""

    name: str
    host: str
    #: Its own client.
    client: str
    figures: dict[str, list[float]] = field(default_factory=dict)

    def docker(self, *arguments: str, client: str = "docker") -> str:
        """Run the stock client, or another, and return what it printed."""
        done = subprocess.run([client, "-H", self.host, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {client} {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()


@dataclass(frozen=True)
class Work:
    """Something that both do. `unit` is what the figures are in; the lower the better, unless `higher`."""

    name: str
    unit: str
    measure: Callable[[Engine], float]
    runs: int = _RUNS
    higher: bool = False


def main() -> int:
    """Measure and print the table."""
    if os.geteuid() != 0:
        print("the benchmarks run containers: run them as root", file=sys.stderr)
        return 1
    peer = os.environ.get("PEER_DOCKER_HOST", "")
    if not peer:
        become_private()
        print("No dockerd beside us (PEER_DOCKER_HOST is not set): these are Transom's own figures alone.\n")
    directory = Path(tempfile.mkdtemp(prefix="transom-bench-"))
    try:
        with ExitStack() as stack:
            registry = os.environ.get("REGISTRY") or _own_registry(stack, directory)
            daemon = stack.enter_context(Daemon(directory))
            engines = [Engine("transom", daemon.host, str(TRANSOM))]
            if peer:
                engines.append(Engine("dockerd", peer, "docker"))
            for engine in engines:
                engine.docker("pull", "-q", f"{registry}/busybox:latest")
            _compare(engines, _works(registry))
            for engine in engines:
                engine.docker("rm", "-f", *_CONTAINERS_KEPT)
        left = left_behind(directory)
        if left:
            print("Left behind:", *left, sep="\n  ")
        return 1 if left else 0
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _own_registry(stack: ExitStack, directory: Path) -> str:
    (directory / "registry").mkdir()
    registry = stack.enter_context(Registry(directory / "registry"))
    registry.push_busybox()
    registry.push_files("layers", [os.urandom(8 << 20) for _ in range(4)])
    return registry.address


def _works(registry: str) -> list[Work]:
    busybox, layers = f"{registry}/busybox:latest", f"{registry}/layers:latest"
    works = [
        Work("docker run --rm --network none busybox true", "ms", lambda engine: _run(engine, busybox)),
        Work(
            "docker run --rm busybox true, on the bridge",
            "ms",
            lambda engine: _timed(engine, "run", "--rm", busybox, "true"),
        ),
        Work("docker pull layers:latest and unpack", "ms", lambda engine: _pull(engine, layers), _PULLS),
        Work(f"docker push of {_PUSHED >> 20} MB", "ms", lambda engine: _push(engine, busybox, registry), _PULLS),
        Work("docker exec NAME true", "ms", lambda engine: _exec(engine, busybox)),
        Work(f"docker logs, {_LINES} lines", "ms", lambda engine: _logs(engine, busybox), _TRANSFERS),
        Work("docker build of six steps, no cache", "ms", lambda e: _build(e, busybox, "--no-cache"), _BUILDS),
        Work("docker build of six steps, cached", "ms", lambda e: _build(e, busybox), _BUILDS),
        Work("docker ps", "ms", lambda engine: _timed(engine, "ps")),
        Work("ps with the engine's own client", "ms", lambda engine: _timed(engine, "ps", client=engine.client)),
        Work(f"GET /containers/json, {_CONTAINERS} containers", "requests/s", lambda e: _list(e, busybox), 1, True),
        Work("memory of one idle container's supervisor (Pss)", "MB", lambda e: _memory(e, busybox), 1),
    ]
    if shutil.which("iperf3"):
        works += [
            Work("iperf3 container to container", "Gbit/s", lambda e: _throughput(e, busybox), _TRANSFERS, True),
            Work("iperf3 to a published port", "Gbit/s", lambda e: _published(e, busybox), _TRANSFERS, True),
        ]
    return works


def _compare(engines: list[Engine], works: list[Work]) -> None:
    heads = [f"{engine.name:>12}" for engine in engines]
    print(f"{'':52}{''.join(heads)}{'ratio':>8}" if len(engines) > 1 else f"{'':52}{heads[0]}")
    for work in works:
        for _ in range(work.runs):
            for engine in engines:
                engine.figures.setdefault(work.name, []).append(work.measure(engine))
        medians = [statistics.median(engine.figures[work.name]) for engine in engines]
        cells = "".join(f"{median:>12.1f}" for median in medians)
        ratio = f"{medians[0] / medians[1]:>8.2f}" if len(medians) > 1 else ""
        print(f"{work.name:<52}{cells}{ratio}  {work.unit}{', more is better' if work.higher else ''}", flush=True)


def _timed(engine: Engine, *arguments: str, client: str = "docker") -> float:
    begin = time.perf_counter()
    engine.docker(*arguments, client=client)
    return (time.perf_counter() - begin) * 1000


def _run(engine: Engine, image: str) -> float:
    return _timed(engine, "run", "--rm", "--network", "none", image, "true")


def _throughput(engine: Engine, image: str) -> float:
    """Return what iperf3 sends from one container to another, through both their namespaces."""
    with _servers(engine, image) as (server, client, address, _):
        return _iperf(["nsenter", "-t", server, "-n"], ["nsenter", "-t", client, "-n"], [address])


def _published(engine: Engine, image: str) -> float:
    """Return what iperf3 sends from the machine to a published port."""
    with _servers(engine, image) as (server, _, _, port):
        return _iperf(["nsenter", "-t", server, "-n"], [], ["127.0.0.1", "-p", port])


@contextmanager
def _servers(engine: Engine, image: str) -> Iterator[tuple[str, str, str, str]]:
    """Two containers: their inits, and the first one's address and the port where its 5201 is published."""
    with _passing(engine):
        names = ("bench-one", "bench-two")
        for name in names:
            engine.docker("run", "-d", "--name", name, "-p", "5201", image, "sleep", "1000")
        port_of = '(index (index .NetworkSettings.Ports "5201/tcp") 0).HostPort'
        shown = f"{{{{.State.Pid}}}} {{{{.NetworkSettings.IPAddress}}}} {{{{{port_of}}}}}"
        (one, address, port), (two, *_) = (engine.docker("inspect", "-f", shown, name).split() for name in names)
        try:
            yield one, two, address, port
        finally:
            engine.docker("rm", "-f", *names)


@contextmanager
def _passing(engine: Engine) -> Iterator[None]:
    """Let what is forwarded for Transom pass dockerd's rules, whose policy is to drop what they do not know."""
    rules = [["DOCKER-USER", side, "transom+", "-j", "ACCEPT"] for side in ("-i", "-o")]
    needed = engine.name == "transom" and bool(os.environ.get("PEER_DOCKER_HOST"))
    for rule in rules if needed else []:
        subprocess.run(["iptables", "-I", *rule], check=True)
    yield
    for rule in rules if needed else []:
        subprocess.run(["iptables", "-D", *rule], check=True)


def _iperf(server: list[str], client: list[str], target: list[str]) -> float:
    """Return the gigabits per second that a server of iperf3 received from a client, in two seconds."""
    with subprocess.Popen([*server, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL) as serving:
        command = [*client, "iperf3", "-t", "2", "-J", "-c", *target]
        end = time.monotonic() + 10
        while True:
            # It says in its answer, and not by its exit code, that nobody listens yet.
            answer = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
            if "error" not in answer:
                return float(answer["end"]["sum_received"]["bits_per_second"]) / 1e9
            if time.monotonic() > end:
                serving.kill()
                raise RuntimeError(f"iperf3: {answer['error']}")
            time.sleep(0.1)


def _exec(engine: Engine, image: str) -> float:
    _keep(engine, "bench-exec", image, "sleep", "1000")
    return _timed(engine, "exec", "bench-exec", "true")


def _logs(engine: Engine, image: str) -> float:
    """Time the reading of a log that both keep in the same format."""
    if _keep(engine, "bench-logs", "--log-driver", "json-file", image, "seq", str(_LINES)):
        engine.docker("wait", "bench-logs")
    return _timed(engine, "logs", "bench-logs")


def _keep(engine: Engine, name: str, *arguments: str) -> bool:
    """Run a container for several figures, unless it is there; return whether it was not."""
    absent = name not in engine.docker("ps", "-a", "--format", "{{.Names}}").split()
    if absent:
        engine.docker("run", "-d", "--network", "none", "--name", name, *arguments)
    return absent


def _push(engine: Engine, image: str, registry: str) -> float:
    """Time the push of an image with one layer that no registry has seen."""
    target = f"{registry}/pushed-{engine.name}-{time.time_ns()}"
    size = f"count={_PUSHED >> 20}"
    script = ("dd", "if=/dev/urandom", "of=/file", "bs=1M", size)
    engine.docker("run", "--network", "none", "--name", "bench-push", image, *script)
    engine.docker("commit", "bench-push", target)
    engine.docker("rm", "bench-push")
    try:
        return _timed(engine, "push", "-q", target)
    finally:
        engine.docker("rmi", target)


def _build(engine: Engine, image: str, *options: str) -> float:
    """Build in the way that is the engine's own: dockerd with BuildKit."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "Dockerfile").write_text(f"FROM {image}\n{_DOCKERFILE}")
        for number in range(50):
            Path(directory, f"file{number}").write_text(f"{number}\n" * 1000)
        # A newer client needs a plugin for BuildKit; Debian's, which comes with its dockerd, speaks to it by itself.
        client = engine.client if engine.name == "transom" else shutil.which("docker", path="/usr/bin") or "docker"
        begin = time.perf_counter()
        subprocess.run(
            [client, "-H", engine.host, "build", "-q", "--network", "none", *options, directory],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            check=True,
            capture_output=True,
        )
        return (time.perf_counter() - begin) * 1000


def _pull(engine: Engine, image: str) -> float:
    for name in (image, "layers:latest"):
        subprocess.run(["docker", "-H", engine.host, "rmi", "-f", name], capture_output=True)
    subprocess.run(["sync"], check=True)
    return _timed(engine, "pull", "-q", image)


def _list(engine: Engine, image: str) -> float:
    made = [engine.docker("create", "--network", "none", image, "true") for _ in range(_CONTAINERS)]
    connection = _Connection(engine.host)
    end = time.perf_counter() + 3
    answers = 0
    while time.perf_counter() < end:
        connection.request("GET", "/v1.41/containers/json?all=1")
        answer = connection.getresponse()
        answer.read()
        answers += answer.status == 200
    connection.close()
    engine.docker("rm", *made)
    return answers / 3


def _memory(engine: Engine, image: str) -> float:
    """Return the proportional set size per container of the shims of ten idle containers."""
    container = [engine.docker("run", "-d", "--network", "none", image, "sleep", "1000") for _ in range(10)]
    time.sleep(1)
    sizes = [_shim_of(engine, identity) for identity in container]
    engine.docker("rm", "-f", *container)
    return statistics.median(sizes)


def _shim_of(engine: Engine, container: str) -> float:
    init = engine.docker("inspect", "-f", "{{.State.Pid}}", container)
    status = Path(f"/proc/{init}/status").read_text()
    parent = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid"))
    rollup = Path(f"/proc/{parent}/smaps_rollup").read_text()
    return int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))) / 1024


class _Connection(http.client.HTTPConnection):
    """One connection to a unix socket."""

    def __init__(self, host: str) -> None:
        super().__init__("localhost")
        self._path = host.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


if __name__ == "__main__":
    sys.exit(main())
