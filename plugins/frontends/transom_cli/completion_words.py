"""Which kind of word each command and flag takes, for completion. Kinds are keys of `WORDS`, or known to the daemon."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ARGUMENTS", "FILES", "FILTERS", "VALUES", "WORDS"]

#: The words of the kinds that do not change.
WORDS: Mapping[str, tuple[str, ...]] = {
    "attachable": ("stderr", "stdin", "stdout"),
    "boolean": ("false", "true"),
    "build-call": ("build", "check"),
    "build-network": ("default", "host", "none"),
    "build-progress": ("auto", "plain", "quiet", "rawjson", "tty"),
    "build-type": ("exec.cachemount", "frontend", "internal", "regular", "source.git.checkout", "source.local"),
    "cache-store": ("type=inline", "type=registry,ref="),
    "capability": (
        "ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
        "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
        "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
        "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT",
        "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
        "SYS_TTY_CONFIG", "WAKE_ALARM",
    ),
    "cgroupns": ("host", "private"),
    "context": ("default",),
    "driver-kind": ("exec", "graph", "log", "network", "volume"),
    "event": (
        "attach", "commit", "copy", "create", "delete", "destroy", "detach", "die", "exec_create", "exec_detach",
        "exec_die", "exec_start", "export", "health_status", "import", "kill", "load", "mount", "oom", "pause", "prune",
        "pull", "push", "rename", "resize", "restart", "save", "start", "stop", "tag", "top", "unmount", "unpause",
        "untag", "update",
    ),
    "event-type": ("builder", "container", "daemon", "image", "network", "volume"),
    "format": ("json", "raw", "table"),
    "health": ("healthy", "none", "starting", "unhealthy"),
    "host": ("tcp://", "unix://"),
    "inspect-format": ("json",),
    "ipc": ("container:", "host", "none", "private", "shareable"),
    "log-level": ("debug", "error", "fatal", "info", "warn"),
    "mount": ("type=bind,", "type=image,", "type=tmpfs,", "type=volume,"),
    "network-type": ("builtin", "custom"),
    "object-type": ("container", "image", "network", "volume"),
    "platform": ("linux/386", "linux/amd64", "linux/arm/v7", "linux/arm64", "linux/ppc64le", "linux/s390x"),
    "pull": ("always", "missing", "never"),
    "restart": ("always", "no", "on-failure", "on-failure:", "unless-stopped"),
    "scope": ("global", "local", "swarm"),
    "shell": ("bash", "fish", "zsh"),
    "signal": (
        "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
        "SIGKILL", "SIGPIPE", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGSEGV", "SIGSTKFLT", "SIGSTOP", "SIGSYS", "SIGTERM",
        "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH",
        "SIGXCPU", "SIGXFSZ",
    ),
    "status": ("created", "dead", "exited", "paused", "removing", "restarting", "running"),
    "stream-name": ("stderr", "stdin", "stdout"),
    "ulimit": (
        "as=", "core=", "cpu=", "data=", "fsize=", "locks=", "memlock=", "msgqueue=", "nice=", "nofile=", "nproc=",
        "rss=", "rtprio=", "rttime=", "sigpending=", "stack=",
    ),
    "userns": ("host",),
    "uts": ("host",),
}  # fmt: skip

#: The arguments of commands, by the grouped name: the last one again and again if it ends with a star.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "completion": ("shell",),
    "container attach": ("running",),
    "container commit": ("container",),
    "container cp": ("place", "place"),
    "container create": ("image",),
    "container diff": ("container",),
    "container exec": ("running",),
    "container export": ("container",),
    "container inspect": ("container*",),
    "container kill": ("running*",),
    "container logs": ("container",),
    "container pause": ("running*",),
    "container port": ("container",),
    "container rename": ("container",),
    "container restart": ("container*",),
    "container rm": ("container*",),
    "container run": ("image",),
    "container start": ("stopped*",),
    "container stats": ("running*",),
    "container stop": ("running*",),
    "container top": ("running",),
    "container unpause": ("paused*",),
    "container update": ("container*",),
    "container wait": ("container*",),
    "driver inspect": ("driver*",),
    "image build": ("files",),
    "image history": ("image",),
    "image import": ("files",),
    "image inspect": ("image*",),
    "image ls": ("image",),
    "image push": ("image",),
    "image rm": ("image*",),
    "image save": ("image*",),
    "image tag": ("image", "image"),
    "inspect": ("object*",),
    "network connect": ("network", "container"),
    "network disconnect": ("network", "container"),
    "network inspect": ("network*",),
    "network rm": ("network*",),
    "volume inspect": ("volume*",),
    "volume rm": ("volume*",),
}

#: Flags whose values are names of files and directories.
FILES = frozenset(
    (
        "--cidfile", "--config", "--data-root", "--device", "--env-file", "--exec-root", "--file", "--iidfile",
        "--input", "--label-file", "--metadata-file", "--output", "--tlscacert", "--tlscert", "--tlskey", "--workdir",
    )
)  # fmt: skip

#: The kinds of flags' values, by the flag alone or behind its command.
VALUES: Mapping[str, str] = {
    "--attach": "attachable",
    "--cache-from": "image",
    "--cache-to": "cache-store",
    "--call": "build-call",
    "--cap-add": "capability",
    "--cap-drop": "capability",
    "--cgroupns": "cgroupns",
    "--context": "context",
    "--driver": "volume-driver",
    "--env": "environment",
    "--execdriver": "exec-driver",
    "--format": "format",
    "--graphdriver": "graph-driver",
    "--host": "host",
    "--ipc": "ipc",
    "--kind": "driver-kind",
    "--link": "container",
    "--log-driver": "log-driver",
    "--log-level": "log-level",
    "--mount": "mount",
    "--network": "network-mode",
    "--pid": "joined",
    "--platform": "platform",
    "--pull": "pull",
    "--restart": "restart",
    "--runtime": "exec-driver",
    "--signal": "signal",
    "--stop-signal": "signal",
    "--type": "object-type",
    "--ulimit": "ulimit",
    "--userns": "userns",
    "--uts": "uts",
    "--volume-driver": "volume-driver",
    "--volumes-from": "container",
    "--progress": "build-progress",
    "container inspect --format": "inspect-format",
    "driver inspect --format": "inspect-format",
    "image build --build-arg": "environment",
    "image build --network": "build-network",
    "image build --tag": "image",
    "image inspect --format": "inspect-format",
    "inspect --format": "inspect-format",
    "network inspect --format": "inspect-format",
    "system events --format": "inspect-format",
    "system info --format": "inspect-format",
    "version --format": "inspect-format",
    "volume inspect --format": "inspect-format",
}

_UNTIL = {"label": "", "label!": "", "until": ""}
#: The filters of commands with the kinds of their values, empty for what is free.
FILTERS: Mapping[str, Mapping[str, str]] = {
    "builder prune": {
        "description": "", "id": "", "inuse": "boolean", "parent": "", "private": "boolean", "shared": "boolean",
        "type": "build-type", "until": "",
    },
    "container ls": {
        "ancestor": "image", "before": "container", "exited": "", "expose": "", "health": "health", "id": "",
        "is-task": "boolean", "label": "", "name": "container", "network": "network", "publish": "",
        "since": "container", "status": "status", "volume": "volume",
    },
    "container prune": _UNTIL,
    "image ls": {
        "before": "image", "dangling": "boolean", "label": "", "reference": "image", "since": "image", "until": "",
    },
    "image prune": {**_UNTIL, "dangling": "boolean"},
    "network ls": {
        "dangling": "boolean", "driver": "", "id": "", "label": "", "name": "network", "scope": "scope",
        "type": "network-type",
    },
    "system events": {
        "container": "container", "daemon": "", "event": "event", "image": "image", "label": "", "network": "network",
        "scope": "scope", "type": "event-type", "volume": "volume",
    },
    "system prune": _UNTIL,
    "volume ls": {"dangling": "boolean", "driver": "volume-driver", "label": "", "name": "volume"},
    "volume prune": {"all": "boolean", "label": "", "label!": ""},
}  # fmt: skip
