"""Where an upstream may be that cannot even be reached: nobody there, a full queue, TLS that goes wrong.

All on this machine; the name that cannot be resolved is one that libcurl refuses without asking anybody.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.upstream.scripted import CERTIFICATE, KEY


@contextlib.contextmanager
def refused() -> Iterator[str]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextlib.contextmanager
def dns() -> Iterator[str]:
    yield "http://nobody.onion"


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """No connection is ever completed: the queue of unaccepted ones is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def mute() -> Iterator[str]:
    """Connections are made, by the kernel alone; not a byte is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def rude() -> Iterator[str]:
    """Every connection is reset at its first byte."""

    def reset(upstream: socket.socket) -> None:
        upstream.recv(1)
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with _answering(reset) as port:
        yield f"https://127.0.0.1:{port}"


@contextlib.contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """TLS with a certificate that signs itself."""
    pem = folder / "self-signed.pem"
    pem.write_text(CERTIFICATE + KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def shake(upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the alert by which the other side refuses
            context.wrap_socket(upstream, server_side=True).close()

    with _answering(shake) as port:
        yield f"https://127.0.0.1:{port}"


@contextlib.contextmanager
def _answering(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A thread that serves one connection after another; its port."""

    def run() -> None:
        while True:
            upstream, _ = listener.accept()
            with upstream:
                if over.is_set():
                    return
                upstream.settimeout(5)
                serve(upstream)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=run, name="place", daemon=True)
        thread.start()
        try:
            yield port
        finally:
            over.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join(10)


@contextlib.contextmanager
def opened(place: str, folder: Path) -> Iterator[str]:
    """The URL of one of them, as long as the test needs it."""
    kinds = {"refused": refused, "dns": dns, "deaf": deaf, "mute": mute, "rude": rude}
    with untrusted(folder) if place == "untrusted" else kinds[place]() as url:
        yield url
