"""The chunk that opens a Chat stream: it names the role, and says nothing yet. The one that ends it in failure. And
whole replies that are a failure."""

from __future__ import annotations

from typing import Any

from translate import late
from translate.chat.reply import no_choice
from translate.chat.stop import breakdown
from translate.failures import errors
from translate.json import wire
from translate.json.json_fields import objects_of, text_of

_FINISH = late.pattern(rb'"finish_reason"\s*:\s*"(\w{1,40})"')
_ENDED_WELL = late.pattern(rb'"finish_reason"\s*:\s*"(?:stop|tool_calls|length)"')  # in a text its quotes are escaped
_NO_CHOICES = late.pattern(rb'"choices"\s*:\s*(?:null|\[\s*\])')
LARGEST = 4096  # bytes; Azure's has what its filter thinks of the prompt


def opens(name: bytes, data: bytes) -> bool:
    """Tells whether a chunk says nothing yet."""
    chunk = _chunk(data)
    choices = chunk.get("choices")
    if not isinstance(choices, list) or chunk.get("error") or (not choices and errors.of_object(chunk) is not None):
        return False
    return all(_is_empty(choice) and not choice.get("finish_reason") for choice in choices)


def fails(name: bytes, data: bytes) -> errors.ApiError | None:
    """Returns the error of a chunk that ends a reply in failure before it has said anything (OpenRouter)."""
    chunk = _chunk(data) if b'"finish_reason"' in data else {}
    for choice in objects_of(chunk, "choices"):
        if _is_empty(choice) and (error := breakdown(text_of(choice, "finish_reason"))) is not None:
            return errors.of_object(chunk) or errors.of_object(choice) or error
    return None


def broken(body: bytes) -> errors.ApiError | None:
    """Returns why a whole reply under status 200 is none: it tells an error (OpenRouter, at each of three places), or
    has neither a choice nor a usage. Most replies take two searches."""
    if body.rfind(b'"error"') < 0 and _ENDED_WELL.search(body) is not None:
        return None
    suspect = b'"error"' in body or _NO_CHOICES.search(body) is not None
    if not suspect and not any(breakdown(word.decode()) for word in _FINISH.findall(body)):
        return None
    try:
        reply = wire.loads(body)
    except ValueError:
        return None
    if not isinstance(reply, dict):
        return None
    if reply.get("error") and (error := errors.of_object(reply)) is not None:
        return error
    for choice in objects_of(reply, "choices")[:1]:
        error = errors.of_object(choice) if choice.get("error") else breakdown(text_of(choice, "finish_reason"))
        if error is not None:
            return error
    is_empty = "choices" in reply and not reply["choices"] and not reply.get("usage")
    return no_choice(reply) if is_empty else None


def _chunk(data: bytes) -> dict[str, Any]:
    """Returns the chunk, {} if it is large or is none."""
    if len(data) > LARGEST or data.lstrip()[:1] != b"{":
        return {}
    try:
        chunk = wire.loads(data)
    except ValueError:
        return {}
    return chunk if isinstance(chunk, dict) else {}


def _is_empty(choice: Any) -> bool:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    return isinstance(delta, dict) and not any(value for name, value in delta.items() if name != "role")
