"""The engine as a whole as Docker's API shows it: version, info, drivers, events."""

from __future__ import annotations

import hashlib
import ipaddress
import platform
import time
from typing import TYPE_CHECKING, Any

from transom_api.router import API_VERSION, MINIMUM_API_VERSION
from transom_api.times import format_time

if TYPE_CHECKING:
    from transom.catalog import DriverInfo
    from transom.events import Event
    from transom.system import SystemInfo, VersionInfo

__all__ = [
    "driver_details",
    "event_message",
    "info_details",
    "plugin_details",
    "version_details",
]

Json = dict[str, Any]

_COMMIT: Json = {"ID": "", "Expected": ""}
#: What the engine does not do, or not yet, in the words of `GET /info`.
_ABILITIES: Json = {
    "MemoryLimit": False,
    "SwapLimit": False,
    "CpuCfsPeriod": False,
    "CpuCfsQuota": False,
    "CPUShares": False,
    "CPUSet": False,
    "PidsLimit": False,
    "OomKillDisable": False,
    "IPv4Forwarding": False,
    "Debug": False,
    "ExperimentalBuild": False,
    # Containers run on when the daemon ends.
    "LiveRestoreEnabled": True,
}


def version_details(version: VersionInfo) -> Json:
    """Return the versions of the engine and of what it stands on. Python takes the place that Go has in Docker's."""
    shared = {
        "ApiVersion": API_VERSION,
        "Arch": version.architecture,
        "BuildTime": "",
        "GitCommit": "",
        "GoVersion": f"python{platform.python_version()}",
        "KernelVersion": version.kernel,
        "MinAPIVersion": MINIMUM_API_VERSION,
        "Os": version.os,
    }
    return {
        "Platform": {"Name": "Transom"},
        "Components": [{"Name": "Engine", "Version": version.version, "Details": {**shared, "Experimental": "false"}}],
        "Version": version.version,
        **shared,
    }


def info_details(info: SystemInfo) -> Json:
    """Return what the engine says about itself and its machine."""
    return {
        "ID": info.id,
        "Containers": info.containers,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.containers - info.running - info.paused,
        "Images": info.images,
        "Driver": info.graphdriver,
        "DriverStatus": info.graphdriver_status,
        "RecommendedDriver": _recommended_driver(info),
        "Plugins": {
            "Volume": info.volume_drivers,
            "Network": info.network_drivers,
            "Authorization": None,
            "Log": info.log_drivers,
        },
        **_ABILITIES,
        "NFd": info.descriptors,
        "NGoroutines": info.threads,
        "NEventsListener": info.event_listeners,
        "SystemTime": format_time(time.time_ns()),
        "LoggingDriver": info.log_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": info.cgroup_version,
        "KernelVersion": info.kernel,
        "OperatingSystem": info.operating_system,
        "OSVersion": info.os_version,
        "OSType": "linux",
        "Architecture": info.machine,
        "NCPU": info.processors,
        "MemTotal": info.memory,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": _registry_config(info),
        "GenericResources": None,
        "DockerRootDir": info.data_root,
        "HttpProxy": info.http_proxy,
        "HttpsProxy": info.https_proxy,
        "NoProxy": info.no_proxy,
        "Name": info.name,
        "Labels": info.labels,
        "ServerVersion": info.version,
        "Runtimes": {name: {"path": name} for name in info.exec_drivers},
        "DefaultRuntime": info.execdriver,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "Isolation": "",
        "InitBinary": "",
        "ContainerdCommit": _COMMIT,
        "RuncCommit": _COMMIT,
        "InitCommit": _COMMIT,
        "SecurityOptions": [],
        "CDISpecDirs": [],
        "Warnings": info.warnings or None,
    }


def _recommended_driver(info: SystemInfo) -> Json | None:
    """Return which graph driver is best on this machine, and why no better one."""
    found = info.recommended_graphdriver
    if found is None:
        return None
    others = [{"Name": name, "Unavailable": reason} for name, reason in found.others]
    return {"Name": found.name, "Merit": found.merit, "Others": others}


def _registry_config(info: SystemInfo) -> Json:
    """Return which registries are insecure, networks apart from hosts, and which have mirrors."""
    networks = [entry for entry in info.insecure_registries if _is_network(entry)]
    hosts = [entry for entry in info.insecure_registries if entry not in networks]
    return {
        "Mirrors": info.registry_mirrors,
        "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", *networks],
        "IndexConfigs": {
            "docker.io": {"Name": "docker.io", "Mirrors": info.registry_mirrors, "Secure": True, "Official": True},
            **{host: {"Name": host, "Mirrors": [], "Secure": False, "Official": False} for host in hosts},
        },
    }


def _is_network(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry)
    except ValueError:
        return False
    return True


def driver_details(driver: DriverInfo) -> Json:
    """Return all about a driver."""
    return {
        "Kind": driver.kind,
        "Name": driver.name,
        "Distribution": driver.distribution,
        "Version": driver.version,
        "Module": driver.module,
        "Rank": driver.rank,
        "Merit": driver.merit,
        "Limits": driver.limits,
        "Capabilities": driver.capabilities,
        "Unavailable": driver.unavailable,
        "Default": driver.default,
        "Recommended": driver.recommended,
    }


def plugin_details(driver: DriverInfo) -> Json:
    """Return a driver as a plugin. Its name has its kind before it, as drivers of several kinds have the same name."""
    name = f"{driver.kind}/{driver.name}"
    reason = f": {driver.unavailable}" if driver.unavailable else ""
    return {
        "Id": hashlib.sha256(f"transom plugin {name}".encode()).hexdigest(),
        "Name": name,
        "Enabled": not driver.unavailable,
        "PluginReference": f"{driver.distribution}:{driver.version}",
        "Settings": {"Mounts": [], "Env": [], "Args": [], "Devices": []},
        "Config": {
            "Description": f"{driver.kind} driver {driver.name} of {driver.distribution} {driver.version}{reason}",
            "Documentation": "",
            "Interface": {"Types": [f"docker.{driver.kind}driver/1.0"], "Socket": ""},
            "Entrypoint": [],
            "WorkDir": "",
            "User": {},
            "Network": {"Type": "host"},
            "Linux": {"Capabilities": None, "AllowAllDevices": False, "Devices": None},
            "PropagatedMount": "",
            "IpcHost": False,
            "PidHost": False,
            "Mounts": [],
            "Env": [],
            "Args": {"Name": "", "Description": "", "Settable": None, "Value": []},
        },
    }


def event_message(event: Event) -> Json:
    """Return an event, for containers and images also with the names of its fields before version 1.22."""
    message: Json = {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(sorted(event.attributes.items()))},
        "scope": "local",
        "time": event.time // 1_000_000_000,
        "timeNano": event.time,
    }
    if event.type in ("container", "image"):
        message = {"status": event.action, "id": event.id, **message}
    if event.type == "container":
        message["from"] = event.attributes.get("image", "")
    return message
