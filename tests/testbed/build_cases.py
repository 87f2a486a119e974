"""Small builds as data: their Dockerfiles, the context that they share, and what is compared of their images.

An image is described by what it has beside its base: for each path a line such as `file 0644 0:0 6 "alpha\\n"`, and
what it says of containers. The descriptions of what others have built are recorded (`recorded/`), as lines that can be
read and reviewed.

`testbed.build_recording` records them anew.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "CASES",
    "Case",
    "Names",
    "Tree",
    "describe",
    "make_context",
    "read_image",
    "read_recorded",
    "recording",
    "recorded_version",
]

DIRECTORY = Path(__file__).parents[1] / "system/builds"
#: The time of everything in the context.
_TIME = 1_500_000_000
#: What versions of BuildKit tell in different ways: whether flags are told, the values of arguments, a health check's
#: interval at its start; and whether there is a layer where a step has changed nothing.
_TELLING = (
    (re.compile(r"^(COPY|ADD)(?: --(?:chown|chmod)=\S+)+"), r"\1"),
    (re.compile(r"^(ARG \w+)=.*(?= \(empty\)$)"), r"\1"),
    (re.compile(r'(\] "\S+" "\S+" "\S+") "\S+"(?= \'\\x)'), r"\1"),
    (re.compile(r"^((?:RUN|COPY|ADD|WORKDIR) .*) \(empty\)$", re.DOTALL), r"\1"),
)
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Content that is longer is told by its digest.
_SHOWN = 60
#: What an image says of its containers.
_CONFIG = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell", "StopSignal", "User",
    "Volumes", "WorkingDir",
)  # fmt: skip


@dataclass(frozen=True)
class Names:
    """What each run has under names of its own: the base image, a server of files and a Git repository."""

    image: str
    web: str
    repository: str

    def put(self, text: str) -> str:
        """Return a text with the names in the places of `$BASE`, `$WEB` and `$REPOSITORY`."""
        for variable, name in self._pairs():
            text = text.replace(variable, name)
        return text

    def take(self, text: str) -> str:
        """Return a text of this run as that of any other."""
        for variable, name in self._pairs():
            text = text.replace(name, variable)
        return text

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        return (("$BASE", self.image), ("$WEB", self.web), ("$REPOSITORY", self.repository))


@dataclass(frozen=True)
class Case:
    """One build. `error` says that it fails; `base` that its Dockerfile begins after `FROM $BASE`.

    `differs` says why the result is another one than that of the BuildKit that was recorded: it is what another peer
    made (`follows`), or `instead` says which lines of it are others: of files by their path, of all else as
    `config NAME` and `history NUMBER`, empty for nothing.
    """

    name: str
    dockerfile: str
    options: tuple[str, ...] = ()
    ignore: str = ""
    error: bool = False
    base: bool = True
    escape: str = ""
    differs: str = ""
    instead: Mapping[str, Any] = field(default_factory=dict)
    follows: str = ""

    def text(self, names: Names) -> str:
        """Return the Dockerfile."""
        directive = f"# escape={self.escape}\n" if self.escape else ""
        head = "FROM $BASE\n" if self.base else ""
        return names.put(f"{directive}{head}{self.dockerfile}\n")

    def expected(self) -> dict[str, Any]:
        """Return what is expected of Transom, as others have made it."""
        if self.follows:
            # Of a build in which BuildKit fails, others' recordings have everything, but for the history.
            return {"files": {}, "config": {}, **read_recorded(self.follows)[self.name]}
        recorded: dict[str, Any] = read_recorded("buildkit")[self.name]
        if self.instead and "error" in recorded:
            recorded = {"files": {}, "config": {}}
        for name, value in self.instead.items():
            kind, _, key = name.partition(" ")
            if kind == "history":
                recorded["history"][int(key)] = value
                continue
            part, key = (recorded["config"], key) if kind == "config" else (recorded["files"], name)
            if not value:
                part.pop(key, None)
            else:
                part[key] = value
        return recorded

    def flags(self, directory: Path) -> list[str]:
        """Return the options of the command line, given the directory that the context is in."""
        return [option.replace("$SECRET", str(directory / "secret")) for option in self.options]


def _load() -> Iterator[Case]:
    for path in sorted((DIRECTORY / "cases").glob("*.toml")):
        for item in tomllib.loads(path.read_text())["case"]:
            item["options"] = tuple(item.get("options", ()))
            yield Case(**{**item, "name": f"{path.stem}: {item['name']}"})


CASES = tuple(_load())


def recording(peer: str) -> Path:
    """Return the file with what a peer has made of the cases."""
    return DIRECTORY / "recorded" / f"{peer}.json"


def read_recorded(peer: str) -> dict[str, Any]:
    """Return what a peer has made of the cases, by their names."""
    cases: dict[str, Any] = json.loads(recording(peer).read_text())["cases"]
    return cases


def recorded_version(peer: str) -> str:
    """Return what a peer was, and in which version, when it was recorded."""
    return str(json.loads(recording(peer).read_text())["peer"])


#: Files of the context: mode and content.
_FILES: Mapping[str, tuple[int, bytes]] = {
    "a": (0o644, b"alpha\n"),
    "b": (0o600, b"beta\n"),
    "empty": (0o640, b""),
    "large": (0o644, bytes(range(256)) * 1000),
    "with space": (0o644, b"space\n"),
    "star*": (0o644, b"star\n"),
    "star": (0o644, b"no star\n"),
    "br[ack]et": (0o644, b"bracket\n"),
    "ünï-日本": (0o644, b"unicode\n"),
    "-dash": (0o644, b"dash\n"),
    "dir/one": (0o644, b"one\n"),
    "dir/two": (0o755, b"two\n"),
    "dir/tre": (0o644, b"tre\n"),
    "dir/.dot": (0o644, b"dot\n"),
    "dir/sub/inner": (0o644, b"inner\n"),
    "closed/file": (0o400, b"closed\n"),
    "sticky/file": (0o666, b"sticky\n"),
    "nest/one": (0o644, b"other one\n"),
    "nest/deep/two": (0o644, b"deep\n"),
    "links/file": (0o644, b"file\n"),
    "hard/one": (0o644, b"hard\n"),
    "special/setuid": (0o4755, b"setuid\n"),
    "special/setgid": (0o2755, b"setgid\n"),
    "fake.tar.gz": (0o644, b"this is no archive\n"),
    "plain.gz": (0o644, gzip.compress(b"no archive either\n", mtime=0)),
    ".hidden": (0o644, b"hidden\n"),
    **{
        f"odd/{name}": (0o644, b"odd\n")
        for name in ("new\nline", "tab\t", " lead", "trail ", "*", "$A", '"quote', "e\u0301")
    },
    "attrs/file": (0o644, b"attributes\n"),
    "attrs/able": (0o755, b"able\n"),
}
#: cap_net_bind_service+ep, as the kernel keeps it (capabilities(7)).
_CAPABLE = bytes.fromhex("0100000200040000000000000000000000000000")
_ATTRIBUTES = {
    ("attrs/file", "user.kept"): b"value",
    ("attrs", "user.directory"): b"d",
    ("attrs/able", "security.capability"): _CAPABLE,
}
_DIRECTORIES = {"closed": 0o700, "sticky": 0o1777, "nest/deep": 0o711, "hollow": 0o755, "special": 0o2750}
_LINKS = {
    "link": "a",
    "dirlink": "dir",
    "dangling": "nowhere",
    "outside": "../../../etc/passwd",
    "absolute": "/dir/one",
    "links/soft": "file",
    "links/up": "../a",
    "links/nowhere": "gone",
    "links/absolute": "/etc/passwd",
    "links/directory": "../dir",
}


def _archive() -> bytes:
    """Return an archive with a file, a directory, links, owners and modes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, mode, owner, content in (
            ("in", tarfile.DIRTYPE, 0o750, 3, b""),
            ("in/file", tarfile.REGTYPE, 0o640, 4, b"unpacked\n"),
            ("in/hard", tarfile.LNKTYPE, 0o640, 4, b""),
            ("soft", tarfile.SYMTYPE, 0o777, 5, b""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kind, mode, owner, owner + 100, _TIME
            entry.size = len(content)
            entry.linkname = {tarfile.LNKTYPE: "in/file", tarfile.SYMTYPE: "in/file"}.get(kind, "")
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def make_context(root: Path, case: Case, names: Names) -> None:
    """Make a case's context, with its Dockerfile, in a directory that is not there; a secret lies beside it."""
    root.mkdir()
    archive = _archive()
    files = {
        **_FILES,
        "archive.tar": (0o644, archive),
        "archive.data": (0o644, archive),
        "archive.tar.gz": (0o644, gzip.compress(archive, mtime=0)),
        "archive.tar.bz2": (0o644, bz2.compress(archive)),
        "archive.tar.xz": (0o644, lzma.compress(archive)),
        "packed/archive.tar": (0o644, archive),
        "Dockerfile": (0o644, case.text(names).encode()),
        **({".dockerignore": (0o644, case.ignore.encode())} if case.ignore else {}),
    }
    for name, (mode, content) in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    for name, mode in _DIRECTORIES.items():
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(mode)
    for name, target in _LINKS.items():
        (root / name).symlink_to(target)
    (root / "hard/two").hardlink_to(root / "hard/one")
    # Of a copy of everything they would be what it is about.
    for (name, attribute), value in _ATTRIBUTES.items() if "attrs" in case.dockerfile else ():
        os.setxattr(root / name, attribute, value)
    (root / "pipes").mkdir()
    os.mkfifo(root / "pipes/pipe")
    (root / "pipes/pipe").chmod(0o622)
    for directory, names, others in os.walk(root):
        for name in (*names, *others, "."):
            os.utime(Path(directory) / name, (_TIME, _TIME), follow_symlinks=False)
    (root.parent / "secret").write_text("hush\n")


@dataclass
class Inode:
    """What one or several paths are."""

    entry: tarfile.TarInfo
    content: bytes = b""

    def line(self, links: int) -> str:
        """Return a description, but for the time of what is new."""
        entry = self.entry
        kind = {
            tarfile.DIRTYPE: "directory",
            tarfile.SYMTYPE: "link",
            tarfile.FIFOTYPE: "pipe",
            tarfile.CHRTYPE: "device",
        }.get(entry.type, "file")
        if kind == "link":
            return f"link {entry.uid}:{entry.gid} {_shown(entry.linkname)}"
        words = [kind, f"{entry.mode & 0o7777:04o}", f"{entry.uid}:{entry.gid}"]
        if kind == "file":
            words.append(str(entry.size))
            shown = len(self.content) <= _SHOWN
            words.append(
                json.dumps(self.content.decode(errors="backslashreplace"))
                if shown
                else hashlib.sha256(self.content).hexdigest()[:16]
            )
            if links > 1:
                words.append(f"links={links}")
            if entry.mtime == _TIME:
                words.append("old")
        for name, value in sorted(entry.pax_headers.items()):
            if name.startswith("SCHILY.xattr."):
                words.append(f"{name.removeprefix('SCHILY.xattr.')}={value!r}")
        return " ".join(words)


@dataclass
class Tree:
    """A file system, made of layers."""

    inodes: dict[str, Inode] = field(default_factory=dict)

    def apply(self, layer: tarfile.TarFile) -> None:
        """Put a layer on top (OCI image specification, layer.md)."""
        below = set(self.inodes)
        for entry in layer:
            name = entry.name.removeprefix("./").strip("/")
            directory, _, last = name.rpartition("/")
            prefix = f"{directory}/" if directory else ""
            if last == ".wh..wh..opq":
                self._remove_below(prefix, below)
            elif last.startswith(".wh."):
                hidden = prefix + last.removeprefix(".wh.")
                if hidden in below:
                    self._remove(hidden)
            elif name not in ("", "."):
                self._put(layer, entry, name)

    def lines(self) -> dict[str, str]:
        """Return what there is, by path."""
        counts: dict[int, int] = {}
        for inode in self.inodes.values():
            counts[id(inode)] = counts.get(id(inode), 0) + 1
        return {f"/{_shown(path)}": inode.line(counts[id(inode)]) for path, inode in sorted(self.inodes.items())}

    def _put(self, layer: tarfile.TarFile, entry: tarfile.TarInfo, name: str) -> None:
        if entry.islnk():
            self.inodes[name] = self.inodes[entry.linkname.removeprefix("./").strip("/")]
            return
        there = self.inodes.get(name)
        if there is not None and not (entry.isdir() and there.entry.isdir()):
            self._remove(name)
        file = layer.extractfile(entry) if entry.isreg() else None
        self.inodes[name] = Inode(entry, file.read() if file else b"")

    def _remove(self, name: str) -> None:
        self.inodes.pop(name, None)
        self._remove_below(f"{name}/", None)

    def _remove_below(self, prefix: str, only: set[str] | None) -> None:
        for path in [path for path in self.inodes if path.startswith(prefix) and (only is None or path in only)]:
            del self.inodes[path]


def _shown(path: str) -> str:
    """Return a path, whose bytes need be no UTF-8, as text that is."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def read_image(archive: Path) -> tuple[Tree, dict[str, Any]]:
    """Return the file system and the configuration of the image in an archive that `save` has written."""
    tree = Tree()
    with tarfile.open(archive) as outer:
        [manifest] = json.load(_open(outer, "manifest.json"))
        config = json.load(_open(outer, manifest["Config"]))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(_open(outer, name).read())) as layer:
                tree.apply(layer)
    return tree, config


def _open(archive: tarfile.TarFile, name: str) -> Any:
    # Docker before version 25 writes one layer that images share as a link to the other.
    entry = archive.getmember(name)
    if entry.issym():
        entry = archive.getmember(os.path.normpath(Path(name).parent / entry.linkname))
    file = archive.extractfile(entry)
    assert file is not None
    return file


@cache
def _base(archive: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the files of a base image and its configuration; without a PATH it gets one in every build."""
    tree, config = read_image(archive)
    variables = config["config"].setdefault("Env", [])
    if not any(variable.startswith("PATH=") for variable in variables):
        variables.append(_PATH)
    return tree.lines(), config


def describe(image: Path, base: Path) -> dict[str, Any]:
    """Return what an image has and says beside its base, as JSON has it."""
    (tree, config), (known, below) = read_image(image), _base(base)
    lines = tree.lines()
    files = {path: line for path, line in lines.items() if known.get(path) != line}
    files.update({path: "gone" for path in known if path not in lines})
    steps, older = _steps(config), _steps(below)
    return {
        "files": dict(sorted(files.items())),
        "config": {
            name: found or None
            for name in _CONFIG
            if (found := config["config"].get(name)) != (there := below["config"].get(name)) and (found or there)
        },
        "history": steps[len(older) :] if steps[: len(older)] == older else steps,
    }


def _steps(config: Mapping[str, Any]) -> list[str]:
    """Return what an image says of how it was made, as far as all versions of BuildKit say the same."""
    steps = []
    for step in config["history"]:
        told = f"{step.get('created_by', '')}{' (empty)' * step.get('empty_layer', False)}"
        for pattern, replacement in _TELLING:
            told = pattern.sub(replacement, told)
        steps.append(told)
    return steps
