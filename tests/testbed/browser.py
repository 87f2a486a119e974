"""A real browser that looks at pages: Debian's Chromium without a window, told what to do by the DevTools protocol.

The protocol's messages are JSON objects, each ended by a NUL, on a pair of pipes (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["Browser", "Page"]

#: The descriptors that Chromium reads commands from and writes answers to.
_COMMANDS, _ANSWERS = 3, 4
_ESSENTIAL = ("Page.enable", "Runtime.enable", "Log.enable")
_COMPLAINTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


class Browser:
    """A browser with a profile of its own. Leaving the `with` block ends it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._waiting = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        chromium = shutil.which("chromium")
        assert chromium, "no browser is installed: Debian's package is chromium"
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        command = [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--window-size=1280,1000",
            "--remote-debugging-pipe", f"--user-data-dir={self._directory}", "about:blank",
        ]  # fmt: skip
        # The shell puts the pipes where they are expected.
        script = f'exec "$@" {_COMMANDS}<&{commands} {_ANSWERS}>&{answers}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self._directory)},
        )
        os.close(commands)
        os.close(answers)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close")
        except (EOFError, BrokenPipeError):
            pass
        os.close(self._write)
        os.close(self._read)
        self._process.wait(30)

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that arrive meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def receive(self) -> dict[str, Any]:
        """Return the next message. Raises `EOFError` when the browser has ended."""
        while b"\0" not in self._waiting:
            data = os.read(self._read, 1 << 16)
            if not data:
                raise EOFError("the browser has ended")
            self._waiting += data
        message, _, self._waiting = self._waiting.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, path: Path, *, dark: bool = False) -> Page:
        """Show a file, and return when it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for method in _ESSENTIAL:
            page.call(method)
        theme = "dark" if dark else "light"
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        page.call("Page.navigate", url=path.absolute().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())
        return page


class Page:
    """A page that is shown."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command about this page."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, waited for if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements of a CSS selector."""
        found = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent.trim())"
        )
        assert isinstance(found, list)
        return found

    def press(self, key: str) -> None:
        """Press a key, by the name that events give it."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        code = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def complaints(self) -> list[dict[str, Any]]:
        """Return what was written to the console, errors of scripts, and what the security policy has stopped."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return [event for event in self._browser.events if event.get("method") in _COMPLAINTS]

    def picture(self, path: Path) -> None:
        """Write what the page looks like, as PNG."""
        import base64

        data = self.call("Page.captureScreenshot", captureBeyondViewport=False)["data"]
        path.write_bytes(base64.b64decode(data))
