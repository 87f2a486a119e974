"""Flags: the conventions of pflag, and the messages and exit statuses of Docker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import pytest

from transom_cli.errors import CommandFailed, FlagError
from transom_cli.flags import BOOL, INT, LIST, STRING, ApiCommand, Flag


def _parse(*arguments: str, interspersed: bool = True) -> tuple[dict[str, Any], list[str]]:
    flags = [
        Flag(["--all", "-a"], BOOL),
        Flag(["--env", "-e"], LIST),
        Flag(["--last", "-n"], INT, default=-1),
        Flag(["--name"], STRING),
        Flag(["--proxy"], BOOL, default=True),
    ]
    command = ApiCommand(
        "x", lambda *_, **__: None, usage="", about="", flags=flags, most=None, interspersed=interspersed
    )
    context = command.make_context("x", list(arguments))
    return context.params, context.args


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["-a"], "all", True),
        (["--all=false"], "all", False),
        (["-a=false"], "all", False),
        (["--proxy=0"], "proxy", False),
        (["--name", "b"], "name", "b"),
        (["--name=b=c"], "name", "b=c"),
        (["--name="], "name", ""),
        (["--name", "--all"], "name", "--all"),
        (["-n5"], "last", 5),
        (["-n=5"], "last", 5),
        (["-n", "5"], "last", 5),
        (["-an5"], "last", 5),
        (["-e", "A=1", "-eB=2", "--env=C"], "env", ("A=1", "B=2", "C")),
        ([], "last", -1),
        ([], "env", ()),
        ([], "proxy", True),
    ],
)
def test_a_flag_is_understood_in_every_form_it_may_be_written(arguments: list[str], name: str, value: object) -> None:
    assert _parse(*arguments)[0][name] == value


def test_a_boolean_flag_does_not_take_the_next_argument_as_its_value() -> None:
    assert _parse("-a", "false")[1] == ["false"]


def test_flags_may_follow_arguments_unless_the_command_runs_another() -> None:
    assert _parse("one", "-a", "two") == (_parse("-a")[0], ["one", "two"])
    assert _parse("one", "-a", "two", interspersed=False)[1] == ["one", "-a", "two"]


def test_two_hyphens_end_the_flags_and_one_is_an_argument() -> None:
    assert _parse("-", "--", "-a", "--")[1] == ["-", "-a", "--"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["-aZx"], "unknown shorthand flag: 'Z' in -Zx"),
        (["--name"], "flag needs an argument: --name"),
        (["-an"], "flag needs an argument: 'n' in -an"),
        (["--=x"], "bad flag syntax: --=x"),
        (
            ["-n", "x"],
            'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--all=maybe"],
            'invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": inv',
        ),
    ],
)
def test_a_wrong_flag_is_refused_with_the_usage_and_status_125(arguments: list[str], message: str) -> None:
    with pytest.raises(FlagError) as failure:
        _parse(*arguments)
    assert failure.value.message.startswith(message)
    assert "\n\nUsage:  x [OPTIONS]\n\nRun 'x --help' for more information" in failure.value.message
    assert failure.value.exit_status == 125


def test_help_ends_the_command_and_shows_flags_with_their_kinds_and_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(click.exceptions.Exit):
        _parse("--help", "--bogus")
    shown = capsys.readouterr().out
    assert "  -a, --all" in shown
    assert "  -n, --last int" in shown
    assert "(default -1)" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ps", "x"], "transom: 'transom ps' accepts no arguments\n\nUsage:  transom ps [OPTIONS]"),
        (["rm"], "transom: 'transom rm' requires at least 1 argument\n"),
        (["exec", "x"], "transom: 'transom exec' requires at least 2 arguments\n"),
        (["logs", "a", "b"], "transom: 'transom logs' requires 1 argument\n"),
        (["images", "a", "b"], "transom: 'transom images' requires at most 1 argument\n"),
        (
            ["volume", "bogus"],
            "transom: unknown command: transom volume bogus\n\nUsage:  transom volume COMMAND",
        ),
    ],
)
def test_a_wrong_number_of_arguments_is_refused_before_the_daemon_is_asked(
    transom: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert transom(*arguments) == 1
    assert capsys.readouterr().err.startswith(message)


def test_every_command_has_help(transom: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    from transom_cli.commands import COMMANDS, GROUPS

    names = [[name] for name, entry in COMMANDS.items() if entry.help] + [
        [group, name] for group in GROUPS for name in GROUPS[group]
    ]
    for name in names:
        assert transom(*name, "--help") == 0
        assert capsys.readouterr().out.startswith(f"Usage:  transom {' '.join(name)}")


def test_a_flag_that_the_daemon_is_too_old_for_is_refused(
    daemon: Any, transom: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.api_version = "1.41"
    assert transom("create", "--annotation", "a=b", "busybox") == 1
    assert capsys.readouterr().err == (
        '"--annotation" requires API version 1.43, but the Docker daemon API version is 1.41\n'
    )
    assert daemon.requests == []


@pytest.mark.parametrize(
    ("arguments", "since"),
    [
        (("volume", "ls", "--cluster"), "1.42"),
        (("rmi", "--platform", "linux", "app"), "1.50"),
        (("push", "--platform", "linux", "app"), "1.46"),
        (("save", "--platform", "linux", "app"), "1.48"),
        (("image", "inspect", "--platform", "linux", "app"), "1.49"),
        (("run", "--platform", "linux", "app"), "1.32"),
        (("exec", "-w", "/", "app", "true"), "1.35"),
    ],
)
def test_a_client_that_is_held_to_an_older_version_has_its_flags_alone(
    monkeypatch: pytest.MonkeyPatch,
    daemon: Any,
    transom: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    since: str,
) -> None:
    monkeypatch.setenv("DOCKER_API_VERSION", "1.30")
    assert transom(*arguments) != 0
    assert f" requires API version {since}, but the Docker daemon API version is 1.30\n" in capsys.readouterr().err
    assert daemon.requests == []


def test_two_hosts_are_refused() -> None:
    from transom_cli.main import root

    with pytest.raises(CommandFailed, match="Specify only one -H"):
        root.invoke(root.make_context("transom", ["-H", "unix:///a", "-H", "unix:///b", "ps"]))
