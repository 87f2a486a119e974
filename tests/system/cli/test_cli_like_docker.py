"""The same command lines, given to Docker's client and to ours, against the same daemon: the same in every byte."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

Same = Callable[..., object]

pytestmark = pytest.mark.usefixtures("new_client")

RUNNING = "clitest-running"
ENDED = "clitest-ended"
FIELDS = "ID Names Labels Command Mounts Ports LocalVolumes Networks State Image RunningFor".split()
IMAGE_FIELDS = "Repository Tag ID CreatedAt Size Digest Containers SharedSize UniqueSize VirtualSize".split()

WITHOUT_A_CONTAINER = """
version --bogus
run
run --bogus busybox
create --bogus busybox
ps --bogus
ps -Z
ps -n x
ps -f bogus
ps -f bogus=1
ps extra
ps --all=maybe
bogus
volume bogus
start
exec nosuch
logs
inspect
rm
wait
stop -t x nosuch
stop --timeout
stop -t
rm nosuch
rm a b c
rm -f nosuch
rmi nosuch
rmi -f nosuch
inspect nosuch
inspect --type container nosuch
inspect --type volume nosuch
inspect -f {{.Name}} nosuch
inspect -f {{ busybox
inspect -f {{end}} busybox
inspect -f '{{bogus .X}}' busybox
stop nosuch
start nosuch
restart nosuch
kill nosuch
wait nosuch
logs nosuch
attach nosuch
exec nosuch true
exec -it nosuch true
volume rm nosuch
volume rm -f nosuch
volume inspect nosuch
volume ls --cluster
volume ls --cluster -q
volume ls --cluster --format {{.Name}}
rmi --platform linux/amd64 busybox
rmi --platform linux/ busybox
push --platform a/b/c/d busybox
pull UPPER
pull 127.0.0.1:5000/nope
pull 127.0.0.1:5000/busybox:nope
pull 127.0.0.1:5000/busybox
pull -q 127.0.0.1:5000/busybox
images -a busybox
images -q
images --no-trunc busybox
images --digests 127.0.0.1:5000/busybox
images busybox
images nosuch
images -f dangling=true
images -f bogus
images -f dangling=maybe
images --format json busybox
inspect busybox
inspect -f json busybox
events -f bogus --until 0s
events --since bogus
run --rm busybox sh -c 'echo out; echo err >&2; exit 7'
run --rm busybox nosuch
run --rm busybox /etc
run -d --rm busybox nosuch
run --rm -w relative busybox true
run --name -x busybox
run -d -a stdout busybox
run -it busybox
run nosuch:abc
run --pull never nosuch
run --rm -e =x busybox
run --rm --ulimit bogus busybox
run --rm --ulimit foo=1 busybox
run --rm --ulimit nofile=x busybox
run --rm --ulimit nofile=5:3 busybox
run --rm --mount type=bogus,target=/x busybox
run --rm --mount type=bind busybox
run --rm --mount type=bind,src=/nope,dst=/x busybox
run --rm --mount type=bind,src=relative,dst=/x busybox
run --rm --mount foo busybox
run --rm --mount dst=/x,bogus=1 busybox
run --rm --mount dst=/x,readonly=maybe busybox
run --rm --mount type=tmpfs,dst=/x,tmpfs-size=zz busybox
run --rm --mount dst=/x,tmpfs-size=1 busybox
run --rm -v a:b:c:d busybox
run --rm -v ./x: busybox
run --rm -v /a:/b:bogus busybox
run --rm -l =x busybox
run --rm --label-file /nope busybox
run --rm --env-file /nope busybox
run --rm --shm-size x busybox
run --rm --stop-signal BOGUS busybox
run --rm --stop-timeout x busybox
run --rm --oom-score-adj x busybox
run --rm --network nosuch busybox
run --rm --restart always busybox
run --rm --restart on-failure:x busybox
run --rm --pull bogus busybox
run --rm --storage-opt x busybox
run --rm --annotation x busybox
run --rm -a bogus busybox
run --rm=bogus busybox
run --rm --init=x busybox
run --rm --tmpfs relative busybox
run --rm --group-add nosuch busybox
run --rm --runtime bogus busybox
run --rm -a stderr busybox sh -c 'echo out; echo err >&2'
run --rm -e A=1 -e UNSET --hostname h -u 65534:65534 -w /tmp busybox sh -c 'echo $A; hostname; id; pwd'
run --rm --read-only --tmpfs /t:size=1m busybox sh -c 'touch /x; touch /t/x; df /t'
run --rm --entrypoint echo busybox hi
run --rm --ulimit nofile=100:200 --shm-size 2m --oom-score-adj 5 busybox sh -c 'ulimit -n; df /dev/shm'
run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700 busybox stat -c %a /t
run --rm --network none busybox ls /sys/class/net
run --rm -t busybox tty
"""

WITH_CONTAINERS = f"""
ps
ps -a
ps -q
ps --no-trunc
ps --no-trunc -a
ps -n 1
ps -n=2
ps -l
ps -f name=clitest
ps -a -f status=exited
ps -s
ps --format json
ps --format table
ps --format 'table {{{{.Names}}}}\\t{{{{.Label "color"}}}}\\t{{{{.Ports}}}}'
ps --format '{"|".join(f"{{{{.{field}}}}}" for field in FIELDS)}'
ps -a --format '{{{{.Names | json}}}} {{{{json .Labels}}}} {{{{println .ID}}}}'
images --format '{"|".join(f"{{{{.{field}}}}}" for field in IMAGE_FIELDS)}' busybox
volume ls -f name=clitest
volume ls -q -f name=clitest
volume ls --format json -f name=clitest
volume inspect clitest-volume nosuch
volume inspect -f '{{{{.Name}}}} {{{{.Labels}}}}' clitest-volume
inspect {RUNNING} {ENDED} nosuch busybox clitest-volume
inspect -s {ENDED}
inspect --type image {ENDED}
inspect -f '{{{{.State.ExitCode}}}} {{{{.Name}}}} {{{{.Config.Cmd}}}} {{{{.Config.Tty}}}}' {ENDED}
inspect -f '{{{{json .State}}}}' {ENDED}
inspect -f '{{{{.Config.Labels.color}}}} {{{{.Config.Labels.none}}}} {{{{.Config.Labels}}}}' {RUNNING}
logs {ENDED}
logs -t {ENDED}
logs -f {ENDED}
logs --tail 1 {ENDED}
logs -n 0 {ENDED}
logs --since 10m {ENDED}
logs --until 2020-01-01 {ENDED}
logs --since bogus {ENDED}
wait {ENDED}
start -a {ENDED}
start -a {ENDED} {RUNNING}
start {RUNNING}
attach {ENDED}
exec {ENDED} true
exec {RUNNING} sh -c 'echo out; echo err >&2; exit 5'
exec {RUNNING} nosuch
exec {RUNNING} /etc
exec -d {RUNNING} true
exec -w /nope {RUNNING} true
exec -w /tmp -u nobody {RUNNING} sh -c 'pwd; id'
exec -u nosuch {RUNNING} true
exec -e A=1 -e UNSET {RUNNING} env
exec -e =x {RUNNING} env
exec -it {RUNNING} sh
exec -t {RUNNING} test -t 1
exec {RUNNING} ls -1 /
kill -s BOGUS {RUNNING}
kill {ENDED}
stop {ENDED}
stop -t 0 {ENDED} nosuch
restart -t 0 {RUNNING}
rm {RUNNING}
rmi clitest-image nosuch
volume rm clitest-volume
volume create clitest-volume
"""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("line", _lines(WITHOUT_A_CONTAINER))
def test_a_command_line_does_what_it_does_with_docker(same: Same, line: str) -> None:
    same(*shlex.split(line))


@pytest.mark.parametrize("line", _lines(WITH_CONTAINERS))
@pytest.mark.usefixtures("running", "ended")
def test_a_command_line_about_containers_does_what_it_does_with_docker(same: Same, line: str) -> None:
    same(*shlex.split(line))


@pytest.mark.parametrize("stdin", ["", "hi\n", "x" * 100_000])
def test_what_is_piped_in_comes_out(same: Same, stdin: str) -> None:
    same("run", "--rm", "-i", "busybox", "cat", stdin=stdin)


def test_input_that_is_not_asked_for_is_not_read(same: Same) -> None:
    same("run", "--rm", "busybox", "cat", stdin="hi\n")


@pytest.mark.usefixtures("running")
def test_what_is_piped_into_exec_comes_out(same: Same) -> None:
    same("exec", "-i", RUNNING, "sh", "-c", "cat; cat >&2; exit 4", stdin="x" * 100_000)


def test_the_files_of_flags_are_read(same: Same, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nA=1\n  B=2\nHOME\n")
    (tmp_path / "bad").write_text("a b=c\n")
    same("run", "--rm", "--env-file", str(tmp_path / "env"), "-e", "B=3", "busybox", "env")
    same("run", "--rm", "--env-file", str(tmp_path / "bad"), "busybox", "env")


@pytest.mark.parametrize("line", ["ps", "run busybox", "pull busybox", "rm x", "events"])
def test_a_daemon_that_does_not_listen_is_said_not_to(peer: Any, line: str) -> None:
    nobody = replace(peer, host="unix:///nope.sock")
    assert nobody.run("transom", line.split()) == nobody.run("docker", line.split())


@pytest.mark.parametrize("flags", [[], ["-a"], ["--digests"], ["--no-trunc"], ["--format", "json"]])
def test_images_have_the_same_lines_in_any_order(peer: Any, flags: list[str]) -> None:
    ours, theirs = (peer.run(client, ["images", *flags]).stdout for client in ("transom", "docker"))
    assert sorted(ours.splitlines()) == sorted(theirs.splitlines())


@pytest.mark.parametrize("form", [[], ["--format", "json"], ["--format", "{{.Action}} {{.Actor.Attributes.exitCode}}"]])
def test_events_of_a_time_that_is_over_are_the_same(same: Same, ended: str, form: list[str]) -> None:
    now = int(time.time())
    same("events", "--since", str(now - 5), "--until", str(now + 1), "-f", f"container={ended}", *form)
