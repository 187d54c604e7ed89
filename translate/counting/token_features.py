"""Numbers about a request that determine its tokens. They are few, so that some hundred replies are enough to fit their
weights.

A vocabulary cuts a text at words, digits, signs and line breaks, and every protocol adds a frame for a message, a part,
a field and a tool. What each of these costs differs from model to model, and is learned (gateway/counting/calibration).
A long text is measured by samples, so that the time has a limit.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from translate import recurring
from translate.counting import tokens

_WORDS = re.compile(r"[A-Za-z]+")
_LONG = re.compile(r"[A-Za-z]{7,}")
_DIGITS = re.compile(r"\d{1,3}")
_SIGNS = re.compile(r"[!-/:-@\[-`{-~]{1,2}")
_SPACE = re.compile(r"\s{2,}|\n")
_WIDE = re.compile(r"[^\x00-\x7f]+")

SAMPLED = 48 * 1024  # characters of a text that are looked at, a third each at its beginning, middle and end
PIECE = 4.0  # letters of a further piece of a long word

_SKIPPED = frozenset(
    {"cache_control", "signature", "encrypted_content", "id", "call_id", "tool_use_id", "tool_call_id"}
)
_UNSEEN_KEYS = frozenset({
    "previous_response_id", "conversation", "container", "mcp_servers", "prompt", "context_management", "thread",
})  # fmt: skip
_UNSEEN_IN_PARTS = frozenset({"file_id", "encrypted_content"})
_OWN_KINDS = frozenset({"function", "custom", "object", "string", "array", "number", "integer", "boolean", "null"})
_TEXT_KINDS = frozenset({
    "text", "input_text", "output_text", "message", "tool_use", "tool_result", "function_call", "function_call_output",
    "json_schema", "json_object", "auto", "any", "tool", "refusal", "summary_text", "tool_calls", "enabled", "disabled",
    "adaptive", "ephemeral",
})  # fmt: skip

TURNS = ("messages", "input")
PARTS = (*TURNS, "system", "instructions", "tools", "functions", "response_format", "output_config", "text")


class Features(NamedTuple):
    """The features of a message, or a whole request. media: tokens of images and the like, by
    translate/counting/tokens.py. unseen: it has something whose tokens cannot be known here, such as a tool of the
    server."""

    base: float = 0.0
    messages: float = 0.0
    parts: float = 0.0
    words: float = 0.0
    long: float = 0.0
    digits: float = 0.0
    signs: float = 0.0
    space: float = 0.0
    wide: float = 0.0
    fields: float = 0.0
    tools: float = 0.0
    has_tools: float = 0.0
    media: float = 0.0
    unseen: float = 0.0

    def plus(self, other: Features) -> Features:
        return Features(*map(sum, zip(self, other, strict=True)))


NAMES = Features._fields[:-2]
"""The features that a model's weights are for."""


def of_body(body: dict[str, Any]) -> Features:
    """Of a request of any protocol. Of a long history, only what is new is looked at (see recurring.py)."""
    found: list[Features] = []
    for value in map(body.get, PARTS):
        if isinstance(value, list):
            found += [recurring.of(item, measured) for item in value]
        elif value is not None:
            found.append(measured(value))
    count = next((len(turns) for turns in map(body.get, TURNS) if isinstance(turns, list)), 1)
    tools = body.get("tools") or body.get("functions")
    own = Features(
        base=1.0, messages=count, tools=len(tools) if isinstance(tools, list) else 0.0, has_tools=float(bool(tools)),
        unseen=float(any(body.get(key) for key in _UNSEEN_KEYS)),
    )  # fmt: skip
    return Features(*map(sum, zip(own, *found, strict=True)))


def measured(value: Any) -> Features:
    """Of a message, an item, a tool, a text."""
    texts: list[str] = []
    counts = [0, 0, 0.0, 0]  # parts, fields, media, unseen
    _walk(value, texts, counts)
    words = long = digits = signs = space = wide = 0.0
    for text, scale in map(_sampled, texts):
        found = _LONG.findall(text)
        words += len(_WORDS.findall(text)) * scale
        long += (sum(map(len, found)) - 6 * len(found)) / PIECE * scale
        digits += len(_DIGITS.findall(text)) * scale
        signs += len(_SIGNS.findall(text)) * scale
        space += len(_SPACE.findall(text)) * scale
        if not text.isascii():
            wide += sum(map(len, _WIDE.findall(text))) * scale
    parts, fields, media, unseen = counts
    return Features(0.0, 0.0, parts, words, long, digits, signs, space, wide, fields, 0.0, 0.0, media, unseen)


def _sampled(text: str) -> tuple[str, float]:
    if len(text) <= SAMPLED:
        return text, 1.0
    each, middle = SAMPLED // 3, len(text) // 2
    sample = text[:each] + text[middle : middle + each] + text[-each:]
    return sample, len(text) / len(sample)


def _walk(value: Any, texts: list[str], counts: list[Any]) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list):
        for item in value:
            _walk(item, texts, counts)
    elif isinstance(value, dict):
        kind = value.get("type")
        if isinstance(kind, str) and kind not in _OWN_KINDS and kind not in _TEXT_KINDS:
            if tokens.is_media(value):
                counts[2] += tokens.of_media(value)
            counts[3] += 1
            return
        counts[0] += 1
        for key, item in value.items():
            if key in _UNSEEN_IN_PARTS and isinstance(kind, str) and kind in _TEXT_KINDS:
                counts[3] += 1
            elif key not in _SKIPPED:
                counts[1] += 1
                _walk(item, texts, counts)
    else:
        counts[1] += 1
