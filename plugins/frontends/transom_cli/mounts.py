"""`-v` and `--mount`: what is mounted into a container, as the API's binds, anonymous volumes and mounts."""

from __future__ import annotations

import os.path
import stat
from typing import Any

from transom_cli import values

__all__ = ["mount", "split_volumes"]

_FLAGS = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src")
_RECURSIVE = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}
_TARGETS = ("target", "dst", "destination")
_OPTIONS = {
    "bind": "BindOptions",
    "volume": "VolumeOptions",
    "tmpfs": "TmpfsOptions",
    "image": "ImageOptions",
}


def split_volumes(given: tuple[str, ...]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the `-v`s that name a source, as binds, and the others, as anonymous volumes.

    A source that starts with a dot is a path from here. Raises `ValueError` for nothing between two colons.
    """
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for volume in given:
        source, colon, rest = volume.partition(":")
        if not colon or len(volume) <= 2:
            anonymous[volume] = {}
            continue
        if "" in volume.split(":"):
            raise ValueError(f"invalid spec: {volume}: empty section between colons")
        if source.startswith("."):
            source = os.path.abspath(source)  # noqa: PTH100 pathlib is slow to import
        binds.append(f"{source}:{rest}")
    return binds, anonymous


def mount(text: str) -> dict[str, Any]:
    """Return one `--mount`, a line of comma-separated values, as the API's Mount. Raises `ValueError`."""
    import csv  # few containers have one

    result: dict[str, Any] = {"Type": "volume", "Source": "", "Target": ""}
    for field in next(csv.reader([text], strict=True), []):
        key, equals, value = field.partition("=")
        if not equals:
            if key not in _FLAGS:
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        _set(result, key, value, field)
    kind = result["Type"]
    if not kind:
        raise ValueError("type is required")
    if not result["Target"]:
        raise ValueError("target is required")
    for prefix, options in _OPTIONS.items():
        if options in result and kind != prefix:
            raise ValueError(f"cannot mix '{prefix}-*' options with mount type '{kind}'")
    if result.get("BindOptions", {}).get("ReadOnlyForceRecursive"):
        _check_recursive(result)
    return result


def _set(result: dict[str, Any], key: str, value: str, field: str) -> None:
    """Set what one field says."""
    if key == "type":
        result["Type"] = value.lower()
    elif key in ("source", "src"):
        local = value == "." or value.startswith("./")
        result["Source"] = os.path.abspath(value) if local else value  # noqa: PTH100
    elif key in _TARGETS:
        result["Target"] = value
    elif key in ("readonly", "ro"):
        result["ReadOnly"] = _boolean(key, value)
    elif key == "consistency":
        result["Consistency"] = value.lower()
    elif key.startswith("bind-"):
        _set_bind(result.setdefault("BindOptions", {}), key, value, field)
    elif key.startswith("volume-"):
        _set_volume(result.setdefault("VolumeOptions", {}), key, value, field)
    elif key.startswith("tmpfs-"):
        _set_tmpfs(result.setdefault("TmpfsOptions", {}), key, value, field)
    elif key == "image-subpath":
        result.setdefault("ImageOptions", {})["Subpath"] = value
    else:
        raise _unexpected(key, field)


def _set_bind(options: dict[str, Any], key: str, value: str, field: str) -> None:
    if key == "bind-propagation":
        options["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        options["NonRecursive"] = _boolean(key, value)
    elif key == "bind-create-src":
        options["CreateMountpoint"] = _boolean(key, value)
    elif key == "bind-recursive":
        if value not in _RECURSIVE:
            raise ValueError(
                f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or "readonly")'
            )
        options.update(_RECURSIVE[value])
    else:
        raise _unexpected(key, field)


def _set_volume(options: dict[str, Any], key: str, value: str, field: str) -> None:
    name, _, content = value.partition("=")
    if key == "volume-nocopy":
        options["NoCopy"] = _boolean(key, value)
    elif key == "volume-label":
        options.setdefault("Labels", {})[name] = content
    elif key == "volume-driver":
        options.setdefault("DriverConfig", {})["Name"] = value
    elif key == "volume-opt":
        options.setdefault("DriverConfig", {}).setdefault("Options", {})[name] = content
    elif key == "volume-subpath":
        options["Subpath"] = value
    else:
        raise _unexpected(key, field)


def _set_tmpfs(options: dict[str, Any], key: str, value: str, field: str) -> None:
    try:
        if key == "tmpfs-size":
            options["SizeBytes"] = values.size(value)
            return
        if key == "tmpfs-mode":
            options["Mode"] = stat.S_IMODE(int(value, 8))
            return
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None
    raise _unexpected(key, field)


def _check_recursive(result: dict[str, Any]) -> None:
    """Raise `ValueError` where a mount is to be read-only all the way down and cannot be."""
    if not result.get("ReadOnly"):
        raise ValueError("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
    if result["BindOptions"].get("Propagation") != "rprivate":
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
        )


def _boolean(key: str, value: str) -> bool:
    try:
        return values.boolean(value)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def _unexpected(key: str, field: str) -> ValueError:
    return ValueError(f"unexpected key '{key}' in '{field}'")
