"""What the inputs begin as: the samples, the hostile inputs, and a few of what neither has."""

from __future__ import annotations

import functools
import gzip
import json
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.hostile import recipe
from translate import pair
from translate.envelopes import eventstream
from translate.failures.errors import ApiError
from translate.target import Asked, Protocol, Target

TESTS = Path(__file__).resolve().parents[1]
LARGEST = 8_000  # bytes of a seed: a short one is mutated more often in the time
APIS = {"anthropic.messages": "messages", "openai.chat": "chat", "openai.responses": "responses"}


@functools.cache
def _samples() -> list[tuple[str, dict[str, Any]]]:
    found = [json.loads(path.read_text()) for path in sorted((TESTS / "samples").glob("*.json"))]
    return [(APIS[each["api"]], each) for each in found]


def _short(seeds: list[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(seed for seed in seeds if len(seed) <= LARGEST))


def _hostile(folder: str) -> list[bytes]:
    return [recipe.request(path.read_bytes()) for path in sorted((TESTS / "hostile" / folder).glob("*.http"))]


@functools.cache
def requests(protocol: str) -> tuple[bytes, ...]:
    """Bodies of requests."""
    if protocol == "gemini":
        return _short([out for each in requests("chat") if (out := _request_as_gemini(each))])
    path = {"messages": b" /v1/messages ", "chat": b" /v1/chat/completions ", "responses": b" /v1/responses "}[protocol]
    hostile = [each.partition(b"\r\n\r\n")[2] for each in _hostile("json") if path in each.partition(b"\r\n")[0] + b" "]
    return _short([*(_json(each["request"]["body"]) for api, each in _samples() if api == protocol), *hostile])


@functools.cache
def replies(protocol: str) -> tuple[bytes, ...]:
    """Bodies of whole replies, errors among them."""
    if protocol == "gemini":
        return _short([out for each in replies("chat") if (out := _as_gemini(each, streamed=False))])
    said = [each["response"] for api, each in _samples() if api == protocol]
    own = [_json(each["body"]) for each in said if "body" in each]
    hostile = [body for each in _hostile("upstream") if (body := each.partition(b"\r\n\r\n")[2]).startswith(b"{")]
    return _short(own + hostile)


@functools.cache
def streams(protocol: str) -> tuple[bytes, ...]:
    if protocol == "gemini":
        others: tuple[Protocol, ...] = ("chat", "messages")
        return _short([out for p in others for each in streams(p) if (out := _as_gemini(each, streamed=True, of=p))])
    own = [b"\n".join(line.encode() for line in each["response"]["sse"])
           for api, each in _samples() if api == protocol and "sse" in each["response"]]  # fmt: skip
    hostile = [body for each in _hostile("upstream") if b"data:" in (body := each.partition(b"\r\n\r\n")[2])]
    return _short(own + hostile)


def _request_as_gemini(body: bytes) -> bytes:
    try:
        return pair.request("chat", "gemini", json.loads(body), Target("m")).json()
    except (ApiError, ValueError, TypeError, AttributeError, RecursionError):
        return b""


def _as_gemini(raw: bytes, *, streamed: bool, of: Protocol = "chat") -> bytes:
    """There are no samples of Gemini's: those of others, as a client of Gemini's gets them."""
    crossing = pair.Crossing("gemini", of, Asked("m", "k", echo={"includeThoughts": True}))
    try:
        return crossing.feed(raw) + crossing.end() if streamed else crossing.whole(raw)
    except ApiError:
        return b""


@functools.cache
def event_streams() -> tuple[bytes, ...]:
    """AWS's binary ones: those of Messages, each event in a message; exceptions; and messages of no kind."""
    head = eventstream.encode_headers({":message-type": "event", ":event-type": "chunk"})
    failed = eventstream.encode_headers({":message-type": "exception", ":exception-type": "throttlingException"})
    wholes = []
    for each in streams("messages"):
        data = [line[6:] for line in each.split(b"\n") if line.startswith(b"data: ")]
        wholes.append(b"".join(eventstream.encode(head, b'{"bytes":"' + b64encode(one) + b'"}') for one in data))
    none = eventstream.encode(b"\x01a\x05" + bytes(8) + b"\x01b\x06\x00\x01x\x01c\x00", b"")
    odd = (eventstream.encode(failed, b'{"message":"slow"}'), eventstream.encode(b"", b""),
           eventstream.encode(head, b"{}"), none)  # fmt: skip
    return _short([*wholes, *odd])


@functools.cache
def ollama() -> tuple[bytes, ...]:
    """Bodies of /api/chat, /api/generate and /api/embed."""
    call = {"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "images": ["iVBORw0KGgo="]},
             {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [call]},
             {"role": "tool", "tool_name": "f", "tool_call_id": "c1", "content": "r"}]  # fmt: skip
    more: list[dict[str, Any]] = [
        {"messages": turns, "tools": [tool], "think": True},
        {"messages": turns[:1], "format": "json", "options": {"temperature": 0, "num_predict": 5, "stop": ["x"]}},
        {"messages": turns, "format": {"type": "object"}, "think": "high", "keep_alive": "5m", "stream": False},
        {"prompt": "p", "system": "s", "images": ["/9j/"], "suffix": "x", "raw": True, "template": "t"},
        {"prompt": "p", "format": {"type": "object", "properties": {"a": {"type": "string"}}}, "options": {"seed": 1}},
        {"messages": []},
        {"prompt": ""},
        {"input": ["a", "b"], "dimensions": 8, "truncate": True},
        {"input": "a"},
    ]
    return _short([_json({"model": "m", **each}) for each in more])


@functools.cache
def embeddings() -> tuple[bytes, ...]:
    """Replies with embeddings in OpenAI's form."""
    rows = [{"object": "embedding", "index": n, "embedding": [0.5, n]} for n in (1, 0)]
    reply = {"object": "list", "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    return _short([_json({**reply, "data": data}) for data in (rows, [], rows[0], None, rows[:1])])


@functools.cache
def clouds() -> tuple[bytes, ...]:
    """Bodies in the envelope of a cloud, and counts, which Bedrock wraps once more."""
    inside = [json.dumps(json.loads(each) | {"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["a", "b"]})
              for each in requests("messages") if each.startswith(b"{") and _is_object(each)]  # fmt: skip
    counts = [_json({"input": {"invokeModel": {"body": b64encode(each.encode()).decode()}}}) for each in inside[:4]]
    return _short([*(each.encode("utf-8", "surrogatepass") for each in inside), *counts])


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        return False


@functools.cache
def heads() -> tuple[bytes, ...]:
    return _short([each.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for each in _hostile("http")])


@functools.cache
def packed() -> tuple[bytes, ...]:
    body = requests("chat")[0]
    return (gzip.compress(body, mtime=0), zlib.compress(body), gzip.compress(gzip.compress(body, mtime=0), mtime=0),
            gzip.compress(b"a" * 100_000, mtime=0), gzip.compress(b"", mtime=0) * 3)  # fmt: skip


@functools.cache
def settings() -> tuple[bytes, ...]:
    shipped = (TESTS.parent / "settings.ini").read_bytes()
    sections = [b"[" + each for each in shipped.split(b"\n[")[1:]]
    upstream = b"[upstream a]\nprotocol = chat\nbase_url = http://127.0.0.1:1\napi_key = k\n"
    own = b"[server]\nport = 1\n" + upstream + b"[models]\n* = a\n"
    more = (b"[client c]\nkey = 0123456789abcdef\n", b"[models]\na = b, c | d\n@x = tokens > 5 ? a : b\n",
            b"[upstream %(x)s]\nheaders = a: b\n c: ${HOME}\n", b"[prices]\nm = 1, 2\n", b"[server\n",
            b"key = value\n")  # fmt: skip
    return _short([own, *(own + each for each in more), *sections, *(own + each for each in sections)])


@functools.cache
def frames() -> tuple[bytes, ...]:
    """Of a websocket: as a client masks them."""
    text = b'{"type":"response.create","model":"m","input":"x"}'
    return (frame(1, text), frame(1, text[:9], fin=False) + frame(0, text[9:]), frame(9, b"x") + frame(1, text),
            frame(8, b"\x03\xe8"), frame(2, b"\x00" * 200), frame(1, b"a" * 70_000)[:5_000],
            b"\xc1\x85" + b"abcd" + b"x" * 5)  # fmt: skip


def frame(opcode: int, data: bytes, fin: bool = True) -> bytes:
    size = len(data)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65536 else (
        b"\xff" + size.to_bytes(8, "big"))  # fmt: skip
    return bytes((opcode | 0x80 * fin,)) + length + b"\0\0\0\0" + data


def _json(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value, ensure_ascii=False).encode()
