"""What the head of a request must be before anybody looks at the rest (RFC 9112): said by whom it is for, and where it
ends said in one way only.

Tornado refuses what two readers may take for two things: Content-Length beside Transfer-Encoding, lengths that differ,
codings other than a single `chunked`, folded lines, blanks before a colon, control characters. It lets the rest
through that is refused here, after which the connection closes: what follows on it may be the body of one reader's
request, and another one's next request.
"""

from __future__ import annotations

import re

from tornado.httputil import HTTPHeaders, RequestStartLine

from translate.errors import ApiError

MAX_FIELDS = 200  # header lines of a request
MAX_TARGET = 16_384  # characters of a request's target
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.I | re.S)
_VISIBLE = re.compile(r"[\x21-\x7e\x80-\xff]+")


def check(line: RequestStartLine, headers: HTTPHeaders) -> None:
    """Raises ApiError (400, 414, 431): the connection is to be closed after it."""
    if line.version == "HTTP/1.0":
        if "Transfer-Encoding" in headers:  # RFC 9112, section 6.1: faulty framing
            raise _refusal("Transfer-Encoding is not for HTTP/1.0: its body has no end that all would see")
    elif "Host" not in headers:  # RFC 9112, section 3.2
        raise _refusal("the Host header is missing, which HTTP/1.1 asks for")
    if "Host" in headers and "," in headers["Host"]:  # several lines of it, which Tornado joins
        raise _refusal("Host: one is expected")
    if len(line.path) > MAX_TARGET:
        raise ApiError("invalid_request", f"the request's target is longer than {MAX_TARGET} characters", 414)
    if not _VISIBLE.fullmatch(line.path):
        raise _refusal("the request's target holds characters that must be percent-encoded")
    if len(headers) > MAX_FIELDS:
        raise ApiError("invalid_request", f"the request has more than {MAX_FIELDS} different headers", 431)


def in_origin_form(line: RequestStartLine, headers: HTTPHeaders) -> RequestStartLine:
    """The line of a request that names this server in its target, as those to a proxy do (RFC 9112, section 3.2.2), as
    others say it. The target's authority counts instead of the Host."""
    if line.path.startswith("/") or not (found := _ABSOLUTE.fullmatch(line.path)):
        return line
    headers["Host"] = found[1]
    rest = found[2].partition("#")[0]
    return line._replace(path=rest if rest.startswith("/") else f"/{rest}")


def _refusal(message: str) -> ApiError:
    return ApiError("invalid_request", message, 400)
