"""What the instructions that change files do: each has a key, and makes a layer if nothing was made for that before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from transom.containers.rootfs import find_directory, make_directory
from transom.containers.users import find_user
from transom.dockerfile.evaluation import Resolved
from transom.dockerfile.instructions import Add, Copy, Run, Workdir
from transom.dockerfile.parse import Dockerfile
from transom.dockerfile.source import DockerfileError
from transom.errors import Cancelled, InvalidParameter, StartFailed, TransomError
from transom_builder.keys import key_of
from transom_builder.mounts import Mounts
from transom_builder.processes import Process, remove_process, run_process
from transom_builder.reports import Step
from transom_builder.stubs import Stubs
from transom_builder.transfer import Transfer
from transom_builder.workplace import Workplace
from transom_builder.workshop import Stack

__all__ = ["StepFailed", "Work", "Worker"]


class StepFailed(DockerfileError):
    """The process of a RUN has ended with an exit code that is not zero."""

    exit_code = 1


class _ProcessFailed(InvalidParameter):
    def __init__(self, arguments: tuple[str, ...], exit_code: int) -> None:
        self.command = " ".join(arguments)
        self.exit_code = exit_code
        super().__init__(f'process "{self.command}" did not complete successfully: exit code: {exit_code}')


@dataclass(frozen=True)
class Work:
    """A step that is about to be done.

    `key` gives its key when the layers are known that it is done on top of. `do` does it and returns the writable layer
    with what it changed, None if it has nothing to change. With `link` that stands on no other layer.
    """

    key: Callable[[Stack], str]
    do: Callable[[], str | None]
    link: bool = False


class Worker:
    """Does the instructions of one stage."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._options = place.options
        self._workshop = place.workshop

    @contextmanager
    def prepare(self, stack: Stack, resolved: Resolved, step: Step) -> Iterator[Work]:
        """Give the work of an instruction on top of some layers, for the length of a `with` block."""
        instruction = resolved.instruction
        with ExitStack() as held:
            if isinstance(instruction, Run):
                yield self._run(held, stack, resolved, instruction, step)
            elif isinstance(instruction, Copy | Add):
                key, do = Transfer(self._place, step).prepare(held, stack, instruction)
                yield Work(key, do, instruction.link)
            elif isinstance(instruction, Workdir):
                yield self._workdir(stack, resolved, instruction)
            else:
                raise TypeError(f"{instruction.name} changes no files")

    def explain(self, error: TransomError, resolved: Resolved, dockerfile: Dockerfile, *, draws: bool) -> TransomError:
        """Return an error of an instruction as the client is to see it: with its lines, or in Docker's own words."""
        if isinstance(error, Cancelled | DockerfileError):
            return error
        code = error.exit_code if isinstance(error, _ProcessFailed) else 0
        if code and not draws:
            assert isinstance(error, _ProcessFailed)
            plain = StepFailed(f"The command '{error.command}' returned a non-zero code: {code}")
            plain.exit_code = code
            return plain
        if not isinstance(error, InvalidParameter):
            return error
        shown = dockerfile.error(str(error), resolved.instruction)
        failed = StepFailed(
            shown.problem,
            name=shown.name,
            location=shown.location,
            instruction=shown.instruction,
            lines=dockerfile.lines,
        )
        failed.exit_code = code
        return failed if code else shown

    # WORKDIR

    def _workdir(self, stack: Stack, resolved: Resolved, instruction: Workdir) -> Work:
        def key(below: Stack) -> str:
            return key_of("workdir", parent=below.chain_id, path=instruction.path, user=resolved.user)

        def do() -> str | None:
            with self._workshop.shown(stack) as tree:
                if find_directory(tree, instruction.path) is not None:
                    return None
                user = find_user(tree, resolved.user)
            with self._workshop.writing(stack) as layer, self._workshop.mounted(layer) as tree:
                try:
                    make_directory(tree, instruction.path, (user.uid, user.gid))
                except NotADirectoryError as error:
                    raise InvalidParameter(f"cannot make the directory {instruction.path}: not a directory") from error
            return layer

        return Work(key, do)

    # RUN

    def _run(self, held: ExitStack, stack: Stack, resolved: Resolved, run: Run, step: Step) -> Work:
        mounts = Mounts(self._place, run.mounts, resolved.script)
        environment = tuple(f"{name}={value}" for name, value in resolved.environment.items())
        mounted = mounts.key(held)

        def key(below: Stack) -> str:
            return key_of(
                "run",
                parent=below.chain_id,
                arguments=resolved.arguments,
                environment=environment,
                user=resolved.user,
                working_dir=resolved.working_dir,
                network=run.network,
                security=run.security,
                hosts=self._options.add_hosts,
                mounts=mounted,
            )

        proxies = tuple(f"{name}={value}" for name, value in resolved.proxies.items())

        def do() -> str | None:
            opened = mounts.open(held)
            process = Process(
                resolved.arguments,
                environment,
                (*proxies, *opened.environment),
                user=resolved.user,
                working_dir=resolved.working_dir,
                image=stack.name,
                privileged=run.security == "insecure",
                network=self._options.network if run.network == "default" else run.network,
                extra_hosts=self._options.add_hosts,
                shm_size=self._options.shm_size,
                ulimits=self._options.ulimits,
                mounts=tuple(opened.mounts),
                execdriver=self._options.execdriver,
            )
            return self._in_container(stack, process, tuple(opened.targets), step)

        return Work(key, do)

    def _in_container(self, stack: Stack, process: Process, targets: tuple[tuple[str, bool], ...], step: Step) -> str:
        with self._workshop.writing(stack) as layer, ExitStack() as last:
            stubs = Stubs(targets)
            last.callback(self._remove, layer, step)
            # The container has one more share in this mount, so that the layer is mounted once and not three times.
            with self._workshop.mounted(layer) as tree:
                stubs.make(tree)
                try:
                    code = run_process(
                        self._place.engine,
                        self._workshop.driver,
                        layer,
                        process,
                        step.log,
                        self._workshop.check,
                        lambda container: step.say(f" ---> Running in {container[:12]}\n"),
                    )
                except StartFailed as error:
                    raise InvalidParameter(
                        f'process "{" ".join(process.arguments)}" did not complete successfully: {error}'
                    ) from error
                if code:
                    raise _ProcessFailed(process.arguments, code)
                stubs.remove(tree)
        return layer

    def _remove(self, container: str, step: Step) -> None:
        remove_process(self._place.engine, container)
        step.say(f" ---> Removed intermediate container {container[:12]}\n")
