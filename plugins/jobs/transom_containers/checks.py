"""What cannot be asked of a container: it is refused before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.containers.devices import check_device
from transom.containers.model import Container, ContainerConfig, HostConfig, RestartPolicy, Ulimit
from transom.containers.namespaces import NAMESPACES, check_modes, check_support
from transom.containers.network_choice import shares_machines
from transom.containers.restarts import check_policy
from transom.containers.signals import parse_signal
from transom.containers.sysctls import check_sysctls
from transom.errors import InvalidParameter
from transom.graph.model import Healthcheck, RunConfig
from transom.networks.ports import check_address, parse_exposed

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["check_kept", "check_options"]

_ULIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
_PROBES = ("CMD", "CMD-SHELL", "NONE")
#: The shortest duration of a health check, in nanoseconds.
_SHORTEST = 1_000_000


def check_options(run: RunConfig, config: ContainerConfig, host: HostConfig) -> None:
    """Raise `InvalidParameter` for what cannot be; `run` is what the image and the client say together."""
    if run.working_dir and not run.working_dir.startswith("/"):
        raise InvalidParameter(f"the working directory '{run.working_dir}' is invalid, it needs to be an absolute path")
    if run.stop_signal:
        parse_signal(run.stop_signal)
    for item in run.env:
        if item[:1] in ("", "="):
            raise InvalidParameter(f"invalid environment variable: {item}")
    if config.run.healthcheck is not None:
        _check_healthcheck(config.run.healthcheck)
    if len(config.hostname) > 64:
        raise InvalidParameter(f"invalid hostname {config.hostname!r}: it is longer than 64 characters")
    _check_restart(host.restart, host)
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    for limit in host.ulimits:
        _check_ulimit(limit)
    for device in host.devices:
        check_device(device)
    check_modes(host)
    parse_exposed(run.exposed_ports)
    for server in host.dns:
        check_address(server)
    if host.uts == "host" and config.hostname:
        raise InvalidParameter("conflicting options: hostname and the UTS mode")


def check_kept(engine: Engine, container: Container, asked: ContainerConfig) -> None:
    """Raise `InvalidParameter` for what the container's exec driver and network cannot keep."""
    driver = engine.catalog.exec.get(container.execdriver)
    if asked.hostname and "uts" not in driver.namespaces:
        raise InvalidParameter(
            f"the exec driver {container.execdriver} does not isolate the host name, so --hostname cannot be kept"
        )
    if container.host.init and not driver.inits:
        raise InvalidParameter(f"the exec driver {container.execdriver} has no init, so --init cannot be kept")
    check_support(container.host, container.execdriver, driver.namespaces)
    modes = {"ipc": container.host.ipc, "uts": container.host.uts}
    own = {kind for kind in NAMESPACES if kind in driver.namespaces and modes.get(kind) != "host"}
    private = not shares_machines(engine, container.network)
    check_sysctls(container.host.sysctls, own, private_network=private)


def _check_restart(policy: RestartPolicy, host: HostConfig) -> None:
    check_policy(policy)
    if policy.name not in ("", "no") and host.auto_remove:
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")


def _check_ulimit(limit: Ulimit) -> None:
    if limit.name not in _ULIMITS:
        raise InvalidParameter(f"invalid ulimit type: {limit.name}")
    if limit.hard != -1 and (limit.soft == -1 or limit.soft > limit.hard):
        raise InvalidParameter(
            f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
        )


def _check_healthcheck(check: Healthcheck) -> None:
    if check.test and check.test[0] not in _PROBES:
        raise InvalidParameter(f"Unknown healthcheck type '{check.test[0]}': it should be CMD, CMD-SHELL or NONE")
    if check.test[:1] in (("CMD",), ("CMD-SHELL",)) and len(check.test) == 1:
        raise InvalidParameter(f"the healthcheck {check.test[0]} names no command")
    for name, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):
        if value and value < _SHORTEST:
            raise InvalidParameter(f"{name} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise InvalidParameter("Retries in Healthcheck cannot be negative")
