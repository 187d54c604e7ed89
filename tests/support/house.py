"""The whole proxy on a real port, in a thread with a loop of its own; and a raw HTTP/1.1 client for tests.

    with Upstream([...]) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, body = house.post("/v1/messages", {...})

The raw client writes and reads bytes by hand, because what a library would hide (chunks, cuts, header order,
when a byte came) is what these tests are about.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tornado.netutil import bind_sockets

import proxy
from operate.logs.journal import Journal
from operate.settings import load
from operate.settings.file_watch import Source
from tests.support import waiting

PIECE = 65536


class _Silent(Journal):
    """Writes nothing, whatever a test asks for: it has no folder."""

    def _put(self, *args: Any) -> None:
        pass


class House:
    """settings_text: a settings file; [server] port is chosen here. url has no trailing slash. file: where the text is
    written, and watched for changes; None = it cannot change."""

    def __init__(
        self,
        settings_text: str,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        file: Path | None = None,
        port: int = 0,
    ):
        self._source: Source | None = None
        on_disk = [] if folder is not None else ["usage.file=", "responses.owners=", "batches.file="]
        overrides = ["server.port=0", *on_disk]
        if file is not None:
            file.write_text(settings_text)
            self._source = Source(str(file), overrides, environ or {})
        read_once = load.read(settings_text, "test.ini", overrides, environ or {})
        self._settings = read_once if self._source is None else self._source.read()
        self._folder = folder
        self._thread = threading.Thread(target=self._run, name="house", daemon=True)
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.proxy: proxy.Proxy
        self.port = port
        self.url = ""

    def __enter__(self) -> House:
        self._thread.start()
        self._ready.wait(20)
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: a test has stopped it already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as why:
            self._failed = why
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        sockets = bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.url = f"{self._settings.server.scheme}://127.0.0.1:{self.port}"
        chosen = self._settings
        kind = _Silent if self._folder is None else Journal
        journal = kind(chosen.logging, self._folder or Path("/nonexistent"), chosen.secrets())
        if self._folder is None:
            journal.performance = journal.errors = journal.api_requests = False
        self.proxy = proxy.Proxy(chosen, sockets, journal, self._source)
        await self.proxy.start()
        self._ready.set()
        await self._stop.wait()
        await self.proxy.stop()
        journal.close()

    def on_loop(self, what: Callable[[], Any]) -> Any:
        """Runs `what` on the proxy's loop and returns what it returns."""

        async def run() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def wait(self, true: Callable[[proxy.Proxy], bool], within_s: float = 10.0) -> None:
        """Until the proxy's state is as said."""
        try:
            waiting.until(lambda: self.on_loop(lambda: true(self.proxy)), within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.proxy!r}") from None

    # ------------------------------------------------------------------------------------- a raw client

    def connect(self, trusted: ssl.SSLContext | None = None) -> Client:
        """trusted: for TLS."""
        return Client(self.port, trusted)

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own -> (status, headers by lower-case name, whole body)."""
        with self.connect() as client:
            client.send(method, path, body, headers)
            return client.reply()

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        return self.request("POST", path, body, headers)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        return self.request("GET", path, None, headers)


class Cut(Exception):
    """The proxy closed before the body was complete; args: the bytes that came."""


class Client:
    """One connection. send() a request, then reply() whole or head() and pieces()."""

    def __init__(self, port: int, trusted: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        if trusted is not None:
            self.socket = trusted.wrap_socket(self.socket, server_hostname="localhost")
        self._held = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Host": "localhost"} | dict(headers or {})
        if body is not None:
            lines.setdefault("Content-Type", "application/json")
            lines["Content-Length"] = str(len(data))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        self.socket.sendall(head.encode("latin-1") + data)

    def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._held:
            self._more()
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return int(first.split()[1]), self.headers

    def pieces(self) -> Iterator[bytes]:
        """The chunks of a chunked body as the proxy wrote them. Raises Cut."""
        while True:
            while b"\r\n" not in self._held:
                self._more()
            size, _, self._held = self._held.partition(b"\r\n")
            length = int(size, 16)
            while len(self._held) < length + 2:
                self._more()
            piece, self._held = self._held[:length], self._held[length + 2 :]
            if not length:
                return
            yield piece

    def body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            return b"".join(self.pieces())
        if "content-length" in self.headers:
            while len(self._held) < int(self.headers["content-length"]):
                self._more()
            length = int(self.headers["content-length"])
            body, self._held = self._held[:length], self._held[length:]
            return body
        while data := self.socket.recv(PIECE):
            self._held += data
        return self._held

    def reply(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = self.head()
        return status, headers, self.body()

    def _more(self) -> None:
        data = self.socket.recv(PIECE)
        if not data:
            raise Cut(self._held)
        self._held += data


ONCE = "[retry]\nmax_attempts = 1\nmax_retry_after = 0\n"
"""Further settings for tests of an upstream's error as such: nothing is tried again, nor waited for."""


def one_upstream(url: str, protocol: str, more: str = "", server: str = "") -> str:
    """The settings of most tests: one upstream, to which every model goes."""
    return f"[server]\n{server}\n[upstream up]\nprotocol = {protocol}\nbase_url = {url}\n{more}\n[models]\n* = up\n"
