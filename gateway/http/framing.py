"""What the head of a request must be before anybody looks at the rest (RFC 9112): whom it is for, and where it ends,
said in one way only.

It is stricter than Tornado, and than the RFC, wherever two readers could take the same bytes for two things: lines end
in CRLF and in nothing else, there is one Content-Length or one `Transfer-Encoding: chunked`, one Host that is a host.
After a refusal the connection closes: what follows on it may be the body of one reader's request, and another one's
next request.
"""

from __future__ import annotations

import functools
import re

from tornado.httputil import HTTPHeaders, HTTPInputError

from gateway.http import header_lines
from translate.errors import ApiError

MAX_FIELDS = 200  # header lines of a request
MAX_TARGET = 16_384  # characters of a request's target
MAX_LENGTH_DIGITS = 18
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rf"({_TOKEN}) ([\x21\x22\x24-\x7e\x80-\xff]+) HTTP/1\.[0-9]")
_LATER = re.compile(r" HTTP/[2-9](?:\.[0-9])?$")
_ABSOLUTE = re.compile(r"https?://([^/?#]+)(.*)", re.I | re.S)
_LENGTH = re.compile(r"[0-9]+")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


def read(head: bytes) -> tuple[str, HTTPHeaders]:
    """Returns the request's line, in origin form, and its headers. Raises ApiError (400, 413, 414, 431, 501, 505): the
    connection is to be closed after it."""
    ends = head.count(b"\r\n")
    if head.count(b"\n") != ends or head.count(b"\r") != ends:
        raise _refusal("a line of the request's head ends in something other than CRLF")
    first, _, rest = head.decode("latin-1").lstrip("\r\n").partition("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        if _LATER.search(first):
            raise ApiError("invalid_request", "only HTTP/1.1 is spoken here", 505)
        raise _refusal("that is no request of HTTP/1.1: a method, a target in visible characters, and HTTP/1.1 are due")
    if ends > MAX_FIELDS + 2:
        raise ApiError("invalid_request", f"the request has more than {MAX_FIELDS} headers", 431)
    if len(line[2]) > MAX_TARGET:
        raise ApiError("invalid_request", f"the request's target is longer than {MAX_TARGET} characters", 414)
    try:
        headers = header_lines.read(rest.split("\r\n"))
    except HTTPInputError:  # its words quote the value, which may be a key
        raise _refusal("a line of the request's head is no header: a name, a colon, and a value in one line, without "
                       "control characters") from None  # fmt: skip
    old = first.endswith("1.0")
    if "Transfer-Encoding" in headers:
        _check_coding(headers, old=old)
    elif "Content-Length" in headers:
        _check_length(headers["Content-Length"])
    if "Host" in headers:
        _check_host(headers["Host"])
    elif not old:  # RFC 9112, section 3.2
        raise _refusal("the Host header is missing, which HTTP/1.1 asks for")
    if "Expect" in headers:
        _normalize_expectation(headers, old=old)
    return (first if line[2][0] == "/" else _in_origin_form(line[1], line[2], first, headers)), headers


def keeps_alive(connection: str, version: str) -> bool:
    """Whether another request may follow. connection: the header of that name, a list (RFC 9112, section 9.3)."""
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" not in options and (version != "HTTP/1.0" or "keep-alive" in options)


def roughly(head: bytes) -> tuple[str, HTTPHeaders]:
    """Returns the target and the headers of a head that is refused, as far as they can be told: a refusal is said in
    the words of whoever seems to ask."""
    first, *lines = head.decode("latin-1").lstrip("\r\n").split("\n", MAX_FIELDS)
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
    """RFC 9112, sections 6.1 and 6.3."""
    if old:
        raise _refusal("Transfer-Encoding is not for HTTP/1.0: its body has no end that all would see")
    if "Content-Length" in headers:
        raise _refusal("Transfer-Encoding and Content-Length: one of them is expected")
    *others, last = (coding.strip().lower() for coding in headers["Transfer-Encoding"].split(","))
    if last != "chunked" or "chunked" in others or "" in others:
        raise _refusal("Transfer-Encoding: 'chunked' is expected, once")
    if others:
        raise ApiError("invalid_request", "Transfer-Encoding: only 'chunked' is served here", 501)


def _check_length(length: str) -> None:
    if not _LENGTH.fullmatch(length):
        raise _refusal("Content-Length: one number is expected")
    if len(length) > MAX_LENGTH_DIGITS:
        raise ApiError("too_large", "Content-Length: that is more than any body may have")


@functools.lru_cache(maxsize=256)
def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None


def _check_host(host: str) -> None:
    """RFC 9112, section 3.2. Several lines of it are joined by a comma, which no host has."""
    if not _is_host(host):
        raise _refusal("Host: one name or address is expected, with a port or without")


def _normalize_expectation(headers: HTTPHeaders, *, old: bool) -> None:
    """Tornado knows it in lower case only, and in HTTP/1.0 too, where it is to be ignored (RFC 9110, 10.1.1)."""
    if old:
        del headers["Expect"]
    elif headers["Expect"].strip().lower() == "100-continue":
        headers["Expect"] = "100-continue"


def _in_origin_form(method: str, target: str, first: str, headers: HTTPHeaders) -> str:
    """The line of a request that names this server in its target, as those to a proxy do (RFC 9112, section 3.2.2), as
    others say it. The target's authority counts instead of the Host."""
    if method == "CONNECT" or (method == "OPTIONS" and target == "*"):
        return first
    if not (found := _ABSOLUTE.fullmatch(target)):
        raise _refusal("the request's target is neither a path nor an address that begins with http:// or https://")
    _check_host(found[1])
    headers["Host"] = found[1]
    rest = found[2] if found[2].startswith("/") else f"/{found[2]}"
    return f"{method} {rest} {first.rpartition(' ')[2]}"


def _refusal(message: str) -> ApiError:
    return ApiError("invalid_request", message, 400)
