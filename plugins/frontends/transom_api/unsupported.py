"""What Docker's API can ask of a container and this engine does not do: asking for it is an error.

Clients send many fields with a value that means nothing (null, "", 0, -1 …), so each field is listed with the values
that ask for nothing but what a container gets anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transom.errors import Unsupported

if TYPE_CHECKING:
    from transom_api.fields import Fields

__all__ = [
    "CONTAINER_FIELDS",
    "HOST_FIELDS",
    "IMAGE_FIELDS",
    "NETWORK_FIELDS",
    "UPDATE_FIELDS",
    "refuse_unsupported",
]

#: By field: the values besides null, false, 0 and empty ones that are as good as nothing.
Accepted = Mapping[str, tuple[Any, ...]]

CONTAINER_FIELDS: Accepted = {
    "ArgsEscaped": (),
    "NetworkDisabled": (),
}

#: What a container can have and an image cannot.
IMAGE_FIELDS: Accepted = {**CONTAINER_FIELDS, "MacAddress": ()}

HOST_FIELDS: Accepted = {
    "BlkioDeviceReadBps": (),
    "BlkioDeviceReadIOps": (),
    "BlkioDeviceWriteBps": (),
    "BlkioDeviceWriteIOps": (),
    "BlkioWeight": (),
    "BlkioWeightDevice": (),
    "CapAdd": (),
    "CapDrop": (),
    "Cgroup": (),
    "CgroupParent": (),
    "CpuCount": (),
    "CpuPercent": (),
    "CpuPeriod": (),
    "CpuQuota": (),
    "CpuRealtimePeriod": (),
    "CpuRealtimeRuntime": (),
    "CpuShares": (),
    "CpusetCpus": (),
    "CpusetMems": (),
    "DeviceCgroupRules": (),
    "DeviceRequests": (),
    "IOMaximumBandwidth": (),
    "IOMaximumIOps": (),
    "Isolation": ("default",),
    "KernelMemory": (),
    "KernelMemoryTCP": (),
    "Memory": (),
    "MemoryReservation": (),
    "MemorySwap": (-1,),
    "MemorySwappiness": (-1,),
    "NanoCpus": (),
    "OomKillDisable": (),
    "PidsLimit": (-1,),
    "Privileged": (),
    "SecurityOpt": (),
    "UsernsMode": (),
}

#: What `POST /containers/{id}/update` can change elsewhere: limits of resources, which containers have not yet here.
UPDATE_FIELDS: Accepted = {
    name: HOST_FIELDS.get(name, ())
    for name in (
        "BlkioDeviceReadBps",
        "BlkioDeviceReadIOps",
        "BlkioDeviceWriteBps",
        "BlkioDeviceWriteIOps",
        "BlkioWeight",
        "BlkioWeightDevice",
        "CgroupParent",
        "CpuCount",
        "CpuPercent",
        "CpuPeriod",
        "CpuQuota",
        "CpuRealtimePeriod",
        "CpuRealtimeRuntime",
        "CpuShares",
        "CpusetCpus",
        "CpusetMems",
        "DeviceCgroupRules",
        "DeviceRequests",
        "Devices",
        "IOMaximumBandwidth",
        "IOMaximumIOps",
        "Init",
        "KernelMemory",
        "KernelMemoryTCP",
        "Memory",
        "MemoryReservation",
        "MemorySwap",
        "MemorySwappiness",
        "NanoCpus",
        "OomKillDisable",
        "PidsLimit",
        "Ulimits",
    )
}

#: Lists that replace a default: an empty one asks for no masked path at all, and only null for the default.
_REPLACING = ("MaskedPaths", "ReadonlyPaths")

NETWORK_FIELDS: Accepted = {
    "Ingress": (),
    "Scope": ("local",),
}


def refuse_unsupported(fields: Fields, accepted: Accepted) -> None:
    """Raise `Unsupported`, naming the field, if one asks for something."""
    for name, values in accepted.items():
        value = fields.raw(name)
        if not _is_nothing(value) and value not in values:
            raise _unsupported(fields, name)
    for name in _REPLACING:
        if name in fields:
            raise _unsupported(fields, name)


def _is_nothing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_nothing(item) for item in value.values())
    return not value


def _unsupported(fields: Fields, name: str) -> Unsupported:
    return Unsupported(f"the option {fields.path(name)} is not supported by this engine: leave it out")
