"""Tries the connection to an upstream: its name, TCP and TLS. No request is sent, and it costs nothing.

It uses plain sockets, because libcurl does not show certificates; the doctor's requests go through libcurl like those
of the proxy. If there is a proxy on the way ([pool] proxy), none of this can be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from console.doctor.findings import Finding, shortened
from upstream.way import Way

SOON_DAYS = 14
MAX_ADDRESSES = 4  # how many are shown


async def reach(base_url: str, patience_s: float, way: Way, ca_file: str = "") -> list[Finding]:
    """The findings about name, connection and TLS, up to the first that fails. ca_file: [pool] ca_file."""
    parts = urlsplit(base_url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(patience_s):
            known = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as why:  # UnicodeError: the name is not valid; TimeoutError is an OSError
        said = shortened(getattr(why, "strerror", None) or "no answer in time")
        return [Finding("name", "no", f"{host} is not found ({said}); check base_url", blocks=True)]
    addresses = list(dict.fromkeys(str(each[4][0]) for each in known))
    more = f" and {len(addresses) - MAX_ADDRESSES} more" if len(addresses) > MAX_ADDRESSES else ""
    found = [Finding("name", "ok", f"{host} is {', '.join(addresses[:MAX_ADDRESSES])}{more}")]
    found.append(await _connect(host, port, patience_s))
    if secure and not found[-1].blocks:
        found.append(await _tls(host, port, patience_s, way, ca_file))
    return found


async def _connect(host: str, port: int, patience_s: float) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(patience_s):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as why:
        said = shortened(why.strerror or str(why) or f"no answer within {patience_s:g} s")
        return Finding("connection", "no", f"port {port}: {said}; check that it runs, and base_url", blocks=True)
    took = (time.monotonic() - began) * 1e3
    await _close(writer)
    return Finding("connection", "ok", f"port {port}, in {took:.0f} ms")


async def _tls(host: str, port: int, patience_s: float, way: Way, ca_file: str) -> Finding:
    try:
        context = ssl.create_default_context(cafile=way.ca_file or ca_file or None)
        if way.client_cert:
            context.load_cert_chain(way.client_cert, way.client_key or None, way.client_key_password)
    except OSError as why:
        words = shortened(f"ca_file, client_cert or client_key cannot be used: {why.strerror or why}")
        return Finding("TLS", "no", words, blocks=True)
    if not way.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(patience_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as why:
        words = f"its certificate is not trusted: {shortened(why.verify_message)}; for a private CA, set ca_file"
        return Finding("TLS", "no", words, blocks=True)
    except OSError as why:
        words = shortened(why.strerror or str(why) or "the handshake did not end in time")
        return Finding("TLS", "no", words, blocks=True)
    said = writer.get_extra_info("ssl_object")
    version, certificate = said.version(), said.getpeercert()
    await _close(writer)
    if not certificate:
        return Finding("TLS", "so-so", f"{version}; its certificate is not checked (verify_tls = false)")
    return _certificate(version, certificate)


def _certificate(version: str, certificate: dict[str, Any]) -> Finding:
    """The finding about a certificate, in the form of the ssl module."""
    until = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int((until - time.time()) // 86400)
    issuer = {key: value for row in certificate.get("issuer", ()) for key, value in row}
    by = issuer.get("organizationName") or issuer.get("commonName") or "somebody"
    day = time.strftime("%Y-%m-%d", time.gmtime(until))
    words = f"{version}, certificate by {shortened(by)} until {day} ({days} days)"
    return Finding("TLS", "so-so", f"{words}; it expires soon") if days < SOON_DAYS else Finding("TLS", "ok", words)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):  # nothing more is needed of it
        await writer.wait_closed()
