"""Makes ids and names acceptable to a provider with another alphabet. Used only when a request crosses protocols.

Repairs are deterministic: the same id becomes the same id in every turn and every retry.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from translate.json import wire

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
MAX_NAME = 64
WRAPPED = "_raw"  # the key under which an object holds arguments that are none
_MOST_QUOTED = 4  # strings within strings, and the object in the last


def tool_id(given: str, limit: int = 64) -> str:
    """Returns an id that matches ^[a-zA-Z0-9_-]+$; a changed one carries a hash, so that two never meet."""
    if given and len(given) <= limit and not _ODD.search(given):
        return given
    return _shortened(given, limit)


def tool_name(given: str) -> str:
    """Returns a name that matches ^[a-zA-Z0-9_-]{1,64}$."""
    if given and len(given) <= MAX_NAME and not _ODD.search(given):
        return given
    return _shortened(given, MAX_NAME)


def flat_name(namespace: str, name: str) -> str:
    """Returns the name of a tool in a namespace for a model that knows no namespaces; see tools/bridge.py."""
    return tool_name(f"{namespace}__{name}" if namespace else name)


def arguments(text: str) -> str:
    """Returns a call's arguments as servers and templates can read them: those of an object (see `as_object`), as they
    are where they can stay; half a surrogate pair in an escape is one that their parsers refuse."""
    value = as_object(text)
    is_itself = text.lstrip().startswith("{") and value != {WRAPPED: text}
    if is_itself and not _SURROGATE.search(text):
        return text
    written = wire.dumps_text(value)
    whole = wire.whole_characters(written)
    return text if is_itself and whole == written else whole


def as_object(text: str) -> dict[str, Any]:
    """Returns a call's arguments as an object. Arguments that say nothing are an empty one: clients and models write
    null where there are none, and PHP an empty list. An object within a string is that object, as some write it.
    Anything else that is no object (cut off, free text) is wrapped into one and never dropped, so that the model's
    words reach the error message of the tool."""
    inner = text
    for _ in range(_MOST_QUOTED):
        try:
            value = wire.loads(inner) if inner.strip() else None
        except ValueError:
            break
        if isinstance(value, dict):
            return value
        if value is None or value == []:
            return {}
        if not isinstance(value, str):
            break
        inner = value
    return {WRAPPED: text}


def _shortened(given: str, limit: int) -> str:
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return _ODD.sub("_", given)[: limit - 9] + "_" + digest
