"""What a log says of its container besides its output: chosen labels and variables, and a tag.

Tags are templates of Docker's form. What is filled in is a field, `{{.Name}}`, or a chosen label or variable,
`{{(.ExtraAttributes nil).NAME}}`; other constructs of Go's templates are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from transom.errors import InvalidParameter

if TYPE_CHECKING:
    from transom.drivers.log import LoggedContainer

__all__ = ["ATTRIBUTE_OPTIONS", "attributes_of", "check_attributes", "tag_of"]

#: The options that this module is about.
ATTRIBUTE_OPTIONS = ("labels", "labels-regex", "env", "env-regex", "tag")

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_EXTRA = re.compile(r"\(\s*\.ExtraAttributes\s+nil\s*\)\.(\w+)\Z")
_FIELDS: Mapping[str, Callable[[LoggedContainer], str]] = {
    ".ID": lambda container: container.id[:12],
    ".FullID": lambda container: container.id,
    ".Name": lambda container: container.name,
    ".ImageID": lambda container: container.image[:12],
    ".ImageFullID": lambda container: container.image,
    ".ImageName": lambda container: container.image_name,
    ".Command": lambda container: " ".join(container.command),
    ".Hostname": lambda _: os.uname().nodename,
    ".DaemonName": lambda _: "docker",
}


def check_attributes(options: Mapping[str, str]) -> None:
    """Raise `InvalidParameter` for a pattern or a tag that cannot be."""
    # Patterns that take forever would stop the container: they are refused here, in the daemon.
    from transom.patterns import quick_pattern

    for name in ("labels-regex", "env-regex"):
        if options.get(name):
            quick_pattern("log opt", name, options[name])
    template = options.get("tag", "")
    for action in _ACTION.findall(template):
        if action.strip() not in _FIELDS and not _EXTRA.match(action.strip()):
            raise InvalidParameter(
                f"invalid tag {template!r}: {{{{{action}}}}} is not supported; there are {', '.join(_FIELDS)} and"
                " (.ExtraAttributes nil).NAME"
            )
    if "{{" in _ACTION.sub("", template):
        raise InvalidParameter(f"invalid tag {template!r}: {{{{ is not closed by }}}}")


def attributes_of(
    container: LoggedContainer, options: Mapping[str, str], rename: Callable[[str], str] = lambda name: name
) -> dict[str, str]:
    """Return the labels and variables that the options choose, by name; a log may have rules for names (`rename`)."""
    env = dict(item.split("=", 1) for item in container.env if "=" in item)
    chosen: dict[str, str] = {}
    for option, values in (("labels", container.labels), ("env", env)):
        for name in options.get(option, "").split(","):
            if name in values:
                chosen[rename(name)] = values[name]
        pattern = options.get(f"{option}-regex")
        if pattern:
            search = re.compile(pattern).search
            chosen.update((rename(name), value) for name, value in values.items() if search(name))
    return chosen


def tag_of(container: LoggedContainer, options: Mapping[str, str], default: str) -> str:
    """Return the container's tag: the option's template, or the default one, filled in."""
    template = options.get("tag") or default

    def fill(action: re.Match[str]) -> str:
        name = action[1].strip()
        extra = _EXTRA.match(name)
        if extra is not None:
            # What is not there is shown as Go's templates show it.
            return attributes_of(container, options).get(extra[1], "<no value>")
        return _FIELDS[name](container)

    return _ACTION.sub(fill, template)
