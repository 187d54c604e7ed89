"""How large a request's body may be: before and after it is unpacked, and by what its head says."""

from __future__ import annotations

from tornado.httputil import HTTPHeaders

from translate.errors import ApiError


def check_size(size: int, limit: int, what: str = "") -> None:
    """Raises ApiError (413)."""
    if size > limit:
        raise too_large(limit, what)


def too_large(limit: int, what: str = "") -> ApiError:
    return ApiError("too_large", f"request body over {limit >> 20} MB{what} ([server] max_body_mb)")


def check_length(client: HTTPHeaders, limit: int) -> None:
    """Does the same by the Content-Length, before any of the body is there. Tornado refuses a value that is no
    number."""
    length = client.get("Content-Length", "")
    if length.isdecimal() and length.isascii():
        check_size(int(length[:20]), limit)
