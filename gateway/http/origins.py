"""Web pages that may use the proxy with a client's key: [server] origins, and the headers for browsers (CORS).

A page with a key was not opened by chance. These rules do not replace the key: they only let a browser send a request,
and the page read the reply. Cookies are not allowed, since the proxy uses none.
Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tornado.httputil import HTTPHeaders

from operate.settings.load import Settings
from translate.failures.errors import ApiError

METHODS = "GET, HEAD, POST, PATCH, DELETE"
# "*" means all headers, in browsers that know it, for requests without cookies.
EXPOSED = "request-id, x-request-id, retry-after, retry-after-ms, x-should-retry, x-proxy-upstream, x-proxy-dropped, *"
MAX_AGE_S = 600
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_SENDABLE = re.compile(r"[\x21-\x7e]{1,500}")


class Origins:
    """The origins of the settings. Without a [client] no page is allowed, since then no key is needed."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.server.origins if settings.clients else ())
        self._any = "*" in self._allowed

    def __repr__(self) -> str:
        return f"<Origins {', '.join(sorted(self._allowed)) or 'none'}>"

    def allow(self, origin: str, by_name: bool = False) -> bool:
        """Whether pages of this origin are allowed. by_name: "*" does not count, as for what only admins may see."""
        if not self._allowed or not _SENDABLE.fullmatch(origin):
            return False
        low = origin.lower()
        scheme, marks, _ = low.partition("://")
        return (self._any and not by_name) or low in self._allowed or f"{scheme}{marks}*" in self._allowed

    def told(self, headers: HTTPHeaders) -> Iterator[tuple[str, str]]:
        """The further headers of every reply to a request. headers: those of the request."""
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
        """The headers of the reply to a preflight request. Raises ApiError (403)."""
        if not self.allow(headers.get("Origin", "")):
            raise refusal(headers.get("Origin", ""))
        yield "Access-Control-Allow-Methods", METHODS
        asked = headers.get("Access-Control-Request-Headers", "")
        if _TOKENS.fullmatch(asked) and len(asked) < 4096:
            yield "Access-Control-Allow-Headers", asked
        if headers.get("Access-Control-Request-Private-Network") == "true":
            yield "Access-Control-Allow-Private-Network", "true"
        yield "Access-Control-Max-Age", str(MAX_AGE_S)


def is_of_another_page(headers: HTTPHeaders) -> bool:
    """Whether a page that is not the proxy's own has a browser send this. Pages of other servers on this machine count:
    another port is another origin, and a server for development may run the scripts of strangers. What a page only
    links to, or shows as a picture, has no Origin. Pages cannot set these headers; the browser's Sec-Fetch-Site counts
    more than Host, which a reverse proxy may have changed."""
    site = headers.get("Sec-Fetch-Site")
    if site not in (None, "none"):
        return site != "same-origin"
    origin = headers.get("Origin", "")
    return bool(origin) and origin.partition("://")[2].lower() != headers.get("Host", "").lower()


def asks_before(method: str | None, headers: HTTPHeaders) -> bool:
    """Whether a request is a preflight request."""
    return method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers


def refusal(origin: str) -> ApiError:
    shown = "".join(c if c.isprintable() else "?" for c in origin[:100])
    message = (
        f"requests from this web page are refused (Origin: {shown}); [server] origins in settings.ini names the "
        "pages that "
        "may use the key of a [client]"
    )
    return ApiError("permission", message)
