"""JSON on the wire: the one place that reads and writes it.

msgspec takes a quarter of ujson's time to write, and half of it to read. It is strict: what it refuses to read (a raw
line break within a string, NaN, half of a character), ujson reads in the way that clients and servers mean it, or its
error says where the fault is. Neither may write half a character (half an emoji, which providers do send when they cut
a delta): readers in other languages refuse such halves even as escapes, so none is ever written; two halves that meet
become their character. Who writes a text piece by piece keeps a half until the other one comes (`held_back`). `inside`
gives the text between the quotes of a JSON string. Deltas travel through the neutral form in that shape, so that a text
which needs no change is copied and never decoded (see conversation.Delta).
"""

from __future__ import annotations

import codecs
import json
from typing import Any, NoReturn

import msgspec
import ujson

LOST = b"\xef\xbf\xbd"  # U+FFFD, which stands for half a character whose other half never came

_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_REFUSED = (msgspec.MsgspecError, UnicodeError, RecursionError)


def loads(raw: bytes | bytearray | str) -> Any:
    """Returns the value. A byte order mark may stand before it (RFC 8259, section 8.1). Raises ValueError, with words
    for whoever wrote it."""
    try:
        return _decode(raw)
    except _REFUSED:
        return ujson.loads(raw if isinstance(raw, str) else raw.removeprefix(codecs.BOM_UTF8))


def dumps(value: Any) -> bytes:
    """Returns compact UTF-8 JSON. Two halves of a character that met are that character; a lone surrogate is written
    as U+FFFD, since strict readers (serde, nlohmann) refuse its escape, and all of the text with it. What is no number
    (NaN, infinity) is null. Raises TypeError or ValueError for what JSON cannot say."""
    try:
        return _encode(value)
    except _REFUSED:
        return whole_characters(ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)).encode()


def whole_characters(text: str) -> str:
    """Returns the text without lone surrogates: U+FFFD stands for each."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def dumps_text(value: Any) -> str:
    """Returns the same as str, for tool arguments, which are JSON inside a JSON string: half a character stays."""
    try:
        return _encode(value).decode()
    except _REFUSED:
        return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)


def inside(text: str) -> bytes:
    """Returns what stands between the quotes when `text` is written as a JSON string."""
    return dumps(text)[1:-1]


def on_one_line(raw: bytes) -> bytes:
    """Returns JSON without the characters that end a line for readers who go by Unicode: Python's str.splitlines, and
    with it httpx and the Ollama library. Within JSON they can only be a part of a text."""
    if b"\xe2\x80" in raw or b"\xc2\x85" in raw:
        for char, escaped in _LINE_ENDS:
            raw = raw.replace(char, escaped)
    return raw


def held_back(text: str) -> tuple[str, str]:
    """Returns the text without the half of a character that it may end with, and that half."""
    return (text[:-1], text[-1]) if text and "\ud800" <= text[-1] <= "\udbff" else (text, "")


def text_of(pieces: list[bytes]) -> str:
    """Returns the text whose JSON-string insides are `pieces`, joined first: an escape may be cut in two."""
    return str(loads(b'"%b"' % b"".join(pieces)))


def is_object(pieces: list[bytes]) -> bool:
    """Tells whether the text of these insides is a whole JSON object, to the strictest of readers: ujson takes control
    characters in strings, NaN, and numbers such as 01."""
    try:
        return isinstance(_strictly.decode(text_of(pieces)), dict)
    except (ValueError, RecursionError):
        return False


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_strictly = json.JSONDecoder(parse_constant=_refuse, parse_int=str, parse_float=str)  # their values are not asked for
