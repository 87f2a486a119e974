"""The daemon: one engine, the frontends that serve it, and a clean end on SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from transom.config import Config
from transom.engine import Engine
from transom.errors import TransomError
from transom.networks import netlink
from transom.runtime.limits import raise_descriptor_limit

__all__ = ["main"]

log = logging.getLogger(__name__)


def main(config: Config) -> int:
    """Run a daemon in the foreground until SIGTERM or SIGINT; return its exit code.

    A frontend that ends by an error ends the daemon. Containers run on.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    raise_descriptor_limit()
    try:
        with Engine(config) as engine:
            # The first container on a network would wait for it.
            engine.submit(netlink.load)
            return _serve(engine)
    except TransomError as error:
        print(f"transom: {error}", file=sys.stderr)
        return 1


def _serve(engine: Engine) -> int:
    # A signal handler may interrupt whoever holds a lock, so it only writes to a pipe.
    woken, wake = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os.write(wake, b"s"))
    pid_file = engine.config.exec_root / "daemon.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    failures: list[BaseException] = []

    def serve(frontend: object) -> None:
        try:
            frontend.function(*(engine for _ in frontend.argnames))  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001 handed to the main thread, which ends the daemon with it
            failures.append(error)
        finally:
            os.write(wake, b"e")

    threads = [
        threading.Thread(target=serve, args=(frontend,), name=frontend.plugin_name)
        for frontend in engine.catalog.manager.hook.transom_serve.get_hookimpls()
    ]
    for thread in threads:
        thread.start()
    log.info("serving %s with the data root %s", ", ".join(engine.config.hosts), engine.config.data_root)
    os.read(woken, 1)
    engine.stopping.set()
    for thread in threads:
        thread.join()
    pid_file.unlink(missing_ok=True)
    for failure in failures:
        if isinstance(failure, TransomError):
            raise failure
        log.error("a frontend failed", exc_info=failure)
    return 1 if failures else 0
