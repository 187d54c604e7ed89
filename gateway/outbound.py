"""What is sent upstream, and what is checked before: the client's body and headers made fit to go on.

Bodies are bounded before and after unpacking, since a few bytes may expand to gigabytes. Header lines are the
upstream's own first; the client's go along where they mean the same there, its credentials only where the
settings say that it brings its own.
"""

from __future__ import annotations

import zlib

from tornado.httputil import HTTPHeaders

from gateway import headers
from gateway.access import keys_of
from gateway.routes import Route
from translate.errors import ApiError, BadRequest

_KEY_HEADERS = ("authorization", "x-api-key", "api-key")


def check_size(size: int, limit: int, what: str = "") -> None:
    """Raises ApiError (413)."""
    if size > limit:
        raise ApiError("too_large", f"request body over {limit >> 20} MB{what} ([server] max_body_mb)")


def check_length(client: HTTPHeaders, limit: int) -> None:
    """The same by the Content-Length, before any of the body is there. What is no number is Tornado's to refuse."""
    length = client.get("Content-Length", "")
    if length.isdecimal() and length.isascii():
        check_size(int(length[:20]), limit)


def unpacked(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body without its Content-Encoding. Raises ApiError (400, 413, 415)."""
    if not encoding or encoding.lower() == "identity":
        return body
    if encoding.lower() not in ("gzip", "deflate", "x-gzip"):
        raise ApiError("invalid_request", f"Content-Encoding '{encoding}' is not understood; send gzip or none", 415)
    inflate = zlib.decompressobj(wbits=47)
    try:
        out = inflate.decompress(body, limit + 1)
    except zlib.error as why:
        raise BadRequest(f"the request body is not valid {encoding}: {why}") from None
    check_size(len(out), limit, " when unpacked")
    if not inflate.eof:
        raise BadRequest(f"the request body's {encoding} data ends too soon")
    return out


def header_lines(route: Route, client: HTTPHeaders, same: bool, open_door: bool) -> list[str]:
    """Whole lines. client: its headers. same: upstream and client speak one protocol. open_door: there are no
    [client]s, so that a key that comes along is meant for the upstream."""
    own = route.peer.own_headers[route.protocol]
    settings = route.peer.settings
    if settings.forward_client_key and open_door and (brought := keys_of(client)):
        own = {name: value for name, value in own.items() if name not in _KEY_HEADERS}
        if same:  # both headers as they came: an OAuth token is only good as a Bearer
            for name in ("Authorization", "X-Api-Key"):
                if value := client.get(name):
                    own[name.lower()] = value
        elif route.protocol == "messages":
            own["x-api-key"] = brought[0]
        else:
            own["authorization"] = f"Bearer {brought[0]}"
    if same and route.protocol == "messages" and "Anthropic-Version" in client:
        own = {name: value for name, value in own.items() if name != "anthropic-version"}
    return headers.upstream(client.get_all(), client.get("Connection", ""), own, same)
