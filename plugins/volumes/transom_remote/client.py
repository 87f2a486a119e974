"""Calls of a plugin: JSON in a POST, JSON in its answer (Docker's documentation, "Docker plugin API")."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

from transom.errors import DriverFailed, DriverUnavailable, Unavailable
from transom_remote.discovery import Address

__all__ = ["PluginClient"]

log = logging.getLogger(__name__)

#: Seconds in which a plugin answers, as Docker has them: what looks, and what works.
SHORT, LONG = 60.0, 120.0
#: Seconds for which a plugin that cannot be reached is tried again: after one, then after twice as long each time.
_PATIENCE = 30.0
#: Seconds for a plugin to say what it is; whoever lists drivers waits for that.
_GREETING = 5.0
#: No answer is larger, in bytes.
_LARGEST = 16 << 20
_MEDIA_TYPE = "application/vnd.docker.plugins.v1.2+json"


class PluginClient:
    """One plugin, spoken to from any thread, with a connection per call."""

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self._address = address
        self._guard = threading.Lock()
        self._implements: frozenset[str] | None = None

    def activate(self) -> None:
        """Let the plugin say what it gives, once. Raises `DriverUnavailable` if it gives no volumes, or no answer."""
        with self._guard:
            if self._implements is None:
                try:
                    given = self._call("Plugin.Activate", {}, _GREETING).get("Implements") or ()
                except OSError as error:
                    raise DriverUnavailable(str(self._unreachable(error)), "start it") from error
                except DriverFailed as error:
                    raise DriverUnavailable(str(error), "look at the plugin's own log") from error
                self._implements = frozenset(given if isinstance(given, list) else ())
            if "VolumeDriver" not in self._implements:
                known = ", ".join(sorted(self._implements)) or "nothing"
                raise DriverUnavailable(f'the plugin "{self.name}" gives {known}, and no volumes')

    def call(self, method: str, *, timeout: float = SHORT, patient: bool = False, **arguments: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its answer; its arguments are named as there.

        A `patient` call waits for a plugin that is being started. Raises `DriverFailed` with the error that the plugin
        answers, and `Unavailable` if it does not answer.
        """
        delay, end = 1.0, time.monotonic() + _PATIENCE
        while True:
            try:
                return self._call(f"VolumeDriver.{method}", arguments, timeout)
            except TimeoutError as error:
                raise Unavailable(
                    f'the volume plugin "{self.name}" has not answered VolumeDriver.{method} in {timeout:.0f} seconds'
                ) from error
            except OSError as error:
                if not patient or time.monotonic() + delay >= end:
                    raise self._unreachable(error) from error
                log.warning("%s; trying again in %.0f seconds", self._unreachable(error), delay)
            time.sleep(delay)
            delay *= 2

    def _call(self, method: str, arguments: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Call a method once. Raises `OSError` if there is no answer."""
        connection = _connection(self._address, timeout)
        try:
            connection.request("POST", f"/{method}", json.dumps(arguments), {"Accept": _MEDIA_TYPE})
            response = connection.getresponse()
            content = response.read(_LARGEST)
        except ConnectionError:
            raise
        except http.client.HTTPException as error:
            raise ConnectionError(f"it answers with what is no HTTP ({type(error).__name__})") from error
        finally:
            connection.close()
        try:
            answer = json.loads(content) if content.strip() else {}
        except ValueError:
            answer = None
        if response.status != http.client.OK:
            said = answer.get("Err") if isinstance(answer, dict) else ""
            said = said or content[:1000].decode(errors="replace").strip() or response.reason
            raise DriverFailed(f"{method}: {said}")
        if not isinstance(answer, dict):
            raise DriverFailed(f'{method}: the volume plugin "{self.name}" answers with what is no JSON object')
        if answer.get("Err"):
            # What a plugin says itself is told as it is, as Docker does.
            raise DriverFailed(str(answer["Err"]))
        return answer

    def _unreachable(self, error: OSError) -> Unavailable:
        reason = error.strerror or str(error)
        return Unavailable(f'the volume plugin "{self.name}" cannot be reached at {self._address.text}: {reason}')


class _SocketConnection(http.client.HTTPConnection):
    """A connection to a socket of this machine."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("plugin", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(address: Address, timeout: float) -> http.client.HTTPConnection:
    if address.path:
        return _SocketConnection(address.path, timeout)
    tls = address.tls
    if tls is None:
        return http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    context = ssl.create_default_context(cafile=tls.authority or None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key or None)
    return http.client.HTTPSConnection(address.host, address.port, timeout=timeout, context=context)
