"""TLS for clients: the context of [server] tls_cert and its companions, and how the commands reach a proxy with TLS.

A context is made from the files whenever the settings are read, so that --check-config names their errors. Connections
keep the context with which they began, also when the files change.
"""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any

from operate.settings.sections import Server

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Fault(Exception):
    """Says that a file cannot be used. key: the key of [server]. words: what is wrong."""

    def __init__(self, key: str, words: str) -> None:
        super().__init__(f"[server] {key}: {words}")
        self.key, self.words = key, words


def server_context(cert: str, key: str = "", password: str = "", client_ca: str = "") -> ssl.SSLContext:
    """The context for TLS 1.2 and above. cert, key, client_ca: paths; without client_ca, clients need no certificate.
    Raises Fault."""
    _certificates(cert, "tls_cert")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key or None, password or _no_password)
    except (OSError, ValueError) as why:  # SSLError is an OSError
        raise Fault("tls_key" if key else "tls_cert", _key_fault(why, key or cert, cert, bool(password))) from None
    if client_ca:
        _certificates(client_ca, "tls_client_ca")
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    """An empty password, since OpenSSL would ask for one at the terminal otherwise."""
    return ""


def _certificates(file: str, key: str) -> None:
    try:
        if not ssl.create_default_context(cafile=file).cert_store_stats()["x509"]:
            raise Fault(key, f"{file} has no certificate")
    except OSError as why:
        said = why.strerror if why.strerror and not isinstance(why, ssl.SSLError) else "it has no valid certificate"
        raise Fault(key, f"{file} cannot be used: {said}") from None


def _key_fault(why: Exception, file: str, cert: str, has_password: bool) -> str:
    reason = getattr(why, "reason", "") or ""
    if reason == "KEY_VALUES_MISMATCH":
        return f"{file} is not the key of the certificate in {cert}"
    if b"ENCRYPTED" in Path(file).read_bytes():
        wanted = "tls_key_password is wrong" if has_password else "tls_key_password is needed"
        return f"the key in {file} is encrypted, and {wanted}"
    if reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        return f"the certificate in {cert} is too weak to be used: {reason.lower().replace('_', ' ')}"
    return f"{file} has no valid key" + (f" ({reason.lower().replace('_', ' ')})" if reason else "")


# ---------------------------------------------------------------------------- for commands that use the proxy


def own_url(server: Server, port: int = 0) -> str:
    """The address of the proxy for this machine, without a final slash. port: the bound one, if the settings say 0. It
    is no URL where the proxy listens on Unix sockets alone."""
    if not server.tcp_hosts:
        return server.hosts[0]
    host = _EVERYWHERE.get(server.tcp_hosts[0], server.tcp_hosts[0])
    if server.tls_cert:
        host = _certified(host, names(server.tls_cert))
    return f"{server.scheme}://{f'[{host}]' if ':' in host else host}:{port or server.port}"


def _certified(host: str, known: list[str]) -> str:
    """The host, or another name for it that the certificate has, since clients check the name."""
    same = [host, "localhost"] if _is_loopback(host) else [host]
    usable = [name for name in known if "*" not in name]
    return next((name for name in same if name in usable), usable[0] if usable else host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names(cert: str) -> list[str]:
    """The names and addresses in the first certificate of a file."""
    decode = getattr(ssl, "_ssl")._test_decode_cert  # noqa: B009 - the only function of the library that reads a certificate
    try:
        found: dict[str, Any] = decode(cert)
    except OSError:
        return []
    return [str(name) for kind, name in found.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]


def trusting(server: Server) -> ssl.SSLContext | None:
    """The context for a connection to this proxy, which trusts the proxy's own certificate; None if it has no TLS."""
    if not server.tls_cert:
        return None
    context = ssl.create_default_context(cafile=server.tls_cert)
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context
