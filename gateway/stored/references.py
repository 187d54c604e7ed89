"""What a request names that an upstream keeps under the proxy's own key: uploaded files, and Gemini's cached contents.

The upstream sees one key for all clients, so that whoever names a file has the model read it. Where there are several
clients, a request may name only what its own client has made, as at the files' own addresses: what nothing is known of
may be anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translate.failures.errors import ApiError
from translate.json.json_fields import list_of, object_of, text_of

_MARKS = (
    b'"file_id"', b'"file_ids"', b'"cachedContent"', b'"cached_content"',
    b"\\u004", b"\\u005", b"\\u006", b"\\u007",  # letters as escapes: a field's name may hold them, too
)  # fmt: skip
_PLAIN_MARKS = b'"file_id', b'"cached'
_FILES = frozenset(("computer_screenshot", "container_upload", "input_file", "input_image"))
_WITH_SOURCE = frozenset(("document", "image"))
_WITH_FILES = ("container", "environment")  # fields that hold files to put there
_WITHOUT_TYPE = ("images", "input_image_mask", "mask")  # fields that hold a file without the word what it is
_CALLS = frozenset(("mcp_tool_use", "server_tool_use", "tool_use"))
# Fields of what has words of its own: a tool's schema, its arguments, its results. Those of a call stand in its input.
_OF_TOOLS = frozenset(("args", "arguments", "input_schema", "parameters", "response", "schema", "source"))
_OF_CALLS = _OF_TOOLS | {"input"}


def may_be_in(body: bytes) -> bool:
    return any(body.rfind(mark) >= 0 for mark in _MARKS)


def are_plainly_in(body: bytes) -> bool:
    """The same for who hides nothing: most requests name nothing, and few marks are sought in a moment."""
    return any(body.rfind(mark) >= 0 for mark in _PLAIN_MARKS)


def named(body: dict[str, Any]) -> list[str]:
    """The ids, each once, of a request in any protocol."""
    cached = text_of(body, "cachedContent") or text_of(body, "cached_content")
    return [*dict.fromkeys(id for id in (cached, *_of(body)) if id)]


def unknown(id: str) -> ApiError:
    """The refusal of a request that names what its client has not made."""
    why = "with several clients, each may name what it has made through this proxy"
    return ApiError("not_found", f"no '{id[:200]}' of this client is known; {why}")


def _of(body: dict[str, Any]) -> Iterator[str]:
    variables = object_of(object_of(body, "prompt"), "variables")  # whose names are anybody's, also those of _OF_TOOLS
    waiting: list[Any] = [body, *variables.values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            kind = text_of(value, "type")
            yield from _of_part(value, kind)
            # What calls itself a call may be a whole message, or the request: only a call's own field is left out.
            left = _OF_CALLS if kind in _CALLS and value is not body else _OF_TOOLS
            waiting += [item for key, item in value.items() if key not in left and isinstance(item, dict | list)]
            if kind == "document":  # it may hold parts
                waiting.append(object_of(value, "source").get("content"))


def _of_part(part: dict[str, Any], kind: str) -> Iterator[str]:
    if kind in _FILES:
        yield text_of(part, "file_id")
    elif kind == "file":
        yield text_of(object_of(part, "file"), "file_id")
        yield text_of(part, "file_id")  # Mistral's
    elif kind in _WITH_SOURCE:
        yield text_of(object_of(part, "source"), "file_id")
    for field in _WITH_FILES:
        if field in part:
            yield from (id for id in list_of(object_of(part, field), "file_ids") if isinstance(id, str))
    for field in _WITHOUT_TYPE:
        if field in part:
            held = part[field] if isinstance(part[field], list) else [part[field]]
            yield from (text_of(each, "file_id") for each in held if isinstance(each, dict))
