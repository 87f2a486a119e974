"""The same command lines, given to a real dockerd and to Transom, and to the stock client and to our own."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed.clients import Clients
from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.peer import Peer
from testbed.registry import Registry

TABLE = tomllib.loads((Path(__file__).parent / "scenarios.toml").read_text())
MORE = tomllib.loads((Path(__file__).parent / "scenarios_command_line.toml").read_text())
SCENARIOS = [
    pytest.param(
        scenario,
        id=scenario["name"].replace(" ", "-"),
        marks=[pytest.mark.exhaustive] if scenario.get("exhaustive") else [],
    )
    for scenario in (*TABLE["scenario"], *MORE["scenario"])
]


@dataclass
class Player:
    """Gives the lines of a scenario to one client of one engine, and keeps what it found of each scenario."""

    engine: Clients
    client: str
    registry: Registry
    directory: Path
    known: dict[str, list[str]] = field(default_factory=dict)

    def play(self, scenario: dict[str, Any]) -> list[str]:
        """Return what each line wrote and its exit code, without what differs between any two runs."""
        if scenario["name"] not in self.known:
            self.known[scenario["name"]] = self._play(scenario)
        return self.known[scenario["name"]]

    def _play(self, scenario: dict[str, Any]) -> list[str]:
        begin = str(time.time())
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        try:
            return [self._give(line, scenario.get("input"), begin) for line in scenario["lines"]]
        finally:
            self._clean()

    def _give(self, line: str, data: str | None, begin: str) -> str:
        values = {
            "IMAGE": self.registry.busybox,
            "REGISTRY": self.registry.address,
            "DIRECTORY": str(self.directory),
            "BEGIN": begin,
            "NOW": str(time.time()),
        }
        words = [
            re.sub(r"\$(IMAGE|REGISTRY|DIRECTORY|BEGIN|NOW)\b", lambda found: values[found[1]], word)
            for word in shlex.split(line)
        ]
        done = getattr(self.engine, self.client)(*words, check=False, input=data)
        text = f"$ {line}\n{done.stdout}--- stderr\n{done.stderr}--- exit code {done.returncode}\n"
        return self._normalise(text)

    def _normalise(self, text: str) -> str:
        text = text.replace(self.registry.address, "<registry>").replace(str(self.directory), "<directory>")
        return normalise(text)

    def _clean(self) -> None:
        """Take away what a scenario left, through the API: clients' starts would take minutes in all."""
        with closing(docker.APIClient(self.engine.host, version="auto")) as api:
            for container in api.containers(all=True):
                api.remove_container(container["Id"], v=True, force=True)
            for volume in api.volumes()["Volumes"] or []:
                api.remove_volume(volume["Name"])
            for image in api.images(filters={"dangling": True}, quiet=True):
                api.remove_image(image, force=True)
            if not api.images(self.registry.busybox):
                api.pull(self.registry.busybox)


def normalise(text: str) -> str:
    """Give both programs one name; replace IDs, times, ages, and names that were made up."""
    text = re.sub("transom", "docker", text, flags=re.IGNORECASE)
    text = re.sub("Docker", "docker", text)
    # The table was written for one graph driver; another one's mounts may be called by its name and the program's.
    text = re.sub(rf"\b{GRAPHDRIVER}(\.docker)?\b", "overlay", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "<short-id>", text)
    text = re.sub(r"\d{4}-\d{2}-\d{2}[T ][\d:.]+(?:Z|[+-]\d\d:\d\d| \+0000 UTC)", "<time>", text)
    text = re.sub(r"(?:Less than a second|About an? (?:minute|hour)|\d+ (?:second|minute|hour)s?)", "<age>", text)
    text = re.sub(r"\b(?!on_)[a-z]+_[a-z]+\b", "<name>", text)
    return re.sub(" {2,}", "  ", text)


@pytest.fixture(scope="module")
def players(
    daemon: Daemon, peer: Peer, registry: Registry, new_client: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Player]]:
    """The stock client on dockerd, the stock client on Transom, our client on Transom."""
    with pytest.MonkeyPatch.context() as patch:
        # Both are asked in the same version of the API, so that answers have the same fields.
        version = peer.docker("version", "-f", "{{.Server.APIVersion}}").stdout.strip()
        patch.setenv("DOCKER_API_VERSION", version)
        directory = tmp_path_factory.mktemp("mounted") / "directory"
        yield {
            "docker on dockerd": Player(peer, "docker", registry, directory),
            "docker on Transom": Player(daemon, "docker", registry, directory),
            "transom on Transom": Player(daemon, "transom", registry, directory),
        }


@pytest.fixture
def compare(players: dict[str, Player]) -> Callable[[dict[str, Any], str, str], None]:
    """Play a scenario with two players, and fail with all that differs but for the exceptions in the table."""

    def check(scenario: dict[str, Any], expected: str, found: str) -> None:
        exceptions = [item for item in scenario.get("differs", []) if item["to"] == found]
        one, _ = reword(
            "\n".join(players[expected].play(scenario)), [item for item in TABLE["wording"] if item["to"] == found]
        )
        one, needed = reword(one, exceptions)
        other = "\n".join(players[found].play(scenario))
        difference = difflib.unified_diff(one.splitlines(), other.splitlines(), expected, found, n=8, lineterm="")
        if one != other:
            pytest.fail("\n".join(difference))
        assert needed == exceptions, "these exceptions are not needed any more"

    return check


def reword(text: str, exceptions: list[dict[str, str]]) -> tuple[str, list[dict[str, str]]]:
    """Put what is expected instead for what one says, and return also the exceptions that were needed for that."""
    needed = []
    for item in exceptions:
        text, count = re.subn(item["says"], item["expected"], text, flags=re.MULTILINE)
        if count:
            needed.append(item)
    return text, needed


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_transom_does_what_dockerd_does(compare: Callable[..., None], scenario: dict[str, Any]) -> None:
    compare(scenario, "docker on dockerd", "docker on Transom")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_our_client_does_what_the_stock_client_does(compare: Callable[..., None], scenario: dict[str, Any]) -> None:
    compare(scenario, "docker on Transom", "transom on Transom")


@pytest.mark.parametrize("line", TABLE["unsupported"]["lines"])
def test_an_option_that_is_not_there_yet_is_refused(players: dict[str, Player], line: str) -> None:
    scenario = {"name": line, "lines": [line]}
    [stock] = players["docker on Transom"].play(scenario)
    [own] = players["transom on Transom"].play(scenario)
    assert "is not supported by this engine: leave it out" in stock
    assert f"the option {line.split()[1]} is not supported by this engine: leave it out" in own
