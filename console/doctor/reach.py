"""The way to an upstream: its name, a connection, TLS. Nothing is asked of it here, and nothing costs.

By plain sockets and not by libcurl, which does not say what a certificate holds; requests themselves go by libcurl, as
the proxy sends them. Where a proxy stands in between ([pool] proxy) there is nothing to see from here.
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
MAX_ADDRESSES = 4  # that are shown


async def reach(base_url: str, patience_s: float, way: Way, ca_file: str = "") -> list[Finding]:
    """What was found on the way, as far as it went. ca_file: [pool]'s."""
    parts = urlsplit(base_url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(patience_s):
            known = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as why:  # UnicodeError: no name at all; TimeoutError is an OSError
        said = shortened(getattr(why, "strerror", None) or "no answer in time")
        return [Finding("name", "no", f"{host} is not found ({said}): is base_url right?", blocks=True)]
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
        return Finding("connection", "no", f"port {port}: {said}. Does it run, and is base_url right?", blocks=True)
    took = (time.monotonic() - began) * 1e3
    await _close(writer)
    return Finding("connection", "ok", f"port {port}, in {took:.0f} ms")


async def _tls(host: str, port: int, patience_s: float, way: Way, ca_file: str) -> Finding:
    try:
        context = ssl.create_default_context(cafile=way.ca_file or ca_file or None)
        if way.client_cert:
            context.load_cert_chain(way.client_cert, way.client_key or None, way.client_key_password)
    except OSError as why:
        words = shortened(f"ca_file, client_cert and client_key do not go together: {why.strerror or why}")
        return Finding("TLS", "no", words, blocks=True)
    if not way.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(patience_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as why:
        words = f"its certificate is not trusted: {shortened(why.verify_message)}. ca_file names other roots"
        return Finding("TLS", "no", words, blocks=True)
    except OSError as why:
        words = shortened(why.strerror or str(why) or "no end of the handshake in time")
        return Finding("TLS", "no", words, blocks=True)
    said = writer.get_extra_info("ssl_object")
    version, certificate = said.version(), said.getpeercert()
    await _close(writer)
    if not certificate:
        return Finding("TLS", "so-so", f"{version}; its certificate is not checked (verify_tls = false)")
    return _certificate(version, certificate)


def _certificate(version: str, certificate: dict[str, Any]) -> Finding:
    """certificate: as ssl tells it."""
    until = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int((until - time.time()) // 86400)
    issuer = {key: value for row in certificate.get("issuer", ()) for key, value in row}
    by = issuer.get("organizationName") or issuer.get("commonName") or "somebody"
    day = time.strftime("%Y-%m-%d", time.gmtime(until))
    words = f"{version}, certificate by {shortened(by)} until {day} ({days} days)"
    return Finding("TLS", "so-so", f"{words}: soon to expire") if days < SOON_DAYS else Finding("TLS", "ok", words)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):  # it was only looked at
        await writer.wait_closed()
