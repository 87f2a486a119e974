"""What `run` and `create` share: the flags that say what a container is to be, and how it is made."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from transom_cli import values
from transom_cli.client import Client
from transom_cli.errors import CommandFailed, DaemonError
from transom_cli.flags import BOOL, BYTES, INT, LIST, STRING, Flag, Kind
from transom_cli.health import HEALTH_FLAGS, healthcheck
from transom_cli.mounts import mount, split_volumes
from transom_cli.networking import NETWORK_FLAGS, endpoints, host_links, network_mode
from transom_cli.ports import port_bindings
from transom_cli.pull import pull_image
from transom_cli.references import parse_reference
from transom_cli.terminal import window_size
from transom_cli.trust import ABOUT, UNTRUSTED, refuse_trust

__all__ = ["ABSENT_FLAGS", "CREATE_FLAGS", "Specification", "create_container", "specify"]

_MAP = Kind("map", str, multiple=True)

CREATE_FLAGS = [
    Flag(
        ["--annotation"],
        _MAP,
        about="Add an annotation to the container (passed through to the OCI runtime)",
        since="1.43",
    ),
    Flag(["--attach", "-a"], LIST._replace(parse=values.stream_name), about="Attach to STDIN, STDOUT or STDERR"),
    Flag(["--cgroupns"], default="", about="Cgroup namespace to use (host|private|container:NAME)", since="1.41"),
    Flag(["--cidfile"], about="Write the container ID to the file"),
    Flag(["--device"], LIST, about="Add a host device to the container"),
    Flag(["--disable-content-trust"], BOOL, default=UNTRUSTED, about=ABOUT),
    Flag(["--domainname"], about="Container NIS domain name"),
    Flag(["--entrypoint"], about="Overwrite the default ENTRYPOINT of the image"),
    Flag(["--env", "-e"], LIST._replace(parse=values.environment), about="Set environment variables"),
    Flag(["--env-file"], LIST, about="Read in a file of environment variables"),
    Flag(["--execdriver"], about="Exec driver to run this container with (see driver ls)"),
    Flag(["--expose"], LIST, about="Expose a port or a range of ports"),
    Flag(["--graphdriver"], about="Graph driver to keep this container's files with (see driver ls)"),
    Flag(["--group-add"], LIST, about="Add additional groups to join"),
    *HEALTH_FLAGS,
    Flag(["--hostname", "-h"], about="Container host name"),
    Flag(
        ["--init"],
        BOOL,
        about="Run an init inside the container that forwards signals and reaps processes",
        since="1.25",
    ),
    Flag(["--interactive", "-i"], BOOL, about="Keep STDIN open even if not attached"),
    Flag(["--ipc"], default="", about="IPC mode to use"),
    Flag(["--label", "-l"], LIST._replace(parse=values.label), about="Set meta data on a container"),
    Flag(["--label-file"], LIST, about="Read in a line delimited file of labels"),
    Flag(["--log-driver"], about="Logging driver for the container"),
    Flag(["--log-opt"], LIST, about="Log driver options"),
    Flag(["--mount"], Kind("mount", mount, multiple=True), about="Attach a filesystem mount to the container"),
    Flag(["--name"], about="Assign a name to the container"),
    Flag(["--oom-score-adj"], INT, default=0, about="Tune host's OOM preferences (-1000 to 1000)"),
    Flag(["--pid"], default="", about="PID namespace to use"),
    Flag(["--platform"], about="Set platform if server is multi-platform capable", since="1.32"),
    Flag(["--pull"], default="missing", about='Pull image before running ("always", "missing", "never")'),
    Flag(["--quiet", "-q"], BOOL, about="Suppress the pull output"),
    Flag(["--read-only"], BOOL, about="Mount the container's root filesystem as read only"),
    Flag(["--restart"], default="no", about="Restart policy to apply when a container exits"),
    Flag(
        ["--rm"],
        BOOL,
        about="Automatically remove the container and its associated anonymous volumes when it exits",
    ),
    Flag(["--runtime"], about="Runtime to use for this container"),
    Flag(["--shm-size"], BYTES, default=0, about="Size of /dev/shm"),
    Flag(["--stop-signal"], about="Signal to stop the container"),
    Flag(["--stop-timeout"], INT, about="Timeout (in seconds) to stop a container", since="1.25"),
    Flag(["--storage-opt"], LIST, about="Storage driver options for the container"),
    Flag(["--sysctl"], LIST._replace(label="map", parse=values.sysctl), about="Sysctl options"),
    Flag(["--tmpfs"], LIST, about="Mount a tmpfs directory"),
    Flag(["--tty", "-t"], BOOL, about="Allocate a pseudo-TTY"),
    Flag(["--ulimit"], Kind("ulimit", values.ulimit, multiple=True), about="Ulimit options"),
    Flag(["--user", "-u"], STRING, about="Username or UID (format: <name|uid>[:<group|gid>])"),
    Flag(["--uts"], default="", about="UTS namespace to use"),
    Flag(["--volume", "-v"], LIST, about="Bind mount a volume"),
    Flag(["--volume-driver"], about="Optional volume driver for the container"),
    Flag(["--volumes-from"], LIST, about="Mount volumes from the specified container(s)"),
    Flag(["--workdir", "-w"], about="Working directory inside the container"),
    *NETWORK_FLAGS,
]


#: What Docker's client has for what the engine does not do: limits and isolation, networks, Swarm, and Windows.
ABSENT_FLAGS = (
    *"--add-host --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent --cpu-count".split(),
    *"--cpu-percent --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares -c --cpus".split(),
    *"--cpuset-cpus --cpuset-mems --device-cgroup-rule --device-read-bps --device-read-iops".split(),
    *"--device-write-bps --device-write-iops --dns --dns-option --dns-search --gpus".split(),
    *"--io-maxbandwidth --io-maxiops --ip --ip6 --isolation --kernel-memory --link".split(),
    *"--mac-address --memory -m --memory-reservation --memory-swap --memory-swappiness --network-alias".split(),
    *"--oom-kill-disable --pids-limit --privileged --publish -p --publish-all -P --security-opt".split(),
    *"--use-api-socket --userns".split(),
)


class Specification(NamedTuple):
    """What is asked of `POST /containers/create`: the body, and what is beside it."""

    body: dict[str, Any]
    name: str | None
    platform: str | None
    cidfile: str | None
    pull: str
    quiet: bool

    @property
    def host(self) -> dict[str, Any]:
        """The body's HostConfig."""
        found: dict[str, Any] = self.body["HostConfig"]
        return found


def specify(arguments: list[str], flags: dict[str, Any]) -> Specification:
    """Return what flags and arguments (image, command) ask for. Raises `ValueError` for what cannot be."""
    image, *command = arguments
    refuse_trust(flags["disable_content_trust"])
    streams = set(flags["attach"]) | ({"stdin"} if flags["interactive"] else set())
    if not flags["attach"]:
        streams |= {"stdout", "stderr"}
    entrypoint = flags["entrypoint"]
    bindings, published = port_bindings(flags["publish"])
    body = {
        "Image": image,
        "Cmd": command or None,
        "Entrypoint": None if entrypoint is None else [entrypoint],
        "Hostname": flags["hostname"] or "",
        "Domainname": flags["domainname"] or "",
        "ExposedPorts": {**values.exposed_ports(flags["expose"]), **published},
        "User": flags["user"] or "",
        "WorkingDir": flags["workdir"] or "",
        "Env": values.read_environment(flags["env_file"], flags["env"], dict(os.environ)),
        "Labels": values.read_labels(flags["label_file"], flags["label"]),
        "Tty": flags["tty"],
        "OpenStdin": flags["interactive"],
        "StdinOnce": flags["interactive"],
        "AttachStdin": "stdin" in streams,
        "AttachStdout": "stdout" in streams,
        "AttachStderr": "stderr" in streams,
        "HostConfig": _host_config(flags),
    }
    body["HostConfig"]["PortBindings"] = bindings
    binds, body["Volumes"] = split_volumes(flags["volume"])
    body["HostConfig"]["Binds"] = binds
    check = healthcheck(flags)
    if check is not None:
        body["Healthcheck"] = check
    if flags["stop_signal"] is not None:
        body["StopSignal"] = flags["stop_signal"]
    if flags["stop_timeout"] is not None:
        body["StopTimeout"] = flags["stop_timeout"]
    places = endpoints(flags)
    if places:
        body["NetworkingConfig"] = {"EndpointsConfig": places}
    pull = flags["pull"]
    if pull not in ("always", "missing", "never", ""):
        raise ValueError(f'invalid pull option: \'{pull}\': must be one of "always", "missing" or "never"')
    return Specification(body, flags["name"], flags["platform"], flags["cidfile"], pull, flags["quiet"])


def _host_config(flags: dict[str, Any]) -> dict[str, Any]:
    restart = values.restart_policy(flags["restart"])
    if flags["rm"] and restart["Name"] not in ("no", ""):
        raise ValueError("conflicting options: cannot specify both --restart and --rm")
    host: dict[str, Any] = {
        "Annotations": values.key_values(flags["annotation"]),
        "AutoRemove": flags["rm"],
        "CgroupnsMode": _mode(flags, "cgroupns", "CGROUP", ("", "private", "host")),
        "ContainerIDFile": flags["cidfile"] or "",
        "Devices": [values.device(device) for device in flags["device"]],
        "GroupAdd": list(flags["group_add"]),
        "IpcMode": flags["ipc"],
        "LogConfig": _log_config(flags["log_driver"] or "", flags["log_opt"]),
        "Mounts": list(flags["mount"]),
        "NetworkMode": network_mode(flags),
        "OomScoreAdj": flags["oom_score_adj"],
        "Dns": list(flags["dns"]),
        "DnsOptions": list(flags["dns_option"]),
        "DnsSearch": list(flags["dns_search"]),
        "ExtraHosts": list(flags["add_host"]) or None,
        "Links": host_links(flags) or None,
        "PublishAllPorts": flags["publish_all"],
        "PidMode": _mode(flags, "pid", "PID", ("", "host")),
        "ReadonlyRootfs": flags["read_only"],
        "RestartPolicy": restart,
        "Runtime": _one(flags, "runtime", "execdriver"),
        "ShmSize": flags["shm_size"],
        "StorageOpt": _storage_options(flags),
        "Sysctls": values.key_values(flags["sysctl"]),
        "Tmpfs": {path: options for path, _, options in (item.partition(":") for item in flags["tmpfs"])},
        "Ulimits": list(flags["ulimit"]),
        "UTSMode": _mode(flags, "uts", "UTS", ("", "host")),
        "VolumeDriver": flags["volume_driver"] or "",
        "VolumesFrom": list(flags["volumes_from"]) or None,
    }
    if flags["init"]:
        host["Init"] = True
    if flags["tty"]:
        host["ConsoleSize"] = list(window_size())
    return host


def _mode(flags: dict[str, Any], name: str, word: str, modes: tuple[str, ...]) -> str:
    """Return whose namespace is asked for. Raises `ValueError` for a mode that there is not."""
    mode: str = flags[name]
    joins = name in ("pid", "cgroupns") and mode.startswith("container:") and len(mode) > len("container:")
    if mode not in modes and not joins:
        raise ValueError(f"--{name}: invalid {word} mode")
    return mode


def _storage_options(flags: dict[str, Any]) -> dict[str, str]:
    if any("=" not in option for option in flags["storage_opt"]):
        raise ValueError("invalid storage option")
    options = values.key_values(flags["storage_opt"])
    chosen = flags["graphdriver"]
    if chosen:
        if options.get("driver", chosen) != chosen:
            raise ValueError("conflicting options: --graphdriver and --storage-opt driver= name different drivers")
        options["driver"] = chosen
    return options


def _log_config(driver: str, options: tuple[str, ...]) -> dict[str, Any]:
    if driver == "none" and options:
        raise ValueError("invalid logging opts for driver none")
    return {"Type": driver, "Config": values.key_values(options)}


def _one(flags: dict[str, Any], name: str, other: str) -> str:
    """Return the value of two flags that mean the same."""
    if flags[name] and flags[other] and flags[name] != flags[other]:
        raise ValueError(f"conflicting options: --{other} and --{name} name different drivers")
    return flags[name] or flags[other] or ""


def create_container(client: Client, wanted: Specification) -> str:
    """Make a container, pulling its image if that is asked for, and return its ID.

    Raises `CommandFailed`. A `--cidfile` is there before the container is: none is made whose ID is lost.
    """
    if client.configuration.get("proxies"):
        from transom_cli.proxies import with_proxies  # few users have them

        wanted.body["Env"] = with_proxies(wanted.body["Env"], client.configuration["proxies"], client.host)
    if wanted.cidfile is None:
        return _create(client, wanted)
    try:
        descriptor = os.open(wanted.cidfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise CommandFailed(
            "container ID file found, make sure the other container isn't running or delete " + wanted.cidfile
        ) from error
    except OSError as error:
        raise CommandFailed(
            f"failed to create the container ID file: open {wanted.cidfile}: {(error.strerror or '').lower()}"
        ) from error
    try:
        identity = _create(client, wanted)
        os.write(descriptor, identity.encode())
    except BaseException:
        os.unlink(wanted.cidfile)  # noqa: PTH108 pathlib is slow to import
        raise
    finally:
        os.close(descriptor)
    return identity


def _create(client: Client, wanted: Specification) -> str:
    reference = _pullable(wanted.body["Image"])
    if wanted.pull == "always" and reference:
        pull_image(client, reference, wanted.platform, quiet=wanted.quiet, to_stderr=True)
    try:
        return _request(client, wanted)
    except DaemonError as failure:
        # "No such image" and nothing else: a volume or a network may be what is missing.
        if failure.status != 404 or "image" not in failure.reason.lower() or wanted.pull != "missing" or not reference:
            raise
    if not wanted.quiet:
        CommandFailed(f"Unable to find image '{parse_reference(reference).tagged().familiar}' locally").show()
    pull_image(client, reference, wanted.platform, quiet=wanted.quiet, to_stderr=True)
    return _request(client, wanted)


def _pullable(image: str) -> str:
    """Return the image if it may be a name in a registry, or an empty string if it can only be an ID.

    Raises `CommandFailed` for what is neither.
    """
    if len(image.removeprefix("sha256:")) == 64 and set(image.removeprefix("sha256:")) <= set("0123456789abcdef"):
        return ""
    parse_reference(image)
    return image


def _request(client: Client, wanted: Specification) -> str:
    answer = client.post("/containers/create", wanted.body, name=wanted.name, platform=wanted.platform)
    for warning in answer.get("Warnings") or []:
        CommandFailed(f"WARNING: {warning}").show()
    return str(answer["Id"])
