"""Image configurations (OCI image specification, config.md): reading them, which are untrusted, and writing our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import orjson

from transom.errors import CorruptContent, InvalidParameter
from transom.graph.digest import Digest
from transom.graph.model import Healthcheck, History, Image, Platform, RunConfig

__all__ = ["parse_config", "unix_nanoseconds", "unix_seconds", "write_config"]

T = TypeVar("T")

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def parse_config(content: bytes) -> Image:
    """Return the image that a configuration describes; its ID is the content's digest.

    Raises `CorruptContent` for what is no image configuration. Members that are missing or null have their
    defaults.
    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CorruptContent(f"the image configuration is no JSON: {error}") from error
    top = _Object(document, "the image configuration")
    rootfs = top.member("rootfs")
    if rootfs.text("type", "layers") != "layers":
        raise CorruptContent(f"the image configuration has a rootfs of the type {rootfs.text('type')!r}, not layers")
    return Image(
        id=Digest.of(content),
        platform=Platform(top.text("os", "linux"), top.text("architecture"), top.text("variant")),
        config=_run_config(top.member("config")),
        diff_ids=tuple(_digest(item) for item in rootfs.texts("diff_ids") or ()),
        created=top.time("created"),
        author=top.text("author"),
        comment=top.text("comment"),
        docker_version=top.text("docker_version"),
        container=top.text("container"),
        history=tuple(_history(item) for item in top.objects("history")),
    )


def write_config(image: Image) -> bytes:
    """Return the configuration that `parse_config` reads as this image, but for its ID, blobs and sizes."""
    document = {
        "architecture": image.platform.architecture,
        "variant": image.platform.variant,
        "author": image.author,
        "comment": image.comment,
        "config": _written_run_config(image.config),
        "created": image.created,
        "docker_version": image.docker_version,
        "container": image.container,
        "history": [_written_step(step) for step in image.history],
        "os": image.platform.os,
    }
    # Two members are there whatever their value; readers rely on them.
    rootfs = {"type": "layers", "diff_ids": image.diff_ids}
    return orjson.dumps({**_stated(document), "config": document["config"], "rootfs": rootfs})


def _written_run_config(config: RunConfig) -> dict[str, Any]:
    commands = {"Entrypoint": config.entrypoint, "Cmd": config.cmd, "Shell": config.shell}
    check = config.healthcheck
    return {
        **_stated(
            {
                "User": config.user,
                "ExposedPorts": {port: {} for port in config.exposed_ports},
                "Env": config.env,
                "Volumes": {path: {} for path in config.volumes},
                "WorkingDir": config.working_dir,
                "Labels": config.labels,
                "StopSignal": config.stop_signal,
                "OnBuild": config.on_build,
                "Healthcheck": None if check is None else _written_healthcheck(check),
            }
        ),
        # An empty command is one.
        **{name: words for name, words in commands.items() if words is not None},
    }


def _written_healthcheck(check: Healthcheck) -> dict[str, Any]:
    return _stated(
        {
            "Test": check.test,
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
    )


def _written_step(step: History) -> dict[str, Any]:
    return _stated(
        {
            "created": step.created,
            "created_by": step.created_by,
            "author": step.author,
            "comment": step.comment,
            "empty_layer": step.empty_layer,
        }
    )


def _stated(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that say something."""
    return {name: value for name, value in members.items() if value}


def unix_seconds(time: str) -> int:
    """Return an image's RFC 3339 time as seconds since the epoch, 0 for the empty one."""
    return unix_nanoseconds(time) // 10**9


def unix_nanoseconds(time: str) -> int:
    """Return an image's RFC 3339 time as nanoseconds since the epoch, exact to the microsecond, 0 for the empty one."""
    if not time:
        return 0
    moment = _moment(time)
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000


def _run_config(config: _Object) -> RunConfig:
    check = config.optional("Healthcheck", _Object)
    return RunConfig(
        user=config.text("User"),
        env=config.texts("Env") or (),
        entrypoint=config.command("Entrypoint"),
        cmd=config.command("Cmd"),
        working_dir=config.text("WorkingDir"),
        labels=config.labels("Labels"),
        exposed_ports=tuple(config.member("ExposedPorts").names()),
        volumes=tuple(config.member("Volumes").names()),
        stop_signal=config.text("StopSignal"),
        shell=config.command("Shell"),
        on_build=config.texts("OnBuild") or (),
        healthcheck=None if check is None else _healthcheck(check),
    )


def _healthcheck(check: _Object) -> Healthcheck:
    return Healthcheck(
        test=check.texts("Test") or (),
        interval=check.number("Interval"),
        timeout=check.number("Timeout"),
        retries=check.number("Retries"),
        start_period=check.number("StartPeriod"),
        start_interval=check.number("StartInterval"),
    )


def _history(step: _Object) -> History:
    return History(
        created=step.time("created"),
        created_by=step.text("created_by"),
        author=step.text("author"),
        comment=step.text("comment"),
        empty_layer=step.flag("empty_layer"),
    )


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidParameter as error:
        raise CorruptContent(f"the image configuration has the diff ID {text!r}: {error}") from error


def _moment(text: str) -> datetime:
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(f"{text!r} is not of the form 2006-01-02T15:04:05Z")
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CorruptContent(f"the image configuration has a time that is none: {error}") from error


class _Object:
    """A JSON object, with its members by name and of the type that they should have."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise CorruptContent(f"{where} is not a JSON object")
        self._members: Mapping[str, Any] = value
        self._where = where

    def names(self) -> tuple[str, ...]:
        return tuple(_string(key, self._where) for key in self._members)

    def optional(self, name: str, type: Callable[[Any, str], T]) -> T | None:
        value = self._members.get(name)
        return None if value is None else type(value, f"{name} in {self._where}")

    def member(self, name: str) -> _Object:
        """A JSON object; a missing one is as good as an empty one."""
        return self.optional(name, _Object) or _Object({}, name)

    def text(self, name: str, default: str = "") -> str:
        return self.optional(name, _string) or default

    def number(self, name: str) -> int:
        return self.optional(name, _integer) or 0

    def flag(self, name: str) -> bool:
        return self.optional(name, _boolean) or False

    def time(self, name: str) -> str:
        time = self.text(name)
        if time:
            _moment(time)
        return time

    def texts(self, name: str) -> tuple[str, ...] | None:
        return self.optional(name, _strings)

    def command(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, or one string, as old versions of Docker wrote it."""
        value = self._members.get(name)
        return (_string(value, name),) if isinstance(value, str) else self.texts(name)

    def labels(self, name: str) -> Mapping[str, str]:
        labels = self.member(name)
        return {key: labels.text(key) for key in labels.names()}

    def objects(self, name: str) -> tuple[_Object, ...]:
        where = f"{name} in {self._where}"
        return tuple(_Object(item, f"an item of {where}") for item in self.optional(name, _list) or ())


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise CorruptContent(f"{where} is not a string without NUL characters")
    return value


def _integer(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise CorruptContent(f"{where} is not a whole number")
    return value


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise CorruptContent(f"{where} is not true or false")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CorruptContent(f"{where} is not a list")
    return value


def _strings(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_string(item, f"an item of {where}") for item in _list(value, where))
