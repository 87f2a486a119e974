"""`inspect`, and what it shares with the `inspect` of volumes: things as JSON, or through a template."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from transom_cli.client import Client
from transom_cli.errors import CommandFailed, DaemonError, Unreachable, report_failures
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.platforms import parse_platform

if TYPE_CHECKING:
    from transom_cli.template import Template

__all__ = ["FORMAT_HELP", "indent", "inspect", "inspect_all", "inspect_containers", "inspect_images"]

FORMAT_HELP = "Format output as 'json' or with a Go template"
#: The kinds that are searched, in this order, each with where it is.
_KINDS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@api_command(
    "inspect",
    "NAME|ID [NAME|ID...]",
    about="Return low-level information on containers, images, networks and volumes",
    least=1,
    most=None,
)
@flag("template", "--format", "-f", about=FORMAT_HELP)
@flag("--size", "-s", kind=BOOL, about="Display total file sizes if the type is container")
@flag("kind", "--type", about="Only inspect objects of the given type")
def inspect(
    client: Client,
    arguments: list[str],
    *,
    template: str | None,
    size: bool,
    kind: str | None,
) -> None:
    """Print all that is known about containers, images, networks and volumes."""
    if kind is not None and kind not in _KINDS:
        kinds = ", ".join(f'"{name}"' for name in _KINDS)
        raise CommandFailed(f'unknown type: "{kind}": must be one of {kinds}')

    def find(name: str) -> bytes:
        for tried in [kind] if kind else _KINDS:
            try:
                return client.get_text(_KINDS[tried].format(name), size=size and tried == "container")
            except DaemonError as failure:
                # A name with a slash or a colon is no volume's, and some daemons say so with 400.
                if kind or failure.status not in (400, 404):
                    raise
        raise CommandFailed(f"Error: No such object: {name}")

    inspect_all(arguments, find, template or "")


@api_command(
    "inspect",
    "CONTAINER [CONTAINER...]",
    about="Display detailed information on one or more containers",
    least=1,
    most=None,
)
@flag("template", "--format", "-f", about=FORMAT_HELP)
@flag("--size", "-s", kind=BOOL, about="Display total file sizes")
def inspect_containers(client: Client, arguments: list[str], *, template: str | None, size: bool) -> None:
    """Print all that is known about containers."""
    inspect_all(arguments, lambda name: client.get_text(_KINDS["container"].format(name), size=size), template or "")


@api_command(
    "inspect",
    "IMAGE [IMAGE...]",
    about="Display detailed information on one or more images",
    least=1,
    most=None,
)
@flag("template", "--format", "-f", about=FORMAT_HELP)
@flag("--platform", about="Inspect a specific platform of the multi-platform image (os[/arch[/variant]])", since="1.49")
def inspect_images(client: Client, arguments: list[str], *, template: str | None, platform: str | None) -> None:
    """Print all that is known about images."""
    wanted = parse_platform(platform, "")

    def find(name: str) -> bytes:
        return client.get_text(_KINDS["image"].format(name), platform=wanted)

    inspect_all(arguments, find, template or "")


def inspect_all(names: list[str], find: Callable[[str], bytes], template: str) -> None:
    """Print what `find` gives for each name: JSON text. What fails is reported after what does not."""
    from transom_cli.template import parse  # most inspections are shown without one

    parsed: Template | None = parse(template) if template not in ("", "json") else None
    found: list[bytes] = []
    failures: list[CommandFailed] = []
    for name in names:
        try:
            found.append(find(name))
        except Unreachable:
            raise
        except CommandFailed as failure:
            failures.append(failure)
    if parsed is None:
        whole = b"[" + b",".join(text.strip() for text in found) + b"]"
        print(whole.decode() if template else indent(whole))
    else:
        print("\n".join(_rendered(parsed, text) for text in found))
    report_failures(failures)


def _rendered(template: Template, text: bytes) -> str:
    """Return what a template shows of a thing: as a program sees it that knows the API, or else as bare JSON."""
    from transom_cli.template import TemplateError, raw_json

    try:
        return template.render(json.loads(text))
    except TemplateError:
        try:
            return template.render(raw_json(text), strict=True)
        except TemplateError as error:
            print()
            raise TemplateError(f"template parsing error: {error.message}") from error


def indent(text: bytes) -> str:
    """Return JSON with four spaces for each level, and all else as it came: order, numbers, escapes."""
    out: list[str] = []
    depth, previous = 0, ""
    for match in _JSON_TOKEN.finditer(text):
        token = match.group().decode()
        if token in "}]":
            depth -= 1
            out.append(token if previous in ("{", "[") else f"\n{'    ' * depth}{token}")
        else:
            if previous in ("{", "[", ","):
                out.append(f"\n{'    ' * depth}")
            out.append(": " if token == ":" else token)
            depth += token in "{["
        previous = token
    return "".join(out)
