"""The engine's side of its relay: it is started when it is needed, found again after a restart, and asked."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from transom.errors import Unavailable
from transom.runtime.channel import Channel, Message, connect

__all__ = ["Relays"]

log = logging.getLogger(__name__)

_CONTROL = "control.sock"


class Relays:
    """The relay of one engine, whose files are in `root`. Safe to use from many threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._channel: Channel | None = None
        #: Whether there was one: if it is gone, something is lost.
        self._had_one = False
        self._process: subprocess.Popen[bytes] | None = None
        #: Called when one had to be started in the place of another, which somebody killed.
        self.on_loss: Callable[[], object] = lambda: None

    def find(self) -> bool:
        """Connect to the relay that an earlier engine left; return whether there is one."""
        with self._lock:
            if self._channel is None:
                try:
                    self._channel = connect(self._root, _CONTROL)
                    self._had_one = True
                except OSError:
                    return False
            return True

    def request(self, op: str, *descriptors: int, start: bool = True, **fields: object) -> Message:
        """Ask the relay, which is started if it does not run; without `start` an empty answer is returned then.

        Descriptors stay the caller's to close. Raises `Unavailable`.
        """
        with self._lock:
            for attempt in (1, 2):
                if not self.find():
                    if not start:
                        return {}
                    self._start()
                try:
                    return self._exchange({"op": op, "number": next(self._numbers), **fields}, descriptors)
                except OSError as error:
                    self._forget()
                    if attempt == 2:
                        raise Unavailable(f"the relay of published ports and names does not answer: {error}") from error
                    if not start:
                        return {}
            return {}

    def close(self) -> None:
        """Leave the relay alone; it ends if it has nothing to do."""
        with self._lock:
            self._forget()
            if self._process is not None:
                try:
                    # It goes on where containers need it, and is nobody's to wait for.
                    self._process.wait(0.5)
                except subprocess.TimeoutExpired:
                    pass

    def _exchange(self, message: Message, descriptors: tuple[int, ...]) -> Message:
        assert self._channel is not None
        self._channel.send(message, *descriptors)
        received = self._channel.receive()
        if received is None:
            raise ConnectionError("it has ended")
        answer, _ = received
        if "error" in answer:
            raise Unavailable(f"the relay of published ports and names: {answer['error']}")
        return answer

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _start(self) -> None:
        lost = self._had_one
        self._root.mkdir(mode=0o700, exist_ok=True)
        ours, theirs = Channel.pair()
        command = "import sys; from transom.networks import relay; relay.main(int(sys.argv[1]), sys.argv[2])"
        with open(self._root / "relay.log", "ab") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-c", command, str(theirs.fileno()), str(self._root / _CONTROL)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd="/",
            )
        theirs.close()
        self._channel, self._had_one = ours, True
        if lost:
            log.warning("the relay of published ports and names was killed: another one takes its place")
            self.on_loss()
