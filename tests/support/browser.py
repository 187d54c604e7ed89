"""A headless Chromium by the W3C WebDriver protocol, which is JSON over HTTP: no library is needed.

    with Browser() as page:
        page.open(url)
        page.wait("return document.title == 'x'")

Needs Debian's chromium and chromium-driver; a test with the mark `needed` is skipped without them. The driver and its
browser are ended with the `with`, whatever happened in it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support import lacking
from tests.support.waiting import until

WITHIN_S = 20.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own name for it
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
needed = pytest.mark.skipif(bool(MISSING), reason=lacking.missing(", ".join(MISSING), "chromium chromium-driver"))


class Browser:
    """dark: which of the two the page is told that its user likes. foreign: a name that leads to this machine."""

    def __init__(self, width: int = 1360, height: int = 900, dark: bool = False, foreign: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._driver: subprocess.Popen[bytes] | None = None
        self._session = ""
        self._size, self._dark, self._foreign = (width, height), dark, foreign

    def __enter__(self) -> Browser:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._session:
            with contextlib.suppress(OSError, urllib.error.HTTPError):
                self._call("DELETE", "")
        if self._driver is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._driver.pid, signal.SIGKILL)  # its browser too
            self._driver.wait()
        self._folder.cleanup()

    def _start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={port}", "--log-level=OFF"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(self._is_up, WITHIN_S, 0.05)
        arguments = [
            "--headless=new",
            "--no-sandbox",  # root has none
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-prefers-reduced-motion",  # what moves cannot be clicked
            "--no-proxy-server",
            f"--window-size={self._size[0]},{self._size[1]}",
            f"--user-data-dir={self._folder.name}",
            *(["--force-dark-mode"] if self._dark else []),
            *([f"--host-resolver-rules=MAP {self._foreign} 127.0.0.1"] if self._foreign else []),
        ]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments},
                  "goog:loggingPrefs": {"browser": "ALL"}}  # fmt: skip
        said = self._raw("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = said["sessionId"]
        scheme = "dark" if self._dark else "light"
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError):
            self._raw("GET", "/status")
            return True
        return False

    # ------------------------------------------------------------------------------------------- its page

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        """The body of a function; what it returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, script: str, *args: Any) -> Any:
        """Until it returns something true."""
        return until(lambda: self.run(script, *args), WITHIN_S, 0.05)

    def text(self, css: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).innerText", css))

    def click(self, css: str) -> None:
        """As a user would: it has to be there to be clicked."""
        self._call("POST", f"/element/{self._element(css)}/click", {})

    def type(self, css: str, text: str) -> None:
        self._call("POST", f"/element/{self._element(css)}/value", {"text": text})

    def press(self, *keys: str) -> None:
        """Keys, one after the other, to whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def complaints(self) -> list[str]:
        """What the browser's console has of errors and warnings since the last time."""
        said = self._call("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in said if line["level"] in ("SEVERE", "WARNING")]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def command(self, name: str, **params: Any) -> Any:
        """One of Chromium's own."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": params})

    def _element(self, css: str) -> str:
        return str(self._call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT])

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        return self._raw(method, f"/session/{self._session}{path}", body)

    def _raw(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with _DIRECT.open(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode("utf-8", "replace")
            raise AssertionError(f"{method} {path}: {said[:1000]}") from None
