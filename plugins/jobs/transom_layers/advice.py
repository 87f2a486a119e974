"""What to change in a Dockerfile, by patterns that waste space."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from transom.graph.archive import Kind
from transom.graph.layer_report import Advice, Step
from transom_layers.tree import Hiding, Tree, Version

__all__ = ["advise"]

#: Advice is given from this part of the image's bytes on, or from so many bytes if that is less.
_PART: Final = 0.005
_ENOUGH: Final = 1_000_000
#: How many paths are named as examples.
_EXAMPLES: Final = 3


class _Leftover(NamedTuple):
    """Files that an image seldom needs, wherever they are left: a word for them, their paths, what to do."""

    kind: str
    pattern: re.Pattern[bytes]
    text: str
    copied: bool = False


def _leftover(kind: str, pattern: bytes, text: str, *, copied: bool = False) -> _Leftover:
    return _Leftover(kind, re.compile(pattern), text, copied)


#: The first that matches a path counts. Those that are `copied` are looked for in layers of COPY and ADD alone.
_LEFTOVERS: Final = (
    _leftover(
        "package-lists",
        rb"var/lib/apt/lists/",
        "apt-get update left its package lists: end that RUN with rm -rf /var/lib/apt/lists/*",
    ),
    _leftover(
        "package-cache",
        rb"var/cache/apt/",
        "apt left its cache: end that RUN with apt-get clean",
    ),
    _leftover("package-cache", rb"var/cache/apk/|lib/apk/.*\.tar\.gz$", "apk left its index: use apk add --no-cache"),
    _leftover(
        "package-cache",
        rb"var/cache/(?:yum|dnf|libdnf5)/",
        "the package manager left its cache: end that RUN with dnf clean all, or yum clean all",
    ),
    _leftover("package-cache", rb"var/cache/zypp/", "zypper left its cache: end that RUN with zypper clean --all"),
    _leftover("package-cache", rb"var/cache/pacman/pkg/", "pacman left packages: end that RUN with pacman -Scc"),
    _leftover(
        "pip-cache",
        rb"(?:.*/)?\.cache/pip/",
        "pip left its cache: use pip install --no-cache-dir, or ENV PIP_NO_CACHE_DIR=1",
    ),
    _leftover(
        "npm-cache",
        rb"(?:.*/)?(?:\.npm/_cacache|\.cache/yarn|\.yarn/cache|usr/local/share/\.cache)/",
        "npm or yarn left its cache: end that RUN with npm cache clean --force, or yarn cache clean",
    ),
    _leftover("conda-cache", rb"(?:.*/)?conda[^/]*/pkgs/", "conda left packages: end that RUN with conda clean --all"),
    _leftover(
        "build-cache",
        rb"(?:.*/)?(?:\.cache/go-build|pkg/mod/cache|\.?cargo/registry/cache|\.composer/cache|\.cache/composer)/",
        "a compiler or package manager left its cache: build in a stage of its own and copy the result",
    ),
    _leftover(
        "version-control",
        rb"(?:.*/)?\.(?:git|hg|svn)/",
        "the history of the source was copied too: name .git in .dockerignore",
        copied=True,
    ),
    _leftover(
        "node-modules",
        rb"(?:.*/)?node_modules/",
        "node_modules was copied: if it is of the build's context, name it in .dockerignore and run npm ci in a RUN",
        copied=True,
    ),
)

#: What package managers write with every package that they install.
_RECORDS: Final = re.compile(
    rb"var/lib/(?:dpkg|apt|rpm|dnf|pacman)/|var/cache/(?:debconf|ldconfig)/|var/log/|usr/(?:lib/sysimage|share)/rpm/"
    rb"|(?:usr/)?lib/apk/db/|etc/ld\.so\.cache$"
)
_COPIES: Final = re.compile(r"(?:COPY|ADD)\b", re.IGNORECASE)
_UPGRADES: Final = re.compile(
    r"\b(?:apt|apt-get|aptitude)\b[^;&|]*\b(?:dist-|full-|safe-)?upgrade\b|\bapk\b[^;&|]*\bupgrade\b"
    r"|\b(?:yum|dnf|microdnf|zypper)\b[^;&|]*\b(?:update|upgrade)\b"
)


@dataclass
class _Finding:
    """The versions that one advice is about, and the layers that hide some of them."""

    versions: list[Version] = field(default_factory=list)
    hidden_by: set[int] = field(default_factory=set)

    def add(self, version: Version, hidden_by: int = 0) -> None:
        self.versions.append(version)
        if hidden_by:
            self.hidden_by.add(hidden_by)

    @property
    def size(self) -> int:
        return sum(version.size for version in self.versions)

    def advice(self, kind: str, layer: int, text: str) -> Advice:
        largest = sorted(self.versions, key=lambda version: (-version.size, version.node.path))[:_EXAMPLES]
        return Advice(kind, layer, self.size, text, tuple(b"/" + version.node.path for version in largest))


def advise(tree: Tree, steps: Sequence[Step]) -> tuple[Advice, ...]:
    """Return what to change, what is about most bytes first. A version of a file is counted in one advice at most."""
    instructions = {step.layer.number: step.instruction for step in steps if step.layer is not None}
    hidden = {id(hiding.version): hiding.layer for hiding in tree.hidings}
    found: list[Advice] = []
    matched: set[int] = set()
    for (rule, layer), finding in _leftovers(tree.versions, instructions, hidden).items():
        matched.update(map(id, finding.versions))
        found.append(finding.advice(rule.kind, layer, rule.text + _in_vain(finding.hidden_by)))
    found += _about_hidden([hiding for hiding in tree.hidings if id(hiding.version) not in matched], tree, instructions)
    least = min(_ENOUGH, int(_PART * sum(version.size for version in tree.versions)) + 1)
    return tuple(sorted((one for one in found if one.size >= least), key=lambda one: (-one.size, one.layer, one.kind)))


def _leftovers(
    versions: Iterable[Version], instructions: Mapping[int, str], hidden: Mapping[int, int]
) -> dict[tuple[_Leftover, int], _Finding]:
    found: dict[tuple[_Leftover, int], _Finding] = {}
    for version in versions:
        if not version.size or version.kind is not Kind.FILE:
            continue
        path = version.node.path
        for rule in _LEFTOVERS:
            if rule.pattern.match(path):
                if not rule.copied or _COPIES.match(instructions.get(version.layer, "")):
                    finding = found.setdefault((rule, version.layer), _Finding())
                    finding.add(version, hidden.get(id(version), 0))
                break
    return found


def _in_vain(hidden_by: set[int]) -> str:
    if not hidden_by:
        return ""
    one = len(hidden_by) == 1
    return f" ({_named(hidden_by)} {'hides' if one else 'hide'} them, and they travel with the image all the same)"


class _Case(NamedTuple):
    """Why versions are hidden, the layer that stores them, and the one that hides them."""

    kind: str
    layer: int
    hidden_by: int


def _about_hidden(hidings: Sequence[Hiding], tree: Tree, instructions: Mapping[int, str]) -> list[Advice]:
    contents: dict[int, set[bytes]] = {}
    for version in tree.versions:
        if version.kind is Kind.FILE and version.size:
            contents.setdefault(version.layer, set()).add(version.content)
    copies = {
        id(hiding.successor): hiding.version
        for hiding in hidings
        if hiding.successor is not None and hiding.successor.content == hiding.version.content
    }
    cases: dict[_Case, _Finding] = {}
    for hiding in hidings:
        version = hiding.version
        if version.size and version.kind is Kind.FILE:
            kind = _kind(hiding, contents.get(hiding.layer, set()))
            layer = _origin(version, copies).layer if kind == "deleted-later" else version.layer
            cases.setdefault(_Case(kind, layer, hiding.layer), _Finding()).add(version)
    return [
        finding.advice(case.kind, _place(case), _text(case, instructions))
        for case, finding in cases.items()
        # What is begun with has records of its packages, which the first package that is added changes.
        if case.kind != "package-records" or case.layer > 1
    ]


def _origin(version: Version, copies: Mapping[int, Version]) -> Version:
    """Return the version whose content a later one has again, with another owner, say."""
    while id(version) in copies:
        version = copies[id(version)]
    return version


def _kind(hiding: Hiding, contents: set[bytes]) -> str:
    """Return why a version is hidden, given what the layer that hides it stores."""
    version, successor = hiding.version, hiding.successor
    if successor is not None and successor.kind is Kind.FILE and successor.content == version.content:
        if successor.owner != version.owner:
            return "owner-changed"
        return "mode-changed" if successor.mode != version.mode else "written-again"
    if successor is None and version.content in contents:
        return "moved"
    if hiding.deleted:
        return "deleted-later"
    return "package-records" if _RECORDS.match(version.node.path) else "replaced"


def _place(case: _Case) -> int:
    """Return the layer whose instruction should be changed."""
    return case.layer if case.kind == "deleted-later" else case.hidden_by


def _text(case: _Case, instructions: Mapping[int, str]) -> str:
    copied = bool(_COPIES.match(instructions.get(case.layer, "")))
    lower, upper = f"layer {case.layer}", f"layer {case.hidden_by}"
    if case.layer == case.hidden_by:
        return f"{lower} stores files twice: write each once"
    if case.kind == "owner-changed":
        way = "use COPY --chown" if copied else "set it in the RUN that makes the files"
        return f"{upper} changes the owner of files of {lower}, which stores them once more: {way}"
    if case.kind == "mode-changed":
        way = "use COPY --chmod" if copied else "set them in the RUN that makes the files"
        return f"{upper} changes the permissions of files of {lower}, which stores them once more: {way}"
    if case.kind == "written-again":
        return f"{upper} writes files of {lower} again as they are: leave them alone, or make them in one instruction"
    if case.kind == "moved":
        way = "copy them to where they belong" if copied else "move them in the RUN that makes them"
        return f"{upper} moves files of {lower}, which stores them once more: {way}"
    if case.kind == "deleted-later":
        way = "delete them in the RUN that makes them"
        if copied:
            way = "leave them out of what is copied, by .dockerignore or a stage of its own"
        if case.layer == 1:
            way = "if that is the image that it began with, begin with a smaller one"
        return f"{upper} deletes files of {lower}, and they travel with the image all the same: {way}"
    if case.kind == "package-records":
        return f"{upper} writes again what {lower} has recorded of packages: install all packages in one RUN"
    if _UPGRADES.search(instructions.get(case.hidden_by, "")):
        return f"{upper} upgrades packages of {lower}: begin with a newer image"
    return f"{upper} replaces files of {lower}: write them once, in their last form"


def _named(layers: Iterable[int]) -> str:
    numbers = [str(number) for number in sorted(layers)]
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    return f"layers {', '.join(numbers[:-1])} and {numbers[-1]}"
