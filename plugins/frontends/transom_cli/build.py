"""`build`: an image from a Dockerfile and a context."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from transom_cli import values
from transom_cli.build_agents import opened_agents, parse_agents
from transom_cli.build_caches import parse_exports, parse_imports
from transom_cli.build_context import Context, find_context
from transom_cli.build_options import (
    Output,
    attributes_for_daemon,
    parse_arguments,
    parse_contexts,
    parse_outputs,
    parse_secrets,
)
from transom_cli.build_progress import Display, Plain, RawJson, Silent, split_problem
from transom_cli.build_session import Answers, Session, opened
from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, BYTES, LIST, Kind, api_command, flag
from transom_cli.references import parse_reference
from transom_cli.transport import Response
from transom_cli.trust import ABOUT, UNTRUSTED, refuse_trust

__all__ = ["build"]

_ULIMIT = Kind("ulimit", values.ulimit, multiple=True)
_LABEL = LIST._replace(parse=values.label)
_HOST = LIST._replace(parse=values.extra_host)
_CACHES = Kind("strings", str, multiple=True)
_SPECS = Kind("stringArray", str, multiple=True)
_PLATFORM = Kind("string", str, multiple=True)
#: What Docker's client has for what the engine does not do: limits, signed descriptions of builds, other builders.
_ABSENT = (
    *"--annotation --attest --builder --cgroup-parent --cpu-period --cpu-quota --cpu-shares -c".split(),
    *"--cpuset-cpus --cpuset-mems --isolation --memory -m --memory-swap --security-opt --squash".split(),
)
_MODES = ("auto", "plain", "quiet", "rawjson", "tty")
_CALLS = {"build": False, "check": True, "lint": True}
_FALSE = ("", "false", "0", "disabled=true")


@api_command("build", "PATH | URL | -", about="Start a build", least=1, most=1, absent=_ABSENT)
@flag("--add-host", kind=_HOST, about='Add a custom host-to-IP mapping (format: "host:ip")')
@flag("--allow", kind=_SPECS, about='Allow extra privileged entitlement ("network.host", "security.insecure")')
@flag("--build-arg", kind=LIST, about="Set build-time variables")
@flag("--build-context", kind=_SPECS, about="Additional build contexts (e.g., name=path)")
@flag("--cache-from", kind=_CACHES, about='External cache sources (e.g., "user/app:cache", "type=local,src=path")')
@flag("--cache-to", kind=_SPECS, about='Cache export destinations (e.g., "user/app:cache", "type=local,dest=path")')
@flag("--call", default="build", about='Set method for evaluating build ("check")')
@flag("--check", kind=BOOL, about='Shorthand for "--call=check"')
@flag("--compress", kind=BOOL, about="Compress the build context using gzip")
@flag("--disable-content-trust", kind=BOOL, default=UNTRUSTED, about=ABOUT)
@flag("--execdriver", about="Exec driver to run the steps with (see driver ls)")
@flag("--file", "-f", about='Name of the Dockerfile (default: "PATH/Dockerfile")')
@flag("--force-rm", kind=BOOL, about="Always remove intermediate containers")
@flag("--graphdriver", about="Graph driver to keep the image's files with (see driver ls)")
@flag("--iidfile", about="Write the image ID to a file")
@flag("--label", kind=_LABEL, about="Set metadata for an image")
@flag("--load", kind=BOOL, about='Shorthand for "--output=type=docker"')
@flag("--metadata-file", about="Write build result metadata to a file")
@flag("--network", default="default", about='Set the networking mode for the "RUN" instructions during build')
@flag("--no-cache", kind=BOOL, about="Do not use cache when building the image")
@flag("--no-cache-filter", kind=_SPECS, about="Do not cache specified stages")
@flag("outputs", "--output", "-o", kind=_SPECS, about='Output destination (format: "type=local,dest=path")')
@flag("--platform", kind=_PLATFORM, about="Set target platform for build")
@flag("--progress", about='Set type of progress output ("auto", "plain", "quiet", "rawjson", "tty")')
@flag("--provenance", default="", about='Refused unless "false": nothing is attested here')
@flag("--pull", kind=BOOL, about="Always attempt to pull all referenced images")
@flag("--push", kind=BOOL, about='Shorthand for "--output=type=registry,unpack=false"')
@flag("--quiet", "-q", kind=BOOL, about="Suppress the build output and print image ID on success")
@flag("--rm", kind=BOOL, default=True, about="Remove intermediate containers after a successful build")
@flag("--sbom", default="", about='Refused unless "false": nothing is attested here')
@flag("--secret", kind=_SPECS, about='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")')
@flag("--shm-size", kind=BYTES, default=0, about='Shared memory size for build containers (size of "/dev/shm")')
@flag("--ssh", kind=_SPECS, about='SSH agent or keys to expose to the build ("default|<id>[=<socket>|<key>[,<key>]]")')
@flag("tags", "--tag", "-t", kind=LIST, about='Name and optionally a tag (format: "name:tag")')
@flag("--target", about="Set the target build stage to build")
@flag("--ulimit", kind=_ULIMIT, about="Ulimit options")
def build(client: Client, arguments: list[str], **flags: Any) -> None:
    """Send the context to the daemon, answer what it asks for meanwhile, and show how far it is."""
    refuse_trust(flags["disable_content_trust"])
    checking = _is_check(flags)
    mode = _mode(flags)
    _check_platforms(flags["platform"])
    for name in flags["tags"]:
        if parse_reference(name).digest:
            raise CommandFailed(f"invalid tag {name!r}: refusing to create a tag with a digest reference")
    outputs = parse_outputs(flags["outputs"], load=flags["load"], push=flags["push"])
    places, local = parse_contexts(flags["build_context"])
    imports, sources = parse_imports(flags["cache_from"])
    exports, destinations = parse_exports(flags["cache_to"])
    secrets, agents = parse_secrets(flags["secret"]), parse_agents(flags["ssh"])
    results = {str(index): output.take for index, output in enumerate(outputs) if output.take is not None}
    context = find_context(arguments[0], flags["file"] or "")
    for name in ("iidfile", "metadata_file"):
        _remove(flags[name])
    query = _query(client, flags, context, outputs, places)
    query |= {"cachefrom": _json(imports), "cacheto": _json(exports)}
    display = _display(mode)
    body = _compressed(context.body) if flags["compress"] else context.body
    result = _Result()
    with (
        opened_agents(agents) as sockets,
        opened(client, Answers(secrets, sockets, local | sources, results | destinations)) as session,
        display.shown(),
    ):
        if session is not None:
            query["session"] = session.name
        headers = _credentials(client)
        try:
            with client.exchange("POST", "/build", body, headers=headers, check=checking, **query) as response:
                _follow(response, display, result)
        except CommandFailed as failure:
            raise _explained(failure, session, display) from failure.__cause__
    _finish(result, flags, quiet=mode == "quiet", checking=checking)


def _display(mode: str) -> Display:
    if mode == "tty":
        from transom_cli.build_display import Tty  # no terminal, no pictures

        return Tty(sys.stderr)
    if mode == "rawjson":
        return RawJson(sys.stderr)
    return Plain(sys.stderr) if mode == "plain" else Silent(sys.stderr)


class _Result:
    """What the daemon tells besides the steps."""

    def __init__(self) -> None:
        self.image = ""
        self.metadata: dict[str, Any] = {}
        self.warnings: list[Mapping[str, Any]] = []
        self.text: list[str] = []


def _is_check(flags: Mapping[str, Any]) -> bool:
    call = flags["call"] or "build"
    if call not in _CALLS:
        raise CommandFailed(f"--call={call} is not supported by this engine: the only ones are build and check")
    for name in ("provenance", "sbom"):
        if flags[name].lower() not in _FALSE:
            raise CommandFailed(f"the option --{name} is not supported by this engine: leave it out")
    return bool(flags["check"]) or _CALLS[call]


def _mode(flags: Mapping[str, Any]) -> str:
    """Return how progress is shown: `plain`, `quiet`, `rawjson` or `tty`."""
    mode = flags["progress"] or os.environ.get("BUILDKIT_PROGRESS") or "auto"
    if mode not in _MODES:
        raise CommandFailed(f"invalid progress mode {mode!r}: it should be one of {', '.join(_MODES)}")
    if flags["quiet"]:
        if flags["progress"] not in (None, "auto", "quiet"):
            raise CommandFailed(f"progress={flags['progress']} and quiet cannot be used together")
        return "quiet"
    if mode == "auto":
        return "tty" if sys.stderr.isatty() else "plain"
    if mode == "tty" and not sys.stderr.isatty():
        raise CommandFailed("failed to get console: standard error is not a terminal")
    return mode


def _check_platforms(platforms: tuple[str, ...]) -> None:
    if len([each for text in platforms for each in text.split(",")]) > 1:
        raise CommandFailed("multiple platforms are not supported: build an image for each of them")


def _query(
    client: Client, flags: Mapping[str, Any], context: Context, outputs: list[Output], places: Mapping[str, str]
) -> dict[str, Any]:
    """Return the parameters of `POST /build`."""
    given = parse_arguments(flags["build_arg"], os.environ)
    if client.configuration.get("proxies"):
        from transom_cli.proxies import with_proxies  # few users have them

        given = with_proxies(given, client.configuration["proxies"], client.host)
    return {
        "dockerfile": context.dockerfile or None,
        "hidden": context.hidden or None,
        "remote": context.remote or None,
        "t": flags["tags"],
        "target": flags["target"],
        "buildargs": values.key_values(given),
        "labels": values.key_values(flags["label"]),
        "nocache": flags["no_cache"],
        "nocachefilter": [name for text in flags["no_cache_filter"] for name in text.split(",")],
        "pull": flags["pull"],
        "platform": flags["platform"][0] if flags["platform"] else None,
        "networkmode": flags["network"],
        "allow": flags["allow"],
        "extrahosts": flags["add_host"],
        "shmsize": flags["shm_size"] or None,
        "ulimits": json.dumps(flags["ulimit"]) if flags["ulimit"] else None,
        "outputs": _json([_described(index, output) for index, output in enumerate(outputs)]),
        "buildcontexts": places or None,
        "rm": "1" if flags["rm"] else "0",
        "forcerm": flags["force_rm"],
        "progress": "steps",
        "graphdriver": flags["graphdriver"],
        "execdriver": flags["execdriver"],
        "version": "1",
    }


def _json(items: list[Any]) -> str | None:
    return json.dumps(items) if items else None


def _described(index: int, output: Output) -> dict[str, Any]:
    stream = str(index) if output.take is not None else ""
    return {"Type": output.type, "Attrs": attributes_for_daemon(output), "Stream": stream}


def _credentials(client: Client) -> dict[str, str]:
    """Return the header with all that is known of the user at registries."""
    if not client.configuration:
        return {}
    from transom_cli.credentials import registry_config  # few users have any

    return registry_config(client.file)


def _compressed(body: Iterable[bytes]) -> Iterator[bytes]:
    import zlib  # few contexts are compressed

    compressor = zlib.compressobj(wbits=31)
    for piece in body:
        yield compressor.compress(piece)
    yield compressor.flush()


def _remove(path: str | None) -> None:
    """Take away what an earlier build wrote, so that it is not taken for this one's. Raises `CommandFailed`."""
    if path:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise CommandFailed(f"remove {path}: {(error.strerror or str(error)).lower()}") from error


def _follow(response: Response, display: Display, result: _Result) -> None:
    """Take the daemon's messages until the end. Raises `CommandFailed` for the error that it is."""
    for message in map(json.loads, response.lines()):
        detail = message.get("errorDetail") or {}
        problem = detail.get("message") or message.get("error")
        if problem:
            raise CommandFailed(str(problem))
        if "stream" in message:
            result.text.append(str(message["stream"]))
        aux = message.get("aux") or {}
        if "vertex" in aux:
            display.take(aux["vertex"])
        elif "warning" in aux:
            result.warnings.append(aux["warning"])
        elif aux:
            result.image = str(aux.get("ID", result.image))
            result.metadata.update(aux)


def _explained(failure: CommandFailed, session: Session | None, display: Display) -> CommandFailed:
    """Return the failure of a build with what its steps wrote, in the manner of BuildKit's client.

    An error in the Dockerfile comes with its lines, which stand before it here.
    """
    if session is not None and session.failure is not None:
        return session.failure
    problem, excerpt = split_problem(failure.message)
    lines: list[str] = []
    for vertex in display.failed():
        lines += ["------", f" > {vertex.name}:", *vertex.lines, *([vertex.rest] if vertex.rest else []), "------"]
    return CommandFailed("\n".join([*lines, *excerpt, f"ERROR: failed to build: {problem}"]))


def _finish(result: _Result, flags: Mapping[str, Any], *, quiet: bool, checking: bool) -> None:
    """Print and write what a build has brought. Raises `CommandFailed` for the findings of a check."""
    if checking:
        print("".join(result.text), end="")
        if result.warnings:
            raise CommandFailed("")
        return
    if not quiet:
        _print_warnings(result.warnings)
    if quiet and result.image:
        print(result.image)
    if flags["iidfile"]:
        _write(flags["iidfile"], result.image)
    if flags["metadata_file"]:
        _write(flags["metadata_file"], json.dumps(_metadata(result, flags), indent=2))


def _print_warnings(warnings: list[Mapping[str, Any]]) -> None:
    if not warnings:
        return
    count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    lines = [f"\n {count} found:"]
    for warning in warnings:
        rule, detail, line = warning.get("rule"), warning.get("detail"), warning.get("line")
        lines.append(f" - {f'{rule}: ' if rule else ''}{detail}{f' (line {line})' if line else ''}")
    print("\n".join(lines), file=sys.stderr)


def _metadata(result: _Result, flags: Mapping[str, Any]) -> dict[str, Any]:
    names = ",".join(str(parse_reference(name).tagged()) for name in flags["tags"])
    metadata = {"containerimage.config.digest": result.image, "containerimage.digest": result.image}
    more = {key: value for key, value in result.metadata.items() if "." in key}
    return {**metadata, **({"image.name": names} if names else {}), **more}


def _write(path: str, content: str) -> None:
    from transom_cli.output_file import write_output  # few builds write one

    write_output(path, [content.encode()])
