"""The query string of a request to an upstream: it has the API's own parameters of the client's query, and no others.

Upstreams act on parameters that the proxy does not know, log them, and repeat them in error pages. An unknown parameter
is refused with its name, so that nothing is dropped silently.

Google's API allows a key there. It is moved to the header where keys belong: so it is checked like any other key, and
goes neither to an upstream nor into a log with the rest of the query.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from tornado.httputil import HTTPHeaders

from translate.failures.errors import BadRequest

MAX_LENGTH = 8192  # characters
MAX_PARAMETERS = 64
KNOWN = frozenset(
    ("beta", "include", "include[]", "stream", "starting_after", "include_obfuscation", "after", "before", "limit",
     "order", "after_id", "before_id", "page", "ids", "ids[]", "scope_id", "api-version", "purpose", "alt", "$alt",
     "prettyPrint", "pageSize", "pageToken", "updateMask")
)  # fmt: skip


def onward(url: str, query: str, let_through: tuple[str, ...] = ()) -> str:
    """The upstream's URL with the client's query; parameters that the URL has itself stay as they are. let_through: the
    further names that the settings allow. Raises BadRequest."""
    if not query:
        return url
    own = {name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    passed = [(name, value) for name, value in _parameters(query, let_through) if name not in own]
    if not passed:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(passed, safe='[]', quote_via=quote)}"


def _parameters(query: str, let_through: tuple[str, ...]) -> list[tuple[str, str]]:
    if len(query) > MAX_LENGTH:
        raise BadRequest(f"the query string is longer than {MAX_LENGTH} characters")
    try:
        found = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise BadRequest(f"the query string has more than {MAX_PARAMETERS} parameters") from None
    for name, value in found:
        if name not in KNOWN and name not in let_through:
            shown = "".join(c if c.isprintable() else "?" for c in name[:50])
            raise BadRequest(
                f"query parameter '{shown}' is not one of the API's; keys belong in headers, and [upstream NAME] "
                "query in "
                "settings.ini allows further parameters",
                shown,
            )
        if not value.isprintable():
            raise BadRequest(f"query parameter '{name}' has a control character", name)
    return found


def without_key(target: str, headers: HTTPHeaders, parameter: str, header: str) -> str:
    """Returns the request's target without the parameter, whose value is in `headers` from now on, unless the header
    was there already. A query that is too long to be searched is refused later."""
    path, _, query = target.partition("?")
    if not parameter or f"{parameter}=" not in query or len(query) > MAX_LENGTH:
        return target
    said = parse_qsl(query, keep_blank_values=True)
    keys = [value for name, value in said if name == parameter]
    if not keys:
        return target
    if header not in headers and keys[0].isprintable() and keys[0].isascii():
        headers.add(header, keys[0])
    rest = [(name, value) for name, value in said if name != parameter]
    return f"{path}?{urlencode(rest)}" if rest else path
