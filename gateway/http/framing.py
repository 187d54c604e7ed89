"""Checks the head of a request (RFC 9112): it must be clear for which host it is, and where its body ends.

It is stricter than Tornado and than the RFC if two readers could understand the same bytes in different ways: lines end
in CRLF only, there is one Content-Length or one `Transfer-Encoding: chunked`, and one valid Host. After a refusal the
connection closes, because the following bytes may be a body for one reader and a new request for another.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine

from gateway.http import header_lines, hosts
from gateway.http.header_lines import Headers
from translate import late
from translate.failures.errors import ApiError

MAX_TARGET = 16_384  # the most characters of a request's target
MAX_LENGTH_DIGITS = 18
MOST_SHOWN = 100  # characters of a host
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rf"({_TOKEN}) ([\x21\x22\x24-\x7e\x80-\xff]+) (HTTP/1\.[0-9])")
_TLS = b"\x16\x03"  # a handshake begins so
_LATER = re.compile(r" HTTP/[2-9](?:\.[0-9])?$")
_ABSOLUTE = late.pattern(r"http(s?)://([^/?#]+)(.*)", re.I | re.S)
_LENGTH = re.compile(r"[0-9]+")
_PORT = late.pattern(r":([0-9]+)$")
_NO_PROXY = (
    "this is no HTTP proxy: %s. Leave it out of HTTP_PROXY, HTTPS_PROXY and the like, and set the base URL of your "
    "client to its address (ANTHROPIC_BASE_URL; OPENAI_BASE_URL with /v1 at the end)"
)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


class Most:
    """The bounds of all requests to this process."""

    headers = 200  # lines


def no_port() -> int:
    return 0


def read(head: bytes, port: Callable[[], int] = no_port) -> tuple[RequestStartLine, Headers]:
    """Reads a head -> (the request line in origin form, the headers). port: tells to which one the client has
    connected, 0 = to none. Raises ApiError (400, 405, 413, 414, 421, 431, 501, 505), after which the connection must be
    closed."""
    if head.startswith(_TLS):
        raise _refusal(
            "the client speaks TLS, and this port plain HTTP: use an address that begins with http://, or set [server] "
            "tls_cert"
        )
    ends = head.count(b"\r\n")
    if head.count(b"\n") != ends or head.count(b"\r") != ends:
        raise _refusal("a line of the request's head does not end in CRLF")
    first, _, rest = head.decode("latin-1").lstrip("\r\n").partition("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        if _LATER.search(first):
            raise ApiError("invalid_request", "this server speaks HTTP/1.1 only", 505)
        raise _refusal(
            "the request line is not valid: it must be a method, a target in visible characters, and HTTP/1.1"
        )
    if ends > Most.headers + 2:
        raise ApiError("invalid_request", f"the request has more than {Most.headers} headers ([limits] headers)", 431)
    if len(line[2]) > MAX_TARGET:
        raise ApiError("invalid_request", f"the request's target is longer than {MAX_TARGET} characters", 414)
    try:
        headers = header_lines.read(rest.split("\r\n"))
    except HTTPInputError:  # its message quotes the value, which may be a key
        raise _refusal("a header line is not valid: it must be a name, a colon and a value in one line, without "
                       "control characters") from None  # fmt: skip
    old = first.endswith("1.0")
    if "Transfer-Encoding" in headers:
        _check_coding(headers, old=old)
    elif "Content-Length" in headers:
        _check_length(headers["Content-Length"])
    if "Host" in headers:
        _check_host(headers["Host"])
    elif not old:  # RFC 9112, section 3.2
        raise _refusal("the Host header is missing; HTTP/1.1 requires it")
    if "Expect" in headers:
        _normalize_expectation(headers, old=old)
    target = line[2] if line[2][0] == "/" else _in_origin_form(line[1], line[2], headers, port)
    return RequestStartLine(line[1], target, line[3]), headers


def keeps_alive(connection: str, version: str) -> bool:
    """Whether another request may follow on the connection. connection: the Connection header (RFC 9112, section
    9.3)."""
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" not in options and (version != "HTTP/1.0" or "keep-alive" in options)


def roughly(head: bytes) -> tuple[str, HTTPHeaders]:
    """The target and the headers of a refused head, as far as they can be read: they choose the dialect of the
    refusal."""
    first, *lines = head.decode("latin-1").lstrip("\r\n").split("\n", Most.headers)
    words = first.split(None, 2)
    headers = HTTPHeaders()
    for line in lines:
        name, _, value = line.partition(":")
        try:
            headers.add(name, value.strip())
        except HTTPInputError:
            continue
    return (words[1] if len(words) > 1 else ""), headers


def _check_coding(headers: HTTPHeaders, *, old: bool) -> None:
    """Checks Transfer-Encoding (RFC 9112, sections 6.1 and 6.3). old: the request is HTTP/1.0."""
    if old:
        raise _refusal("Transfer-Encoding is not allowed in HTTP/1.0")
    if "Content-Length" in headers:
        raise _refusal("the request has both Transfer-Encoding and Content-Length; it must have only one of them")
    *others, last = (coding.strip().lower() for coding in headers["Transfer-Encoding"].split(","))
    if last != "chunked" or "chunked" in others or "" in others:
        raise _refusal("Transfer-Encoding must be 'chunked', once")
    if others:
        raise ApiError("invalid_request", "Transfer-Encoding: only 'chunked' is supported", 501)


def _check_length(length: str) -> None:
    if not _LENGTH.fullmatch(length):
        raise _refusal("Content-Length must be one number")
    if len(length) > MAX_LENGTH_DIGITS:
        raise ApiError("too_large", "Content-Length is larger than any body may be")


@functools.lru_cache(maxsize=256)
def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None


def _check_host(host: str) -> None:
    """Checks Host (RFC 9112, section 3.2). Several Host lines are joined by a comma, which no host has."""
    if not _is_host(host):
        raise _refusal("Host must be one name or address, with or without a port")


def _normalize_expectation(headers: HTTPHeaders, *, old: bool) -> None:
    """Writes Expect as Tornado reads it, in lower case, and removes it in HTTP/1.0, where it must be ignored (RFC 9110,
    section 10.1.1)."""
    if old:
        del headers["Expect"]
    elif headers["Expect"].strip().lower() == "100-continue":
        headers["Expect"] = "100-continue"


def _in_origin_form(method: str, target: str, headers: HTTPHeaders, port: Callable[[], int]) -> str:
    """The target in origin form, for one that is a whole URL, as in requests to a proxy (RFC 9112, section
    3.2.2). The host of the URL replaces the Host header. Those who take this for such a proxy are told."""
    if method == "OPTIONS" and target == "*":
        return target
    if method == "CONNECT":
        _check_host(target)
        raise ApiError("invalid_request", _NO_PROXY % f"it opens no way to {target[:MOST_SHOWN]}", 405)
    if not (found := _ABSOLUTE.fullmatch(target)):
        raise _refusal("the request's target must be a path, or an address that begins with http:// or https://")
    secure, host, path = found.groups()
    _check_host(host)
    own = port()
    if own and not _may_be_ours(host, own, "443" if secure else "80"):
        raise ApiError("invalid_request", _NO_PROXY % f"it fetches nothing from {host[:MOST_SHOWN]}", 421)
    headers["Host"] = host
    return path if path.startswith("/") else f"/{path}"


def _may_be_ours(host: str, port: int, usual: str) -> bool:
    """Whether a URL may mean this server. What its names are is not known, but its port is; who writes none, or the
    usual one, may mean it where the name is this machine's."""
    found = _PORT.search(host)
    named = found[1] if found else usual
    return named == str(port) or (named == usual and hosts.is_local(hosts.name_in(host)))


def _refusal(message: str) -> ApiError:
    return ApiError("invalid_request", message, 400)
