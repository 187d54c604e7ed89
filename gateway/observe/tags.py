"""Tags: words that a client adds to its requests, such as a team or a project; the records have them.

The settings name the tags that are taken ([logging] tags). Each comes from the header X-Proxy-Tags, or else from the
`metadata` of the request's body. What a client may fill the logs with is bounded by that list and by MAX_VALUE.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

from gateway.flow.client_request import ClientRequest
from operate.plain import of_header, plain
from translate.failures.errors import BadRequest

HEADER = "X-Proxy-Tags"
ANY = "*"
MAX_TAGS = 16
MAX_VALUE = 200  # characters
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Tags:
    """names: those that are taken; * = all that the header has."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names[:MAX_TAGS]
        self._any = ANY in names

    def __repr__(self) -> str:
        return f"<Tags {', '.join(self._names)}>"

    def of(self, request: ClientRequest) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for pair in request.headers.get(HEADER, "").split(","):
            name, equals, value = pair.partition("=")
            name = name.strip()
            if equals and len(found) < MAX_TAGS and (name in self._names or (self._any and _is_name(name))):
                found[name] = of_header(value.strip())[:MAX_VALUE]
        lacking = [name for name in self._names if name not in found and name != ANY]
        if lacking and b'"metadata"' in request.body:
            with contextlib.suppress(BadRequest):  # the request itself will be refused for that, where it matters
                metadata = request.parsed().get("metadata")
                if isinstance(metadata, dict):
                    known = ((name, metadata.get(name)) for name in lacking)
                    found |= {name: _value(value) for name, value in known if isinstance(value, str)}
        return {name: value for name, value in found.items() if value}


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _value(text: str) -> str:
    return plain(text.strip()[:MAX_VALUE])
