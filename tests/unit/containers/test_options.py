"""What cannot be asked of a container, whatever the drivers."""

from __future__ import annotations

import pytest

from transom.containers.model import ContainerConfig, Device, HostConfig, RestartPolicy, Ulimit
from transom.errors import InvalidParameter, TransomError
from transom.graph.model import Healthcheck, RunConfig
from transom_containers.checks import check_options


def check(host: HostConfig | None = None, *, hostname: str = "", **run: object) -> None:
    config = RunConfig(**run)  # type: ignore[arg-type]
    check_options(config, ContainerConfig("image", config, hostname=hostname), host or HostConfig())


def test_what_is_right_passes() -> None:
    check(
        HostConfig(
            restart=RestartPolicy("on-failure", 3),
            ulimits=(Ulimit("nofile", 1, -1), Ulimit("locks", 1, 2)),
            devices=(Device("/dev/a", "/dev/b", "rw"),),
            ipc="container:x",
        ),
        hostname="web",
        healthcheck=Healthcheck(("CMD-SHELL", "true"), interval=1_000_000, retries=1),
    )
    check(healthcheck=Healthcheck(("NONE",)))
    check(healthcheck=Healthcheck(interval=5_000_000_000))


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (HostConfig(restart=RestartPolicy("bogus")), "unknown policy 'bogus'"),
        (HostConfig(restart=RestartPolicy("always", 2)), "can only be used with 'on-failure'"),
        (HostConfig(restart=RestartPolicy("on-failure", -1)), "maximum retry count cannot be negative"),
        (HostConfig(restart=RestartPolicy("always"), auto_remove=True), "can't create 'AutoRemove' container"),
        (HostConfig(ulimits=(Ulimit("bogus", 1, 1),)), "invalid ulimit type: bogus"),
        (HostConfig(ulimits=(Ulimit("core", 2, 1),)), "less than or equal to hard limit: 2 > 1"),
        (HostConfig(ulimits=(Ulimit("core", -1, 1),)), "less than or equal to hard limit: -1 > 1"),
        (HostConfig(devices=(Device("/dev/a", "relative"),)), "relative is not an absolute path"),
        (HostConfig(devices=(Device("dev/a", "/dev/a"),)), "must be absolute"),
        (HostConfig(devices=(Device("/dev/a", "/dev/a", "rx"),)), "invalid device mode: rx"),
        (HostConfig(devices=(Device("vendor.example/gpu=0", "/x"),)), "devices by CDI name are not supported"),
        (HostConfig(oom_score_adj=1001), "range for oom score adj"),
        (HostConfig(shm_size=-1), "SHM size can not be less than 0"),
        (HostConfig(uts="host"), "conflicting options: hostname and the UTS mode"),
        (HostConfig(pid="bogus"), "invalid PID mode: bogus"),
    ],
)
def test_what_cannot_be_is_refused(host: HostConfig, sentence: str) -> None:
    with pytest.raises(TransomError, match=sentence):
        check(host, hostname="web")


@pytest.mark.parametrize(
    ("healthcheck", "sentence"),
    [
        (Healthcheck(("BOGUS", "x")), "Unknown healthcheck type 'BOGUS'"),
        (Healthcheck(("CMD",)), "names no command"),
        (Healthcheck(interval=1), "Interval in Healthcheck cannot be less than 1ms"),
        (Healthcheck(timeout=-1), "Timeout in Healthcheck cannot be less than 1ms"),
        (Healthcheck(start_period=999_999), "StartPeriod in Healthcheck cannot be less than 1ms"),
        (Healthcheck(start_interval=1), "StartInterval in Healthcheck cannot be less than 1ms"),
        (Healthcheck(retries=-1), "Retries in Healthcheck cannot be negative"),
    ],
)
def test_a_health_check_that_cannot_be_is_refused(healthcheck: Healthcheck, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        check(healthcheck=healthcheck)
