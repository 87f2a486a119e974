"""What people run in containers, on the graph driver `fuse`: packages, repositories, compilers and databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.daemon import Daemon
from testbed.debian import debian_layout
from testbed.mirror import Mirror
from testbed.registry import Registry
from testbed.waiting import wait_for

pytestmark = pytest.mark.exhaustive

#: Seconds for one of these on a busy machine.
_PATIENCE = 1500

_DOCKERFILE = """\
ARG DEBIAN
FROM ${DEBIAN}
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y --no-install-recommends gcc git libc6-dev make postgresql python3-venv
"""

_GIT = """
git init -q --initial-branch=main /origin && cd /origin
git config --global user.name tester && git config --global user.email tester@localhost
for directory in $(seq 60); do
    mkdir $directory
    for file in $(seq 50); do echo $directory $file >$directory/$file; done
    git add $directory && git commit -q -m $directory
done
git clone -q --no-local /origin /clone && cd /clone
git fsck --full --strict 2>/dev/null
git rev-list --objects --all | wc -l
git repack -q -a -d && git checkout -q -b other HEAD~30 && ls | wc -l && git checkout -q main
git -c advice.detachedHead=false worktree add -q /worktree HEAD~59 && ls /worktree
git mv 1 moved && git status --porcelain | cut -c 1-2 | sort | uniq -c
git stash -q && git status --porcelain && diff -r --exclude=.git /origin /clone && echo same
"""

_COMPILE = """
mkdir /work && cd /work
for number in $(seq 40); do echo "int part$number(void) { return $number; }" >part$number.c; done
{
    echo '#include <stdio.h>'
    for number in $(seq 40); do echo "int part$number(void);"; done
    echo 'int main(void) { int sum = 0;'
    for number in $(seq 40); do echo "sum += part$number();"; done
    echo 'printf("%d", sum); return puts("") < 0; }'
} >main.c
printf 'libparts.a: $(patsubst %%.c,%%.o,$(wildcard part*.c))\\n\\tar rcs $@ $^\\n' >Makefile
printf 'program: main.o libparts.a\\n\\tgcc -o $@ $^\\n' >>Makefile
make -s -j4 program && ./program && make program
touch part7.c && make -n program | wc -l
"""

_SQLITE = """
import multiprocessing, os, sqlite3

def connect():
    connection = sqlite3.connect("/bank.db", timeout=300, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA mmap_size=67108864")
    return connection

def work(first):
    connection = connect()
    for number in range(first, 1000, 4):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO entries VALUES (?, ?)", (number, "x" * 500))
        connection.execute("UPDATE total SET value = value + ?", (number,))
        connection.execute("COMMIT")

connection = connect()
connection.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, text TEXT)")
connection.execute("CREATE TABLE total (value INTEGER)")
connection.execute("INSERT INTO total VALUES (0)")
workers = [multiprocessing.Process(target=work, args=(first,)) for first in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert [worker.exitcode for worker in workers] == [0] * 4
print(*connection.execute("SELECT count(*), sum(number), (SELECT value FROM total) FROM entries").fetchone())
print(*connection.execute("PRAGMA integrity_check").fetchone())
print(*connection.execute("PRAGMA journal_mode").fetchone(), os.path.exists("/bank.db-shm"))
"""

_POSTGRESQL = """
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
test -e /var/lib/postgresql/data || initdb -D /var/lib/postgresql/data
exec postgres -D /var/lib/postgresql/data
"""
_BALANCES = (
    "SELECT count(*), sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts),"
    " sum(delta) = (SELECT sum(tbalance) FROM pgbench_tellers) FROM pgbench_history"
)


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with Mirror() as mirror:
        yield mirror


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, registry: Registry, mirror: Mirror) -> Iterator[Daemon]:
    """A daemon with an image, `tools`, into which apt has put programs."""
    directory = tmp_path_factory.mktemp("machine")
    debian = registry.push(debian_layout(mirror), "debian:latest")
    (directory / "context").mkdir()
    (directory / "context/Dockerfile").write_text(_DOCKERFILE)
    with Daemon(directory, "--graphdriver", "fuse") as daemon:
        arguments = ("--build-arg", f"DEBIAN={debian}", "--build-arg", f"http_proxy={mirror.url}")
        daemon.transom("build", "-q", "-t", "tools", *arguments, str(directory / "context"), timeout=_PATIENCE)
        yield daemon


def run(daemon: Daemon, *command: str, options: tuple[str, ...] = ()) -> str:
    return daemon.transom("run", "--rm", *options, "tools", *command, timeout=_PATIENCE).stdout


def test_what_apt_has_installed_is_whole(machine: Daemon) -> None:
    assert run(machine, "sh", "-c", "dpkg --verify && dpkg --audit && ldconfig -p | grep -c libpq.so.5") == "1\n"


def test_a_package_is_removed_and_installed_again(machine: Daemon, mirror: Mirror) -> None:
    script = "apt-get -qq purge make >/dev/null; ! which make; apt-get -qq install make >/dev/null && make --version"
    assert run(machine, "sh", "-c", script, options=("-e", f"http_proxy={mirror.url}")).startswith("GNU Make")


def test_git_clones_packs_and_moves_thousands_of_objects(machine: Daemon) -> None:
    # 3000 files, a tree for each of 60 directories, and a commit with its root's tree for each.
    assert run(machine, "sh", "-e", "-c", _GIT).split() == ["3180", "30", "1", "50", "R", "same"]


def test_gcc_and_make_build_a_program_and_see_what_changed(machine: Daemon) -> None:
    assert run(machine, "sh", "-e", "-c", _COMPILE) == "820\nmake: 'program' is up to date.\n3\n"


def test_pip_installs_into_an_environment(machine: Daemon, mirror: Mirror) -> None:
    script = (
        "python3 -m venv /venv && /venv/bin/pip install -q --disable-pip-version-check --index-url http://pypi/simple"
        " --trusted-host pypi flask && /venv/bin/pip check && /venv/bin/python -c 'import flask; print(flask.__name__)'"
    )
    said = run(machine, "sh", "-c", script, options=("-e", f"http_proxy={mirror.url}"))
    assert said == "No broken requirements found.\nflask\n"


def test_sqlite_keeps_its_log_in_shared_memory_for_many_writers(machine: Daemon) -> None:
    assert run(machine, "python3", "-c", _SQLITE) == "1000 499500 499500\nok\nwal True\n"


def test_postgresql_does_a_thousand_transactions_and_recovers_when_it_is_killed(machine: Daemon) -> None:
    machine.transom("run", "-d", "--name", "database", "-u", "postgres", "tools", "sh", "-c", _POSTGRESQL)

    def ask(*command: str, check: bool = True) -> str:
        return machine.transom("exec", "-u", "postgres", "database", *command, check=check, timeout=_PATIENCE).stdout

    def answers() -> bool:
        return ask("psql", "-Atc", "SELECT 1", check=False) == "1\n"

    wait_for(answers, 300)
    ask("sh", "-c", "pgbench -q -i -s 2 && pgbench -n -c 10 -t 100")
    assert ask("psql", "-Atc", _BALANCES) == "1000|t|t\n"
    machine.transom("kill", "database")
    machine.transom("start", "database")
    wait_for(answers, 300)
    assert ask("psql", "-Atc", _BALANCES) == "1000|t|t\n"
    ask("sh", "-c", "pgbench -n -c 10 -t 10 && vacuumdb -q --full --analyze")
    assert ask("psql", "-Atc", _BALANCES) == "1100|t|t\n"
    assert (
        "database system was not properly shut down; automatic recovery" in machine.transom("logs", "database").stderr
    )
