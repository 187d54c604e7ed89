"""The outline of a body: finds `model` and `stream` in it without parsing it, for the routing.

A request of a coding agent is a quarter of a megabyte, and a passthrough needs only these two. Both keys stand at the
top level, so the bytes around them show that: the number of brackets that are open before (or after) them outside of
strings, where each byte is counted once. Whatever is not plain (no hit, very many hits, an escape in the name) is left
to a real parse. What two readers could understand in two ways (a key that is there twice, or in escapes) is refused:
the upstream must not serve another model than the one that was asked for here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.http import json_bounds
from translate import recurring
from translate.failures.errors import BadRequest
from translate.json import compact_json, sliced_json, wire
from translate.json.top_level import MOST_HITS, levels, places

MOST_ESCAPED = 6 * len("stream") + 1
MAX_NAME = 512  # characters of a model's name, which is remembered, logged and repeated in errors

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\\x00-\x1f]+)"')
_PLAIN_NAME = re.compile(rb'"[^"\\\x00-\x1f]+"')
_FLAGS = (b"true", b"false", b"null")
_COLON = re.compile(rb"\s*:")
_ESCAPED = re.compile(rb'(\\u00[67][0-9a-fA-F](?:[a-z]|\\u00[67][0-9a-fA-F]){0,6})"\s*:')  # the end of a short key
_KEY = re.compile(rb'"(?:[a-z]|\\u00[67][0-9a-fA-F])+')
_STREAM = re.compile(rb'"stream"\s*:\s*(true|false|null)')


class Outline(NamedTuple):
    """What routing needs. model, stream: as the body says them. span: where the model's name stands (without quotes),
    or None if only a parse found it."""

    model: str
    stream: bool
    span: tuple[int, int] | None


def read(body: bytes, usual_model: str = "") -> Outline:
    """Reads the body. usual_model: for a body that names no model, "" = it has to. Raises BadRequest if there is no
    JSON object with a `model`."""
    members = compact_json.members(body)
    said = _plain(members) if members is not None else None
    if said is None:  # if no model need be named, the only "model" may stand in an inner object
        return _parsed(body, usual_model) if usual_model else _searched(body)
    return said


def _plain(members: compact_json.Members) -> Outline | None:
    """Returns None if model or stream are not what they should be, or the name has escapes."""
    model, stream = bytes(members.get("model", b"")), bytes(members.get("stream", b"null"))
    if _PLAIN_NAME.fullmatch(model) is None or stream not in _FLAGS:
        return None
    start = compact_json.place(members, "model") + 1
    return Outline(_name(model[1:-1]), stream == b"true", (start, start + len(model) - 2))


def _searched(body: bytes) -> Outline:
    """Searches a body with blanks, or one that only some readers take."""
    escaped = _in_escapes(body) if body.rfind(b"\\u00") >= 0 else []
    found = _model(body, escaped.count("model"))
    if found is None:
        return _parsed(body)
    stream, plain = _stream(body, escaped.count("stream"))
    if not plain:
        parsed = _parsed(body)
        return parsed._replace(span=found.span(1)) if parsed.model.encode() == found.group(1) else parsed
    return Outline(_name(found.group(1)), stream, found.span(1))


def with_model(body: bytes, outline: Outline, model: str) -> bytes:
    """Returns the same bytes with only the name of the top-level model replaced."""
    if model == outline.model:
        return body
    if outline.span is not None:
        start, end = outline.span
        return body[:start] + wire.inside(model) + body[end:]
    data = wire.loads(body)
    data["model"] = model
    return wire.dumps(data)


def _parsed(body: bytes, usual_model: str = "") -> Outline:
    data = parse(body)
    model = data.get("model", usual_model)
    if not isinstance(model, str) or not model:
        raise BadRequest("model: field required, the name of a model as a string", "model")
    stream = data.get("stream", False)
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("stream: true or false is expected", "stream")
    return Outline(_name(model.encode("utf-8", "surrogatepass")), stream is True, None)


def _name(raw: bytes) -> str:
    return name(raw.decode("utf-8", "replace")) if len(raw) <= MAX_NAME else name("")


def name(said: str) -> str:
    """Returns a model's name as text that may stand anywhere. Raises BadRequest."""
    if said and len(said.encode("utf-8", "surrogatepass")) <= MAX_NAME and said.isprintable() and "\ufffd" not in said:
        return said
    raise BadRequest(f"model: not the name of a model (UTF-8, printable, at most {MAX_NAME} bytes)", "model")


def parse(body: bytes, values: int = json_bounds.MAX_VALUES, *, sliced: bool = False) -> dict[str, object]:
    """Returns the body as a JSON object. values: how many values it may have. sliced: see sliced_json.py. Raises
    BadRequest that says what the body is instead, or ApiError (413)."""
    if not body.strip():
        raise BadRequest("the request has no body; a JSON object is expected")
    json_bounds.check(body, values)
    try:
        data = sliced_json.loads(body) if sliced else recurring.loads(body)
    except ValueError as why:
        raise BadRequest(f"the request body is not valid JSON: {why}") from None
    if not isinstance(data, dict):
        raise BadRequest(f"the request body is a JSON {type(data).__name__}; an object is expected")
    return data


def _model(body: bytes, escaped: int) -> re.Match[bytes] | None:
    """Returns the only top-level model, or None if that is not plain. Raises BadRequest.

    If there is only one such key in the whole body, it is the top-level one, because a request has one. escaped: how
    many more are written in escapes.
    """
    found = places(body, b'"model"')
    if found is None:
        return None
    keys = [at for at in found if _COLON.match(body, at + len(b'"model"'))]
    if len(keys) + escaped > 1:
        depths = levels(body, [(at, at + len(b'"model"')) for at in keys])
        keys = [at for at, level in zip(keys, depths, strict=True) if level == 1]
    if len(keys) + escaped > 1:
        raise BadRequest("model: it is there twice", "model")
    return _MODEL.match(body, keys[0]) if keys else None


def _in_escapes(body: bytes) -> list[str]:
    """Returns the top-level keys that count and are written in escapes, as no honest client does. Raises BadRequest."""
    found: list[tuple[str, tuple[int, int]]] = []
    for end in _ESCAPED.finditer(body):
        start = body.rfind(b'"', 0, end.start())
        if end.end(1) - start <= MOST_ESCAPED and _KEY.fullmatch(body, start, end.end(1)):
            name = str(wire.loads(body[start : end.end(1) + 1]))
            if name in ("model", "stream"):
                found.append((name, (start, end.end())))
    if len(found) > MOST_HITS:
        raise BadRequest("model, stream: these words are expected as they are, without escapes")
    depths = levels(body, [span for _, span in found]) if found else ()
    return [name for (name, _), level in zip(found, depths, strict=True) if level == 1]


def _stream(body: bytes, escaped: int) -> tuple[bool, bool]:
    """Returns (stream, whether that is plain). Raises BadRequest."""
    found = places(body, b'"stream"')
    if not found:
        return False, found is not None and not escaped
    # The word may also be a value, such as a whole prompt.
    hits = [(at, _STREAM.match(body, at)) for at in found if _COLON.match(body, at + len(b'"stream"'))]
    depths = levels(body, [match.span() if match else (at, at + len(b'"stream"')) for at, match in hits])
    values = [match.group(1) if match else b"" for (_, match), level in zip(hits, depths, strict=True) if level == 1]
    if not values:
        return False, not escaped
    if len(values) + escaped > 1:
        raise BadRequest("stream: it is there twice", "stream")
    return values[0] == b"true", values[0] != b""
