"""Exec drivers that are wrong."""

from __future__ import annotations

import os
from signal import SIGKILL
from typing import Any

from transom.drivers.exec import Counters, ExecDriver, Spawned, Stdio
from transom.errors import StartFailed
from transom_chroot.driver import ChrootDriver

__all__ = ["DRIVERS"]


class LosesExitCodes(ChrootDriver):
    noticed = "test_the_exit_code_is_the_programs[42]"

    def create(self, stdio: Stdio) -> Spawned:
        process = self.config["process"]
        process["args"] = ["sh", "-c", '"$@"; exit 0', "sh", *process["args"]]
        return super().create(stdio)


class StartsTooEarly(ChrootDriver):
    noticed = "test_a_created_container_waits_for_its_start"

    def create(self, stdio: Stdio) -> Spawned:
        spawned = super().create(stdio)
        super().start()
        os.waitid(os.P_PID, spawned.pid, os.WEXITED | os.WNOWAIT)
        return spawned

    def start(self) -> None:
        """It was started before."""


class StartsWhatIsDeleted(ChrootDriver):
    noticed = "test_a_container_that_was_never_started_can_be_deleted"

    def delete(self) -> None:
        if self._launch is not None:
            pid = self.pid
            self.start()
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        super().delete()


class HasCodesOfItsOwn(ChrootDriver):
    noticed = "test_what_cannot_be_executed_is_said_with_a_shells_code[/bin/no-such-program-127]"

    def start(self) -> None:
        try:
            super().start()
        except StartFailed as error:
            raise StartFailed(str(error), 1) from error


class DeletesOnce(ChrootDriver):
    noticed = "test_deleting_twice_is_harmless"

    def delete(self) -> None:
        (self.state / "deleted").touch(exist_ok=False)
        super().delete()


class MixesStreams(ChrootDriver):
    noticed = "test_standard_streams_are_the_ones_that_were_given"

    def create(self, stdio: Stdio) -> Spawned:
        return super().create(Stdio(stdio.stdin, stdio.stdout, stdio.stdout))


class RunsAllAsRoot(ChrootDriver):
    noticed = "test_it_has_the_environment_the_directory_and_the_user_that_were_asked_for"

    def create(self, stdio: Stdio) -> Spawned:
        self.config["process"]["user"] = {"uid": 0, "gid": 0}
        return super().create(stdio)


class ForgetsTheEnvironment(ChrootDriver):
    noticed = "test_it_has_the_environment_the_directory_and_the_user_that_were_asked_for"

    def create(self, stdio: Stdio) -> Spawned:
        self.config["process"]["env"] = ["PATH=/bin"]
        return super().create(stdio)


class StaysOnTheMachine(ChrootDriver):
    noticed = "test_its_root_is_the_bundles"

    def child_enter_root(self, rootfs: Any) -> None:
        """Stay."""


class PromisesMoreThanItKeeps(ChrootDriver):
    noticed = "test_what_it_says_to_isolate_is_isolated"
    namespaces = frozenset(("mount", "pid"))


class HasNoTerminals(ChrootDriver):
    noticed = "test_a_terminal_is_handed_over"

    def create(self, stdio: Stdio) -> Spawned:
        self.config["process"]["terminal"] = False
        return super().create(stdio)


class RunsMoreOnTheMachine(ChrootDriver):
    noticed = "test_another_process_is_in_the_container_and_ends_by_itself"

    def exec(self, process: dict[str, Any], stdio: Stdio) -> Spawned:
        actions = [(os.POSIX_SPAWN_DUP2, stdio.stdout, 1), (os.POSIX_SPAWN_DUP2, stdio.stderr, 2)]
        return Spawned(os.posix_spawnp(process["args"][0], process["args"], os.environ, file_actions=actions))


class TakesTheContainerAlong(ChrootDriver):
    noticed = "test_another_process_that_cannot_be_executed_leaves_the_container_alone"

    def exec(self, process: dict[str, Any], stdio: Stdio) -> Spawned:
        try:
            return super().exec(process, stdio)
        except StartFailed:
            os.kill(self.pid, SIGKILL)
            os.waitpid(self.pid, 0)
            raise


class SendsNoSignals(ChrootDriver):
    noticed = "test_a_signal_reaches_the_init"

    def kill(self, signal: int) -> None:
        if signal == SIGKILL:
            super().kill(signal)


class AsksWhereItShouldKill(ChrootDriver):
    noticed = "test_killing_ends_it_for_sure"

    def kill(self, signal: int) -> None:
        super().kill(15 if signal == SIGKILL else signal)


class LeavesProcesses(ChrootDriver):
    noticed = "test_deleting_ends_what_the_program_left_running"

    def delete(self) -> None:
        """Leave them."""


class NeedsTheFirstObject(ChrootDriver):
    noticed = "test_another_object_can_delete_a_container_whose_shim_is_gone"

    def delete(self) -> None:
        if self.pid:
            super().delete()


class CountsOneProcess(ChrootDriver):
    noticed = "test_processes_are_listed_or_that_is_refused"

    def processes(self) -> list[int]:
        return [self.pid]


class MeasuresNothing(ChrootDriver):
    noticed = "test_use_is_measured_or_that_is_refused"

    def stats(self) -> Counters:
        return None  # type: ignore[return-value]


class OnlySaysThatItPauses(ChrootDriver):
    noticed = "test_a_paused_container_stands_still_until_it_is_resumed_or_that_is_refused"

    def pause(self) -> None:
        """Say so."""


DRIVERS: tuple[type[ExecDriver], ...] = tuple(
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, ExecDriver) and "noticed" in vars(kind)
)
