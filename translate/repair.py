"""Ids and names in another provider's alphabet, made acceptable. Used only when a request crosses protocols.

Repairs are deterministic: the same id becomes the same id in every turn and every retry.
"""

from __future__ import annotations

import hashlib
import re

from translate import wire

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
MAX_NAME = 64
WRAPPED = "_raw"  # the key under which an object holds arguments that are none


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


def arguments(text: str) -> str:
    """Returns a call's arguments as servers and templates can read them: what is no object is wrapped into one, and
    kept; half a surrogate pair in an escape is one that their parsers refuse."""
    if not text.strip():
        return "{}"
    try:
        value = wire.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return wire.dumps_text({WRAPPED: text})
    if not _SURROGATE.search(text):
        return text
    written = wire.dumps_text(value)
    whole = wire.whole_characters(written)
    return text if whole == written else whole


def _shortened(given: str, limit: int) -> str:
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return _ODD.sub("_", given)[: limit - 9] + "_" + digest
