"""The options that every network's endpoints have, whatever its driver: an interface's name and variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from transom.errors import InvalidParameter
from transom.networks.model import EndpointSettings

__all__ = ["check_interface_name", "interface_name", "interface_sysctls"]

_PREFIX = "com.docker.network.endpoint."
_NAME, _SYSCTLS = f"{_PREFIX}ifname", f"{_PREFIX}sysctls"
#: The kernel's limit for the name of an interface is 15 bytes (IFNAMSIZ), and these have a meaning in paths.
_INTERFACE = re.compile(r"[^/\s:]{1,15}\Z")
#: `net.X.Y.IFNAME.Z=V`. The stock client writes options in lower case.
_VARIABLE = re.compile(r"net\.(ipv4|ipv6|mpls)\.([a-z_]+)\.(?:IFNAME|ifname)\.([a-z0-9_]+)=(.*)\Z")


def check_interface_name(name: str) -> None:
    """Raise `InvalidParameter` for what the kernel takes for no name of an interface."""
    if not _INTERFACE.match(name) or name in (".", ".."):
        raise InvalidParameter(f"invalid interface name {name!r}: it has 1 to 15 bytes without white space and /")


def interface_name(settings: EndpointSettings) -> str:
    """Return the name that an endpoint's interface is to have, empty for any. Raises `InvalidParameter`."""
    for option in settings.driver_options:
        if option not in (_NAME, _SYSCTLS):
            raise InvalidParameter(f"there is no option {option!r} of endpoints: there are {_NAME} and {_SYSCTLS}")
    name = settings.driver_options.get(_NAME, "")
    if name:
        check_interface_name(name)
        if name == "lo":
            raise InvalidParameter("invalid interface name 'lo': it is the loopback interface's")
    return name


def interface_sysctls(options: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an endpoint's interface by path below /proc/sys/net, in which `{}` is its name.

    Raises `InvalidParameter`.
    """
    found = {}
    for text in filter(None, options.get(_SYSCTLS, "").split(",")):
        match = _VARIABLE.match(text)
        if match is None:
            raise InvalidParameter(
                f"unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as"
                " 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
        found[f"{match[1]}/{match[2]}/{{}}/{match[3]}"] = match[4]
    return found
