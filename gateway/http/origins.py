"""Web pages that may come in with a client's key: [server] origins, and what browsers want to be told of it (CORS).

A page that brings a key is none that merely happens to be open in somebody's browser. Nothing here stands for the key:
it only lets a browser ask, and the page read the answer. Cookies are never spoken of, since none are served.
https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tornado.httputil import HTTPHeaders

from operate.settings.load import Settings
from translate.errors import ApiError

METHODS = "GET, HEAD, POST, DELETE"
# "*" stands for all of them where no cookies are sent, in browsers that know it.
EXPOSED = "request-id, x-request-id, retry-after, retry-after-ms, x-should-retry, x-proxy-upstream, x-proxy-dropped, *"
MAX_AGE_S = 600
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_SENDABLE = re.compile(r"[\x21-\x7e]{1,500}")


class Origins:
    """Without a [client] there is none: then everybody who can ask would be let in."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.server.origins if settings.clients else ())
        self._any = "*" in self._allowed

    def __repr__(self) -> str:
        return f"<Origins {', '.join(sorted(self._allowed)) or 'none'}>"

    def allow(self, origin: str, by_name: bool = False) -> bool:
        """by_name: what admins see is not for any page, but for those that the settings name."""
        if not self._allowed or not _SENDABLE.fullmatch(origin):
            return False
        low = origin.lower()
        scheme, marks, _ = low.partition("://")
        return (self._any and not by_name) or low in self._allowed or f"{scheme}{marks}*" in self._allowed

    def told(self, headers: HTTPHeaders) -> Iterator[tuple[str, str]]:
        """Returns the headers of every reply to this request. `headers` are the request's."""
        if not self._allowed:
            return
        yield "Vary", "Origin"
        origin = headers.get("Origin", "")
        if self.allow(origin):
            yield "Access-Control-Allow-Origin", origin
            yield "Access-Control-Expose-Headers", EXPOSED

    def lines(self, headers: HTTPHeaders) -> bytes:
        return "".join(f"{name}: {value}\r\n" for name, value in self.told(headers)).encode("latin-1")

    def preflight(self, headers: HTTPHeaders) -> Iterator[tuple[str, str]]:
        """The answer to a browser that asks before it sends. Raises ApiError (403)."""
        if not self.allow(headers.get("Origin", "")):
            raise refusal(headers.get("Origin", ""))
        yield "Access-Control-Allow-Methods", METHODS
        asked = headers.get("Access-Control-Request-Headers", "")
        if _TOKENS.fullmatch(asked) and len(asked) < 4096:
            yield "Access-Control-Allow-Headers", asked
        if headers.get("Access-Control-Request-Private-Network") == "true":
            yield "Access-Control-Allow-Private-Network", "true"
        yield "Access-Control-Max-Age", str(MAX_AGE_S)


def asks_before(method: str | None, headers: HTTPHeaders) -> bool:
    """Tells whether a request is such a question."""
    return method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers


def refusal(origin: str) -> ApiError:
    shown = "".join(c if c.isprintable() else "?" for c in origin[:100])
    message = (
        f"requests from web pages are refused (Origin: {shown}); [server] origins in settings.ini names those that may "
        "come in with the key of a [client]"
    )
    return ApiError("permission", message)
