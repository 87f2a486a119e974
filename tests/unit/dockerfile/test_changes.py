"""What `--change` does to a configuration."""

from __future__ import annotations

import pytest

from transom.dockerfile.changes import apply_changes
from transom.errors import InvalidParameter
from transom.graph.model import Healthcheck, RunConfig

BASE = RunConfig(env=("PATH=/bin", "HOME=/root"), cmd=("sh",), working_dir="/srv", labels={"a": "1"})


def changed(*changes: str) -> RunConfig:
    return apply_changes(BASE, changes)


def test_nothing_changes_without_changes() -> None:
    assert apply_changes(BASE, ()) == BASE


@pytest.mark.parametrize(
    ("change", "cmd"),
    [
        ('CMD ["serve", "--all"]', ("serve", "--all")),
        ("CMD serve --all", ("/bin/sh", "-c", "serve --all")),
        ("cmd []", ()),
        ("CMD ['serve']", ("/bin/sh", "-c", "['serve']")),
        ("CMD echo $HOME", ("/bin/sh", "-c", "echo $HOME")),
    ],
)
def test_a_command_is_a_json_list_or_a_line_for_the_shell(change: str, cmd: tuple[str, ...]) -> None:
    assert changed(change).cmd == cmd


def test_a_new_entrypoint_takes_the_command_of_the_image_away() -> None:
    config = changed('ENTRYPOINT ["/init"]')
    assert (config.entrypoint, config.cmd) == (("/init",), None)


def test_a_new_entrypoint_leaves_a_command_that_was_given_before_it() -> None:
    config = changed('CMD ["a"]', 'ENTRYPOINT ["/init"]')
    assert (config.entrypoint, config.cmd) == (("/init",), ("a",))


def test_a_shell_runs_the_lines_after_it() -> None:
    config = changed('SHELL ["/bin/bash", "-ec"]', "CMD one two")
    assert (config.shell, config.cmd) == (("/bin/bash", "-ec"), ("/bin/bash", "-ec", "one two"))


@pytest.mark.parametrize(
    ("change", "env"),
    [
        ("ENV PATH=$PATH:/opt/bin", ("PATH=/bin:/opt/bin", "HOME=/root")),
        ("ENV A=1 B='2 3' C=\"4 $HOME\" D=5\\ 6", (*BASE.env, "A=1", "B=2 3", "C=4 /root", "D=5 6")),
        ("ENV NAME all that follows", (*BASE.env, "NAME=all that follows")),
        ("ENV A=${NONE:-x} B=${HOME:+y} C=${HOME#/ro}", (*BASE.env, "A=x", "B=y", "C=ot")),
        ("env\tEMPTY=", (*BASE.env, "EMPTY=")),
    ],
)
def test_variables_are_set_and_stand_for_their_values(change: str, env: tuple[str, ...]) -> None:
    assert changed(change).env == env


def test_each_instruction_sees_what_those_before_it_did() -> None:
    config = changed("ENV A=/a", "ENV B=$A/b", "WORKDIR $B", "USER ${A}x", "LABEL where=$B", "VOLUME $A")
    assert (config.working_dir, config.user, config.volumes) == ("/a/b", "/ax", ("/a",))
    assert config.labels == {"a": "1", "where": "/a/b"}


def test_one_change_may_have_many_lines_with_comments_and_continued_lines() -> None:
    config = changed("ENV A=1 \\\n# why\n\n  B=2\nUSER nobody\n")
    assert (config.env, config.user) == ((*BASE.env, "A=1", "B=2"), "nobody")


@pytest.mark.parametrize(
    ("change", "ports"),
    [
        ("EXPOSE 80", ("80/tcp",)),
        ("EXPOSE 53/udp 80-82/TCP", ("53/udp", "80/tcp", "81/tcp", "82/tcp")),
        ("ENV P='1 2'\nEXPOSE $P", ("1/tcp", "2/tcp")),
    ],
)
def test_ports_are_exposed(change: str, ports: tuple[str, ...]) -> None:
    assert changed(change).exposed_ports == ports


@pytest.mark.parametrize(
    ("change", "directory"),
    [("WORKDIR /a/../b/", "/a/../b/"), ("WORKDIR sub/./dir/", "/srv/sub/dir"), ("WORKDIR ..", "/")],
)
def test_a_working_directory_is_relative_to_the_one_before(change: str, directory: str) -> None:
    assert changed(change).working_dir == directory


def test_volumes_are_a_json_list_or_words() -> None:
    assert changed('VOLUME ["/a b", "/c"]', "VOLUME /d /c").volumes == ("/a b", "/c", "/d")


def test_what_a_later_build_does_is_kept_as_it_is_written() -> None:
    assert changed("ONBUILD RUN echo $HOME", "ONBUILD copy . /").on_build == ("RUN echo $HOME", "copy . /")


def test_a_stop_signal_is_a_name_or_a_number() -> None:
    assert changed("STOPSIGNAL SIGRTMIN+3").stop_signal == "SIGRTMIN+3"
    assert changed("STOPSIGNAL 9").stop_signal == "9"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("HEALTHCHECK NONE", Healthcheck(("NONE",))),
        ("HEALTHCHECK CMD curl -f localhost", Healthcheck(("CMD-SHELL", "curl -f localhost"))),
        (
            'HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 --start-period=2s CMD ["check", "it"]',
            Healthcheck(("CMD", "check", "it"), 90 * 10**9, 5 * 10**8, 3, 2 * 10**9),
        ),
    ],
)
def test_a_health_check_is_a_command_with_its_times(change: str, check: Healthcheck) -> None:
    assert changed(change).healthcheck == check


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("RUN ls", "RUN is not a valid change command"),
        ("FROM x", "FROM is not a valid change command"),
        ("nonsense", "nonsense is not a valid change command"),
        ("=", "= is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", 'can\'t find = in "B"'),
        ("ENV =1", "ENV names can not be blank"),
        ("ENV A='1", "single-quote"),
        ('ENV A="1', "double-quote"),
        ("ENV A=${}", "bad substitution"),
        ("ENV A=${B!x}", "unsupported modifier"),
        ("ENV A=${B:-", "missing"),
        ("ENV A=${B:?nothing}", "B: nothing"),
        ("ENV A=" + "${B:-" * 60 + "}" * 60, "too deep"),
        ("EXPOSE http", "invalid containerPort: http"),
        ("EXPOSE 80/icmp", "invalid proto: icmp"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("EXPOSE 5-4", "invalid containerPort: 5-4"),
        ("USER --x y", "unknown flag: --x"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("SHELL bash", "SHELL requires the arguments to be in JSON form"),
        ("STOPSIGNAL NONE", "Invalid signal: NONE"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK TCP 80", 'Unknown type "TCP"'),
        ("HEALTHCHECK --interval=5 CMD x", 'invalid duration "5"'),
        ("HEALTHCHECK --interval=1us CMD x", "cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries"),
        ("HEALTHCHECK --often CMD x", "unknown flag: --often"),
    ],
)
def test_what_is_wrong_is_refused_by_name(change: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message.replace("(", r"\(")):
        changed("USER nobody", change)
