"""`rename` and `update`: what a container was created with is changed."""

from __future__ import annotations

from typing import Any

from transom_cli import values
from transom_cli.client import Client
from transom_cli.errors import CommandFailed, DaemonError
from transom_cli.flags import BYTES, INT, ApiCommand, Flag, Kind, api_command
from transom_cli.lifecycle import for_each

__all__ = ["rename", "update"]

#: The fields of `POST /containers/{id}/update` that limit resources, by the flag that sets each.
_LIMITS = {
    "blkio_weight": "BlkioWeight",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_rt_period": "CpuRealtimePeriod",
    "cpu_rt_runtime": "CpuRealtimeRuntime",
    "cpu_shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory": "Memory",
    "memory_reservation": "MemoryReservation",
    "memory_swap": "MemorySwap",
    "pids_limit": "PidsLimit",
}
_FLAGS = [
    Flag(
        ["--blkio-weight"],
        Kind("uint16", values.unsigned_16),
        about="Block IO (relative weight), between 10 and 1000, or 0 to disable",
    ),
    Flag(["--cpu-period"], INT, about="Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag(["--cpu-quota"], INT, about="Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag(["--cpu-rt-period"], INT, about="Limit the CPU real-time period in microseconds", since="1.25"),
    Flag(["--cpu-rt-runtime"], INT, about="Limit the CPU real-time runtime in microseconds", since="1.25"),
    Flag(["--cpu-shares", "-c"], INT, about="CPU shares (relative weight)"),
    Flag(["--cpus"], Kind("decimal", values.nano_cpus), about="Number of CPUs", since="1.29"),
    Flag(["--cpuset-cpus"], about="CPUs in which to allow execution (0-3, 0,1)"),
    Flag(["--cpuset-mems"], about="MEMs in which to allow execution (0-3, 0,1)"),
    Flag(["--memory", "-m"], BYTES, about="Memory limit"),
    Flag(["--memory-reservation"], BYTES, about="Memory soft limit"),
    Flag(
        ["--memory-swap"],
        BYTES._replace(parse=values.swap_size),
        about="Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
    Flag(["--pids-limit"], INT, about="Tune container pids limit (set -1 for unlimited)", since="1.40"),
    Flag(["--restart"], about="Restart policy to apply when a container exits"),
]


@api_command("rename", "CONTAINER NEW_NAME", about="Rename a container", least=2, most=2)
def rename(client: Client, arguments: list[str]) -> None:
    """Give a container another name."""
    old, new = (argument.strip() for argument in arguments)
    if not old or not new:
        raise CommandFailed("Error: Neither old nor new names may be empty")
    try:
        client.post(f"/containers/{old}/rename", name=new)
    except DaemonError as failure:
        failure.show()
        raise CommandFailed(f"Error: failed to rename container named {old}") from failure


def _update(client: Client, arguments: list[str], **flags: Any) -> None:
    """Change containers and print their names; what the daemon warns of comes after them."""
    if all(value is None for value in flags.values()):
        raise CommandFailed("you must provide one or more flags when using this command")
    body: dict[str, Any] = {field: flags[name] for name, field in _LIMITS.items() if flags[name] is not None}
    if flags["restart"] is not None:
        try:
            body["RestartPolicy"] = values.restart_policy(flags["restart"])
        except ValueError as error:
            raise CommandFailed(str(error)) from error
    warnings: list[str] = []

    def change(name: str) -> None:
        warnings.extend((client.post(f"/containers/{name}/update", body) or {}).get("Warnings") or [])

    try:
        for_each(arguments, change)
    finally:
        print("\n".join(warnings), end="")


update = ApiCommand(
    "update",
    _update,
    usage="CONTAINER [CONTAINER...]",
    about="Update configuration of one or more containers",
    flags=_FLAGS,
    least=1,
    most=None,
)
