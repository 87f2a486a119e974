"""CNI plugins: programs that are run with a configuration on their standard input and answer on their standard output.

CNI specification 1.0.0, section 2, "Execution Protocol". It demands processes: this is the one network driver that runs
any.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transom.errors import InvalidParameter, Unavailable
from transom_cni.configuration import NetworkConfiguration

__all__ = ["Attachment", "Plugins"]

Json = dict[str, Any]

#: Seconds: a plugin may wait for a DHCP server.
_TIMEOUT = 120
#: The first version with CHECK.
_CHECKING = (0, 4)


@dataclass(frozen=True)
class Attachment:
    """An interface in a sandbox (`CNI_CONTAINERID`, `CNI_IFNAME`); `namespace` is empty where that is gone."""

    container: str
    interface: str
    namespace: str = ""


class Plugins:
    """The plugins of some directories, of which the first that has one counts."""

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = directories

    def require(self, configuration: NetworkConfiguration) -> None:
        """Raise `InvalidParameter` for a plugin that is not there, or does not speak the configuration's version."""
        kinds = [plugin["type"] for plugin in configuration.plugins]
        addressing = [(plugin.get("ipam") or {}).get("type") for plugin in configuration.plugins]
        for kind in dict.fromkeys([*kinds, *filter(None, addressing)]):
            asked = {"cniVersion": configuration.version}
            answer = self._run(kind, "VERSION", asked, Attachment("", ""), configuration)
            versions = answer.get("supportedVersions", [])
            if configuration.version not in versions:
                raise InvalidParameter(
                    f"the CNI plugin {kind} does not speak version {configuration.version} of the network"
                    f" {configuration.name}, but {', '.join(map(str, versions))}"
                )

    def add(
        self, configuration: NetworkConfiguration, attachment: Attachment, told: Mapping[str, Any], lock: int
    ) -> Json:
        """Run ADD of all plugins, each of which gets what the one before it answered; return the last answer.

        `told` are the values of capabilities. `lock` is a descriptor that they hold as long as they run.
        """
        result: Json | None = None
        for plugin in configuration.plugins:
            asked = _request(configuration, plugin, told, result)
            result = self._run(plugin["type"], "ADD", asked, attachment, configuration, lock)
        return result or {}

    def check(
        self, configuration: NetworkConfiguration, attachment: Attachment, told: Mapping[str, Any], result: Json
    ) -> None:
        """Run CHECK of all plugins, where the configuration has it. Raises `Unavailable` with what is wrong."""
        if not configuration.checked or _number(configuration.version) < _CHECKING:
            return
        for plugin in configuration.plugins:
            asked = _request(configuration, plugin, told, result)
            self._run(plugin["type"], "CHECK", asked, attachment, configuration)

    def delete(
        self,
        configuration: NetworkConfiguration,
        attachment: Attachment,
        told: Mapping[str, Any],
        result: Json | None,
        lock: int,
    ) -> None:
        """Run DEL of all plugins in reverse. If some fail the others are run all the same, and the first is raised."""
        first: Exception | None = None
        for plugin in reversed(configuration.plugins):
            asked = _request(configuration, plugin, told, result)
            try:
                self._run(plugin["type"], "DEL", asked, attachment, configuration, lock)
            except (Unavailable, InvalidParameter) as error:
                first = first or error
        if first is not None:
            raise first

    def _run(
        self,
        kind: str,
        command: str,
        asked: Json,
        attachment: Attachment,
        configuration: NetworkConfiguration,
        lock: int = -1,
    ) -> Json:
        """Run one plugin and return what it answers, an empty object for nothing."""
        program = self._find(kind)
        environment = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": attachment.container,
            "CNI_NETNS": attachment.namespace,
            "CNI_IFNAME": attachment.interface,
            "CNI_PATH": ":".join(self._directories),
        }
        what = f"the CNI plugin {kind} failed at {command} for the network {configuration.name}"
        try:
            done = subprocess.run(
                [str(program)],
                input=json.dumps(asked).encode(),
                env=environment,
                capture_output=True,
                timeout=_TIMEOUT,
                cwd="/",
                pass_fds=(lock,) if lock >= 0 else (),
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{what}: it did not end in {_TIMEOUT} seconds") from None
        except OSError as error:
            raise Unavailable(f"{what}: {program}: {error.strerror}") from error
        if done.returncode:
            raise Unavailable(f"{what}: {_complaint(done)}")
        try:
            answer = json.loads(done.stdout) if done.stdout.strip() else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable(f"{what}: it answered what is no JSON object: {done.stdout[:200]!r}")
        return answer

    def _find(self, kind: str) -> Path:
        for directory in self._directories:
            program = Path(directory, kind)
            if program.is_file() and os.access(program, os.X_OK):
                return program
        raise InvalidParameter(
            f"the CNI plugin {kind} is in none of {', '.join(self._directories)}: install it, or say where it is with"
            " -o plugin-dir=DIRECTORY"
        )


def _request(configuration: NetworkConfiguration, plugin: Json, told: Mapping[str, Any], result: Json | None) -> Json:
    """Return what a plugin is given: its configuration, and what this runtime has to tell."""
    asked = {name: value for name, value in plugin.items() if name != "capabilities"}
    asked |= {"name": configuration.name, "cniVersion": configuration.version}
    wanted = {name: told[name] for name, on in (plugin.get("capabilities") or {}).items() if on and name in told}
    if wanted:
        asked["runtimeConfig"] = wanted
    if result is not None:
        asked["prevResult"] = result
    return asked


def _complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return why a plugin failed, in its own words where it has any."""
    try:
        error = json.loads(done.stdout)
        words = [error.get("msg"), error.get("details")]
    except (ValueError, AttributeError):
        words = [done.stderr.decode(errors="replace").strip() or done.stdout[:200].decode(errors="replace").strip()]
    said = ": ".join(str(word) for word in words if word)
    if done.returncode < 0:
        return f"it was ended by signal {-done.returncode}" + (f": {said}" if said else "")
    return said or f"it ended with status {done.returncode} and said nothing"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
