"""Estimates tokens without a tokenizer.

No tokenizer of the current Claude models is public, so the estimate is a ratio of bytes to tokens, by what the bytes
are: JSON and code are denser than prose, and base64 media is not text at all. The result is message_start's
input_tokens until the upstream gives its own count, and it answers count_tokens for an upstream that cannot.
"""

from __future__ import annotations

import re
from typing import Any

from translate import recurring
from translate.streams.pieces import INSIDE

BYTES_PER_TOKEN = 3.6  # English prose with some code: 3.5 to 4.2 with the usual vocabularies
JSON_OVERHEAD = 1.35  # keys, quotes and brackets that estimate() does not count, seen in agents' bodies
IMAGE_TOKENS = 1_500  # Anthropic: width x height / 750, at most about 1,600; others 85 to 1,500
PAGE_BYTES = 50_000  # a PDF's page, roughly, in base64
PAGE_TOKENS = 2_000
AUDIO_BYTES = 2_000  # of base64 are a token: speech takes about ten tokens a second
SOUND_BYTES = AUDIO_BYTES * 3 // 4  # of a file with sound are a token
SPOKEN = 4 / 3  # tokens of sound for a byte of text that is spoken: a second has about 15 letters and 20 tokens
PER_MESSAGE = 4  # role and separators
EVENT_BYTES = 200  # of a stream are a token, where its text cannot be told from its frame
MAX_DEPTH = 6  # content within content is followed so far

_KINDS = frozenset({
    "image", "document", "image_url", "file", "input_image", "input_file", "input_audio", "image_generation_call",
    "computer_screenshot", "video_url", "audio_url",
})  # fmt: skip
_MARKS = (
    b";base64,", b'"base64"', b'"input_audio"', b'"file_data"', b'"image_generation_call"', b'"inlineData"',
    b'"inline_data"',
)  # fmt: skip
_BARE = ("data", "file_data", "result")  # base64 stands here without a field that says so
LEAST_BARE = 500
_BASE64 = re.compile(r"[A-Za-z0-9+/=_-]+")
_SAID = re.compile(
    rb'"(?:text|delta|thinking|partial_json|content|reasoning_content|reasoning|arguments)"\s*:\s*'
    rb'"(%b)"' % INSIDE
)


_COUNTED = (
    "system", "instructions", "messages", "input", "tools", "functions", "response_format", "contents",
    "systemInstruction", "system_instruction", "generateContentRequest", "generate_content_request",
)  # fmt: skip
_HISTORIES = ("messages", "input", "contents")


def _history(body: dict[str, Any]) -> Any:
    for key in _HISTORIES:
        if said := body.get(key):
            return said
    return None


def estimate(body: dict[str, Any]) -> int:
    """Returns the input tokens of a request body of any protocol, at least 1."""
    size = media = 0
    for key in _COUNTED:
        if (value := body.get(key)) is not None:
            for part in value if isinstance(value, list) else (value,):
                s, m = recurring.of(part, _measure)
                size += s
                media += m
    messages = _history(body)
    count = len(messages) if isinstance(messages, list) else 1
    return max(1, round(size / BYTES_PER_TOKEN) + media + PER_MESSAGE * count)


LEAST_TAUGHT = 200  # tokens: a smaller request teaches nothing, because its frame outweighs its words
LEAST_RATIO, MOST_RATIO = 0.3, 3.5  # a ratio beyond them comes from a server that counts something else
LEAST_WEIGHT = 0.1  # the weight of one more reply in the moving average, so that about the last ten count


def teaches(estimated: int, real: int) -> bool:
    """Tells whether an estimate and what was really used say something of the ratio between the two."""
    return estimated >= LEAST_TAUGHT and LEAST_RATIO <= real / estimated <= MOST_RATIO


def moved(ratio: float, seen: int, estimated: int, real: int) -> float:
    """Returns the ratio of real tokens to estimated ones, after one more reply. seen: how many made the ratio given."""
    return ratio + (real / estimated - ratio) * max(LEAST_WEIGHT, 1 / (seen + 1))


def of_size(size: int) -> int:
    """Returns a rough count for a body of so many bytes, without a look at it."""
    return max(1, round(size / (BYTES_PER_TOKEN * JSON_OVERHEAD)))


def quick(body: dict[str, Any], raw: bytes) -> int:
    """Returns the same from the body's length, less its media: a walk through a quarter of a megabyte would cost more
    than its translation. For the bodies of coding agents, the result is within a tenth of `estimate`. raw: what `body`
    was read from."""
    history = _history(body)
    recurs = isinstance(history, list) and recurring.Recurring in map(type, history)
    return sum(measured(body, len(raw))) if recurs or has_media(raw) else of_size(len(raw))


def measured(body: dict[str, Any], size: int) -> tuple[int, int]:
    """Returns (tokens of the text, tokens of the media) of a body of so many bytes."""
    data = media = 0
    history = _history(body)
    for part in history if isinstance(history, list) else ():
        d, t = recurring.of(part, _media_of)
        data += d
        media += t
    return of_size(max(0, size - data)), media


def has_media(raw: bytes) -> bool:
    """Tells whether a body may hold media. Within a text the words would be escaped. Most bodies have none, and then
    rfind takes half the time of `in`."""
    for mark in _MARKS:  # noqa: SIM110  # any() takes twice as long, and every request is asked
        if raw.rfind(mark) >= 0:
            return True
    return False


def of_reply(sample: bytes, size: int) -> int:
    """Returns the output tokens of a stream of so many bytes that has not told them. sample: a part of it. Each event
    is at least one token, and its frame is none."""
    said = [match.group(1) for match in _SAID.finditer(sample)]
    if not said:
        return round(size / EVENT_BYTES)
    return round(sum(max(1.0, len(text) / BYTES_PER_TOKEN) for text in said) * max(1.0, size / len(sample)))


def _media_of(part: Any, depth: int = 0) -> tuple[int, int]:
    """Returns (bytes, tokens) of the media in a message, an item or a part, those in tools' results included."""
    if not isinstance(part, dict):
        return 0, 0
    if is_media(part):
        return sum(map(len, _strings(part))), _measure(part)[1]
    data = tokens = 0
    if depth < MAX_DEPTH:
        for key in ("content", "output", "parts"):
            inner = part.get(key)
            for each in inner if isinstance(inner, list) else [inner] if isinstance(inner, dict) else ():
                d, t = _media_of(each, depth + 1)
                data += d
                tokens += t
    return data, tokens


def is_media(part: dict[str, Any]) -> bool:
    """Tells whether a part is an image, a document or the like."""
    kind = part.get("type")
    return (isinstance(kind, str) and kind in _KINDS) or "inlineData" in part or "inline_data" in part


def of_media(part: dict[str, Any]) -> int:
    """Returns the usual tokens of such a part."""
    return _measure(part)[1]


def _strings(value: Any) -> list[str]:
    """Returns the long strings below `value`: media as base64 or data URL."""
    if isinstance(value, str):
        return [value] if len(value) > 200 else []
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [text for item in value.values() for text in _strings(item)] if isinstance(value, dict) else []


def _measure(value: Any) -> tuple[int, int]:
    """Returns (bytes of text, tokens of media) below `value`."""
    if isinstance(value, str):
        if value.startswith("data:"):
            return 0, _media_tokens(value)
        return len(value.encode("utf-8", "replace")), 0
    if isinstance(value, list):
        pairs = [_measure(item) for item in value]
        return sum(p[0] for p in pairs), sum(p[1] for p in pairs)
    if isinstance(value, dict):
        if value.get("type") == "base64" and isinstance(value.get("data"), str):
            return 0, _media_tokens(f"{value.get('media_type')},{value['data']}")
        size = media = 0
        for key, item in value.items():
            if key in ("type", "role", "cache_control", "signature"):
                continue
            if key in _BARE and isinstance(item, str) and len(item) > LEAST_BARE and _BASE64.fullmatch(item, 0, 200):
                media += _media_tokens(f"{_kind_of(value)},{item}")
                continue
            s, m = _measure(item)
            size += s + len(key)
            media += m
        return size, media
    return 4, 0  # a number, a boolean, null


def _kind_of(value: dict[str, Any]) -> Any:
    names = ("format", "filename", "mimeType", "mime_type", "type")
    return next((value[name] for name in names if value.get(name)), None)


def _media_tokens(data: str) -> int:
    if any(word in data[:60] for word in ("audio", "wav", "mp3", "ogg", "flac", "pcm16")):
        return max(1, len(data) // AUDIO_BYTES)
    if "pdf" in data[:60]:
        return PAGE_TOKENS * (1 + len(data) // PAGE_BYTES)
    return IMAGE_TOKENS
