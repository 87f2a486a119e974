"""The values that flags take. Each function returns what a string means, or raises `ValueError`."""

from __future__ import annotations

import re

__all__ = [
    "boolean",
    "device",
    "environment",
    "extra_host",
    "exposed_ports",
    "filter_pair",
    "integer",
    "ip_address",
    "key_values",
    "label",
    "link",
    "nano_cpus",
    "percent",
    "read_environment",
    "read_labels",
    "restart_policy",
    "size",
    "stream_name",
    "swap_size",
    "sysctl",
    "ulimit",
    "unsigned_16",
]

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
#: A number as far as its last digit or point, a space that may be there, and a unit.
_SIZE = re.compile(r"(.*[0-9.]) ?([^0-9. ]*)", re.DOTALL)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SUFFIX = re.compile(r"b|[kmgtp](?:i?b)?")
_ULIMITS = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
    "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip
#: The parameters of the kernel that Docker's client lets through, with the beginnings of others.
_SYSCTLS = frozenset(
    f"kernel.{name}" for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split()
)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")


def boolean(value: str) -> bool:
    """Return a truth value, written as Go writes it."""
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{value}": invalid syntax')


def integer(value: str) -> int:
    """Return a decimal number of 64 bits."""
    if not re.fullmatch(r"[+-]?[0-9]+", value):
        raise ValueError(f'strconv.ParseInt: parsing "{value}": invalid syntax')
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f'strconv.ParseInt: parsing "{value}": value out of range')
    return number


def percent(value: str) -> float:
    """Return a percentage from 0 to 100, with or without its sign."""
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise ValueError("it should be a number from 0 to 100")
    return number


def size(value: str) -> int:
    """Return a number of bytes; the units `k`, `m`, `g`, `t`, `p` are powers of 1024."""
    match = _SIZE.fullmatch(value)
    if not match:
        raise ValueError(f"invalid size: '{value}'")
    number, suffix = match[1], match[2].lower()
    if suffix and not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"invalid suffix: '{suffix}'")
    if not _FLOAT.fullmatch(number):
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax')
    if number.startswith("-"):
        raise ValueError(f"invalid size: '{value}'")
    return int(float(number) * 1024 ** " kmgtp".index(suffix[:1].replace("b", "") or " "))


def swap_size(value: str) -> int:
    """Return a number of bytes, or -1 for no limit."""
    return -1 if value == "-1" else size(value)


def nano_cpus(value: str) -> int:
    """Return a decimal number of processors in billionths."""
    match = re.fullmatch(r"([+-]?\d*)(?:\.(\d*))?", value)
    if match is None or not any(match.groups()):
        raise ValueError(f"failed to parse {value} as a rational number")
    whole, fraction = match[1], match[2] or ""
    if len(fraction.rstrip("0")) > 9:
        raise ValueError("value is too precise")
    return int(f"{whole}{fraction:0<9.9}")


def filter_pair(value: str) -> tuple[str, str]:
    """Return the name and the value of a `--filter`."""
    name, equals, wanted = value.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return name.strip().lower(), wanted.strip()


def environment(value: str) -> str:
    """Return one `-e`, unchanged."""
    if not value or value.startswith("="):
        raise ValueError(f"invalid environment variable: {value}")
    return value


def label(value: str) -> str:
    """Return one `-l`, unchanged."""
    if value.startswith("="):
        raise ValueError(f"invalid label '{value}': empty name")
    return value


def stream_name(value: str) -> str:
    """Return the standard stream that `-a` names, in lower case."""
    name = value.lower()
    if name not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return name


def ulimit(value: str) -> dict[str, str | int]:
    """Return `name=soft[:hard]` as the API's ulimit: Name, Soft and Hard, -1 for unlimited."""
    name, equals, limits = value.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {value}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    soft = integer(parts[0])
    hard = integer(parts[1]) if len(parts) == 2 else soft
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Soft": soft, "Hard": hard}


def sysctl(value: str) -> str:
    """Return one `--sysctl`, unchanged."""
    name, equals, _ = value.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(_SYSCTL_PREFIXES)):
        raise ValueError(f"sysctl '{value}' is not allowed")
    return value


def device(value: str) -> dict[str, str]:
    """Return a `--device` (`path[:path in the container][:permissions]`) as the API's device."""
    parts = value.split(":")
    if len(parts) > 3 or not parts[0]:
        raise ValueError(f"bad format for path: {value}")
    if len(parts) == 3 and not _is_device_mode(parts[2]):
        raise ValueError(f"bad mode specified: {parts[2]}")
    inside = parts[1] if len(parts) > 1 and not (len(parts) == 2 and _is_device_mode(parts[1])) else parts[0]
    if not inside.startswith("/"):
        raise ValueError(f"{inside} is not an absolute path")
    permissions = parts[-1] if len(parts) > 1 and _is_device_mode(parts[-1]) else "rwm"
    return {"PathOnHost": parts[0], "PathInContainer": inside, "CgroupPermissions": permissions}


def _is_device_mode(value: str) -> bool:
    return bool(value) and set(value) <= set("rwm") and len(set(value)) == len(value)


def exposed_ports(ranges: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return `port[-port][/protocol]` strings as the API's set of ports."""
    ports = {}
    for value in ranges:
        if ":" in value:
            raise ValueError(f"invalid port format for --expose: {value}")
        numbers, _, protocol = value.partition("/")
        first, dash, last = numbers.partition("-")
        try:
            start = unsigned_16(first)
            end = unsigned_16(last) if dash else start
            if end < start:
                raise ValueError(f"invalid range specified for port: {numbers}")
        except ValueError as error:
            raise ValueError(f"invalid range format for --expose: {value}, error: {error}") from None
        ports.update({f"{port}/{protocol or 'tcp'}": dict[str, str]() for port in range(start, end + 1)})
    return ports


def unsigned_16(value: str) -> int:
    """Return a decimal number of 16 bits."""
    if not re.fullmatch("[0-9]+", value):
        raise ValueError(f'strconv.ParseUint: parsing "{value}": invalid syntax')
    if int(value) > 0xFFFF:
        raise ValueError(f'strconv.ParseUint: parsing "{value}": value out of range')
    return int(value)


def restart_policy(value: str) -> dict[str, str | int]:
    """Return `name[:retries]` as the API's restart policy; the daemon knows the names."""
    name, colon, retries = value.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if not colon:
        return {"Name": name, "MaximumRetryCount": 0}
    try:
        return {"Name": name, "MaximumRetryCount": integer(retries)}
    except ValueError:
        raise ValueError("invalid restart policy format: maximum retry count must be an integer") from None


def key_values(pairs: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Return `key=value` strings as a mapping; a key alone has an empty value, and a later one counts."""
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def read_environment(files: tuple[str, ...], given: tuple[str, ...], inherited: dict[str, str]) -> list[str]:
    """Return the variables of `--env-file`s and then of `-e`s; a name alone takes the client's own value."""
    variables = []
    for variable in (*_read_lines(files), *given):
        if "=" in variable:
            variables.append(variable)
        elif variable in inherited:
            variables.append(f"{variable}={inherited[variable]}")
        elif variable in given:
            # A name that the client has not set either takes the variable out of the image's environment.
            variables.append(variable)
    return variables


def read_labels(files: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    """Return the labels of `--label-file`s and then of `-l`s."""
    return key_values([*_read_lines(files), *given])


def _read_lines(files: tuple[str, ...]) -> list[str]:
    """Return the `key[=value]` lines of files, without comments and blank lines."""
    found = []
    for name in files:
        try:
            with open(name, "rb") as file:
                lines = file.read().removeprefix(b"\xef\xbb\xbf").splitlines()
        except OSError as error:
            raise ValueError(f"open {name}: {(error.strerror or str(error)).lower()}") from error
        for number, raw in enumerate(lines, 1):
            try:
                line = raw.decode().lstrip()
            except UnicodeDecodeError:
                shown = " ".join(map(str, raw))
                raise ValueError(f"invalid env file ({name}): invalid utf8 bytes at line {number}: [{shown}]") from None
            if line and not line.startswith("#"):
                found.append(_checked_line(name, line))
    return found


def _checked_line(name: str, line: str) -> str:
    key = line.partition("=")[0]
    if not key:
        raise ValueError(f"invalid env file ({name}): no variable name on line '{line}'")
    if any(character.isspace() for character in key):
        raise ValueError(f"invalid env file ({name}): variable '{key}' contains whitespaces")
    return line


def ip_address(value: str) -> str:
    """Return an IP address, unchanged."""
    import socket  # few commands need addresses

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, value.strip())
        except OSError:
            continue
        return value.strip()
    raise ValueError(f"IP address is not correctly formatted: {value}")


def link(value: str) -> str:
    """Return one `--link`, `container` or `container:alias`, as it is."""
    if not value:
        raise ValueError("empty string specified for links")
    if value.count(":") > 1:
        raise ValueError(f"bad format for links: {value}")
    return value


def extra_host(value: str) -> str:
    """Return one `--add-host` as `name:address`."""
    name, separator, address = value.partition("=" if "=" in value else ":")
    if not separator or not name:
        raise ValueError(f'bad format for add-host: "{value}"')
    bare = address.removeprefix("[").removesuffix("]")
    if bare != "host-gateway":
        try:
            ip_address(bare)
        except ValueError:
            raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{bare}"
