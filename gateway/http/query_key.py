"""A key that a client sends in its query string, as Google's API allows: it is moved to the header where keys belong.

So it is checked like any other key, and goes neither to an upstream nor into a log with the rest of the query.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from tornado.httputil import HTTPHeaders

MAX_LENGTH = 8192  # characters of a query that is searched; a longer one is refused later


def moved(target: str, headers: HTTPHeaders, parameter: str, header: str) -> str:
    """Returns the request's target without the parameter, whose value is in `headers` from now on, unless the header
    was there already."""
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
