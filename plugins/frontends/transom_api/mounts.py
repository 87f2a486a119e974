"""Mounts as the API has them: the long form (`Mounts`), and tmpfs mounts in the short one (`Tmpfs`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from transom.containers.model import Mount, MountKind, Tmpfs
from transom.errors import InvalidParameter, Unsupported

if TYPE_CHECKING:
    from transom_api.fields import Fields

__all__ = ["TMPFS_DEFAULTS", "parse_mounts"]

#: What a tmpfs mount has unless its options say otherwise.
TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
#: Flags by the pair that they belong to: the later one of a pair wins.
_FLAGS = {
    "exec": "exec",
    "noexec": "exec",
    "suid": "suid",
    "nosuid": "suid",
    "dev": "dev",
    "nodev": "dev",
    "rw": "rw",
    "ro": "rw",
    "async": "async",
    "atime": "atime",
    "relatime": "atime",
    "strictatime": "atime",
}
_VALUES = frozenset(("uid", "gid", "nr_inodes", "nr_blocks", "mpol"))
_SIZE = re.compile(r"(\d{1,18})([kmg]?)\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


#: The options of a mount, and the type that has them.
_OPTIONS = {"BindOptions": "bind", "VolumeOptions": "volume", "TmpfsOptions": "tmpfs", "ImageOptions": "image"}


def parse_mounts(host: Fields) -> tuple[Mount, ...]:
    """Return the mounts of `Mounts` and `Tmpfs`. Raises `InvalidParameter` and `Unsupported`."""
    return (
        *(_parse_mount(item) for item in host.objects("Mounts")),
        *(parse_tmpfs(path, options) for path, options in host.mapping("Tmpfs").items()),
    )


def _parse_mount(item: Fields) -> Mount:
    kind = item.string("Type")
    destination = item.string("Target")
    if not destination:
        raise InvalidParameter(f'invalid mount config for type "{kind}": field Target must not be empty')
    _check_options(item, kind)
    match kind:
        case "bind":
            return _parse_bind(item, destination)
        case "volume":
            return _parse_volume(item, destination)
        case "tmpfs":
            return _parse_long_tmpfs(item, destination)
        case "image":
            return _parse_image(item, destination)
        case "npipe" | "cluster":
            raise Unsupported(f"mounts of the type {kind} are not supported: use bind, volume, tmpfs or image")
    raise InvalidParameter(f'invalid mount config for type "{kind}": mount type unknown')


def _check_options(item: Fields, kind: str) -> None:
    """Raise `InvalidParameter` for the options of another type."""
    for name, owner in _OPTIONS.items():
        if owner != kind and item.keys(name):
            raise InvalidParameter(f'invalid mount config for type "{kind}": field {name} must not be specified')


def _parse_bind(item: Fields, destination: str) -> Mount:
    source = item.string("Source")
    if not source:
        raise InvalidParameter('invalid mount config for type "bind": field Source must not be empty')
    options = item.object("BindOptions")
    read_only, propagation = item.boolean("ReadOnly"), options.string("Propagation")
    writable_below, force_recursive = options.boolean("ReadOnlyNonRecursive"), options.boolean("ReadOnlyForceRecursive")
    problem = ""
    if (writable_below or force_recursive) and not read_only:
        problem = "ReadOnlyNonRecursive and ReadOnlyForceRecursive are for a mount that is ReadOnly"
    elif writable_below and force_recursive:
        problem = "ReadOnlyForceRecursive and ReadOnlyNonRecursive exclude each other"
    elif force_recursive and options.boolean("NonRecursive"):
        problem = "ReadOnlyForceRecursive and NonRecursive exclude each other"
    elif force_recursive and propagation not in ("", "private", "rprivate"):
        problem = f"ReadOnlyForceRecursive needs the propagation rprivate, and not {propagation}"
    if problem:
        raise InvalidParameter(f'invalid mount config for type "bind": {problem}')
    return Mount(
        MountKind.BIND,
        destination,
        source,
        read_only=read_only,
        propagation=propagation,
        recursive=not options.boolean("NonRecursive"),
        writable_below=writable_below,
        force_recursive=force_recursive,
        create_source=options.boolean("CreateMountpoint"),
    )


def _parse_volume(item: Fields, destination: str) -> Mount:
    options = item.object("VolumeOptions")
    if item.boolean("ReadOnly") and not item.string("Source"):
        raise InvalidParameter(
            'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes'
        )
    driver = options.object("DriverConfig")
    return Mount(
        MountKind.VOLUME,
        destination,
        item.string("Source"),
        driver=driver.string("Name"),
        driver_options=driver.mapping("Options"),
        labels=options.mapping("Labels"),
        read_only=item.boolean("ReadOnly"),
        copy=not options.boolean("NoCopy"),
        subpath=options.string("Subpath"),
    )


def _parse_image(item: Fields, destination: str) -> Mount:
    source = item.string("Source")
    if not source:
        raise InvalidParameter('invalid mount config for type "image": field Source must not be empty')
    subpath = item.object("ImageOptions").string("Subpath")
    return Mount(MountKind.IMAGE, destination, source, read_only=True, copy=False, subpath=subpath)


def _parse_long_tmpfs(item: Fields, destination: str) -> Mount:
    if item.string("Source"):
        raise InvalidParameter('invalid mount config for type "tmpfs": field Source must not be specified')
    options = item.object("TmpfsOptions")
    size, mode = options.integer("SizeBytes"), options.integer("Mode")
    if size < 0 or not 0 <= mode <= 0o7777:
        raise InvalidParameter(f'invalid mount config for type "tmpfs": size {size} or mode {mode} is out of range')
    words = []
    given = options.raw("Options") or []
    for option in given if isinstance(given, list) else [given]:
        if (
            not isinstance(option, list)
            or not 1 <= len(option) <= 2
            or not all(isinstance(part, str) for part in option)
        ):
            raise InvalidParameter(
                f"invalid value for {options.path('Options')}: it should be lists of one or two strings"
            )
        words.append("=".join(option))
    mount = parse_tmpfs(destination, ",".join(words)) if words else Mount(MountKind.TMPFS, destination)
    return Mount(
        MountKind.TMPFS,
        destination,
        read_only=item.boolean("ReadOnly") or mount.read_only,
        tmpfs=Tmpfs(size or mount.tmpfs.size, mode or mount.tmpfs.mode, mount.tmpfs.options),
    )


def parse_tmpfs(destination: str, text: str) -> Mount:
    """Return the tmpfs mount that `--tmpfs PATH:OPTIONS` asks for; its `mode` keeps the options as they were given."""
    size, mode, options = 0, Tmpfs.mode, list(TMPFS_DEFAULTS)
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        if name == "mode" and re.fullmatch(r"0*[0-7]{1,4}", value):
            mode = int(value, 8)
        elif name == "size" and (match := _SIZE.match(value)):
            size = int(match[1]) * _UNITS[match[2].lower()]
        elif (name == "size" and re.fullmatch(r"\d{1,3}%", value)) or (name in _VALUES and value):
            options.append(word)
        elif word in _FLAGS:
            options = [option for option in options if _FLAGS.get(option) != _FLAGS[word]]
            options.append(word)
        else:
            raise InvalidParameter(f'invalid tmpfs option ["{word}"]')
    read_only = "ro" in options
    chosen = tuple(option for option in options if option not in ("ro", "rw"))
    return Mount(MountKind.TMPFS, destination, read_only=read_only, mode=text, tmpfs=Tmpfs(size, mode, chosen))
