"""`version` and `info`."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

from transom_cli.client import API_VERSION, Client
from transom_cli.errors import CommandFailed, Unreachable
from transom_cli.flags import api_command, flag
from transom_cli.inspection import FORMAT_HELP
from transom_cli.tables import print_table
from transom_cli.template import Template, parse
from transom_cli.units import binary_size

__all__ = ["info", "version"]

#: What this machine's architecture is called in the API.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@api_command("version", about="Show the Transom version information")
@flag("template", "--format", "-f", about=FORMAT_HELP)
def version(client: Client, _arguments: list[str], *, template: str | None) -> None:
    """Print the versions of the client and of the daemon. Without a daemon the client's is still printed."""
    parsed = _parsed(template, "version")
    ours = _client_version()
    failure: CommandFailed | None = None
    server: dict[str, Any] | None = None
    try:
        ours["ApiVersion"] = client.version
        server = client.get("/version")
    except Unreachable as error:
        failure = error
    if parsed:
        print(parsed.render({"Client": ours, "Server": server}))
    else:
        _print_client(ours)
        if server is not None:
            _print_server(server)
    if failure:
        raise failure


@api_command("info", about="Display system-wide information")
@flag("template", "--format", "-f", about=FORMAT_HELP)
def info(client: Client, _arguments: list[str], *, template: str | None) -> None:
    """Print what the daemon says about itself and its machine."""
    parsed = _parsed(template)
    ours = {"Debug": False, **_client_version(), "Plugins": [], "Warnings": None}
    failure: CommandFailed | None = None
    about: dict[str, Any] = {}
    try:
        about = client.get("/info")
    except Unreachable as error:
        failure = error
    if parsed:
        print(parsed.render({**about, "ClientInfo": ours}))
    else:
        print(f"Client:\n Version:    {ours['Version']}\n Context:    {ours['Context']}\n Debug Mode: false\n\nServer:")
        if failure is None:
            print("\n".join(_describe(about)), end="\n\n")
            for warning in about.get("Warnings") or []:
                print(warning, file=sys.stderr)
    if failure:
        raise failure


def _parsed(text: str | None, name: str = "") -> Template | None:
    return parse("{{json .}}" if text == "json" else text, name) if text else None


def _client_version() -> dict[str, Any]:
    from transom import __version__

    machine = os.uname().machine
    return {
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": platform.python_version(),
        "Os": "linux",
        "Arch": _ARCHITECTURES.get(machine, machine),
        "Context": "default",
    }


def _print_client(ours: dict[str, Any]) -> None:
    api, newest = ours["ApiVersion"], ours["DefaultAPIVersion"]
    print("Client:")
    _print_facts(
        [
            (" Version:", ours["Version"]),
            (" API version:", api if api == newest else f"{api} (downgraded from {newest})"),
            (" Python version:", ours["PythonVersion"]),
            (" OS/Arch:", f"{ours['Os']}/{ours['Arch']}"),
            (" Context:", ours["Context"]),
        ]
    )


def _print_server(server: dict[str, Any]) -> None:
    name = (server.get("Platform") or {}).get("Name", "")
    print(f"\nServer:{' ' + name if name else ''}")
    facts: list[tuple[str, str]] = []
    for component in server.get("Components") or [_engine(server)]:
        details = component.get("Details") or {}
        facts += [(f" {component['Name']}:", ""), ("  Version:", component["Version"])]
        if component["Name"] == "Engine":
            facts += _engine_facts(details)
        else:
            facts += [(f"  {key}:", details[key]) for key in sorted(details)]
    _print_facts(facts)


def _engine(server: dict[str, Any]) -> dict[str, Any]:
    """Return the engine as a component, for a daemon that lists none."""
    details = {key: str(value) for key, value in server.items() if isinstance(value, (str, bool))}
    return {"Name": "Engine", "Version": server.get("Version", ""), "Details": details}


def _engine_facts(details: dict[str, str]) -> list[tuple[str, str]]:
    facts = [
        (
            "  API version:",
            f"{details.get('ApiVersion', '')} (minimum version {details.get('MinAPIVersion', '')})",
        )
    ]
    for label, key in (
        ("Go version", "GoVersion"),
        ("Python version", "PythonVersion"),
        ("Git commit", "GitCommit"),
        ("Built", "BuildTime"),
    ):
        if details.get(key):
            facts.append((f"  {label}:", details[key]))
    facts.append(("  OS/Arch:", f"{details.get('Os', '')}/{details.get('Arch', '')}"))
    if "Experimental" in details:
        facts.append(("  Experimental:", details["Experimental"]))
    return facts


def _print_facts(facts: list[tuple[str, str]]) -> None:
    """Print labels and values; a component's own line has no value, and nothing after its name."""
    block: list[tuple[str, str]] = []
    for label, value in facts:
        if value or label.startswith("  "):
            block.append((label, value))
            continue
        print_table(block, minimum=20, padding=1)
        block = []
        print(label)
    print_table(block, minimum=20, padding=1)


def _describe(about: dict[str, Any]) -> list[str]:
    """Return the lines about a daemon and its machine (`GET /info`), in Docker's order."""
    plugins = about.get("Plugins") or {}
    lines = [
        f" Containers: {about['Containers']}",
        f"  Running: {about['ContainersRunning']}",
        f"  Paused: {about['ContainersPaused']}",
        f"  Stopped: {about['ContainersStopped']}",
        f" Images: {about['Images']}",
        *_present(about, ("Server Version", "ServerVersion"), ("Storage Driver", "Driver")),
        *(f"  {key}: {value}" for key, value in about.get("DriverStatus") or []),
        *_present(
            about,
            ("Logging Driver", "LoggingDriver"),
            ("Cgroup Driver", "CgroupDriver"),
            ("Cgroup Version", "CgroupVersion"),
        ),
        " Plugins:",
        f"  Volume: {' '.join(plugins.get('Volume') or [])}",
        f"  Network: {' '.join(plugins.get('Network') or [])}",
        f"  Log: {' '.join(plugins.get('Log') or [])}",
        f" Swarm: {(about.get('Swarm') or {}).get('LocalNodeState', 'inactive')}",
    ]
    if about.get("Runtimes"):
        lines += [
            f" Runtimes: {' '.join(sorted(about['Runtimes']))}",
            f" Default Runtime: {about['DefaultRuntime']}",
        ]
    if about.get("OSType") == "linux":
        lines.append(f" Init Binary: {about.get('InitBinary', '')}")
        lines += [
            f" {name} version: {(about.get(key) or {}).get('ID', '')}"
            for name, key in (
                ("containerd", "ContainerdCommit"),
                ("runc", "RuncCommit"),
                ("init", "InitCommit"),
            )
        ]
    lines += _security(about.get("SecurityOptions") or [])
    lines += _present(
        about,
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    )
    lines += [f" CPUs: {about['NCPU']}", f" Total Memory: {binary_size(about['MemTotal'])}"]
    lines += _present(about, ("Name", "Name"), ("ID", "ID"))
    lines.append(f" Docker Root Dir: {about['DockerRootDir']}")
    lines.append(f" Debug Mode: {_truth(about.get('Debug'))}")
    lines += _present(about, ("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy"))
    if about.get("Labels"):
        lines += [" Labels:", *(f"  {label}" for label in about["Labels"])]
    lines.append(f" Experimental: {_truth(about.get('ExperimentalBuild'))}")
    lines += _registries(about.get("RegistryConfig") or {})
    lines.append(f" Live Restore Enabled: {_truth(about.get('LiveRestoreEnabled'))}")
    return lines


def _present(about: dict[str, Any], *facts: tuple[str, str]) -> list[str]:
    """Return lines for the facts that are not empty."""
    return [f" {label}: {about[key]}" for label, key in facts if about.get(key)]


def _security(options: list[str]) -> list[str]:
    """Return the security options: `name=seccomp,profile=default` as a name and its profile."""
    lines = [" Security Options:"] if options else []
    for option in options:
        pairs = dict(pair.partition("=")[::2] for pair in option.split(","))
        lines.append(f"  {pairs.get('name', option)}")
        if "profile" in pairs:
            lines.append(f"   Profile: {pairs['profile']}")
    return lines


def _registries(config: dict[str, Any]) -> list[str]:
    insecure = [name for name, index in (config.get("IndexConfigs") or {}).items() if not index.get("Secure", True)]
    insecure += config.get("InsecureRegistryCIDRs") or []
    mirrors = config.get("Mirrors") or []
    lines = [" Insecure Registries:", *(f"  {name}" for name in insecure)] if insecure else []
    return lines + ([" Registry Mirrors:", *(f"  {mirror}" for mirror in mirrors)] if mirrors else [])


def _truth(value: Any) -> str:
    return "true" if value else "false"
