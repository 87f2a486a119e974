"""What a container uses as Docker's API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transom.containers.measurements import Measurement
from transom.drivers.exec import Counters
from transom_api.times import format_time

if TYPE_CHECKING:
    from transom.containers.model import Container

__all__ = ["stats_details"]

Json = dict[str, Any]

#: What blkio counted once and the kernel counts no more.
_UNCOUNTED = ("io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time")


def stats_details(container: Container, measurement: Measurement, previous: Measurement | None = None) -> Json:
    """Return a measurement and the processor time of the one before it, from which clients take the difference."""
    previous = previous or Measurement()
    counters = measurement.counters or Counters()
    details: Json = {
        "name": f"/{container.name}",
        "id": container.id,
        "read": format_time(measurement.time),
        "preread": format_time(previous.time),
        "pids_stats": _present(current=counters.processes, limit=counters.processes_limit),
        "blkio_stats": _blkio(counters),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(measurement),
        "precpu_stats": _cpu(previous),
        "memory_stats": _memory(counters, measurement.machine_memory),
    }
    if measurement.network:
        details["networks"] = measurement.network
    return details


def _cpu(measurement: Measurement) -> Json:
    counters = measurement.counters or Counters()
    usage: Json = {"total_usage": counters.cpu}
    if counters.cpu_per_processor:
        usage["percpu_usage"] = counters.cpu_per_processor
    usage |= {"usage_in_kernelmode": counters.cpu_system, "usage_in_usermode": counters.cpu_user}
    return {
        "cpu_usage": usage,
        **_present(
            system_cpu_usage=measurement.machine_cpu or None,
            online_cpus=measurement.processors or None,
        ),
        "throttling_data": {
            "periods": counters.periods,
            "throttled_periods": counters.throttled_periods,
            "throttled_time": counters.throttled_time,
        },
    }


def _memory(counters: Counters, machine: int) -> Json:
    """Return the memory; a container without a limit has the machine's."""
    if counters.memory is None:
        return {}
    limit = machine if counters.memory_limit is None else min(counters.memory_limit, machine)
    return _present(
        usage=counters.memory,
        max_usage=counters.memory_peak,
        stats=counters.memory_details or None,
        failcnt=counters.memory_failures,
        limit=limit,
    )


def _blkio(counters: Counters) -> Json:
    def entries(value: str) -> list[Json]:
        return [
            {"major": item.major, "minor": item.minor, "op": item.operation, "value": getattr(item, value)}
            for item in counters.io
        ]

    return {
        "io_service_bytes_recursive": entries("bytes") or None,
        "io_serviced_recursive": entries("operations") or None,
        **{f"{name}_recursive": None for name in _UNCOUNTED},
        "sectors_recursive": None,
    }


def _present(**fields: Any) -> Json:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
