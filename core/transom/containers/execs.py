"""Processes that clients add to running containers (`exec`)."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transom import records
from transom.containers.attachments import Attachment
from transom.containers.links import Links
from transom.containers.model import Container, ExecConfig, ExecRecord
from transom.containers.names import make_id
from transom.containers.spec import exec_process
from transom.errors import Conflict, NotFound, StartFailed, TransomError
from transom.runtime.cgroups import announce_move
from transom.runtime.shim import publish
from transom.runtime.shims import Shims

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Execs"]

#: What an exec instance ends with that could not be started, as a shell's command that cannot be executed.
_NOT_STARTED = 126
#: How many ended processes of one container are remembered for clients that ask how they ended.
_REMEMBERED = 100


class Execs:
    """The exec instances of one engine. They are forgotten when their container ends."""

    def __init__(self, engine: Engine, shims: Shims, links: Links) -> None:
        self._engine = engine
        self._links = links
        self._shims = shims
        self._lock = threading.Lock()
        self._records: dict[str, ExecRecord] = {}

    def create(self, container: Container, config: ExecConfig, *, probe: bool = False) -> str:
        """Record a process to be started, and return its ID. Raises `Conflict` if it could not be."""
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        if not probe:
            self._links.check(container)
        record = ExecRecord(make_id(), container.id, config, probe=probe)
        with self._lock:
            self._trim(container.id)
            self._records[record.id] = record
        # It is started in a moment.
        self._engine.submit(announce_move)
        return record.id

    def get(self, exec_id: str) -> ExecRecord:
        """Return an exec instance by ID. Raises `NotFound`."""
        with self._lock:
            record = self._records.get(exec_id)
        if record is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        if record.running:
            # The shim writes this before its client learns of the end; the message to the engine may be on its way.
            ended = _exit_code(self._directory(record.container) / f"{exec_id}.exit")
            if ended is not None:
                return self.ended(exec_id, ended) or record
        return record

    def start(
        self, exec_id: str, attachment: Attachment | None, size: tuple[int, int] = (0, 0), *, capture: int = 0
    ) -> None:
        """Start a recorded process, once. The attachment's descriptor is taken over.

        With `capture` so many bytes of what it writes come with the news of its end.
        Raises `Conflict` if it was started before or the container has ended, and `StartFailed`.
        """
        try:
            record = self._claim(exec_id)
        except TransomError:
            _close(attachment)
            raise
        try:
            container = self._engine.containers.get(record.container)
            config = replace(record.config, console_size=size if all(size) else record.config.console_size)
            root = Path(f"/proc/{container.state.pid}/root")
            try:
                process = exec_process(container, config, root, self._links.variables(container))
                notes = json.dumps({"process": process, "record": records.dump(record)})
                publish(self._directory(container.id) / exec_id, notes)
            except (FileNotFoundError, ProcessLookupError) as error:
                # It has ended since the last look at its state.
                raise Conflict(f"container {container.id} is not running") from error
            descriptors = () if attachment is None else (attachment.descriptor,)
            told = {} if attachment is None else attachment.message()
            answer = self._shims.request(
                container.id,
                "exec",
                *descriptors,
                exec=exec_id,
                terminal=config.tty,
                stdin=attachment is not None and "stdin" in attachment.streams,
                capture=capture,
                **told,
            )
        except TransomError as error:
            self.ended(exec_id, error.exit_code if isinstance(error, StartFailed) else _NOT_STARTED)
            self._forget_files(record)
            raise
        finally:
            _close(attachment)
        with self._lock:
            current = self._records.get(exec_id)
            if current is not None:
                self._records[exec_id] = replace(current, pid=answer["pid"])

    def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of a process's terminal."""
        record = self.get(exec_id)
        if not record.running:
            raise Conflict(f"exec instance {exec_id} is not running")
        self._shims.request(record.container, "resize", exec=exec_id, height=height, width=width)

    def kill(self, exec_id: str, signal: int) -> None:
        """Send a signal to a process and those that it made. Raises `NotFound`, and `Conflict` if it has ended."""
        record = self.get(exec_id)
        self._shims.request(record.container, "exec_signal", exec=exec_id, signal=signal)

    def discard(self, exec_id: str) -> None:
        """Forget a process that nobody will ask for."""
        with self._lock:
            record = self._records.pop(exec_id, None)
        if record is not None:
            self._forget_files(record)

    def probes(self, container: str) -> tuple[str, ...]:
        """Return the IDs of a container's health checks that have not ended."""
        with self._lock:
            records = tuple(self._records.values())
        return tuple(
            record.id for record in records if record.container == container and record.probe and record.running
        )

    def of(self, container: str) -> tuple[str, ...]:
        """Return the IDs of a container's exec instances that have not ended."""
        with self._lock:
            return tuple(
                record.id
                for record in self._records.values()
                if record.container == container and record.exit_code is None
            )

    def ended(self, exec_id: str, exit_code: int) -> ExecRecord | None:
        """Record how a process ended; return its record, unless it was forgotten."""
        with self._lock:
            record = self._records.get(exec_id)
            if record is None:
                return None
            self._records[exec_id] = replace(record, running=False, exit_code=exit_code)
            return self._records[exec_id]

    def forget(self, container: str) -> None:
        """Forget what was never started or has ended with its container; how the others ended stays known."""
        with self._lock:
            for record in tuple(self._records.values()):
                if record.container == container and record.exit_code is None:
                    self._records[record.id] = replace(record, running=False, exit_code=137)
            self._trim(container)

    def adopt(self, container: str) -> None:
        """Learn of the processes that an earlier engine started, from the shim's directory."""
        for notes in self._directory(container).iterdir():
            if notes.suffix:
                continue
            record = records.load(ExecRecord, json.loads(notes.read_bytes())["record"])
            code = _exit_code(notes.with_suffix(".exit"))
            with self._lock:
                self._records[record.id] = replace(record, running=code is None, exit_code=code)

    def _claim(self, exec_id: str) -> ExecRecord:
        with self._lock:
            record = self._records.get(exec_id)
            if record is None:
                raise NotFound(f"No such exec instance: {exec_id}")
            if record.running:
                raise Conflict(f"Error: Exec command {exec_id} is already running")
            if record.exit_code is not None:
                raise Conflict(f"Error: Exec command {exec_id} has already run")
            self._records[exec_id] = replace(record, running=True)
            return self._records[exec_id]

    def _trim(self, container: str) -> None:
        ended = [
            record.id
            for record in self._records.values()
            if record.container == container and record.exit_code is not None
        ]
        for exec_id in ended[:-_REMEMBERED]:
            self._forget_files(self._records.pop(exec_id))

    def _forget_files(self, record: ExecRecord) -> None:
        for suffix in ("", ".exit"):
            (self._directory(record.container) / f"{record.id}{suffix}").unlink(missing_ok=True)

    def _directory(self, container: str) -> Path:
        return self._shims.directory(container) / "execs"


def _close(attachment: Attachment | None) -> None:
    if attachment is not None:
        os.close(attachment.descriptor)


def _exit_code(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return None
